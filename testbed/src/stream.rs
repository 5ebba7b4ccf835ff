//! A counted stream: which packet left when, whether and where it arrived.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::frame::Udp;
use parking_lot::{Mutex, MutexGuard};

/// Packets that a ledger knows one by one; older ones are only counted.
const REMEMBERED: usize = 1 << 20;

const MAGIC: [u8; 4] = *b"BrLb";
/// Octets of a mark.
pub const MARK: usize = 16;

/// What the payload of each counted packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which of several streams.
    pub stream: u8,
    /// The number within the stream, from 0.
    pub sequence: u64,
}

impl Mark {
    /// The mark in its octets: a magic number, the stream, the sequence number in network byte order.
    pub fn emit(self) -> [u8; MARK] {
        let mut b = [0; MARK];
        b[..4].copy_from_slice(&MAGIC);
        b[4] = self.stream;
        b[8..].copy_from_slice(&self.sequence.to_be_bytes());
        b
    }

    /// The mark in a frame, if it is one of ours.
    pub fn of(frame: &[u8]) -> Option<(Mark, Udp)> {
        let (udp, payload) = Udp::parse(frame)?;
        let b: [u8; MARK] = payload.get(..MARK)?.try_into().ok()?;
        if b[..4] != MAGIC {
            return None;
        }
        let sequence = u64::from_be_bytes(b[8..].try_into().ok()?);
        Some((Mark { stream: b[4], sequence }, udp))
    }
}

#[derive(Clone, Copy)]
struct Entry {
    /// Since the ledger's start.
    sent: Duration,
    /// When and on which link it arrived first.
    arrived: Option<(Duration, u8)>,
}

#[derive(Default)]
struct Book {
    /// Sequence number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    sent: u64,
    received: u64,
    duplicates: u64,
}

/// Both ends of one stream write here.
pub struct Ledger {
    start: Instant,
    book: Mutex<Book>,
}

/// Totals of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Packets sent.
    pub sent: u64,
    /// Each packet once.
    pub received: u64,
    /// Packets that arrived again.
    pub duplicates: u64,
}

/// What became of the packets that were sent in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Packets sent.
    pub sent: u64,
    /// Packets that have not arrived.
    pub lost: u64,
    /// From the last packet that arrived before the first loss to the first that arrived after
    /// the last loss, by the time they were sent; `None` when nothing was lost.
    pub gap: Option<Duration>,
    /// The longest way from sender to receiver; of packets that have arrived.
    pub slowest: Duration,
}

