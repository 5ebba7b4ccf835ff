//! The active member: failing over at once, failing back when it is time.

use wire::{EthAddr, Time};

use super::{Bond, Waiting};
use crate::config::{MemberId, Mode, PrimaryReselect};
use crate::effect::RevalidateReason;
use crate::failback::{Policy, Verdict};
use crate::link;
use crate::notice::{Level, Topic};
use crate::select::{self, Choice};
use crate::status::whole_ms;
use crate::turn::Turn;

impl Bond {
    pub(super) fn run_active(&mut self, now: Time, turn: &mut Turn) {
        if !self.active.is_some_and(|id| self.is_enabled(id)) {
            self.choose_active(now, turn);
        }
        self.restore_active(turn);
        self.waiting = None;
        if self.config.mode == Mode::ActiveBackup {
            self.fail_back(now, turn);
        }
    }

    /// Lets a preferred member take over from the active one, or notes what it waits for.
    fn fail_back(&mut self, now: Time, turn: &mut Turn) {
        let Some(active) = self.active else { return };
        let Some(id) = select::preferred(&self.candidates(), active) else { return };
        let (Some(from), Some(to)) = (self.member(active), self.member(id)) else { return };
        let Some(stable_since) = to.stable_since() else {
            // The bond starts, and the primary is heard of a moment later than its siblings.
            self.activate(id, turn);
            return;
        };
        let speed = to.speed.compare(from.speed);
        match self.failbacks.judge(now, &self.failback_policy(), stable_since, speed) {
            Verdict::TakeOver => {
                self.failbacks.record(now);
                self.activate(id, turn);
            }
            Verdict::Wait { reason, until } => {
                self.waiting = Some(Waiting { member: id, reason, until });
            }
        }
    }

    pub(crate) fn failback_policy(&self) -> Policy {
        Policy {
            reselect: self.config.primary_reselect,
            delay: self.config.failback_delay,
            limit: self.config.failback_limit,
        }
    }

    /// Fails over: the active member is gone, or there was none.
    fn choose_active(&mut self, now: Time, turn: &mut Turn) {
        match select::choose(&self.candidates(), self.active_mac) {
            Choice::Enabled(id) => self.activate(id, turn),
            Choice::SkipDelay { id, until } => {
                let name = self.member(id).map_or("", |m| &m.config.name);
                turn.say(
                    Topic::Active,
                    Level::Info,
                    format!(
                        "bond {}: active member is now {name}, skipping remaining {} ms updelay \
                         (since no member was enabled)",
                        self.config.name,
                        whole_ms(now, until),
                    ),
                );
                self.move_link(now, id, link::Input::Enable, turn);
                self.set_active(Some(id), turn);
                turn.learning = true;
            }
            Choice::Nobody => {
                if self.active.is_some() {
                    self.set_active(None, turn);
                    turn.say(
                        Topic::Active,
                        Level::Info,
                        format!("bond {}: all members disabled", self.config.name),
                    );
                }
            }
        }
    }

    /// Gives the member that was active in the last run its place back, if its link is up when
    /// it is first heard of. Its siblings may have been heard of a moment sooner.
    fn restore_active(&mut self, turn: &mut Turn) {
        let Some(mac) = self.restore else { return };
        let Some(m) = self.members.iter().find(|m| m.config.mac == mac && m.carrier.is_some())
        else {
            // It is gone, or comes too late, once all that are there have reported.
            self.restore =
                self.restore.filter(|_| self.members.iter().any(|m| m.carrier.is_none()));
            return;
        };
        self.restore = None;
        let (id, enabled) = (m.config.id, m.enabled());
        // A primary that would return at once anyway keeps what it has.
        let policy = self.failback_policy();
        let at_once = policy.reselect == PrimaryReselect::Always && policy.delay.is_zero();
        let primary = at_once && self.candidates().iter().any(|c| c.primary && c.link.enabled());
        if enabled && !primary && self.active != Some(id) {
            self.activate(id, turn);
        }
    }

    /// Makes an enabled member the active one.
    pub(super) fn activate(&mut self, id: MemberId, turn: &mut Turn) {
        let name = self.member(id).map_or("", |m| &m.config.name);
        let text = format!("bond {}: active member is now {name}", self.config.name);
        turn.say(Topic::Active, Level::Info, text);
        self.set_active(Some(id), turn);
        turn.learning = true;
    }

    fn set_active(&mut self, id: Option<MemberId>, turn: &mut Turn) {
        if self.active == id {
            return;
        }
        self.active = id;
        self.active_mac = id.and_then(|id| self.member(id)).map_or(EthAddr::ZERO, |m| m.config.mac);
        turn.persist = Some(self.active_mac);
        if !self.is_balanced() {
            turn.revalidate(RevalidateReason::ActiveMember);
        }
    }
}
