//! The packet thread: rounds over the ports, commands between rounds, sleep when idle.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::path::Path;
use super::poller::Poller;
use super::ports::BATCH;
use super::shared::{Command, Shared};

/// Commands run per round; the rest wait, so that packets are processed in between.
const COMMANDS_PER_ROUND: usize = 256;

/// Jobs ([`Command::Run`]) among them. A job may take tens of microseconds; any other command takes
/// no longer than a packet.
const JOBS_PER_ROUND: usize = 8;

/// Removed flows deleted per round.
const REMOVALS_PER_ROUND: usize = 128;

/// Busy rounds between two publications of the counters. Before a sleep they are always published.
const PUBLISH_EVERY: u32 = 64;

/// Idle rounds before the thread sleeps.
const IDLE_ROUNDS: u32 = 2;

/// What a packet thread keeps for calls that come back to it from its own upcalls and jobs.
struct Local {
    /// The `Shared` that this thread serves.
    shared: *const Shared,
    /// Commands that its upcalls and jobs sent. Unbounded, because a packet thread cannot wait for
    /// room in its own queue; nothing is dropped. An upcall sends at most a few commands per packet,
    /// a job that continues in slices sends one, and ordinary commands wait while there are any.
    commands: VecDeque<Command>,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// Whether this is the packet thread of `shared`.
pub(crate) fn is_packet_thread(shared: &Arc<Shared>) -> bool {
    LOCAL.with_borrow(|local| local.as_ref().is_some_and(|l| l.shared == Arc::as_ptr(shared)))
}

/// Queues a command of the packet thread for itself. It runs after the packets of the current round,
/// because the thread cannot wait for room in the shared queue.
pub(crate) fn defer_local(command: Command) {
    LOCAL.with_borrow_mut(|local| {
        if let Some(local) = local {
            local.commands.push_back(command);
        }
    });
}

/// The packet thread's state. [`Worker::run`] is the thread's body.
pub struct Worker {
    shared: Arc<Shared>,
    path: Path,
    poller: Poller,
    /// A job taken from the queue after the round's share of jobs was used up. It runs next.
    held: Option<Command>,
    until_publish: u32,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, poller: Poller, seed: u64) -> Worker {
        let path = Path::new(shared.clone(), seed);
        Worker { shared, path, poller, held: None, until_publish: PUBLISH_EVERY }
    }

