//! Programs beside the daemon.
//!
//! [`lab`] is the program `braid-lab`; [`testbed`] is what it is made of, and what the
//! whole-system tests are made of too: namespaces, links, packets and processes that vanish with
//! the process that made them.

pub mod lab;
pub mod testbed;
