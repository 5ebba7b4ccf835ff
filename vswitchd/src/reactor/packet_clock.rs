//! The daemon's one clock, as the packet thread reads it.

use std::sync::OnceLock;

use wire::Time;

use crate::clock::{Clock, Participant};

/// The clock as the packet thread sees it.
pub(super) struct PacketClock {
    pub(super) clock: Clock,
    /// Set before the thread starts.
    pub(super) participant: OnceLock<Participant>,
}

impl datapath::Clock for PacketClock {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn round_begins(&self) {
        if let Some(participant) = self.participant.get() {
            participant.observe();
        }
    }

    fn round_ends(&self, busy: bool) {
        if let Some(participant) = self.participant.get() {
            if busy {
                participant.busy();
            }
            participant.done();
        }
    }
}
