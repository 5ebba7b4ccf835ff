//! A datapath that fails and dawdles, from a seed.
//!
//! [`Chaos`] wraps another backend. Some calls that may fail do; some that only ask for something
//! to be done later are done later than asked: after some more calls, or at [`Chaos::settle`].
//! Nothing is done twice, and jobs are never lost: those are promises of [`Datapath`] itself, as
//! is that a table is in force when `table_publish` returns.

use std::collections::VecDeque;
use std::sync::Arc;

use netdev::{IoCounters, PacketIo};
use parking_lot::Mutex;
use wire::Time;

use crate::action::PortNo;
use crate::flow::FlowHandle;
use crate::table::{BucketTable, TableId};
use crate::{Datapath, DatapathError, DatapathStats, Execute, Job};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Of a thousand calls that can fail, how many do. A packet to execute that fails is lost.
    pub fail: u16,
    /// Of a thousand calls that can wait, how many do.
    pub delay: u16,
    /// Most calls that something waits for.
    pub longest: u8,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults { fail: 50, delay: 300, longest: 5 }
    }
}

enum Later {
    Run(Job),
    Execute(Execute),
    FlowRemove(Arc<FlowHandle>),
    FlowFlush,
}

struct State {
    /// SplitMix64.
    dice: u64,
    /// Waiting, each with the calls it still waits for. Order is kept among them: the first
    /// holds up the rest, as a queue would.
    later: VecDeque<(u8, Later)>,
    failures: u64,
    delays: u64,
}

/// See the module. `D` points to a datapath: a reference, a `Box` or an `Arc`.
pub struct Chaos<D> {
    inner: D,
    faults: Faults,
    state: Mutex<State>,
}

impl State {
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn happens(&mut self, per_mille: u16) -> bool {
        self.roll() % 1000 < u64::from(per_mille)
    }
}

impl<D: std::ops::Deref<Target: Datapath>> Chaos<D> {
    /// The same seed and the same calls give the same faults.
    pub fn new(inner: D, seed: u64, faults: Faults) -> Chaos<D> {
        let state = State { dice: seed, later: VecDeque::new(), failures: 0, delays: 0 };
        Chaos { inner, faults, state: Mutex::new(state) }
    }

    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Calls that failed or were lost, and calls that were late.
    pub fn damage(&self) -> (u64, u64) {
        let s = self.state.lock();
        (s.failures, s.delays)
    }

    /// Does everything that still waits.
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

    /// One more call: what has waited long enough is done first.
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
        let fails = s.happens(self.faults.fail);
        s.failures += u64::from(fails);
        fails
    }

    fn perhaps_later(&self, what: Later) {
        self.tick();
        let now = {
            let mut s = self.state.lock();
            // Never before something that waits already.
            if s.later.is_empty() && !s.happens(self.faults.delay) {
                Some(what)
            } else {
                let wait = s.roll() % (u64::from(self.faults.longest) + 1);
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
        self.perhaps_later(Later::FlowRemove(flow.clone()));
    }

    fn flow_flush(&self) {
        self.perhaps_later(Later::FlowFlush);
    }

    fn execute(&self, what: Execute) {
        if !self.fails() {
            self.perhaps_later(Later::Execute(what));
        }
    }

    fn execute_urgent(&self, what: Execute) -> bool {
        !self.fails() && self.inner.execute_urgent(what)
    }

    fn run_urgent(&self, job: Job) -> bool {
        self.inner.run_urgent(job)
    }

    fn run(&self, job: Job) {
        self.perhaps_later(Later::Run(job));
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
    use crate::fake::{Fake, memory};

    fn story(seed: u64) -> (Vec<bool>, (u64, u64), u32) {
        let chaos =
            Chaos::new(Box::new(Fake::new()), seed, Faults { fail: 300, delay: 500, longest: 3 });
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
        (added, chaos.damage(), early)
    }

    #[test]
    fn the_same_seed_is_the_same_story() {
        assert_eq!(story(1), story(1));
        assert_ne!(story(1).0, story(2).0);
        let (added, (failures, delays), _) = story(3);
        assert!(failures > 0 && delays > 0 && added.contains(&true));
    }
}
