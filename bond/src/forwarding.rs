//! What the packet path is given: a total table, replaced as a whole.

use serde::Serialize;

use crate::config::MemberId;

/// Hash buckets of a bond, as in Open vSwitch.
pub const BUCKETS: usize = 256;

/// A hash bucket, 0 to 255.
pub type Bucket = u8;

/// How translation turns "output to the bond" into datapath actions.
///
/// Whatever it says, a flow that was translated under an earlier rule still resolves through
/// `Forwarding::buckets`, so that a change needs no flow to be touched at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OutputRule {
    /// Nothing may be sent: every bucket is empty.
    Drop,
    /// All buckets hold the active member; use bucket 0.
    Active,
    /// The bucket is the hash of source MAC and VLAN (`wire::hash`).
    Slb { basis: u32 },
    /// `hash(hash_l4(basis)),recirc(recirc_id)`; the bucket is `dp_hash & 0xff`.
    Recirc { basis: u32, recirc_id: u32 },
    /// `hash(hash_l4(basis)),lb_output(recirc_id)`.
    LbOutput { basis: u32, recirc_id: u32 },
}

/// Which packets that arrive on a member are let in.
///
/// "Unless moved": a packet whose source address and VLAN were learned on another port is dropped
/// by translation, and nothing is learned from it: we sent it on one member, and the network gave
/// it back on another. (A gratuitous ARP is the exception: the host has moved. The exception to
/// that is an entry that is locked against reflections.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Admission {
    /// None: a backup of active-backup, or a member whose LACP does not agree.
    Closed,
    /// Unicast unless moved, and no multicast: balance-slb without LACP, a member that is not
    /// active.
    Unicast,
    /// Unicast and multicast unless moved: balance-slb without LACP, the active member, or any
    /// with `all-members-active`.
    UnlessMoved,
    /// All: the active member of active-backup, or a member whose LACP agrees, if it is enabled
    /// or about to be.
    Open,
}

/// One generation of a bond's forwarding state.
///
/// Total: each bucket names a member that may send now, or none when no member may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Grows by one with each table that the bond publishes.
    pub generation: u64,
    pub output: OutputRule,
    pub buckets: [Option<MemberId>; BUCKETS],
    /// Every member, in ascending order.
    pub admission: Vec<(MemberId, Admission)>,
}

impl Forwarding {
    /// What a bond admits on `member`; a stranger is not let in.
    pub fn admission(&self, member: MemberId) -> Admission {
        match self.admission.binary_search_by_key(&member, |a| a.0) {
            Ok(i) => self.admission[i].1,
            Err(_) => Admission::Closed,
        }
    }
}
