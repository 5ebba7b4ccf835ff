use proptest::prelude::*;

use super::Rules::{OpenFlow, Ovsdb};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

const TIMING: Timing = Timing {
    min_backoff: SECOND,
    max_backoff: Duration::from_secs(8),
    resolve: Some(Duration::from_secs(30)),
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
    let mut r = Reconnect::active(at(0), OpenFlow, TIMING);
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
    let mut r = Reconnect::active(at(0), OpenFlow, TIMING);
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
    let mut r = Reconnect::active(at(0), OpenFlow, TIMING);
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
    let mut r = Reconnect::accepted(at(0), OpenFlow, TIMING);
    assert_eq!(r.poll(at(999)), None);
    assert_eq!(r.poll(at(1_000)), Some(Due::TimedOut));
    assert_eq!(r.closed(at(1_000), None, true), Next::Gone);
    assert_eq!((r.poll(at(9_000)), r.next_deadline()), (None, None));
}

#[test]
fn failing_for_counts_from_the_last_admission() {
    let mut r = Reconnect::active(at(0), OpenFlow, TIMING);
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

#[test]
fn an_ovsdb_session_tries_every_server_before_it_waits() {
    let mut r = Reconnect::active(at(0), Ovsdb, TIMING);
    r.set_round(3);
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(r.poll(now), Some(Due::Connect));
        r.opening(now);
        r.closed(now, refused(), false);
        waits.push(r.wait().as_secs());
        now = now + r.wait();
    }
    assert_eq!(waits, [0, 0, 1, 0, 0, 2, 0, 0, 4, 0, 0, 8]);
    assert_eq!(r.last_disconnected(), None, "attempts are no connections");
}

#[test]
fn an_ovsdb_session_begins_anew_after_messages_for_as_long_as_the_wait() {
    // Time from the connection to its last message and to its end, and the wait that follows.
    for (heard, ended, wait) in [(3_999, 9_000, 8), (4_000, 9_000, 1), (0, 9_000, 8)] {
        let mut r = Reconnect::active(at(0), Ovsdb, TIMING);
        for start in [0, 1_000, 3_000] {
            r.opening(at(start));
            r.closed(at(start), refused(), false);
        }
        assert_eq!(r.wait(), Duration::from_secs(4));
        r.opening(at(7_000));
        r.connected(at(7_000));
        r.received(at(7_000 + heard), false);
        r.closed(at(7_000 + ended), refused(), false);
        assert_eq!(r.wait(), Duration::from_secs(wait), "{heard}");
        assert_eq!(r.last_disconnected(), Some(at(7_000 + ended)));
    }
}

#[test]
fn resolving_has_a_limit_of_its_own_before_the_attempt() {
    let mut r = Reconnect::active(at(0), Ovsdb, TIMING);
    r.resolving(at(0));
    assert_eq!(r.poll(at(29_999)), None);
    assert_eq!(r.poll(at(30_000)), Some(Due::TimedOut));
    r.opening(at(30_000));
    assert_eq!(r.poll(at(30_999)), None);
    assert_eq!(r.poll(at(31_000)), Some(Due::TimedOut));
    r.set_timing(Timing { resolve: None, ..TIMING });
    r.resolving(at(31_000));
    assert_eq!(r.next_deadline(), None);
}

#[test]
fn a_listening_session_waits_for_the_peer() {
    let mut r = Reconnect::active(at(0), Ovsdb, TIMING);
    r.opening(at(0));
    r.closed(at(0), refused(), false);
    r.listening(at(1_000));
    assert_eq!((r.poll(at(99_000)), r.next_deadline()), (None, None));
    r.opening(at(99_000));
    r.connected(at(99_000));
    assert_eq!(r.poll(at(104_000)), Some(Due::Probe(Duration::from_secs(5))));
    assert_eq!(r.silent_for(at(106_000)), Duration::from_secs(7));
    // The listening socket failed: the wait is the first.
    r.listening(at(106_000));
    r.closed(at(106_000), refused(), false);
    assert_eq!(r.wait(), SECOND);
}

proptest! {
    /// Whatever happens, in whatever order: the wait stays within its limits, there is
    /// always something to wait for (or the connection is over), and time does not stand
    /// still, which would make the loop spin.
    #[test]
    fn any_order_of_events_keeps_the_wait_in_its_limits(
        steps in prop::collection::vec((0u8..8, 0u64..20_000), 1..200),
        max in 1u64..20,
        probe in prop::option::of(5u64..20),
        reliable: bool,
        ovsdb: bool,
        round in 1u32..4,
    ) {
        let max_backoff = Duration::from_secs(max);
        let probe = probe.map(Duration::from_secs);
        let resolve = Some(Duration::from_secs(30));
        let timing = Timing { min_backoff: SECOND, max_backoff, resolve, probe };
        let mut now = at(0);
        let rules = if ovsdb { Ovsdb } else { OpenFlow };
        let mut r = match reliable {
            true => Reconnect::active(now, rules, timing),
            false => Reconnect::accepted(now, rules, timing),
        };
        r.set_round(round);
        let mut at_once = 0;
        for (what, ms) in steps {
            now = now + Duration::from_millis(ms);
            match (what, r.state()) {
                (0, State::Backoff) => r.opening(now),
                (1, State::Connecting) => r.connected(now),
                (2, State::Connecting | State::Active | State::Idle) => {
                    let before = r.backoff;
                    let next = r.closed(now, refused(), ms % 2 == 0);
                    prop_assert_eq!(next == Next::Gone, !reliable);
                    at_once = if next == Next::AtOnce { at_once + 1 } else { 0 };
                    prop_assert!(at_once < round);
                    prop_assert!(r.backoff >= before || r.backoff == SECOND
                        || r.backoff == max_backoff || next == Next::AtOnce);
                }
                (3, State::Active | State::Idle) => {
                    r.received(now, ms % 2 == 0);
                    at_once = 0;
                }
                (4, State::Active | State::Idle) if !ovsdb => r.sent(now),
                (6, State::Backoff) => r.resolving(now),
                (7, State::Backoff) => {
                    r.listening(now);
                    at_once = 0;
                }
                (0, State::Resolving | State::Listening) => r.opening(now),
                _ => {
                    let closed = match r.poll(now) {
                        Some(Due::Connect) => {
                            r.opening(now);
                            None
                        }
                        Some(Due::TimedOut) => Some(r.closed(now, refused(), true)),
                        Some(Due::NoAnswer(_)) => Some(r.closed(now, refused(), false)),
                        Some(Due::Probe(_)) | None => None,
                    };
                    if let Some(next) = closed {
                        at_once = if next == Next::AtOnce { at_once + 1 } else { 0 };
                    }
                    let spins = r.wait() > Duration::ZERO || r.state() != State::Backoff;
                    prop_assert!(!spins || r.next_deadline().is_none_or(|t| t > now));
                }
            }
            prop_assert!(r.backoff <= max_backoff.max(SECOND));
            prop_assert!(!r.is_admitted() || r.is_connected());
            match r.state() {
                State::Backoff | State::Resolving | State::Connecting => {
                    prop_assert!(r.next_deadline().is_some());
                }
                State::Active | State::Idle => {
                    prop_assert_eq!(r.next_deadline().is_some(), probe.is_some());
                }
                State::Listening | State::Gone => prop_assert!(r.next_deadline().is_none()),
            }
        }
    }
}
