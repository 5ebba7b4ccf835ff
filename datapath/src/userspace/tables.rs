//! Bucket tables as the control side publishes them and as a packet thread sees them.
//!
//! A table has one slot for its whole life. Publishing stores a new `BucketTable` into the slot:
//! one atomic store, and the next packet of any flow goes the new way. The set of slots changes
//! only when a table is made or removed; it is replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, Cache};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::port::PortNo;
use crate::table::{Bucket, BucketTable, TableId};

type Slots = HashMap<TableId, Arc<Slot>, foldhash::fast::FixedState>;

/// One table's place.
struct Slot {
    table: ArcSwap<BucketTable>,
    /// Bytes sent through each bucket. They outlive generations.
    bytes: [AtomicU64; 256],
}

/// Lets `arc_swap::Cache` find the table in a slot.
struct SlotRef(Arc<Slot>);

impl std::ops::Deref for SlotRef {
    type Target = ArcSwap<BucketTable>;
    fn deref(&self) -> &ArcSwap<BucketTable> {
        &self.0.table
    }
}

/// All tables. Packet threads look through a [`View`].
#[derive(Default)]
pub(crate) struct Tables {
    slots: ArcSwap<Slots>,
    /// Held by the control side while it replaces the set of slots; never by a packet thread.
    changing: Mutex<()>,
}

impl Tables {
    pub(crate) fn publish(&self, id: TableId, table: Arc<BucketTable>) {
        if let Some(slot) = self.slots.load().get(&id) {
            slot.table.store(table);
            return;
        }
        let _guard = self.changing.lock();
        let slots = self.slots.load_full();
        match slots.get(&id) {
            // Someone else made it meanwhile.
            Some(slot) => slot.table.store(table),
            None => {
                let bytes = std::array::from_fn(|_| AtomicU64::new(0));
                let slot = Slot { table: ArcSwap::new(table), bytes };
                let mut new = (*slots).clone();
                new.insert(id, Arc::new(slot));
                self.slots.store(Arc::new(new));
            }
        }
    }

    pub(crate) fn remove(&self, id: TableId) {
        let _guard = self.changing.lock();
        let mut new = (**self.slots.load()).clone();
        if new.remove(&id).is_some() {
            self.slots.store(Arc::new(new));
        }
    }

    /// Holds up whoever wants to make or remove a table.
    #[cfg(test)]
    pub(crate) fn hold_changes(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.changing.lock()
    }

    pub(crate) fn get(&self, id: TableId) -> Option<Arc<BucketTable>> {
        self.slots.load().get(&id).map(|s| s.table.load_full())
    }

    pub(crate) fn bytes(&self, id: TableId) -> Option<Box<[u64; 256]>> {
        let slots = self.slots.load();
        let slot = slots.get(&id)?;
        Some(Box::new(std::array::from_fn(|i| slot.bytes[i].load(Relaxed))))
    }
}

/// One packet thread's view: what it saw last of every table it used. A look costs a few loads.
pub(crate) struct View {
    all: Arc<Tables>,
    slots: Arc<Slots>,
    seen: Vec<Seen>,
    places: HashMap<TableId, usize, foldhash::fast::FixedState>,
    /// The last look's place in `seen`: packets of one bond come together.
    last: usize,
}

struct Seen {
    id: TableId,
    slot: Arc<Slot>,
    table: Cache<SlotRef, Arc<BucketTable>>,
}

impl View {
    pub(crate) fn new(all: Arc<Tables>) -> View {
        let slots = all.slots.load_full();
        View { all, slots, seen: Vec::new(), places: HashMap::default(), last: 0 }
    }

    /// Takes note of tables made and removed. To be called between batches.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        if !Arc::ptr_eq(&self.slots, &self.all.slots.load()) {
            self.take_slots();
        }
    }

    #[cold]
    fn take_slots(&mut self) {
        self.slots = self.all.slots.load_full();
        let slots = &self.slots;
        self.seen.retain(|s| slots.get(&s.id).is_some_and(|slot| Arc::ptr_eq(slot, &s.slot)));
        self.places = self.seen.iter().enumerate().map(|(i, s)| (s.id, i)).collect();
    }

    #[inline]
    fn seen(&mut self, id: TableId) -> Option<&mut Seen> {
        if self.seen.get(self.last).is_none_or(|s| s.id != id) {
            self.last = match self.places.get(&id) {
                Some(&i) => i,
                None => self.first_look(id)?,
            };
        }
        self.seen.get_mut(self.last)
    }

    #[cold]
    fn first_look(&mut self, id: TableId) -> Option<usize> {
        if !self.slots.contains_key(&id) {
            // A table made during this batch.
            self.take_slots();
        }
        let slot = self.slots.get(&id)?.clone();
        let table = Cache::new(SlotRef(slot.clone()));
        self.places.insert(id, self.seen.len());
        self.seen.push(Seen { id, slot, table });
        Some(self.seen.len() - 1)
    }

    /// Where `bucket` goes now; counts `bytes` for it if it goes anywhere.
    #[inline]
    pub(crate) fn resolve(&mut self, id: TableId, bucket: Bucket, bytes: u64) -> Option<PortNo> {
        let seen = self.seen(id)?;
        let port = seen.table.load().buckets[usize::from(bucket)]?;
        // Several threads may count; one bucket is rarely busy on two of them at once.
        seen.slot.bytes[usize::from(bucket)].fetch_add(bytes, Relaxed);
        Some(port)
    }

    /// Whether the table lets this packet in. A table that is not there admits nothing.
    #[inline]
    pub(crate) fn admits(&mut self, id: TableId, in_port: PortNo, multicast: bool) -> bool {
        self.seen(id).is_some_and(|s| s.table.load().admits(in_port, multicast))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Ingress;

    fn table(generation: u64, port: u32) -> Arc<BucketTable> {
        let ingress = vec![(PortNo(port), Ingress::Unicast)];
        Arc::new(BucketTable { generation, buckets: [Some(PortNo(port)); 256], ingress })
    }

    #[test]
    fn a_view_follows_publish_remove_and_rebirth() {
        let all = Arc::new(Tables::default());
        let mut view = View::new(all.clone());
        let id = TableId(1);
        assert_eq!(view.resolve(id, 0, 60), None);
        all.publish(id, table(1, 5));
        assert_eq!(view.resolve(id, 0, 60), Some(PortNo(5)));
        assert!(view.admits(id, PortNo(5), false));
        assert!(!view.admits(id, PortNo(5), true));
        all.publish(id, table(2, 6));
        assert_eq!(view.resolve(id, 0, 40), Some(PortNo(6)));
        assert_eq!(all.bytes(id).map(|b| b[0]), Some(100));
        all.remove(id);
        view.refresh();
        assert_eq!(view.resolve(id, 0, 40), None);
        assert_eq!((all.get(id), all.bytes(id)), (None, None));
        all.publish(id, table(3, 7));
        assert_eq!(view.resolve(id, 1, 40), Some(PortNo(7)));
        assert_eq!(all.bytes(id).map(|b| (b[0], b[1])), Some((0, 40)));
    }
}
