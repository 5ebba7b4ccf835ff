//! `bond-loop-protect`: a bond that is part of a bridging loop is held down.

use wire::Time;

use super::Bond;
use crate::bridge_loop::{BridgeLoop, HOLD};
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;

impl Bond {
    /// The port `with` of the bridge received a packet that this bond sent, or this bond one that the
    /// port sent.
    pub(super) fn detect_loop(&mut self, now: Time, with: String, pending: &mut PendingEffects) {
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
            pending.log(Topic::Loopback, Level::Warn, text);
        }
        self.looped = Some(BridgeLoop { with, until: now + HOLD });
    }

    /// Forgets the loop at its deadline, or at once if `broken`: a link of this bond went down, or
    /// the other port is held down.
    pub(super) fn end_loop(&mut self, now: Time, broken: bool, pending: &mut PendingEffects) {
        if self.looped.as_ref().is_some_and(|l| broken || l.until <= now) {
            if self.is_held_down() {
                let text = format!("bond {}: not held down any more", self.config.name);
                pending.log(Topic::Loopback, Level::Info, text);
            }
            self.looped = None;
        }
    }

    /// Name of the port that the bond forms a loop with, if one was detected within the last 300 s.
    pub fn looped_with(&self) -> Option<&str> {
        self.looped.as_ref().map(|l| l.with.as_str())
    }

    /// `other_config:bond-loop-protect`: a detected loop holds the bond down.
    pub fn protects_from_loops(&self) -> bool {
        self.config.loop_protect
    }

    /// True while the bond is held down because of a loop: no member is enabled.
    pub(crate) fn is_held_down(&self) -> bool {
        self.config.loop_protect && self.looped.is_some()
    }
}
