//! Received traffic other than control packets: whether it keeps the link forwarding
//! (`forwarding_if_rx`), and whether the link is idle (`decay_min_rx`).

use std::time::Duration;

use wire::Time;

/// Interval at which the driver reports the packet counter, in ms.
const SAMPLE: u64 = 500;
/// Minimum length of a time window in ms: device counters are updated with a delay.
const MIN_WINDOW: u64 = 2000;
/// Without control packets for this many `min_rx`, received traffic does not count.
const CONTROL_TIMEOUT_INTERVALS: u64 = 100;

#[derive(Debug)]
pub(super) struct Traffic {
    /// The last packet counter; `None` = none was reported.
    packets: Option<u64>,
    pub(super) next_sample: Time,
    /// Until when received traffic keeps the link forwarding.
    received_until: Option<Time>,
    /// Until when the last control packet allows that.
    control_until: Option<Time>,
    /// The link is idle: `decay_min_rx` applies.
    pub(super) decayed: bool,
    window: Option<Window>,
}

/// A time window in which packets are counted to detect traffic other than control packets.
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

    /// Records the packet counter. True if it has increased.
    pub(super) fn count(&mut self, now: Time, packets: u64) -> bool {
        self.next_sample = after(now, SAMPLE);
        self.packets.replace(packets).is_some_and(|before| packets > before)
    }

    /// Postpones an overdue report, for a driver that cannot read the counter.
    pub(super) fn skip_overdue_sample(&mut self, now: Time) {
        if self.next_sample <= now {
            self.next_sample = after(now, SAMPLE);
        }
    }

    /// A control packet was received, valid or not.
    pub(super) fn control_packet(&mut self) {
        if let Some(window) = &mut self.window {
            window.control += 1;
        }
    }

    /// Traffic was received; it counts for `silence` ms.
    pub(super) fn received(&mut self, now: Time, silence: u64) {
        self.received_until = Some(after(now, silence.max(MIN_WINDOW)));
    }

    pub(super) fn clear_received(&mut self) {
        self.received_until = None;
    }

    pub(super) fn control_received(&mut self, now: Time, min_rx: u64) {
        self.control_until = Some(after(now, min_rx.saturating_mul(CONTROL_TIMEOUT_INTERVALS)));
    }

    /// Until when received traffic alone keeps the link forwarding.
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

    /// The window is over: the link is idle if it received at most twice as many packets as control
    /// packets. The factor allows for the delay of the device's counter.
    pub(super) fn evaluate_window(&mut self, now: Time, decay_min_rx: u64) {
        if let Some(w) = &self.window {
            let packets = self.packets.unwrap_or(0).saturating_sub(w.packets_before);
            self.decayed = packets <= w.control.max(1).saturating_mul(2);
        }
        self.start_window(now, decay_min_rx);
    }
}
