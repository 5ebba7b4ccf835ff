//! The names under which this crate logs: Open vSwitch's for the same parts.

use runtime::log::Module;

pub static BRIDGE: Module = Module::new("bridge");
pub static CONNMGR: Module = Module::new("connmgr");
pub static FAIL_OPEN: Module = Module::new("fail_open");
pub static RCONN: Module = Module::new("rconn");
pub static SOCKET_UTIL: Module = Module::new("socket_util");
pub static VCONN_STREAM: Module = Module::new("vconn_stream");

/// All of them, for `runtime::log::register`.
pub static ALL: &[&Module] = &[&BRIDGE, &CONNMGR, &FAIL_OPEN, &RCONN, &SOCKET_UTIL, &VCONN_STREAM];
