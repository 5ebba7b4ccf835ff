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
use super::prefetch::prefetch;
use super::shared::Shared;
use super::tables::View;
use crate::Execute;
use crate::action::{Action, SetHeader};
use crate::flow::FlowHandle;
use crate::port::PortNo;
use crate::set;
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
    pub(crate) received: u64,
    pub(crate) recirculated: u64,
    /// Hits that the signature cache did not have.
    pub(crate) masked_hit: u64,
    /// Subtables that these looked into.
    pub(crate) masked_lookup: u64,
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
    cut: u32,
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
    /// Octets that the next copy may have; 0 = all. Outlives a recirculation.
    cut: u32,
}

/// How a list of actions ended.
enum End {
    Done,
    /// Look up again; then do the rest with the packet as it was.
    Recirc {
        id: u32,
        rest: SmallVec<[Action; 4]>,
    },
    /// Do `inner` with a copy, then the rest with the packet as it was.
    Clone {
        inner: Arc<Vec<Action>>,
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

    /// Adds a flow of the control side's; false if one that matches the same is there.
    pub(crate) fn install(&mut self, flow: Arc<FlowHandle>) -> bool {
        let new = self.classifier.same(&flow).is_none();
        if new {
            self.shared.flow_count.fetch_add(1, Relaxed);
            self.classifier.insert(flow.clone());
            self.shared.installed.push(flow);
        }
        new
    }

    /// Takes a removed flow out.
    pub(crate) fn take_out(&mut self, flow: &Arc<FlowHandle>) {
        self.classifier.remove(flow);
    }

    /// Takes packets from `in_port` through the switch. They must be kept until
    /// `Ports::flush`.
    pub(crate) fn receive(&mut self, now: Time, in_port: u32, packets: &mut [Packet]) {
        self.counts.received += packets.len() as u64;
        for stage in packets.chunks_mut(STAGE) {
            self.stage(now, in_port, stage);
        }
    }

    fn stage(&mut self, now: Time, in_port: u32, packets: &mut [Packet]) {
        let mut keys = std::mem::take(&mut self.keys);
        let mut state = [Before::default(); STAGE];
        for p in packets.iter() {
            prefetch(p.data().as_ptr());
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
                    cut: s.cut,
                };
                match self.forward(now, &mut j, s.hash, s.candidate) {
                    End::Done => false,
                    End::Recirc { id, rest } if rest.is_empty() && depth < MAX_RECIRC => {
                        self.counts.recirculated += 1;
                        j.look_again(id);
                        (s.dp_hash, s.sent, s.cut) = (j.dp_hash, j.sent, j.cut);
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
            cut: 0,
        };
        let end = self.apply(now, &mut j, &actions);
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
        let (n, looked) = self.classifier.lookup(key)?;
        self.counts.masked_hit += 1;
        self.counts.masked_lookup += looked;
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
        self.apply(now, j, &t.actions)
    }

    /// Goes on after a list of actions that did not end by itself.
    fn go_on(&mut self, now: Time, mut j: Journey<'_>, end: End, depth: u32) {
        let (inner, rest) = match end {
            End::Done => return,
            End::Recirc { id, rest } if rest.is_empty() => {
                return self.recirculate(now, j, id, depth);
            }
            End::Recirc { id, rest } => (Err(id), rest),
            End::Clone { inner, rest } => (Ok(inner), rest),
        };
        // The rest works on the packet as it is now, so the branch gets a copy.
        let mut copy = j.packet.to_owned_packet();
        let mut key = *j.key;
        let mut branch = Journey {
            packet: &mut copy,
            key: &mut key,
            dp_hash: j.dp_hash,
            sent: false,
            stale: j.stale,
            cut: std::mem::take(&mut j.cut),
        };
        match inner {
            Ok(actions) => {
                let end = self.apply(now, &mut branch, &actions);
                self.go_on(now, branch, end, depth);
            }
            Err(id) => self.recirculate(now, branch, id, depth),
        }
        self.ports.hold(copy);
        let end = self.apply(now, &mut j, &rest);
        self.go_on(now, j, end, depth);
    }

    fn apply(&mut self, now: Time, j: &mut Journey<'_>, actions: &[Action]) -> End {
        apply(&mut self.ports, &mut self.view, &self.shared, now, j, actions)
    }

    fn recirculate(&mut self, now: Time, mut j: Journey<'_>, id: u32, depth: u32) {
        if depth == MAX_RECIRC {
            self.counts.lost += 1;
            return;
        }
        self.counts.recirculated += 1;
        j.look_again(id);
        let hash = self.hasher.full(j.key);
        let candidate = self.cache.get(hash);
        let end = self.forward(now, &mut j, hash, candidate);
        self.go_on(now, j, end, depth + 1);
    }
}

impl Journey<'_> {
    /// Makes the key what the bytes are now.
    #[inline]
    fn refresh(&mut self) {
        if self.stale {
            set::refresh(self.packet, self.key);
            self.stale = false;
        }
    }

    /// Makes the key what the second look looks at.
    #[inline]
    fn look_again(&mut self, recirc_id: u32) {
        self.refresh();
        self.key.recirc_id = recirc_id;
        self.key.dp_hash = self.dp_hash.unwrap_or(self.key.dp_hash);
    }

    /// The packet, to change. Bytes that were sent stay as they are until the flush.
    #[inline]
    fn own(&mut self, ports: &mut Ports) -> &mut Packet {
        if self.sent {
            let copy = self.packet.to_owned_packet();
            ports.hold(std::mem::replace(self.packet, copy));
            self.sent = false;
        }
        self.packet
    }

    /// The packet, to change its tags.
    #[inline]
    fn change(&mut self, ports: &mut Ports) -> &mut Packet {
        self.stale = true;
        self.own(ports)
    }

    #[inline]
    fn output(&mut self, ports: &mut Ports, port: PortNo) {
        if self.cut == 0 {
            self.sent |= ports.output(port, self.packet);
        } else {
            self.output_cut(ports, port);
        }
    }

    #[cold]
    #[inline(never)]
    fn output_cut(&mut self, ports: &mut Ports, port: PortNo) {
        match self.take_cut() {
            None => self.sent |= ports.output(port, self.packet),
            Some(copy) => {
                ports.output(port, &copy);
                ports.hold(copy);
            }
        }
    }

    /// A cut copy, if the packet is to be cut and is longer.
    fn take_cut(&mut self) -> Option<Packet> {
        match std::mem::take(&mut self.cut) as usize {
            0 => None,
            len if len >= self.packet.len() => None,
            len => Some(set::cut(self.packet, len)),
        }
    }

    /// Octets that leave with the next output.
    #[inline]
    fn out_len(&self) -> u64 {
        let len = self.packet.len() as u64;
        if self.cut == 0 { len } else { len.min(u64::from(self.cut)) }
    }

    #[inline(never)]
    fn set(&mut self, ports: &mut Ports, set: &SetHeader) {
        self.refresh();
        self.own(ports);
        set::header(self.packet, self.key, set);
    }
}

/// Runs a list of actions up to its end, a `Recirc` or a `Clone`.
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
            Action::Output(port) => j.output(ports, port),
            Action::OutputBucket { table, bucket } => {
                if let Some(port) = view.resolve(table, bucket, j.out_len()) {
                    j.output(ports, port);
                }
            }
            Action::Gate { table } => {
                j.refresh();
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
            Action::HashL4 { basis } => {
                j.refresh();
                j.dp_hash = Some(hash::dp_hash_l4(j.key, basis));
            }
            Action::LbOutput { table, .. } => {
                // In one pass there is no `hash` action; Open vSwitch takes the packet's own.
                j.refresh();
                let h = j.dp_hash.unwrap_or_else(|| hash::flow_hash_5tuple(j.key, 0));
                if let Some(port) = view.resolve(table, h as u8, j.out_len()) {
                    j.output(ports, port);
                }
            }
            Action::Recirc(id) => {
                // Nearly always the last.
                let after = &actions[i + 1..];
                let rest = if after.is_empty() { SmallVec::new() } else { rest(after) };
                return End::Recirc { id, rest };
            }
            Action::Clone(ref inner) => {
                return End::Clone { inner: inner.clone(), rest: rest(&actions[i + 1..]) };
            }
            Action::Set(ref set) => j.set(ports, set),
            Action::Trunc(len) => j.cut = len.max(wire::eth::ETH_HEADER_LEN as u32),
            Action::Drop(_) => return End::Done,
            Action::Userspace(_) | Action::Controller(_) => go_up(shared, now, j, action),
        }
    }
    End::Done
}

