//! Packets on their way from a datapath thread to the OpenFlow agents.

use std::sync::Arc;

use openflow::msg::PacketIn;

/// A packet on its way to the controllers of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedPacketIn {
    /// The bridge whose controllers it is for.
    pub bridge: Arc<str>,
    /// Only to connections with this identity (`NXT_SET_CONTROLLER_ID`), by default 0.
    pub controller_id: u16,
    /// Octets of the packet to send; 0xffff: all.
    pub max_len: u16,
    /// The whole packet; each connection's form is chosen when it is sent.
    pub packet: PacketIn,
}

/// Takes packets for controllers from datapath threads.
///
/// Set once, like [`crate::SlowPathSink`]; must not wait. A queue of [`PACKET_IN_DEPTH`] that
/// drops and counts when it is full is enough.
pub trait PacketInSink: Send + Sync {
    /// False: dropped, the queue is full.
    fn packet_in(&self, packet: QueuedPacketIn) -> bool;
}

/// Packets for controllers that wait between a datapath thread and the agents: Open vSwitch reads
/// 50 packets at a time from each of its handlers' sockets.
pub const PACKET_IN_DEPTH: usize = 4096;
