//! The datapath in our own process.
//!
//! One packet thread owns every port's queues, the caches and the classifier: a packet that hits a
//! flow takes no lock. A miss takes the locks of its [`Upcall`]. The control side ([`Userspace`])
//! queues commands, which the thread runs between two rounds; `shared` holds what both sides
//! access. A second thread would be a second [`Worker`] with ports and caches of its own.
//!
//! | module | contents |
//! |---|---|
//! | `worker` | the thread: rounds over the ports, commands, sleep |
//! | `path` | a packet: key, flow, actions |
//! | `ports` | the thread's devices, and the packets that must live until a flush |
//! | `cache`, `classifier`, `keyhash` | lookup of a flow by key |
//! | `tables` | bucket tables |
//! | `shared` | state of both sides |
//! | `wakeup`, `poller` | sleep and wake-up |

mod cache;
mod classifier;
mod clock;
mod keyhash;
mod path;
mod poller;
mod ports;
mod prefetch;
mod shared;
mod tables;
#[cfg(test)]
mod tests;
mod wakeup;
mod worker;

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, mpsc};

use netdev::{IoCounters, PacketIo};
use wire::Time;

use crate::flow::FlowHandle;
use crate::port::PortNo;
use crate::table::{BucketTable, Standby, TableId};
use crate::upcall::Upcall;
use crate::{Datapath, DatapathError, DatapathStats, Execute, Job, MAX_PORTS};
pub use clock::Clock;
use poller::Poller;
pub use shared::DEFAULT_FLOW_LIMIT;
use shared::{Command, PortCounters, Shared};
pub use worker::Worker;

/// The control side's handle. Dropping it ends the packet thread.
pub struct Userspace {
    shared: Arc<Shared>,
}

impl Userspace {
    /// A datapath and the state of its packet thread; the caller runs [`Worker::run`] on a thread
    /// of its own. `seed` keeps senders from aiming at one slot of the caches: a random number,
    /// or a fixed one to repeat a test.
    ///
    /// # Errors
    ///
    /// When the kernel gives no epoll or eventfd descriptor.
    pub fn new(
        upcall: Arc<dyn Upcall>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> std::io::Result<(Userspace, Worker)> {
        let poller = Poller::new()?;
        let shared = Arc::new(Shared::new(upcall, clock, poller.waker()));
        let worker = Worker::new(shared.clone(), poller, seed);
        Ok((Userspace { shared }, worker))
    }

    /// A function that makes the packet thread run one round even when it has nothing to do.
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.request_round()
    }

    fn send(&self, command: Command) -> Result<(), DatapathError> {
        if worker::is_packet_thread(&self.shared) {
            worker::defer_local(command);
            return Ok(());
        }
        self.shared.send(command).map_err(|_| DatapathError::Stopped)
    }

    fn send_urgent(&self, command: Command) -> bool {
        if worker::is_packet_thread(&self.shared) {
            worker::defer_local(command);
            return true;
        }
        self.shared.send_urgent(command)
    }

    fn send_and_wait<T>(
        &self,
        command: Command,
        answer: &mpsc::Receiver<T>,
    ) -> Result<T, DatapathError> {
        self.send(command)?;
        answer.recv().map_err(|_| DatapathError::Stopped)
    }

    fn check_thread(&self) -> Result<(), DatapathError> {
        if worker::is_packet_thread(&self.shared) {
            return Err(DatapathError::OnPacketThread);
        }
        Ok(())
    }
}

impl Drop for Userspace {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.wake();
    }
}

impl Datapath for Userspace {
    fn port_add(
        &self,
        _name: &str,
        io: Box<dyn PacketIo>,
        wanted: Option<PortNo>,
    ) -> Result<PortNo, DatapathError> {
        self.check_thread()?;
        let counters = Arc::new(PortCounters::default());
        let port = {
            let mut ports = self.shared.ports.lock();
            let free = |n: &u32| !ports.contains_key(n);
            let wanted = wanted.map(|p| p.0).filter(|n| *n < MAX_PORTS).filter(free);
            let no = wanted.or_else(|| (1..MAX_PORTS).find(free)).ok_or(DatapathError::Full)?;
            ports.insert(no, counters.clone());
            PortNo(no)
        };
        let (done, answer) = mpsc::channel();
        let added = self.send_and_wait(Command::PortAdd { port, io, counters, done }, &answer);
        if added.is_err() {
            self.shared.ports.lock().remove(&port.0);
        }
        added.map(|()| port)
    }

    fn port_del(&self, port: PortNo) -> Result<(), DatapathError> {
        self.check_thread()?;
        if !self.shared.ports.lock().contains_key(&port.0) {
            return Err(DatapathError::NoSuchPort(port.0));
        }
        let (done, answer) = mpsc::channel();
        let io = self.send_and_wait(Command::PortDel { port, done }, &answer)?;
        // Only now is the number free: the packet thread no longer has the old port.
        self.shared.ports.lock().remove(&port.0);
        // Closing the device may take long in the kernel: done here, not on the packet thread.
        drop(io);
        Ok(())
    }