/// Actions to do later.
#[cold]
#[inline(never)]
fn rest(actions: &[Action]) -> SmallVec<[Action; 4]> {
    actions.iter().cloned().collect()
}

/// Hands a copy to the control side.
#[cold]
#[inline(never)]
fn go_up(shared: &Shared, now: Time, j: &mut Journey<'_>, action: &Action) {
    j.refresh();
    let mut key = *j.key;
    let copy = j.take_cut();
    if let Some(cut) = &copy {
        set::refresh(cut, &mut key);
    }
    let packet = copy.as_ref().unwrap_or(j.packet);
    match action {
        Action::Userspace(reason) => {
            let in_port = PortNo(key.in_port);
            let what = SlowPath { reason: *reason, in_port, packet, key: &key };
            shared.upcall.slow_path(now, what);
        }
        Action::Controller(what) => {
            shared.upcall.to_controller(now, what, &set::complete(packet), &key);
        }
        _ => {}
    }
}

/// Whether there is a VLAN tag to pop.
#[inline]
fn has_tag(frame: &[u8]) -> bool {
    frame.get(12..14).is_some_and(|t| {
        matches!(u16::from_be_bytes([t[0], t[1]]), EtherType::VLAN | EtherType::VLAN_8021AD)
    }) && frame.len() >= 18
}
