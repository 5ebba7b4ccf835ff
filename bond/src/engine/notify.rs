//! When peers are notified that traffic has moved.

use wire::Time;

use super::Bond;
use crate::config::Mode;
use crate::lacp::status::LacpState;
use crate::notify::Repetition;
use crate::pending::PendingEffects;

impl Bond {
    /// Asks for an announcement if traffic has moved, or if a repetition is due.
    pub(super) fn notify(&mut self, now: Time, pending: &mut PendingEffects) {
        if !self.may_notify() {
            self.notifications = Repetition::Done;
            return;
        }
        let config = &self.config.notify;
        let (next, announce) = self.notifications.next(now, pending.moved, config);
        self.notifications = next;
        pending.notify = Some(config.packets).filter(|p| announce && !p.is_empty());
    }

    /// Announcements are needed where the other end is not aware of the bond (no LACP partner).
    fn may_notify(&self) -> bool {
        let unaware = match self.lacp_state() {
            LacpState::Off => match self.config.mode {
                Mode::ActiveBackup
                | Mode::BalanceSlb
                | Mode::BalanceRr
                | Mode::BalanceXor
                | Mode::BalanceTlb => true,
                // Its packets leave by every member anyway.
                Mode::Broadcast => false,
                Mode::BalanceTcp | Mode::Ieee8023ad => false,
            },
            LacpState::Configured => self.may_fall_back(),
            LacpState::Negotiated => false,
        };
        unaware && self.active.is_some() && !self.below_min_links
    }
}
