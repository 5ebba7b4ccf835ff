//! The bond's forwarding table, which the packet path uses. It is replaced as a whole.

use serde::Serialize;
use wire::{EthAddr, HashPolicy};

use crate::config::MemberId;

/// Hash buckets of a bond, as in Open vSwitch.
pub const BUCKETS: usize = 256;

/// A hash bucket, 0 to 255.
pub type Bucket = u8;

/// How the datapath chooses a bucket for each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The bucket is `wire::xmit_hash % in_use`.
    Hash {
        /// What is hashed.
        policy: HashPolicy,
        /// The buckets below this number are used; 0 = no member is usable.
        in_use: u16,
    },
    /// Members take turns: the bucket is `packet number / packets % in_use`.
    RoundRobin {
        /// Packets of one turn; 0 = a random bucket for each packet.
        packets: u16,
        /// The buckets below this number are used; 0 = no member is usable.
        in_use: u16,
        /// IGMP goes out by this member, the active one, so that one port of a switch gets a
        /// group's joins and leaves.
        igmp: Option<MemberId>,
    },
    /// Unicast IP: the bucket is `wire::xmit_hash % in_use`, and leaves with the address of
    /// [`Forwarding::sources`]. All else: the active member.
    Tlb {
        /// What is hashed.
        policy: HashPolicy,
        /// The buckets below this number are used; 0 = no member is usable.
        in_use: u16,
        /// The active member.
        active: Option<MemberId>,
    },
    /// One copy by each of the buckets below `members`, which hold one member each.
    Broadcast {
        /// Usable members; 0 = none.
        members: u16,
    },
}

impl Selection {
    /// The buckets below this number are used.
    pub fn in_use(&self) -> usize {
        usize::from(match *self {
            Selection::Hash { in_use, .. }
            | Selection::RoundRobin { in_use, .. }
            | Selection::Tlb { in_use, .. } => in_use,
            Selection::Broadcast { members } => members,
        })
    }
}

/// How translation turns "output to the bond" into datapath actions.
///
/// A flow that was translated under an earlier rule still looks up `Forwarding::buckets` for each
/// packet, so that no flow needs to change at once when the rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OutputRule {
    /// Drop: no bucket has an owner.
    Drop,
    /// All buckets hold the active member; use bucket 0.
    Active,
    /// The bucket is the hash of source MAC and VLAN (`wire::hash`).
    Slb {
        /// `bond-hash-basis`.
        basis: u32,
    },
    /// `hash(hash_l4(basis)),recirc(recirc_id)`; the bucket is `dp_hash & 0xff`.
    Recirc {
        /// `bond-hash-basis`.
        basis: u32,
        /// [`BondConfig::recirc_id`](crate::BondConfig::recirc_id).
        recirc_id: u32,
    },
    /// `hash(hash_l4(basis)),lb_output(recirc_id)`.
    LbOutput {
        /// `bond-hash-basis`.
        basis: u32,
        /// [`BondConfig::recirc_id`](crate::BondConfig::recirc_id), the bond's ID in the action.
        recirc_id: u32,
    },
    /// `lb_output(recirc_id)`: the table itself says how its buckets are chosen, so that a change
    /// of the policy is one store too.
    Select {
        /// [`BondConfig::recirc_id`](crate::BondConfig::recirc_id), the bond's ID in the action.
        recirc_id: u32,
        /// How a bucket is chosen for each packet.
        how: Selection,
    },
}

/// Which packets that are received on a member are admitted.
///
/// "Unless moved" means: translation drops a packet whose source address and VLAN were learned on
/// another port, and learns nothing from it, because it is a reflection of a packet that the bond
/// sent on another member. A gratuitous ARP is admitted, because it announces that the host has
/// moved, unless the MAC table entry is locked against reflections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Admission {
    /// No packet: a backup of active-backup or balance-tlb, or a member whose LACP does not agree.
    Closed,
    /// Unicast unless moved, and no multicast: balance-slb without LACP, a member that is not
    /// active.
    Unicast,
    /// Unicast and multicast unless moved: balance-slb without LACP, the active member, or any
    /// with `all-members-active`; each usable member of balance-rr and balance-xor.
    UnlessMoved,
    /// As [`Admission::UnlessMoved`], and each packet once: a copy of one that another member has
    /// let in is dropped. Each usable member of broadcast.
    Once,
    /// All packets: the active member of active-backup, or a member whose LACP agrees, if it is enabled
    /// or about to be.
    Open,
}

/// One generation of a bond's forwarding state.
///
/// Every bucket names a member that may send now; with no such member every bucket is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Grows by one with each table that the bond publishes.
    pub generation: u64,
    /// How to send to the bond.
    pub output: OutputRule,
    /// The member that sends the packets of each bucket; `None` = drop.
    pub buckets: [Option<MemberId>; BUCKETS],
    /// What each member admits, sorted by [`MemberId`].
    pub admission: Vec<(MemberId, Admission)>,
    /// The source addresses of unicast IP that leaves by members other than the active one in
    /// balance-tlb, so that switches expect answers at the active member's port. What comes in with
    /// one of them was sent by the bond.
    pub sources: Vec<(MemberId, EthAddr)>,
}

impl Forwarding {
    /// What is admitted on `member`; [`Admission::Closed`] if the bond has no such member.
    pub fn admission(&self, member: MemberId) -> Admission {
        match self.admission.binary_search_by_key(&member, |a| a.0) {
            Ok(i) => self.admission[i].1,
            Err(_) => Admission::Closed,
        }
    }
}
