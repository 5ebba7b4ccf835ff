//! Bucket tables: the control side publishes them, each packet thread caches pointers to them.
//!
//! A table keeps one slot from creation to removal. Publishing stores a pointer to a new
//! `BucketTable` into the slot: one atomic store, and the next packet of any flow uses it. The set
//! of slots changes only when a table is created or removed; it is replaced as a whole.
//!
//! A packet thread that finds a port's link lost replaces the table by the one that stands by, with
//! a compare-and-swap: a table that the control side publishes meanwhile stays.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use wire::{EthAddr, Time};

use crate::port::PortNo;
use crate::sync::{ArcSwap, AtomicU64, Cache, Mutex, Ordering};
use crate::table::{Bucket, BucketTable, Ingress, Selection, Standby, StandbyPort, TableId};

type Slots = HashMap<TableId, Arc<Slot>, foldhash::fast::FixedState>;

/// How often the link of a port is looked at while packets go out by it.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// The least time between two looks of a packet thread, on average: with very many busy ports each
/// is looked at less often, so that looking stays below some percent of a processor.
const LOOK_PACE: Duration = Duration::from_micros(50);
/// Looks that may follow each other at once.
const LOOK_BURST: u32 = 8;

/// Holds one table; stays in place while the table is replaced.
struct Slot {
    table: ArcSwap<BucketTable>,
    standby: ArcSwap<Option<Standby>>,
    /// Bytes sent through each bucket. A new table does not reset them.
    bytes: [AtomicU64; 256],
    /// Packets whose bucket was chosen by turns.
    turns: AtomicU64,
}

impl Slot {
    fn new(table: Arc<BucketTable>) -> Slot {
        Slot {
            table: ArcSwap::new(table),
            standby: ArcSwap::from_pointee(None),
            bytes: std::array::from_fn(|_| AtomicU64::new(0)),
            turns: AtomicU64::new(0),
        }
    }
}

/// `arc_swap::Cache` needs a type that dereferences to the `ArcSwap`.
struct SlotRef(Arc<Slot>);

impl std::ops::Deref for SlotRef {
    type Target = ArcSwap<BucketTable>;
    fn deref(&self) -> &ArcSwap<BucketTable> {
        &self.0.table
    }
}

/// As [`SlotRef`].
struct StandbyRef(Arc<Slot>);

impl std::ops::Deref for StandbyRef {
    type Target = ArcSwap<Option<Standby>>;
    fn deref(&self) -> &ArcSwap<Option<Standby>> {
        &self.0.standby
    }
}

/// All tables. Packet threads read them through a [`TableCache`].
#[derive(Default)]
pub(crate) struct Tables {
    slots: ArcSwap<Slots>,
    /// Held by the control side while it replaces the set of slots. Packet threads never take it.
    changes: Mutex<()>,
}

impl Tables {
    pub(crate) fn publish(&self, id: TableId, table: Arc<BucketTable>) {
        if let Some(slot) = self.slots.load().get(&id) {
            slot.table.store(table);
            return;
        }
        let _guard = self.changes.lock();
        let slots = self.slots.load_full();
        match slots.get(&id) {
            // Another thread created it meanwhile.
            Some(slot) => slot.table.store(table),
            None => {
                let slot = Slot::new(table);
                let mut new = (*slots).clone();
                new.insert(id, Arc::new(slot));
                self.slots.store(Arc::new(new));
            }
        }
    }

    pub(crate) fn standby(&self, id: TableId, standby: Standby) {
        if let Some(slot) = self.slots.load().get(&id) {
            slot.standby.store(Arc::new(Some(standby)));
        }
    }

    pub(crate) fn remove(&self, id: TableId) {
        let _guard = self.changes.lock();
        let mut new = (**self.slots.load()).clone();
        if new.remove(&id).is_some() {
            self.slots.store(Arc::new(new));
        }
    }

    /// Blocks the creation and removal of tables.
    #[cfg(test)]
    pub(crate) fn lock_changes(&self) -> impl Drop {
        self.changes.lock()
    }

    pub(crate) fn get(&self, id: TableId) -> Option<Arc<BucketTable>> {
        self.slots.load().get(&id).map(|s| s.table.load_full())
    }

    pub(crate) fn bytes(&self, id: TableId) -> Option<Box<[u64; 256]>> {
        let slots = self.slots.load();
        let slot = slots.get(&id)?;
        Some(Box::new(std::array::from_fn(|i| slot.bytes[i].load(Ordering::Relaxed))))
    }
}

/// One packet thread's pointers to the tables that it uses. A lookup costs a few loads.
pub(crate) struct TableCache {
    all: Arc<Tables>,
    slots: Arc<Slots>,
    cached: Vec<CachedTable>,
    index: HashMap<TableId, usize, foldhash::fast::FixedState>,
    /// Index in `cached` of the last lookup: consecutive packets often use the same bond.
    last: usize,
    pace: Pace,
}

struct CachedTable {
    id: TableId,
    slot: Arc<Slot>,
    table: Cache<SlotRef, Arc<BucketTable>>,
    standby: Cache<StandbyRef, Arc<Option<Standby>>>,
    /// When the link of each port of the standby was last looked at.
    looked: Vec<Option<Time>>,
}

