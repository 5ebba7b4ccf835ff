//! MAC learning: which port a station was last seen on, for each VLAN of one bridge.
//!
//! ```text
//!  index: hash of (MAC, VLAN) ──▶ slot ──▶ Arc<MacEntry>   last use, touched by cached flows
//!                                  │                       without a lock
//!                    ring of its port, least recently used first
//! ```
//!
//! What a packet does here takes constant time, or logarithmic time in the number of ports, also
//! when the table is full: a flood of invented addresses costs no more than any other traffic.
//! What looks at many addresses ([`MacTable::slice`], [`MacTable::sweep`], [`MacTable::expire`])
//! does so for a bounded number of them in a call.
//!
//! Invariant: only the datapath's threads and the revalidator take the table's lock; other threads
//! send a job to the datapath.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use wire::{EthAddr, Time};

pub use crate::ids::BundleId;
pub use crate::mac_entry::MacEntry;
pub use crate::mac_stats::{MacCoverage, MacStats};
use crate::ports_by_entry_count::PortsByEntryCount;
use crate::vlan::VlanSet;

/// How long an address that a gratuitous ARP moved stays where it is when the same ARP comes back
/// over a bond.
pub const GRATUITOUS_ARP_LOCK: Duration = Duration::from_secs(5);

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacRow {
    /// The station's address.
    pub mac: EthAddr,
    /// The VLAN, 0 to 4095.
    pub vlan: u16,
    /// The port that it is on.
    pub bundle: BundleId,
    /// When it was last heard of.
    pub used: Time,
    /// Set by hand; never ages, moves or is evicted.
    pub fixed: bool,
}

/// What is being learned.
#[derive(Clone, Copy, Debug)]
pub struct Learn {
    /// The source of the packet.
    pub mac: EthAddr,
    /// The packet's VLAN, 0 to 4095.
    pub vlan: u16,
    /// The port that it came in by.
    pub bundle: BundleId,
    /// The packet is a gratuitous ARP.
    pub gratuitous: bool,
    /// The port is a bond.
    pub bond: bool,
    /// Told of after the fact, from a flow's statistics: does not move an address that has been
    /// heard of elsewhere since.
    pub late: bool,
}

const NONE: u32 = u32::MAX;

/// Memory that a table has no use for any more.
#[derive(Default)]
pub struct Unused(#[expect(dead_code)] Vec<Option<Slot>>, #[expect(dead_code)] Vec<u32>);

/// One address in one VLAN.
struct Slot {
    mac: EthAddr,
    vlan: u16,
    fixed: bool,
    bundle: BundleId,
    entry: Arc<MacEntry>,
    /// `entry.used` when the slot got its place in the ring.
    placed: u64,
    /// How many addresses had come to the table before this one.
    born: u64,
    locked_until: Time,
    prev: u32,
    next: u32,
}

/// The learned addresses of one port, least recently used first.
#[derive(Clone, Copy)]
struct Ring {
    head: u32,
    tail: u32,
    len: usize,
}

/// Addresses that are to be forgotten, and how far that has got. Addresses that come after it was
/// made stay.
#[derive(Clone, Debug)]
pub struct Sweep {
    what: Swept,
    /// The next slot to look at.
    next: usize,
    /// [`Slot::born`] of the first address that stays.
    until: u64,
}

#[derive(Clone, Debug)]
enum Swept {
    /// All but static ones.
    Learned,
    /// All of these ports, static ones included.
    Bundles(BTreeSet<BundleId>),
}

impl Swept {
    fn covers(&self, s: &Slot) -> bool {
        match self {
            Swept::Learned => !s.fixed,
            Swept::Bundles(gone) => gone.contains(&s.bundle),
        }
    }
}

/// Where [`MacTable::expire`] goes on. A new one begins at the first port.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpireCursor {
    from: Option<BundleId>,
}

/// The table of one bridge.
pub struct MacTable {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
    rings: BTreeMap<BundleId, Ring>,
    /// The same ports, by how many addresses each has.
    fullest: PortsByEntryCount,
    fixed: usize,
    /// Addresses that have come so far.
    born: u64,
    aging: Duration,
    max: usize,
    flood_vlans: VlanSet,
    stats: MacStats,
    coverage: Arc<MacCoverage>,
    /// Grows whenever an address comes, goes or moves. Shared by all tables of a switch.
    changes: Arc<AtomicU64>,
}

impl MacTable {
    /// An empty table. `changes` is increased whenever a lookup may give another result.
    pub fn new(changes: Arc<AtomicU64>) -> MacTable {
        MacTable {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            rings: BTreeMap::new(),
            fullest: PortsByEntryCount::default(),
            fixed: 0,
            born: 0,
            aging: Duration::from_secs(300),
            max: 8192,
            flood_vlans: VlanSet::exactly(&BTreeSet::new()),
            stats: MacStats::default(),
            coverage: Arc::default(),
            changes,
        }
    }

