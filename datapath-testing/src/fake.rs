//! A datapath without threads.
//!
//! [`Fake`] implements [`Datapath`] in the simplest way: a list of flows, actions one after the
//! other, everything in the caller's thread. It records calls and sent frames in order. The
//! differential test compares the userspace datapath with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use netdev::{IoCounters, Packet, PacketIo};
use parking_lot::Mutex;
use wire::{EtherType, FlowKey, Time, hash};

use datapath::set;
use datapath::{
    Action, BucketTable, Datapath, DatapathError, DatapathStats, Duplicates, Execute, FlowHandle,
    Ingress, Job, PortNo, Selected, SlowPath, TableId, Upcall,
};

/// A recorded call of the [`Datapath`] trait, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `port_add`.
    PortAdd {
        /// The device's name.
        name: String,
        /// The number that the port got.
        port: PortNo,
    },
    /// `port_del`.
    PortDel(PortNo),
    /// `port_move`: the old number, the new number.
    PortMove(PortNo, PortNo),
    /// `table_publish`.
    TablePublish {
        /// The table's identity.
        id: TableId,
        /// Its new contents.
        table: Arc<BucketTable>,
    },
    /// `table_remove`.
    TableRemove(TableId),
    /// `flow_install`: the masked key.
    FlowInstall(FlowKey),
    /// `flow_remove`: the masked key.
    FlowRemove(FlowKey),
    /// `flow_flush`.
    FlowFlush,
    /// `execute` or `execute_urgent`.
    Execute {
        /// The port that the packet counts as received on.
        in_port: PortNo,
        /// The packet's octets.
        frame: Vec<u8>,
        /// The actions to run.
        actions: Vec<Action>,
    },
    /// `run` or `run_urgent`.
    Run,
    /// `set_flow_limit`.
    SetFlowLimit(usize),
}

struct Table {
    table: Arc<BucketTable>,
    bytes: Box<[u64; 256]>,
    turns: u64,
}

#[derive(Default)]
struct State {
    duplicates: Duplicates,
    calls: Vec<Call>,
    sent: Vec<(PortNo, Vec<u8>)>,
    ports: BTreeMap<PortNo, (IoCounters, Option<Box<dyn PacketIo>>)>,
    tables: BTreeMap<TableId, Table>,
    flows: Vec<Arc<FlowHandle>>,
    flow_limit: usize,
    stats: DatapathStats,
}

/// A datapath for tests. Time stands still until [`Fake::set_now`].
pub struct Fake {
    state: Mutex<State>,
    upcall: OnceLock<Arc<dyn Upcall>>,
    now: AtomicU64,
}

impl Default for Fake {
    fn default() -> Fake {
        Fake::new()
    }
}

/// Recirculations of one packet; the userspace datapath allows as many.
const MAX_RECIRC: u32 = 8;

impl Fake {
    /// A datapath without ports, flows and tables.
    pub fn new() -> Fake {
        let state = State { flow_limit: usize::MAX, ..State::default() };
        Fake { state: Mutex::new(state), upcall: OnceLock::new(), now: AtomicU64::new(0) }
    }

    /// Sets what translates misses. Without it, packets that match no flow are lost. Only the
    /// first call has an effect.
    pub fn set_upcall(&self, upcall: Arc<dyn Upcall>) {
        // An error means that one is set: ignored, as documented.
        let _ = self.upcall.set(upcall);
    }

    /// Sets the clock.
    pub fn set_now(&self, now: Time) {
        self.now.store(now.as_nanos(), Relaxed);
    }

    /// Receives a frame on a port and processes it to the end.
    pub fn receive(&self, port: PortNo, frame: &[u8]) {
        {
            let mut s = self.state.lock();
            let Some((counters, _)) = s.ports.get_mut(&port) else { return };
            counters.rx_packets += 1;
            counters.rx_bytes += frame.len() as u64;
        }
        let key = wire::extract(frame, port.0);
        self.forward(Packet::new(frame), key, None, 0, None);
    }

    /// Takes the frames sent since the last call, in order, each with its port.
    pub fn sent(&self) -> Vec<(PortNo, Vec<u8>)> {
        std::mem::take(&mut self.state.lock().sent)
    }

