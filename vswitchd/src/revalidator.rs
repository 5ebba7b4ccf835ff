//! The revalidator's thread: flow statistics, idle time-outs, re-translation.
//!
//! ```text
//!   links ── reasons ──▶ ┌───────┐               main ── jobs ──▶ ┌───────┐
//!   packet path ─ call ─▶│ Queue │───────────────────────────────▶│thread │─▶ flows
//!                        └───────┘                                └───────┘
//! ```
//!
//! A failover has moved traffic before its reason arrives here. No thread waits for this one: answers
//! to commands are completed here.

use std::sync::Arc;
use std::thread::JoinHandle;

use bond::RevalidateReason;
use datapath::Datapath;
use ofproto::{Revalidator, RevalidatorOptions};
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;

/// Work with the revalidator.
type Job = Box<dyn FnOnce(&mut Revalidator) + Send>;

#[derive(Default)]
struct Pending {
    /// Each at most once.
    reasons: Vec<RevalidateReason>,
    /// A round is requested without a reason: configuration, MAC learning.
    called: bool,
    /// One for each outstanding command and change of options.
    jobs: Vec<Job>,
    /// Called when a whole round has begun and ended.
    rounds: Vec<Box<dyn FnOnce() + Send>>,
    /// Only jobs are run (`revalidator/pause`).
    paused: bool,
    stop: bool,
}

/// The queue of work for the thread. Cheap to clone; no call waits for the thread.
///
/// Its length is bounded: equal reasons are merged, and jobs come from changes of the configuration
/// and from clients of the control socket, each of which has one outstanding request.
#[derive(Clone, Default)]
pub struct Queue(Arc<(Mutex<Pending>, Condvar)>);

impl Queue {
    fn put(&self, write: impl FnOnce(&mut Pending)) {
        let (pending, wake) = &*self.0;
        write(&mut pending.lock());
        wake.notify_one();
    }

    /// Requests a round for this reason.
    pub fn push(&self, reason: RevalidateReason) {
        self.put(|p| {
            if !p.reasons.contains(&reason) {
                p.reasons.push(reason);
            }
        });
    }

    /// Requests a round.
    pub fn call(&self) {
        self.put(|p| p.called = true);
    }

    /// The clock was moved by `time/warp`: deadlines are compared again.
    pub fn clock_moved(&self) {
        self.put(|_| {});
    }

    /// Pauses rounds after the present one and calls `done` then.
    pub fn pause(&self, done: impl FnOnce() + Send + 'static) {
        self.put(|p| {
            p.paused = true;
            p.jobs.push(Box::new(|_| done()));
        });
    }

    /// Resumes rounds.
    pub fn resume(&self) {
        self.put(|p| p.paused = false);
    }

    /// Sets the options from the next round on and requests one, because it may be due earlier.
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

    /// Calls `done` on the thread when a complete round that began after this call has ended
    /// (`revalidator/wait`); not while rounds are paused.
    pub fn after_round(&self, done: impl FnOnce() + Send + 'static) {
        self.put(|p| p.rounds.push(Box::new(done)));
    }

    /// Runs `job` on the thread, after the present round.
    pub fn run(&self, job: impl FnOnce(&mut Revalidator) + Send + 'static) {
        self.put(|p| p.jobs.push(Box::new(job)));
    }
}

/// Starts the thread.
///
/// # Errors
///
/// The system cannot create a thread.
pub fn spawn(
    queue: Queue,
    switch: Arc<ofproto::Ofproto>,
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
    let participant = clock.register(Arc::new(move || waker.clock_moved()));
    let (pending, wake) = &*queue.0;
    let mut trim = Trim::default();
    let mut next = revalidator.run(participant.now(), &[]);
    loop {
        participant.done();
        let work = {
            let mut p = pending.lock();
            loop {
                let now = participant.now();
                let due = if p.called || !p.reasons.is_empty() { next.not_before } else { next.at };
                let work = !p.rounds.is_empty() || due <= now;
                if !p.jobs.is_empty() || p.stop || (work && !p.paused) {
                    break;
                }
                participant.done();
                match clock.timeout(Some(due)).filter(|_| !p.paused) {
                    Some(left) => {
                        wake.wait_for(&mut p, left);
                    }
                    None => wake.wait(&mut p),
                }
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
        participant.busy();
        for job in work.jobs {
            job(&mut revalidator);
        }
        if only_jobs && (participant.now() < next.at || pending.lock().paused) {
            continue;
        }
        next = revalidator.run(participant.now(), &work.reasons);
        let status = revalidator.status();
        if trim.is_due(status.flows + status.addresses) {
            give_memory_back();
        }
        for done in work.rounds {
            done();
        }
    }
}

/// Number of flows and addresses that must have gone for their memory to be given back; that many
/// flows take about ten megabytes.
const WORTH_TRIMMING: usize = 10_000;

/// When most flows and learned addresses have gone since there were most of them. Addresses count
/// because they live longer than their flows and lie between them in the heap: a page is given back
/// only when nothing in it is in use.
#[derive(Default)]
struct Trim {
    most: usize,
}

impl Trim {
    /// Takes the number of flows at the start of a round, when those that the round before removed
    /// have left the packet thread, and of addresses.
    fn is_due(&mut self, entries: usize) -> bool {
        self.most = self.most.max(entries);
        let due = entries <= self.most / 2 && self.most - entries >= WORTH_TRIMMING;
        if due {
            self.most = entries;
        }
        due
    }
}

/// The C library does not return free memory between small allocations that are in use by itself.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time on any thread.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_merged() {
        let queue = Queue::default();
        for _ in 0..1000 {
            queue.push(RevalidateReason::ActiveMember);
            queue.push(RevalidateReason::Rebalanced);
        }
        let p = queue.0.0.lock();
        assert_eq!(p.reasons, [RevalidateReason::ActiveMember, RevalidateReason::Rebalanced]);
    }

    #[test]
    fn memory_returned_after_most_flows_removed() {
        let mut trim = Trim::default();
        let due: Vec<bool> = [9_999, 0, 30_000, 20_000, 15_000, 14_000, 4_000, 0, 12_000, 1_000]
            .map(|flows| trim.is_due(flows))
            .to_vec();
        assert_eq!(due, [false, false, false, false, true, false, true, false, false, true]);
    }
}
