//! The churn detection machines: whether an end fails to get in sync.

use std::time::Duration;

use serde::Serialize;
use wire::Time;

/// Churn_Detection_Time (IEEE 802.1AX-2014 clause 6.4.4).
pub const CHURN_DETECTION_TIME: Duration = Duration::from_secs(60);

/// IEEE 802.1AX-2014 figures 6-23 (actor) and 6-24 (partner). Each port has one machine for each
/// end.
///
/// ```text
///                         +---------+
///      link is down ----> | DOWN    |
///      (from any)         +---------+
///                              | link is up
///                              v
///   +----------+  in sync +---------+  60 s out of sync  +---------+
///   | NO_CHURN | <------- | MONITOR | -----------------> | CHURNED |
///   +----------+ -------> +---------+                    +---------+
///        ^     out of sync                 in sync            |
///        +----------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Churn {
    /// The link is down. The standard calls this state MONITOR too; its timer does not run.
    Down,
    /// The end is out of sync, and has time left.
    Monitoring {
        /// When it runs out.
        #[serde(skip)]
        until: Time,
    },
    /// The end is in sync.
    None,
    /// The end has been out of sync for 60 s.
    Churned,
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The link is down.
    LinkDown,
    /// The link is up, and the end is in sync.
    InSync,
    /// The link is up, and the end is out of sync.
    OutOfSync,
    /// The state's timer has expired.
    Timeout,
}

impl Churn {
    /// The state that follows.
    pub fn next(self, now: Time, input: Input) -> Churn {
        use Churn::{Churned, Down, Monitoring, None};
        match (self, input) {
            (Down | Monitoring { .. } | None | Churned, Input::LinkDown) => Down,
            (Down | Monitoring { .. } | None | Churned, Input::InSync) => None,
            (Down | None, Input::OutOfSync) => Monitoring { until: now + CHURN_DETECTION_TIME },
            (Monitoring { .. } | Churned, Input::OutOfSync) => self,
            (Monitoring { .. }, Input::Timeout) => Churned,
            (Down | None | Churned, Input::Timeout) => self,
        }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(self) -> Option<Time> {
        match self {
            Churn::Monitoring { until } => Some(until),
            Churn::Down | Churn::None | Churn::Churned => Option::None,
        }
    }

    /// As Linux calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Churn::Down | Churn::Monitoring { .. } => "monitoring",
            Churn::None => "none",
            Churn::Churned => "churned",
        }
    }
}

/// The churn machine of one end, and how often it has found churn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// The state.
    #[serde(flatten)]
    pub churn: Churn,
    /// How often the end was found churned. It wraps around.
    pub count: u32,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { churn: Churn::Down, count: 0 }
    }
}

impl Watch {
    /// Feeds the machine with what is so at `now`.
    pub(super) fn run(&mut self, now: Time, link_up: bool, in_sync: bool) {
        let input = match (link_up, in_sync) {
            (false, _) => Input::LinkDown,
            (true, true) => Input::InSync,
            (true, false) => Input::OutOfSync,
        };
        self.churn = self.churn.next(now, input);
        if self.churn.deadline().is_some_and(|t| t <= now) {
            self.churn = self.churn.next(now, Input::Timeout);
            self.count = self.count.wrapping_add(1);
        }
    }
}
