//! Rows of a transaction by the values of some columns.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use indexmap::IndexSet;

use crate::table::{Table, index_key};
use crate::txn::Changes;
use crate::value::Datum;
use ovsdb::Uuid;

type Found = HashMap<Box<[Datum]>, IndexSet<Uuid, FixedState>, FixedState>;

/// Rows by the values of some columns. Rows are added as they change and never taken out, so that
/// what is found is to be compared with the row.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) columns: Vec<usize>,
    found: Found,
    /// How many of the rows that changed are in it.
    seen: usize,
}

impl Lookup {
    /// One of the rows that changed only, for columns by which the table finds the others.
    pub(super) fn of_changes(columns: &[usize]) -> Lookup {
        Lookup { columns: columns.to_vec(), found: Found::default(), seen: 0 }
    }

    /// One of all rows of a table and of those that changed.
    pub(super) fn of_table(columns: &[usize], table: &Table) -> Lookup {
        let mut lookup = Lookup::of_changes(columns);
        for (id, row) in table.iter() {
            lookup.add(id, row);
        }
        lookup
    }

    fn add(&mut self, id: Uuid, row: &[Datum]) {
        self.found.entry(index_key(row, &self.columns)).or_default().insert(id);
    }

    /// Adds the rows that changed since: `changed` names them, with repetitions.
    pub(super) fn update(&mut self, changed: &[Uuid], changes: &Changes) {
        for id in &changed[self.seen..] {
            if let Some(row) = changes.get(id).and_then(|change| change.new.as_ref()) {
                self.add(*id, row);
            }
        }
        self.seen = changed.len();
    }

    /// Rows that have these values or had them.
    pub(super) fn find(&self, key: &[Datum]) -> impl Iterator<Item = Uuid> {
        self.found.get(key).into_iter().flatten().copied()
    }
}
