//! What a flow does with a packet.

use std::fmt;

use crate::table::{Bucket, TableId};

/// A datapath port number; not an OpenFlow port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNo(pub u32);

impl PortNo {
    /// No port: the `in_port` of a packet that the switch made itself.
    pub const NONE: PortNo = PortNo(u32::MAX);
}

impl fmt::Display for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a packet goes up to the control side besides, or instead of, being forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserspaceReason {
    Lacp,
    Bfd,
    Cfm,
    /// IEEE 802.1D spanning tree, and whatever else is too rare for a flow of its own.
    Action,
}

/// One step; a flow runs its list in order, an empty list drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Output(PortNo),
    /// To the port that `bucket` of the table holds when the packet passes. Shown as that port.
    OutputBucket {
        table: TableId,
        bucket: Bucket,
    },
    /// Stop here (drop) unless the table admits this packet from the port it came in on.
    /// Shown as `drop` while it does not.
    Gate {
        table: TableId,
    },
    /// TCI with the CFI bit as on the wire.
    PushVlan {
        tpid: u16,
        tci: u16,
    },
    PopVlan,
    /// `hash(hash_l4(basis))`: symmetric L3/L4 hash into `dp_hash`.
    HashL4 {
        basis: u32,
    },
    /// Look the packet up again with this `recirc_id` and its `dp_hash`.
    Recirc(u32),
    /// Output by `dp_hash & 0xff` through the table, in one pass. `id` is what is shown.
    LbOutput {
        table: TableId,
        id: u32,
    },
    /// Hand a copy to the control side.
    Userspace(UserspaceReason),
}
