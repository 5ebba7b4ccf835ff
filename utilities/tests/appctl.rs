//! `ovs-appctl` against Debian's `ovsdb-server` (which has a control socket like any daemon), and
//! against sockets that misbehave.

harness::main!();

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

struct Rig {
    directory: PathBuf,
    server: Option<Child>,
}

impl Rig {
    fn new(name: &str) -> Rig {
        let directory =
            std::env::temp_dir().join(format!("braid-appctl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Rig { directory, server: None }
    }

    /// A server, or a loud word that none is installed.
    fn with_server(name: &str) -> Rig {
        let mut rig = Rig::new(name);
        let made = Command::new("ovsdb-tool")
            .args(["create", "conf.db", "/usr/share/openvswitch/vswitch.ovsschema"])
            .current_dir(&rig.directory)
            .output();
        if !made.is_ok_and(|output| output.status.success()) {
            harness::skip("ovsdb-tool with its schema is not installed");
        }
        let server = Command::new("ovsdb-server")
            .args(["-vconsole:off", "--no-chdir", "--pidfile", "--remote=punix:db.sock", "conf.db"])
            .env("OVS_RUNDIR", &rig.directory)
            .current_dir(&rig.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = rig.directory.join(format!("ovsdb-server.{}.ctl", server.id()));
        rig.server = Some(server);
        let end = Instant::now() + Duration::from_secs(10);
        while !(socket.exists() && rig.directory.join("ovsdb-server.pid").exists()) {
            assert!(Instant::now() < end, "the server does not start");
            thread::sleep(Duration::from_millis(10));
        }
        rig
    }

    fn run_program(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("OVS_RUNDIR", &self.directory)
            .env_remove("OVS_CTL_TIMEOUT")
            .output()
            .unwrap()
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run_program(env!("CARGO_BIN_EXE_ovs-appctl"), arguments);
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap());
        (
            status,
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[harness::test]
fn a_daemon_is_found_by_name_process_and_path() {
    let rig = Rig::with_server("found");
    let pid = rig.server.as_ref().unwrap().id().to_string();
    let path = rig.path(&format!("ovsdb-server.{pid}.ctl"));
    for target in ["ovsdb-server", &pid, &path] {
        let (status, out, err) = rig.run(&["-T", "10", "-t", target, "ovsdb-server/list-dbs"]);
        assert_eq!((status, err.as_str()), (0, ""), "{target}");
        assert!(out.lines().any(|line| line == "Open_vSwitch"), "{out}");
    }
    let (status, out, err) = rig.run(&["-t", "ovsdb-server", "nonsense"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "\"nonsense\" is not a valid command (use \"list-commands\" to see a list of valid \
         commands)\novs-appctl: ovsdb-server: server returned an error\n"
    );
}

#[harness::test]
fn answers_are_those_of_the_installed_program() {
    let rig = Rig::with_server("beside");
    for arguments in [
        &["-t", "ovsdb-server", "version"][..],
        &["-t", "ovsdb-server", "list-commands"],
        &["-t", "ovsdb-server", "vlog/list"],
        &["-t", "ovsdb-server", "vlog/set", "nonsense:x"],
        &["-t", "ovsdb-server", "version", "too", "many"],
        &["-t", "nobody", "version"],
        &["-t", "/nowhere", "version"],
        &["-T", "x", "version"],
        &["--nonsense"],
        &["-t"],
        &[],
    ] {
        let ours = rig.run_program(env!("CARGO_BIN_EXE_ovs-appctl"), arguments);
        let theirs = rig.run_program("ovs-appctl", arguments);
        // Times in log lines differ.
        let text = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines = text.lines().map(|line| line.split_once("Z|").map_or(line, |(_, l)| l));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        assert_eq!(text(&ours), text(&theirs), "{arguments:?}");
        assert_eq!(ours.stdout, theirs.stdout, "{arguments:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{arguments:?}");
    }
}

#[harness::test]
fn a_pidfile_that_nobody_holds_is_stale() {
    let rig = Rig::new("stale");
    let pidfile = rig.path("old.pid");
    std::fs::write(&pidfile, "1\n").unwrap();
    let (status, _, err) = rig.run(&["-t", "old", "version"]);
    assert_eq!(status, 1);
    assert_eq!(err, format!("ovs-appctl: cannot read pidfile \"{pidfile}\" (No such process)\n"));
    let (status, _, err) = rig.run(&["-t", "99999999", "version"]);
    assert_eq!((status, err.contains("no control socket of process 99999999")), (1, true), "{err}");
}

/// A socket that answers every connection with `answers`, then stays open or not.
fn answering(rig: &Rig, answers: &'static [&'static str], stays: bool) -> String {
    let path = rig.path("fake.ctl");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                for answer in answers {
                    let _ = stream.read(&mut chunk);
                    let _ = stream.write_all(answer.as_bytes());
                }
                if stays {
                    thread::sleep(Duration::from_secs(20));
                }
            });
        }
    });
    path
}

#[harness::test]
fn json_and_what_is_not_text() {
    let rig = Rig::new("json");
    let answers = &[
        r#"{"id":1,"result":"","error":null}"#,
        r#"{"id":2,"result":{"b":[1,{"x":"y"}],"a":{}},"error":null}"#,
    ];
    let path = answering(&rig, answers, true);
    let (status, out, _) = rig.run(&["-t", &path, "-f", "json", "x"]);
    assert_eq!((status, out.as_str()), (0, "{\"a\":{},\"b\":[1,{\"x\":\"y\"}]}\n"));
    let (status, out, _) = rig.run(&["-t", &path, "-f", "json", "--pretty", "x"]);
    assert_eq!(status, 0);
    assert!(out.contains("\n  \"b\": [\n    1,\n"), "{out}");
    let path = answering(&rig, &[r#"{"id":1,"result":[1],"error":null}"#], true);
    let (status, _, err) = rig.run(&["-t", &path, "x"]);
    assert_eq!(status, 2);
    assert_eq!(err, "ovs-appctl: Unexpected reply type in JSON rpc reply: array\n");
}

#[harness::test]
fn daemons_that_hang_up_talk_nonsense_or_are_silent() {
    let rig = Rig::new("bad");
    let path = answering(&rig, &[""], false);
    let (status, _, err) = rig.run(&["-t", &path, "x"]);
    assert_eq!(status, 1);
    assert_eq!(err, format!("ovs-appctl: {path}: transaction error (End of file)\n"));
    let path = answering(&rig, &["{nonsense}"], true);
    let (status, _, err) = rig.run(&["-T", "10", "-t", &path, "x"]);
    assert!(status == 1 && err.contains("transaction error"), "{err}");
    let path = answering(&rig, &[""], true);
    let (status, _, err) = rig.run(&["-T", "1", "-t", &path, "x"]);
    assert_eq!(status, 142);
    assert!(err.ends_with("terminating with signal 14 (Alarm clock)\n"), "{err}");
}

#[harness::test]
fn help_manual_and_completions() {
    let rig = Rig::new("help");
    for (option, part) in [
        ("--help", "usage: ovs-appctl"),
        ("--version", "ovs-appctl (Braid)"),
        ("--option", "--target=ARG\n-t ARG\n"),
        ("--manual", ".TH OVS\\-APPCTL 8"),
        ("--completions=bash", "complete -F"),
        ("--completions=fish", "complete -c ovs-appctl"),
    ] {
        let (status, out, _) = rig.run(&[option]);
        assert!(status == 0 && out.contains(part), "{option}: {out}");
    }
}
