//! The megaflow classifier: tuple space search.
//!
//! Flows with equal masks share a hash table keyed by the masked key. A lookup tries the masks,
//! those with most hits first. Translation guarantees that flows that match the same packet have
//! equal actions: the first match is the answer, and there are no priorities.

use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;
use wire::{FlowKey, FlowMask};

use super::keyhash::KeyHasher;
use super::prefetch::prefetch;
use crate::action::Action;
use crate::flow::FlowHandle;

/// Lookups between two sorts of the masks.
const SORT_EVERY: u32 = 4096;

/// Actions copied into the entry; a longer list is read through the `Arc`.
const COPIED: usize = 2;

/// A flow as stored by the classifier: one cache line.
#[repr(align(64))]
struct Entry {
    flow: Arc<FlowHandle>,
    /// The actions as last loaded.
    actions: Arc<Vec<Action>>,
    /// The version of `actions`. Comparing it with the flow's version shows whether they were
    /// replaced.
    version: u32,
    subtable: u32,
    /// Number of actions in `copy`; more than `COPIED`: use `actions`.
    copy_len: u8,
    copy: [Action; COPIED],
}

const _: () = assert!(size_of::<Option<Entry>>() == 64);

impl Entry {
    #[cold]
    fn copy_actions(&mut self) {
        self.copy_len = u8::try_from(self.actions.len()).unwrap_or(u8::MAX);
        for (to, from) in self.copy.iter_mut().zip(self.actions.iter()) {
            *to = from.clone();
        }
    }
}

/// The flows with one mask.
struct Subtable {
    mask: FlowMask,
    /// The words of the mask that are not zero.
    words: SmallVec<[(u8, u64); FlowKey::WORDS]>,
    /// Hashes of masked keys, and entry numbers. The hash is stored so that the table can grow
    /// without the keys.
    table: HashTable<(u64, u32)>,
    /// Hits, halved at each sort: an exponentially decaying count.
    hits: u64,
}

pub(crate) struct Classifier {
    hasher: KeyHasher,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    subtables: Vec<Option<Subtable>>,
    /// Subtable numbers, by descending hits.
    order: Vec<u32>,
    until_sort: u32,
}

#[inline]
fn matches(words: &[(u8, u64)], flow: &FlowKey, packet: &FlowKey) -> bool {
    let (f, p) = (flow.words(), packet.words());
    let mut diff = 0;
    for &(i, m) in words {
        diff |= (p[i as usize] & m) ^ f[i as usize];
    }
    diff == 0
}

impl Classifier {
    pub(crate) fn new(hasher: KeyHasher) -> Classifier {
        Classifier {
            hasher,
            entries: Vec::new(),
            free: Vec::new(),
            subtables: Vec::new(),
            order: Vec::new(),
            until_sort: SORT_EVERY,
        }
    }

