//! The names under which this crate's parts log, and parts that several daemons have: upstream's.

use crate::log::Module;

pub static UNIXCTL: Module = Module::new("unixctl");
pub static JSONRPC: Module = Module::new("jsonrpc");
pub static RECONNECT: Module = Module::new("reconnect");
pub static DAEMON: Module = Module::new("daemon_unix");

/// All of them, for `log::register`.
pub static ALL: &[&Module] = &[&UNIXCTL, &JSONRPC, &RECONNECT, &DAEMON];
