//! The packet thread: rounds over the ports, commands in between, sleep when there is nothing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::path::Path;
use super::poller::Poller;
use super::shared::{Command, Shared};

/// Packets taken from one port at a time. What a busy port has beyond waits for the others' turn.
const BATCH: usize = 256;

/// Commands per round; more wait for the next, so that packets flow in between.
const COMMANDS_PER_ROUND: usize = 256;

/// Jobs ([`Command::Run`]) among them. A job may take some tens of microseconds, a command of any
/// other kind takes no longer than a packet does.
const JOBS_PER_ROUND: usize = 8;

/// Removed flows taken out per round.
const REMOVALS_PER_ROUND: usize = 128;

/// Rounds between two publications of counters while busy; before sleep they are always told.
const TELL_EVERY: u32 = 64;

/// Rounds without anything to do before the thread sleeps.
const IDLE_ROUNDS: u32 = 2;

thread_local! {
    /// On a packet thread: whose, and commands that its own upcalls and jobs gave.
    static OWN: RefCell<Option<(*const Shared, VecDeque<Command>)>> = const { RefCell::new(None) };
}

/// Whether this is the packet thread of `shared`.
pub(crate) fn is_own_thread(shared: &Arc<Shared>) -> bool {
    OWN.with_borrow(|own| own.as_ref().is_some_and(|(s, _)| *s == Arc::as_ptr(shared)))
}

/// Keeps a command for this thread until the packets at hand are done. A packet thread cannot
/// wait for room in its own queue.
pub(crate) fn keep_own(command: Command) {
    OWN.with_borrow_mut(|own| {
        if let Some((_, queue)) = own {
            queue.push_back(command);
        }
    });
}

/// The packet thread's state. [`Worker::run`] is the thread's body.
pub struct Worker {
    shared: Arc<Shared>,
    path: Path,
    poller: Poller,
    /// A job that was taken from the queue when the round had run its share of jobs. It is the
    /// next command.
    held: Option<Command>,
    until_told: u32,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, poller: Poller, seed: u64) -> Worker {
        let path = Path::new(shared.clone(), seed);
        Worker { shared, path, poller, held: None, until_told: TELL_EVERY }
    }

    /// Moves packets until the [`Userspace`](super::Userspace) is dropped. Commands given before
    /// that are carried out.
    pub fn run(mut self) {
        OWN.set(Some((Arc::as_ptr(&self.shared), VecDeque::new())));
        let mut idle = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.shared.clock.round_begins();
            let busy = self.round();
            if busy {
                idle = 0;
            } else {
                idle += 1;
                if idle >= IDLE_ROUNDS {
                    self.tell();
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
        self.tell();
    }

    fn sleep(&mut self) {
        let mut failed = Vec::new();
        self.poller.sleep(&mut failed);
        self.shared.after_sleep();
        for port in failed {
            // Its descriptor stays readable for good. The control side hears of it by netlink.
            if self.path.ports.is_gone(port) {
                self.poller.remove(port as usize);
            }
        }
    }

    /// One turn for every port. Whether there was anything to do.
    fn round(&mut self) -> bool {
        let mut busy = self.commands();
        busy |= self.removals();
        let mut now = None;
        for i in 0..self.path.ports.numbers().len() {
            let port = self.path.ports.numbers()[i];
            let Some((mut packets, from)) = self.path.ports.recv(port, BATCH) else { continue };
            // One reading of the clock a round, and none when idle.
            let now = *now.get_or_insert_with(|| {
                self.path.view.refresh();
                self.shared.clock.now()
            });
            busy = true;
            self.poller.fruitful(port as usize);
            self.path.receive(now, port, &mut packets[from..]);
            if self.path.ports.keep(packets) {
                self.path.ports.flush();
            }
        }
        if busy {
            self.path.ports.flush();
            self.until_told -= 1;
            if self.until_told == 0 {
                self.tell();
            }
        }
        busy
    }

    /// Carries out a bounded number of commands, in order: urgent ones first, then those of this
    /// thread, then the queue's. What an own command gives in turn waits for the next round, and
    /// the queue waits for it: so a job can go on in slices, with packets between them, and what
    /// is asked after it finds it done.
    fn commands(&mut self) -> bool {
        let mut own = OWN.with_borrow(|o| o.as_ref().map_or(0, |(_, q)| q.len()));
        let mut jobs = JOBS_PER_ROUND;
        let mut done = 0;
        while done < COMMANDS_PER_ROUND {
            let command = if let Some(urgent) = self.shared.next_urgent() {
                Some(urgent)
            } else if let Some(held) = self.held.take() {
                Some(held)
            } else if own > 0 {
                own -= 1;
                OWN.with_borrow_mut(|o| o.as_mut().and_then(|(_, q)| q.pop_front()))
            } else if OWN.with_borrow(|o| o.as_ref().is_some_and(|(_, q)| !q.is_empty())) {
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
                self.path.view.refresh();
                self.path.execute(self.shared.clock.now(), what);
            }
            Command::FlowAdd { flow, done } => {
                // The caller may have gone; the flow is there all the same.
                let _ = done.send(self.path.install(flow));
            }
            Command::PortAdd { port, io, counters, done } => {
                self.path.ports.add(port, io, counters);
                if let Some(fd) = self.path.ports.fd(port.0) {
                    self.poller.add(port.0 as usize, fd);
                }
                // The caller may have gone; the port is there all the same.
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
            self.path.take_out(&flow);
        }
        true
    }

    fn tell(&mut self) {
        self.until_told = TELL_EVERY;
        if self.path.ports.tell_counters()
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
