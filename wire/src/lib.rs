//! Packet formats, the flow key and the hashes that a user can see.
//!
//! Nothing here touches a device, a clock or a socket: bytes in, values out.

#![warn(missing_docs)]

pub mod advert;
pub mod arp;
pub mod bfd;
pub mod ccm;
pub mod checksum;
pub mod compose;
pub mod crc32c;
pub mod eth;
pub mod extract;
pub mod frame;
pub mod hash;
mod header;
pub mod ip;
pub mod key;
pub mod lacp;
pub mod marker;
pub mod neighbour;
pub mod segment;
pub mod time;
pub mod xmit_hash;

pub use eth::{EthAddr, EtherType};
pub use extract::{Layers, extract, extract_layers};
pub use key::{FlowKey, FlowMask, VlanTag};
pub use lacp::{Lacpdu, PortInfo};
pub use time::Time;
pub use xmit_hash::{HashPolicy, xmit_hash};
