//! The packet path: extract the key, find the flow, run its actions, recirculate.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use netdev::Packet;
use smallvec::SmallVec;
use wire::{EthAddr, EtherType, FlowKey, Time, hash};

use super::cache::SignatureCache;
use super::classifier::Classifier;
use super::keyhash::KeyHasher;
use super::ports::Ports;
use super::prefetch::prefetch;
use super::shared::Shared;
use super::tables::TableCache;
use crate::Execute;
use crate::action::{Action, SetHeader};
use crate::duplicates::Duplicates;
use crate::flow::FlowHandle;
use crate::port::PortNo;
use crate::set;
use crate::table::{Ingress, Selected, Selection, TableId};
use crate::upcall::SlowPath;

/// Packets whose lookups are interleaved, so that the prefetches of one overlap with the work on
/// others.
const STAGE: usize = 32;

/// Most recirculations of one packet; Open vSwitch's limit.
const MAX_RECIRC: u32 = 8;

/// The packet thread's counters; `Worker` publishes them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) hit: u64,
    pub(crate) missed: u64,
    /// Recirculated too often.
    pub(crate) lost: u64,
    /// Translated but not installed: the flow limit was reached.
    pub(crate) over_limit: u64,
    pub(crate) received: u64,
    pub(crate) recirculated: u64,
    /// Hits that the classifier found after a miss in the signature cache.
    pub(crate) masked_hit: u64,
    /// Subtables searched for those hits.
    pub(crate) masked_lookup: u64,
}

/// One packet thread's caches and ports.
pub(crate) struct Path {
    shared: Arc<Shared>,
    hasher: KeyHasher,
    cache: SignatureCache,
    classifier: Classifier,
    pub(crate) ports: Ports,
    pub(crate) tables: TableCache,
    duplicates: Duplicates,
    pub(crate) counts: Counts,
    /// Keys of the current stage; `stage` takes the vector out while it uses it.
    keys: Vec<FlowKey>,
}

/// What a lookup needs, and what the packet's next pass inherits from the last.
#[derive(Clone, Copy, Default)]
struct LookupState {
    hash: u64,
    candidate: Option<u32>,
    dp_hash: Option<u32>,
    sent: bool,
    max_len: u32,
}

/// A packet while its actions run.
struct PacketContext<'a> {
    packet: &'a mut Packet,
    key: &'a mut FlowKey,
    /// The result of the last `hash` action; `None` before one.
    dp_hash: Option<u32>,
    /// Queued on a device that may read the bytes until the flush: changes go to a copy.
    sent: bool,
    /// The bytes were changed since the key was extracted.
    key_stale: bool,
    /// Maximum length of the next output in octets, set by `trunc`; 0 = unlimited. A recirculation
    /// keeps it.
    max_len: u32,
}

/// How running a list of actions ended.
enum ActionOutcome {
    Done,
    /// Recirculate, then run the rest on the packet as it was.
    Recirc {
        id: u32,
        rest: SmallVec<[Action; 4]>,
    },
    /// Run `inner` on a copy, then the rest on the packet as it was.
    Clone {
        inner: Arc<Vec<Action>>,
        rest: SmallVec<[Action; 4]>,
    },
}

impl Path {
    pub(crate) fn new(shared: Arc<Shared>, seed: u64) -> Path {
        let hasher = KeyHasher::new(seed);
        Path {
            tables: TableCache::new(shared.tables.clone()),
            duplicates: Duplicates::default(),
            classifier: Classifier::new(hasher.clone()),
            cache: SignatureCache::new(),
            ports: Ports::new(),
            counts: Counts::default(),
            keys: vec![FlowKey::default(); STAGE],
            hasher,
            shared,
        }
    }

    pub(crate) fn masks(&self) -> usize {
        self.classifier.masks()
    }

