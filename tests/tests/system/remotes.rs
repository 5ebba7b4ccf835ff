//! Several database servers, with TLS: the daemon goes to one that answers.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::Rig;

/// Keys, certificates and their authority in a folder.
fn certificates(folder: &Path) {
    tests::tool("openssl");
    let openssl = |words: &str| {
        let output = Command::new("openssl").current_dir(folder).args(words.split(' ')).output();
        let output = output.unwrap();
        assert!(output.status.success(), "openssl {words}: {output:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    fs::write(folder.join("v3.cnf"), "basicConstraints=CA:FALSE\n").unwrap();
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=ca -days 9"));
    for name in ["server", "switch"] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 \
             -out {name}.crt -extfile v3.cnf"
        ));
    }
}

fn files(folder: &Path, name: &str) -> Vec<String> {
    let file = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
    vec![
        file("private-key", &format!("{name}.key")),
        file("certificate", &format!("{name}.crt")),
        file("ca-cert", "ca.crt"),
    ]
}

fn await_downdelay(rig: &Rig, value: u32) {
    rig.vsctl(&format!("--no-wait set port bond0 bond_downdelay={value}"));
    rig.wait("the new setting", || {
        let wanted = format!("downdelay: {value} ms");
        rig.switch.appctl("bond/show bond0").is_ok_and(|text| text.contains(&wanted))
    });
}

#[harness::test]
fn dead_ones_are_passed_by_and_tls_is_spoken() {
    tests::ours_only("database clients that pass by dead servers");
    let mut rig = Rig::with_server(2);
    certificates(rig.switch.path("").as_path());
    let folder = rig.switch.path("");
    rig.bond("");
    rig.switch.stop_vswitchd();
    rig.switch.stop_server();
    rig.switch.server_arguments = files(&folder, "server");
    rig.switch.server_arguments.push("--remote=pssl:6641:127.0.0.1".into());
    rig.switch.start_server().unwrap();
    rig.switch.arguments.extend(files(&folder, "switch"));
    // Nobody listens at the first; of a name that nobody has, none can.
    let remotes =
        "tcp:127.0.0.1:1,tcp:no-such-host.invalid:1,ssl:127.0.0.1:6641,tcp:127.0.0.1:6642";
    rig.switch.remotes = Some(remotes.into());
    rig.switch.start_vswitchd().unwrap();
    await_downdelay(&rig, 77);
    assert!(rig.switch.log().contains("ssl:127.0.0.1:6641: connected"), "{}", rig.switch.log());

    // The server moves: what was behind TLS is elsewhere without.
    rig.switch.stop_server();
    rig.switch.server_arguments = vec!["--remote=ptcp:6642:127.0.0.1".into()];
    rig.switch.start_server().unwrap();
    await_downdelay(&rig, 88);
    assert!(rig.switch.log().contains("tcp:127.0.0.1:6642: connected"), "{}", rig.switch.log());
    assert_eq!(rig.enabled(), 2);
    rig.assert_no_panic();
}
