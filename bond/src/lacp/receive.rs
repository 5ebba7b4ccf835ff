//! The receive machine: how fresh is what we know of the partner?

use std::time::Duration;

use serde::Serialize;
use wire::Time;

/// Partner information older than three of the partner's periods is not current any more
/// (IEEE 802.1AX-2014 clause 6.4.4: Short_Timeout_Time is 3 × Fast_Periodic_Time).
pub const TIMEOUT_PERIODS: u32 = 3;
/// Fast_Periodic_Time.
pub const FAST_PERIOD: Duration = Duration::from_secs(1);
/// Slow_Periodic_Time.
pub const SLOW_PERIOD: Duration = Duration::from_secs(30);
/// Short_Timeout_Time: how long an expired partner has to say something.
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// IEEE 802.1AX-2014 figure 6-18, without PORT_DISABLED and LACP_DISABLED: a port whose link is
/// down expires and then defaults like one whose partner fell silent, as Open vSwitch has it.
///
/// ```text
///                     LACPDU
///   +-----------+ --------------> +-----------+ <---+
///   | DEFAULTED |                 |  CURRENT  |     | LACPDU
///   +-----------+     LACPDU      +-----------+ ----+
///     ^       |    +------------->      |
///     |       |    |                    | 3 periods of silence,
///     |       v    |                    | link changed
///     |     +-----------+ <-------------+
///     +-----|  EXPIRED  |
///  3 s      +-----------+ <-- link changed or reconfigured, if we speak unasked
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Receive {
    /// No partner is known.
    Defaulted,
    /// The partner fell silent; forget it at `until`.
    Expired {
        #[serde(skip)]
        until: Time,
    },
    /// The partner spoke; doubt it at `until`.
    Current {
        #[serde(skip)]
        until: Time,
    },
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A well-formed LACPDU; the next one is expected within `timeout`.
    Lacpdu { timeout: Duration },
    /// The time of the state has run out.
    Timeout,
    /// The link went up or down; `active` = we speak unasked.
    LinkChanged { active: bool },
    /// Port number, priority or key changed; `speaking` = we speak unasked, or have a partner.
    Reconfigured { speaking: bool },
}

/// What becomes of the partner information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partner {
    Keep,
    /// Take it from the PDU (recordPDU).
    Record,
    /// Assume that it asks for a short time-out and is out of sync.
    Expire,
    /// Forget it (recordDefault).
    Default,
}

impl Receive {
    /// The state that follows, and what to do with the partner information.
    pub fn next(self, now: Time, input: Input) -> (Receive, Partner) {
        let expired = || (Receive::Expired { until: now + SHORT_TIMEOUT }, Partner::Expire);
        match (self, input) {
            (
                Receive::Defaulted | Receive::Expired { .. } | Receive::Current { .. },
                Input::Lacpdu { timeout },
            ) => (Receive::Current { until: now + timeout }, Partner::Record),

            (Receive::Current { .. }, Input::Timeout) => expired(),
            (Receive::Expired { .. }, Input::Timeout) => (Receive::Defaulted, Partner::Default),
            (Receive::Defaulted, Input::Timeout) => (self, Partner::Keep),

            (Receive::Current { .. }, Input::LinkChanged { active: _ }) => expired(),
            (Receive::Defaulted | Receive::Expired { .. }, Input::LinkChanged { active: true }) => {
                expired()
            }
            (
                Receive::Defaulted | Receive::Expired { .. },
                Input::LinkChanged { active: false },
            ) => (self, Partner::Keep),

            (
                Receive::Defaulted | Receive::Expired { .. } | Receive::Current { .. },
                Input::Reconfigured { speaking: true },
            ) => expired(),
            (
                Receive::Defaulted | Receive::Expired { .. } | Receive::Current { .. },
                Input::Reconfigured { speaking: false },
            ) => (self, Partner::Keep),
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(self) -> Option<Time> {
        match self {
            Receive::Defaulted => None,
            Receive::Expired { until } | Receive::Current { until } => Some(until),
        }
    }

    /// As `lacp/show` calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Receive::Defaulted => "defaulted",
            Receive::Expired { .. } => "expired",
            Receive::Current { .. } => "current",
        }
    }
}
