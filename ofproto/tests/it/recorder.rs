//! A datapath without devices or threads: it keeps flows and tables, and tells where a frame went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use datapath::{
    Action, BucketTable, Datapath, DatapathError, DatapathStats, Execute, FlowHandle, Job, Packet,
    PortNo, SlowPath, TableId, Upcall, UserspaceReason,
};
use netdev::{IoCounters, PacketIo};
use parking_lot::Mutex;
use wire::{FlowKey, Time, extract::extract, hash::dp_hash_l4};

/// Where a copy of a frame ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    Port(u32, Vec<u8>),
    Up(UserspaceReason),
}

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) tables: Mutex<BTreeMap<TableId, Arc<BucketTable>>>,
    pub(crate) flows: Mutex<Vec<Arc<FlowHandle>>>,
    pub(crate) executed: Mutex<Vec<Out>>,
    pub(crate) now: AtomicU64,
    pub(crate) jobs: AtomicUsize,
    pub(crate) hit: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) limit: AtomicUsize,
}

impl Recorder {
    /// Takes a frame in as a real datapath would.
    pub(crate) fn receive(&self, upcall: &dyn Upcall, in_port: u32, frame: &[u8]) -> Vec<Out> {
        let mut outs = Vec::new();
        let packet = Packet::new(frame);
        self.pass(upcall, packet, extract(frame, in_port), &mut outs, 0);
        outs
    }

    fn pass(&self, upcall: &dyn Upcall, p: Packet, key: FlowKey, outs: &mut Vec<Out>, depth: u32) {
        assert!(depth < 8, "recirculates without end");
        let now = self.now();
        let flow = self.flows.lock().iter().find(|f| key.masked(&f.mask) == f.key).cloned();
        let actions = match flow {
            Some(flow) => {
                self.hit.fetch_add(1, Relaxed);
                flow.count(p.len() as u64, now, key.tcp_flags);
                (**flow.actions.load()).clone()
            }
            None => {
                self.missed.fetch_add(1, Relaxed);
                let t = upcall.miss(now, &p, &key);
                if t.install {
                    let masked = key.masked(&t.mask);
                    let flow = FlowHandle::new(masked, t.mask, t.actions.to_vec(), t.notes, now);
                    flow.count(p.len() as u64, now, key.tcp_flags);
                    self.flows.lock().push(Arc::new(flow));
                }
                t.actions.to_vec()
            }
        };
        self.apply(Some(upcall), p, key, &actions, outs, depth);
    }

    fn apply(
        &self,
        upcall: Option<&dyn Upcall>,
        mut p: Packet,
        mut key: FlowKey,
        actions: &[Action],
        outs: &mut Vec<Out>,
        depth: u32,
    ) {
        let table = |t: &TableId| self.tables.lock().get(t).cloned();
        let resolve = |t: &TableId, bucket: u8, p: &Packet| {
            let port = table(t).and_then(|t| t.buckets[usize::from(bucket)]);
            port.map(|port| Out::Port(port.0, p.data().to_vec()))
        };
        let mut recircs = Vec::new();
        for a in actions {
            match a {
                Action::Output(port) => {
                    assert!(recircs.is_empty(), "recirculation is not last in {actions:?}");
                    outs.push(Out::Port(port.0, p.data().to_vec()));
                }
                Action::OutputBucket { table, bucket } => outs.extend(resolve(table, *bucket, &p)),
                Action::LbOutput { table, .. } => {
                    outs.extend(resolve(table, key.dp_hash as u8, &p))
                }
                Action::Gate { table: t } => {
                    let multicast = key.eth_dst.is_multicast();
                    if !table(t).is_some_and(|t| t.admits(PortNo(key.in_port), multicast)) {
                        return;
                    }
                }
                Action::PushVlan { tpid, tci } => p.push_vlan(*tpid, *tci),
                Action::PopVlan => p.pop_vlan(),
                Action::HashL4 { basis } => key.dp_hash = dp_hash_l4(&key, *basis),
                Action::Recirc(id) => recircs.push((*id, key.dp_hash, p.to_owned_packet())),
                Action::Userspace(reason) => {
                    outs.push(Out::Up(*reason));
                    if let Some(u) = upcall {
                        let in_port = PortNo(key.in_port);
                        u.slow_path(
                            self.now(),
                            SlowPath { reason: *reason, in_port, packet: &p, key: &key },
                        );
                    }
                }
            }
        }
        for (id, dp_hash, p) in recircs {
            let mut again = extract(p.data(), key.in_port);
            again.recirc_id = id;
            again.dp_hash = dp_hash;
            let upcall = upcall.expect("packets of our own do not recirculate");
            self.pass(upcall, p, again, outs, depth + 1);
        }
    }

    pub(crate) fn take_executed(&self) -> Vec<Out> {
        std::mem::take(&mut *self.executed.lock())
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.now.store(now.as_nanos(), Relaxed);
    }
}

impl Datapath for Recorder {
    fn port_add(
        &self,
        _: &str,
        _: Box<dyn PacketIo>,
        _: Option<PortNo>,
    ) -> Result<PortNo, DatapathError> {
        Err(DatapathError::Stopped)
    }

    fn port_del(&self, port: PortNo) -> Result<(), DatapathError> {
        Err(DatapathError::NoSuchPort(port.0))
    }

    fn port_counters(&self, _: PortNo) -> Option<IoCounters> {
        None
    }

    fn table_publish(&self, id: TableId, table: Arc<BucketTable>) {
        self.tables.lock().insert(id, table);
    }

    fn table_remove(&self, id: TableId) {
        self.tables.lock().remove(&id);
    }

    fn table_bytes(&self, _: TableId) -> Option<Box<[u64; 256]>> {
        None
    }

    fn table(&self, id: TableId) -> Option<Arc<BucketTable>> {
        self.tables.lock().get(&id).cloned()
    }

    fn flows(&self) -> Vec<Arc<FlowHandle>> {
        self.flows.lock().clone()
    }

    fn flow_remove(&self, flow: &Arc<FlowHandle>) {
        self.flows.lock().retain(|f| !Arc::ptr_eq(f, flow));
    }

    fn flow_flush(&self) {
        self.flows.lock().clear();
    }

    fn execute(&self, what: Execute) {
        let key = extract(what.packet.data(), what.in_port.0);
        let mut outs = Vec::new();
        self.apply(None, what.packet, key, &what.actions, &mut outs, 0);
        self.executed.lock().extend(outs);
    }

    fn run(&self, job: Job) {
        self.jobs.fetch_add(1, Relaxed);
        job();
    }

    fn stats(&self) -> DatapathStats {
        DatapathStats {
            hit: self.hit.load(Relaxed),
            missed: self.missed.load(Relaxed),
            ..DatapathStats::default()
        }
    }

    fn set_flow_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Relaxed))
    }
}

/// Keeps what was sent up.
#[derive(Default)]
pub(crate) struct Sink(pub(crate) Mutex<Vec<(UserspaceReason, u32)>>);

impl ofproto::SlowPathSink for Sink {
    fn frame(&self, _: Time, what: SlowPath<'_>) {
        self.0.lock().push((what.reason, what.in_port.0));
    }
}
