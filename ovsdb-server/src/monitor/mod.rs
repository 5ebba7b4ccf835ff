//! Monitors: updates of the rows that clients have asked for (RFC 7047 section 4.1.5).
//!
//! Monitors that ask for the same things under the same conditions form a group, and what is sent
//! to one of a group is sent to all: the text is made once. A client that is slow does not see each
//! transaction, but all it missed as one; what it missed is kept once for all monitors that missed it.

mod encode;
mod pending;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use crate::database::Commit;
use crate::schema::Schema;
use crate::table::Table;
use crate::txn::RowChange;

pub use encode::condition_change;
use encode::initial;
pub(crate) use encode::updates;
use pending::Pending;
pub use request::{Select, Spec, TableSpec, change_conditions, parse};

/// Which form updates have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `monitor` and `update` of RFC 7047.
    V1,
    /// `monitor_cond` and `update2`: conditions, and differences instead of values.
    V2,
    /// `monitor_cond_since` and `update3`: the same with the last transaction's identifier.
    V3,
}

/// Texts are made for rows of whole values or of differences; the last two versions share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `old` and `new`.
    Whole,
    /// `initial`, `insert`, `modify`, `delete`.
    Difference,
}

impl Version {
    /// The form of its rows.
    pub fn form(self) -> Form {
        match self {
            Version::V1 => Form::Whole,
            Version::V2 | Version::V3 => Form::Difference,
        }
    }
}

/// A monitor of a client.
pub type MonitorId = u64;

/// The positions that an update leads from and to.
type Span = (u64, u64);

/// Monitors that ask for the same.
#[derive(Debug)]
struct Group {
    spec: Spec,
    form: Form,
    members: BTreeSet<MonitorId>,
    /// The last texts, by what they lead from and to; `None` where there is nothing to tell.
    cache: Vec<(Span, Option<Arc<Vec<u8>>>)>,
    /// The last initial text, by the position it was made at, as long as it is being sent to a session.
    initial: Option<(u64, Weak<Vec<u8>>)>,
}

/// Texts kept for each group. Members that keep up need one.
const CACHED: usize = 4;
/// Longer texts are kept only as long as they are being sent to a session.
const CACHE_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Member {
    group: u64,
    /// It has all changes up to this position.
    position: u64,
}

/// The monitors of a database.
#[derive(Debug, Default)]
pub struct Monitors {
    groups: BTreeMap<u64, Group>,
    members: BTreeMap<MonitorId, Member>,
    next_id: u64,
    pending: Pending,
    /// Texts of the next transaction, by group.
    expected: Vec<(u64, Text)>,
}

/// The text of an update; `None` if there is nothing to tell.
pub type Text = Option<Arc<Vec<u8>>>;

impl Monitors {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What the groups ask for, for the texts of a transaction that is not committed yet.
    pub(crate) fn groups(&self) -> Vec<(u64, Spec, Form)> {
        let groups = self.groups.iter();
        groups.map(|(id, group)| (*id, group.spec.clone(), group.form)).collect()
    }

    /// Takes the texts of the next transaction; groups whose text is missing make theirs later.
    pub(crate) fn expect(&mut self, texts: Vec<(u64, Text)>) {
        self.expected = texts;
    }

    /// Adds a monitor that has all changes up to now.
    pub fn add(&mut self, spec: Spec, form: Form) -> MonitorId {
        let id = self.next_id;
        self.next_id += 1;
        let group = self.group_for(spec, form);
        self.join(id, group);
        id
    }

    fn group_for(&mut self, spec: Spec, form: Form) -> u64 {
        let known = self.groups.iter().find(|(_, group)| group.form == form && group.spec == spec);
        if let Some((known, _)) = known {
            return *known;
        }
        let id = self.next_id;
        self.next_id += 1;
        let group =
            Group { spec, form, members: BTreeSet::new(), cache: Vec::new(), initial: None };
        self.groups.insert(id, group);
        id
    }

    fn join(&mut self, id: MonitorId, group: u64) {
        if let Some(known) = self.groups.get_mut(&group) {
            known.members.insert(id);
        }
        let position = self.pending.head();
        self.pending.arrive(position);
        self.members.insert(id, Member { group, position });
    }

    /// Removes a monitor.
    pub fn remove(&mut self, id: MonitorId) {
        let Some(member) = self.members.remove(&id) else { return };
        self.pending.leave(member.position);
        if let Some(group) = self.groups.get_mut(&member.group) {
            group.members.remove(&id);
            if group.members.is_empty() {
                self.groups.remove(&member.group);
            }
        }
    }

    /// What a monitor asks for.
    pub fn spec(&self, id: MonitorId) -> Option<&Spec> {
        let member = self.members.get(&id)?;
        self.groups.get(&member.group).map(|group| &group.spec)
    }

