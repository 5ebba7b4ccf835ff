//! The revalidator's thread: flow statistics, idle time-outs, re-translation.
//!
//! ```text
//!   links ── reasons ──▶ ┌───────┐      main ── jobs (with an answer) ──▶ ┌───────┐
//!   packet path ─ call ─▶│ Queue │──────────────────────────────────────▶│thread │─▶ flows
//!                        └───────┘                                        └───────┘
//! ```
//!
//! Traffic has moved before work arrives here, so nobody waits for this thread except an operator
//! who asks for it.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bond::RevalidateReason;
use datapath::Datapath;
use ofproto::{Revalidator, RevalidatorOptions};
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;

/// Something to do with the revalidator in hand.
type Job = Box<dyn FnOnce(&mut Revalidator) + Send>;

#[derive(Default)]
struct Pending {
    /// Each at most once: what is called for twice is done once.
    reasons: Vec<RevalidateReason>,
    /// Somebody without a reason of its own called: configuration, MAC learning.
    called: bool,
    jobs: Vec<Job>,
    /// Who wants to know when a whole round has begun and ended.
    rounds: Vec<SyncSender<()>>,
    moved: bool,
    /// Nothing but jobs is done (`revalidator/pause`).
    paused: bool,
    stop: bool,
}

/// The way to the thread. Cheap to clone; no call waits for it except those that say so.
///
/// Bounded by what it holds: reasons are merged, and only main, which waits for the answer,
/// pushes jobs.
#[derive(Clone, Default)]
pub struct Queue(Arc<(Mutex<Pending>, Condvar)>);

/// How long an operator's command waits.
const PATIENCE: Duration = Duration::from_secs(10);

impl Queue {
    fn put(&self, write: impl FnOnce(&mut Pending)) {
        let (pending, wake) = &*self.0;
        write(&mut pending.lock());
        wake.notify_one();
    }

    /// Flows should be looked at again for this reason.
    pub fn push(&self, reason: RevalidateReason) {
        self.put(|p| {
            if !p.reasons.contains(&reason) {
                p.reasons.push(reason);
            }
        });
    }

    /// Flows should be looked at again.
    pub fn call(&self) {
        self.put(|p| p.called = true);
    }

    /// The clock was moved by hand.
    pub fn clock_moved(&self) {
        self.put(|p| p.moved = true);
    }

    /// Stops rounds, or lets them go on. On return none is under way.
    pub fn pause(&self, on: bool) {
        self.put(|p| p.paused = on);
        self.ask(|_| ());
    }

    /// Rounds follow these options from the next one on, which is called for: it may be due
    /// earlier now.
    pub fn set_options(&self, options: RevalidatorOptions) {
        self.put(|p| {
            p.jobs.push(Box::new(move |r| r.set_options(options)));
            p.called = true;
        });
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.put(|p| p.stop = true);
    }

    /// Waits until every flow has been looked at once from now on (`revalidator/wait`).
    pub fn wait_round(&self) -> bool {
        let (done, answer) = sync_channel(1);
        self.put(|p| p.rounds.push(done));
        answer.recv_timeout(PATIENCE).is_ok()
    }

    /// Runs `job` on the thread and waits for its answer.
    pub fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Revalidator) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, answer) = sync_channel(1);
        self.put(|p| {
            p.jobs.push(Box::new(move |r| {
                // Nobody waits any more: the answer is not wanted.
                let _ = done.try_send(job(r));
            }));
        });
        answer.recv_timeout(PATIENCE).ok()
    }
}

/// Starts the thread.
///
/// # Errors
///
/// The system has no thread to give.
pub fn spawn(
    queue: Queue,
    switch: Arc<ofproto::Switch>,
    datapath: Arc<dyn Datapath>,
    clock: Clock,
) -> std::io::Result<JoinHandle<()>> {
    let waker = queue.clone();
    switch.set_waker(Box::new(move || waker.call()));
    std::thread::Builder::new().name("revalidator1".to_owned()).spawn(move || {
        let revalidator = Revalidator::new(switch, datapath);
        run(&queue, revalidator, &clock);
    })
}

fn run(queue: &Queue, mut revalidator: Revalidator, clock: &Clock) {
    let waker = queue.clone();
    let waiter = clock.waiter(Arc::new(move || waker.clock_moved()));
    let (pending, wake) = &*queue.0;
    let mut next = revalidator.run(waiter.now(), &[]);
    loop {
        waiter.done();
        let work = {
            let mut p = pending.lock();
            loop {
                let now = waiter.now();
                let due = if p.called || !p.reasons.is_empty() { next.not_before } else { next.at };
                let work = !p.rounds.is_empty() || due <= now;
                if !p.jobs.is_empty() || p.stop || (work && !p.paused) {
                    break;
                }
                waiter.done();
                match clock.timeout(Some(due)).filter(|_| !p.paused) {
                    Some(left) => {
                        wake.wait_for(&mut p, left);
                    }
                    None => wake.wait(&mut p),
                }
                p.moved = false;
            }
            if p.paused {
                Pending { jobs: std::mem::take(&mut p.jobs), stop: p.stop, ..Pending::default() }
            } else {
                std::mem::take(&mut *p)
            }
        };
        if work.stop {
            return;
        }
        let only_jobs = !work.jobs.is_empty()
            && work.rounds.is_empty()
            && !work.called
            && work.reasons.is_empty();
        waiter.busy();
        for job in work.jobs {
            job(&mut revalidator);
        }
        if only_jobs && (waiter.now() < next.at || pending.lock().paused) {
            continue;
        }
        next = revalidator.run(waiter.now(), &work.reasons);
        for done in work.rounds {
            let _ = done.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_merge() {
        let queue = Queue::default();
        for _ in 0..1000 {
            queue.push(RevalidateReason::ActiveMember);
            queue.push(RevalidateReason::Rebalanced);
        }
        let p = queue.0.0.lock();
        assert_eq!(p.reasons, [RevalidateReason::ActiveMember, RevalidateReason::Rebalanced]);
    }
}
