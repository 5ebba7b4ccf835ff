//! A datapath that refuses, delays and drops operations, from a seed.
//!
//! [`Chaos`] wraps another backend. Calls that return an error may fail. Calls that only queue work
//! (`run`, `execute`, `flow_remove`, `flow_flush`) may take effect late: after a number of later
//! calls, or at [`Chaos::settle`]. A flow removal may be lost. The other guarantees of [`Datapath`] hold: nothing is done twice, no
//! job is lost, order is kept, and a table is in force when `table_publish` returns.

use std::collections::VecDeque;
use std::sync::Arc;

use netdev::{IoCounters, PacketIo};
use parking_lot::Mutex;
use wire::{FlowKey, Time};

use datapath::{
    BucketTable, Datapath, DatapathError, DatapathStats, Execute, FlowHandle, Job, Packet, PortNo,
    SlowPath, Standby, TableId, ToController, Translation, Upcall,
};

/// How often operations fail or wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Calls that fail, per thousand of those that can. A packet whose `execute` fails is lost.
    pub fail: u16,
    /// Flow removals that are lost, per thousand. The flow stays; the caller sees it in `flows`.
    pub drop: u16,
    /// Calls that are delayed, per thousand of those that can be.
    pub delay: u16,
    /// The longest delay, in later calls.
    pub longest: u8,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults { fail: 50, drop: 50, delay: 300, longest: 5 }
    }
}

enum Later {
    Run(Job),
    Execute(Execute),
    FlowRemove(Arc<FlowHandle>),
    FlowFlush,
}

struct State {
    random: Random,
    /// Delayed work, each with the number of calls it still waits for. A queue: the first item
    /// holds up the rest.
    later: VecDeque<(u8, Later)>,
    failures: u64,
    delays: u64,
}

/// A datapath that fails; see the module. `D` points to the wrapped datapath: a reference, a `Box`
/// or an `Arc`.
pub struct Chaos<D> {
    inner: D,
    faults: Faults,
    state: Mutex<State>,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random {
    state: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        self.next() % 1000 < u64::from(per_mille)
    }
}

/// Translates as `inner` does, but some flows are not installed.
struct RefusingUpcall {
    inner: Arc<dyn Upcall>,
    per_mille: u16,
    random: Mutex<Random>,
}

impl Upcall for RefusingUpcall {
    fn miss(&self, now: Time, packet: &Packet, key: &FlowKey) -> Translation {
        let mut t = self.inner.miss(now, packet, key);
        t.install &= !self.random.lock().chance(self.per_mille);
        t
    }

    fn flow_added(&self, flow: &FlowHandle) {
        self.inner.flow_added(flow);
    }

    fn slow_path(&self, now: Time, what: SlowPath<'_>) {
        self.inner.slow_path(now, what);
    }

    fn to_controller(&self, now: Time, what: &ToController, packet: &Packet, key: &FlowKey) {
        self.inner.to_controller(now, what, packet, key);
    }
}

impl<D: std::ops::Deref<Target: Datapath>> Chaos<D> {
    /// Wraps `inner`. Equal seeds and equal calls give equal faults.
    pub fn new(inner: D, seed: u64, faults: Faults) -> Chaos<D> {
        let state = State {
            random: Random { state: seed },
            later: VecDeque::new(),
            failures: 0,
            delays: 0,
        };
        Chaos { inner, faults, state: Mutex::new(state) }
    }

    /// An upcall for the wrapped datapath: some translations of `inner` are not installed, at the
    /// rate of [`Faults::fail`].
    pub fn upcall(&self, inner: Arc<dyn Upcall>, seed: u64) -> Arc<dyn Upcall> {
        let state = Mutex::new(Random { state: seed });
        Arc::new(RefusingUpcall { inner, per_mille: self.faults.fail, random: state })
    }

    /// The wrapped datapath.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// The number of calls that failed, and of those that were delayed.
    pub fn faults_injected(&self) -> (u64, u64) {
        let s = self.state.lock();
        (s.failures, s.delays)
    }

    /// Performs everything that is still delayed.
    pub fn settle(&self) {
        loop {
            let next = self.state.lock().later.pop_front();
            let Some((_, what)) = next else { return };
            self.perform(what);
        }
    }

    fn perform(&self, what: Later) {
        match what {
            Later::Run(job) => self.inner.run(job),
            Later::Execute(e) => self.inner.execute(e),
            Later::FlowRemove(f) => self.inner.flow_remove(&f),
            Later::FlowFlush => self.inner.flow_flush(),
        }
    }

    /// Counts a call, and performs what has waited long enough.
    fn tick(&self) {
        loop {
            let due = {
                let mut s = self.state.lock();
                match s.later.front_mut() {
                    Some((0, _)) => s.later.pop_front(),
                    Some((n, _)) => {
                        *n -= 1;
                        None
                    }
                    None => None,
                }
            };
            let Some((_, what)) = due else { return };
            self.perform(what);
        }
    }

