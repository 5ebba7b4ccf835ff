//! Named counters of events, and their rates.
//!
//! ```
//! use runtime::coverage::{self, Counter};
//! static RECONFIGURED: Counter = Counter::new("bridge_reconfigure");
//! coverage::register(&[&RECONFIGURED]);
//! RECONFIGURED.add(1); // Any thread; one relaxed addition.
//! assert_eq!(coverage::read("bridge_reconfigure"), Some(1));
//! ```
//!
//! What another crate counts is brought in with [`Counter::set`]. The main loop calls [`run`] so
//! that rates are kept.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use wire::Time;

/// The span of the first rate.
const INTERVAL: Duration = Duration::from_secs(5);
/// Intervals in a minute, and minutes in an hour.
const MINUTE: usize = 12;
const HOUR: usize = 60;

/// A count of events since the start; a `static` in the code that counts.
pub struct Counter {
    name: &'static str,
    total: AtomicU64,
}

impl Counter {
    /// A counter at 0. It is in the report once it is given to [`register`].
    pub const fn new(name: &'static str) -> Counter {
        Counter { name, total: AtomicU64::new(0) }
    }

    /// The name under which `coverage/show` prints it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Counts `n` events. Any thread may call it; it takes no lock.
    #[inline]
    pub fn add(&self, n: u64) {
        self.total.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes over a count kept elsewhere. Smaller than before = the other side began anew; then
    /// nothing changes.
    pub fn set(&self, total: u64) {
        self.total.fetch_max(total, Ordering::Relaxed);
    }

    /// Events since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

struct Entry {
    counter: &'static Counter,
    /// The total at the end of the last interval.
    last: u64,
    /// Events of each of the last intervals and minutes.
    minute: [u64; MINUTE],
    hour: [u64; HOUR],
}

struct Table {
    /// In order of registration, which is that of the report.
    entries: Vec<Entry>,
    next: Option<Time>,
    /// Intervals so far, modulo those in an hour.
    index: usize,
}

static TABLE: Mutex<Table> = Mutex::new(Table { entries: Vec::new(), next: None, index: 0 });

/// Makes counters known to `coverage/show`. A second registration of a counter does nothing.
pub fn register(counters: &[&'static Counter]) {
    let mut t = TABLE.lock();
    for &counter in counters {
        if !t.entries.iter().any(|e| std::ptr::eq(e.counter, counter)) {
            let fresh = Entry { counter, last: 0, minute: [0; MINUTE], hour: [0; HOUR] };
            t.entries.push(fresh);
        }
    }
}

/// The total of the counter of that name.
pub fn read(name: &str) -> Option<u64> {
    let t = TABLE.lock();
    t.entries.iter().find(|e| e.counter.name == name).map(|e| e.counter.total())
}

/// Closes the interval if it is over. Returns when the next one is.
pub fn run(now: Time) -> Time {
    let mut t = TABLE.lock();
    let Some(due) = t.next else {
        t.next = Some(now + INTERVAL);
        return now + INTERVAL;
    };
    if now < due {
        return due;
    }
    // After a long sleep the events are spread evenly over the intervals that passed. More than
    // an hour of them is an hour's.
    let passed = now.since(due).as_nanos() / INTERVAL.as_nanos() + 1;
    let slots = usize::try_from(passed).unwrap_or(usize::MAX).min(MINUTE * HOUR);
    let start = t.index;
    for e in &mut t.entries {
        let total = e.counter.total();
        let count = total - e.last;
        e.last = total;
        let (each, rest) = (count / slots as u64, count % slots as u64);
        for slot in 0..slots {
            let index = (start + slot) % (MINUTE * HOUR);
            let n = each + if slot + 1 == slots { rest } else { 0 };
            let (m, h) = (index % MINUTE, index / MINUTE);
            e.minute[m] = n;
            e.hour[h] = if m == 0 { n } else { e.hour[h] + n };
        }
    }
    t.index = (start + slots) % (MINUTE * HOUR);
    let next = now + INTERVAL;
    t.next = Some(next);
    next
}

/// One counter with events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The counter.
    pub name: &'static str,
    /// Events a second, in the last 5 s, the last minute and the last hour.
    pub rate_5s: f64,
    /// Events per second in the last minute.
    pub rate_minute: f64,
    /// Events per second in the last hour.
    pub rate_hour: f64,
    /// Events since the start.
    pub total: u64,
}

/// What `coverage/show` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Counters that have counted something, by name.
    pub counters: Vec<Line>,
    /// How many counters are at 0.
    pub never_hit: usize,
}

/// All counters as they stand.
pub fn report() -> Report {
    let t = TABLE.lock();
    let last = (t.index + MINUTE - 1) % MINUTE;
    let mut report = Report { counters: Vec::new(), never_hit: 0 };
    for e in &t.entries {
        let total = e.counter.total();
        if total == 0 {
            report.never_hit += 1;
            continue;
        }
        report.counters.push(Line {
            name: e.counter.name,
            rate_5s: e.minute[last] as f64 / INTERVAL.as_secs_f64(),
            rate_minute: e.minute.iter().sum::<u64>() as f64 / 60.0,
            rate_hour: e.hour.iter().sum::<u64>() as f64 / 3600.0,
            total,
        });
    }
    report
}

impl Report {
    /// Tells sets of events apart: the counters by rank of their totals.
    fn hash(&self) -> u32 {
        let mut order: Vec<&Line> = self.counters.iter().collect();
        order.sort_by_key(|l| (std::cmp::Reverse(l.total), l.name));
        order
            .iter()
            .flat_map(|l| l.name.bytes())
            .fold(0, |h, b| wire::hash::hash_add(h, u32::from(b)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  \
             hash={:08x}:",
            self.hash()
        )?;
        for l in &self.counters {
            writeln!(
                f,
                "{:<24} {:5.1}/sec {:9.3}/sec {:13.4}/sec   total: {}",
                l.name, l.rate_5s, l.rate_minute, l.rate_hour, l.total
            )?;
        }
        writeln!(f, "{} events never hit", self.never_hit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_text() {
        static HIT: Counter = Counter::new("test_hit");
        static NEVER: Counter = Counter::new("test_never");
        register(&[&HIT, &NEVER]);
        register(&[&HIT]);
        let at = |s: u64| Time::from_millis(s * 1000);
        assert_eq!(run(at(100)), at(105));
        HIT.add(10);
        assert_eq!(run(at(104)), at(105));
        run(at(105));
        let line = |r: Report| r.counters.into_iter().find(|l| l.name == "test_hit").unwrap();
        let l = line(report());
        assert_eq!((l.rate_5s, l.total), (2.0, 10));
        assert!((l.rate_minute - 10.0 / 60.0).abs() < 1e-9);
        // Twenty more over two intervals; the older ones leave the last rate only.
        HIT.add(20);
        run(at(115));
        let l = line(report());
        assert_eq!((l.rate_5s, l.total), (2.0, 30));
        assert!((l.rate_hour - 30.0 / 3600.0).abs() < 1e-9);
        HIT.set(5);
        HIT.set(31);
        assert_eq!(read("test_hit"), Some(31));
        assert_eq!(read("nobody"), None);
        let text = report().to_string();
        let want = "test_hit                   2.0/sec     0.500/sec        0.0083/sec   total: 31";
        assert!(text.lines().any(|l| l == want), "{text}");
        // A very long sleep.
        run(at(1_000_000));
    }
}