    /// Adds a flow for the control side. False if one with the same mask and key exists.
    pub(crate) fn install(&mut self, flow: Arc<FlowHandle>) -> bool {
        let new = self.classifier.find_equal(&flow).is_none();
        if new {
            self.shared.flow_count.fetch_add(1, Relaxed);
            self.classifier.insert(flow.clone());
            self.shared.installed.push(flow);
        }
        new
    }

    /// Takes a removed flow out.
    pub(crate) fn remove_flow(&mut self, flow: &Arc<FlowHandle>) {
        self.classifier.remove(flow);
    }

    /// Processes packets received on `in_port`. The caller keeps them until `Ports::flush`.
    pub(crate) fn receive(&mut self, now: Time, in_port: u32, packets: &mut [Packet]) {
        self.counts.received += packets.len() as u64;
        for stage in packets.chunks_mut(STAGE) {
            self.stage(now, in_port, stage);
        }
    }

    fn stage(&mut self, now: Time, in_port: u32, packets: &mut [Packet]) {
        let mut keys = std::mem::take(&mut self.keys);
        let mut state = [LookupState::default(); STAGE];
        for p in packets.iter() {
            prefetch(p.data().as_ptr());
        }
        for ((p, key), s) in packets.iter().zip(&mut keys).zip(&mut state) {
            *key = wire::extract(p.data(), in_port);
            s.hash = self.hasher.full(key);
            self.cache.prefetch(s.hash);
        }
        // Indices of the packets to look up: at depth 0 all, later those that recirculate.
        let mut pending: SmallVec<[u8; STAGE]> = (0..packets.len() as u8).collect();
        for depth in 0..=MAX_RECIRC {
            for &i in &pending {
                let s = &mut state[usize::from(i)];
                s.candidate = self.cache.get(s.hash);
                if let Some(n) = s.candidate {
                    self.classifier.prefetch_entry(n);
                }
            }
            for &i in &pending {
                if let Some(n) = state[usize::from(i)].candidate {
                    self.classifier.prefetch_flow(n);
                }
            }
            pending.retain(|i| {
                let i = usize::from(*i);
                let (s, key) = (&mut state[i], &mut keys[i]);
                let mut ctx = PacketContext {
                    packet: &mut packets[i],
                    key,
                    dp_hash: s.dp_hash,
                    sent: s.sent,
                    key_stale: false,
                    max_len: s.max_len,
                };
                match self.forward(now, &mut ctx, s.hash, s.candidate) {
                    ActionOutcome::Done => false,
                    ActionOutcome::Recirc { id, rest } if rest.is_empty() && depth < MAX_RECIRC => {
                        self.counts.recirculated += 1;
                        ctx.prepare_recirc(id);
                        (s.dp_hash, s.sent, s.max_len) = (ctx.dp_hash, ctx.sent, ctx.max_len);
                        s.hash = self.hasher.full(key);
                        self.cache.prefetch(s.hash);
                        true
                    }
                    end => {
                        self.continue_after(now, ctx, end, depth);
                        false
                    }
                }
            });
            if pending.is_empty() {
                break;
            }
        }
        self.keys = keys;
    }

    /// Runs the actions of an `Execute`.
    pub(crate) fn execute(&mut self, now: Time, what: Execute) {
        let Execute { mut packet, in_port, actions } = what;
        let mut key = wire::extract(packet.data(), in_port.0);
        let mut ctx = PacketContext {
            packet: &mut packet,
            key: &mut key,
            dp_hash: None,
            sent: false,
            key_stale: false,
            max_len: 0,
        };
        let end = self.apply(now, &mut ctx, &actions);
        self.continue_after(now, ctx, end, 0);
        self.ports.hold(packet);
    }

    /// Finds the flow and runs its actions; translates on a miss.
    #[inline]
    fn forward(
        &mut self,
        now: Time,
        ctx: &mut PacketContext<'_>,
        hash: u64,
        candidate: Option<u32>,
    ) -> ActionOutcome {
        match self.find(ctx.key, hash, candidate) {
            Some(n) => {
                self.counts.hit += 1;
                let (actions, flow) = self.classifier.actions(n);
                flow.count(ctx.packet.len() as u64, now, ctx.key.tcp_flags);
                let (ports, tables) = (&mut self.ports, &mut self.tables);
                apply(ports, tables, &mut self.duplicates, &self.shared, now, ctx, actions)
            }
            None => self.miss(now, ctx, hash),
        }
    }

