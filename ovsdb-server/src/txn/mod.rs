//! Transactions: changes over the tables, not yet in them.

mod check;
mod commit;
mod edits;
mod execute;
mod lookup;
mod ops;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use std::sync::Arc;

use crate::condition::Condition;
use crate::schema::Schema;
use crate::table::{Row, Table, index_key};
use crate::value::Datum;
use ovsdb::Uuid;

pub use commit::{Prepared, RowChange};
pub(crate) use edits::Edit;
use edits::Edits;
pub use execute::{Context, Executed, execute};
use lookup::Lookup;

/// A row that a transaction touches.
#[derive(Debug, Clone)]
pub struct Change {
    /// Before the transaction, if it was there.
    pub old: Option<Row>,
    /// After, if it still is.
    pub new: Option<Row>,
}

/// The rows of one table that a transaction touches, in the order in which it touched them.
pub type Changes = IndexMap<Uuid, Change, FixedState>;

/// A transaction. What it reads is the tables with its own changes over them; to drop it is to
/// undo it.
#[derive(Debug)]
pub struct Txn<'d> {
    /// The database's schema.
    pub schema: &'d Schema,
    tables: &'d [Arc<Table>],
    changes: Vec<Changes>,
    /// By table: indexes of its rows in addition to the table's own.
    finders: Vec<Finder>,
    /// By table, row and column: changes that are not in the row's value yet.
    edits: Vec<IndexMap<(Uuid, usize), Edits, FixedState>>,
}

/// How the rows of a table are found.
#[derive(Debug, Default)]
struct Finder {
    /// The rows that changed, in order, each as often as it changed.
    changed: Vec<Uuid>,
    lookups: Vec<Lookup>,
    /// How often all rows were looked at for a value of a column.
    scans: IndexMap<usize, u32, FixedState>,
}

/// So often all rows of a table are looked at for a value of a column; then a [`Lookup`] is made,
/// so that many operations that look for single rows cost each the same.
const SCANS: u32 = 8;

