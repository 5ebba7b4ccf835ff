//! What happens to a packet: key, flow, actions, and once more if a flow says so.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use netdev::Packet;
use smallvec::SmallVec;
use wire::{EtherType, FlowKey, Time, hash};

use super::cache::SignatureCache;
use super::classifier::Classifier;
use super::keyhash::KeyHasher;
use super::ports::Ports;
use super::shared::Shared;
use super::tables::View;
use crate::Execute;
use crate::action::{Action, PortNo};
use crate::flow::FlowHandle;
use crate::upcall::SlowPath;

/// Packets whose lookups overlap: the memory that one needs is asked for while others are
/// worked on.
const STAGE: usize = 32;

/// Recirculations of one packet; as many as Open vSwitch allows.
const MAX_RECIRC: u32 = 8;

/// Counted by the packet thread, told to others now and then.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) hit: u64,
    pub(crate) missed: u64,
    /// Recirculated too often.
    pub(crate) lost: u64,
    /// Translated, but the flow limit was reached.
    pub(crate) over_limit: u64,
}

/// One thread's caches and outputs.
pub(crate) struct Path {
    shared: Arc<Shared>,
    hasher: KeyHasher,
    cache: SignatureCache,
    classifier: Classifier,
    pub(crate) ports: Ports,
    pub(crate) view: View,
    pub(crate) counts: Counts,
    keys: Box<[FlowKey; STAGE]>,
}

/// A packet on its way through one or more lists of actions.
struct Journey<'a> {
    packet: &'a mut Packet,
    key: FlowKey,
    /// What the last `hash` left; `None` before one.
    dp_hash: Option<u32>,
    /// Some device may still read the bytes: change a copy.
    sent: bool,
    /// The key no longer tells what the bytes are.
    stale: bool,
}

/// How a list of actions ended.
enum End {
    Done,
    /// Look up again; then do the rest with the packet as it was.
    Recirc {
        id: u32,
        rest: SmallVec<[Action; 4]>,
    },
}

impl Path {
    pub(crate) fn new(shared: Arc<Shared>, seed: u64) -> Path {
        let hasher = KeyHasher::new(seed);
        Path {
            view: View::new(shared.tables.clone()),
            classifier: Classifier::new(hasher.clone()),
            cache: SignatureCache::new(),
            ports: Ports::default(),
            counts: Counts::default(),
            keys: Box::new([FlowKey::default(); STAGE]),
            hasher,
            shared,
        }
    }

    pub(crate) fn masks(&self) -> usize {
        self.classifier.masks()
    }

    /// Takes a removed flow out.
    pub(crate) fn take_out(&mut self, flow: &Arc<FlowHandle>) {
        self.classifier.remove(flow);
    }

    /// Takes packets from `in_port` through the switch. They must be kept until
    /// `Ports::flush`.
    pub(crate) fn receive(&mut self, now: Time, in_port: u32, packets: &mut [Packet]) {
        for stage in packets.chunks_mut(STAGE) {
            self.stage(now, in_port, stage);
        }
    }

    fn stage(&mut self, now: Time, in_port: u32, packets: &mut [Packet]) {
        let mut hashes = [0u64; STAGE];
        let mut candidates = [None; STAGE];
        for p in packets.iter() {
            super::prefetch(p.data().as_ptr());
        }
        for (i, p) in packets.iter().enumerate() {
            self.keys[i] = wire::extract(p.data(), in_port);
            hashes[i] = self.hasher.full(&self.keys[i]);
            self.cache.prefetch(hashes[i]);
        }
        for i in 0..packets.len() {
            candidates[i] = self.cache.get(hashes[i]);
            if let Some(n) = candidates[i] {
                self.classifier.prefetch_entry(n);
            }
        }
        for n in candidates[..packets.len()].iter().flatten() {
            self.classifier.prefetch_flow(*n);
        }
        for (i, packet) in packets.iter_mut().enumerate() {
            let key = self.keys[i];
            let journey = Journey { packet, key, dp_hash: None, sent: false, stale: false };
            self.forward(now, journey, hashes[i], candidates[i], 0);
        }
    }

    /// Sends a packet of the control side's own.
    pub(crate) fn execute(&mut self, now: Time, what: Execute) {
        let Execute { mut packet, in_port, actions } = what;
        let key = wire::extract(packet.data(), in_port.0);
        let mut journey =
            Journey { packet: &mut packet, key, dp_hash: None, sent: false, stale: false };
        let end = apply(&mut self.ports, &mut self.view, &self.shared, now, &mut journey, &actions);
        self.go_on(now, journey, end, 0);
        self.ports.hold(packet);
    }

