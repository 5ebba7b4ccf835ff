//! The names under which this crate logs: Open vSwitch's for the same parts.

use runtime::log::Module;

/// Bonds.
pub static BOND: Module = Module::new("bond");
/// LACP.
pub static LACP: Module = Module::new("lacp");
/// BFD.
pub static BFD: Module = Module::new("bfd");
/// CFM.
pub static CFM: Module = Module::new("cfm");

/// All of them, for `runtime::log::register`.
pub static ALL: &[&Module] = &[&BOND, &LACP, &BFD, &CFM];
