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
//! let participant = clock.register(wake); // Called, from another thread, when the clock was moved.
//! loop {
//!     let now = participant.now();
//!     // ... do all that is due at `now`; if that gives another thread work: participant.busy() ...
//!     participant.done(); // A warp in steps goes on only when every participant has come here.
//!     sleep_at_most(clock.timeout(next_deadline()));
//!     # break;
//! }
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wire::Time;

/// How long a step of a warp waits for a thread that does not report back.
const STEP_PATIENCE: Duration = Duration::from_millis(500);

/// Rounds within one step: a LACPDU that is answered and answered again takes a handful. Threads
/// that never come to rest, as under traffic, do not hold the clock for ever.
const ROUNDS: u32 = 50;

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
    /// A warp is under way: who drives it wants to know when a participant is done.
    warping: AtomicBool,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    participants: Vec<Registration>,
    driver: Option<Arc<dyn Fn() + Send + Sync>>,
    warp: Option<Warp>,
}

/// What a thread has done of the last step of a warp.
struct Progress {
    /// The last epoch whose work is done.
    done: AtomicU64,
    /// Others may have got work since the last look.
    busy: AtomicBool,
}

struct Registration {
    /// Gone when the thread is.
    progress: Weak<Progress>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

struct Warp {
    left: Duration,
    step: Duration,
    /// Real time of the last step.
    since: Instant,
    /// Rounds of this step so far.
    rounds: u32,
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
                warping: AtomicBool::new(false),
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

    /// Whether [`Clock::stop`] was called.
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
        control.warp = Some(Warp { left: total - first, step, since: Instant::now(), rounds: 0 });
        self.shared.warping.store(true, Ordering::Release);
        drop(control);
        self.advance(first);
        Ok(())
    }

    /// As a warp that moves nothing: [`Clock::poll_warp`] is done with it when every thread has
    /// done what there was to do.
    pub fn start_settling(&self) -> Result<(), WarpBusy> {
        self.start_warp(Duration::ZERO, None)
    }

    /// Makes the next step of a warp if the last one has been worked off: every participant has been
    /// woken and was done, over and over until none of them gave another one work. A participant that
    /// takes longer than half a second is not waited for.
    pub fn poll_warp(&self) -> WarpProgress {
        let mut control = self.shared.control.lock();
        if control.warp.is_none() {
            return WarpProgress::Idle;
        }
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        control.participants.retain(|w| w.progress.strong_count() > 0);
        let progress: Vec<Arc<Progress>> =
            control.participants.iter().filter_map(|w| w.progress.upgrade()).collect();
        let behind = progress.iter().any(|t| t.done.load(Ordering::Acquire) < epoch);
        let Some(warp) = control.warp.as_mut() else {
            return WarpProgress::Idle;
        };
        // Only in case nobody wakes the driver.
        let moving = WarpProgress::Moving(Duration::from_millis(10));
        let patient = warp.since.elapsed() < STEP_PATIENCE;
        if behind && patient {
            return moving;
        }
        // Each flag is taken down: `any` would stop at the first.
        let busy = progress.iter().filter(|t| t.busy.swap(false, Ordering::AcqRel)).count() > 0;
        if busy && patient && warp.rounds < ROUNDS {
            warp.rounds += 1;
            drop(control);
            self.advance(Duration::ZERO);
            return moving;
        }
        if warp.left.is_zero() {
            control.warp = None;
            self.shared.warping.store(false, Ordering::Release);
            return WarpProgress::Done;
        }
        let by = warp.step.min(warp.left);
        warp.left -= by;
        warp.since = Instant::now();
        warp.rounds = 0;
        drop(control);
        self.advance(by);
        moving
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
            self.shared.control.lock().participants.iter().map(|w| w.wake.clone()).collect();
        for wake in wakes {
            wake();
        }
    }

    /// Who calls [`Clock::poll_warp`]: woken when a participant is done with a step.
    pub fn set_driver(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.shared.control.lock().driver = Some(wake);
    }