    /// Gives a monitor other conditions. It must know everything up to now.
    pub fn set_spec(&mut self, id: MonitorId, spec: Spec) {
        let form = self.members.get(&id).and_then(|member| self.groups.get(&member.group));
        let Some(form) = form.map(|group| group.form) else { return };
        self.remove(id);
        let group = self.group_for(spec, form);
        self.join(id, group);
    }

    /// Notes a transaction; gives the monitors that have something to tell of it, and now wait to
    /// be asked by [`Monitors::next_update`].
    pub fn commit(&mut self, commit: &Arc<Commit>) -> Vec<MonitorId> {
        for group in self.groups.values_mut() {
            // Also without a monitor of it: the next initial contents have it.
            group.initial = None;
        }
        let (concerned, others): (Vec<&Group>, Vec<&Group>) =
            self.groups.values().partition(|group| group.spec.concerns(&commit.changes));
        let affected: Vec<MonitorId> =
            concerned.iter().flat_map(|group| group.members.iter().copied()).collect();
        if affected.is_empty() {
            return affected;
        }
        let before = self.pending.head();
        let after = self.pending.push(Arc::clone(commit));
        // The others miss nothing if they go along.
        for id in others.iter().flat_map(|group| &group.members) {
            if let Some(member) = self.members.get_mut(id)
                && member.position == before
            {
                self.pending.leave(before);
                self.pending.arrive(after);
                member.position = after;
            }
        }
        for (id, text) in std::mem::take(&mut self.expected) {
            if let Some(group) = self.groups.get_mut(&id)
                && text.is_some()
            {
                if group.cache.len() >= CACHED {
                    group.cache.remove(0);
                }
                group.cache.push(((before, after), text));
            }
        }
        self.pending.tidy();
        affected
    }

    /// The rows of the next update for a monitor as a JSON object, if there is something to tell.
    pub fn next_update(&mut self, id: MonitorId, schema: &Schema) -> Option<Arc<Vec<u8>>> {
        let member = self.members.get_mut(&id)?;
        let (from, to) = (member.position, self.pending.head());
        if from == to {
            return None;
        }
        let group_id = member.group;
        let group = self.groups.get_mut(&group_id)?;
        let known = group.cache.iter().find(|(span, _)| *span == (from, to));
        let text = match known {
            Some((_, text)) => text.clone(),
            None => {
                let changes = self.pending.changes(from, to);
                let text = updates(schema, &group.spec, group.form, &changes).map(Arc::new);
                if group.members.len() > 1 {
                    if group.cache.len() >= CACHED {
                        group.cache.remove(0);
                    }
                    let small = text.as_ref().is_none_or(|text| text.len() <= CACHE_BYTES);
                    if small {
                        group.cache.push(((from, to), text.clone()));
                    }
                }
                text
            }
        };
        member.position = to;
        self.pending.leave(from);
        self.pending.arrive(to);
        self.pending.tidy();
        if let Some(group) = self.groups.get_mut(&group_id) {
            // Longer ones are kept as long as a monitor may need them.
            group.cache.retain(|((from, _), text)| {
                text.as_ref().is_none_or(|text| text.len() <= CACHE_BYTES)
                    || self.pending.stands(*from)
            });
        }
        text
    }

    /// The rows as they are, for a new monitor. Made once for all monitors that begin while it is being sent.
    pub fn initial(
        &mut self,
        id: MonitorId,
        schema: &Schema,
        tables: &[Arc<Table>],
    ) -> Arc<Vec<u8>> {
        let Some(group) =
            self.members.get(&id).and_then(|member| self.groups.get_mut(&member.group))
        else {
            return Arc::new(b"{}".to_vec());
        };
        let head = self.pending.head();
        if let Some((made_at, text)) = &group.initial
            && *made_at == head
            && let Some(text) = text.upgrade()
        {
            return text;
        }
        let text = Arc::new(initial(schema, &group.spec, group.form, tables));
        group.initial = Some((head, Arc::downgrade(&text)));
        text
    }
}

/// Several transactions as one: each row as it was before the first and is after the last.
fn merge<'c>(lists: impl Iterator<Item = &'c [RowChange]>) -> Vec<RowChange> {
    let mut merged: BTreeMap<(usize, ovsdb::Uuid), RowChange> = BTreeMap::new();
    for change in lists.flatten() {
        match merged.entry((change.table, change.id)) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(change.clone());
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                known.get_mut().new = change.new.clone();
                if known.get().old.is_none() && known.get().new.is_none() {
                    known.remove();
                }
            }
        }
    }
    merged.into_values().collect()
}
