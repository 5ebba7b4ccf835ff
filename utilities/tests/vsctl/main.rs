//! `ovs-vsctl` against Debian's `ovsdb-server`, and beside Debian's `ovs-vsctl`.
//!
//! Without those programs nothing can be tested here; each test says so and passes.

harness::main!();

mod beside;
mod bridges;
mod completion;
mod connection;
mod rig;
mod rows;
mod waiting;