    /// Takes part in warps from now on; `wake` is called after each move and must be cheap.
    pub fn register(&self, wake: Arc<dyn Fn() + Send + Sync>) -> Participant {
        let progress = Arc::new(Progress {
            done: AtomicU64::new(self.shared.epoch.load(Ordering::Acquire)),
            busy: AtomicBool::new(false),
        });
        let mut control = self.shared.control.lock();
        control.participants.push(Registration { progress: Arc::downgrade(&progress), wake });
        Participant { clock: self.clone(), progress, seen: AtomicU64::new(0) }
    }

    /// How long a thread may sleep until `deadline`: `None` = until it is woken, because there
    /// is no deadline or because the clock is stopped.
    pub fn timeout(&self, deadline: Option<Time>) -> Option<Duration> {
        let deadline = deadline?;
        let left = self.now().until(deadline);
        if self.is_stopped() && !left.is_zero() { None } else { Some(left) }
    }
}

/// A thread that takes part in warps: the clock moves on when all of them have done what was due. See
/// the module.
pub struct Participant {
    clock: Clock,
    progress: Arc<Progress>,
    /// The epoch of the last `now`. Of one thread, but a participant may be held where others see it.
    seen: AtomicU64,
}

impl Participant {
    /// The time, to work by until [`Participant::done`].
    pub fn now(&self) -> Time {
        // The epoch first: a move in between is then not taken for seen.
        self.observe();
        self.clock.now()
    }

    /// Takes note of the last move of the clock, as [`Participant::now`] does, for a loop that seldom
    /// needs the time.
    pub fn observe(&self) {
        self.seen.store(self.clock.shared.epoch.load(Ordering::Acquire), Ordering::Relaxed);
    }

    /// This thread has done something that another one may have to go on with. To be said before
    /// [`Participant::done`].
    pub fn busy(&self) {
        // Read first: under load the line stays shared.
        if !self.progress.busy.load(Ordering::Relaxed) {
            self.progress.busy.store(true, Ordering::Release);
        }
    }

    /// All that was due at the last [`Participant::now`] is done.
    pub fn done(&self) {
        let seen = self.seen.load(Ordering::Relaxed);
        // Only this thread writes it.
        if self.progress.done.load(Ordering::Relaxed) < seen {
            self.progress.done.store(seen, Ordering::Release);
            if self.clock.shared.warping.load(Ordering::Acquire) {
                let driver = self.clock.shared.control.lock().driver.clone();
                if let Some(wake) = driver {
                    wake();
                }
            }
        }
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
    fn a_step_of_a_warp_waits_for_every_participant() {
        let c = Clock::new();
        c.stop();
        let woken = Arc::new(AtomicU64::new(0));
        let w = woken.clone();
        let participant = c.register(Arc::new(move || {
            w.fetch_add(1, Ordering::Relaxed);
        }));
        let start = c.now();
        c.start_warp(25 * MS, Some(10 * MS)).unwrap();
        let mut seen = Vec::new();
        loop {
            match c.poll_warp() {
                WarpProgress::Moving(_) => {
                    // Nothing moves while our work is not done.
                    let now = participant.now();
                    assert_eq!(c.poll_warp(), WarpProgress::Moving(10 * MS));
                    assert_eq!(c.now(), now);
                    seen.push(now.since(start).as_millis());
                    participant.done();
                }
                WarpProgress::Done => break,
                WarpProgress::Idle => unreachable!("a warp is under way"),
            }
        }
        seen.dedup();
        assert_eq!(seen, [10, 20, 25]);
        assert_eq!(woken.load(Ordering::Relaxed), 3);
        // What is done for others is followed up at the same time.
        let before = c.now();
        c.start_settling().unwrap();
        participant.now();
        participant.busy();
        participant.done();
        assert_eq!(c.poll_warp(), WarpProgress::Moving(10 * MS));
        assert_eq!(woken.load(Ordering::Relaxed), 5, "woken again");
        participant.now();
        participant.done();
        assert_eq!(c.poll_warp(), WarpProgress::Done);
        assert_eq!(c.now(), before);
        // A thread that is gone is not waited for.
        drop(participant);
        c.start_warp(MS, None).unwrap();
        assert_eq!(c.poll_warp(), WarpProgress::Done);
    }
}