    /// Counts in `coverage`, too.
    pub fn counting_in(self, coverage: Arc<MacCoverage>) -> MacTable {
        MacTable { coverage, ..self }
    }

    /// `aging` is held within 15 s to 3600 s and `max` within 10 to 1,000,000, as in Open vSwitch.
    /// In `flood_vlans` nothing is learned. True when they are others than before: what was learned
    /// is to be forgotten ([`MacTable::sweep_learned`]).
    #[must_use]
    pub fn configure(&mut self, aging: Duration, max: usize, flood_vlans: &BTreeSet<u16>) -> bool {
        self.aging = aging.clamp(Duration::from_secs(15), Duration::from_secs(3600));
        self.max = max.clamp(10, 1_000_000);
        // With a quarter to spare the index neither grows nor is rehashed while packets wait.
        let places = self.max + self.max / 4;
        if self.index.capacity() < places {
            let (slots, hasher) = (&self.slots, &self.hasher);
            let hash = |&i: &u32| {
                let s = slots[i as usize].as_ref().expect("an indexed slot is in use");
                hasher.hash_one(s.mac.to_u64() | u64::from(s.vlan) << 48)
            };
            self.index.reserve(places - self.index.len(), hash);
        }
        let flood = VlanSet::exactly(flood_vlans);
        let other = flood != self.flood_vlans;
        self.flood_vlans = flood;
        other
    }

    /// Addresses in the table, static ones included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no address at all.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What the table has done since the statistics were cleared.
    pub fn stats(&self) -> MacStats {
        self.stats
    }

    /// Sets the statistics to 0.
    pub fn clear_stats(&mut self) {
        self.stats = MacStats::default();
    }

    /// How many addresses there may be.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many were set by hand.
    pub fn fixed(&self) -> usize {
        self.fixed
    }

    fn hash(&self, mac: EthAddr, vlan: u16) -> u64 {
        self.hasher.hash_one(mac.to_u64() | u64::from(vlan) << 48)
    }

    fn find(&self, mac: EthAddr, vlan: u16) -> Option<u32> {
        let hash = self.hash(mac, vlan);
        self.index.find(hash, |&i| self.at(i).mac == mac && self.at(i).vlan == vlan).copied()
    }

    fn at(&self, i: u32) -> &Slot {
        self.slots[i as usize].as_ref().expect("an indexed slot is in use")
    }

    fn at_mut(&mut self, i: u32) -> &mut Slot {
        self.slots[i as usize].as_mut().expect("an indexed slot is in use")
    }

    /// Where `mac` is. Nothing for multicast and in VLANs that flood.
    pub fn lookup(&self, mac: EthAddr, vlan: u16) -> Option<BundleId> {
        if !self.learnable(mac, vlan) {
            return None;
        }
        self.find(mac, vlan).map(|i| self.at(i).bundle)
    }

    /// Whether a gratuitous ARP over a bond may not move `mac` now.
    pub fn is_locked(&self, now: Time, mac: EthAddr, vlan: u16) -> bool {
        self.find(mac, vlan).is_some_and(|i| now < self.at(i).locked_until)
    }

    fn learnable(&self, mac: EthAddr, vlan: u16) -> bool {
        !mac.is_multicast() && !self.flood_vlans.contains(vlan)
    }

    /// Learns from a packet. Returns the entry, which cached flows of the station touch; `None` if
    /// the address is on another port (static, or locked) or cannot be learned.
    pub fn learn(&mut self, now: Time, l: Learn) -> Option<Arc<MacEntry>> {
        if !self.learnable(l.mac, l.vlan) {
            return None;
        }
        let Some(i) = self.find(l.mac, l.vlan) else {
            if !self.make_room() {
                return None;
            }
            self.stats.learned += 1;
            self.coverage.learned();
            let i = self.insert(now, l.mac, l.vlan, l.bundle, false);
            if l.gratuitous && !l.bond {
                self.at_mut(i).locked_until = now + GRATUITOUS_ARP_LOCK;
            }
            return Some(self.at(i).entry.clone());
        };
        let slot = self.at_mut(i);
        let here = slot.bundle == l.bundle;
        if slot.fixed {
            if !here {
                self.coverage.static_none_move();
            }
            return None;
        }
        if l.late && !here && now <= slot.entry.used() {
            return None;
        }
        slot.entry.touch(now);
        let entry = slot.entry.clone();
        let mut moves = !here;
        if l.gratuitous {
            if !l.bond {
                slot.locked_until = now + GRATUITOUS_ARP_LOCK;
            } else if now < slot.locked_until {
                moves = false;
            }
        }
        self.unlink(i);
        if moves {
            self.at_mut(i).bundle = l.bundle;
            self.stats.moved += 1;
            self.coverage.moved();
            self.changed();
        }
        self.link_last(i);
        (here || moves).then_some(entry)
    }

