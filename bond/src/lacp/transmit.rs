//! The transmit machine: whether an LACPDU is needed (NTT), and when the rate limit allows it.

use std::time::Duration;

use wire::Time;
use wire::lacp::{Lacpdu, PortInfo, state};

/// PDUs that may leave a port within [`WINDOW`].
const LIMIT: usize = 3;

/// IEEE 802.1AX-2014 clause 6.4.16 allows three PDUs in any Fast_Periodic_Time (1 s). The delay
/// from the engine's decision to the transmission varies; the additional 0.1 s keeps four PDUs from
/// being on the link within one second.
pub const WINDOW: Duration = Duration::from_millis(1100);

/// The state bits whose change has to be sent to the partner (IEEE 802.1AX-2014 clause 6.4.7,
/// update_NTT).
const NTT_STATE: u8 =
    state::ACTIVITY | state::TIMEOUT | state::SYNCHRONIZATION | state::AGGREGATION;

/// Whether an LACPDU is needed: `partner_view`, what the partner has recorded about us, differs
/// from `actor`.
///
/// With independent control the partner also has to learn of COLLECTING and DISTRIBUTING: entry to
/// these states sets NTT (figure 6-21).
pub fn needed(coupled: bool, actor: &PortInfo, partner_view: &PortInfo) -> bool {
    let flows = if coupled { 0 } else { state::COLLECTING | state::DISTRIBUTING };
    let rest = |p: &PortInfo| PortInfo { state: p.state & (NTT_STATE | flows), ..*p };
    rest(actor) != rest(partner_view)
}

/// The PDU's 110 octets, from the subtype on.
pub fn compose(actor: PortInfo, partner: PortInfo) -> Vec<u8> {
    Lacpdu { actor, partner, collector_max_delay: 0 }.emit()
}

/// IEEE 802.1AX-2014 clause 6.4.16: the variable NTT, and when it may be acted on.
///
/// ```text
///   +------+   due    +---------------+
///   | IDLE | -------> | NTT { until } |
///   +------+ <------- +---------------+
///             sent, or not due any more
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// No PDU is due.
    Idle,
    /// A PDU is due. It carries the state at the time of its transmission.
    Ntt {
        /// When it is sent.
        until: Time,
    },
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A PDU is due.
    Due {
        /// The earliest time that the rate limit allows.
        from: Time,
    },
    /// No PDU is due.
    NotDue,
    /// The PDU was sent.
    Sent,
}

impl Transmit {
    /// The state that follows.
    pub fn next(self, input: Input) -> Transmit {
        use Transmit::{Idle, Ntt};
        match (self, input) {
            (Idle, Input::Due { from }) => Ntt { until: from },
            (Ntt { .. }, Input::Due { .. }) => self,

            (Idle | Ntt { .. }, Input::NotDue | Input::Sent) => Idle,
        }
    }

    /// When the PDU is sent.
    pub fn deadline(self) -> Option<Time> {
        match self {
            Transmit::Idle => None,
            Transmit::Ntt { until } => Some(until),
        }
    }
}

/// The times of the last transmissions, oldest first; `None` = there were fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent([Option<Time>; LIMIT]);

impl Sent {
    /// The earliest time at which the limit allows another PDU; not after now if it allows one now.
    pub fn next_allowed(&self) -> Time {
        self.0[0].map_or(Time::ZERO, |oldest| oldest + WINDOW)
    }

    /// Records a transmission at `now`.
    pub fn record(&mut self, now: Time) {
        self.0.rotate_left(1);
        self.0[LIMIT - 1] = Some(now);
    }
}
