//! Network devices: packets in and out, link state, and the device's own configuration.
//!
//! | folder | what |
//! |---|---|
//! | `packet`, `io` | what the datapath's threads use: frames and queues |
//! | `link` | what the links thread uses: link state by netlink, ethtool and MII |

pub mod io;
pub mod link;
pub mod packet;
mod sys;

pub use io::{DeviceError, IoCounters, PacketIo};
pub use packet::{Packet, VnetHdr};
