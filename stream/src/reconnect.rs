//! When to connect, when to probe the peer, when to give up.
//!
//! ```text
//!               Connect due                 versions agreed
//!   ┌─────────┐ ──────────▶ ┌────────────┐ ───────────────▶ ┌────────┐ silence: Probe ┌──────┐
//!   │ Backoff │             │ Connecting │                  │ Active │ ─────────────▶ │ Idle │
//!   └─────────┘ ◀────────── └────────────┘                  └────────┘ ◀───────────── └──────┘
//!        ▲        closed          ▲                              │        a message      │
//!        └────────────────────────┼──────────── closed ──────────┴──────── NoAnswer ─────┘
//!                             accepted (and when closed: Gone)
//! ```
//!
//! The times are Open vSwitch's: the wait begins with `min_backoff` (one second), doubles to
//! `max_backoff`, and begins anew after a connection that lasted longer than the wait before it.

use std::time::Duration;

use wire::Time;

/// Times of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The shortest wait between two attempts to connect, and the shortest time that an attempt is
    /// given.
    pub min_backoff: Duration,
    /// The longest wait between two attempts to connect; at least `min_backoff`.
    pub max_backoff: Duration,
    /// Silence before a probe is sent; `None`: none is sent.
    pub probe: Option<Duration>,
}

/// A connection that lasted this long was admitted by the peer.
const ADMITTED_AFTER: Duration = Duration::from_secs(30);

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting before the next attempt.
    Backoff,
    /// The socket is being connected, or versions are being agreed on.
    Connecting,
    /// The connection stands.
    Active,
    /// The peer was silent and a probe was sent.
    Idle,
    /// An accepted connection that is over.
    Gone,
}

impl State {
    /// The name in the database, for example in `Controller.status:state`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Backoff => "BACKOFF",
            State::Connecting => "CONNECTING",
            State::Active => "ACTIVE",
            State::Idle => "IDLE",
            State::Gone => "DISCONNECTED",
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Open a socket; then call [`Reconnect::opening`].
    Connect,
    /// Close the socket: connecting took too long. Then call [`Reconnect::closed`].
    TimedOut,
    /// Send a probe: the peer was silent for this long.
    Probe(Duration),
    /// Close the socket: the probe was not answered for this long. Then call [`Reconnect::closed`].
    NoAnswer(Duration),
}

/// What follows the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt after `min_backoff`, not logged.
    Soon,
    /// Another attempt after this time, longer than the last.
    Later(Duration),
    /// The longest wait is reached: from here on attempts are not logged.
    Quietly,
    /// Another attempt after the longest wait, not logged.
    AsBefore,
    /// The connection was accepted: there is no other attempt.
    Gone,
}

/// The reconnection of one peer; see the [module](self).
#[derive(Clone, Debug)]
pub struct Reconnect {
    timing: Timing,
    /// The connection is made again when it ends.
    reliable: bool,
    state: State,
    /// When `state` was entered.
    since: Time,
    backoff: Duration,
    /// A connection that ends after this time resets the wait.
    good_after: Option<Time>,
    connected: Option<Time>,
    disconnected: Option<Time>,
    error: Option<String>,
    active: Time,
    probably_admitted: bool,
    admitted: Time,
}

impl Reconnect {
    /// For a peer to connect to; the first [`Due::Connect`] is due at once.
    pub fn active(now: Time, timing: Timing) -> Reconnect {
        Reconnect::new(now, timing, true)
    }

    /// For a connection that was accepted: [`State::Connecting`] until versions are agreed on.
    pub fn accepted(now: Time, timing: Timing) -> Reconnect {
        Reconnect { state: State::Connecting, ..Reconnect::new(now, timing, false) }
    }

    fn new(now: Time, timing: Timing, reliable: bool) -> Reconnect {
        Reconnect {
            timing,
            reliable,
            state: State::Backoff,
            since: now,
            backoff: Duration::ZERO,
            good_after: Some(Time::ZERO),
            connected: None,
            disconnected: None,
            error: None,
            active: now,
            probably_admitted: false,
            admitted: now,
        }
    }

