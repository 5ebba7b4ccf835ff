//! State that the control side and the packet threads share. Nothing here makes a packet thread
//! wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_queue::{ArrayQueue, SegQueue};
use netdev::{IoCounters, PacketIo};
use parking_lot::Mutex;

use super::clock::Clock;
use super::poller::Waker;
use super::tables::Tables;
use super::wakeup::Wakeup;
use crate::flow::FlowHandle;
use crate::port::PortNo;
use crate::upcall::Upcall;
use crate::{Execute, Job, URGENT_DEPTH};

/// Depth of the command queue.
///
/// The packet thread takes them once a round, and a round is a few hundred packets, well under a
/// millisecond: the control side makes fewer than that. When the queue is full the caller waits
/// for room; nothing is dropped.
pub(super) const COMMAND_DEPTH: usize = 1024;

/// The flow limit until [`Datapath::set_flow_limit`](crate::Datapath::set_flow_limit); Open
/// vSwitch's default.
pub const DEFAULT_FLOW_LIMIT: usize = 200_000;

pub(crate) enum Command {
    Run(Job),
    Execute(Execute),
    /// `done` gets whether it was added; false: one with the same mask and key exists.
    FlowAdd {
        flow: Arc<FlowHandle>,
        done: std::sync::mpsc::Sender<bool>,
    },
    /// `done` gets `()` when the port is in use.
    PortAdd {
        port: PortNo,
        io: Box<dyn PacketIo>,
        counters: Arc<PortCounters>,
        done: std::sync::mpsc::Sender<()>,
    },
    /// `done` gets the device when the packet thread no longer uses it.
    PortDel {
        port: PortNo,
        done: std::sync::mpsc::Sender<Option<Box<dyn PacketIo>>>,
    },
}

/// A port's counters as its packet thread last published them.
#[derive(Default)]
pub(crate) struct PortCounters([AtomicU64; 6]);

impl PortCounters {
    /// Publishes `c`. Returns whether the device has dropped packets to send since the last call.
    pub(crate) fn store(&self, c: IoCounters) -> bool {
        let refused = self.0[5].load(Ordering::Relaxed) != c.tx_dropped;
        let all = [c.rx_packets, c.rx_bytes, c.rx_dropped, c.tx_packets, c.tx_bytes, c.tx_dropped];
        for (to, v) in self.0.iter().zip(all) {
            to.store(v, Ordering::Relaxed);
        }
        refused
    }

    pub(crate) fn load(&self) -> IoCounters {
        let v = |i: usize| self.0[i].load(Ordering::Relaxed);
        IoCounters {
            rx_packets: v(0),
            rx_bytes: v(1),
            rx_dropped: v(2),
            tx_packets: v(3),
            tx_bytes: v(4),
            tx_dropped: v(5),
        }
    }
}

/// The packet thread's counters as it last published them.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) hit: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) over_limit: AtomicU64,
    pub(crate) no_port: AtomicU64,
    pub(crate) batches_grown: AtomicU64,
    pub(crate) urgent_dropped: AtomicU64,
    pub(crate) masks: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) recirculated: AtomicU64,
    pub(crate) masked_hit: AtomicU64,
    pub(crate) masked_lookup: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) sent_batches: AtomicU64,
}

pub(crate) struct Shared {
    pub(crate) upcall: Arc<dyn Upcall>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) totals: Totals,

    /// Called after a device has refused to send.
    pub(crate) refused: OnceLock<Box<dyn Fn() + Send + Sync>>,

    commands: ArrayQueue<Command>,
    /// Frames and jobs of threads that must not wait; taken before `commands`. What does not fit is
    /// dropped and counted in `Totals::urgent_dropped`.
    urgent: ArrayQueue<Command>,
    waker: Waker,
    wakeup: Wakeup,
    pub(crate) stop: AtomicBool,
    /// The packet thread has ended; it takes no more commands.
    pub(crate) ended: AtomicBool,

    /// Flows that the packet thread installed and the control side has not listed yet. Unbounded,
    /// because the packet thread can neither wait nor forget an installed flow; nothing is dropped.
    /// The flow limit bounds its length: installation stops at the limit, and a removal, which makes
    /// room for another flow, drains this queue first.
    pub(crate) installed: SegQueue<Arc<FlowHandle>>,
    /// Flows that the control side removed and the packet thread still has. Unbounded, because a
    /// dropped entry would leave a dead flow in the classifier; nothing is dropped. A flow is queued
    /// once, so that the queue is never longer than the classifier; the packet thread takes 128 per
    /// round.
    pub(crate) removed: SegQueue<Arc<FlowHandle>>,
    pub(crate) flow_count: AtomicUsize,
    pub(crate) flow_limit: AtomicUsize,

    /// Taken by the control side only.
    pub(crate) list: Mutex<FlowList>,
    /// Control side only.
    pub(crate) ports: Mutex<BTreeMap<u32, Arc<PortCounters>>>,
}

