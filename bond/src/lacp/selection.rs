//! Selection: which ports form the aggregate.
//!
//! One port is the lead; every port with the same partner system and partner key joins it. A
//! working aggregate is kept: neither a port of better priority with another partner, nor a port
//! whose partner information has changed, replaces it.
//!
//! An individual link, one whose partner says that it cannot be aggregated, is never
//! aggregated with others (IEEE 802.1AX-2014 clause 6.4.5). It is used alone, and only while no
//! link that can be aggregated has a current partner.
//!
//! That is the policy `stable`. The other policies of `lacp-selection` compare all possible
//! aggregates whenever something changes (`widest`).

use wire::EthAddr;
use wire::lacp::{PortInfo, state};

use super::receive::Receive;
use crate::config::SelectionPolicy;

/// The state of one port that selection depends on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// State of the receive machine.
    pub receive: Receive,
    /// Whether it is part of the aggregate so far.
    pub attached: bool,
    /// Our information, as sent.
    pub actor: PortInfo,
    /// The partner's information, as received; default without a partner.
    pub partner: PortInfo,
    /// The link is up.
    pub link_up: bool,
    /// Megabits per second; 0 = not known.
    pub mbps: u64,
}

/// What the ports of an aggregate have in common: their part of the LAG ID (IEEE 802.1AX-2014
/// clause 6.3.6) that can differ between ports of one bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagId {
    /// System identifier of the partner.
    pub partner_system: EthAddr,
    /// The partner's key.
    pub partner_key: u16,
}

/// The aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// `None` = nothing is negotiated.
    pub lag: Option<LagId>,
    /// For each candidate, whether it is part of the aggregate.
    pub attached: Vec<bool>,
    /// For each candidate, whether its partner is our own system.
    pub looped: Vec<bool>,
}

impl Candidate {
    fn lag(&self) -> LagId {
        LagId { partner_system: self.partner.system, partner_key: self.partner.key }
    }

    fn has_partner(&self) -> bool {
        match self.receive {
            Receive::Defaulted => false,
            Receive::Expired { .. } | Receive::Current { .. } => true,
        }
    }

    fn is_current(&self) -> bool {
        match self.receive {
            Receive::Current { .. } => true,
            Receive::Defaulted | Receive::Expired { .. } => false,
        }
    }

    /// The partner's system is known.
    fn is_known(&self) -> bool {
        self.has_partner() && !self.partner.system.is_zero()
    }

    fn is_individual(&self) -> bool {
        self.is_known() && self.partner.state & state::AGGREGATION == 0
    }
}

/// Chooses the aggregate out of `ports`, which all belong to system `own`; `before` is the
/// aggregate so far.
///
/// With `fallback` (`lacp-fallback-ab`), ports without a partner form the aggregate while no port
/// has one. Among equal ports the first wins.
pub fn select(
    own: EthAddr,
    policy: SelectionPolicy,
    fallback: bool,
    before: Option<LagId>,
    ports: &[Candidate],
) -> Selection {
    let looped: Vec<bool> = ports.iter().map(|p| p.partner.system == own).collect();
    let best = |eligible: &dyn Fn(&Candidate) -> bool| {
        (0..ports.len())
            .filter(|&i| !looped[i] && eligible(&ports[i]))
            .min_by_key(|&i| (priority(&ports[i]), i))
    };

    // Ports with a known partner come first. In Open vSwitch a port whose partner is unknown (all
    // zero, which compares as the best) outranks them and keeps them out until it times out.
    let working = |p: &Candidate| p.is_current() && p.attached;
    let speaks = |p: &Candidate| p.is_current() && p.is_known();

    // During a fallback, a member that has expired but never had a partner does not become the
    // lead: otherwise a new member would stop all traffic until it defaults.
    let falling_back = fallback && ports.iter().any(|p| !p.has_partner());

    // A working individual link is replaced only by a link whose partner is in sync: before that,
    // the new link could not carry the traffic.
    let in_sync = |p: &Candidate| p.partner.state & state::SYNCHRONIZATION != 0;

    let lead = widest(own, policy, ports)
        .or_else(|| best(&|p| working(p) && !p.is_individual() && Some(p.lag()) == before))
        .or_else(|| best(&|p| working(p) && !p.is_individual()))
        .or_else(|| best(&|p| speaks(p) && !p.is_individual() && in_sync(p)))
        .or_else(|| best(&working))
        .or_else(|| best(&|p| speaks(p) && !p.is_individual()))
        .or_else(|| best(&speaks))
        .or_else(|| best(&|p| p.is_known() && !p.is_individual()))
        .or_else(|| best(&Candidate::is_known))
        .or_else(|| best(&|p| p.has_partner() && !falling_back));
    let attached = (0..ports.len())
        .map(|i| match lead {
            _ if looped[i] => false,
            Some(lead) if ports[lead].is_individual() || ports[i].is_individual() => i == lead,
            Some(lead) => ports[i].has_partner() && ports[i].lag() == ports[lead].lag(),
            None => fallback && !ports[i].has_partner(),
        })
        .collect();
    Selection { lag: lead.map(|lead| ports[lead].lag()), attached, looped }
}

