//! Programs beside the daemon.
//!
//! [`lab`] is the program `braid-lab`, [`mod@bench`] is `braid-bench`; [`testbed`] is what they and
//! the whole-system tests are made of: namespaces, links, packets and processes that vanish with
//! the process that made them.

pub mod appctl;
pub mod bench;
pub mod lab;
pub mod testbed;
pub mod vsctl;