    fn port_move(&self, from: PortNo, to: PortNo) -> Result<(), DatapathError> {
        self.check_thread()?;
        let counters = {
            let mut ports = self.shared.ports.lock();
            if to.0 >= MAX_PORTS || ports.contains_key(&to.0) {
                return Err(DatapathError::PortInUse(to.0));
            }
            let counters = ports.get(&from.0).ok_or(DatapathError::NoSuchPort(from.0))?.clone();
            ports.insert(to.0, counters.clone());
            counters
        };
        let (done, answer) = mpsc::channel();
        let moved = self
            .send_and_wait(Command::PortDel { port: from, done }, &answer)
            .and_then(|io| io.ok_or(DatapathError::NoSuchPort(from.0)))
            .and_then(|io| {
                let (done, answer) = mpsc::channel();
                self.send_and_wait(Command::PortAdd { port: to, io, counters, done }, &answer)
            });
        self.shared.ports.lock().remove(if moved.is_ok() { &from.0 } else { &to.0 });
        moved
    }

    fn port_counters(&self, port: PortNo) -> Option<IoCounters> {
        self.shared.ports.lock().get(&port.0).map(|c| c.load())
    }

    fn table_publish(&self, id: TableId, table: Arc<BucketTable>) {
        self.shared.tables.publish(id, table);
    }

    fn table_standby(&self, id: TableId, standby: Standby) {
        self.shared.tables.standby(id, standby);
    }

    fn table_remove(&self, id: TableId) {
        self.shared.tables.remove(id);
    }

    fn table_bytes(&self, id: TableId) -> Option<Box<[u64; 256]>> {
        self.shared.tables.bytes(id)
    }

    fn table(&self, id: TableId) -> Option<Arc<BucketTable>> {
        self.shared.tables.get(id)
    }

    fn flows(&self) -> Vec<Arc<FlowHandle>> {
        let mut list = self.shared.list.lock();
        list.drain_installed(&self.shared);
        list.flows.iter().filter(|f| !f.is_dead()).cloned().collect()
    }

    fn flow_install(&self, flow: FlowHandle) -> Result<Arc<FlowHandle>, DatapathError> {
        self.check_thread()?;
        let flow = Arc::new(flow);
        let (done, answer) = mpsc::channel();
        let added = self.send_and_wait(Command::FlowAdd { flow: flow.clone(), done }, &answer)?;
        if added { Ok(flow) } else { Err(DatapathError::FlowExists) }
    }

    fn flow_remove(&self, flow: &Arc<FlowHandle>) {
        let mut list = self.shared.list.lock();
        list.drain_installed(&self.shared);
        if self.shared.remove_flow(flow) {
            list.compact(1);
            drop(list);
            self.shared.wake();
        }
    }

    fn flow_flush(&self) {
        let mut list = self.shared.list.lock();
        list.drain_installed(&self.shared);
        let removed = list.flows.iter().filter(|f| self.shared.remove_flow(f)).count();
        list.compact(removed);
        drop(list);
        self.shared.wake();
    }

    fn execute(&self, what: Execute) {
        // Fails only when the datapath has stopped: then the packet is dropped.
        let _ = self.send(Command::Execute(what));
    }

    fn execute_urgent(&self, what: Execute) -> bool {
        self.send_urgent(Command::Execute(what))
    }

    fn run_urgent(&self, job: Job) -> bool {
        self.send_urgent(Command::Run(job))
    }

    fn run(&self, job: Job) {
        let _ = self.send(Command::Run(job));
    }

    fn on_refused_send(&self, hook: Box<dyn Fn() + Send + Sync>) {
        // A second hook is ignored, as documented.
        let _ = self.shared.refused.set(hook);
    }

    fn stats(&self) -> DatapathStats {
        let t = &self.shared.totals;
        DatapathStats {
            hit: t.hit.load(Relaxed),
            missed: t.missed.load(Relaxed),
            lost: t.lost.load(Relaxed),
            flows: self.shared.flow_count.load(Relaxed) as u64,
            masks: t.masks.load(Relaxed),
            over_limit: t.over_limit.load(Relaxed),
            no_port: t.no_port.load(Relaxed),
            batches_grown: t.batches_grown.load(Relaxed),
            urgent_dropped: t.urgent_dropped.load(Relaxed),
            received: t.received.load(Relaxed),
            recirculated: t.recirculated.load(Relaxed),
            masked_hit: t.masked_hit.load(Relaxed),
            masked_lookup: t.masked_lookup.load(Relaxed),
            sent: t.sent.load(Relaxed),
            sent_batches: t.sent_batches.load(Relaxed),
        }
    }

    fn set_flow_limit(&self, limit: usize) {
        self.shared.flow_limit.store(limit, Relaxed);
    }

    fn now(&self) -> Time {
        self.shared.clock.now()
    }
}
