//! `fail_mode=standalone` with controllers: what the bridge does while none of them answers.
//!
//! After three times the longest probe interval (one of silence, one for the answer, one to connect
//! again) without a controller that has admitted the switch, the bridge removes all flows and becomes
//! a learning switch. That ends when a controller admits the switch. While a controller is connected
//! that has not done so, the bridge sends it a packet-in every two seconds to make it answer.

use std::time::Duration;

use wire::Time;

/// Priority of the flow `actions=NORMAL`. It fits OpenFlow's 16 bits, so that the flow is shown.
pub(crate) const PRIORITY: u16 = 0xf0f0;

/// Time between two packet-ins.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two log lines while it lasts.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the bridge is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailOpenAction {
    /// No controller for this long: remove all flows and add `actions=NORMAL`.
    Open(Duration),
    /// Still none after this long: log it.
    StillOpen(Duration),
    /// Send the controllers a packet-in.
    SendProbe,
}

/// The state of one bridge.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailOpen {
    /// Open; without a controller for this long when that was last logged.
    open: Option<Duration>,
    next_probe: Option<Time>,
}

impl FailOpen {
    /// What is due. `failing` is how long no controller has admitted this switch,
    /// `longest_probe` the longest probe interval of a primary controller (zero if none is
    /// probed), `connected` whether a primary controller is.
    pub(crate) fn run(
        &mut self,
        now: Time,
        failing: Duration,
        longest_probe: Duration,
        connected: bool,
    ) -> Vec<FailOpenAction> {
        let mut actions = Vec::new();
        // In whole seconds: less than one is no failure.
        let failing = Duration::from_secs(failing.as_secs());
        if !failing.is_zero() && failing >= longest_probe * 3 {
            match self.open {
                None => {
                    self.open = Some(failing);
                    actions.push(FailOpenAction::Open(failing));
                }
                Some(said) if failing > said + LOG_INTERVAL => {
                    self.open = Some(failing);
                    actions.push(FailOpenAction::StillOpen(failing));
                }
                Some(_) => {}
            }
        }
        if self.open.is_some() {
            if connected {
                let expired = self.next_probe.is_some_and(|t| now >= t);
                if expired {
                    actions.push(FailOpenAction::SendProbe);
                }
                if expired || self.next_probe.is_none() {
                    self.next_probe = Some(now + PROBE_INTERVAL);
                }
            } else {
                self.next_probe = None;
            }
        }
        actions
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A controller has admitted the switch: the flow is to be removed, all else stays.
    pub(crate) fn recover(&mut self) {
        *self = FailOpen::default();
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.next_probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn unreachable_controller_opens_after_three_intervals_then_recovers() {
        let mut f = FailOpen::default();
        let at = |s: u64| Time::from_millis(s * 1000);
        assert_eq!(f.run(at(0), Duration::ZERO, 5 * S, true), []);
        assert_eq!(f.run(at(14), 14 * S, 5 * S, false), []);
        assert_eq!(f.run(at(15), 15 * S, 5 * S, false), [FailOpenAction::Open(15 * S)]);
        assert!(f.is_open());
        assert_eq!(f.run(at(75), 75 * S, 5 * S, false), []);
        assert_eq!(f.run(at(76), 76 * S, 5 * S, false), [FailOpenAction::StillOpen(76 * S)]);
        assert_eq!(f.run(at(80), 80 * S, 5 * S, true), []);
        assert_eq!(f.next_deadline(), Some(at(82)));
        assert_eq!(f.run(at(82), 82 * S, 5 * S, true), [FailOpenAction::SendProbe]);
        f.recover();
        assert_eq!((f.is_open(), f.next_deadline()), (false, None));
        assert_eq!(f.run(at(83), Duration::ZERO, 5 * S, true), []);
    }

    /// As in Open vSwitch: without probes the limit is zero, and one second is the shortest failure.
    #[test]
    fn unprobed_controller_opens_after_one_second() {
        let mut f = FailOpen::default();
        let now = Time::from_millis(5_000);
        assert_eq!(f.run(now, 999 * S / 1000, Duration::ZERO, false), []);
        assert_eq!(f.run(now, S, Duration::ZERO, false), [FailOpenAction::Open(S)]);
    }
}
