//! The daemon `ovs-vswitchd`: the one crate that reads a clock, starts threads and opens sockets.

pub mod apply;
pub mod commands;
pub mod compat;
pub mod counters;
pub mod embedded;
pub mod identity;
pub mod modules;
pub mod openflow_host;
pub mod options;
pub mod reactor;
pub mod revalidator;
pub mod status;

pub use runtime::{clock, coverage, daemon, log, unixctl};
pub use runtime::{dbg, dbg_rl, emer, emer_rl, err, err_rl, info, info_rl, warn, warn_rl};
pub use runtime::{log_at, log_at_rl};
