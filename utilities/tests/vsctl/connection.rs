//! Ways to a server.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::rig::{Rig, until};

#[harness::test]
fn a_server_that_is_not_there() {
    let rig = Rig::new();
    let refused = rig.ours("--db=unix:nowhere list-br");
    assert_eq!(
        (refused.status, refused.err.as_str()),
        (1, "ovs-vsctl: unix:nowhere: database connection failed (No such file or directory)\n")
    );
    let refused = rig.ours("--db=tcp:127.0.0.1:1 list-br");
    assert!(refused.err.contains("database connection failed (Connection refused)"), "{refused:?}");
    let refused = rig.ours("--db=xyz:1 list-br");
    assert!(refused.err.contains("(Address family not supported by protocol)"), "{refused:?}");
    assert_eq!(rig.ours("--db=unix:nowhere --retry -t 1 list-br").status, 142);
    // One of several will do.
    let ran = rig.ours("--db=unix:nowhere,unix:db.sock --no-wait list-br");
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

#[harness::test]
fn a_server_that_comes_later_and_one_that_connects_to_us() {
    let rig = Rig::with(&["--remote=unix:late.sock"]);
    rig.ok("add-br br0");
    let ran = rig.ours("--db=punix:late.sock --no-wait -t 20 list-br");
    assert_eq!((ran.status, ran.out.as_str()), (0, "br0\n"));
    let retries = rig.spawn("--db=unix:moved.sock --retry --no-wait -t 20 list-br");
    thread::sleep(Duration::from_millis(300));
    std::fs::rename(rig.directory.join("db.sock"), rig.directory.join("moved.sock")).unwrap();
    let output = retries.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "br0\n");
}

#[harness::test]
fn a_server_that_goes_away() {
    let mut rig = Rig::new();
    let waits = rig.spawn("--no-wait -t 20 wait-until bridge br0");
    let retries = rig.spawn("--retry --no-wait -t 20 wait-until bridge br0 -- list-br");
    thread::sleep(Duration::from_millis(300));
    rig.restart();
    rig.ok("add-br br0");
    let output = retries.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "br0\n");
    let output = waits.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.ends_with("/db.sock: database connection failed (End of file)\n"), "{text}");
}

#[harness::test]
fn names_of_sockets_may_be_long() {
    let rig = Rig::new();
    let long = rig.directory.join("d".repeat(90)).join("e".repeat(90));
    std::fs::create_dir_all(&long).unwrap();
    std::fs::rename(rig.directory.join("db.sock"), long.join("db.sock")).unwrap();
    let ran = rig.ours(&format!("--db=unix:{}/db.sock --no-wait add-br br0", long.display()));
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

/// Makes keys and certificates with `ovs-pki`, as an operator would.
fn pki(rig: &Rig, arguments: &[&str]) -> bool {
    Command::new("ovs-pki")
        .arg("--dir=pki")
        .arg("--log=pki.log")
        .args(arguments)
        .current_dir(&rig.directory)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A process that ends with the test, however that ends.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[harness::test]
fn tls_with_bootstrap() {
    let rig = Rig::new();
    if !(pki(&rig, &["init"]) && pki(&rig, &["req+sign", "me", "switch"])) {
        harness::skip("no ovs-pki that works is installed");
    }
    assert!(pki(&rig, &["req+sign", "it", "controller"]));
    let files = |who: &str, ca: &str| {
        format!("--private-key={who}-privkey.pem --certificate={who}-cert.pem {ca}")
    };
    let mut line = "--remote=pssl:0:127.0.0.1 --no-chdir --unixctl=tls.ctl --log-file=tls.log \
                    -vconsole:off --peer-ca-cert=pki/controllerca/cacert.pem "
        .to_owned();
    line += &files("it", "--ca-cert=pki/switchca/cacert.pem");
    let made = Command::new("ovsdb-tool")
        .args(["create", "tls.db", "/usr/share/openvswitch/vswitch.ovsschema"])
        .current_dir(&rig.directory)
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let server = Command::new("ovsdb-server")
        .args(line.split_whitespace())
        .arg("tls.db")
        .stderr(std::process::Stdio::null())
        .env("OVS_RUNDIR", &rig.directory)
        .env("OVS_LOGDIR", &rig.directory)
        .current_dir(&rig.directory)
        .spawn()
        .unwrap();
    let _server = Killed(server);
    let mut port = String::new();
    until("the port is known", || {
        let log = std::fs::read_to_string(rig.directory.join("tls.log")).unwrap_or_default();
        let found = log.split("listening on port ").nth(1).and_then(|rest| rest.lines().next());
        port = found.unwrap_or_default().to_owned();
        !port.is_empty()
    });
    let db = format!("--db=ssl:127.0.0.1:{port} -t 10 --no-wait");
    let bootstrap = files("me", "--bootstrap-ca-cert=ca.pem");
    // What was said before the authority was known is dropped.
    let first = rig.ours(&format!("{db} {bootstrap} list-br"));
    assert_eq!(first.status, 1, "{first:?}");
    assert!(first.err.ends_with("(Protocol error)\n"), "{first:?}");
    let kept = std::fs::read(rig.directory.join("ca.pem")).unwrap();
    assert!(kept.starts_with(b"-----BEGIN CERTIFICATE-----"));
    let second = rig.ours(&format!("{db} {bootstrap} add-br br0 -- list-br"));
    assert_eq!((second.status, second.out.as_str()), (0, "br0\n"), "{second:?}");
    let versions = "--ssl-protocols=TLSv1.3-TLSv1.2 --ssl-ciphers=HIGH:!aNULL:RC5";
    let chosen = rig.ours(&format!("{db} {bootstrap} {versions} list-br"));
    assert_eq!((chosen.status, chosen.out.as_str()), (0, "br0\n"), "{chosen:?}");
    assert!(chosen.err.contains("RC5: not supported; there are ECDHE-"), "{chosen:?}");
    let other = files("me", "--ca-cert=pki/switchca/cacert.pem");
    let refused = rig.ours(&format!("{db} {other} list-br"));
    assert!(refused.status == 1 && refused.err.contains("certificate"), "{refused:?}");
    let lacks = rig.ours(&format!("{db} list-br"));
    assert!(lacks.err.contains("--private-key"), "{lacks:?}");
    // The server comes to us.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let waits =
        rig.spawn(&format!("--db=pssl:{free}:127.0.0.1 -t 20 --no-wait {bootstrap} list-br"));
    let added = Command::new("ovs-appctl")
        .arg("-t")
        .arg(rig.directory.join("tls.ctl"))
        .args(["ovsdb-server/add-remote", &format!("ssl:127.0.0.1:{free}")])
        .status();
    assert!(added.is_ok_and(|status| status.success()));
    let output = waits.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "br0\n", "{output:?}");
}
