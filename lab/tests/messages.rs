//! Errors of the system are told in its words, without the number that `std::io::Error` adds.

use std::process::Command;

#[test]
fn errors_of_the_system_have_no_numbers() {
    for (program, arguments) in
        [(env!("CARGO_BIN_EXE_braid-lab"), "--json"), (env!("CARGO_BIN_EXE_braid-bench"), "")]
    {
        let mut command = Command::new(program);
        // Not a program. Where no namespaces can be made they say that instead.
        command.args(arguments.split_whitespace()).env("BRAID_VSWITCHD", "/etc/passwd");
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert!(said.contains("cannot "), "{program} {arguments}: {said}");
        assert!(!said.contains("os error"), "{program} {arguments}: {said}");
    }
}
