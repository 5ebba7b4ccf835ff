//! What the engine asks of its driver.

use std::sync::Arc;

use serde::Serialize;
use wire::EthAddr;

use crate::config::MemberId;
use crate::forwarding::Forwarding;

/// Why flows should be looked at again, at leisure: traffic has already moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevalidateReason {
    Reconfigured,
    MemberSet,
    MemberState,
    ActiveMember,
    LacpStatus,
    Rebalanced,
}

/// One thing to do, in the order given.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make this the table that packets use, with one atomic store.
    Publish(Arc<Forwarding>),
    /// Send this LACPDU (from its subtype octet on, 110 octets) out of the member.
    SendLacpdu {
        member: MemberId,
        pdu: Vec<u8>,
    },
    /// Tell the network where our MACs are now: one RARP for each MAC learned on other ports.
    SendLearningPackets,
    /// Write the active member's address to `Port.bond_active_slave`; zero = none.
    PersistActiveMember(EthAddr),
    /// `Interface.lacp_current` changed; `None` = the member has no LACP.
    LacpCurrent {
        member: MemberId,
        current: Option<bool>,
    },
    Revalidate(RevalidateReason),
    /// An LACPDU of our own system came in, which the port number `port` sent. The driver knows
    /// whose that is; if another bond's, the answer is [`Event::Loop`](crate::Event::Loop).
    Loopback {
        member: MemberId,
        port: u16,
    },
    /// The member's link came up: ask the device for its speed and duplex mode, and answer with
    /// [`Event::LinkParams`](crate::Event::LinkParams) whatever comes of it. It need not be done
    /// at once: until the answer is there nothing is compared.
    QueryLink {
        member: MemberId,
    },
    /// Something worth a line in the log.
    Notice(crate::notice::Notice),
}
