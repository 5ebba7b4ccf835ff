//! What MAC tables count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// What the table has done since it was made or its statistics were cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MacStats {
    /// Addresses that were added.
    pub learned: u64,
    /// Addresses that were not heard of for the ageing time.
    pub expired: u64,
    /// Addresses that made room for others.
    pub evicted: u64,
    /// Addresses that moved to another port.
    pub moved: u64,
}

/// The events of all tables since the program started, for `coverage/show`.
#[derive(Debug, Default)]
pub struct MacCoverage {
    learned: AtomicU64,
    expired: AtomicU64,
    evicted: AtomicU64,
    moved: AtomicU64,
    /// A packet from a static address came by another port.
    static_none_move: AtomicU64,
}

impl MacCoverage {
    /// An address was learned.
    pub(crate) fn learned(&self) {
        self.learned.fetch_add(1, Relaxed);
    }

    /// An address was not heard of for the ageing time.
    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    /// An address made room for another.
    pub(crate) fn evicted(&self) {
        self.evicted.fetch_add(1, Relaxed);
    }

    /// An address moved to another port.
    pub(crate) fn moved(&self) {
        self.moved.fetch_add(1, Relaxed);
    }

    /// A packet from a static address came by another port.
    pub(crate) fn static_none_move(&self) {
        self.static_none_move.fetch_add(1, Relaxed);
    }

    /// Each counter by the name that Open vSwitch gives it.
    pub fn counters(&self) -> [(&'static str, u64); 5] {
        [
            ("mac_learning_learned", &self.learned),
            ("mac_learning_expired", &self.expired),
            ("mac_learning_evicted", &self.evicted),
            ("mac_learning_moved", &self.moved),
            ("mac_learning_static_none_move", &self.static_none_move),
        ]
        .map(|(name, counter)| (name, counter.load(Relaxed)))
    }
}