    fn fails(&self) -> bool {
        let mut s = self.state.lock();
        let fails = s.random.chance(self.faults.fail);
        s.failures += u64::from(fails);
        fails
    }

    fn maybe_delay(&self, what: Later) {
        self.tick();
        let now = {
            let mut s = self.state.lock();
            // Never ahead of work that is delayed already.
            if s.later.is_empty() && !s.random.chance(self.faults.delay) {
                Some(what)
            } else {
                let wait = s.random.next() % (u64::from(self.faults.longest) + 1);
                s.delays += 1;
                s.later.push_back((wait as u8, what));
                None
            }
        };
        if let Some(what) = now {
            self.perform(what);
        }
    }
}

impl<D> Datapath for Chaos<D>
where
    D: std::ops::Deref<Target: Datapath> + Send + Sync,
{
    fn port_add(
        &self,
        name: &str,
        io: Box<dyn PacketIo>,
        wanted: Option<PortNo>,
    ) -> Result<PortNo, DatapathError> {
        self.tick();
        if self.fails() {
            return Err(DatapathError::Full);
        }
        self.inner.port_add(name, io, wanted)
    }

    fn port_del(&self, port: PortNo) -> Result<(), DatapathError> {
        self.tick();
        self.inner.port_del(port)
    }

    fn port_move(&self, from: PortNo, to: PortNo) -> Result<(), DatapathError> {
        self.tick();
        self.inner.port_move(from, to)
    }

    fn port_counters(&self, port: PortNo) -> Option<IoCounters> {
        self.inner.port_counters(port)
    }

    fn table_publish(&self, id: TableId, table: Arc<BucketTable>) {
        self.tick();
        self.inner.table_publish(id, table);
    }

    fn table_standby(&self, id: TableId, standby: Standby) {
        self.tick();
        self.inner.table_standby(id, standby);
    }

    fn table_remove(&self, id: TableId) {
        self.tick();
        self.inner.table_remove(id);
    }

    fn table_bytes(&self, id: TableId) -> Option<Box<[u64; 256]>> {
        self.inner.table_bytes(id)
    }

    fn table(&self, id: TableId) -> Option<Arc<BucketTable>> {
        self.inner.table(id)
    }

    fn flows(&self) -> Vec<Arc<FlowHandle>> {
        self.tick();
        self.inner.flows()
    }

    fn flow_install(&self, flow: FlowHandle) -> Result<Arc<FlowHandle>, DatapathError> {
        self.tick();
        if self.fails() {
            return Err(DatapathError::FlowExists);
        }
        self.inner.flow_install(flow)
    }

    fn flow_remove(&self, flow: &Arc<FlowHandle>) {
        let dropped = {
            let mut s = self.state.lock();
            let dropped = s.random.chance(self.faults.drop);
            s.failures += u64::from(dropped);
            dropped
        };
        if dropped {
            self.tick();
        } else {
            self.maybe_delay(Later::FlowRemove(flow.clone()));
        }
    }

    fn flow_flush(&self) {
        self.maybe_delay(Later::FlowFlush);
    }

    fn execute(&self, what: Execute) {
        if !self.fails() {
            self.maybe_delay(Later::Execute(what));
        }
    }

    fn execute_urgent(&self, what: Execute) -> bool {
        !self.fails() && self.inner.execute_urgent(what)
    }

    fn run_urgent(&self, job: Job) -> bool {
        self.inner.run_urgent(job)
    }

    fn run(&self, job: Job) {
        self.maybe_delay(Later::Run(job));
    }

    fn stats(&self) -> DatapathStats {
        self.inner.stats()
    }

    fn set_flow_limit(&self, limit: usize) {
        self.inner.set_flow_limit(limit);
    }

    fn now(&self) -> Time {
        self.inner.now()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::{Fake, memory};

    fn run_once(seed: u64) -> (Vec<bool>, (u64, u64), u32) {
        let chaos = Chaos::new(
            Box::new(Fake::new()),
            seed,
            Faults { fail: 300, drop: 0, delay: 500, longest: 3 },
        );
        let ran = Arc::new(AtomicU32::new(0));
        let mut added = Vec::new();
        for _ in 0..40 {
            let (io, _) = memory().expect("an eventfd");
            added.push(chaos.port_add("p", Box::new(io), None).is_ok());
            let ran = ran.clone();
            chaos.run(Box::new(move || {
                ran.fetch_add(1, Relaxed);
            }));
        }
        let early = ran.load(Relaxed);
        chaos.settle();
        assert_eq!(ran.load(Relaxed), 40, "no job is ever lost");
        (added, chaos.faults_injected(), early)
    }

    #[test]
    fn equal_seeds_give_equal_faults() {
        assert_eq!(run_once(1), run_once(1));
        assert_ne!(run_once(1).0, run_once(2).0);
        let (added, (failures, delays), _) = run_once(3);
        assert!(failures > 0 && delays > 0 && added.contains(&true));
    }
}
