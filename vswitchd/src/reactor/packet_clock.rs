//! The daemon's one clock, as the packet thread reads it.

use std::sync::OnceLock;

use wire::Time;

use crate::clock::{Clock, Waiter};

/// The clock as the packet thread sees it.
pub(super) struct PacketClock {
    pub(super) clock: Clock,
    /// Set before the thread starts.
    pub(super) waiter: OnceLock<Waiter>,
}

impl datapath::Clock for PacketClock {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn round_begins(&self) {
        if let Some(waiter) = self.waiter.get() {
            waiter.see();
        }
    }

    fn round_ends(&self, busy: bool) {
        if let Some(waiter) = self.waiter.get() {
            if busy {
                waiter.busy();
            }
            waiter.done();
        }
    }
}
