//! The engine's output: what the driver has to do.

use std::sync::Arc;

use serde::Serialize;
use wire::EthAddr;

use crate::config::MemberId;
use crate::forwarding::Forwarding;
use crate::notify::NotifyPackets;

/// Why flows should be revalidated. It is not urgent: traffic has already moved with
/// [`Effect::Publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevalidateReason {
    /// An option that flows depend on has changed.
    Reconfigured,
    /// A member was added or removed.
    MemberSet,
    /// A member was enabled or disabled.
    MemberState,
    /// Another member is active, or none.
    ActiveMember,
    /// LACP was switched on or off, found its first partner or lost its last.
    LacpStatus,
    /// A bucket was moved by load or by command.
    Rebalanced,
}

/// One action for the driver. Effects are to be carried out in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make this the table that packets use, with one atomic store.
    Publish(Arc<Forwarding>),
    /// Send this LACPDU (from its subtype octet on, 110 octets) out of the member.
    SendLacpdu {
        /// The member to send on.
        member: MemberId,
        /// The payload of the Slow Protocols frame.
        pdu: Vec<u8>,
    },
    /// Send this probe, an Ethernet frame, out of the member.
    SendProbe {
        /// The member to send on.
        member: MemberId,
        /// From its destination address on, with the tag of `bond-probe-vlan` if there is one.
        frame: Vec<u8>,
    },
    /// Send this Marker Response PDU (from its subtype octet on, 110 octets) out of the member.
    SendMarker {
        /// The member to send on.
        member: MemberId,
        /// The payload of the Slow Protocols frame.
        pdu: Vec<u8>,
    },
    /// Announce addresses behind the bond by these packets, so that switches and neighbours learn
    /// the new path to them. The engine repeats it ([`NotifyConfig`](crate::NotifyConfig)).
    NotifyPeers(NotifyPackets),
    /// Write the active member's address to `Port.bond_active_slave`; zero = none.
    PersistActiveMember(EthAddr),
    /// `Interface.lacp_current` changed; `None` = the member has no LACP.
    LacpCurrent {
        /// The member whose interface it is.
        member: MemberId,
        /// The new value.
        current: Option<bool>,
    },
    /// Revalidate the flows that use the bond.
    Revalidate(RevalidateReason),
    /// An LACPDU of our own system was received. If the sending port belongs to another bond, the
    /// driver answers with [`Event::Loop`](crate::Event::Loop).
    Loopback {
        /// The member that received it.
        member: MemberId,
        /// The LACP port number of the sender.
        port: u16,
    },
    /// The member's link came up: ask the device for its speed and duplex mode, and answer with
    /// [`Event::LinkParams`](crate::Event::LinkParams) in any case. It is not urgent: speeds are
    /// not compared before the answer.
    QueryLink {
        /// The member whose device to ask.
        member: MemberId,
    },
    /// Write a line to the log.
    Notice(crate::notice::Notice),
}
