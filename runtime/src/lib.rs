//! What every daemon of ours needs: command line, daemonizing, log, clock, control socket.
//!
//! Below the daemons (`ovs-vswitchd`, `ovsdb-server`) and above `wire`, whose `Time` the clock
//! hands out, and `ovsdb`, whose JSON-RPC framing the control socket speaks. Nothing in here knows
//! what a switch is or what a database holds.

#![warn(missing_docs)]

pub mod cli;
pub mod clock;
pub mod compat;
pub mod coverage;
pub mod daemon;
pub mod log;
pub mod modules;
pub mod panic;
pub mod start;
pub mod unixctl;
