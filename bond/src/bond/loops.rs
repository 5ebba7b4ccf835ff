//! A loop: what one port of the bridge sends comes in by another.
//!
//! Two bonds that lead to the same network make a loop, unless one is held down: a broadcast that
//! one sends is flooded back by the other, without an end.

use std::time::Duration;

use wire::Time;

use super::Bond;
use crate::notice::{Level, Topic};
use crate::turn::Turn;

/// How long a loop counts after it was last seen. While a bond is held down nothing comes back by
/// it: when the time is over it is tried again, and what it announces then shows a loop at once.
pub const HOLD: Duration = Duration::from_secs(300);

/// A loop that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loop {
    /// The other port.
    pub(crate) with: String,
    pub(crate) until: Time,
}

impl Bond {
    pub(super) fn see_loop(&mut self, now: Time, with: String, turn: &mut Turn) {
        let known = self.looped.as_ref().is_some_and(|l| l.with == with);
        if !known {
            let what = if self.config.loop_protect {
                format!("held down for {} s", HOLD.as_secs())
            } else {
                "set other_config:bond-loop-protect=true to hold it down".to_owned()
            };
            let text = format!(
                "bond {}: makes a loop with port {with} of the same bridge, what one sends comes \
                 in by the other; {what}",
                self.config.name
            );
            turn.say(Topic::Loopback, Level::Warn, text);
        }
        self.looped = Some(Loop { with, until: now + HOLD });
    }

    /// The loop ends at its deadline, or at once with `now_over`: one of its links was cut, or the
    /// other port is held down.
    pub(super) fn end_loop(&mut self, now: Time, now_over: bool, turn: &mut Turn) {
        if self.looped.as_ref().is_some_and(|l| now_over || l.until <= now) {
            if self.is_held() {
                let text = format!("bond {}: not held down any more", self.config.name);
                turn.say(Topic::Loopback, Level::Info, text);
            }
            self.looped = None;
        }
    }

    /// The port that it makes a loop with, as far as was seen lately.
    pub fn looped_with(&self) -> Option<&str> {
        self.looped.as_ref().map(|l| l.with.as_str())
    }

    /// `bond-loop-protect`.
    pub fn protects_from_loops(&self) -> bool {
        self.config.loop_protect
    }

    /// Held down, because it makes a loop.
    pub(crate) fn is_held(&self) -> bool {
        self.config.loop_protect && self.looped.is_some()
    }
}
