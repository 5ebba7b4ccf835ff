//! The names under which the daemon's parts log; upstream's where it has the same part.

use crate::log::Module;

pub use runtime::modules::{DAEMON, JSONRPC, UNIXCTL};

pub static BRIDGE: Module = Module::new("bridge");
pub static BOND: Module = Module::new("bond");
pub static LACP: Module = Module::new("lacp");
pub static BFD: Module = Module::new("bfd");
pub static CFM: Module = Module::new("cfm");
pub static DPIF: Module = Module::new("dpif");
pub static OFPROTO: Module = Module::new("ofproto_dpif");
pub static RECONNECT: Module = Module::new("reconnect");
pub static OVSDB: Module = Module::new("ovsdb_idl");
pub static VSWITCHD: Module = Module::new("vswitchd");

/// All of them, for `log::register`.
pub static ALL: &[&Module] = &[
    &BRIDGE, &BOND, &LACP, &BFD, &CFM, &DPIF, &OFPROTO, &RECONNECT, &OVSDB, &VSWITCHD, &UNIXCTL,
    &JSONRPC, &DAEMON,
];
