//! Counts of translations.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;
use wire::Time;

use crate::translate::XlateOut;

/// The least time between two failed translations whose traces are logged.
const FAILURE_INTERVAL: Duration = Duration::from_secs(60);

/// Translations since the program started, for `coverage/show`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfprotoStats {
    /// All of them.
    pub translated: u64,
    /// Dropped because they ran in circles over patch ports.
    pub looped: u64,
    /// From a port, or with a recirculation identity, that no bridge has.
    pub unknown: u64,
    /// Times that learning called for revalidation.
    pub learned_wakes: u64,
    /// Packets for controllers that a full queue did not take.
    pub packet_ins_lost: u64,
}

/// The counters behind [`OfprotoStats`].
#[derive(Debug, Default)]
pub(crate) struct Totals {
    translated: AtomicU64,
    looped: AtomicU64,
    unknown: AtomicU64,
    learned_wakes: AtomicU64,
    packet_ins_lost: AtomicU64,
    /// When the trace of a failed translation last went to the log, in milliseconds; 0: never.
    failure_logged: AtomicU64,
}

impl Totals {
    /// Counts a translation.
    pub(crate) fn translated(&self, out: &XlateOut) {
        self.translated.fetch_add(1, Relaxed);
        if out.looped {
            self.looped.fetch_add(1, Relaxed);
        }
        if !out.install {
            self.unknown.fetch_add(1, Relaxed);
        }
    }

    /// Learning called for revalidation.
    pub(crate) fn learned_wake(&self) {
        self.learned_wakes.fetch_add(1, Relaxed);
    }

    /// A full queue did not take a packet for controllers.
    pub(crate) fn packet_in_lost(&self) {
        self.packet_ins_lost.fetch_add(1, Relaxed);
    }

    /// Whether the trace of a failed translation may go to the log: at most one in
    /// [`FAILURE_INTERVAL`]. The caller that gets `true` is to log it.
    pub(crate) fn may_log_failure(&self, now: Time) -> bool {
        let before = self.failure_logged.load(Relaxed);
        let now_ms = now.as_millis().max(1);
        let due = before == 0
            || u128::from(now_ms.saturating_sub(before)) >= FAILURE_INTERVAL.as_millis();
        due && self.failure_logged.compare_exchange(before, now_ms, Relaxed, Relaxed).is_ok()
    }

    /// The counters now.
    pub(crate) fn stats(&self) -> OfprotoStats {
        OfprotoStats {
            translated: self.translated.load(Relaxed),
            looped: self.looped.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            learned_wakes: self.learned_wakes.load(Relaxed),
            packet_ins_lost: self.packet_ins_lost.load(Relaxed),
        }
    }
}
