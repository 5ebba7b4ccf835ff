//! The daemon `ovs-vswitchd`: configures devices, bridges and threads from the database, writes
//! status back, and answers the control socket.
//!
//! The main loop is [`reactor`]. Forwarding, bonds, OpenFlow connections and the database session are
//! crates below this one.

#![warn(missing_docs)]

pub mod apply;
pub mod commands;
pub mod compat;
pub mod counters;
pub mod embedded;
pub mod identity;
pub mod modules;
pub mod openflow_host;
pub mod options;
pub mod proc_files;
pub mod reactor;
pub mod revalidator;
pub mod status;

pub use runtime::{clock, coverage, daemon, log, unixctl};
pub use runtime::{dbg, dbg_rl, emer, emer_rl, err, err_rl, info, info_rl, warn, warn_rl};
pub use runtime::{log_at, log_at_rl};