    /// Finds the flow and runs it.
    #[inline]
    fn forward(
        &mut self,
        now: Time,
        mut j: Journey<'_>,
        hash: u64,
        candidate: Option<u32>,
        depth: u32,
    ) {
        let end = match self.find(&j.key, hash, candidate) {
            Some(n) => {
                self.counts.hit += 1;
                let (actions, flow) = self.classifier.actions(n);
                flow.count(j.packet.len() as u64, now, j.key.tcp_flags);
                apply(&mut self.ports, &mut self.view, &self.shared, now, &mut j, actions)
            }
            None => self.miss(now, &mut j, hash),
        };
        if let End::Recirc { .. } = end {
            self.go_on(now, j, end, depth);
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
        let n = self.classifier.lookup(key)?;
        self.cache.put(hash, n);
        Some(n)
    }

    #[cold]
    fn miss(&mut self, now: Time, j: &mut Journey<'_>, hash: u64) -> End {
        self.counts.missed += 1;
        let t = self.shared.upcall.miss(now, j.packet, &j.key);
        if t.install {
            let s = &self.shared;
            if s.flow_count.load(Relaxed) < s.flow_limit.load(Relaxed) {
                s.flow_count.fetch_add(1, Relaxed);
                // The packet that missed is not counted, as Open vSwitch does not count it.
                let flow = FlowHandle::new(j.key, t.mask, t.actions.to_vec(), t.notes, now);
                let flow = Arc::new(flow);
                let n = self.classifier.insert(flow.clone());
                self.cache.put(hash, n);
                s.installed.push(flow);
            } else {
                self.counts.over_limit += 1;
            }
        }
        apply(&mut self.ports, &mut self.view, &self.shared, now, j, &t.actions)
    }

    /// Recirculates as long as lists of actions end with it.
    fn go_on(&mut self, now: Time, mut j: Journey<'_>, end: End, depth: u32) {
        let End::Recirc { id, rest } = end else { return };
        if rest.is_empty() {
            self.recirculate(now, j, id, depth);
            return;
        }
        // The rest works on the packet as it is now, so the second look gets a copy.
        let mut copy = j.packet.to_owned_packet();
        let other = Journey {
            packet: &mut copy,
            key: j.key,
            dp_hash: j.dp_hash,
            sent: false,
            stale: j.stale,
        };
        self.recirculate(now, other, id, depth);
        self.ports.hold(copy);
        let end = apply(&mut self.ports, &mut self.view, &self.shared, now, &mut j, &rest);
        self.go_on(now, j, end, depth);
    }

    fn recirculate(&mut self, now: Time, mut j: Journey<'_>, id: u32, depth: u32) {
        if depth == MAX_RECIRC {
            self.counts.lost += 1;
            return;
        }
        j.refresh();
        j.key.recirc_id = id;
        j.key.dp_hash = j.dp_hash.unwrap_or(j.key.dp_hash);
        let hash = self.hasher.full(&j.key);
        let candidate = self.cache.get(hash);
        self.forward(now, j, hash, candidate, depth + 1);
    }
}

impl Journey<'_> {
    /// Makes the key tell what the bytes are.
    fn refresh(&mut self) {
        if self.stale {
            let new = wire::extract(self.packet.data(), self.key.in_port);
            self.key = FlowKey {
                recirc_id: self.key.recirc_id,
                dp_hash: self.key.dp_hash,
                pkt_mark: self.key.pkt_mark,
                skb_priority: self.key.skb_priority,
                ..new
            };
            self.stale = false;
        }
    }

    /// The packet, to change. Bytes that were sent stay as they are until the flush.
    #[inline]
    fn change(&mut self, ports: &mut Ports) -> &mut Packet {
        if self.sent {
            let copy = self.packet.to_owned_packet();
            ports.hold(std::mem::replace(self.packet, copy));
            self.sent = false;
        }
        self.stale = true;
        self.packet
    }
}

/// Runs a list of actions up to its end or to a `Recirc`.
#[inline]
fn apply(
    ports: &mut Ports,
    view: &mut View,
    shared: &Shared,
    now: Time,
    j: &mut Journey<'_>,
    actions: &[Action],
) -> End {
    for (i, action) in actions.iter().enumerate() {
        match *action {
            Action::Output(port) => j.sent |= ports.output(port, j.packet),
            Action::OutputBucket { table, bucket } => {
                if let Some(port) = view.resolve(table, bucket, j.packet.len() as u64) {
                    j.sent |= ports.output(port, j.packet);
                }
            }
            Action::Gate { table } => {
                if !view.admits(table, PortNo(j.key.in_port), j.key.eth_dst.is_multicast()) {
                    return End::Done;
                }
            }
            Action::PushVlan { tpid, tci } => j.change(ports).push_vlan(tpid, tci),
            Action::PopVlan => {
                if has_tag(j.packet.data()) {
                    j.change(ports).pop_vlan();
                }
            }
            Action::HashL4 { basis } => j.dp_hash = Some(hash::dp_hash_l4(&j.key, basis)),
            Action::LbOutput { table, .. } => {
                // In one pass there is no `hash` action; Open vSwitch takes the packet's own.
                let h = j.dp_hash.unwrap_or_else(|| hash::flow_hash_5tuple(&j.key, 0));
                if let Some(port) = view.resolve(table, h as u8, j.packet.len() as u64) {
                    j.sent |= ports.output(port, j.packet);
                }
            }
            Action::Recirc(id) => {
                let rest = actions[i + 1..].iter().cloned().collect();
                return End::Recirc { id, rest };
            }
            Action::Userspace(reason) => {
                j.refresh();
                let in_port = PortNo(j.key.in_port);
                let what = SlowPath { reason, in_port, packet: j.packet, key: &j.key };
                shared.upcall.slow_path(now, what);
            }
        }
    }
    End::Done
}

/// Whether there is a VLAN tag to pop.
#[inline]
fn has_tag(frame: &[u8]) -> bool {
    frame.get(12..14).is_some_and(|t| {
        matches!(u16::from_be_bytes([t[0], t[1]]), EtherType::VLAN | EtherType::VLAN_8021AD)
    }) && frame.len() >= 18
}
