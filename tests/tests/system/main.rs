//! Whole-system tests: the real daemon between real network devices, driven by Debian's tools.
//!
//! Each test has namespaces, a database and a daemon of its own, so that all may run at once.

harness::main!(threads = 4);

mod bad_input;
mod bond;
mod captures;
mod carrier;
mod churn;
mod compat;
mod compat_dummy;
mod control;
mod crash;
mod embedded;
mod failback;
mod flaps;
mod internal_ports;
mod json_log;
mod lacp;
mod lacp_faults;
mod loops;
mod monitors;
mod notify;
mod openflow;
mod outages;
mod pauses;
mod policies;
mod probes;
mod proc;
mod remotes;
mod restore;
mod status;
mod tcp;
mod transitions;
mod vlan;
