//! What Open vSwitch's own test suite taught us, in our own words: the whole daemon with dummy
//! devices, driven by `ovs-vsctl`, `ovs-ofctl` and `ovs-appctl`.
//!
//! The project's tests run where there is no checkout of Open vSwitch. Each behaviour that its
//! suite asks for and that was new to us has a test here.

harness::main!();

mod actions;
mod connections;
mod datapath;
mod learning;
mod mirrors;
mod patch;
mod rig;
mod tables;
mod trace;
mod vlans;