    /// Processes packets until the [`Userspace`](super::Userspace) is dropped. Commands sent before
    /// that are still run.
    pub fn run(mut self) {
        LOCAL.set(Some(Local { shared: Arc::as_ptr(&self.shared), commands: VecDeque::new() }));
        let mut idle = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.shared.clock.round_begins();
            let busy = self.round();
            if busy {
                idle = 0;
            } else {
                idle += 1;
                if idle >= IDLE_ROUNDS {
                    self.publish_counters();
                }
            }
            self.shared.clock.round_ends(busy);
            if idle >= IDLE_ROUNDS {
                idle = 0;
                if self.shared.before_sleep() {
                    self.sleep();
                }
            }
        }
        while self.commands() {}
        self.path.ports.flush();
        self.publish_counters();
    }

    fn sleep(&mut self) {
        let mut failed = Vec::new();
        self.poller.sleep(&mut failed);
        self.shared.after_sleep();
        for port in failed {
            // The descriptor of a removed device stays readable. The control side learns of the removal
            // from netlink.
            if self.path.ports.is_gone(port) {
                self.poller.remove(port as usize);
            }
        }
    }

    /// Runs commands and processes a batch from every port. Returns whether there was work.
    fn round(&mut self) -> bool {
        let mut busy = self.commands();
        busy |= self.removals();
        let mut now = None;
        for i in 0..self.path.ports.numbers().len() {
            let port = self.path.ports.numbers()[i];
            let Some((mut packets, from)) = self.path.ports.recv(port, BATCH) else { continue };
            // The clock is read once a round, and not at all when idle.
            let now = *now.get_or_insert_with(|| {
                let now = self.shared.clock.now();
                self.path.tables.refresh(now);
                now
            });
            busy = true;
            self.poller.had_packets(port as usize);
            self.path.receive(now, port, &mut packets[from..]);
            if self.path.ports.put_back(packets) {
                self.path.ports.flush();
            }
        }
        if busy {
            self.path.ports.flush();
            self.until_publish -= 1;
            if self.until_publish == 0 {
                self.publish_counters();
            }
        }
        busy
    }

    /// Runs a bounded number of commands: urgent ones first, then those that this thread sent itself,
    /// then the shared queue. What a command of this thread sends in turn waits for the next round,
    /// and the shared queue waits for it. So a job can continue in slices with packets in between, and
    /// a job queued after it runs when it is complete.
    fn commands(&mut self) -> bool {
        let mut local = LOCAL.with_borrow(|l| l.as_ref().map_or(0, |l| l.commands.len()));
        let mut jobs = JOBS_PER_ROUND;
        let mut done = 0;
        while done < COMMANDS_PER_ROUND {
            let command = if let Some(urgent) = self.shared.next_urgent() {
                Some(urgent)
            } else if let Some(held) = self.held.take() {
                Some(held)
            } else if local > 0 {
                local -= 1;
                LOCAL.with_borrow_mut(|l| l.as_mut().and_then(|l| l.commands.pop_front()))
            } else if LOCAL.with_borrow(|l| l.as_ref().is_some_and(|l| !l.commands.is_empty())) {
                break;
            } else {
                self.shared.next_command()
            };
            let Some(command) = command else { break };
            if matches!(command, Command::Run(_)) {
                if jobs == 0 {
                    self.held = Some(command);
                    break;
                }
                jobs -= 1;
            }
            self.command(command);
            done += 1;
        }
        done > 0
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Run(job) => job(),
            Command::Execute(what) => {
                let now = self.shared.clock.now();
                self.path.tables.refresh(now);
                self.path.execute(now, what);
            }
            Command::FlowAdd { flow, done } => {
                // The caller may have stopped waiting; the flow is installed all the same.
                let _ = done.send(self.path.install(flow));
            }
            Command::PortAdd { port, io, counters, done } => {
                self.path.ports.add(port, io, counters);
                if let Some(fd) = self.path.ports.fd(port.0) {
                    self.poller.add(port.0 as usize, fd);
                }
                // The caller may have stopped waiting; the port is added all the same.
                let _ = done.send(());
            }
            Command::PortDel { port, done } => {
                self.poller.remove(port.0 as usize);
                let _ = done.send(self.path.ports.remove(port));
            }
        }
    }

    fn removals(&mut self) -> bool {
        for n in 0..REMOVALS_PER_ROUND {
            let Some(flow) = self.shared.removed.pop() else { return n > 0 };
            self.path.remove_flow(&flow);
        }
        true
    }

    fn publish_counters(&mut self) {
        self.until_publish = PUBLISH_EVERY;
        if self.path.ports.publish_counters()
            && let Some(hook) = self.shared.refused.get()
        {
            hook();
        }
        let (t, c) = (&self.shared.totals, &self.path.counts);
        t.hit.store(c.hit, Ordering::Relaxed);
        t.missed.store(c.missed, Ordering::Relaxed);
        t.lost.store(c.lost, Ordering::Relaxed);
        t.over_limit.store(c.over_limit, Ordering::Relaxed);
        t.no_port.store(self.path.ports.no_port, Ordering::Relaxed);
        t.batches_grown.store(self.path.ports.batches_grown, Ordering::Relaxed);
        t.masks.store(self.path.masks() as u64, Ordering::Relaxed);
        t.received.store(c.received, Ordering::Relaxed);
        t.recirculated.store(c.recirculated, Ordering::Relaxed);
        t.masked_hit.store(c.masked_hit, Ordering::Relaxed);
        t.masked_lookup.store(c.masked_lookup, Ordering::Relaxed);
        t.sent.store(self.path.ports.sent, Ordering::Relaxed);
        t.sent_batches.store(self.path.ports.sent_batches, Ordering::Relaxed);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.discard_commands();
    }
}