/// Limits how often one packet thread looks at links.
#[derive(Default)]
struct Pace {
    /// When the current round began.
    now: Time,
    /// Looks have used up the time until then.
    until: Time,
}

impl Pace {
    fn take(&mut self) -> bool {
        let may = self.until <= self.now + LOOK_PACE * LOOK_BURST;
        if may {
            self.until = self.until.max(self.now) + LOOK_PACE;
        }
        may
    }
}

impl CachedTable {
    /// Looks at the port's link, if it is time to. True: it was lost, and another table may be in
    /// force now.
    #[inline]
    fn replaced(&mut self, port: PortNo, pace: &mut Pace) -> bool {
        let Some(standby) = &**self.standby.load() else { return false };
        let Some(i) = standby.ports.iter().position(|p| p.port == port) else { return false };
        if self.looked.len() < standby.ports.len() {
            self.looked.resize(standby.ports.len(), None);
        }
        if self.looked[i].is_some_and(|t| pace.now.since(t) < LOOK_EVERY) || !pace.take() {
            return false;
        }
        self.looked[i] = Some(pace.now);
        if !Arc::ptr_eq(self.table.load(), &standby.of) {
            return false;
        }
        let StandbyPort { link, table, .. } = &standby.ports[i];
        let lost = link.is_lost();
        if lost {
            // Without effect if the control side has published since: that is newer.
            self.slot.table.compare_and_swap(&standby.of, table.clone());
        }
        link.report();
        lost
    }
}

impl TableCache {
    pub(crate) fn new(all: Arc<Tables>) -> TableCache {
        let slots = all.slots.load_full();
        TableCache {
            all,
            slots,
            cached: Vec::new(),
            index: HashMap::default(),
            last: 0,
            pace: Pace::default(),
        }
    }

    /// Picks up created and removed tables. Called between batches; `now` is the round's time.
    #[inline]
    pub(crate) fn refresh(&mut self, now: Time) {
        self.pace.now = now;
        if !Arc::ptr_eq(&self.slots, &self.all.slots.load()) {
            self.reload_slots();
        }
    }

    #[cold]
    fn reload_slots(&mut self) {
        self.slots = self.all.slots.load_full();
        let slots = &self.slots;
        self.cached.retain(|s| slots.get(&s.id).is_some_and(|slot| Arc::ptr_eq(slot, &s.slot)));
        self.index = self.cached.iter().enumerate().map(|(i, s)| (s.id, i)).collect();
    }

    #[inline]
    fn cached(&mut self, id: TableId) -> Option<(&mut CachedTable, &mut Pace)> {
        if self.cached.get(self.last).is_none_or(|s| s.id != id) {
            self.last = match self.index.get(&id) {
                Some(&i) => i,
                None => self.insert(id)?,
            };
        }
        Some((self.cached.get_mut(self.last)?, &mut self.pace))
    }

    #[cold]
    fn insert(&mut self, id: TableId) -> Option<usize> {
        if !self.slots.contains_key(&id) {
            // A table created during this batch.
            self.reload_slots();
        }
        let slot = self.slots.get(&id)?.clone();
        let table = Cache::new(SlotRef(slot.clone()));
        let standby = Cache::new(StandbyRef(slot.clone()));
        self.index.insert(id, self.cached.len());
        self.cached.push(CachedTable { id, slot, table, standby, looked: Vec::new() });
        Some(self.cached.len() - 1)
    }

    /// The port of `bucket`, if it has one; then adds `bytes` to the bucket's count.
    #[inline]
    pub(crate) fn resolve(&mut self, id: TableId, bucket: Bucket, bytes: u64) -> Option<PortNo> {
        let (cached, pace) = self.cached(id)?;
        let mut port = cached.table.load().buckets[usize::from(bucket)]?;
        if cached.replaced(port, pace) {
            port = cached.table.load().buckets[usize::from(bucket)]?;
        }
        // Several threads may count; one bucket is rarely busy on two of them at once.
        cached.slot.bytes[usize::from(bucket)].fetch_add(bytes, Ordering::Relaxed);
        Some(port)
    }

    /// How the table chooses a bucket; `None` if there is no such table.
    #[inline]
    pub(crate) fn selection(&mut self, id: TableId) -> Option<Selection> {
        Some(self.cached(id)?.0.table.load().selection)
    }

    /// The number of packets that have asked for a turn of this table before.
    pub(crate) fn turn(&mut self, id: TableId) -> u64 {
        self.cached(id).map_or(0, |(c, _)| c.slot.turns.fetch_add(1, Ordering::Relaxed))
    }

    /// The source address that the table's packets get at a port.
    #[inline]
    pub(crate) fn source(&mut self, id: TableId, port: PortNo) -> Option<EthAddr> {
        self.cached(id)?.0.table.load().source(port)
    }

    /// What the table lets in on a port from `source`. A table that does not exist lets in nothing.
    #[inline]
    pub(crate) fn ingress(&mut self, id: TableId, in_port: PortNo, source: EthAddr) -> Ingress {
        self.cached(id).map_or(Ingress::Closed, |(c, _)| {
            let table = c.table.load();
            if table.is_own(source) { Ingress::Closed } else { table.ingress(in_port) }
        })
    }
}
