//! A limit on packets for a controller (`Controller.controller_rate_limit`): a token bucket and,
//! for those that find it empty, a queue for each port that is emptied in turn.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use openflow::OfPort;
use wire::Time;

/// Holds packets of type `P` back.
pub(super) struct Limiter<P = Vec<u8>> {
    /// Packets in a second.
    rate: u32,
    burst: u32,
    /// Thousandths of a packet.
    tokens: u64,
    filled: Time,
    queues: BTreeMap<OfPort, VecDeque<P>>,
    queued: usize,
    /// The port whose turn was last.
    last: Option<OfPort>,
    pub(super) dropped: u64,
}

/// A packet's worth of tokens.
const PACKET: u64 = 1000;

impl<P> Limiter<P> {
    /// No limit for a rate of 0.
    pub(super) fn new(now: Time, rate: u32, burst: u32) -> Option<Limiter<P>> {
        let burst = if burst == 0 { rate / 4 } else { burst }.max(1);
        (rate > 0).then(|| Limiter {
            rate,
            burst,
            tokens: u64::from(burst) * PACKET,
            filled: now,
            queues: BTreeMap::new(),
            queued: 0,
            last: None,
            dropped: 0,
        })
    }

    /// Goes on with what waited under another limit, as far as there is room.
    pub(super) fn with_queues_of(mut self, old: Limiter<P>) -> Limiter<P> {
        (self.queues, self.queued, self.last) = (old.queues, old.queued, old.last);
        self.dropped = old.dropped;
        while self.queued > self.burst as usize {
            self.drop_one();
        }
        self
    }

    fn fill(&mut self, now: Time) {
        let passed = now.since(self.filled).as_millis() as u64;
        if passed > 0 {
            let more = passed.saturating_mul(u64::from(self.rate));
            self.tokens = self.tokens.saturating_add(more).min(u64::from(self.burst) * PACKET);
            self.filled = now;
        }
    }

    fn take(&mut self, now: Time) -> bool {
        self.fill(now);
        let enough = self.tokens >= PACKET;
        if enough {
            self.tokens -= PACKET;
        }
        enough
    }

    /// The packet, if it may go now; else it waits, and may push out one of the longest queue.
    pub(super) fn offer(&mut self, now: Time, port: OfPort, packet: P) -> Option<P> {
        if self.queued == 0 && self.take(now) {
            return Some(packet);
        }
        if self.queued >= self.burst as usize {
            self.drop_one();
        }
        self.queues.entry(port).or_default().push_back(packet);
        self.queued += 1;
        None
    }

    /// The oldest of the longest queue goes; of several the one with the lowest port.
    fn drop_one(&mut self) {
        let longest = self.queues.iter().rev().max_by_key(|(_, q)| q.len()).map(|(p, _)| *p);
        if let Some(port) = longest {
            self.pop(port);
            self.dropped += 1;
        }
    }

    fn pop(&mut self, port: OfPort) -> Option<P> {
        let q = self.queues.get_mut(&port)?;
        let packet = q.pop_front();
        if q.is_empty() {
            self.queues.remove(&port);
        }
        self.queued -= usize::from(packet.is_some());
        packet
    }

    /// The next packet that may go, port after port.
    pub(super) fn next(&mut self, now: Time) -> Option<P> {
        if self.queued == 0 || !self.take(now) {
            return None;
        }
        let after = self.last.and_then(|last| {
            self.queues.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next()
        });
        let port = *after.or_else(|| self.queues.iter().next())?.0;
        self.last = Some(port);
        self.pop(port)
    }

    /// When there is something to send.
    pub(super) fn deadline(&self) -> Option<Time> {
        if self.queued == 0 {
            return None;
        }
        let missing = PACKET.saturating_sub(self.tokens);
        let wait = Duration::from_millis(missing.div_ceil(u64::from(self.rate)));
        Some(self.filled + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_of_ports_take_turns_and_the_longest_drops() {
        let t = |ms| Time::ZERO + Duration::from_millis(ms);
        let mut l = Limiter::new(t(0), 100, 3).unwrap();
        let (a, b) = (OfPort(1), OfPort(2));
        for n in 0..3 {
            assert_eq!(l.offer(t(0), a, n), Some(n));
        }
        for n in 3..6 {
            assert_eq!(l.offer(t(0), a, n), None);
        }
        // The longest queue loses its oldest for the newcomer.
        assert_eq!(l.offer(t(0), b, 6), None);
        assert_eq!((l.dropped, l.queued), (1, 3));
        assert_eq!(l.deadline(), Some(t(10)));
        assert_eq!(l.next(t(9)), None);
        assert_eq!(l.next(t(10)), Some(4));
        assert_eq!(l.next(t(20)), Some(6));
        assert_eq!(l.next(t(40)), Some(5));
        assert_eq!(l.next(t(40)), None);
        assert_eq!(l.deadline(), None);
        assert!(Limiter::<u8>::new(t(0), 0, 9).is_none());
    }
}
