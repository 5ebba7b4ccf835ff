//! Choice of the active member.

use wire::{EthAddr, Time};

use crate::config::MemberId;
use crate::link::Link;

/// The state of one member that the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The member.
    pub id: MemberId,
    /// Its hardware address.
    pub mac: EthAddr,
    /// Its link state.
    pub link: Link,
    /// Carrier, LACP and monitors allow it.
    pub may_enable: bool,
    /// It is the configured primary.
    pub primary: bool,
    /// `bond-member-priority`; higher is preferred.
    pub priority: i32,
}

/// The result of [`choose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// No member can be active.
    NoMember,
    /// An enabled member.
    Enabled(MemberId),
    /// No member is enabled: the rest of the updelay of the one that ends first is skipped.
    SkipDelay {
        /// The member.
        id: MemberId,
        /// When its updelay would have ended.
        until: Time,
    },
}

/// Chooses the active member when there is no working one: the primary; else the one with the
/// address that was last active; else the one of the highest priority; else the one whose
/// updelay ends first. Among equals the first wins.
pub fn choose(members: &[Candidate], last_active: EthAddr) -> Choice {
    let enabled = || members.iter().filter(|m| m.link.enabled());
    let primary = enabled().find(|m| m.primary);
    let last = || enabled().find(|m| m.mac == last_active);
    // `max_by_key` takes the last among equals.
    let highest = || enabled().rev().max_by_key(|m| m.priority);
    if let Some(m) = primary.or_else(last).or_else(highest) {
        return Choice::Enabled(m.id);
    }
    let coming = |m: &Candidate| match m.link {
        Link::ComingUp { until } if m.may_enable => Some((until, m.id)),
        Link::ComingUp { .. } | Link::Down | Link::Up { .. } | Link::GoingDown { .. } => None,
    };
    match members.iter().filter_map(coming).min_by_key(|c| c.0) {
        Some((until, id)) => Choice::SkipDelay { id, until },
        None => Choice::NoMember,
    }
}

/// The member that is preferred to `active`, which works: the primary, else one
/// of a higher priority. `None` = no member is preferred to it.
pub fn preferred(members: &[Candidate], active: MemberId) -> Option<MemberId> {
    let enabled = || members.iter().filter(|m| m.link.enabled());
    if let Some(primary) = enabled().find(|m| m.primary) {
        return (primary.id != active).then_some(primary.id);
    }
    let current = members.iter().find(|m| m.id == active)?;
    let best = enabled().rev().max_by_key(|m| m.priority)?;
    (best.priority > current.priority).then_some(best.id)
}
