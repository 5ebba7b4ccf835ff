//! The transmit machine: does the partner have to hear from us at once?

use wire::lacp::{Lacpdu, PortInfo, state};

/// The state bits whose change the partner has to know (IEEE 802.1AX-2014 clause 6.4.7,
/// update_NTT).
const TOLD: u8 = state::ACTIVITY | state::TIMEOUT | state::SYNCHRONIZATION | state::AGGREGATION;

/// Need to transmit: what the partner believes of us, `told`, is not what we are.
pub fn needed(actor: &PortInfo, told: &PortInfo) -> bool {
    let rest = |p: &PortInfo| PortInfo { state: p.state & TOLD, ..*p };
    rest(actor) != rest(told)
}

/// The PDU's 110 octets, from the subtype on.
pub fn compose(actor: PortInfo, partner: PortInfo) -> Vec<u8> {
    Lacpdu { actor, partner, collector_max_delay: 0 }.emit()
}