impl<'d> Txn<'d> {
    /// One that has changed nothing yet.
    pub fn new(schema: &'d Schema, tables: &'d [Arc<Table>]) -> Txn<'d> {
        let changes = tables.iter().map(|_| Changes::default()).collect();
        let finders = tables.iter().map(|_| Finder::default()).collect();
        let edits = tables.iter().map(|_| IndexMap::default()).collect();
        Txn { schema, tables, changes, finders, edits }
    }

    /// A row as the transaction sees it. Columns with changes that are collected are as they were
    /// before these: see [`Txn::settle`].
    pub fn get(&self, table: usize, id: Uuid) -> Option<&Row> {
        match self.changes[table].get(&id) {
            Some(change) => change.new.as_ref(),
            None => self.tables[table].get(id),
        }
    }

    /// True if a new row may have this identifier: there is no such row, and none was deleted
    /// within the transaction.
    pub fn may_insert(&self, table: usize, id: Uuid) -> bool {
        self.get(table, id).is_none() && !self.changes[table].contains_key(&id)
    }

    /// Puts a new row in.
    pub fn insert(&mut self, table: usize, id: Uuid, row: Row) {
        self.changes[table].insert(id, Change { old: None, new: Some(row) });
        self.finders[table].changed.push(id);
    }

    /// A row to be changed, or `None` if it is not there.
    pub fn modify(&mut self, table: usize, id: Uuid) -> Option<&mut [Datum]> {
        let change = match self.changes[table].entry(id) {
            indexmap::map::Entry::Occupied(known) => known.into_mut(),
            indexmap::map::Entry::Vacant(vacant) => {
                let row = self.tables[table].get(id)?;
                vacant.insert(Change { old: Some(row.clone()), new: Some(row.clone()) })
            }
        };
        let row = change.new.as_mut()?;
        self.finders[table].changed.push(id);
        Some(Arc::make_mut(row))
    }

    /// Inserts elements into a column's value or deletes them from it; gives how many it has then.
    /// `None` if the value is small, so that it is better to change it directly.
    pub(crate) fn edit(
        &mut self,
        (table, id): (usize, Uuid),
        column: usize,
        edit: Edit,
        argument: &Datum,
    ) -> Option<u64> {
        let value = &self.get(table, id)?[column];
        let known = self.edits[table].contains_key(&(id, column));
        if !known && !Edits::worthwhile(value, argument) {
            return None;
        }
        self.touch(table, id);
        let value = &self.changes[table].get(&id)?.new.as_ref()?[column];
        let edits = self.edits[table].entry((id, column)).or_default();
        edits.note(value, edit, argument);
        Some(edits.len(value))
    }

    /// Notes that a row changes.
    fn touch(&mut self, table: usize, id: Uuid) {
        if let indexmap::map::Entry::Vacant(vacant) = self.changes[table].entry(id)
            && let Some(row) = self.tables[table].get(id)
        {
            vacant.insert(Change { old: Some(row.clone()), new: Some(row.clone()) });
        }
    }

    /// Puts the changes that are collected into the values of columns that are to be read.
    pub fn settle(&mut self, table: usize, read: impl Fn(usize) -> bool) {
        let keys = self.edits[table].keys().copied();
        for (id, column) in keys.filter(|(_, column)| read(*column)).collect::<Vec<_>>() {
            let Some(edits) = self.edits[table].swap_remove(&(id, column)) else { continue };
            if let Some(fields) = self.modify(table, id) {
                fields[column] = edits.apply(&fields[column]);
            }
        }
    }

    /// Puts all changes that are collected into their values.
    fn settle_all(&mut self) {
        for table in 0..self.tables.len() {
            self.settle(table, |_| true);
        }
    }

    /// Takes a row out.
    pub fn delete(&mut self, table: usize, id: Uuid) {
        if !self.edits[table].is_empty() {
            self.edits[table].retain(|(row, _), _| *row != id);
        }
        match self.changes[table].entry(id) {
            indexmap::map::Entry::Occupied(mut known) if known.get().old.is_some() => {
                known.get_mut().new = None;
            }
            indexmap::map::Entry::Occupied(known) => {
                known.swap_remove();
            }
            indexmap::map::Entry::Vacant(vacant) => {
                if let Some(row) = self.tables[table].get(id) {
                    vacant.insert(Change { old: Some(row.clone()), new: None });
                }
            }
        }
    }

    /// The rows that meet a condition: those of the table in its order, then those that the
    /// transaction inserted.
    pub fn matching(&mut self, table: usize, condition: &Condition) -> Vec<Uuid> {
        let Some(candidates) = self.candidates(table, condition) else {
            return self.scan(table, condition);
        };
        let holds = |id: &Uuid| self.get(table, *id).is_some_and(|row| condition.holds(row));
        let mut found: Vec<Uuid> = candidates.into_iter().filter(holds).collect();
        if found.len() > 1 {
            let place = |id: &Uuid| {
                let known = self.tables[table].position(*id).unwrap_or(usize::MAX);
                (known, self.changes[table].get_index_of(id))
            };
            found.sort_by_cached_key(place);
            found.dedup();
        }
        found
    }

    /// The rows that may meet a condition, if an index gives them without a scan.
    fn candidates(&mut self, table: usize, condition: &Condition) -> Option<Vec<Uuid>> {
        if let Some(id) = condition.wanted_id() {
            return Some(vec![id]);
        }
        let Txn { schema, tables, changes, finders, .. } = self;
        let (rows, changes, finder) = (&tables[table], &changes[table], &mut finders[table]);
        let wanted = |columns: &[usize]| -> Option<Vec<Datum>> {
            columns.iter().map(|column| condition.wanted(*column).cloned()).collect()
        };
        let mut found = Vec::new();
        let mut pick = None;
        for (at, columns) in schema.tables[table].indexes.iter().enumerate() {
            if let Some(key) = wanted(columns) {
                found.extend(rows.find(at, &key));
                pick = Some((columns.clone(), key, false));
                break;
            }
        }
        if pick.is_none()
            && let Some((column, value)) = condition.any_wanted()
        {
            let scans = finder.scans.entry(column).or_insert(0);
            *scans += 1;
            if *scans > SCANS {
                pick = Some((vec![column], vec![value.clone()], true));
            }
        }
        let (columns, key, all) = pick?;
        let known = finder.lookups.iter().position(|lookup| lookup.columns == columns);
        let at = known.unwrap_or_else(|| {
            finder.lookups.push(match all {
                true => Lookup::of_table(&columns, rows),
                false => Lookup::of_changes(&columns),
            });
            finder.lookups.len() - 1
        });
        finder.lookups[at].update(&finder.changed, changes);
        found.extend(finder.lookups[at].find(&key));
        Some(found)
    }

    /// Looks at all rows.
    fn scan(&self, table: usize, condition: &Condition) -> Vec<Uuid> {
        let changes = &self.changes[table];
        let holds = |id: &Uuid| self.get(table, *id).is_some_and(|row| condition.holds(row));
        let mut found = Vec::new();
        for (id, row) in self.tables[table].iter() {
            let row = match changes.is_empty() {
                true => Some(row),
                false => changes.get(&id).map_or(Some(row), |change| change.new.as_ref()),
            };
            if row.is_some_and(|row| condition.holds(row)) {
                found.push(id);
            }
        }
        let inserted = changes.iter().filter(|(_, change)| change.old.is_none());
        found.extend(inserted.map(|(id, _)| *id).filter(holds));
        found
    }

    /// The row of the table before the transaction with these values in an index, unless the
    /// transaction touches it.
    fn untouched_twin(&self, table: usize, index: usize, key: &[Datum]) -> Option<Uuid> {
        let known = self.tables[table].find(index, key);
        known.filter(|id| !self.changes[table].contains_key(id))
    }

    fn key(&self, table: usize, index: usize, row: &Row) -> Box<[Datum]> {
        index_key(row, &self.schema.tables[table].indexes[index])
    }
}
