//! Network devices: packets in and out, link state, and the device's own configuration.
//!
//! | folder | what |
//! |---|---|
//! | `packet`, `io` | what the datapath's threads use: frames and queues |
//! | `io/system`, `io/internal`, `io/dummy` | the kinds of device; a patch port needs none |
//! | `io/arena` | receive memory that the ports of a thread share |
//! | `link` | what the links thread uses: link state by netlink, ethtool and MII, and sockets of single protocols |
//! | `sys` | the system calls, and all `unsafe` code that is not about packets' memory |
//!
//! A device's name is looked up in the calling thread's network namespace. An open device or socket
//! stays in the namespace in which it was opened.

#![warn(missing_docs)]

pub mod io;
pub mod link;
pub mod packet;
mod sys;

pub use io::{DeviceError, IoCounters, PacketIo};
pub use packet::{Packet, VnetHdr};
