//! The policies of Linux bonding: how a packet's member is chosen where no bucket is assigned by
//! load.
//!
//! The table holds the usable members in the order of the configuration, over and over. Linux takes
//! the member with the index `hash % count`. So only the first [`in_use`] buckets are used, which is
//! the largest multiple of `count` up to 256: `hash % in_use` is a bucket whose member is Linux's. A
//! member that fails or returns changes `count`, and with it the member of most flows, as in Linux.
//! `Documentation/networking/bonding.rst` describes the modes.

use crate::config::{MemberId, Mode, PolicyConfig};
use crate::forwarding::{BUCKETS, Selection};

impl PolicyConfig {
    /// How a bond of `mode` chooses among `usable` members; `None` in Open vSwitch's modes.
    pub(crate) fn selection(
        &self,
        mode: Mode,
        usable: usize,
        active: Option<MemberId>,
    ) -> Option<Selection> {
        let in_use = in_use(usable);
        match mode {
            Mode::ActiveBackup | Mode::BalanceSlb | Mode::BalanceTcp => None,
            Mode::BalanceXor | Mode::Ieee8023ad => {
                Some(Selection::Hash { policy: self.hash, in_use })
            }
            Mode::BalanceRr => {
                let packets = self.packets_per_member;
                Some(Selection::RoundRobin { packets, in_use, igmp: active })
            }
            Mode::BalanceTlb => {
                // Linux has 256 buckets here too.
                let all = if usable == 0 { 0 } else { BUCKETS as u16 };
                let in_use = if self.tlb_dynamic { all } else { in_use };
                Some(Selection::Tlb { policy: self.hash, in_use, active })
            }
            Mode::Broadcast => Some(Selection::Broadcast { members: usable.min(BUCKETS) as u16 }),
        }
    }
}

/// The largest multiple of `count` up to 256, for more than 256 members 256; 0 for none.
pub fn in_use(count: usize) -> u16 {
    match count {
        0 => 0,
        1..BUCKETS => (BUCKETS / count * count) as u16,
        _ => BUCKETS as u16,
    }
}

/// The members in their order, over and over.
pub(crate) fn in_turn(members: &[MemberId]) -> [Option<MemberId>; BUCKETS] {
    std::array::from_fn(|b| match members.len() {
        0 => None,
        n => Some(members[b % n]),
    })
}