    /// Sets the times; a wait that is longer than the new limit is shortened.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
        if self.state == State::Backoff {
            self.backoff = self.backoff.min(timing.max_backoff);
        }
    }

    fn enter(&mut self, now: Time, state: State) {
        self.state = state;
        self.since = now;
    }

    /// How long `state` may last without an event.
    fn limit(&self) -> Option<Duration> {
        match self.state {
            State::Backoff => Some(self.backoff),
            State::Connecting => Some(self.backoff.max(self.timing.min_backoff)),
            State::Active => {
                let probe = self.timing.probe?;
                Some(self.since.until(self.active.max(self.since)) + probe)
            }
            State::Idle => self.timing.probe,
            State::Gone => None,
        }
    }

    /// When [`Reconnect::poll`] is due without another event.
    pub fn next_deadline(&self) -> Option<Time> {
        Some(self.since + self.limit()?)
    }

    /// What is due. To be called until it returns `None`.
    pub fn poll(&mut self, now: Time) -> Option<Due> {
        if now < self.next_deadline()? {
            return None;
        }
        match self.state {
            State::Backoff => Some(Due::Connect),
            State::Connecting => Some(Due::TimedOut),
            State::Active => {
                let silent = now.since(self.active.max(self.since));
                self.enter(now, State::Idle);
                Some(Due::Probe(silent))
            }
            State::Idle => Some(Due::NoAnswer(now.since(self.since))),
            State::Gone => None,
        }
    }

    /// A socket is being connected.
    pub fn opening(&mut self, now: Time) {
        self.good_after = Some(now + self.backoff);
        self.enter(now, State::Connecting);
    }

    /// The socket is connected and a version is agreed on.
    pub fn connected(&mut self, now: Time) {
        self.probably_admitted = false;
        self.connected = Some(now);
        self.enter(now, State::Active);
    }

    /// A message was received; `admits` if it is one that a controller sends only to a switch that
    /// it has admitted.
    pub fn received(&mut self, now: Time, admits: bool) {
        let lasted = self.connected.is_some_and(|t| now.since(t) >= ADMITTED_AFTER);
        if self.probably_admitted || admits || lasted {
            self.probably_admitted = true;
            self.admitted = now;
        }
        self.active = now;
        if self.state == State::Idle {
            self.enter(now, State::Active);
        }
    }

    /// The socket took a message that had to wait for it.
    pub fn sent(&mut self, now: Time) {
        self.active = now;
    }

    /// The connection has ended, or could not be made. `error` is `None` if that was requested.
    /// A connection that `timed_out` does not shorten the wait however long it took.
    pub fn closed(&mut self, now: Time, error: Option<String>, timed_out: bool) -> Next {
        self.error = error;
        let was_open = match self.state {
            State::Connecting | State::Active | State::Idle => true,
            State::Backoff | State::Gone => false,
        };
        if !self.reliable {
            self.disconnected = Some(now);
            self.enter(now, State::Gone);
            return Next::Gone;
        }
        if was_open {
            self.disconnected = Some(now);
        }
        let max = self.timing.max_backoff;
        let next = if !timed_out && self.good_after.is_some_and(|t| now >= t) {
            self.backoff = self.timing.min_backoff;
            Next::Soon
        } else if self.backoff < max / 2 {
            self.backoff = (2 * self.backoff).max(self.timing.min_backoff);
            Next::Later(self.backoff)
        } else {
            let loud = self.is_loud();
            self.backoff = max;
            if loud { Next::Quietly } else { Next::AsBefore }
        };
        self.good_after = Some(now + self.backoff);
        self.enter(now, State::Backoff);
        next
    }

    /// Attempts are to be logged.
    pub fn is_loud(&self) -> bool {
        self.backoff < self.timing.max_backoff
    }

    /// Where the connection is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The connection stands.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Active | State::Idle)
    }

    /// Connected, and the peer has probably admitted us.
    pub fn is_admitted(&self) -> bool {
        self.is_connected() && self.connected.is_some_and(|t| self.admitted >= t)
    }

    /// How long there has been no admitted connection; 0 while there is one.
    pub fn failing_for(&self, now: Time) -> Duration {
        if self.is_admitted() { Duration::ZERO } else { now.since(self.admitted) }
    }

    /// When the last connection was made.
    pub fn last_connected(&self) -> Option<Time> {
        self.connected
    }

    /// When the last connection or attempt ended.
    pub fn last_disconnected(&self) -> Option<Time> {
        self.disconnected
    }

    /// Why the last connection ended, or could not be made.
    pub fn last_error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const TIMING: Timing = Timing {
        min_backoff: SECOND,
        max_backoff: Duration::from_secs(8),
        probe: Some(Duration::from_secs(5)),
    };

    fn at(ms: u64) -> Time {
        Time::from_millis(1_000 + ms)
    }

    fn refused() -> Option<String> {
        Some("Connection refused".to_owned())
    }

    /// Seen with Open vSwitch: 1, 2, 4, 8, 8, ... seconds.
    #[test]
    fn waits_double_until_the_longest_is_no_longer_logged() {
        let mut r = Reconnect::active(at(0), TIMING);
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert_eq!(r.poll(now), Some(Due::Connect));
            r.opening(now);
            assert_eq!(r.state(), State::Connecting);
            let next = r.closed(now, refused(), false);
            assert_eq!(r.poll(now), None);
            let at = r.next_deadline().unwrap();
            waits.push((now.until(at).as_secs(), next));
            now = at;
        }
        let later = |s| Next::Later(Duration::from_secs(s));
        assert_eq!(
            waits,
            [
                (1, Next::Soon),
                (2, later(2)),
                (4, later(4)),
                (8, Next::Quietly),
                (8, Next::AsBefore),
                (8, Next::AsBefore)
            ]
        );
        assert_eq!(r.last_error(), Some("Connection refused"));
    }

    #[test]
    fn a_connection_that_lasted_resets_the_wait() {
        let mut r = Reconnect::active(at(0), TIMING);
        for (start, _) in [(0, 0), (1_000, 0), (3_000, 0)] {
            r.opening(at(start));
            r.closed(at(start), refused(), false);
        }
        r.opening(at(7_000));
        r.connected(at(7_010));
        assert!(r.is_connected());
        assert_eq!(r.closed(at(12_000), refused(), false), Next::Soon);
        assert_eq!(r.next_deadline(), Some(at(13_000)));
        // One that hung in the middle was none.
        r.opening(at(13_000));
        assert_eq!(r.poll(at(14_000)), Some(Due::TimedOut));
        let next = r.closed(at(14_000), Some("Connection timed out".to_owned()), true);
        assert_eq!(next, Next::Later(Duration::from_secs(2)));
    }

    #[test]
    fn silence_is_probed_and_then_ends_the_connection() {
        let mut r = Reconnect::active(at(0), TIMING);
        r.opening(at(0));
        r.connected(at(0));
        r.received(at(2_000), false);
        assert_eq!(r.poll(at(6_999)), None);
        assert_eq!(r.poll(at(7_000)), Some(Due::Probe(Duration::from_secs(5))));
        r.received(at(8_000), false);
        assert_eq!(r.state(), State::Active);
        assert_eq!(r.poll(at(13_000)), Some(Due::Probe(Duration::from_secs(5))));
        assert_eq!(r.poll(at(17_999)), None);
        assert_eq!(r.poll(at(18_000)), Some(Due::NoAnswer(Duration::from_secs(5))));
    }

    #[test]
    fn accepted_connections_time_out_after_a_second_and_are_gone() {
        let mut r = Reconnect::accepted(at(0), TIMING);
        assert_eq!(r.poll(at(999)), None);
        assert_eq!(r.poll(at(1_000)), Some(Due::TimedOut));
        assert_eq!(r.closed(at(1_000), None, true), Next::Gone);
        assert_eq!((r.poll(at(9_000)), r.next_deadline()), (None, None));
    }

    #[test]
    fn failing_for_counts_from_the_last_admission() {
        let mut r = Reconnect::active(at(0), TIMING);
        r.opening(at(4_000));
        r.connected(at(4_000));
        assert_eq!(r.failing_for(at(5_000)), Duration::from_secs(5));
        r.received(at(5_000), false);
        assert!(!r.is_admitted());
        r.received(at(6_000), true);
        assert!(r.is_admitted());
        assert_eq!(r.failing_for(at(60_000)), Duration::ZERO);
        r.closed(at(60_000), refused(), false);
        assert_eq!(r.failing_for(at(61_000)), Duration::from_secs(55));
        // Without a word that says so, half a minute does.
        r.opening(at(61_000));
        r.connected(at(61_000));
        r.received(at(90_999), false);
        assert!(!r.is_admitted());
        r.received(at(91_000), false);
        assert!(r.is_admitted());
    }

    proptest! {
        /// Whatever happens, in whatever order: the wait stays within its limits, there is
        /// always something to wait for (or the connection is over), and time does not stand
        /// still, which would make the loop spin.
        #[test]
        fn any_order_of_events_keeps_the_wait_in_its_limits(
            steps in prop::collection::vec((0u8..6, 0u64..20_000), 1..200),
            max in 1u64..20,
            probe in prop::option::of(5u64..20),
            reliable: bool,
        ) {
            let max_backoff = Duration::from_secs(max);
            let probe = probe.map(Duration::from_secs);
            let timing = Timing { min_backoff: SECOND, max_backoff, probe };
            let mut now = at(0);
            let mut r = match reliable {
                true => Reconnect::active(now, timing),
                false => Reconnect::accepted(now, timing),
            };
            for (what, ms) in steps {
                now = now + Duration::from_millis(ms);
                match (what, r.state()) {
                    (0, State::Backoff) => r.opening(now),
                    (1, State::Connecting) => r.connected(now),
                    (2, State::Connecting | State::Active | State::Idle) => {
                        let before = r.backoff;
                        let next = r.closed(now, refused(), ms % 2 == 0);
                        prop_assert_eq!(next == Next::Gone, !reliable);
                        prop_assert!(r.backoff >= before || r.backoff == SECOND
                            || r.backoff == max_backoff);
                    }
                    (3, State::Active | State::Idle) => r.received(now, ms % 2 == 0),
                    (4, State::Active | State::Idle) => r.sent(now),
                    _ => {
                        let due = r.poll(now);
                        match due {
                            Some(Due::Connect) => r.opening(now),
                            Some(Due::TimedOut) => { r.closed(now, refused(), true); }
                            Some(Due::NoAnswer(_)) => { r.closed(now, refused(), false); }
                            Some(Due::Probe(_)) | None => {}
                        }
                        prop_assert!(r.next_deadline().is_none_or(|t| t > now));
                    }
                }
                prop_assert!(r.backoff <= max_backoff.max(SECOND));
                prop_assert!(!r.is_admitted() || r.is_connected());
                match r.state() {
                    State::Backoff | State::Connecting => prop_assert!(r.next_deadline().is_some()),
                    State::Active | State::Idle => {
                        prop_assert_eq!(r.next_deadline().is_some(), probe.is_some());
                    }
                    State::Gone => prop_assert!(r.next_deadline().is_none()),
                }
            }
        }
    }
}