    /// Takes the calls recorded since the last call, in order.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().calls)
    }

    /// Installs a flow as if a miss had.
    pub fn install(&self, flow: FlowHandle) -> Arc<FlowHandle> {
        let flow = Arc::new(flow);
        self.state.lock().flows.push(flow.clone());
        flow
    }

    fn forward(
        &self,
        packet: Packet,
        key: FlowKey,
        dp_hash: Option<u32>,
        depth: u32,
        cut: Option<usize>,
    ) {
        let now = self.now();
        let found = {
            let mut s = self.state.lock();
            let found = s.flows.iter().find(|f| key.masked(&f.mask) == f.key).cloned();
            if let Some(flow) = &found {
                s.stats.hit += 1;
                flow.count(packet.len() as u64, now, key.tcp_flags);
            }
            found
        };
        if let Some(flow) = found {
            let actions = flow.actions.load_full();
            self.apply(packet, key, &actions, dp_hash, depth, cut);
            return;
        }
        let Some(upcall) = self.upcall.get() else {
            self.state.lock().stats.lost += 1;
            return;
        };
        // Translation may call back: no lock is held.
        let t = upcall.miss(now, &packet, &key);
        {
            let mut s = self.state.lock();
            s.stats.missed += 1;
            if t.install && s.flows.len() < s.flow_limit {
                let f = FlowHandle::new(key, t.mask, t.actions.to_vec(), t.notes, now);
                s.flows.push(Arc::new(f));
            } else if t.install {
                s.stats.over_limit += 1;
            }
        }
        self.apply(packet, key, &t.actions, dp_hash, depth, cut);
    }

    fn output(&self, port: PortNo, packet: &Packet) {
        let mut s = self.state.lock();
        let State { ports, sent, stats, .. } = &mut *s;
        match ports.get_mut(&port) {
            Some((counters, io)) => {
                counters.tx_packets += 1;
                counters.tx_bytes += packet.len() as u64;
                if let Some(io) = io {
                    // SAFETY: the bytes are borrowed, unchanged, over the flush.
                    unsafe { io.send(packet) };
                    io.flush();
                }
                sent.push((port, packet.data().to_vec()));
            }
            None => stats.no_port += 1,
        }
    }

    fn bucket(&self, table: TableId, bucket: u8, packet: &Packet, cut: &mut Option<usize>) {
        let port = {
            let mut s = self.state.lock();
            s.tables.get_mut(&table).and_then(|t| {
                let i = usize::from(bucket);
                let port = t.table.buckets[i]?;
                t.bytes[i] += packet.len().min(cut.unwrap_or(usize::MAX)) as u64;
                Some(port)
            })
        };
        if let Some(port) = port {
            match cut.take().filter(|len| *len < packet.len()) {
                Some(len) => self.output(port, &set::truncated(packet, len)),
                None => self.output(port, packet),
            }
        }
    }

    /// Runs `actions` on a packet that was found by `key`. `cut` is what a `trunc` before left.
    fn apply(
        &self,
        mut packet: Packet,
        mut key: FlowKey,
        actions: &[Action],
        mut dp_hash: Option<u32>,
        depth: u32,
        mut cut: Option<usize>,
    ) {
        let in_port = PortNo(key.in_port);
        for action in actions {
            // The plain way: look at the packet again before every action.
            key = again(&packet, &key);
            // What leaves now.
            let leaves = |cut: &mut Option<usize>| match cut.take() {
                Some(len) if len < packet.len() => set::truncated(&packet, len),
                _ => packet.to_owned_packet(),
            };
            match action {
                Action::Output(port) => self.output(*port, &leaves(&mut cut)),
                Action::OutputBucket { table, bucket } => {
                    self.bucket(*table, *bucket, &packet, &mut cut);
                }
                Action::Gate { table } => {
                    let multicast = key.eth_dst.is_multicast();
                    let Some(t) = self.table(*table) else { return };
                    let copy = t.ingress(in_port) == Ingress::Once && {
                        let seen = &mut self.state.lock().duplicates;
                        seen.is_copy(self.now(), *table, in_port, packet.data())
                    };
                    if copy || t.is_own(key.eth_src) || !t.admits(in_port, multicast) {
                        return;
                    }
                }
                Action::PushVlan { tpid, tci } => packet.push_vlan(*tpid, *tci),
                Action::PopVlan => {
                    if let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, ..] = *packet.data()
                        && matches!(
                            u16::from_be_bytes([a, b]),
                            EtherType::VLAN | EtherType::VLAN_8021AD
                        )
                    {
                        packet.pop_vlan();
                    }
                }
                Action::Set(new) => set::set_header(&mut packet, &mut key, new),
                Action::Trunc(len) => cut = Some((*len as usize).max(14)),
                Action::HashL4 { basis } => dp_hash = Some(hash::dp_hash_l4(&key, *basis)),
                Action::LbOutput { table, .. } => {
                    let Some(t) = self.table(*table) else { continue };
                    let turn = || {
                        let mut s = self.state.lock();
                        let turns = s.tables.get_mut(table).map(|t| &mut t.turns);
                        turns.map_or(0, |n| std::mem::replace(n, *n + 1))
                    };
                    match t.selection.select(packet.data(), &key, dp_hash, turn) {
                        Selected::Nothing => {}
                        Selected::Bucket(b) => {
                            let port = t.buckets[usize::from(b)];
                            match port.and_then(|port| t.source(port)) {
                                Some(mac) => {
                                    let mut copy = packet.to_owned_packet();
                                    set::set_source(&mut copy, mac);
                                    self.bucket(*table, b, &copy, &mut cut);
                                }
                                None => self.bucket(*table, b, &packet, &mut cut),
                            }
                        }
                        Selected::UpTo(last) => {
                            for b in 0..=last {
                                self.bucket(*table, b, &packet, &mut cut.clone());
                            }
                            cut = None;
                        }
                        Selected::Port(port) => match cut.take() {
                            Some(len) => self.output(port, &set::truncated(&packet, len)),
                            None => self.output(port, &packet),
                        },
                    }
                }
                Action::Clone(inner) => {
                    let copy = packet.to_owned_packet();
                    self.apply(copy, key, inner, dp_hash, depth, cut.take());
                }
                Action::Drop(_) => return,
                Action::Recirc(id) if depth == MAX_RECIRC => {
                    let _ = (id, cut.take());
                    self.state.lock().stats.lost += 1;
                }
                Action::Recirc(id) => {
                    let left = dp_hash.unwrap_or(key.dp_hash);
                    let key = FlowKey { recirc_id: *id, dp_hash: left, ..key };
                    self.forward(packet.to_owned_packet(), key, dp_hash, depth + 1, cut.take());
                }
                Action::Userspace(reason) => {
                    let packet = &leaves(&mut cut);
                    let key = &again(packet, &key);
                    if let Some(upcall) = self.upcall.get() {
                        let what = SlowPath { reason: *reason, in_port, packet, key };
                        upcall.slow_path(self.now(), what);
                    }
                }
                Action::Controller(what) => {
                    let packet = &set::with_checksum(&leaves(&mut cut));
                    if let Some(upcall) = self.upcall.get() {
                        upcall.to_controller(self.now(), what, packet, &again(packet, &key));
                    }
                }
            }
        }
    }
}