    #[inline]
    fn find(&mut self, key: &FlowKey, hash: u64, candidate: Option<u32>) -> Option<u32> {
        if let Some(n) = candidate {
            if self.classifier.verify(n, key) {
                return Some(n);
            }
            self.cache.forget(hash, n);
        }
        let (n, looked) = self.classifier.lookup(key)?;
        self.counts.masked_hit += 1;
        self.counts.masked_lookup += looked;
        self.cache.put(hash, n);
        Some(n)
    }

    #[cold]
    fn miss(&mut self, now: Time, ctx: &mut PacketContext<'_>, hash: u64) -> ActionOutcome {
        self.counts.missed += 1;
        let t = self.shared.upcall.miss(now, ctx.packet, ctx.key);
        if t.install {
            let s = &self.shared;
            if s.flow_count.load(Relaxed) < s.flow_limit.load(Relaxed) {
                s.flow_count.fetch_add(1, Relaxed);
                // Open vSwitch does not count the packet that missed either.
                let flow = FlowHandle::new(*ctx.key, t.mask, t.actions.to_vec(), t.notes, now);
                let flow = Arc::new(flow);
                let n = self.classifier.insert(flow.clone());
                self.cache.put(hash, n);
                s.upcall.flow_added(&flow);
                s.installed.push(flow);
            } else {
                self.counts.over_limit += 1;
            }
        }
        self.apply(now, ctx, &t.actions)
    }

    /// Performs the recirculation or clone at which a list stopped, then the rest of the list.
    fn continue_after(
        &mut self,
        now: Time,
        mut ctx: PacketContext<'_>,
        end: ActionOutcome,
        depth: u32,
    ) {
        let (inner, rest) = match end {
            ActionOutcome::Done => return,
            ActionOutcome::Recirc { id, rest } if rest.is_empty() => {
                return self.recirculate(now, ctx, id, depth);
            }
            ActionOutcome::Recirc { id, rest } => (Err(id), rest),
            ActionOutcome::Clone { inner, rest } => (Ok(inner), rest),
        };
        // The rest of the list needs the packet as it is now: the branch gets a copy.
        let mut copy = ctx.packet.to_owned_packet();
        let mut key = *ctx.key;
        let mut branch = PacketContext {
            packet: &mut copy,
            key: &mut key,
            dp_hash: ctx.dp_hash,
            sent: false,
            key_stale: ctx.key_stale,
            max_len: std::mem::take(&mut ctx.max_len),
        };
        match inner {
            Ok(actions) => {
                let end = self.apply(now, &mut branch, &actions);
                self.continue_after(now, branch, end, depth);
            }
            Err(id) => self.recirculate(now, branch, id, depth),
        }
        self.ports.hold(copy);
        let end = self.apply(now, &mut ctx, &rest);
        self.continue_after(now, ctx, end, depth);
    }

    fn apply(
        &mut self,
        now: Time,
        ctx: &mut PacketContext<'_>,
        actions: &[Action],
    ) -> ActionOutcome {
        let (ports, tables) = (&mut self.ports, &mut self.tables);
        apply(ports, tables, &mut self.duplicates, &self.shared, now, ctx, actions)
    }

    fn recirculate(&mut self, now: Time, mut ctx: PacketContext<'_>, id: u32, depth: u32) {
        if depth == MAX_RECIRC {
            self.counts.lost += 1;
            return;
        }
        self.counts.recirculated += 1;
        ctx.prepare_recirc(id);
        let hash = self.hasher.full(ctx.key);
        let candidate = self.cache.get(hash);
        let end = self.forward(now, &mut ctx, hash, candidate);
        self.continue_after(now, ctx, end, depth + 1);
    }
}

