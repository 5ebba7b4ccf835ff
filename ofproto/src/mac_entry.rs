//! The part of a MAC table's entry that cached flows share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wire::Time;

/// The part of a learned address that cached flows keep hold of.
#[derive(Debug)]
pub struct MacEntry {
    /// Nanoseconds of `Time`.
    used: AtomicU64,
}

impl MacEntry {
    /// Of a station that was heard of at `now`.
    pub(crate) fn new(now: Time) -> MacEntry {
        MacEntry { used: AtomicU64::new(now.as_nanos()) }
    }

    /// The station was heard of at `now`; takes no lock. Never goes back in time.
    pub fn touch(&self, now: Time) {
        self.used.fetch_max(now.as_nanos(), Relaxed);
    }

    /// When the station was last heard of.
    pub fn used(&self) -> Time {
        Time::from_nanos(self.used.load(Relaxed))
    }
}
