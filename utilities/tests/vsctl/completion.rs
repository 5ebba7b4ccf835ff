//! Completion in a real bash, zsh and fish.

use std::process::{Command, Stdio};

use crate::rig::Rig;

/// What bash offers for `words`, the last of which is incomplete, split as bash splits them.
fn bash(rig: &Rig, words: &[&str]) -> Vec<String> {
    let ours = env!("CARGO_BIN_EXE_ovs-vsctl");
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <({ours} --completions=bash) && COMP_WORDS=({ours} {}) COMP_CWORD={} && _ovs_vsctl \
         && printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len()
    );
    offered(rig, rig.command("bash", &["-c".to_owned(), script]))
}

fn offered(rig: &Rig, mut command: Command) -> Vec<String> {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{:?}: {errors}", rig.directory);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn installed(shell: &str) -> bool {
    Command::new(shell).arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn with_a_bond() -> Rig {
    let rig = Rig::new();
    rig.ok("add-br br0 -- add-bond br0 bond0 e0 e1 -- set port bond0 other_config:mine=1");
    rig
}

#[harness::test]
fn bash_completes_keys_and_words_of_options_that_it_splits() {
    let rig = with_a_bond();
    for (words, found) in [
        (vec!["set", "port", "bo"], vec!["bond0"]),
        (vec!["set", "port", "bond0", "other_c"], vec!["other_config:"]),
        (
            vec!["set", "port", "bond0", "other_config", ":", "bond-primary-"],
            vec!["bond-primary-reselect="],
        ),
        (
            vec!["set", "port", "bond0", "other_config", ":", "bond-primary-reselect", "="],
            vec!["always", "better", "failure"],
        ),
        (
            vec!["set", "port", "bond0", "other_config", ":", "bond-primary-reselect", "=", "f"],
            vec!["failure"],
        ),
        (vec!["set", "port", "bond0", "bond_mode", "=", "balance-t"], vec!["balance-tcp"]),
        (
            vec!["set", "port", "bond0", "tag", "=", "7", "bond_mode", "=", "active"],
            vec!["active-backup"],
        ),
        (vec!["get", "port", "bond0", "other_config", ":"], vec!["mine"]),
        (vec!["--db", "=", "unix", ":", "db.sock", "del-br", ""], vec!["br0"]),
        (vec!["add-br", "br1", "--", "--may-exist", "add-p"], vec!["add-port"]),
        // As other programs pass words: not split.
        (
            vec!["set", "port", "bond0", "other_config:bond-primary-"],
            vec!["other_config:bond-primary-reselect="],
        ),
        (vec!["--priv"], vec!["--private-key="]),
    ] {
        assert_eq!(bash(&rig, &words), found, "{words:?}");
    }
    let keys = bash(&rig, &["set", "port", "bond0", "other_config", ":", "bond-"]);
    assert!(keys.contains(&"bond-failback-delay=".to_owned()), "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("bond-")), "{keys:?}");
}

#[harness::test]
fn without_a_database_only_names_of_rows_are_missing() {
    let mut rig = with_a_bond();
    rig.stop();
    assert_eq!(bash(&rig, &["set", "port", "bo"]), Vec::<String>::new());
    let words = ["set", "port", "bond0", "other_config", ":", "lacp-time", "="];
    assert_eq!(bash(&rig, &words), ["fast", "slow"]);
}

#[harness::test]
fn zsh_accepts_its_script() {
    if !installed("zsh") {
        harness::not_applicable("zsh is not installed");
    }
    let rig = Rig::new();
    let ours = env!("CARGO_BIN_EXE_ovs-vsctl");
    // `compadd` works in the line editor only; a stand-in prints what is offered.
    let script = format!(
        "compdef() {{ }}; compadd() {{ local name=$@[-1]; print -l -- ${{(P)name}} }}\n\
         source <({ours} --completions=zsh)\n\
         words=({ours} set port p other_config:bond-primary-reselect=f); CURRENT=5; _ovs_vsctl\n\
         words=({ours} set port p other_config:bond-primary-r); CURRENT=5; _ovs_vsctl\n"
    );
    let command = rig.command("zsh", &["-fc".to_owned(), script]);
    assert_eq!(
        offered(&rig, command),
        ["other_config:bond-primary-reselect=failure", "other_config:bond-primary-reselect="]
    );
}

#[harness::test]
fn fish_completes_keys_and_words_of_options() {
    if !installed("fish") {
        harness::not_applicable("fish is not installed");
    }
    let rig = Rig::new();
    let ours = std::path::Path::new(env!("CARGO_BIN_EXE_ovs-vsctl")).parent().unwrap();
    let script = format!(
        "set -x PATH {} $PATH; ovs-vsctl --completions=fish | source\n\
         complete -C 'ovs-vsctl set port p other_config:bond-primary-reselect=f'\n\
         complete -C 'ovs-vsctl set port p bond_mode=balance-s'\n",
        ours.display()
    );
    let mut command = rig.command("fish", &["--no-config".to_owned(), "-c".to_owned(), script]);
    command.env("HOME", &rig.directory);
    assert_eq!(
        offered(&rig, command),
        ["other_config:bond-primary-reselect=failure", "bond_mode=balance-slb"]
    );
}
