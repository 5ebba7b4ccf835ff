//! The active member: immediate failover, and failback by the failback options.

use wire::{EthAddr, Time};

use super::{Bond, Waiting};
use crate::config::{MemberId, PrimaryReselect};
use crate::effect::RevalidateReason;
use crate::failback::{Policy, Verdict};
use crate::link;
use crate::millis::whole_ms;
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;
use crate::select::{self, Choice};

/// Whether a preferred member may take over from the active one.
enum Takeover {
    /// The bond has just started: it takes over without regard to the failback options.
    AtStart,
    /// The failback options decide.
    Decided(Verdict),
}

impl Bond {
    pub(super) fn run_active(&mut self, now: Time, pending: &mut PendingEffects) {
        if !self.active.is_some_and(|id| self.is_enabled(id)) {
            self.choose_active(now, pending);
        }
        self.restore_active(pending);
        self.waiting = None;
        if self.config.mode.has_primary() {
            self.fail_back(now, pending);
        }
    }

    /// Lets a preferred member take over from the active one, or records what prevents it.
    fn fail_back(&mut self, now: Time, pending: &mut PendingEffects) {
        let Some(active) = self.active else { return };
        match self.evaluate(now, active, self.chosen_at) {
            None => {}
            // The bond starts, and the primary's carrier was reported after that of other members.
            Some((id, Takeover::AtStart)) => self.activate(id, pending),
            Some((id, Takeover::Decided(Verdict::TakeOver))) => {
                self.failbacks.record(now);
                self.activate(id, pending);
            }
            Some((id, Takeover::Decided(Verdict::Wait { reason, until }))) => {
                self.waiting = Some(Waiting { member: id, reason, until });
            }
        }
    }

    /// The member that is preferred to `active`, and whether it may take over from it. `chosen_at` is
    /// when an operator chose `active`.
    fn evaluate(
        &self,
        now: Time,
        active: MemberId,
        chosen_at: Option<Time>,
    ) -> Option<(MemberId, Takeover)> {
        let id = select::preferred(&self.candidates(), active)?;
        let (from, to) = (self.member(active)?, self.member(id)?);
        let Some(stable_since) = to.stable_since() else { return Some((id, Takeover::AtStart)) };
        let since = chosen_at.map_or(stable_since, |t| t.max(stable_since));
        let speed = to.speed.compare(from.speed);
        Some((
            id,
            Takeover::Decided(self.failbacks.evaluate(now, &self.failback_policy(), since, speed)),
        ))
    }

    /// The active member, if it would take over again at once after an operator made `id` active.
    /// Then the command moves no traffic.
    pub(super) fn reverted_by(&self, now: Time, id: MemberId) -> Option<MemberId> {
        if !self.config.mode.has_primary() {
            return None;
        }
        match self.evaluate(now, id, Some(now))? {
            (preferred, Takeover::AtStart | Takeover::Decided(Verdict::TakeOver)) => {
                (self.active == Some(preferred)).then_some(preferred)
            }
            (_, Takeover::Decided(Verdict::Wait { .. })) => None,
        }
    }

    pub(crate) fn failback_policy(&self) -> Policy {
        Policy {
            reselect: self.config.primary_reselect,
            delay: self.config.failback_delay,
            limit: self.config.failback_limit,
        }
    }

    /// Failover: the active member is disabled or removed, or there was none.
    fn choose_active(&mut self, now: Time, pending: &mut PendingEffects) {
        match select::choose(&self.candidates(), self.active_mac) {
            Choice::Enabled(id) => self.activate(id, pending),
            Choice::SkipDelay { id, until } => {
                let name = self.member(id).map_or("", |m| &m.config.name);
                pending.log_member(
                    Topic::Active,
                    Level::Info,
                    name,
                    format!(
                        "bond {}: active member is now {name}, skipping remaining {} ms updelay \
                         (since no member was enabled)",
                        self.config.name,
                        whole_ms(now, until),
                    ),
                );
                self.move_link(now, id, link::Input::Enable, pending);
                self.set_active(Some(id), pending);
                pending.moved = true;
            }
            Choice::NoMember => {
                if self.active.is_some() {
                    self.set_active(None, pending);
                    pending.log(
                        Topic::Active,
                        Level::Info,
                        format!("bond {}: all members disabled", self.config.name),
                    );
                }
            }
        }
    }

    /// Makes the member that was active before a restart active again, if its link is up at its first
    /// carrier report. Other members may have been reported before it.
    fn restore_active(&mut self, pending: &mut PendingEffects) {
        let Some(mac) = self.restore else { return };
        let Some(m) = self.members.iter().find(|m| m.config.mac == mac && m.carrier.is_some())
        else {
            // It does not exist, or has not been reported although all others have.
            self.restore =
                self.restore.filter(|_| self.members.iter().any(|m| m.carrier.is_none()));
            return;
        };
        self.restore = None;
        let (id, enabled) = (m.config.id, m.enabled());
        // A primary that would take over at once anyway stays active.
        let policy = self.failback_policy();
        let at_once = policy.reselect == PrimaryReselect::Always && policy.delay.is_zero();
        let primary = at_once && self.candidates().iter().any(|c| c.primary && c.link.enabled());
        if enabled && !primary && self.active != Some(id) {
            self.activate(id, pending);
        }
    }

    /// Makes an enabled member the active one.
    pub(super) fn activate(&mut self, id: MemberId, pending: &mut PendingEffects) {
        let name = self.member(id).map_or("", |m| &m.config.name);
        let text = format!("bond {}: active member is now {name}", self.config.name);
        pending.log_member(Topic::Active, Level::Info, name, text);
        self.set_active(Some(id), pending);
        pending.moved = true;
    }

    fn set_active(&mut self, id: Option<MemberId>, pending: &mut PendingEffects) {
        if self.active == id {
            return;
        }
        self.active = id;
        self.chosen_at = None;
        self.active_mac = id.and_then(|id| self.member(id)).map_or(EthAddr::ZERO, |m| m.config.mac);
        pending.persist = Some(self.active_mac);
        if !self.is_balanced() {
            pending.revalidate(RevalidateReason::ActiveMember);
        }
    }
}
