//! `fail_mode=standalone` with controllers: what happens when none of them answers.
//!
//! After three times the longest probe interval (one of silence, one for the answer, one to call
//! again) without a controller, the bridge forgets all flows and becomes a learning switch, until
//! a controller is there that wants it. While such a one is only connected, made-up packets ask it
//! for a word every two seconds.

use std::time::Duration;

use wire::Time;

/// Priority of the flow that stands in for the controller. Low enough for 16 bits: it is shown.
pub(crate) const PRIORITY: u16 = 0xf0f0;

const BOGUS: Duration = Duration::from_secs(2);
const REPEAT: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Without a controller for this long: flush everything and put the flow in.
    Open(Duration),
    /// Still without one.
    Still(Duration),
    /// Send the controllers a packet.
    Bogus,
}

/// A bridge's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailOpen {
    /// Open, and how long there was no controller when that was said.
    open: Option<Duration>,
    next_bogus: Option<Time>,
}

impl FailOpen {
    /// Works out what is due. `failing` is how long no controller has wanted this switch,
    /// `longest_probe` the longest probe interval of a primary controller (zero if none is
    /// probed), `connected` whether a primary controller is.
    pub(crate) fn run(
        &mut self,
        now: Time,
        failing: Duration,
        longest_probe: Duration,
        connected: bool,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        // In whole seconds: less than one is no failure.
        let failing = Duration::from_secs(failing.as_secs());
        if !failing.is_zero() && failing >= longest_probe * 3 {
            match self.open {
                None => {
                    self.open = Some(failing);
                    acts.push(Act::Open(failing));
                }
                Some(said) if failing > said + REPEAT => {
                    self.open = Some(failing);
                    acts.push(Act::Still(failing));
                }
                Some(_) => {}
            }
        }
        if self.open.is_some() {
            if connected {
                let expired = self.next_bogus.is_some_and(|t| now >= t);
                if expired {
                    acts.push(Act::Bogus);
                }
                if expired || self.next_bogus.is_none() {
                    self.next_bogus = Some(now + BOGUS);
                }
            } else {
                self.next_bogus = None;
            }
        }
        acts
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A controller is there again: the flow goes, all else stays.
    pub(crate) fn recover(&mut self) {
        *self = FailOpen::default();
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.next_bogus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn opens_after_three_intervals_and_recovers() {
        let mut f = FailOpen::default();
        let at = |s: u64| Time::from_millis(s * 1000);
        assert_eq!(f.run(at(0), Duration::ZERO, 5 * S, true), []);
        assert_eq!(f.run(at(14), 14 * S, 5 * S, false), []);
        assert_eq!(f.run(at(15), 15 * S, 5 * S, false), [Act::Open(15 * S)]);
        assert!(f.is_open());
        assert_eq!(f.run(at(75), 75 * S, 5 * S, false), []);
        assert_eq!(f.run(at(76), 76 * S, 5 * S, false), [Act::Still(76 * S)]);
        assert_eq!(f.run(at(80), 80 * S, 5 * S, true), []);
        assert_eq!(f.next_deadline(), Some(at(82)));
        assert_eq!(f.run(at(82), 82 * S, 5 * S, true), [Act::Bogus]);
        f.recover();
        assert_eq!((f.is_open(), f.next_deadline()), (false, None));
        assert_eq!(f.run(at(83), Duration::ZERO, 5 * S, true), []);
    }

    /// As Open vSwitch: a controller that is not probed has no time to be waited for.
    #[test]
    fn without_probes_it_opens_after_a_second() {
        let mut f = FailOpen::default();
        let now = Time::from_millis(5_000);
        assert_eq!(f.run(now, 999 * S / 1000, Duration::ZERO, false), []);
        assert_eq!(f.run(now, S, Duration::ZERO, false), [Act::Open(S)]);
    }
}