/// The control side's list of flows: every installed flow in order of installation, and dead ones
/// until the next compaction.
#[derive(Default)]
pub(crate) struct FlowList {
    pub(crate) flows: Vec<Arc<FlowHandle>>,
    /// How many of them are dead.
    pub(crate) dead: usize,
}

impl Shared {
    pub(crate) fn new(upcall: Arc<dyn Upcall>, clock: Arc<dyn Clock>, waker: Waker) -> Shared {
        Shared {
            upcall,
            clock,
            tables: Arc::default(),
            totals: Totals::default(),
            refused: OnceLock::new(),
            commands: ArrayQueue::new(COMMAND_DEPTH),
            urgent: ArrayQueue::new(URGENT_DEPTH),
            waker,
            wakeup: Wakeup::new(),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            installed: SegQueue::new(),
            removed: SegQueue::new(),
            flow_count: AtomicUsize::new(0),
            flow_limit: AtomicUsize::new(DEFAULT_FLOW_LIMIT),
            list: Mutex::default(),
            ports: Mutex::default(),
        }
    }

    /// Wakes the packet thread if it sleeps.
    pub(crate) fn wake(&self) {
        if self.wakeup.must_wake() {
            self.waker.wake();
        }
    }

    /// Makes the packet thread run one more round.
    pub(crate) fn request_round(&self) {
        if self.wakeup.request_round() {
            self.waker.wake();
        }
    }

    /// Called by the packet thread when it wants to sleep. False: there is something to do.
    pub(crate) fn before_sleep(&self) -> bool {
        self.wakeup.before_sleep(|| {
            self.commands.is_empty()
                && self.urgent.is_empty()
                && self.removed.is_empty()
                && !self.stop.load(Ordering::SeqCst)
        })
    }

    pub(crate) fn after_sleep(&self) {
        self.wakeup.after_sleep();
    }

    /// Hands a command to the packet thread; waits while the queue is full. `Err` when the
    /// thread has ended.
    pub(crate) fn send(&self, command: Command) -> Result<(), Command> {
        let mut command = command;
        let mut pause = Duration::from_micros(10);
        loop {
            if self.ended.load(Ordering::SeqCst) {
                return Err(command);
            }
            match self.commands.push(command) {
                Ok(()) => break,
                Err(back) => command = back,
            }
            self.wake();
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(1));
        }
        self.wake();
        if self.ended.load(Ordering::SeqCst) {
            // It ended between the check and the push, and may have missed this command.
            self.discard_commands();
        }
        Ok(())
    }

    /// As `send`, but never waits: a command that finds the queue full is dropped and counted.
    /// Returns whether it was queued.
    pub(crate) fn send_urgent(&self, command: Command) -> bool {
        let taken = !self.ended.load(Ordering::SeqCst) && self.urgent.push(command).is_ok();
        if !taken {
            self.totals.urgent_dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake();
        if self.ended.load(Ordering::SeqCst) {
            self.discard_commands();
        }
        taken
    }

    #[inline]
    pub(crate) fn next_urgent(&self) -> Option<Command> {
        self.urgent.pop()
    }

    #[inline]
    pub(crate) fn next_command(&self) -> Option<Command> {
        self.commands.pop()
    }

    /// Drops all queued commands. A caller that waits for an answer sees its channel closed.
    pub(crate) fn discard_commands(&self) {
        while self.urgent.pop().or_else(|| self.commands.pop()).is_some() {}
    }

    /// Marks a flow as dead and queues it for removal. True for the first call only.
    pub(crate) fn remove_flow(&self, flow: &Arc<FlowHandle>) -> bool {
        let first = flow.mark_dead();
        if first {
            self.flow_count.fetch_sub(1, Ordering::Relaxed);
            self.removed.push(flow.clone());
        }
        first
    }
}

impl FlowList {
    /// Appends the flows installed since the last call.
    pub(crate) fn drain_installed(&mut self, shared: &Shared) {
        // Bounded by the length at the start: the packet thread may push as fast as this pops.
        for _ in 0..shared.installed.len() {
            let Some(f) = shared.installed.pop() else { break };
            self.flows.push(f);
        }
    }

    /// Counts `removed` more dead flows. Drops the dead ones when they are more than half, so that a
    /// removal costs constant time on average.
    pub(crate) fn compact(&mut self, removed: usize) {
        self.dead += removed;
        if self.dead * 2 > self.flows.len() {
            self.flows.retain(|f| !f.is_dead());
            self.flows.shrink_to(self.flows.len() * 2);
            self.dead = 0;
        }
    }
}