/// The key of the packet as it is now; what is not in its bytes stays.
fn again(packet: &Packet, key: &FlowKey) -> FlowKey {
    let mut key = *key;
    set::refresh(packet, &mut key);
    key
}

impl Datapath for Fake {
    fn port_add(
        &self,
        name: &str,
        io: Box<dyn PacketIo>,
        wanted: Option<PortNo>,
    ) -> Result<PortNo, DatapathError> {
        let mut s = self.state.lock();
        let free = |n: &PortNo| !s.ports.contains_key(n);
        let port = wanted.filter(free).or_else(|| (1..u32::MAX).map(PortNo).find(free));
        let port = port.ok_or(DatapathError::Full)?;
        s.ports.insert(port, (IoCounters::default(), Some(io)));
        s.calls.push(Call::PortAdd { name: name.to_owned(), port });
        Ok(port)
    }

    fn port_del(&self, port: PortNo) -> Result<(), DatapathError> {
        let mut s = self.state.lock();
        s.ports.remove(&port).ok_or(DatapathError::NoSuchPort(port.0))?;
        s.calls.push(Call::PortDel(port));
        Ok(())
    }

    fn port_move(&self, from: PortNo, to: PortNo) -> Result<(), DatapathError> {
        let mut s = self.state.lock();
        if s.ports.contains_key(&to) {
            return Err(DatapathError::PortInUse(to.0));
        }
        let port = s.ports.remove(&from).ok_or(DatapathError::NoSuchPort(from.0))?;
        s.ports.insert(to, port);
        s.calls.push(Call::PortMove(from, to));
        Ok(())
    }