/// The lead of the best possible aggregate of the ports that are up and have a current partner, for
/// the policies that compare aggregates; `None` = there is none, or the policy is `stable`.
///
/// As in Linux, one that can be aggregated is better than an individual link. Of equal ones that
/// with more attached ports is kept, so that a tie moves no traffic.
fn widest(own: EthAddr, policy: SelectionPolicy, ports: &[Candidate]) -> Option<usize> {
    let usable =
        |p: &Candidate| p.link_up && p.is_current() && p.is_known() && p.partner.system != own;
    let rank = |lead: usize| {
        let joins = |(i, p): &(usize, &Candidate)| {
            usable(p)
                && if ports[lead].is_individual() {
                    *i == lead
                } else {
                    !p.is_individual() && p.lag() == ports[lead].lag()
                }
        };
        let group = || ports.iter().enumerate().filter(joins).map(|(_, p)| p);
        let count = group().count();
        let mbps: u64 = group().map(|p| p.mbps).sum();
        let priority: u64 = group().map(|p| u64::from(p.actor.port_priority)).sum();
        let score = match policy {
            SelectionPolicy::Stable => return None,
            SelectionPolicy::Bandwidth => (0, 0, mbps),
            SelectionPolicy::Count => (0, count, mbps),
            SelectionPolicy::ActorPortPriority => (priority, count, mbps),
        };
        let attached = group().filter(|p| p.attached).count();
        Some((!ports[lead].is_individual(), score, attached))
    };
    (0..ports.len())
        .filter(|&i| usable(&ports[i]))
        .filter_map(|i| Some((rank(i)?, std::cmp::Reverse((priority(&ports[i]), i)), i)))
        .max_by_key(|&(rank, order, _)| (rank, order))
        .map(|(_, _, i)| i)
}

/// True if another aggregate should be used than the one that is, `before`. Always false with the
/// policy `stable`.
pub fn is_outdone(
    own: EthAddr,
    policy: SelectionPolicy,
    before: Option<LagId>,
    ports: &[Candidate],
) -> bool {
    widest(own, policy, ports).is_some_and(|lead| {
        let individual = ports[lead].is_individual();
        Some(ports[lead].lag()) != before
            || !ports[lead].attached
            || ports.iter().enumerate().any(|(i, p)| {
                let joins = match individual {
                    true => i == lead,
                    false => p.has_partner() && !p.is_individual() && p.lag() == ports[lead].lag(),
                };
                p.partner.system != own && joins != p.attached
            })
    })
}

/// True if no port of the aggregate has a current partner, and a port outside has one: selection
/// has to run.
pub fn is_stranded(own: EthAddr, ports: &[Candidate]) -> bool {
    let current = || ports.iter().filter(|p| p.is_current());
    let outside = |p: &Candidate| !p.attached && p.is_known() && p.partner.system != own;
    current().all(|p| !p.attached) && current().any(outside)
}

/// The link's priority, lower is preferred: that of the end with the better system identifier
/// (IEEE 802.1AX-2014 clause 6.7.1).
fn priority(p: &Candidate) -> (u16, EthAddr, u16, u16) {
    let (a, b) = (&p.actor, &p.partner);
    let end = if (a.system_priority, a.system) < (b.system_priority, b.system) { a } else { b };
    (end.system_priority, end.system, end.port_priority, end.port)
}
