//! The names under which this crate logs: Open vSwitch's for the same parts.

use runtime::log::Module;

/// Rows that cannot be used.
pub static BRIDGE: Module = Module::new("bridge");
/// Controllers and listeners.
pub static CONNMGR: Module = Module::new("connmgr");
/// `fail_mode=standalone`.
pub static FAIL_OPEN: Module = Module::new("fail_open");
/// Connections and reconnection.
pub static RCONN: Module = Module::new("rconn");
/// Sockets.
pub static SOCKET_UTIL: Module = Module::new("socket_util");
/// Message boundaries.
pub static VCONN_STREAM: Module = Module::new("vconn_stream");

/// All of them, for `runtime::log::register`.
pub static ALL: &[&Module] = &[&BRIDGE, &CONNMGR, &FAIL_OPEN, &RCONN, &SOCKET_UTIL, &VCONN_STREAM];
