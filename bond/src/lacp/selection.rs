//! Selection: which ports form the aggregate?
//!
//! One port leads, and every port with the lead's partner and the partner's key goes with it.
//! A working lead keeps its place: a better port that turns up does not tear down a working
//! aggregate with another partner.

use wire::EthAddr;
use wire::lacp::PortInfo;

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

/// The aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Index of the port that leads; `None` = nothing is negotiated.
    pub lead: Option<usize>,
    /// For each candidate: is it in?
    pub attached: Vec<bool>,
    /// For each candidate: is its partner we ourselves?
    pub looped: Vec<bool>,
}

/// Chooses the aggregate out of `ports`, which all belong to system `own`.
///
/// With `fallback` (`lacp-fallback-ab`) ports without any partner are let in while no port has
/// one. Among equals the first wins.
pub fn select(own: EthAddr, fallback: bool, ports: &[Candidate]) -> Selection {
    let looped: Vec<bool> = ports.iter().map(|p| p.partner.system == own).collect();
    let has_partner = |p: &Candidate| match p.receive {
        Receive::Defaulted => false,
        Receive::Expired { .. } | Receive::Current { .. } => true,
    };
    let working = |p: &Candidate| match p.receive {
        Receive::Current { .. } => p.attached,
        Receive::Defaulted | Receive::Expired { .. } => false,
    };
    let best = |eligible: &dyn Fn(&Candidate) -> bool| {
        (0..ports.len())
            .filter(|&i| !looped[i] && eligible(&ports[i]))
            .min_by_key(|&i| (priority(&ports[i]), i))
    };

    // Open vSwitch lets a port whose partner is still unknown outrank one whose partner has
    // spoken (zeros compare low), which keeps the latter out until the former gives up.
    let known = |p: &Candidate| has_partner(p) && !p.partner.system.is_zero();

    // While the port falls back, one that only waits for a partner ends nothing: otherwise a new
    // member would stop all traffic until it gives up.
    let falling_back = fallback && ports.iter().any(|p| !has_partner(p));
    let hopes = |p: &Candidate| has_partner(p) && !falling_back;

    let lead = best(&working).or_else(|| best(&known)).or_else(|| best(&hopes));
    let attached = (0..ports.len())
        .map(|i| match lead {
            _ if looped[i] => false,
            Some(lead) => {
                let (l, p) = (&ports[lead].partner, &ports[i].partner);
                has_partner(&ports[i]) && l.key == p.key && l.system == p.system
            }
            None => fallback && !has_partner(&ports[i]),
        })
        .collect();
    Selection { lead, attached, looped }
}

/// The link's rank, lower first: as the end with the better system sees it
/// (IEEE 802.1AX-2014 clause 6.7.1).
fn priority(p: &Candidate) -> (u16, EthAddr, u16, u16) {
    let (a, b) = (&p.actor, &p.partner);
    let end = if (a.system_priority, a.system) < (b.system_priority, b.system) { a } else { b };
    (end.system_priority, end.system, end.port_priority, end.port)
}