    /// The entry of an address that was learned on `bundle`, if it is.
    pub fn entry(&self, mac: EthAddr, vlan: u16, bundle: BundleId) -> Option<Arc<MacEntry>> {
        let slot = self.at(self.find(mac, vlan)?);
        (slot.bundle == bundle && !slot.fixed).then(|| slot.entry.clone())
    }

    /// Whether a packet from `mac` would be learned from.
    pub fn wants(&self, mac: EthAddr, vlan: u16) -> bool {
        self.learnable(mac, vlan) && !self.find(mac, vlan).is_some_and(|i| self.at(i).fixed)
    }

    /// Sets an address by hand (`fdb/add`), also over a learned one.
    pub fn add_fixed(&mut self, now: Time, mac: EthAddr, vlan: u16, bundle: BundleId) {
        if let Some(i) = self.find(mac, vlan) {
            self.remove(i);
        } else {
            self.make_room();
        }
        self.insert(now, mac, vlan, bundle, true);
    }

    /// Removes an address that was set by hand; false when there is none.
    pub fn del_fixed(&mut self, mac: EthAddr, vlan: u16) -> bool {
        match self.find(mac, vlan) {
            Some(i) if self.at(i).fixed => {
                self.remove(i);
                true
            }
            _ => false,
        }
    }

    /// The row of one address.
    pub fn row(&self, mac: EthAddr, vlan: u16) -> Option<MacRow> {
        self.find(mac, vlan).map(|i| row(self.at(i)))
    }

    /// Up to `max` places of the table from `from` on, and where to go on; `None` at the end.
    /// A row that comes or goes between two calls may be missed, and one that goes and comes back
    /// may be seen twice.
    pub fn slice(&self, from: usize, max: usize) -> (Vec<MacRow>, Option<usize>) {
        let end = from.saturating_add(max).min(self.slots.len());
        let rows = self.slots.get(from..end).unwrap_or_default().iter().flatten().map(row);
        (rows.collect(), (end < self.slots.len()).then_some(end))
    }

    /// Forgets one address, whichever port it is on.
    pub fn forget(&mut self, mac: EthAddr, vlan: u16) {
        if let Some(i) = self.find(mac, vlan) {
            self.remove(i);
        }
    }

    /// To forget what was learned (`fdb/flush`). Static addresses stay.
    pub fn sweep_learned(&self) -> Sweep {
        Sweep { what: Swept::Learned, next: 0, until: self.born }
    }

    /// To forget what was learned on these ports, static addresses included: the ports are gone or
    /// have other VLANs.
    pub fn sweep_bundles(&self, gone: impl IntoIterator<Item = BundleId>) -> Sweep {
        let gone = gone.into_iter().collect();
        Sweep { what: Swept::Bundles(gone), next: 0, until: self.born }
    }

    /// Goes on with a sweep over up to `max` places of the table. What it forgets, and whether
    /// there is more to look at.
    pub fn sweep(&mut self, sweep: &mut Sweep, max: usize) -> (Vec<MacRow>, bool) {
        let mut gone = Vec::new();
        let end = sweep.next.saturating_add(max).min(self.slots.len());
        for i in sweep.next..end {
            if let Some(s) = &self.slots[i]
                && s.born < sweep.until
                && sweep.what.covers(s)
            {
                gone.push(row(s));
                self.remove(i as u32);
            }
        }
        sweep.next = end;
        (gone, end < self.slots.len())
    }

    /// Removes addresses not heard of for the ageing time, and what exceeds the size. A call takes
    /// up to `max` steps, of which each is an address or a port, so that the lock is soon free. True
    /// when there may be more.
    pub fn expire(&mut self, now: Time, max: usize, cursor: &mut ExpireCursor) -> bool {
        let mut left = max;
        while self.len() > self.max {
            if left == 0 {
                return true;
            }
            left -= 1;
            if !self.evict() {
                break;
            }
        }
        while let Some(b) = self.next_ring(cursor.from) {
            cursor.from = Some(b);
            while let Some(head) = self.rings.get(&b).map(|r| r.head) {
                if left == 0 {
                    return true;
                }
                left -= 1;
                let s = self.at(head);
                if now.since(Time::from_nanos(s.placed)) < self.aging {
                    break;
                }
                if now.since(s.entry.used()) >= self.aging {
                    self.stats.expired += 1;
                    self.coverage.expired();
                    self.remove(head);
                } else {
                    self.unlink(head);
                    self.link_last(head);
                }
            }
            cursor.from = Some(BundleId(b.0 + 1));
        }
        false
    }

