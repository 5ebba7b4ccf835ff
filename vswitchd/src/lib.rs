//! The daemon `ovs-vswitchd`: the one crate that reads a clock, starts threads and opens sockets.

pub mod apply;
pub mod clock;
pub mod commands;
pub mod config;
pub mod coverage;
pub mod daemon;
pub mod links;
pub mod log;
pub mod modules;
pub mod options;
pub mod reactor;
pub mod revalidator;
pub mod status;
pub mod unixctl;
