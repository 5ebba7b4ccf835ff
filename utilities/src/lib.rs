//! The command line tools: [`vsctl`] is `ovs-vsctl`, [`appctl`] is `ovs-appctl`.

pub mod appctl;
pub mod vsctl;