    pub(crate) fn masks(&self) -> usize {
        self.order.len()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The flow with this number.
    ///
    /// # Panics
    ///
    /// When there is none; callers pass numbers that `lookup` returned.
    #[inline]
    fn flow(&self, n: u32) -> &Arc<FlowHandle> {
        &self.entries[n as usize].as_ref().expect("a flow that lookup returned").flow
    }

    /// The current actions of flow `n`, and the flow.
    #[inline]
    pub(crate) fn actions(&mut self, n: u32) -> (&[Action], &FlowHandle) {
        let e = self.entries[n as usize].as_mut().expect("a flow that lookup returned");
        let version = e.flow.actions.version();
        if version != e.version {
            e.version = version;
            e.actions = e.flow.actions.load_full();
            e.copy_actions();
        }
        (e.copy.get(..usize::from(e.copy_len)).unwrap_or(&e.actions), &e.flow)
    }

    /// Prefetches the entry. `prefetch_flow` follows when the entry has arrived.
    #[inline]
    pub(crate) fn prefetch_entry(&self, n: u32) {
        if let Some(e) = self.entries.get(n as usize) {
            prefetch(e);
        }
    }

    /// Prefetches the flow's counters, actions and key.
    #[inline]
    pub(crate) fn prefetch_flow(&self, n: u32) {
        if let Some(Some(e)) = self.entries.get(n as usize) {
            let p: *const FlowHandle = Arc::as_ptr(&e.flow);
            prefetch(p);
            prefetch(p.cast::<u8>().wrapping_add(64));
            prefetch(p.cast::<u8>().wrapping_add(128));
        }
    }

    /// Whether flow `n` exists, is not dead and matches `key`.
    #[inline]
    pub(crate) fn verify(&self, n: u32, key: &FlowKey) -> bool {
        let Some(Some(e)) = self.entries.get(n as usize) else { return false };
        let Some(Some(s)) = self.subtables.get(e.subtable as usize) else { return false };
        matches(&s.words, &e.flow.key, key) && !e.flow.is_dead()
    }

    /// A flow that matches and is not dead, and the number of subtables searched. Removes the dead
    /// flows that it finds.
    pub(crate) fn lookup(&mut self, key: &FlowKey) -> Option<(u32, u64)> {
        self.until_sort -= 1;
        if self.until_sort == 0 {
            self.sort_by_hits();
        }
        for i in 0..self.order.len() {
            let id = self.order[i];
            let Some(s) = &mut self.subtables[id as usize] else { continue };
            let hash = self.hasher.masked(key, &s.words);
            let entries = &self.entries;
            let found = s.table.find(hash, |&(h, n)| {
                let entry = || entries[n as usize].as_ref();
                h == hash && entry().is_some_and(|e| matches(&s.words, &e.flow.key, key))
            });
            let Some(&(_, n)) = found else { continue };
            if !self.flow(n).is_dead() {
                if let Some(s) = &mut self.subtables[id as usize] {
                    s.hits += 1;
                }
                return Some((n, i as u64 + 1));
            }
            self.remove_entry(n);
            // That may have removed the subtable and changed `order`: start again.
            return self.lookup(key);
        }
        None
    }

    /// Adds a flow and returns its number. There must be none with the same mask and key.
    pub(crate) fn insert(&mut self, flow: Arc<FlowHandle>) -> u32 {
        let equal_mask = |s: &Option<Subtable>| s.as_ref().is_some_and(|s| s.mask == flow.mask);
        let subtable = match self.subtables.iter().position(equal_mask) {
            Some(i) => i,
            None => self.new_subtable(flow.mask),
        };
        let Classifier { hasher, entries, free, subtables, .. } = self;
        let s = subtables[subtable].as_mut().expect("found or made above");
        let hash = hasher.masked(&flow.key, &s.words);
        let version = flow.actions.version();
        let actions = flow.actions.load_full();
        let subtable = subtable as u32;
        let copy = [const { Action::PopVlan }; COPIED];
        let mut entry = Entry { flow, actions, version, subtable, copy_len: 0, copy };
        entry.copy_actions();
        let entry = Some(entry);
        let n = match free.pop() {
            Some(n) => {
                entries[n as usize] = entry;
                n
            }
            None => {
                entries.push(entry);
                (entries.len() - 1) as u32
            }
        };
        s.table.insert_unique(hash, (hash, n), |&(h, _)| h);
        n
    }

    /// The flow with the same mask and key, if it is not dead. Removes it if it is.
    pub(crate) fn find_equal(&mut self, flow: &FlowHandle) -> Option<u32> {
        let found =
            self.subtables.iter().flatten().find(|s| s.mask == flow.mask).and_then(|s| {
                let hash = self.hasher.masked(&flow.key, &s.words);
                let is_it = |&(_, n): &(u64, u32)| {
                    self.entries[n as usize].as_ref().is_some_and(|e| e.flow.key == flow.key)
                };
                s.table.find(hash, is_it).map(|&(_, n)| n)
            })?;
        if self.flow(found).is_dead() {
            self.remove_entry(found);
            return None;
        }
        Some(found)
    }

    /// Removes a flow; returns whether it was there.
    pub(crate) fn remove(&mut self, flow: &Arc<FlowHandle>) -> bool {
        let found = self.subtables.iter().flatten().find(|s| s.mask == flow.mask).and_then(|s| {
            let hash = self.hasher.masked(&flow.key, &s.words);
            let is_it = |&(_, n): &(u64, u32)| {
                self.entries[n as usize].as_ref().is_some_and(|e| Arc::ptr_eq(&e.flow, flow))
            };
            s.table.find(hash, is_it).map(|&(_, n)| n)
        });
        if let Some(n) = found {
            self.remove_entry(n);
        }
        found.is_some()
    }

    fn new_subtable(&mut self, mask: FlowMask) -> usize {
        let words = mask.words().iter().enumerate();
        let words = words.filter(|(_, m)| **m != 0).map(|(i, m)| (i as u8, *m)).collect();
        let new = Some(Subtable { mask, words, table: HashTable::new(), hits: 0 });
        let i = match self.subtables.iter().position(Option::is_none) {
            Some(i) => {
                self.subtables[i] = new;
                i
            }
            None => {
                self.subtables.push(new);
                self.subtables.len() - 1
            }
        };
        self.order.push(i as u32);
        i
    }

    fn remove_entry(&mut self, n: u32) {
        let Some(e) = self.entries[n as usize].take() else { return };
        self.free.push(n);
        if self.free.len() == self.entries.len() {
            // Return the memory of a table that was large.
            self.entries = Vec::new();
            self.free = Vec::new();
        }
        let slot = &mut self.subtables[e.subtable as usize];
        let Some(s) = slot else { return };
        let hash = self.hasher.masked(&e.flow.key, &s.words);
        if let Ok(o) = s.table.find_entry(hash, |&(_, m)| m == n) {
            o.remove();
        }
        if s.table.is_empty() {
            *slot = None;
            self.order.retain(|&i| i != e.subtable);
        }
    }

    fn sort_by_hits(&mut self) {
        self.until_sort = SORT_EVERY;
        let subtables = &mut self.subtables;
        // A stable sort: masks with equal hits keep their order of creation.
        self.order.sort_by_key(|&i| {
            std::cmp::Reverse(subtables[i as usize].as_ref().map_or(0, |s| s.hits))
        });
        for s in subtables.iter_mut().flatten() {
            s.hits /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::Time;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert {
            mask: usize,
            key: u16,
        },
        Remove(usize),
        /// Marks a flow as dead, as the control side does before the packet thread removes it.
        MarkDead(usize),
        Lookup(u16),
    }

    /// A key with few bits set, so that flows overlap.
    fn key(bits: u16) -> FlowKey {
        FlowKey {
            in_port: u32::from(bits & 3),
            tp_src: bits >> 2 & 7,
            tp_dst: bits >> 5 & 7,
            recirc_id: u32::from(bits >> 8 & 1),
            ..FlowKey::default()
        }
    }

    fn masks() -> [FlowMask; 5] {
        let none = FlowMask::default();
        [
            none,
            FlowMask { in_port: 3, ..none },
            FlowMask { in_port: 3, tp_src: 7, ..none },
            FlowMask { tp_dst: 5, recirc_id: 1, ..none },
            FlowMask::exact(),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0..5usize, any::<u16>()).prop_map(|(mask, key)| Op::Insert { mask, key }),
            1 => any::<usize>().prop_map(Op::Remove),
            1 => any::<usize>().prop_map(Op::MarkDead),
            4 => any::<u16>().prop_map(Op::Lookup),
        ]
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_a_linear_search(ops in prop::collection::vec(op(), 1..300)) {
            let mut c = Classifier::new(KeyHasher::new(3));
            c.until_sort = 7;
            let mut list: Vec<Arc<FlowHandle>> = Vec::new();
            for op in ops {
                match op {
                    Op::Insert { mask, key: k } => {
                        let mask = masks()[mask];
                        let f = Arc::new(FlowHandle::new(key(k), mask, vec![], None, Time::ZERO));
                        // A flow is installed only after a miss.
                        if c.lookup(&key(k)).is_none() {
                            c.insert(f.clone());
                            list.push(f);
                        }
                    }
                    Op::Remove(i) if !list.is_empty() => {
                        let f = list.remove(i % list.len());
                        prop_assert!(c.remove(&f));
                        prop_assert!(!c.remove(&f));
                    }
                    Op::MarkDead(i) if !list.is_empty() => {
                        let f = list.remove(i % list.len());
                        f.mark_dead();
                    }
                    Op::Remove(_) | Op::MarkDead(_) => {}
                    Op::Lookup(k) => {
                        let k = key(k);
                        let any = list.iter().any(|f| k.masked(&f.mask) == f.key);
                        let found = c.lookup(&k);
                        prop_assert_eq!(found.is_some(), any);
                        if let Some((n, looked)) = found {
                            prop_assert!((1..=c.masks() as u64).contains(&looked));
                            prop_assert!(c.verify(n, &k));
                            let f = c.flow(n);
                            prop_assert!(list.iter().any(|g| Arc::ptr_eq(f, g)));
                            prop_assert_eq!(k.masked(&f.mask), f.key);
                        }
                    }
                }
                // Dead flows stay until a lookup finds them.
                prop_assert!(c.len() >= list.len());
                prop_assert_eq!(c.masks(), c.subtables.iter().flatten().count());
            }
            for f in list {
                prop_assert!(c.remove(&f));
            }
        }
    }
}
