//! Namespaces, links, packets and processes that leave nothing behind.
//!
//! Everything here hangs on file descriptors and on the life of this process: namespaces have no
//! name in `/run/netns`, so that the kernel removes them, and the links in them, with the last
//! descriptor; children get `SIGKILL` when this process ends, however it ends; and a watcher
//! removes the folder that their files were in.

#![warn(missing_docs)]

pub mod cable;
pub mod carrier;
pub mod daemon;
pub mod debian;
pub mod error;
pub mod fabric;
pub mod frame;
pub mod lacp;
pub mod netns;
pub mod ours;
pub mod ovsdb;
pub mod packet;
pub mod privileges;
pub mod process;
pub mod rtnl;
pub mod scratch;
pub mod station;
pub mod stream;
pub mod switch;
pub mod tap;
pub mod traffic;
pub mod vm;

pub use cable::{Cable, Members};
pub use daemon::Daemon;
pub use error::Error;
pub use netns::Netns;
pub use ovsdb::Ovsdb;
pub use packet::PacketSocket;
pub use scratch::Scratch;
pub use switch::Switch;
pub use tap::Tap;
