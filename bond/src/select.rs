//! Which member is the active one?

use wire::{EthAddr, Time};

use crate::config::MemberId;
use crate::link::Link;

/// What the choice looks at in one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: MemberId,
    pub mac: EthAddr,
    pub link: Link,
    /// The link is up as far as anyone can tell.
    pub may_enable: bool,
    /// Is the configured primary.
    pub primary: bool,
    pub priority: i32,
}

/// The member to be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nobody can be.
    NoMember,
    /// An enabled member.
    Enabled(MemberId),
    /// Nobody is enabled. This one's updelay ends first, at `until`: it is better used now.
    SkipDelay { id: MemberId, until: Time },
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

/// The member that ought to be active rather than `active`, which works: the primary, else one
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
