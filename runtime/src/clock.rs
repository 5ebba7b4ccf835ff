//! The daemon's one clock.
//!
//! Everything that waits or measures is handed a [`Time`] from here; nobody else reads a clock,
//! except logs, which want the wall's. `time/stop` freezes it and `time/warp` moves it, so that a
//! test runs the very code that ships.
//!
//! A thread that sleeps until a deadline does it so:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use runtime::clock::Clock;
//! # let clock = Clock::new();
//! # let next_deadline = || None;
//! # let sleep_at_most = |_: Option<std::time::Duration>| {};
//! # let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
//! let waiter = clock.waiter(wake); // Called, from another thread, when the clock was moved.
//! loop {
//!     let now = waiter.now();
//!     // ... do all that is due at `now` ...
//!     waiter.done(); // A warp in steps goes on only when every waiter has come here.
//!     sleep_at_most(clock.timeout(next_deadline()));
//!     # break;
//! }
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wire::Time;

/// How long a step of a warp waits for a thread that does not report back.
const STEP_PATIENCE: Duration = Duration::from_millis(500);

/// A handle to the clock; clones are the same clock.
#[derive(Clone)]
pub struct Clock {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Instant,
    /// The time while stopped; 0 while running.
    frozen: AtomicU64,
    /// While running: what to add to the time since `origin`.
    offset: AtomicU64,
    /// Counts the moves of the clock by hand.
    epoch: AtomicU64,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    waiters: Vec<WaiterSlot>,
    warp: Option<Warp>,
}

struct WaiterSlot {
    /// The last epoch whose work is done; gone when the thread is.
    done: Weak<AtomicU64>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

struct Warp {
    left: Duration,
    step: Duration,
    /// Real time of the last step.
    since: Instant,
}

/// How far a warp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarpProgress {
    /// No warp is under way.
    Idle,
    /// Ask again after at most this long (real time).
    Moving(Duration),
    /// The last step has been made.
    Done,
}

