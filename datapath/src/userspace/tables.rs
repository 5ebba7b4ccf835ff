//! Bucket tables: the control side publishes them, each packet thread caches pointers to them.
//!
//! A table keeps one slot from creation to removal. Publishing stores a pointer to a new
//! `BucketTable` into the slot: one atomic store, and the next packet of any flow uses it. The set
//! of slots changes only when a table is created or removed; it is replaced as a whole.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::port::PortNo;
use crate::sync::{ArcSwap, AtomicU64, Cache, Mutex, Ordering};
use crate::table::{Bucket, BucketTable, Ingress, Selection, TableId};

type Slots = HashMap<TableId, Arc<Slot>, foldhash::fast::FixedState>;

/// Holds one table; stays in place while the table is replaced.
struct Slot {
    table: ArcSwap<BucketTable>,
    /// Bytes sent through each bucket. A new table does not reset them.
    bytes: [AtomicU64; 256],
    /// Packets whose bucket was chosen by turns.
    turns: AtomicU64,
}

/// `arc_swap::Cache` needs a type that dereferences to the `ArcSwap`.
struct SlotRef(Arc<Slot>);

impl std::ops::Deref for SlotRef {
    type Target = ArcSwap<BucketTable>;
    fn deref(&self) -> &ArcSwap<BucketTable> {
        &self.0.table
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
                let bytes = std::array::from_fn(|_| AtomicU64::new(0));
                let turns = AtomicU64::new(0);
                let slot = Slot { table: ArcSwap::new(table), bytes, turns };
                let mut new = (*slots).clone();
                new.insert(id, Arc::new(slot));
                self.slots.store(Arc::new(new));
            }
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
}

struct CachedTable {
    id: TableId,
    slot: Arc<Slot>,
    table: Cache<SlotRef, Arc<BucketTable>>,
}

impl TableCache {
    pub(crate) fn new(all: Arc<Tables>) -> TableCache {
        let slots = all.slots.load_full();
        TableCache { all, slots, cached: Vec::new(), index: HashMap::default(), last: 0 }
    }

    /// Picks up created and removed tables. Called between batches.
    #[inline]
    pub(crate) fn refresh(&mut self) {
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
    fn cached(&mut self, id: TableId) -> Option<&mut CachedTable> {
        if self.cached.get(self.last).is_none_or(|s| s.id != id) {
            self.last = match self.index.get(&id) {
                Some(&i) => i,
                None => self.insert(id)?,
            };
        }
        self.cached.get_mut(self.last)
    }

    #[cold]
    fn insert(&mut self, id: TableId) -> Option<usize> {
        if !self.slots.contains_key(&id) {
            // A table created during this batch.
            self.reload_slots();
        }
        let slot = self.slots.get(&id)?.clone();
        let table = Cache::new(SlotRef(slot.clone()));
        self.index.insert(id, self.cached.len());
        self.cached.push(CachedTable { id, slot, table });
        Some(self.cached.len() - 1)
    }

    /// The port of `bucket`, if it has one; then adds `bytes` to the bucket's count.
    #[inline]
    pub(crate) fn resolve(&mut self, id: TableId, bucket: Bucket, bytes: u64) -> Option<PortNo> {
        let cached = self.cached(id)?;
        let port = cached.table.load().buckets[usize::from(bucket)]?;
        // Several threads may count; one bucket is rarely busy on two of them at once.
        cached.slot.bytes[usize::from(bucket)].fetch_add(bytes, Ordering::Relaxed);
        Some(port)
    }

    /// How the table chooses a bucket; `None` if there is no such table.
    #[inline]
    pub(crate) fn selection(&mut self, id: TableId) -> Option<Selection> {
        Some(self.cached(id)?.table.load().selection)
    }

    /// The number of packets that have asked for a turn of this table before.
    pub(crate) fn turn(&mut self, id: TableId) -> u64 {
        self.cached(id).map_or(0, |s| s.slot.turns.fetch_add(1, Ordering::Relaxed))
    }

    /// What the table lets in on a port. A table that does not exist lets in nothing.
    #[inline]
    pub(crate) fn ingress(&mut self, id: TableId, in_port: PortNo) -> Ingress {
        self.cached(id).map_or(Ingress::Closed, |s| s.table.load().ingress(in_port))
    }
}