    fn port_counters(&self, port: PortNo) -> Option<IoCounters> {
        self.state.lock().ports.get(&port).map(|(c, _)| *c)
    }

    fn table_publish(&self, id: TableId, table: Arc<BucketTable>) {
        let mut s = self.state.lock();
        s.calls.push(Call::TablePublish { id, table: table.clone() });
        match s.tables.get_mut(&id) {
            Some(t) => t.table = table,
            None => {
                s.tables.insert(id, Table { table, bytes: Box::new([0; 256]), turns: 0 });
            }
        }
    }

    fn table_remove(&self, id: TableId) {
        let mut s = self.state.lock();
        s.tables.remove(&id);
        s.calls.push(Call::TableRemove(id));
    }

    fn table_bytes(&self, id: TableId) -> Option<Box<[u64; 256]>> {
        self.state.lock().tables.get(&id).map(|t| t.bytes.clone())
    }

    fn table(&self, id: TableId) -> Option<Arc<BucketTable>> {
        self.state.lock().tables.get(&id).map(|t| t.table.clone())
    }

    fn flows(&self) -> Vec<Arc<FlowHandle>> {
        self.state.lock().flows.clone()
    }

    fn flow_install(&self, flow: FlowHandle) -> Result<Arc<FlowHandle>, DatapathError> {
        let mut s = self.state.lock();
        if s.flows.iter().any(|f| f.mask == flow.mask && f.key == flow.key) {
            return Err(DatapathError::FlowExists);
        }
        s.calls.push(Call::FlowInstall(flow.key));
        let flow = Arc::new(flow);
        s.flows.push(flow.clone());
        Ok(flow)
    }

    fn flow_remove(&self, flow: &Arc<FlowHandle>) {
        let mut s = self.state.lock();
        flow.mark_dead();
        s.flows.retain(|f| !Arc::ptr_eq(f, flow));
        s.calls.push(Call::FlowRemove(flow.key));
    }

    fn flow_flush(&self) {
        let mut s = self.state.lock();
        for flow in s.flows.drain(..) {
            flow.mark_dead();
        }
        s.calls.push(Call::FlowFlush);
    }

    fn execute(&self, what: Execute) {
        let Execute { packet, in_port, actions } = what;
        let frame = packet.data().to_vec();
        let key = wire::extract(&frame, in_port.0);
        self.state.lock().calls.push(Call::Execute { in_port, frame, actions: actions.clone() });
        self.apply(packet, key, &actions, None, 0, None);
    }

    fn execute_urgent(&self, what: Execute) -> bool {
        self.execute(what);
        true
    }

    fn run_urgent(&self, job: Job) -> bool {
        self.run(job);
        true
    }

    fn run(&self, job: Job) {
        self.state.lock().calls.push(Call::Run);
        job();
    }

    fn stats(&self) -> DatapathStats {
        let s = self.state.lock();
        let mut masks: Vec<_> = s.flows.iter().map(|f| f.mask.words()).collect();
        masks.sort_unstable();
        masks.dedup();
        DatapathStats { flows: s.flows.len() as u64, masks: masks.len() as u64, ..s.stats }
    }

    fn set_flow_limit(&self, limit: usize) {
        let mut s = self.state.lock();
        s.flow_limit = limit;
        s.calls.push(Call::SetFlowLimit(limit));
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Relaxed))
    }
}
