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
    /// Keys of the stage at hand; lent out while it is worked on.
    keys: Vec<FlowKey>,
}

/// What is known of a packet before a lookup.
#[derive(Clone, Copy, Default)]
struct Before {
    hash: u64,
    candidate: Option<u32>,
    dp_hash: Option<u32>,
    sent: bool,
}

/// A packet on its way through one or more lists of actions.
struct Journey<'a> {
    packet: &'a mut Packet,
    key: &'a mut FlowKey,
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
            keys: vec![FlowKey::default(); STAGE],
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
        let mut keys = std::mem::take(&mut self.keys);
        let mut state = [Before::default(); STAGE];
        for p in packets.iter() {
            super::prefetch(p.data().as_ptr());
        }
        for ((p, key), s) in packets.iter().zip(&mut keys).zip(&mut state) {
            *key = wire::extract(p.data(), in_port);
            s.hash = self.hasher.full(key);
            self.cache.prefetch(s.hash);
        }
        // Places of packets to look up, in order; then of those that recirculate, and so on.
        let mut places: SmallVec<[u8; STAGE]> = (0..packets.len() as u8).collect();
        for depth in 0..=MAX_RECIRC {
            for &i in &places {
                let s = &mut state[usize::from(i)];
                s.candidate = self.cache.get(s.hash);
                if let Some(n) = s.candidate {
                    self.classifier.prefetch_entry(n);
                }
            }
            for &i in &places {
                if let Some(n) = state[usize::from(i)].candidate {
                    self.classifier.prefetch_flow(n);
                }
            }
            places.retain(|i| {
                let i = usize::from(*i);
                let (s, key) = (&mut state[i], &mut keys[i]);
                let mut j = Journey {
                    packet: &mut packets[i],
                    key,
                    dp_hash: s.dp_hash,
                    sent: s.sent,
                    stale: false,
                };
                match self.forward(now, &mut j, s.hash, s.candidate) {
                    End::Done => false,
                    End::Recirc { id, rest } if rest.is_empty() && depth < MAX_RECIRC => {
                        j.look_again(id);
                        (s.dp_hash, s.sent) = (j.dp_hash, j.sent);
                        s.hash = self.hasher.full(key);
                        self.cache.prefetch(s.hash);
                        true
                    }
                    end => {
                        self.go_on(now, j, end, depth);
                        false
                    }
                }
            });
            if places.is_empty() {
                break;
            }
        }
        self.keys = keys;
    }

    /// Sends a packet of the control side's own.
    pub(crate) fn execute(&mut self, now: Time, what: Execute) {
        let Execute { mut packet, in_port, actions } = what;
        let mut key = wire::extract(packet.data(), in_port.0);
        let mut j = Journey {
            packet: &mut packet,
            key: &mut key,
            dp_hash: None,
            sent: false,
            stale: false,
        };
        let end = apply(&mut self.ports, &mut self.view, &self.shared, now, &mut j, &actions);
        self.go_on(now, j, end, 0);
        self.ports.hold(packet);
    }

    /// Finds the flow and runs it.
    #[inline]
    fn forward(
        &mut self,
        now: Time,
        j: &mut Journey<'_>,
        hash: u64,
        candidate: Option<u32>,
    ) -> End {
        match self.find(j.key, hash, candidate) {
            Some(n) => {
                self.counts.hit += 1;
                let (actions, flow) = self.classifier.actions(n);
                flow.count(j.packet.len() as u64, now, j.key.tcp_flags);
                apply(&mut self.ports, &mut self.view, &self.shared, now, j, actions)
            }
            None => self.miss(now, j, hash),
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
        let t = self.shared.upcall.miss(now, j.packet, j.key);
        if t.install {
            let s = &self.shared;
            if s.flow_count.load(Relaxed) < s.flow_limit.load(Relaxed) {
                s.flow_count.fetch_add(1, Relaxed);
                // The packet that missed is not counted, as Open vSwitch does not count it.
                let flow = FlowHandle::new(*j.key, t.mask, t.actions.to_vec(), t.notes, now);
                let flow = Arc::new(flow);
                let n = self.classifier.insert(flow.clone());
                self.cache.put(hash, n);
                s.upcall.flow_added(&flow);
                s.installed.push(flow);
            } else {
                self.counts.over_limit += 1;
            }
        }
        apply(&mut self.ports, &mut self.view, &self.shared, now, j, &t.actions)
    }

    /// Recirculates one packet as long as lists of actions end with it.
    fn go_on(&mut self, now: Time, mut j: Journey<'_>, end: End, depth: u32) {
        let End::Recirc { id, rest } = end else { return };
        if rest.is_empty() {
            self.recirculate(now, j, id, depth);
            return;
        }
        // The rest works on the packet as it is now, so the second look gets a copy.
        let mut copy = j.packet.to_owned_packet();
        let mut key = *j.key;
        let other = Journey {
            packet: &mut copy,
            key: &mut key,
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
        j.look_again(id);
        let hash = self.hasher.full(j.key);
        let candidate = self.cache.get(hash);
        let end = self.forward(now, &mut j, hash, candidate);
        self.go_on(now, j, end, depth + 1);
    }
}

impl Journey<'_> {
    /// The key of the bytes as they are now. The journey's own key stays what the flow was found
    /// by: hashes are of that.
    fn fresh_key(&self) -> FlowKey {
        if !self.stale {
            return *self.key;
        }
        FlowKey {
            recirc_id: self.key.recirc_id,
            dp_hash: self.key.dp_hash,
            pkt_mark: self.key.pkt_mark,
            skb_priority: self.key.skb_priority,
            ..wire::extract(self.packet.data(), self.key.in_port)
        }
    }

    /// Makes the key what the second look looks at.
    #[inline]
    fn look_again(&mut self, recirc_id: u32) {
        if self.stale {
            *self.key = self.fresh_key();
            self.stale = false;
        }
        self.key.recirc_id = recirc_id;
        self.key.dp_hash = self.dp_hash.unwrap_or(self.key.dp_hash);
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
            Action::HashL4 { basis } => j.dp_hash = Some(hash::dp_hash_l4(j.key, basis)),
            Action::LbOutput { table, .. } => {
                // In one pass there is no `hash` action; Open vSwitch takes the packet's own.
                let h = j.dp_hash.unwrap_or_else(|| hash::flow_hash_5tuple(j.key, 0));
                if let Some(port) = view.resolve(table, h as u8, j.packet.len() as u64) {
                    j.sent |= ports.output(port, j.packet);
                }
            }
            Action::Recirc(id) => {
                let rest = actions[i + 1..].iter().cloned().collect();
                return End::Recirc { id, rest };
            }
            Action::Userspace(reason) => {
                let key = &j.fresh_key();
                let in_port = PortNo(key.in_port);
                let what = SlowPath { reason, in_port, packet: j.packet, key };
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
