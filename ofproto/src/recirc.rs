//! Frozen translations by recirculation identity.
//!
//! A translation that stops keeps what is still to be done under an identity, which the datapath's
//! `recirc` action or a controller's continuation names. The identity lives as long as a flow names
//! it, and [`GRACE`] longer.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use openflow::{Action as OfAction, Fields, OfPort};
use parking_lot::Mutex;
use wire::Time;

use crate::mirror::MirrorMask;

/// A step that is still to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FrozenStep {
    /// The steps after it belong to a rule of this table, with this cookie.
    From { table: u8, cookie: u64 },
    /// Carry out an action.
    Do(OfAction),
}

/// The state of a translation that stopped, from which it resumes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrozenState {
    /// The bridge's name: its index may change meanwhile.
    pub(crate) bridge: String,
    /// The table to resume from if there are no steps.
    pub(crate) table: u8,
    /// The fields that are not in the packet's octets.
    pub(crate) pipeline: Fields,
    /// Values with their widths in bits.
    pub(crate) stack: Vec<(u128, u16)>,
    /// In the order written.
    pub(crate) action_set: Vec<OfAction>,
    /// The actions that are left.
    pub(crate) steps: Vec<FrozenStep>,
    /// What a controller gave with its `controller` action.
    pub(crate) userdata: Vec<u8>,
    /// Mirrors that have got the packet as it is.
    pub(crate) mirrors: MirrorMask,
}

/// A frozen state and its recirculation identity, which lives as long as this does.
#[derive(Debug)]
pub(crate) struct RecircNode {
    id: u32,
    state: Arc<FrozenState>,
}

impl RecircNode {
    /// The identity; never 0.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The state.
    pub(crate) fn state(&self) -> &Arc<FrozenState> {
        &self.state
    }

    /// The OpenFlow port that the packet first came in by.
    pub(crate) fn in_port(&self) -> OfPort {
        self.state.pipeline.in_port
    }
}

/// How long an identity that no flow names stays valid, for packets on their way and for an
/// operator who has just read it in a dump.
const GRACE: Duration = Duration::from_secs(1);

/// Old states that are looked at for each new one: more than one, so that states leave at least as
/// fast as they arrive.
const PER_PUT: usize = 4;

/// All frozen states, by identity and by content.
#[derive(Default)]
pub(crate) struct RecircTable {
    /// The identity given out last.
    last: AtomicU32,
    /// Invariant: locked by the threads that translate only (the datapath's and the revalidator's),
    /// for at most [`PER_PUT`] or [`RecircTable::forget`]'s `slice` entries at a time.
    inner: Mutex<Inner>,
}

/// Hash tables in each of the two indexes. A hash table that grows moves all that it has while a
/// packet waits; of 200,000 states each of these has about 800.
const SHARDS: usize = 256;

/// What the indexes hold.
struct Known {
    /// Of `state`: not computed again when a table grows.
    hash: u64,
    id: u32,
    state: Arc<FrozenState>,
    node: Weak<RecircNode>,
}

struct Inner {
    hasher: RandomState,
    /// By the identity modulo [`SHARDS`], hashed by the rest of it.
    by_id: Vec<HashTable<(u32, Weak<RecircNode>)>>,
    /// By the hash modulo [`SHARDS`].
    by_state: Vec<HashTable<Known>>,
    /// SavedState for [`GRACE`], whether or not a flow names them.
    recent: VecDeque<(Time, Arc<RecircNode>)>,
    /// Hash and identity of what is in the indexes, in the order in which it is looked at.
    known: VecDeque<(u64, u32)>,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            hasher: RandomState::default(),
            by_id: (0..SHARDS).map(|_| HashTable::new()).collect(),
            by_state: (0..SHARDS).map(|_| HashTable::new()).collect(),
            recent: VecDeque::new(),
            known: VecDeque::new(),
        }
    }
}

