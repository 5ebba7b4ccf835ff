//! The periodic transmission machine: when LACPDUs are sent without a change of state.

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
    /// No transmission: the link is down, or the port is passive and has no partner.
    NoPeriodic,
    /// A PDU is due now.
    PeriodicTx,
    /// The partner uses the short time-out: the next PDU is due within Fast_Periodic_Time (1 s).
    FastPeriodic {
        /// When it is due.
        until: Time,
    },
    /// The partner uses the long time-out: the next PDU is due within Slow_Periodic_Time (30 s).
    SlowPeriodic {
        /// When it is due.
        until: Time,
    },
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Transmission is allowed.
    Enabled,
    /// Transmission is not allowed.
    Disabled,
    /// The state's timer has expired.
    Timeout,
    /// A PDU was sent, for any reason.
    Sent {
        /// The partner uses the short time-out.
        short: bool,
    },
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
