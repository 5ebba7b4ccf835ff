//! The command line tools: [`vsctl`] is `ovs-vsctl`, [`appctl`] is `ovs-appctl`.

#![warn(missing_docs)]

pub mod appctl;
pub mod vsctl;
