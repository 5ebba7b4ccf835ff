//! What received traffic says beside control packets: whether the link is usable without them
//! (`forwarding_if_rx`), and whether it is idle (`decay_min_rx`).

use std::time::Duration;

use wire::Time;

/// How often the count of received packets is wanted.
const SAMPLE: u64 = 500;
/// Time windows are not shorter than this, in milliseconds: counters lag behind.
const MIN_WINDOW: u64 = 2000;
/// Control packets may be missing for this many `min_rx`.
const CONTROL_TIMEOUT_INTERVALS: u64 = 100;

#[derive(Debug)]
pub(super) struct Traffic {
    /// The link's latest count; `None` = never told.
    packets: Option<u64>,
    pub(super) next_sample: Time,
    /// Received traffic says that the link is usable.
    received_until: Option<Time>,
    /// As above, as far as control packets say so.
    control_until: Option<Time>,
    /// The link is idle: `min_rx` is to be `decay_min_rx`.
    pub(super) decayed: bool,
    window: Option<Window>,
}

/// A time in which packets are counted, to see whether there are others than control packets.
#[derive(Debug)]
struct Window {
    until: Time,
    packets_before: u64,
    control: u64,
}

fn after(now: Time, ms: u64) -> Time {
    now + Duration::from_millis(ms)
}

impl Traffic {
    pub(super) fn new(now: Time) -> Traffic {
        Traffic {
            packets: None,
            next_sample: now,
            received_until: None,
            control_until: None,
            decayed: false,
            window: None,
        }
    }

    /// True if there are more packets than last time.
    pub(super) fn count(&mut self, now: Time, packets: u64) -> bool {
        self.next_sample = after(now, SAMPLE);
        self.packets.replace(packets).is_some_and(|before| packets > before)
    }

    /// The count was wanted; a driver that does not know it is not asked again at once.
    pub(super) fn skip_overdue_sample(&mut self, now: Time) {
        if self.next_sample <= now {
            self.next_sample = after(now, SAMPLE);
        }
    }

    /// A control packet arrived, good or not.
    pub(super) fn control_packet(&mut self) {
        if let Some(window) = &mut self.window {
            window.control += 1;
        }
    }

    /// `silence` is for how many ms nothing may come.
    pub(super) fn received(&mut self, now: Time, silence: u64) {
        self.received_until = Some(after(now, silence.max(MIN_WINDOW)));
    }

    pub(super) fn clear_received(&mut self) {
        self.received_until = None;
    }

    pub(super) fn control_received(&mut self, now: Time, min_rx: u64) {
        self.control_until = Some(after(now, min_rx.saturating_mul(CONTROL_TIMEOUT_INTERVALS)));
    }

    /// Until when received traffic alone is enough.
    pub(super) fn usable_until(&self) -> Option<Time> {
        Some(self.received_until?.min(self.control_until?))
    }

    /// When [`Traffic::evaluate_window`] is due.
    pub(super) fn decay_check(&self) -> Option<Time> {
        Some(self.window.as_ref()?.until)
    }

    /// Starts a new window.
    pub(super) fn start_window(&mut self, now: Time, decay_min_rx: u64) {
        self.window = Some(Window {
            until: after(now, decay_min_rx.max(MIN_WINDOW)),
            packets_before: self.packets.unwrap_or(0),
            control: 0,
        });
    }

    /// The window is over: idle if not much more than control packets came. Twice their number
    /// is let pass, because the link's counter may lag behind.
    pub(super) fn evaluate_window(&mut self, now: Time, decay_min_rx: u64) {
        if let Some(w) = &self.window {
            let packets = self.packets.unwrap_or(0).saturating_sub(w.packets_before);
            self.decayed = packets <= w.control.max(1).saturating_mul(2);
        }
        self.start_window(now, decay_min_rx);
    }
}
