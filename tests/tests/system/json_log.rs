//! `--log-format=json`: what lines are about stands in key-value pairs.

use serde_json::Value;
use tests::Rig;

/// The lines of the daemon's log.
fn lines(rig: &Rig) -> Vec<Value> {
    let text = std::fs::read_to_string(rig.switch.path("ovs-vswitchd.log")).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}

#[harness::test]
fn lines_name_bridge_port_interface_and_target_in_pairs() {
    tests::ours_only("log lines in JSON");
    let rig = Rig::with(2, tests::daemon(), &["--log-format=json"]);
    rig.bond("bond_mode=active-backup other_config:bond-primry=nic0");
    rig.vsctl("set-controller br0 tcp:127.0.0.1:1 unix:/etc/passwd");
    let wanted = [
        (
            "added interface nic1 on",
            vec![("bridge", "br0"), ("port", "bond0"), ("interface", "nic1")],
        ),
        ("using datapath ID", vec![("bridge", "br0")]),
        (
            "bond-primry",
            vec![
                ("port", "bond0"),
                ("column", "other_config"),
                ("key", "bond-primry"),
                ("value", "nic0"),
            ],
        ),
        ("member nic1: enabled", vec![("bond", "bond0"), ("member", "nic1")]),
        ("added primary controller \"tcp:", vec![("bridge", "br0"), ("target", "tcp:127.0.0.1:1")]),
        ("connecting...", vec![("bridge", "br0"), ("target", "tcp:127.0.0.1:1")]),
        ("Not connecting to socket", vec![("bridge", "br0"), ("target", "unix:/etc/passwd")]),
    ];
    let found = |all: &[Value], text: &str, pairs: &[(&str, &str)]| {
        all.iter().any(|line| {
            line["message"].as_str().is_some_and(|m| m.contains(text))
                && pairs.iter().all(|(key, value)| line[key] == *value)
        })
    };
    for (text, pairs) in wanted {
        rig.wait(&format!("line with {text} and {pairs:?}"), || found(&lines(&rig), text, &pairs));
    }
}
