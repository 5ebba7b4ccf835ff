//! The receive machine: the age of the partner information.

use std::time::Duration;

use serde::Serialize;
use wire::Time;

/// Number of periods without an LACPDU after which partner information expires
/// (IEEE 802.1AX-2014 clause 6.4.4: Short_Timeout_Time is 3 × Fast_Periodic_Time).
pub const TIMEOUT_PERIODS: u32 = 3;
/// Fast_Periodic_Time (IEEE 802.1AX-2014 clause 6.4.4).
pub const FAST_PERIOD: Duration = Duration::from_secs(1);
/// Slow_Periodic_Time (IEEE 802.1AX-2014 clause 6.4.4).
pub const SLOW_PERIOD: Duration = Duration::from_secs(30);
/// Short_Timeout_Time: how long an expired partner is remembered.
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// IEEE 802.1AX-2014 figure 6-18, without PORT_DISABLED and LACP_DISABLED: as in Open vSwitch, a port
/// whose link goes down expires and then defaults, like one that receives no LACPDUs.
///
/// ```text
///                     LACPDU
///   +-----------+ --------------> +-----------+ <---+
///   | DEFAULTED |                 |  CURRENT  |     | LACPDU
///   +-----------+     LACPDU      +-----------+ ----+
///     ^       |    +------------->      |
///     |       |    |                    | 3 periods without LACPDU,
///     |       v    |                    | link changed
///     |     +-----------+ <-------------+
///     +-----|  EXPIRED  |
///  3 s      +-----------+ <-- link changed or reconfigured, if we may transmit
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Receive {
    /// No partner is known.
    Defaulted,
    /// The partner information is out of date.
    Expired {
        /// When it is forgotten.
        #[serde(skip)]
        until: Time,
    },
    /// The partner information is up to date.
    Current {
        /// When it expires.
        #[serde(skip)]
        until: Time,
    },
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A valid LACPDU was received.
    Lacpdu {
        /// The next one has to arrive within this time.
        timeout: Duration,
    },
    /// The state's timer has expired.
    Timeout,
    /// The link went up or down.
    LinkChanged {
        /// Active LACP: the port transmits without a partner.
        active: bool,
    },
    /// Port number, priority or key changed, or the member was added.
    Reconfigured {
        /// The port transmits: LACP is active, or the aggregate has a partner.
        speaking: bool,
    },
}

/// What happens to the partner information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partner {
    /// It does not change.
    Keep,
    /// It is taken from the PDU (recordPDU).
    Record,
    /// Its state becomes short time-out and out of sync.
    Expire,
    /// It is reset to the default (recordDefault).
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
