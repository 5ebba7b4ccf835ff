//! The options before the first command, and the directories that they default to.

use super::grammar::getopt::{Opt, Takes};

/// The options before the first command, in the order of the help text.
pub(super) const GLOBAL: &[Opt] = &[
    Opt::with("db"),
    Opt::flag("no-syslog"),
    Opt::flag("no-wait"),
    Opt::flag("dry-run"),
    Opt::flag("oneline"),
    Opt::with("timeout").short('t'),
    Opt::flag("retry"),
    Opt::flag("help").short('h'),
    Opt::flag("commands"),
    Opt::flag("options"),
    Opt::with("completions"),
    Opt::flag("complete"),
    Opt::flag("manual"),
    Opt::flag("leader-only"),
    Opt::flag("no-leader-only"),
    Opt::flag("shuffle-remotes"),
    Opt::flag("no-shuffle-remotes"),
    Opt::flag("version").short('V'),
    Opt { name: "verbose", short: Some('v'), takes: Takes::MaybeArgument },
    Opt { name: "log-file", short: None, takes: Takes::MaybeArgument },
    Opt::with("syslog-method"),
    Opt::with("syslog-target"),
    Opt::with("format").short('f'),
    Opt::with("data").short('d'),
    Opt::flag("no-headings"),
    Opt::flag("pretty"),
    Opt::flag("bare"),
    Opt::with("max-column-width"),
    Opt::with("private-key").short('p'),
    Opt::with("certificate").short('c'),
    Opt::with("ca-cert").short('C'),
    Opt::with("ssl-protocols"),
    Opt::with("ssl-ciphers"),
    Opt::with("ssl-ciphersuites"),
    Opt::with("ssl-server-name"),
    Opt::with("bootstrap-ca-cert"),
    Opt::with("peer-ca-cert"),
];

/// Where daemons keep their sockets: `$OVS_RUNDIR`, else the usual place.
pub fn run_directory() -> String {
    std::env::var("OVS_RUNDIR")
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "/var/run/openvswitch".to_owned())
}

/// Where daemons keep their logs: `$OVS_LOGDIR`, else the usual place.
pub fn log_directory() -> String {
    std::env::var("OVS_LOGDIR")
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "/var/log/openvswitch".to_owned())
}

/// The address of this host's database.
pub fn default_db() -> String {
    format!("unix:{}/db.sock", run_directory())
}
