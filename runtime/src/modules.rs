//! The names under which this crate's parts log, and parts that several daemons have: upstream's.

use crate::log::Module;

/// The control socket.
pub static UNIXCTL: Module = Module::new("unixctl");
/// JSON-RPC connections.
pub static JSONRPC: Module = Module::new("jsonrpc");
/// Connections that are made again when they break.
pub static RECONNECT: Module = Module::new("reconnect");
/// Forking, the pidfile and the monitor process.
pub static DAEMON: Module = Module::new("daemon_unix");

/// All of them, for `log::register`.
pub static ALL: &[&Module] = &[&UNIXCTL, &JSONRPC, &RECONNECT, &DAEMON];
