//! The transmit machine: does the partner have to hear from us at once, and may it?

use std::time::Duration;

use wire::Time;
use wire::lacp::{Lacpdu, PortInfo, state};

/// PDUs that may leave a port within [`WINDOW`].
const LIMIT: usize = 3;

/// IEEE 802.1AX-2014 clause 6.4.16 allows three PDUs in any Fast_Periodic_Time (1 s). The driver
/// sends a little later than the engine decides, and not always by the same amount: the tenth more
/// keeps four from being seen on the link within a second.
pub const WINDOW: Duration = Duration::from_millis(1100);

/// The state bits whose change the partner has to know (IEEE 802.1AX-2014 clause 6.4.7,
/// update_NTT).
const NTT_STATE: u8 =
    state::ACTIVITY | state::TIMEOUT | state::SYNCHRONIZATION | state::AGGREGATION;

/// Need to transmit: what the partner believes of us, `partner_view`, is not what we are.
pub fn needed(actor: &PortInfo, partner_view: &PortInfo) -> bool {
    let rest = |p: &PortInfo| PortInfo { state: p.state & NTT_STATE, ..*p };
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
    /// The partner need not hear from us.
    Idle,
    /// A PDU leaves at `until`, with what is true then.
    Ntt { until: Time },
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A PDU is due, and may leave at `from`, now or later.
    Due { from: Time },
    /// None is due.
    NotDue,
    /// It left.
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

    /// When the PDU leaves.
    pub fn deadline(self) -> Option<Time> {
        match self {
            Transmit::Idle => None,
            Transmit::Ntt { until } => Some(until),
        }
    }
}

/// When the last PDUs left, the oldest first; `None` = fewer have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent([Option<Time>; LIMIT]);

impl Sent {
    /// The earliest time at which one more keeps the limit; in the past if it does so now.
    pub fn next_allowed(&self) -> Time {
        self.0[0].map_or(Time::ZERO, |oldest| oldest + WINDOW)
    }

    /// One leaves now.
    pub fn record(&mut self, now: Time) {
        self.0.rotate_left(1);
        self.0[LIMIT - 1] = Some(now);
    }
}
