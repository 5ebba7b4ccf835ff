//! Transactions: changes over the tables, not yet in them.

mod check;
mod commit;
mod execute;
mod ops;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use std::sync::Arc;

use crate::condition::Condition;
use crate::rowid::RowId;
use crate::schema::Schema;
use crate::table::{Row, Table, index_key};
use crate::value::Datum;

pub use commit::{Prepared, RowChange};
pub use execute::{Context, Executed, execute};

/// A row that a transaction touches.
#[derive(Debug, Clone)]
pub struct Change {
    /// Before the transaction, if it was there.
    pub old: Option<Row>,
    /// After, if it still is.
    pub new: Option<Row>,
}

/// The rows of one table that a transaction touches, in the order in which it touched them.
pub type Changes = IndexMap<RowId, Change, FixedState>;

/// A transaction. What it reads is the tables with its own changes over them; to drop it is to
/// undo it.
#[derive(Debug)]
pub struct Txn<'d> {
    /// The database's schema.
    pub schema: &'d Schema,
    tables: &'d [Table],
    changes: Vec<Changes>,
}

impl<'d> Txn<'d> {
    /// One that has changed nothing yet.
    pub fn new(schema: &'d Schema, tables: &'d [Table]) -> Txn<'d> {
        let changes = tables.iter().map(|_| Changes::default()).collect();
        Txn { schema, tables, changes }
    }

    /// A row as the transaction sees it.
    pub fn get(&self, table: usize, id: RowId) -> Option<&Row> {
        match self.changes[table].get(&id) {
            Some(change) => change.new.as_ref(),
            None => self.tables[table].get(id),
        }
    }

    /// True if a new row may have this identifier: there is no such row, and none was deleted
    /// within the transaction.
    pub fn may_insert(&self, table: usize, id: RowId) -> bool {
        self.get(table, id).is_none() && !self.changes[table].contains_key(&id)
    }

    /// Puts a new row in.
    pub fn insert(&mut self, table: usize, id: RowId, row: Row) {
        self.changes[table].insert(id, Change { old: None, new: Some(row) });
    }

    /// A row to be changed, or `None` if it is not there.
    pub fn modify(&mut self, table: usize, id: RowId) -> Option<&mut [Datum]> {
        let change = match self.changes[table].entry(id) {
            indexmap::map::Entry::Occupied(known) => known.into_mut(),
            indexmap::map::Entry::Vacant(vacant) => {
                let row = self.tables[table].get(id)?;
                vacant.insert(Change { old: Some(row.clone()), new: Some(row.clone()) })
            }
        };
        change.new.as_mut().map(Arc::make_mut)
    }

    /// Takes a row out.
    pub fn delete(&mut self, table: usize, id: RowId) {
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
    pub fn matching(&self, table: usize, condition: &Condition) -> Vec<RowId> {
        let holds = |id: &RowId| self.get(table, *id).is_some_and(|row| condition.holds(row));
        if let Some(id) = condition.wanted_id() {
            return Some(id).into_iter().filter(holds).collect();
        }
        let changes = &self.changes[table];
        for (at, columns) in self.schema.tables[table].indexes.iter().enumerate() {
            let values = columns.iter().map(|column| condition.wanted(*column).cloned());
            let Some(key) = values.collect::<Option<Vec<Datum>>>() else { continue };
            let known = self.tables[table].find(at, &key);
            let known = known.filter(|id| !changes.contains_key(id));
            return known.into_iter().chain(changes.keys().copied()).filter(holds).collect();
        }
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
    fn untouched_twin(&self, table: usize, index: usize, key: &[Datum]) -> Option<RowId> {
        let known = self.tables[table].find(index, key);
        known.filter(|id| !self.changes[table].contains_key(id))
    }

    fn key(&self, table: usize, index: usize, row: &Row) -> Box<[Datum]> {
        index_key(row, &self.schema.tables[table].indexes[index])
    }
}
