//! Changes that some monitors do not know of yet.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::database::Commit;
use crate::monitor::merge;
use crate::server::{MANY_CHANGES, drop_on_thread};
use crate::txn::RowChange;

/// Changes that lead from one position to another.
#[derive(Debug)]
enum Changes {
    /// Of one transaction.
    One(Arc<Commit>),
    /// Of several.
    Many(Vec<RowChange>),
}

impl Changes {
    fn list(&self) -> &[RowChange] {
        match self {
            Changes::One(commit) => &commit.changes,
            Changes::Many(changes) => changes,
        }
    }
}

#[derive(Debug)]
struct Segment {
    from: u64,
    to: u64,
    changes: Changes,
}

/// Segments one after another, up to the newest. Those that no monitor needs apart are made one, so
/// that a monitor that never comes costs at most the rows that changed since.
#[derive(Debug, Default)]
pub(super) struct Pending {
    segments: VecDeque<Segment>,
    head: u64,
    /// How many monitors stand where.
    positions: BTreeMap<u64, usize>,
}

/// More segments than this are looked through for what can be made one.
const MANY: usize = 64;

impl Pending {
    /// The newest position.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// A monitor stands here now.
    pub(super) fn arrive(&mut self, position: u64) {
        *self.positions.entry(position).or_insert(0) += 1;
    }

    /// True if a monitor stands here.
    pub(super) fn stands(&self, position: u64) -> bool {
        self.positions.contains_key(&position)
    }

    /// A monitor stands here no more.
    pub(super) fn leave(&mut self, position: u64) {
        if let Some(number) = self.positions.get_mut(&position) {
            *number -= 1;
            if *number == 0 {
                self.positions.remove(&position);
            }
        }
    }

    /// Adds a transaction; gives the newest position.
    pub(super) fn push(&mut self, commit: Arc<Commit>) -> u64 {
        let from = self.head;
        self.head += 1;
        self.segments.push_back(Segment { from, to: self.head, changes: Changes::One(commit) });
        self.head
    }

    /// Drops changes that all monitors have, and merges those that no monitor needs apart.
    pub(super) fn tidy(&mut self) {
        let oldest = self.positions.keys().next().copied().unwrap_or(self.head);
        while self.segments.front().is_some_and(|segment| segment.to <= oldest) {
            let known = self.segments.pop_front();
            if known.as_ref().is_some_and(|segment| segment.changes.list().len() > MANY_CHANGES) {
                drop_on_thread(known);
            }
        }
        if self.segments.len() <= MANY.max(2 * self.positions.len()) {
            return;
        }
        let mut runs: VecDeque<Vec<Segment>> = VecDeque::new();
        for segment in self.segments.drain(..) {
            match runs.back_mut() {
                Some(run) if !self.positions.contains_key(&segment.from) => run.push(segment),
                _ => runs.push_back(vec![segment]),
            }
        }
        self.segments = runs.into_iter().filter_map(one).collect();
    }

    /// The changes from a position of a monitor to another.
    pub(super) fn changes(&self, from: u64, to: u64) -> Cow<'_, [RowChange]> {
        let wanted =
            self.segments.iter().filter(|segment| segment.from >= from && segment.to <= to);
        let lists: Vec<&[RowChange]> = wanted.map(|segment| segment.changes.list()).collect();
        match lists.as_slice() {
            [one] => Cow::Borrowed(one),
            many => Cow::Owned(merge(many.iter().copied())),
        }
    }
}

/// Several segments as one.
fn one(mut run: Vec<Segment>) -> Option<Segment> {
    if run.len() < 2 {
        return run.pop();
    }
    let (from, to) = (run.first()?.from, run.last()?.to);
    let changes = merge(run.iter().map(|segment| segment.changes.list()));
    Some(Segment { from, to, changes: Changes::Many(changes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rowid::RowIds;
    use crate::table::Row;
    use crate::value::{Atom, Datum};
    use ovsdb::Uuid;

    fn row(n: i64) -> Option<Row> {
        Some(Arc::from([Datum::One(Atom::Integer(n))]))
    }

    fn commit(id: Uuid, old: Option<Row>, new: Option<Row>) -> Arc<Commit> {
        let changes = vec![RowChange { table: 0, id, old, new }];
        Arc::new(Commit { changes })
    }

    #[test]
    fn memory_of_a_slow_monitor_depends_on_changed_rows_only() {
        let mut ids = RowIds::seeded(1);
        let (a, b) = (ids.draw(), ids.draw());
        let mut pending = Pending::default();
        pending.arrive(0);
        for n in 0..500 {
            if n == 250 {
                pending.arrive(pending.head());
            }
            pending.push(commit(a, row(n), row(n + 1)));
            pending.tidy();
        }
        pending.push(commit(b, None, row(0)));
        assert!(pending.segments.len() <= MANY + 2);
        let all = pending.changes(0, 501);
        assert_eq!(all.len(), 2);
        let of_a = all.iter().find(|change| change.id == a).unwrap();
        assert_eq!((&of_a.old, &of_a.new), (&row(0), &row(500)));
        let late = pending.changes(250, 501);
        let of_a = late.iter().find(|change| change.id == a).unwrap();
        assert_eq!((&of_a.old, &of_a.new), (&row(250), &row(500)));
        pending.leave(0);
        pending.leave(250);
        pending.arrive(501);
        pending.tidy();
        assert!(pending.segments.is_empty());
    }

    #[test]
    fn row_inserted_and_deleted_between_updates_is_not_sent() {
        let id = RowIds::seeded(1).draw();
        let changes =
            [commit(id, None, row(1)), commit(id, row(1), row(2)), commit(id, row(2), None)];
        assert!(merge(changes.iter().map(|commit| commit.changes.as_slice())).is_empty());
    }
}