    /// The first port from `from` on that has addresses.
    fn next_ring(&self, from: Option<BundleId>) -> Option<BundleId> {
        self.rings.range(from.unwrap_or(BundleId(0))..).next().map(|(b, _)| *b)
    }

    /// The memory of an empty table, for the caller to free when the lock is free again.
    #[must_use = "it is large, and the lock is held"]
    pub fn take_unused(&mut self) -> Unused {
        if !self.index.is_empty() {
            return Unused::default();
        }
        Unused(std::mem::take(&mut self.slots), std::mem::take(&mut self.free))
    }

    /// Evicts when the table is full. False when nothing can be evicted.
    fn make_room(&mut self) -> bool {
        self.len() < self.max || self.evict()
    }

    /// The port with most addresses loses the one it has not used for longest, so that one
    /// port cannot push out the addresses of another.
    fn evict(&mut self) -> bool {
        let Some(bundle) = self.fullest.first() else { return false };
        // An entry that a flow has touched since it got its place deserves another round; a few
        // rounds only, so that the cost stays bounded.
        for _ in 0..8 {
            let head = self.rings[&bundle].head;
            let s = self.at(head);
            if s.entry.used().as_nanos() <= s.placed {
                break;
            }
            self.unlink(head);
            self.link_last(head);
        }
        let head = self.rings[&bundle].head;
        self.stats.evicted += 1;
        self.coverage.evicted();
        self.remove(head);
        true
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Relaxed);
    }

    fn insert(&mut self, now: Time, mac: EthAddr, vlan: u16, bundle: BundleId, fixed: bool) -> u32 {
        let slot = Slot {
            mac,
            vlan,
            fixed,
            bundle,
            entry: Arc::new(MacEntry::new(now)),
            placed: now.as_nanos(),
            born: self.born,
            locked_until: Time::ZERO,
            prev: NONE,
            next: NONE,
        };
        self.born += 1;
        let i = match self.free.pop() {
            Some(i) => {
                self.slots[i as usize] = Some(slot);
                i
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() as u32 - 1
            }
        };
        let hash = self.hash(mac, vlan);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, i, |&i| {
            let s = slots[i as usize].as_ref().expect("an indexed slot is in use");
            hasher.hash_one(s.mac.to_u64() | u64::from(s.vlan) << 48)
        });
        if fixed {
            self.fixed += 1;
        } else {
            self.link_last(i);
        }
        self.changed();
        i
    }

    fn remove(&mut self, i: u32) {
        if self.at(i).fixed {
            self.fixed -= 1;
        } else {
            self.unlink(i);
        }
        let hash = self.hash(self.at(i).mac, self.at(i).vlan);
        if let Ok(found) = self.index.find_entry(hash, |&j| j == i) {
            found.remove();
        }
        self.slots[i as usize] = None;
        self.free.push(i);
        self.changed();
    }

    /// Puts a slot that is in no ring at the recent end of its port's.
    fn link_last(&mut self, i: u32) {
        let b = self.at(i).bundle;
        let ring = self.rings.entry(b).or_insert(Ring { head: NONE, tail: NONE, len: 0 });
        let tail = ring.tail;
        ring.len += 1;
        self.fullest.set(b, ring.len);
        ring.tail = i;
        if tail == NONE {
            ring.head = i;
        } else {
            self.at_mut(tail).next = i;
        }
        let s = self.at_mut(i);
        s.prev = tail;
        s.next = NONE;
        s.placed = s.entry.used().as_nanos();
    }

    /// Takes a slot out of its port's ring.
    fn unlink(&mut self, i: u32) {
        let (b, prev, next) = (self.at(i).bundle, self.at(i).prev, self.at(i).next);
        if prev != NONE {
            self.at_mut(prev).next = next;
        }
        if next != NONE {
            self.at_mut(next).prev = prev;
        }
        let ring = self.rings.get_mut(&b).expect("a linked slot's port has a ring");
        if prev == NONE {
            ring.head = next;
        }
        if next == NONE {
            ring.tail = prev;
        }
        ring.len -= 1;
        self.fullest.set(b, ring.len);
        if ring.len == 0 {
            self.rings.remove(&b);
        }
    }
}

fn row(s: &Slot) -> MacRow {
    MacRow { mac: s.mac, vlan: s.vlan, bundle: s.bundle, used: s.entry.used(), fixed: s.fixed }
}
