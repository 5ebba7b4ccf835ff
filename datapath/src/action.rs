//! What a flow does with a packet.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use wire::{FlowKey, FlowMask};

use crate::port::PortNo;
use crate::table::{Bucket, TableId};

/// Why a packet goes up to the control side besides, or instead of, being forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserspaceReason {
    /// LACPDU or Marker PDU (IEEE 802.1AX).
    Lacp,
    /// BFD control packet (RFC 5880).
    Bfd,
    /// Continuity check message (IEEE 802.1Q clause 20, ITU-T G.8013).
    Cfm,
    /// An answer to a probe of a bond's member: an ARP reply or a neighbour advertisement.
    Probe,
    /// IEEE 802.1D spanning tree.
    Stp,
    /// LLDP frame (IEEE 802.1AB).
    Lldp,
    /// A controller wants it; translation runs again for the packet alone.
    Controller,
    /// The actions are beyond what the datapath carries out.
    Action,
    /// The match is beyond what the datapath looks at.
    Match,
}

impl UserspaceReason {
    pub(crate) const ALL: [UserspaceReason; 9] = [
        UserspaceReason::Cfm,
        UserspaceReason::Bfd,
        UserspaceReason::Lacp,
        UserspaceReason::Probe,
        UserspaceReason::Stp,
        UserspaceReason::Lldp,
        UserspaceReason::Controller,
        UserspaceReason::Action,
        UserspaceReason::Match,
    ];

    /// As Open vSwitch's notation has it, which has no `probe`.
    pub const fn name(self) -> &'static str {
        match self {
            UserspaceReason::Lacp => "lacp",
            UserspaceReason::Bfd => "bfd",
            UserspaceReason::Cfm => "cfm",
            UserspaceReason::Probe => "probe",
            UserspaceReason::Stp => "stp",
            UserspaceReason::Lldp => "lldp",
            UserspaceReason::Controller => "controller",
            UserspaceReason::Action => "action",
            UserspaceReason::Match => "match",
        }
    }
}

/// Which header a [`SetHeader`] changes; each is one attribute in Open vSwitch's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// `eth_src`, `eth_dst`.
    Eth,
    /// `nw_src`, `nw_dst`, `nw_tos`, `nw_ttl`.
    Ipv4,
    /// `nw_src`, `nw_dst`, `ipv6_label`, `nw_tos`, `nw_ttl`.
    Ipv6,
    /// `tp_src`, `tp_dst`.
    Tcp,
    /// `tp_src`, `tp_dst`.
    Udp,
    /// `tp_src`, `tp_dst`.
    Sctp,
    /// Type and code in `tp_src`, `tp_dst`.
    Icmp,
    /// Type and code in `tp_src`, `tp_dst`.
    Icmpv6,
    /// `nw_proto` (operation), `nw_src`, `nw_dst`, `arp_sha`, `arp_tha`.
    Arp,
    /// `nd_target`, `arp_sha` (source link layer option), `arp_tha` (target link layer option).
    Nd,
    /// `skb_priority`.
    SkbPriority,
    /// `pkt_mark`.
    SkbMark,
}

/// New values for fields of one header. A packet without that header stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHeader {
    /// The header to change.
    pub layer: Layer,
    /// Only the layer's own fields count.
    pub value: FlowKey,
    /// Which bits of `value` to write. What is shown without a mask has all bits of the layer.
    pub mask: FlowMask,
}

/// What translation wants to know again when a packet for a controller comes up: any value that
/// can be compared, so that a flow that does the same is seen to do the same.
pub trait Note: Any + Send + Sync + fmt::Debug {
    /// Whether `other` is of the same type and equal.
    fn equals(&self, other: &dyn Note) -> bool;
    /// The value, for a downcast.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Any + Send + Sync + fmt::Debug + PartialEq> Note for T {
    fn equals(&self, other: &dyn Note) -> bool {
        other.as_any().downcast_ref::<T>().is_some_and(|o| o == self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A [`Note`] to share.
#[derive(Clone, Debug)]
pub struct Notes(Arc<dyn Note>);

impl Notes {
    /// Shares a note.
    pub fn new(note: impl Note) -> Notes {
        Notes(Arc::new(note))
    }

    /// The note, if it is a `T`.
    pub fn get<T: Any>(&self) -> Option<&T> {
        (*self.0).as_any().downcast_ref()
    }
}

impl PartialEq for Notes {
    fn eq(&self, other: &Notes) -> bool {
        self.0.equals(&*other.0)
    }
}

impl Eq for Notes {}

/// A packet for a controller: what the packet-in says besides the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToController {
    /// `OFPR_*`.
    pub reason: u8,
    /// Octets of the packet that the controller wants.
    pub max_len: u16,
    /// The controller connections that get it: those with this identity (`NXT_SET_CONTROLLER_ID`).
    pub controller_id: u16,
    /// Cookie of the rule.
    pub cookie: u64,
    /// Table of the rule.
    pub table: u8,
    /// Shown only: this copy is not to be sent.
    pub dont_send: bool,
    /// The controller may resume the packet.
    pub continuation: bool,
    /// Where a resumed packet goes on; 0 = nowhere.
    pub recirc_id: u32,
    /// The controller's own octets, handed back to it.
    pub userdata: Vec<u8>,
    /// Registers, metadata and whatever else of the pipeline the packet-in shows.
    pub notes: Notes,
}

/// One step; a flow runs its list in order, an empty list drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the packet to a port.
    Output(PortNo),
    /// To the port that `bucket` of the table holds when the packet passes. Shown as that port.
    OutputBucket {
        /// The table.
        table: TableId,
        /// The bucket, fixed by translation.
        bucket: Bucket,
    },
    /// Stop here (drop) unless the table admits this packet from the port it came in on.
    /// Shown as `drop` while it does not.
    Gate {
        /// The table.
        table: TableId,
    },
    /// TCI with the CFI bit as on the wire.
    PushVlan {
        /// Tag protocol identifier, such as 0x8100.
        tpid: u16,
        /// Tag control information; bit 12 (CFI) is set.
        tci: u16,
    },
    /// Remove the outermost VLAN tag, if there is one.
    PopVlan,
    /// `hash(hash_l4(basis))`: symmetric L3/L4 hash into `dp_hash`.
    HashL4 {
        /// Initial value of the hash.
        basis: u32,
    },
    /// Look the packet up again with this `recirc_id` and its `dp_hash`.
    Recirc(u32),
    /// Output through the table, in one pass. The table says how its bucket is chosen
    /// ([`Selection`](crate::Selection)), by default by `dp_hash & 0xff`. `id` is what is shown.
    LbOutput {
        /// The table.
        table: TableId,
        /// The number that is shown.
        id: u32,
    },
    /// Hand a copy to the control side.
    Userspace(UserspaceReason),
    /// Write fields of a header; checksums follow.
    Set(Box<SetHeader>),
    /// The next copy that leaves (to a port, the control side or another look) has at most this
    /// many octets, but never less than an Ethernet header.
    Trunc(u32),
    /// Do this with a copy; the packet itself goes on as it was.
    Clone(Arc<Vec<Action>>),
    /// Hand a copy to a controller, as the packet is now.
    Controller(Box<ToController>),
    /// Stop here. The number says why: what translation met, 0 = a rule said so.
    Drop(u32),
}

// Lists are copied into the caches' own lines, so an action stays small.
const _: () = assert!(size_of::<Action>() <= 16);
