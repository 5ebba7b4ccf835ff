//! What a transaction does to the database when it ends: references counted, rows that nothing
//! refers to any more removed, constraints checked.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use crate::error::{Error, Result};
use crate::rowid::RowIds;
use crate::schema::{COL_VERSION, Schema};
use crate::table::{Row, Table};
use crate::txn::{Change, Txn};
use crate::value::{Atom, Datum};
use ovsdb::Uuid;

/// A row that changes.
#[derive(Debug, Clone)]
pub struct RowChange {
    /// The table's number.
    pub table: usize,
    /// The row.
    pub id: Uuid,
    /// Before, if it was there.
    pub old: Option<Row>,
    /// After, if it still is.
    pub new: Option<Row>,
}

/// A weak reference that comes or goes.
#[derive(Debug)]
struct WeakChange {
    target: (usize, Uuid),
    source: (usize, Uuid),
    added: bool,
}

/// A transaction that may be committed.
#[derive(Debug)]
pub struct Prepared {
    /// The rows that change, table by table.
    pub changes: Vec<RowChange>,
    strong: Vec<(usize, Uuid, i64)>,
    weak: Vec<WeakChange>,
}

/// Changes of the number of strong references, by table and row.
struct Counts(Vec<IndexMap<Uuid, i64, FixedState>>);

impl Counts {
    fn add(&mut self, (table, id): (usize, Uuid), delta: i64) {
        *self.0[table].entry(id).or_insert(0) += delta;
    }

    fn get(&self, (table, id): (usize, Uuid)) -> i64 {
        self.0[table].get(&id).copied().unwrap_or(0)
    }
}

/// Calls `found` for every reference that is in only one of two values of a column. `which` picks
/// the kind of reference.
fn references(
    schema: &Schema,
    (table, column): (usize, usize),
    old: Option<&Datum>,
    new: Option<&Datum>,
    which: fn(&crate::schema::Base) -> Option<usize>,
    mut found: impl FnMut((usize, Uuid), bool) -> Result<()>,
) -> Result<()> {
    const NONE: Datum = Datum::Empty;
    let (old, new) = (old.unwrap_or(&NONE), new.unwrap_or(&NONE));
    let ty = &schema.tables[table].columns[column].ty;
    let (key, value) = (which(&ty.key), ty.value.as_ref().and_then(which));
    let mut one = |target: Option<usize>, atom: &Atom, added: bool| match target.zip(atom.id()) {
        Some(target) => found(target, added),
        None => Ok(()),
    };
    if ty.is_map() {
        let mut pair = |(k, v): &(Atom, Atom), added: bool| {
            one(key, k, added)?;
            one(value, v, added)
        };
        differences(old.pairs(), new.pairs(), |a, b| a.cmp(b), &mut pair)
    } else {
        let mut element = |atom: &Atom, added: bool| one(key, atom, added);
        differences(old.elements(), new.elements(), Atom::cmp, &mut element)
    }
}

/// Walks two sorted lists and calls `found` for what is in only one.
fn differences<T>(
    old: &[T],
    new: &[T],
    order: impl Fn(&T, &T) -> Ordering,
    found: &mut impl FnMut(&T, bool) -> Result<()>,
) -> Result<()> {
    let (mut a, mut b) = (0, 0);
    while a < old.len() || b < new.len() {
        let ordering = match (old.get(a), new.get(b)) {
            (Some(old), Some(new)) => order(old, new),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match ordering {
            Ordering::Less => {
                found(&old[a], false)?;
                a += 1;
            }
            Ordering::Greater => {
                found(&new[b], true)?;
                b += 1;
            }
            Ordering::Equal => {
                a += 1;
                b += 1;
            }
        }
    }
    Ok(())
}

/// True if no column but `_version` differs.
fn unchanged(change: &Change) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            Arc::ptr_eq(old, new) || old[COL_VERSION + 1..] == new[COL_VERSION + 1..]
        }
        _ => false,
    }
}

