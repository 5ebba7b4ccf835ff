//! Packets to and from controllers.

use crate::action::{Action, PacketInReason};
use crate::field::Match;

/// In which form packets go to a controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PacketInFormat {
    /// The version's own.
    #[default]
    Standard,
    /// Nicira's, with a match of the packet's metadata.
    Nxt,
    /// Nicira's extensible form.
    Nxt2,
}

impl PacketInFormat {
    /// `NXPIF_*`.
    pub const fn wire(self) -> u32 {
        self as u32
    }

    /// The format with this number.
    pub fn from_wire(v: u32) -> Option<PacketInFormat> {
        match v {
            0 => Some(PacketInFormat::Standard),
            1 => Some(PacketInFormat::Nxt),
            2 => Some(PacketInFormat::Nxt2),
            _ => None,
        }
    }
}

/// A packet for a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketIn {
    /// The form of the message.
    pub format: PacketInFormat,
    /// Why it is sent.
    pub reason: PacketInReason,
    /// The table that was looked up last.
    pub table_id: u8,
    /// Of the flow that sent it; `None`: not told.
    pub cookie: Option<u64>,
    /// The fields beside the packet: port, registers, metadata.
    pub metadata: Match,
    /// The packet, or its beginning.
    pub packet: Vec<u8>,
    /// Octets of the whole packet.
    pub total_len: u32,
    /// The packet's number in the switch's buffer; `None`: not buffered.
    pub buffer_id: Option<u32>,
    /// From the `controller` action.
    pub userdata: Vec<u8>,
    /// What the switch needs to resume the packet; only the switch knows its form.
    pub continuation: Vec<u8>,
}

/// A packet from a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOut {
    /// Take the kept packet instead of `packet`.
    pub buffer_id: Option<u32>,
    /// The port it counts as coming from, and in 1.5 other fields beside the packet.
    pub metadata: Match,
    /// The actions to run on the packet.
    pub actions: Vec<Action>,
    /// The packet; empty with a `buffer_id`.
    pub packet: Vec<u8>,
}