impl PacketContext<'_> {
    /// Extracts the key again if the bytes were changed.
    #[inline]
    fn refresh(&mut self) {
        if self.key_stale {
            set::refresh(self.packet, self.key);
            self.key_stale = false;
        }
    }

    /// Sets the fields of the key that a recirculation changes.
    #[inline]
    fn prepare_recirc(&mut self, recirc_id: u32) {
        self.refresh();
        self.key.recirc_id = recirc_id;
        self.key.dp_hash = self.dp_hash.unwrap_or(self.key.dp_hash);
    }

    /// The packet, for writing. If its bytes are queued on a device, it becomes a copy, and the
    /// original is held until the flush.
    #[inline]
    fn make_owned(&mut self, ports: &mut Ports) -> &mut Packet {
        if self.sent {
            let copy = self.packet.to_owned_packet();
            ports.hold(std::mem::replace(self.packet, copy));
            self.sent = false;
        }
        self.packet
    }

    /// As `make_owned`, and marks the key as out of date.
    #[inline]
    fn data_mut_cow(&mut self, ports: &mut Ports) -> &mut Packet {
        self.key_stale = true;
        self.make_owned(ports)
    }

    #[inline]
    fn output(&mut self, ports: &mut Ports, port: PortNo) {
        if self.max_len == 0 {
            self.sent |= ports.output(port, self.packet);
        } else {
            self.output_truncated(ports, port);
        }
    }

    /// Sends a copy with another source address.
    fn output_from(&mut self, ports: &mut Ports, port: PortNo, mac: EthAddr) {
        let truncated = self.take_truncated();
        let mut copy = truncated.unwrap_or_else(|| self.packet.to_owned_packet());
        set::set_source(&mut copy, mac);
        ports.output(port, &copy);
        ports.hold(copy);
    }

    #[cold]
    #[inline(never)]
    fn output_truncated(&mut self, ports: &mut Ports, port: PortNo) {
        match self.take_truncated() {
            None => self.sent |= ports.output(port, self.packet),
            Some(copy) => {
                ports.output(port, &copy);
                ports.hold(copy);
            }
        }
    }

    /// Takes the length limit; a truncated copy if the packet is longer.
    fn take_truncated(&mut self) -> Option<Packet> {
        match std::mem::take(&mut self.max_len) as usize {
            0 => None,
            len if len >= self.packet.len() => None,
            len => Some(set::truncated(self.packet, len)),
        }
    }

    /// The length of the next output in octets.
    #[inline]
    fn out_len(&self) -> u64 {
        let len = self.packet.len() as u64;
        if self.max_len == 0 { len } else { len.min(u64::from(self.max_len)) }
    }

    #[inline(never)]
    fn set(&mut self, ports: &mut Ports, set: &SetHeader) {
        self.refresh();
        self.make_owned(ports);
        set::set_header(self.packet, self.key, set);
    }
}

