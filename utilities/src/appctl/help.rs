//! What the program says about itself.

use std::fmt::Write;

use crate::vsctl::grammar::getopt::{Opt, Takes};

const OPTIONS: &[(&str, &str)] = &[
    (
        "-t, --target=TARGET",
        "the daemon: its name, its process or its socket's path (ovs-vswitchd by default)",
    ),
    ("-T, --timeout=SECONDS", "longest to wait for an answer"),
    ("-f, --format=FORM", "text (default) or json"),
    ("--pretty", "JSON over several lines"),
    ("-o, --option", "print all options, for completion scripts"),
    ("--completions=SHELL", "print a completion script for bash, zsh or fish"),
    ("--manual", "print the manual page (troff)"),
    ("-h, --help", "print this"),
    ("-V, --version", "print the version"),
];

const COMMANDS: &[(&str, &str)] = &[
    ("list-commands", "what the daemon understands"),
    ("version", "the daemon's version"),
    ("vlog/list", "what is logged and where"),
    ("vlog/set [MODULE][:DESTINATION][:LEVEL]", "log more or less"),
    ("vlog/reopen", "begin the log file anew, after it was moved"),
    ("bond/list, bond/show [BOND]", "bonds and the state of their members"),
    ("bond/proc [BOND]", "bonds as /proc/net/bonding shows them"),
    ("lacp/show [BOND], lacp/show-stats [BOND]", "what LACP knows and counts"),
    ("fdb/show BRIDGE", "learned MAC addresses"),
];

/// `--version`.
pub(super) fn version() -> String {
    format!("ovs-appctl (Braid) {}\n", env!("CARGO_PKG_VERSION"))
}

/// `--help`.
pub(super) fn usage() -> String {
    let mut out = String::from(
        "ovs-appctl: asks running daemons and tells them what to do\n\
         usage: ovs-appctl [OPTION...] COMMAND [ARG...]\n\nOptions:\n",
    );
    for (option, what) in OPTIONS {
        let _ = writeln!(out, "  {option:<24} {what}");
    }
    out.push_str("\nSome commands:\n");
    for (command, what) in COMMANDS {
        let _ = writeln!(out, "  {command}\n      {what}");
    }
    out
}

/// `--option`: all options in the form that completion scripts read.
pub(super) fn options(known: &[Opt]) -> String {
    let mut out = String::new();
    for opt in known {
        let (long, short) = match opt.takes {
            Takes::Nothing => ("", ""),
            Takes::Argument => ("=ARG", "ARG"),
            Takes::MaybeArgument => ("=[ARG]", "[ARG]"),
        };
        let _ = writeln!(out, "--{}{long}", opt.name);
        if let Some(letter) = opt.short {
            let _ = writeln!(out, "-{letter} {short}");
        }
    }
    out
}

/// `--completions`: the daemon itself knows its commands.
///
/// # Errors
///
/// An unknown shell.
pub(super) fn completions(shell: &str) -> Result<String, String> {
    let list = "ovs-appctl -T 2 list-commands 2>/dev/null | awk 'NR > 1 {print $1}'";
    let options = "--target --timeout --format --pretty --help --version";
    match shell {
        "bash" => Ok(format!(
            "_ovs_appctl() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}}\n    \
             case $word in\n        -*) COMPREPLY=($(compgen -W '{options}' -- \"$word\"));;\n        \
             *) COMPREPLY=($(compgen -W \"$({list})\" -- \"$word\"));;\n    esac\n}}\n\
             complete -F _ovs_appctl ovs-appctl\n"
        )),
        "zsh" => Ok(format!(
            "#compdef ovs-appctl\n_ovs_appctl() {{\n    \
             if [[ $words[CURRENT] == -* ]]; then compadd -- {options}\n    \
             else compadd -- ${{(f)\"$({list})\"}}; fi\n}}\ncompdef _ovs_appctl ovs-appctl\n"
        )),
        "fish" => Ok(format!("complete -c ovs-appctl -f -a \"({})\"\n", list.replace('$', "\\$"))),
        other => Err(format!("no completions for \"{other}\" (accepted: bash, zsh, fish)")),
    }
}

/// `--manual`: the page for `man(1)`.
pub(super) fn manual() -> String {
    let troff = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut out = String::from(
        ".TH OVS\\-APPCTL 8 \"\" Braid \"Braid\"\n.SH NAME\novs\\-appctl \\- asks running daemons \
         and tells them what to do\n.SH SYNOPSIS\n.B ovs\\-appctl\n[\\fIOPTION\\fR...] \
         \\fICOMMAND\\fR [\\fIARG\\fR...]\n.SH DESCRIPTION\nThe command goes to a daemon's control \
         socket; its answer is printed. On a terminal, bonds and addresses are shown as tables; \
         elsewhere the text is printed as the daemon sent it.\n.SH OPTIONS\n",
    );
    for (option, what) in OPTIONS {
        let _ = writeln!(out, ".TP\n.B {}\n{}.", troff(option), troff(what));
    }
    out.push_str(".SH COMMANDS\nlist\\-commands prints all that a daemon understands. Some:\n");
    for (command, what) in COMMANDS {
        let _ = writeln!(out, ".TP\n.B {}\n{}.", troff(command), troff(what));
    }
    out.push_str(
        ".SH \"EXIT STATUS\"\n0 with an answer; 1 if the daemon could not be reached; 2 if it \
         refused, with its text on standard error.\n.SH ENVIRONMENT\nOVS_RUNDIR is where daemons \
         keep their pidfiles and sockets; OVS_CTL_TIMEOUT is a timeout when no option gives \
         one.\n.SH \"SEE ALSO\"\novs\\-vsctl(8), ovs\\-vswitchd(8)\n",
    );
    out
}
