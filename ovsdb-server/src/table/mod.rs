//! Rows of a table, and the ways to find them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use crate::schema::TableSchema;
use crate::value::Datum;
use ovsdb::Uuid;

/// A row: a value for every column, `_uuid` and `_version` first. Never changed in place, so that
/// monitors keep what was without copying it.
pub type Row = Arc<[Datum]>;

/// The rows with weak references to a row: table and row, with the number of references.
type Referrers = BTreeMap<(usize, Uuid), u32>;

/// A row with what refers to it.
#[derive(Debug, Clone)]
struct Entry {
    row: Row,
    /// Strong references from other rows.
    strong: u32,
}

/// The rows of a table. Their order depends on nothing but what was done to the table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: IndexMap<Uuid, Entry, FixedState>,
    /// For each index of the schema, the row with these values.
    indexes: Vec<HashMap<Box<[Datum]>, Uuid, FixedState>>,
    weak: HashMap<Uuid, Referrers, FixedState>,
}

/// The values of an index's columns.
pub fn index_key(row: &[Datum], columns: &[usize]) -> Box<[Datum]> {
    columns.iter().map(|column| row[*column].clone()).collect()
}

impl Table {
    /// A table without rows.
    pub fn new(schema: &TableSchema) -> Table {
        Table {
            indexes: schema.indexes.iter().map(|_| HashMap::default()).collect(),
            ..Table::default()
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row.
    pub fn get(&self, id: Uuid) -> Option<&Row> {
        self.rows.get(&id).map(|entry| &entry.row)
    }

    /// A row's place among the others.
    pub fn position(&self, id: Uuid) -> Option<usize> {
        self.rows.get_index_of(&id)
    }

    /// All rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Uuid, &Row)> {
        self.rows.iter().map(|(id, entry)| (*id, &entry.row))
    }

    /// The row with these values in the columns of an index.
    pub fn find(&self, index: usize, key: &[Datum]) -> Option<Uuid> {
        self.indexes[index].get(key).copied()
    }

    /// Strong references to a row from other rows.
    pub fn strong_references(&self, id: Uuid) -> u32 {
        self.rows.get(&id).map_or(0, |entry| entry.strong)
    }

    /// The rows that refer weakly to a row.
    pub fn weak_referrers(&self, id: Uuid) -> impl Iterator<Item = (usize, Uuid)> {
        self.weak.get(&id).into_iter().flatten().map(|(referrer, _)| *referrer)
    }

    /// How many weak references there are to rows of this table.
    pub fn weak_references(&self) -> usize {
        self.weak.values().flat_map(Referrers::values).map(|number| *number as usize).sum()
    }

    /// Makes room.
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Puts a row in, or in the place of the one with the same identifier.
    pub fn put(&mut self, id: Uuid, row: Row) {
        match self.rows.entry(id) {
            indexmap::map::Entry::Occupied(mut known) => known.get_mut().row = row,
            indexmap::map::Entry::Vacant(vacant) => {
                vacant.insert(Entry { row, strong: 0 });
            }
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: Uuid) {
        self.rows.swap_remove(&id);
        // The transaction that removes it removes the references to it.
        self.weak.remove(&id);
        if self.rows.capacity() > 64 && self.rows.len() * 4 < self.rows.capacity() {
            self.rows.shrink_to(self.rows.len() * 2);
        }
    }

    /// Takes a row's values out of the indexes.
    pub fn unindex(&mut self, schema: &TableSchema, id: Uuid, row: &Row) {
        for (index, columns) in self.indexes.iter_mut().zip(&schema.indexes) {
            let key = index_key(row, columns);
            if index.get(&key) == Some(&id) {
                index.remove(&key);
            }
        }
    }

    /// Puts a row's values into the indexes.
    pub fn index(&mut self, schema: &TableSchema, id: Uuid, row: &Row) {
        for (index, columns) in self.indexes.iter_mut().zip(&schema.indexes) {
            index.insert(index_key(row, columns), id);
        }
    }

    /// Changes the number of strong references to a row.
    pub fn adjust_strong(&mut self, id: Uuid, delta: i64) {
        if let Some(entry) = self.rows.get_mut(&id) {
            let strong = i64::from(entry.strong) + delta;
            debug_assert!(strong >= 0);
            entry.strong = u32::try_from(strong).unwrap_or(0);
        }
    }

    /// Notes or forgets a weak reference to a row.
    pub fn adjust_weak(&mut self, id: Uuid, referrer: (usize, Uuid), added: bool) {
        if added {
            *self.weak.entry(id).or_default().entry(referrer).or_insert(0) += 1;
        } else if let Some(referrers) = self.weak.get_mut(&id)
            && let Some(number) = referrers.get_mut(&referrer)
        {
            *number -= 1;
            if *number == 0 {
                referrers.remove(&referrer);
                if referrers.is_empty() {
                    self.weak.remove(&id);
                }
            }
        }
    }
}
