//! Frozen translations by recirculation identity.
//!
//! A translation that stops keeps what is still to be done under an identity, which the datapath's
//! `recirc` action or a controller's continuation names. The identity lives as long as a flow names
//! it, and [`GRACE`] longer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use foldhash::HashMap;
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

#[derive(Default)]
struct Inner {
    by_id: HashMap<u32, Weak<RecircNode>>,
    by_state: HashMap<Arc<FrozenState>, Weak<RecircNode>>,
    /// SavedState for [`GRACE`], whether or not a flow names them.
    recent: VecDeque<(Time, Arc<RecircNode>)>,
    /// What is in the maps, in the order in which it is looked at.
    known: VecDeque<(u32, Arc<FrozenState>)>,
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
        self.inner.lock().by_id.get(&id)?.upgrade()
    }

    /// The identity of `state`: the one that an equal state has, else a new one.
    pub(crate) fn put(&self, now: Time, state: FrozenState) -> Arc<RecircNode> {
        let mut inner = self.inner.lock();
        inner.forget(now, PER_PUT);
        let state = Arc::new(state);
        if let Some(same) = inner.by_state.get(&state).and_then(Weak::upgrade) {
            return same;
        }
        let mut id = self.new_id();
        while inner.by_id.contains_key(&id) {
            id = self.new_id();
        }
        let frozen = Arc::new(RecircNode { id, state: state.clone() });
        inner.by_id.insert(id, Arc::downgrade(&frozen));
        inner.by_state.insert(state.clone(), Arc::downgrade(&frozen));
        inner.recent.push_back((now, frozen.clone()));
        inner.known.push_back((id, state));
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
            let Some((id, state)) = self.known.pop_front() else { break };
            if self.by_id.get(&id).is_some_and(|f| f.strong_count() > 0) {
                self.known.push_back((id, state));
                continue;
            }
            self.by_id.remove(&id);
            // The same state may have got another identity since.
            if self.by_state.get(&state).is_some_and(|f| f.strong_count() == 0) {
                self.by_state.remove(&state);
            }
        }
    }
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
            assert_eq!(inner.by_id.len(), inner.known.len());
            assert_eq!(inner.by_id.len(), inner.by_state.len());
            inner.by_id.len()
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
}
