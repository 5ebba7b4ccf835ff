//! The periodic transmission machine: when does the partner hear from us unasked?

use wire::Time;

use super::receive::{FAST_PERIOD, SLOW_PERIOD};

/// IEEE 802.1AX-2014 figure 6-19. The period is the one that the partner asked for when the last
/// PDU left; a change shows from the next PDU on, as in Open vSwitch.
///
/// ```text
///                       enabled
///   +-------------+ --------------> +-------------+
///   | NO_PERIODIC |                 | PERIODIC_TX | <--------+
///   +-------------+ <-- disabled    +-------------+          |
///          ^           (from any)     | sent    | sent       | time is up
///          |                          v (short) v (long)     |
///          |              +---------------+  +---------------+
///          +------------- | FAST_PERIODIC |  | SLOW_PERIODIC |
///                         +---------------+  +---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Periodic {
    /// We may not speak: the link is down, or we are passive and know no partner.
    NoPeriodic,
    /// A PDU is due now.
    PeriodicTx,
    FastPeriodic {
        until: Time,
    },
    SlowPeriodic {
        until: Time,
    },
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// We may speak.
    Enabled,
    /// We may not.
    Disabled,
    /// The time of the state has run out.
    Timeout,
    /// A PDU left, whatever it was sent for; `short` = the partner asks for a short time-out.
    Sent { short: bool },
}

impl Periodic {
    /// The state that follows.
    pub fn next(self, now: Time, input: Input) -> Periodic {
        use Periodic::{FastPeriodic, NoPeriodic, PeriodicTx, SlowPeriodic};
        match (self, input) {
            (NoPeriodic, Input::Enabled) => PeriodicTx,
            (PeriodicTx | FastPeriodic { .. } | SlowPeriodic { .. }, Input::Enabled) => self,

            (
                NoPeriodic | PeriodicTx | FastPeriodic { .. } | SlowPeriodic { .. },
                Input::Disabled,
            ) => NoPeriodic,

            (FastPeriodic { .. } | SlowPeriodic { .. }, Input::Timeout) => PeriodicTx,
            (NoPeriodic | PeriodicTx, Input::Timeout) => self,

            (NoPeriodic, Input::Sent { short: _ }) => NoPeriodic,
            (
                PeriodicTx | FastPeriodic { .. } | SlowPeriodic { .. },
                Input::Sent { short: true },
            ) => FastPeriodic { until: now + FAST_PERIOD },
            (
                PeriodicTx | FastPeriodic { .. } | SlowPeriodic { .. },
                Input::Sent { short: false },
            ) => SlowPeriodic { until: now + SLOW_PERIOD },
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(self) -> Option<Time> {
        match self {
            Periodic::NoPeriodic | Periodic::PeriodicTx => None,
            Periodic::FastPeriodic { until } | Periodic::SlowPeriodic { until } => Some(until),
        }
    }
}
