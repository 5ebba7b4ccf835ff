//! Errors of the system are told in its words, without the number that `std::io::Error` adds.

use std::process::Command;

#[test]
fn errors_of_the_system_have_no_numbers() {
    let vsctl = env!("CARGO_BIN_EXE_ovs-vsctl");
    let appctl = env!("CARGO_BIN_EXE_ovs-appctl");
    let cases = [
        (vsctl, "--db=unix:/nonexistent show", "No such file or directory"),
        (vsctl, "--db=unix:/etc/passwd show", "Connection refused"),
        (vsctl, "--db=tcp:127.0.0.1:9 show", "Connection refused"),
        (vsctl, "--db=ssl:127.0.0.1:9 -p /n -c /n -C /n show", "onnection"),
        (vsctl, "--log-file=/etc/passwd/x show", "Not a directory"),
        (appctl, "-t /nonexistent version", "No such file or directory"),
        (appctl, "-t nonexistent version", "No such file or directory"),
        (appctl, "--log-file=/etc/passwd/x version", "Not a directory"),
    ];
    for (program, arguments, says) in cases {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        command.env("OVS_RUNDIR", "/nonexistent");
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert!(said.contains(says), "{program} {arguments}: {said}");
        assert!(!said.contains("os error"), "{program} {arguments}: {said}");
    }
}