impl Ledger {
    /// An empty ledger whose times count from `start`.
    pub fn new(start: Instant) -> Ledger {
        Ledger { start, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }

    /// The time now, as the ledger counts it.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A packet is about to be sent; gives its sequence number.
    pub fn sent(&self) -> u64 {
        let sent = self.now();
        let mut b = self.book();
        if b.entries.len() == REMEMBERED {
            b.entries.pop_front();
            b.first += 1;
        }
        b.entries.push_back(Entry { sent, arrived: None });
        b.sent += 1;
        b.sent - 1
    }

    /// A packet has arrived on `link`.
    pub fn arrived(&self, sequence: u64, link: u8) {
        let at = self.now();
        let mut b = self.book();
        let Some(i) = sequence.checked_sub(b.first) else { return };
        let Some(e) = b.entries.get_mut(i as usize) else { return };
        if e.arrived.is_some() {
            b.duplicates += 1;
        } else {
            e.arrived = Some((at, link));
            b.received += 1;
        }
    }

    /// The totals since the start.
    pub fn totals(&self) -> Totals {
        let b = self.book();
        Totals { sent: b.sent, received: b.received, duplicates: b.duplicates }
    }

    /// Packets sent from `from` on and before `to`. `to` should lie far enough back for the last
    /// of them to have arrived.
    pub fn stretch(&self, from: Duration, to: Duration) -> Stretch {
        let b = self.book();
        let begin = b.entries.partition_point(|e| e.sent < from);
        let end = b.entries.partition_point(|e| e.sent < to);
        let mut s = Stretch { sent: (end - begin) as u64, ..Stretch::default() };
        let ways = (begin..end).filter_map(|i| {
            let e = &b.entries[i];
            e.arrived.map(|(at, _)| at.saturating_sub(e.sent))
        });
        s.slowest = ways.max().unwrap_or_default();
        let mut lost = (begin..end).filter(|i| b.entries[*i].arrived.is_none());
        if let Some(first) = lost.next() {
            let (last, more) = lost.fold((first, 0), |(_, n), i| (i, n + 1));
            s.lost = 1 + more;
            let after = b.entries.get(last + 1).map_or(to, |e| e.sent);
            let before = b.entries[first.saturating_sub(1)].sent;
            s.gap = Some(after.saturating_sub(before));
        }
        s
    }

    /// When the first packet sent at or after `from` arrived on `link`.
    pub fn first_on(&self, link: u8, from: Duration) -> Option<Duration> {
        let b = self.book();
        let begin = b.entries.partition_point(|e| e.sent < from);
        b.entries
            .range(begin..)
            .filter_map(|e| e.arrived)
            .filter(|(_, l)| *l == link)
            .map(|(at, _)| at)
            .min()
    }

    /// How many of the packets sent in the stretch arrived on each of `links` links.
    pub fn spread(&self, from: Duration, to: Duration, links: usize) -> Vec<u64> {
        let b = self.book();
        let mut n = vec![0; links];
        let begin = b.entries.partition_point(|e| e.sent < from);
        for e in b.entries.range(begin..).take_while(|e| e.sent < to) {
            if let Some((_, link)) = e.arrived
                && let Some(n) = n.get_mut(usize::from(link))
            {
                *n += 1;
            }
        }
        n
    }
}

/// Calls `send` `rate` times a second until `stop`. Keeps to the rate over time by catching up
/// after a late wake-up, but not after an interruption of more than 50 ms.
pub fn pace(rate: u32, stop: &AtomicBool, mut send: impl FnMut()) {
    let interval = Duration::from_secs(1) / rate.max(1);
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now.duration_since(next) > Duration::from_millis(50) {
            next = now;
        }
        while next <= now {
            send();
            next += interval;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_measured_between_its_neighbours() {
        let l = Ledger::new(Instant::now());
        for i in 0..10 {
            let n = l.sent();
            assert_eq!(n, i);
            std::thread::sleep(Duration::from_millis(2));
            if !(4..7).contains(&i) {
                l.arrived(n, u8::from(i >= 7));
            }
        }
        l.arrived(9, 1);
        let s = l.stretch(Duration::ZERO, l.now());
        assert_eq!((s.sent, s.lost), (10, 3));
        // Four intervals of 2 ms at least: from packet 3 to packet 7.
        assert!(s.gap.unwrap() >= Duration::from_millis(8), "{s:?}");
        assert_eq!(l.spread(Duration::ZERO, l.now(), 2), [4, 3]);
        assert_eq!(l.totals(), Totals { sent: 10, received: 7, duplicates: 1 });
        let before = l.stretch(Duration::ZERO, Duration::ZERO);
        assert_eq!(before, Stretch::default());
    }

    #[test]
    fn marks_read_back() {
        let m = Mark { stream: 1, sequence: 77 };
        let udp = Udp {
            src_mac: wire::EthAddr([2; 6]),
            dst_mac: wire::EthAddr([4; 6]),
            vlan: None,
            src_ip: [10, 0, 0, 1].into(),
            dst_ip: [10, 0, 0, 2].into(),
            src_port: 1,
            dst_port: 2,
        };
        let mut f = udp.frame(&m.emit());
        assert_eq!(Mark::of(&f), Some((m, udp)));
        f[42] ^= 1;
        assert_eq!(Mark::of(&f), None);
    }
}