impl RecircTable {
    /// An identity that was not given out in the last 2^32 calls. Takes no lock.
    pub(crate) fn new_id(&self) -> u32 {
        loop {
            let id = self.last.fetch_add(1, Relaxed).wrapping_add(1);
            if id != 0 {
                return id;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Drop {
        self.inner.lock()
    }

    /// The state with this identity; nothing when it has been forgotten.
    pub(crate) fn get(&self, id: u32) -> Option<Arc<RecircNode>> {
        self.inner.lock().by_id(id)?.upgrade()
    }

    /// The identity of `state`: the one that an equal state has, else a new one.
    pub(crate) fn put(&self, now: Time, state: FrozenState) -> Arc<RecircNode> {
        let mut inner = self.inner.lock();
        inner.forget(now, PER_PUT);
        let hash = inner.hasher.hash_one(&state);
        if let Some(same) = inner.by_state(hash, &state) {
            return same;
        }
        let mut id = self.new_id();
        while inner.by_id(id).is_some() {
            id = self.new_id();
        }
        let frozen = Arc::new(RecircNode { id, state: Arc::new(state) });
        inner.insert(now, hash, &frozen);
        frozen
    }

    /// Forgets all states that no flow names and that are older than [`GRACE`]. Looks at up to
    /// `slice` of them while the table is locked, then unlocks it for a moment.
    pub(crate) fn forget(&self, now: Time, slice: usize) {
        let mut left = self.inner.lock().known.len();
        while left > 0 {
            self.inner.lock().forget(now, slice);
            left = left.saturating_sub(slice);
        }
    }
}

impl Inner {
    /// The hash of an identity within its table: consecutive ones are to differ in all bits.
    fn id_hash(&self, id: u32) -> u64 {
        self.hasher.hash_one(id)
    }

    fn by_id(&self, id: u32) -> Option<&Weak<RecircNode>> {
        let table = &self.by_id[id as usize % SHARDS];
        table.find(self.id_hash(id), |(i, _)| *i == id).map(|(_, node)| node)
    }

    /// The node of an equal state that something still refers to.
    fn by_state(&self, hash: u64, state: &FrozenState) -> Option<Arc<RecircNode>> {
        let table = &self.by_state[hash as usize % SHARDS];
        let same = |k: &Known| k.hash == hash && *k.state == *state;
        // One that nothing refers to may be there besides, until its turn comes to be removed.
        table.iter_hash(table_hash(hash)).filter(|k| same(k)).find_map(|k| k.node.upgrade())
    }

    fn insert(&mut self, now: Time, hash: u64, node: &Arc<RecircNode>) {
        let (id, weak) = (node.id, Arc::downgrade(node));
        let (id_hash, hasher) = (self.id_hash(id), &self.hasher);
        let table = &mut self.by_id[id as usize % SHARDS];
        table.insert_unique(id_hash, (id, weak.clone()), |(i, _)| hasher.hash_one(i));
        let known = Known { hash, id, state: node.state.clone(), node: weak };
        let table = &mut self.by_state[hash as usize % SHARDS];
        table.insert_unique(table_hash(hash), known, |k| table_hash(k.hash));
        self.recent.push_back((now, node.clone()));
        self.known.push_back((hash, id));
    }

    fn remove(&mut self, hash: u64, id: u32) {
        let id_hash = self.id_hash(id);
        if let Ok(e) = self.by_id[id as usize % SHARDS].find_entry(id_hash, |(i, _)| *i == id) {
            e.remove();
        }
        let table = &mut self.by_state[hash as usize % SHARDS];
        if let Ok(e) = table.find_entry(table_hash(hash), |k| k.hash == hash && k.id == id) {
            e.remove();
        }
    }

    /// Ends the grace of up to `max` states, and removes those of up to `max` others that no flow
    /// names.
    fn forget(&mut self, now: Time, max: usize) {
        for _ in 0..max {
            if self.recent.front().is_none_or(|(at, _)| now.since(*at) <= GRACE) {
                break;
            }
            self.recent.pop_front();
        }
        for _ in 0..max.min(self.known.len()) {
            let Some((hash, id)) = self.known.pop_front() else { break };
            if self.by_id(id).is_some_and(|node| node.strong_count() > 0) {
                self.known.push_back((hash, id));
            } else {
                self.remove(hash, id);
            }
        }
    }
}

/// The hash within one of the tables by state: the low bits, which all states of a table have in
/// common, are replaced.
fn table_hash(hash: u64) -> u64 {
    hash.rotate_right(SHARDS.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(table: u8, mirrors: u32) -> FrozenState {
        FrozenState {
            bridge: "br0".to_owned(),
            table,
            pipeline: Fields::default(),
            stack: Vec::new(),
            action_set: Vec::new(),
            steps: Vec::new(),
            userdata: Vec::new(),
            mirrors,
        }
    }

    #[test]
    fn a_packet_sweeps_over_a_few_states_only() {
        let table = RecircTable::default();
        let start = Time::from_millis(1);
        let named = table.put(start, state(1, 0));
        for n in 0..1000 {
            table.put(start, state(0, n));
        }
        let len = || {
            let inner = table.inner.lock();
            let by_id: usize = inner.by_id.iter().map(HashTable::len).sum();
            let by_state: usize = inner.by_state.iter().map(HashTable::len).sum();
            assert_eq!((by_id, by_state), (inner.known.len(), inner.known.len()));
            by_id
        };
        assert_eq!(len(), 1001);
        let later = start + GRACE * 2;
        table.put(later, state(2, 0));
        assert!(len() >= 1002 - PER_PUT, "{} of 1002 are left", len());
        // They go faster than others come.
        for n in 0..2000 {
            table.put(later + Duration::from_millis(n) * 10, state(3, n as u32));
        }
        assert!(len() < 500, "{} are left", len());
        assert_eq!(table.get(named.id).map(|f| f.id), Some(named.id), "a flow names it");
        table.forget(later + Duration::from_secs(100), 7);
        table.forget(later + Duration::from_secs(100), 7);
        assert_eq!(len(), 1);
        let same = table.put(later + Duration::from_secs(100), state(1, 0));
        assert_eq!(same.id, named.id);
    }

    #[test]
    fn a_table_that_grows_moves_a_small_part_of_the_states() {
        const STATES: usize = 50_000;
        let table = RecircTable::default();
        for n in 0..STATES {
            table.put(Time::from_millis(1), state(0, n as u32));
        }
        let inner = table.inner.lock();
        assert_eq!(inner.known.len(), STATES);
        let most = |lens: &mut dyn Iterator<Item = usize>| lens.max().expect("tables");
        let by_id = most(&mut inner.by_id.iter().map(HashTable::len));
        let by_state = most(&mut inner.by_state.iter().map(HashTable::len));
        assert!(by_id <= STATES / SHARDS + 1, "{by_id}");
        // 195 on average, with a standard deviation of 14.
        assert!(by_state < 2 * STATES / SHARDS, "{by_state}");
    }

    #[test]
    fn a_state_that_nothing_names_any_more_gets_a_new_identity() {
        let table = RecircTable::default();
        let start = Time::from_millis(1);
        let first = table.put(start, state(1, 0)).id;
        assert_eq!(table.put(start, state(1, 0)).id, first, "in its grace");
        // The grace ends, and it is removed or not.
        for slice in [0, 10] {
            table.inner.lock().recent.clear();
            table.inner.lock().forget(start, slice);
            let next = table.put(start, state(1, 0)).id;
            assert_ne!(next, first);
            assert_eq!(table.put(start, state(1, 0)).id, next);
            assert!(table.get(next).is_some());
        }
        assert!(table.get(first).is_none());
    }
}