/// Runs a list of actions up to its end, a `Recirc` or a `Clone`.
#[inline]
fn apply(
    ports: &mut Ports,
    tables: &mut TableCache,
    duplicates: &mut Duplicates,
    shared: &Shared,
    now: Time,
    ctx: &mut PacketContext<'_>,
    actions: &[Action],
) -> ActionOutcome {
    for (i, action) in actions.iter().enumerate() {
        match *action {
            Action::Output(port) => ctx.output(ports, port),
            Action::OutputBucket { table, bucket } => {
                if let Some(port) = tables.resolve(table, bucket, ctx.out_len()) {
                    ctx.output(ports, port);
                }
            }
            Action::Gate { table } => {
                ctx.refresh();
                let port = PortNo(ctx.key.in_port);
                let admitted = match tables.ingress(table, port, ctx.key.eth_src) {
                    Ingress::Closed => false,
                    Ingress::Unicast => !ctx.key.eth_dst.is_multicast(),
                    Ingress::Once => !duplicates.is_copy(now, table, port, ctx.packet.data()),
                    Ingress::Open => true,
                };
                if !admitted {
                    return ActionOutcome::Done;
                }
            }
            Action::PushVlan { tpid, tci } => ctx.data_mut_cow(ports).push_vlan(tpid, tci),
            Action::PopVlan => {
                if has_vlan_tag(ctx.packet.data()) {
                    ctx.data_mut_cow(ports).pop_vlan();
                }
            }
            Action::HashL4 { basis } => {
                ctx.refresh();
                ctx.dp_hash = Some(hash::dp_hash_l4(ctx.key, basis));
            }
            Action::LbOutput { table, .. } => {
                if let Some(selection) = tables.selection(table) {
                    output_selected(ports, tables, ctx, table, selection);
                }
            }
            Action::Recirc(id) => {
                // Nearly always the last action.
                let after = &actions[i + 1..];
                let rest = if after.is_empty() { SmallVec::new() } else { rest(after) };
                return ActionOutcome::Recirc { id, rest };
            }
            Action::Clone(ref inner) => {
                return ActionOutcome::Clone {
                    inner: inner.clone(),
                    rest: rest(&actions[i + 1..]),
                };
            }
            Action::Set(ref set) => ctx.set(ports, set),
            Action::Trunc(len) => ctx.max_len = len.max(wire::eth::ETH_HEADER_LEN as u32),
            Action::Drop(_) => return ActionOutcome::Done,
            Action::Userspace(_) | Action::Controller(_) => upcall_action(shared, now, ctx, action),
        }
    }
    ActionOutcome::Done
}

/// Sends the packet where the table's own rule says.
fn output_selected(
    ports: &mut Ports,
    tables: &mut TableCache,
    ctx: &mut PacketContext<'_>,
    table: TableId,
    selection: Selection,
) {
    ctx.refresh();
    let turn = || tables.turn(table);
    match selection.select(ctx.packet.data(), ctx.key, ctx.dp_hash, turn) {
        Selected::Nothing => {}
        Selected::Bucket(bucket) => {
            if let Some(port) = tables.resolve(table, bucket, ctx.out_len()) {
                match tables.source(table, port) {
                    Some(mac) => ctx.output_from(ports, port, mac),
                    None => ctx.output(ports, port),
                }
            }
        }
        Selected::UpTo(last) => {
            // Each copy has the length limit of one output.
            let max_len = ctx.max_len;
            for bucket in 0..=last {
                ctx.max_len = max_len;
                if let Some(port) = tables.resolve(table, bucket, ctx.out_len()) {
                    ctx.output(ports, port);
                }
            }
        }
        Selected::Port(port) => ctx.output(ports, port),
    }
}

/// The actions after a recirculation or clone.
#[cold]
#[inline(never)]
fn rest(actions: &[Action]) -> SmallVec<[Action; 4]> {
    actions.iter().cloned().collect()
}

/// Runs an action that passes the packet to the upcall.
#[cold]
#[inline(never)]
fn upcall_action(shared: &Shared, now: Time, ctx: &mut PacketContext<'_>, action: &Action) {
    ctx.refresh();
    let mut key = *ctx.key;
    let copy = ctx.take_truncated();
    if let Some(truncated) = &copy {
        set::refresh(truncated, &mut key);
    }
    let packet = copy.as_ref().unwrap_or(ctx.packet);
    match action {
        Action::Userspace(reason) => {
            let in_port = PortNo(key.in_port);
            let what = SlowPath { reason: *reason, in_port, packet, key: &key };
            shared.upcall.slow_path(now, what);
        }
        Action::Controller(what) => {
            shared.upcall.to_controller(now, what, &set::with_checksum(packet), &key);
        }
        _ => {}
    }
}

/// Whether the frame has a VLAN tag.
#[inline]
fn has_vlan_tag(frame: &[u8]) -> bool {
    frame.get(12..14).is_some_and(|t| {
        matches!(u16::from_be_bytes([t[0], t[1]]), EtherType::VLAN | EtherType::VLAN_8021AD)
    }) && frame.len() >= 18
}
