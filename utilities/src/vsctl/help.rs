//! What the program says about itself: help, lists for completion, the manual page.

use std::fmt::Write;

use super::cmd::ROW_NAMES;
use super::global::{GLOBAL, default_db};
use super::grammar::command::Syntax;
use super::grammar::getopt::{Opt, Takes};

/// The version of the `Open_vSwitch` schema that the commands know best.
pub(super) const SCHEMA_VERSION: &str = "8.8.0";

/// `--version`.
pub(super) fn version() -> String {
    format!("ovs-vsctl (Braid) {}\nDB Schema {SCHEMA_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

/// Topics and the commands under them.
const TOPICS: &[(&str, &[(&str, &str)])] = &[
    (
        "Switch",
        &[
            ("init", "make the switch's row if the database is empty"),
            ("show", "print bridges, ports and interfaces as a tree"),
            ("emer-reset", "remove controllers, managers, mirrors and the like"),
        ],
    ),
    (
        "Bridges",
        &[
            ("add-br", "add a bridge; with PARENT and VLAN, a VLAN bridge on another"),
            ("del-br", "remove a bridge with all its ports"),
            ("list-br", "print the names of bridges"),
            ("br-exists", "exit with status 2 if there is no such bridge"),
            ("br-to-vlan", "print a bridge's VLAN, 0 for a real bridge"),
            ("br-to-parent", "print the bridge that a VLAN bridge is on"),
            ("br-set-external-id", "set an external id, or without VALUE remove it"),
            ("br-get-external-id", "print one external id or all"),
        ],
    ),
    (
        "Ports and bonds",
        &[
            ("list-ports", "print the names of a bridge's ports"),
            ("add-port", "add a port with an interface of its name"),
            ("del-port", "remove a port with its interfaces"),
            ("port-to-br", "print the bridge that has a port"),
            ("add-bond", "add a port of several interfaces"),
            ("add-bond-iface", "add an interface to a bond"),
            ("del-bond-iface", "take an interface out of a bond"),
            ("list-ifaces", "print the names of a bridge's interfaces"),
            ("iface-to-br", "print the bridge that has an interface"),
        ],
    ),
    (
        "OpenFlow controllers",
        &[
            ("get-controller", "print a bridge's controllers"),
            ("del-controller", "remove them"),
            ("set-controller", "replace them"),
            ("get-fail-mode", "print what the bridge does without a controller"),
            ("del-fail-mode", "back to the default"),
            ("set-fail-mode", "standalone or secure"),
        ],
    ),
    (
        "Managers and certificates",
        &[
            ("get-manager", "print where the database server connects or listens"),
            ("del-manager", "remove it"),
            ("set-manager", "replace it"),
            ("get-ssl", "print the certificates in use"),
            ("del-ssl", "remove them"),
            ("set-ssl", "replace them"),
        ],
    ),
    (
        "Auto-attach (kept in the database; the switch does nothing with it)",
        &[
            ("add-aa-mapping", "map a service identifier to a VLAN"),
            ("del-aa-mapping", "remove a mapping"),
            ("get-aa-mapping", "print a bridge's mappings"),
        ],
    ),
    (
        "Connection tracking and datapaths",
        &[
            ("add-zone-tp", "give a zone a timeout policy: DATAPATH zone=N TIMEOUT=SECONDS..."),
            ("del-zone-tp", "remove it: DATAPATH zone=N"),
            ("list-zone-tp", "print the zones' policies"),
            ("set-zone-limit", "limit a zone's connections: DATAPATH ZONE|default LIMIT"),
            ("del-zone-limit", "remove the limit: DATAPATH ZONE|default"),
            ("list-zone-limits", "print the limits"),
            ("list-dp-cap", "print what a datapath can do"),
        ],
    ),
    (
        "Any table",
        &[
            ("list", "print rows"),
            ("find", "print rows that meet conditions"),
            ("get", "print columns of a row"),
            ("set", "set columns of a row, or keys of a map"),
            ("add", "add values to a column"),
            ("remove", "remove values from a column"),
            ("clear", "empty columns"),
            ("create", "make a row"),
            ("destroy", "remove rows"),
            ("wait-until", "wait until a row meets conditions"),
            ("comment", "leave a line in the database's log"),
        ],
    ),
];

/// What each of the program's options does.
const OPTIONS: &[(&str, &str, &str)] = &[
    (
        "db",
        "ADDRESSES",
        "the database server: unix:PATH, tcp:HOST:PORT, ssl:HOST:PORT, or punix:, ptcp:, pssl:",
    ),
    ("no-wait", "", "do not wait until the switch has taken the change up"),
    ("timeout", "SECONDS", "longest that the program may run"),
    ("retry", "", "try to connect again and again"),
    ("dry-run", "", "change nothing"),
    ("oneline", "", "one line of output for each command"),
    ("format", "FORM", "table, list (default), html, csv or json"),
    ("data", "FORM", "values as string (default), bare or json"),
    ("no-headings", "", "tables without names of columns"),
    ("bare", "", "--format=list --data=bare --no-headings"),
    ("pretty", "", "JSON over several lines"),
    ("max-column-width", "N", "cut columns of --format=table"),
    ("private-key", "FILE", "our key for ssl:"),
    ("certificate", "FILE", "our certificate"),
    ("ca-cert", "FILE", "the authority of the server's certificate"),
    ("bootstrap-ca-cert", "FILE", "the same; made from what the server shows if missing"),
    ("peer-ca-cert", "FILE", "certificates to send after our own"),
    ("ssl-server-name", "NAME", "name to ask the server for"),
    ("ssl-protocols", "PROTOS", "TLSv1.2, TLSv1.3, a list or a range of them"),
    ("ssl-ciphers", "LIST", "ciphers of TLS 1.2, as ciphers(1) has them"),
    ("ssl-ciphersuites", "LIST", "suites of TLS 1.3, with colons between"),
    ("no-leader-only", "", "of a cluster, take any server"),
    ("no-shuffle-remotes", "", "try addresses in their order"),
    ("verbose", "SPEC", "what is logged and where: [MODULE][:DESTINATION][:LEVEL]"),
    ("no-syslog", "", "only warnings to the system's log"),
    ("log-file", "FILE", "log to a file too"),
    ("commands", "", "print all commands, for completion scripts"),
    ("options", "", "print all options, for completion scripts"),
    ("completions", "SHELL", "print a completion script for bash, zsh or fish"),
    ("complete", "", "after \"--\", words of a command line: print what the last may become"),
    ("manual", "", "print the manual page (troff)"),
    ("help", "", "print this"),
    ("version", "", "print the version"),
];

fn synopsis(commands: &[&'static Syntax], name: &str) -> String {
    let Some(syntax) = commands.iter().find(|syntax| syntax.name == name) else {
        return name.to_owned();
    };
    let mut line = String::new();
    for option in syntax.options() {
        let argument = if option.takes == Takes::Argument { "=X" } else { "" };
        let _ = write!(line, "[{}{argument}] ", option.name);
    }
    let _ = write!(line, "{name} {}", syntax.arguments);
    line.trim_end().to_owned()
}

fn option_synopsis(name: &str, argument: &str) -> String {
    let short = GLOBAL.iter().find(|opt| opt.name == name).and_then(|opt| opt.short);
    let letter = short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let argument = if argument.is_empty() { String::new() } else { format!("={argument}") };
    format!("{letter}--{name}{argument}")
}

/// How rows can be named, a line for each table that has a way besides its UUID.
fn row_names() -> impl Iterator<Item = (&'static str, String)> {
    ROW_NAMES.iter().map(|way| {
        let (owner, column) = way.name;
        let text = match way.via {
            None => column.to_owned(),
            Some(via) => format!("{column} of the {owner} whose {via} it is"),
        };
        (way.table, text)
    })
}

/// `--help`.
pub(super) fn usage(commands: &[&'static Syntax]) -> String {
    let mut out = String::from(
        "ovs-vsctl: reads and changes a switch's configuration\n\
         usage: ovs-vsctl [OPTION...] COMMAND [ARG...] [-- [OPTION...] COMMAND [ARG...]]...\n",
    );
    for (topic, list) in TOPICS {
        let _ = writeln!(out, "\n{topic}:");
        for (name, what) in *list {
            let _ = writeln!(out, "  {}\n      {what}", synopsis(commands, name));
        }
    }
    out.push_str(
        "\nRows are named by UUID (four or more of its first digits will do), \".\" for the only \
         row of a table, or:\n",
    );
    for (table, how) in row_names() {
        let _ = writeln!(out, "  {table}: {how}");
    }
    let _ = writeln!(out, "\nOptions (the server's address is {} by default):", default_db());
    for (name, argument, what) in OPTIONS {
        let _ = writeln!(out, "  {:<30} {what}", option_synopsis(name, argument));
    }
    out
}

/// `--commands`: `[OPTION] ,NAME,ARGUMENTS`, where `!` marks an argument that is needed, `?` one
/// that is not, `+` and `*` those that may come again.
pub(super) fn commands(commands: &[&'static Syntax]) -> String {
    let mut sorted: Vec<&Syntax> = commands.to_vec();
    sorted.sort_by_key(|syntax| syntax.name);
    let mut out = String::new();
    for syntax in sorted {
        for option in syntax.options.split(',').filter(|option| !option.is_empty()) {
            let _ = write!(out, "[{option}] ");
        }
        let arguments: Vec<String> = syntax.arguments.split_whitespace().map(marked).collect();
        let _ = writeln!(out, ",{},{}", syntax.name, arguments.join(" "));
    }
    out
}

fn marked(argument: &str) -> String {
    let (word, repeated) = match argument.strip_suffix("...") {
        Some(word) => (word, true),
        None => (argument, false),
    };
    let whole = word.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let whole = whole.filter(|inner| inner.find(']').is_none_or(|at| inner[..at].contains('[')));
    let mark = match (whole.is_some(), repeated) {
        (false, false) => '!',
        (false, true) => '+',
        (true, false) => '?',
        (true, true) => '*',
    };
    // What is optional inside of a word begins with `?`.
    let inside = whole.unwrap_or(word).replace('[', "?").replace(']', "");
    format!("{mark}{inside}")
}

/// `--options`.
pub(super) fn options(known: &[Opt]) -> String {
    let mut out = String::new();
    for opt in known {
        let takes = opt.takes != Takes::Nothing;
        let _ = writeln!(out, "--{}{}", opt.name, if takes { "=ARG" } else { "" });
        if let Some(letter) = opt.short {
            let _ = writeln!(out, "-{letter}{}", if takes { " ARG" } else { "" });
        }
    }
    out
}

/// What a command does.
pub(super) fn command_text(name: &str) -> Option<&'static str> {
    let mut all = TOPICS.iter().flat_map(|(_, list)| *list);
    all.find(|(command, _)| *command == name).map(|(_, what)| *what)
}

/// What one of the program's options does.
pub(super) fn option_text(name: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(option, _, _)| *option == name).map(|(_, _, what)| *what)
}

/// Text for troff: no dash becomes a hyphen, no leading dot a request.
fn troff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace("\n.", "\n\\&.")
}

/// `--manual`: the page for `man(1)`.
pub(super) fn manual(commands: &[&'static Syntax]) -> String {
    let mut out = String::from(
        ".TH OVS\\-VSCTL 8 \"\" Braid \"Braid\"\n.SH NAME\novs\\-vsctl \\- reads and changes a \
         switch's configuration\n.SH SYNOPSIS\n.B ovs\\-vsctl\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR \
         [\\fIARG\\fR...] [\\-\\- [\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARG\\fR...]]...\n\
         .SH DESCRIPTION\nCommands are joined by \\-\\-; together they are one transaction: all \
         of them happen or none. Each sees what those before it did. If somebody changes what they \
         relied on, they are done again.\n.PP\nUnless \\-\\-no\\-wait is given, the program ends \
         when the switch has taken the change up.\n.SH COMMANDS\n",
    );
    for (topic, list) in TOPICS {
        let _ = writeln!(out, ".SS \"{}\"", troff(topic));
        for (name, what) in *list {
            let _ = writeln!(out, ".TP\n.B {}\n{}.", troff(&synopsis(commands, name)), troff(what));
        }
    }
    out.push_str(
        ".SH ROWS\nA row is named by its UUID (four or more of its first digits will do), by \"@\" \
         and the name that \\-\\-id gave it, by \".\" if it is the only one of its table, or by:\n",
    );
    for (table, how) in row_names() {
        let _ = writeln!(out, ".TP\n.B {}\n{}", troff(table), troff(&how));
    }
    out.push_str(
        ".SH CONDITIONS\nA condition is \\fICOLUMN\\fR[:\\fIKEY\\fR]\\fIOPERATOR\\fR\\fIVALUE\\fR. \
         = != < > <= >= compare whole values: by number of elements, then in order. {=} {!=} {<} \
         {>} {<=} {>=} {in} {not\\-in} compare them as sets, and take a missing key for an empty \
         set.\n.SH OPTIONS\n",
    );
    for (name, argument, what) in OPTIONS {
        let line = option_synopsis(name, argument);
        let _ = writeln!(out, ".TP\n.B {}\n{}.", troff(&line), troff(what));
    }
    out.push_str(
        ".SH \"EXIT STATUS\"\n0 when done; 1 for an error; 2 from br\\-exists if there is no such \
         bridge; 65 if the change is in the database but the switch reports that an interface does \
         not work.\n.SH ENVIRONMENT\nOVS_RUNDIR is where the database's socket is; \
         OVS_CTL_TIMEOUT is a timeout when no option gives one.\n.SH \"SEE ALSO\"\n\
         ovs\\-appctl(8), ovs\\-vswitchd(8)\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsctl::cmd::COMMANDS;

    fn all() -> Vec<&'static Syntax> {
        COMMANDS.iter().map(|entry| &entry.syntax).collect()
    }

    #[test]
    fn every_command_and_option_is_explained() {
        for syntax in all() {
            let found =
                TOPICS.iter().flat_map(|(_, list)| *list).any(|(name, _)| *name == syntax.name);
            assert!(found, "{}", syntax.name);
        }
        for (name, _, _) in OPTIONS {
            assert!(GLOBAL.iter().any(|opt| opt.name == *name), "{name}");
        }
        let page = manual(&all());
        assert!(page.contains("add\\-bond BRIDGE BOND IFACE..."), "{page}");
    }

    #[test]
    fn lists_for_completion() {
        let list = commands(&all());
        for line in [
            "[--may-exist] ,add-br,!NEW-BRIDGE ?PARENT ?NEW-VLAN",
            "[--may-exist] ,add-port,!BRIDGE !NEW-PORT *COLUMN?:KEY=VALUE",
            "[--if-exists] [--id=] ,get,!TABLE !RECORD *COLUMN?:KEY",
            "[--if-exists] ,add,!TABLE !RECORD !COLUMN +?KEY=VALUE",
            ",comment,*ARG",
        ] {
            assert!(list.lines().any(|known| known == line), "{line}\n{list}");
        }
        assert!(options(GLOBAL).contains("--timeout=ARG\n-t ARG\n"));
    }
}