/// A warp is under way already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A previous warp in progress")]
pub struct WarpBusy;

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// A running clock that starts close to zero.
    pub fn new() -> Clock {
        Clock {
            shared: Arc::new(Shared {
                origin: Instant::now(),
                frozen: AtomicU64::new(0),
                // Not zero: code that subtracts a time-out from `now` should see the difference.
                offset: AtomicU64::new(1_000_000_000),
                epoch: AtomicU64::new(0),
                control: Mutex::new(Control::default()),
            }),
        }
    }

    fn real(&self) -> u64 {
        u64::try_from(self.shared.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time. Never goes back.
    #[inline]
    pub fn now(&self) -> Time {
        let s = &*self.shared;
        match s.frozen.load(Ordering::Acquire) {
            0 => Time::from_nanos(self.real() + s.offset.load(Ordering::Acquire)),
            frozen => Time::from_nanos(frozen),
        }
    }

    /// `time/stop`: from now on only [`Clock::start_warp`] moves the clock. It cannot be started
    /// again.
    pub fn stop(&self) {
        let _control = self.shared.control.lock();
        if !self.is_stopped() {
            // A millisecond ahead, so that a thread that reads the running clock while we store
            // does not see time go back.
            let at = self.now().as_nanos() + 1_000_000;
            self.shared.frozen.store(at, Ordering::Release);
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.shared.frozen.load(Ordering::Acquire) != 0
    }

    /// `time/warp`: moves the clock by `total`, `step` at a time (all at once if `None` or zero).
    /// The first step is made now; the caller then calls [`Clock::poll_warp`] until it is done.
    pub fn start_warp(&self, total: Duration, step: Option<Duration>) -> Result<(), WarpBusy> {
        let mut control = self.shared.control.lock();
        if control.warp.is_some() {
            return Err(WarpBusy);
        }
        let step = step.filter(|s| !s.is_zero()).unwrap_or(total);
        let first = step.min(total);
        control.warp = Some(Warp { left: total - first, step, since: Instant::now() });
        drop(control);
        self.advance(first);
        Ok(())
    }

    /// Makes the next step of a warp if every waiter has done the work of the last one, or has
    /// taken longer over it than half a second.
    pub fn poll_warp(&self) -> WarpProgress {
        let mut control = self.shared.control.lock();
        if control.warp.is_none() {
            return WarpProgress::Idle;
        }
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        control.waiters.retain(|w| w.done.strong_count() > 0);
        let behind = control
            .waiters
            .iter()
            .any(|w| w.done.upgrade().is_some_and(|d| d.load(Ordering::Acquire) < epoch));
        let Some(warp) = control.warp.as_mut() else {
            return WarpProgress::Idle;
        };
        if behind && warp.since.elapsed() < STEP_PATIENCE {
            return WarpProgress::Moving(Duration::from_millis(1));
        }
        if warp.left.is_zero() {
            control.warp = None;
            return WarpProgress::Done;
        }
        let by = warp.step.min(warp.left);
        warp.left -= by;
        warp.since = Instant::now();
        drop(control);
        self.advance(by);
        WarpProgress::Moving(Duration::from_millis(1))
    }

    fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let which = if self.is_stopped() { &self.shared.frozen } else { &self.shared.offset };
        // `now` adds the uptime, which is small; half of the range is room enough for both.
        let _ = which.fetch_update(Ordering::AcqRel, Ordering::Acquire, |v| {
            Some(v.saturating_add(ns).min(u64::MAX / 2))
        });
        self.shared.epoch.fetch_add(1, Ordering::AcqRel);
        let wakes: Vec<_> =
            self.shared.control.lock().waiters.iter().map(|w| w.wake.clone()).collect();
        for wake in wakes {
            wake();
        }
    }

    /// Takes part in warps from now on; `wake` is called after each move and must be cheap.
    pub fn waiter(&self, wake: Arc<dyn Fn() + Send + Sync>) -> Waiter {
        let done = Arc::new(AtomicU64::new(self.shared.epoch.load(Ordering::Acquire)));
        let mut control = self.shared.control.lock();
        control.waiters.push(WaiterSlot { done: Arc::downgrade(&done), wake });
        Waiter { clock: self.clone(), done, seen: std::cell::Cell::new(0) }
    }

    /// How long a thread may sleep until `deadline`: `None` = until it is woken, because there
    /// is no deadline or because the clock is stopped.
    pub fn timeout(&self, deadline: Option<Time>) -> Option<Duration> {
        let deadline = deadline?;
        let left = self.now().until(deadline);
        if self.is_stopped() && !left.is_zero() { None } else { Some(left) }
    }
}

/// A thread's place at the clock; see the module.
pub struct Waiter {
    clock: Clock,
    done: Arc<AtomicU64>,
    seen: std::cell::Cell<u64>,
}

impl Waiter {
    /// The time, to work by until [`Waiter::done`].
    pub fn now(&self) -> Time {
        // The epoch first: a move in between is then not taken for seen.
        self.seen.set(self.clock.shared.epoch.load(Ordering::Acquire));
        self.clock.now()
    }

    /// All that was due at the last [`Waiter::now`] is done.
    pub fn done(&self) {
        self.done.fetch_max(self.seen.get(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn runs_stops_and_warps() {
        let c = Clock::new();
        let a = c.now();
        std::thread::sleep(2 * MS);
        assert!(c.now() >= a + 2 * MS);
        c.stop();
        let b = c.now();
        assert!(b >= a + 2 * MS && b < a + Duration::from_secs(60));
        std::thread::sleep(2 * MS);
        c.stop();
        assert_eq!(c.now(), b);
        assert_eq!(c.timeout(Some(b + 5 * MS)), None);
        assert_eq!(c.timeout(Some(b)), Some(Duration::ZERO));
        c.start_warp(5 * MS, None).unwrap();
        assert_eq!(c.now(), b + 5 * MS);
        assert_eq!(c.start_warp(MS, None), Err(WarpBusy));
        assert_eq!(c.poll_warp(), WarpProgress::Done);
        assert_eq!(c.poll_warp(), WarpProgress::Idle);
    }

    #[test]
    fn a_running_clock_warps_too() {
        let c = Clock::new();
        let a = c.now();
        assert!(c.timeout(Some(a + Duration::from_secs(9))).unwrap() > Duration::from_secs(8));
        c.start_warp(Duration::from_secs(9), None).unwrap();
        assert!(c.now() >= a + Duration::from_secs(9));
        assert_eq!(c.timeout(Some(a + Duration::from_secs(9))), Some(Duration::ZERO));
        assert_eq!(c.timeout(None), None);
    }

    #[test]
    fn steps_wait_for_the_waiters() {
        let c = Clock::new();
        c.stop();
        let woken = Arc::new(AtomicU64::new(0));
        let w = woken.clone();
        let waiter = c.waiter(Arc::new(move || {
            w.fetch_add(1, Ordering::Relaxed);
        }));
        let start = c.now();
        c.start_warp(25 * MS, Some(10 * MS)).unwrap();
        let mut seen = Vec::new();
        loop {
            match c.poll_warp() {
                WarpProgress::Moving(_) => {
                    // Nothing moves while our work is not done.
                    let now = waiter.now();
                    assert_eq!(c.poll_warp(), WarpProgress::Moving(MS));
                    assert_eq!(c.now(), now);
                    seen.push(now.since(start).as_millis());
                    waiter.done();
                }
                WarpProgress::Done => break,
                WarpProgress::Idle => unreachable!("a warp is under way"),
            }
        }
        seen.dedup();
        assert_eq!(seen, [10, 20, 25]);
        assert_eq!(woken.load(Ordering::Relaxed), 3);
        // A thread that is gone is not waited for.
        drop(waiter);
        c.start_warp(MS, None).unwrap();
        assert_eq!(c.poll_warp(), WarpProgress::Done);
    }
}
