//! Selection: which ports form the aggregate?
//!
//! One port leads, and every port with the lead's partner and the partner's key goes with it.
//! An aggregate that works goes on: neither a better port with another partner nor a port whose
//! partner now says something else of itself takes its place.
//!
//! An individual link, one whose partner says that it cannot be aggregated, is never in an
//! aggregate with others (IEEE 802.1AX-2014 clause 6.4.5). It is used alone, and only while no
//! link that can be aggregated has a partner that speaks.

use wire::EthAddr;
use wire::lacp::{PortInfo, state};

use super::receive::Receive;

/// What selection looks at in one port.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub receive: Receive,
    /// In the aggregate so far.
    pub attached: bool,
    pub actor: PortInfo,
    pub partner: PortInfo,
}

/// What the ports of an aggregate have in common: their part of the LAG ID (IEEE 802.1AX-2014
/// clause 6.3.6) that can differ between ports of one bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagId {
    pub partner_system: EthAddr,
    pub partner_key: u16,
}

/// The aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// `None` = nothing is negotiated.
    pub lag: Option<LagId>,
    /// For each candidate: is it in?
    pub attached: Vec<bool>,
    /// For each candidate: is its partner we ourselves?
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

    /// The partner has spoken.
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
/// With `fallback` (`lacp-fallback-ab`) ports without any partner are let in while no port has
/// one. Among equals the first wins.
pub fn select(
    own: EthAddr,
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

    // A port is in the aggregate if it has been, or if its partner is known: Open vSwitch lets a
    // port whose partner is still unknown outrank one whose partner has spoken (zeros compare
    // low), which keeps the latter out until the former gives up.
    let working = |p: &Candidate| p.is_current() && p.attached;
    let speaks = |p: &Candidate| p.is_current() && p.is_known();

    // While the port falls back, one that only waits for a partner ends nothing: otherwise a new
    // member would stop all traffic until it gives up.
    let falling_back = fallback && ports.iter().any(|p| !p.has_partner());

    // An individual link that works waits for the other end to be in sync: until then nothing
    // could take over what it carries.
    let in_sync = |p: &Candidate| p.partner.state & state::SYNCHRONIZATION != 0;

    let lead = best(&|p| working(p) && !p.is_individual() && Some(p.lag()) == before)
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

/// No port of the aggregate hears its partner, and a port outside does: time to select anew.
pub fn is_stranded(own: EthAddr, ports: &[Candidate]) -> bool {
    let current = || ports.iter().filter(|p| p.is_current());
    let outside = |p: &Candidate| !p.attached && p.is_known() && p.partner.system != own;
    current().all(|p| !p.attached) && current().any(outside)
}

/// The link's rank, lower first: as the end with the better system sees it
/// (IEEE 802.1AX-2014 clause 6.7.1).
fn priority(p: &Candidate) -> (u16, EthAddr, u16, u16) {
    let (a, b) = (&p.actor, &p.partner);
    let end = if (a.system_priority, a.system) < (b.system_priority, b.system) { a } else { b };
    (end.system_priority, end.system, end.port_priority, end.port)
}
