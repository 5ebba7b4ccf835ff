//! The link state of a member, with updelay and downdelay.

use std::time::Duration;

use serde::Serialize;
use wire::Time;

/// Whether a member may carry traffic. The link is up while the carrier, LACP and the monitors
/// together allow it.
///
/// ```text
///             link up                      updelay over, or skipped
///   +------+ ---------> +-----------+ -----------------------------> +----+
///   | Down |            | ComingUp  |                                | Up |
///   +------+ <--------- +-----------+        +-----------+ <-------- +----+
///      ^     link down                       | GoingDown | link down   ^
///      |                                     +-----------+ ------------+
///      +---------------------------------------+      link up
///                    downdelay over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Link {
    /// Disabled.
    Down,
    /// Disabled until `until` unless the link goes down again (`bond_updelay`).
    ComingUp {
        /// The end of the updelay.
        #[serde(skip)]
        until: Time,
    },
    /// Enabled, and the link is up.
    Up {
        /// When this state began; a flap within the downdelay begins it anew.
        #[serde(skip)]
        since: Time,
    },
    /// Enabled until `until` unless the link comes back (`bond_downdelay`).
    GoingDown {
        /// The end of the downdelay.
        #[serde(skip)]
        until: Time,
    },
}

/// An input of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The link is up, as before or newly.
    LinkUp {
        /// `bond_updelay`.
        updelay: Duration,
    },
    /// The link is down, as before or newly.
    LinkDown {
        /// `bond_downdelay`.
        downdelay: Duration,
    },
    /// The delay of the state is over.
    Timeout,
    /// Enable at once, without the rest of the delay.
    Enable,
    /// Disable at once, without the rest of the delay.
    Disable,
}

impl Link {
    /// The state that follows. A delay of zero still passes through the state in between: its
    /// deadline is `now`.
    pub fn next(self, now: Time, input: Input) -> Link {
        use Link::{ComingUp, Down, GoingDown, Up};
        match (self, input) {
            (Down, Input::LinkUp { updelay }) => ComingUp { until: now + updelay },
            (GoingDown { .. }, Input::LinkUp { .. }) => Up { since: now },
            (ComingUp { .. } | Up { .. }, Input::LinkUp { .. }) => self,

            (Up { .. }, Input::LinkDown { downdelay }) => GoingDown { until: now + downdelay },
            (ComingUp { .. }, Input::LinkDown { .. }) => Down,
            (Down | GoingDown { .. }, Input::LinkDown { .. }) => self,

            (ComingUp { .. }, Input::Timeout) => Up { since: now },
            (GoingDown { .. }, Input::Timeout) => Down,
            (Down | Up { .. }, Input::Timeout) => self,

            (Down | ComingUp { .. } | GoingDown { .. }, Input::Enable) => Up { since: now },
            (Up { .. }, Input::Enable) => self,

            (Down | ComingUp { .. } | Up { .. } | GoingDown { .. }, Input::Disable) => Down,
        }
    }

    /// May be chosen for traffic.
    pub fn enabled(self) -> bool {
        match self {
            Link::Down | Link::ComingUp { .. } => false,
            Link::Up { .. } | Link::GoingDown { .. } => true,
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(self) -> Option<Time> {
        match self {
            Link::Down | Link::Up { .. } => None,
            Link::ComingUp { until } | Link::GoingDown { until } => Some(until),
        }
    }
}