impl Txn<'_> {
    /// Ends the transaction: what is left is only to be written down and applied.
    ///
    /// # Errors
    ///
    /// `referential integrity violation` or `constraint violation`.
    pub fn prepare(mut self, ids: &mut RowIds) -> Result<Prepared> {
        self.settle_all();
        for changes in &mut self.changes {
            changes.retain(|_, change| !unchanged(change));
        }
        let mut prepared = Prepared { changes: Vec::new(), strong: Vec::new(), weak: Vec::new() };
        if self.changes.iter().all(IndexMap::is_empty) {
            return Ok(prepared);
        }
        let mut counts = Counts(self.tables.iter().map(|_| IndexMap::default()).collect());
        self.count_references(&mut counts)?;
        self.collect_garbage(&mut counts)?;
        self.check_max_rows()?;
        // A pair that goes with its weak key may take a strong value along.
        while self.remove_weak(&mut counts)? {
            self.collect_garbage(&mut counts)?;
        }
        self.check_indexes()?;
        for (table, changes) in self.changes.iter_mut().enumerate() {
            for (id, change) in changes.drain(..) {
                if unchanged(&change) || (change.old.is_none() && change.new.is_none()) {
                    continue;
                }
                let Change { old, mut new } = change;
                if let (Some(_), Some(row)) = (&old, &mut new) {
                    Arc::make_mut(row)[COL_VERSION] = Datum::One(Atom::Uuid(ids.draw()));
                }
                weak_changes(self.schema, (table, id), &old, &new, &mut prepared.weak)?;
                prepared.changes.push(RowChange { table, id, old, new });
            }
        }
        for (table, counts) in counts.0.into_iter().enumerate() {
            let counts = counts.into_iter().filter(|(_, delta)| *delta != 0);
            prepared.strong.extend(counts.map(|(id, delta)| (table, id, delta)));
        }
        Ok(prepared)
    }

    fn count_references(&self, counts: &mut Counts) -> Result<()> {
        for (table, changes) in self.changes.iter().enumerate() {
            let schema = &self.schema.tables[table];
            for (id, change) in changes {
                for column in &schema.strong {
                    let old = change.old.as_ref().map(|row| &row[*column]);
                    let new = change.new.as_ref().map(|row| &row[*column]);
                    let which = crate::schema::Base::strong;
                    references(self.schema, (table, *column), old, new, which, |target, added| {
                        // A reference to the row itself does not keep it.
                        if target == (table, *id) {
                            return Ok(());
                        }
                        if added && self.is_unknown(target) {
                            return Err(Error::new(
                                "referential integrity violation",
                                format!(
                                    "Table {} column {} row {id} references nonexistent row {} in \
                                     table {}.",
                                    schema.name,
                                    schema.columns[*column].name,
                                    target.1,
                                    self.schema.tables[target.0].name
                                ),
                            ));
                        }
                        counts.add(target, if added { 1 } else { -1 });
                        Ok(())
                    })?;
                }
            }
        }
        for (table, changes) in self.changes.iter().enumerate() {
            for (id, _) in changes.iter().filter(|(_, change)| change.new.is_none()) {
                let left = self.strong_references(counts, (table, *id));
                if left > 0 {
                    return Err(Error::new(
                        "referential integrity violation",
                        format!(
                            "cannot delete {} row {id} because of {left} remaining reference(s)",
                            self.schema.tables[table].name
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// True if a row is neither there nor touched.
    fn is_unknown(&self, (table, id): (usize, Uuid)) -> bool {
        !self.changes[table].contains_key(&id) && self.tables[table].get(id).is_none()
    }

    fn strong_references(&self, counts: &Counts, (table, id): (usize, Uuid)) -> i64 {
        i64::from(self.tables[table].strong_references(id)) + counts.get((table, id))
    }

    /// Removes rows that are not in the root set and that nothing refers to any more, then what
    /// only they referred to.
    fn collect_garbage(&mut self, counts: &mut Counts) -> Result<()> {
        let mut work: Vec<(usize, Uuid)> = Vec::new();
        for (table, schema) in self.schema.tables.iter().enumerate() {
            if !schema.is_root {
                work.extend(self.changes[table].keys().map(|id| (table, *id)));
                work.extend(counts.0[table].keys().map(|id| (table, *id)));
            }
        }
        work.reverse();
        while let Some((table, id)) = work.pop() {
            if self.strong_references(counts, (table, id)) > 0 {
                continue;
            }
            let Some(row) = self.get(table, id).cloned() else { continue };
            // A row of this transaction stays in it, so that it is not taken for an unknown one.
            let old = self.tables[table].get(id).cloned();
            self.changes[table].insert(id, Change { old, new: None });
            for column in &self.schema.tables[table].strong {
                let which = crate::schema::Base::strong;
                let value = Some(&row[*column]);
                references(self.schema, (table, *column), value, None, which, |target, _| {
                    if target != (table, id) {
                        counts.add(target, -1);
                        if !self.schema.tables[target.0].is_root {
                            work.push(target);
                        }
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn check_max_rows(&self) -> Result<()> {
        for (table, changes) in self.changes.iter().enumerate() {
            let schema = &self.schema.tables[table];
            if schema.max_rows == u32::MAX || changes.is_empty() {
                continue;
            }
            let came = |change: &&Change| change.old.is_none() && change.new.is_some();
            let went = |change: &&Change| change.old.is_some() && change.new.is_none();
            let rows = self.tables[table].len() + changes.values().filter(came).count()
                - changes.values().filter(went).count();
            if rows > schema.max_rows as usize {
                return Err(Error::constraint(format!(
                    "transaction causes \"{}\" table to contain {rows} rows, greater than the \
                     schema-defined limit of {} row(s)",
                    schema.name, schema.max_rows
                )));
            }
        }
        Ok(())
    }

    /// Takes out weak references to rows that are not there. True if that took out strong
    /// references too.
    fn remove_weak(&mut self, counts: &mut Counts) -> Result<bool> {
        let mut referrers: HashSet<(usize, Uuid), FixedState> = HashSet::default();
        for (table, changes) in self.changes.iter().enumerate() {
            for (id, change) in changes {
                if change.old.is_some() && change.new.is_none() {
                    referrers.extend(self.tables[table].weak_referrers(*id));
                }
            }
        }
        let mut order: Vec<(usize, Uuid)> = referrers.iter().copied().collect();
        order.sort_unstable();
        for (table, id) in order {
            self.modify(table, id);
        }
        let mut strong_too = false;
        for table in 0..self.tables.len() {
            let schema = &self.schema.tables[table];
            for column in &schema.weak {
                // References that were there before are good as long as their rows are.
                let doubtful = |(id, change): (&Uuid, &Change)| {
                    let new = change.new.as_ref()?;
                    let known = change.old.as_ref().is_some_and(|old| old[*column] == new[*column]);
                    (!known || referrers.contains(&(table, *id))).then_some(*id)
                };
                let ids: Vec<Uuid> = self.changes[table].iter().filter_map(doubtful).collect();
                for id in ids {
                    strong_too |= self.remove_weak_from((table, id), *column, counts)?;
                }
            }
        }
        Ok(strong_too)
    }

    fn remove_weak_from(
        &mut self,
        (table, id): (usize, Uuid),
        column: usize,
        counts: &mut Counts,
    ) -> Result<bool> {
        let schema = &self.schema.tables[table];
        let ty = &schema.columns[column].ty;
        let Some(value) = self.get(table, id).map(|row| &row[column]) else { return Ok(false) };
        let mut zero = false;
        let mut lives = |target: Option<usize>, atom: &Atom| match target.zip(atom.id()) {
            Some((target, id)) if self.get(target, id).is_none() => {
                zero |= id == Uuid::ZERO;
                false
            }
            _ => true,
        };
        let (key, map_value) =
            (ty.key.weak(), ty.value.as_ref().and_then(crate::schema::Base::weak));
        let kept = if ty.is_map() {
            value.retain(|_| true, |k, v| lives(key, k) && lives(map_value, v))
        } else {
            value.retain(|atom| lives(key, atom), |_, _| true)
        };
        let removed = value.len() - kept.len();
        if removed == 0 {
            return Ok(false);
        }
        if kept.len() < ty.min as usize {
            let (name, inserted) = (&schema.columns[column].name, self.was_absent(table, id));
            return Err(Error::constraint(if zero && inserted {
                format!(
                    "Weak reference column \"{name}\" in \"{}\" row {id} (inserted within this \
                     transaction) contained all-zeros UUID (probably as the default value for this \
                     column) but deleting this value caused a constraint volation because this \
                     column is not allowed to be empty.",
                    schema.name
                )
            } else {
                format!(
                    "Deletion of {removed} weak reference(s) to deleted (or never-existing) rows \
                     from column \"{name}\" in \"{}\" row {id} {}caused this column to become \
                     empty, but constraints on this column disallow an empty column.",
                    schema.name,
                    if inserted { "(inserted within this transaction) " } else { "" }
                )
            }));
        }
        let mut strong_too = false;
        let which = crate::schema::Base::strong;
        references(self.schema, (table, column), Some(value), Some(&kept), which, |target, _| {
            if target != (table, id) {
                counts.add(target, -1);
                strong_too = true;
            }
            Ok(())
        })?;
        if let Some(fields) = self.modify(table, id) {
            fields[column] = kept;
        }
        Ok(strong_too)
    }

    /// True if a row was not there before the transaction.
    fn was_absent(&self, table: usize, id: Uuid) -> bool {
        self.tables[table].get(id).is_none()
    }
}

fn weak_changes(
    schema: &Schema,
    (table, id): (usize, Uuid),
    old: &Option<Row>,
    new: &Option<Row>,
    out: &mut Vec<WeakChange>,
) -> Result<()> {
    for column in &schema.tables[table].weak {
        let old = old.as_ref().map(|row| &row[*column]);
        let new = new.as_ref().map(|row| &row[*column]);
        let which = crate::schema::Base::weak;
        references(schema, (table, *column), old, new, which, |target, added| {
            if target != (table, id) {
                out.push(WeakChange { target, source: (table, id), added });
            }
            Ok(())
        })?;
    }
    Ok(())
}

impl Prepared {
    /// True if the transaction changed nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Puts the changes into the tables.
    pub fn apply(&self, schema: &Schema, tables: &mut [Arc<Table>]) {
        for change in &self.changes {
            if let Some(old) = &change.old {
                Arc::make_mut(&mut tables[change.table]).unindex(
                    &schema.tables[change.table],
                    change.id,
                    old,
                );
            }
        }
        for change in &self.changes {
            if let Some(new) = &change.new {
                let table = Arc::make_mut(&mut tables[change.table]);
                table.put(change.id, new.clone());
                table.index(&schema.tables[change.table], change.id, new);
            }
        }
        for (table, id, delta) in &self.strong {
            Arc::make_mut(&mut tables[*table]).adjust_strong(*id, *delta);
        }
        for weak in &self.weak {
            Arc::make_mut(&mut tables[weak.target.0]).adjust_weak(
                weak.target.1,
                weak.source,
                weak.added,
            );
        }
        for change in self.changes.iter().filter(|change| change.new.is_none()) {
            Arc::make_mut(&mut tables[change.table]).remove(change.id);
        }
    }
}
