//! Rows in the form of monitors' updates, written to bytes directly.

use std::borrow::Cow::{self, Borrowed, Owned};
use std::sync::Arc;

use crate::monitor::{Form, Select, Spec, TableSpec};
use crate::schema::Schema;
use crate::table::Table;
use crate::txn::RowChange;
use crate::value::Datum;
use ovsdb::Uuid;

/// Rows by table as a JSON object that is being written.
struct Tables<'s> {
    schema: &'s Schema,
    out: Vec<u8>,
    table: Option<usize>,
}

impl<'s> Tables<'s> {
    fn new(schema: &'s Schema) -> Tables<'s> {
        Tables { schema, out: vec![b'{'], table: None }
    }

    /// Begins a row; its value comes next. Rows of a table come together.
    fn row(&mut self, table: usize, id: Uuid) -> &mut Vec<u8> {
        if self.table == Some(table) {
            self.out.push(b',');
        } else {
            if self.table.is_some() {
                self.out.extend_from_slice(b"},");
            }
            self.table = Some(table);
            self.out.push(b'"');
            self.out.extend_from_slice(self.schema.tables[table].name.as_bytes());
            self.out.extend_from_slice(b"\":{");
        }
        self.out.push(b'"');
        id.push(&mut self.out);
        self.out.extend_from_slice(b"\":");
        &mut self.out
    }

    fn is_empty(&self) -> bool {
        self.table.is_none()
    }

    fn end(mut self) -> Vec<u8> {
        if self.table.is_some() {
            self.out.push(b'}');
        }
        self.out.push(b'}');
        self.out
    }

    /// Appends an object of some columns.
    fn columns<'d>(
        &mut self,
        spec: &TableSpec,
        kind: Select,
        mut value: impl FnMut(usize) -> Option<Cow<'d, Datum>>,
    ) {
        let columns = &self.schema.tables[spec.table].columns;
        self.out.push(b'{');
        let mut first = true;
        for (at, select) in &spec.columns {
            if !select.has(kind) {
                continue;
            }
            if let Some(datum) = value(*at) {
                if !std::mem::replace(&mut first, false) {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(columns[*at].prefix.as_bytes());
                datum.push(&columns[*at].ty, &mut self.out);
            }
        }
        self.out.push(b'}');
    }
}

/// What a change is to a monitor with a condition.
fn kind(spec: &TableSpec, old: Option<&[Datum]>, new: Option<&[Datum]>) -> Option<Select> {
    let through = |row: Option<&[Datum]>| row.is_some_and(|row| spec.condition.lets_through(row));
    let kind = match (through(old), through(new)) {
        (false, false) => return None,
        (false, true) => Select::INSERT,
        (true, false) => Select::DELETE,
        (true, true) => Select::MODIFY,
    };
    let told =
        kind != Select::MODIFY || old.zip(new).is_some_and(|(old, new)| spec.differs(old, new));
    (told && spec.select.has(kind)).then_some(kind)
}

fn whole(
    out: &mut Tables<'_>,
    spec: &TableSpec,
    id: Uuid,
    kind: Select,
    old: Option<&[Datum]>,
    new: Option<&[Datum]>,
) {
    out.row(spec.table, id).push(b'{');
    if let Some(new) = new {
        out.out.extend_from_slice(b"\"new\":");
        out.columns(spec, kind, |at| Some(Borrowed(&new[at])));
    }
    if let Some(old) = old {
        out.out.extend_from_slice(if new.is_some() { b",\"old\":" } else { b"\"old\":" });
        out.columns(spec, kind, |at| {
            let told = new.is_none_or(|new| old[at] != new[at]);
            told.then_some(Borrowed(&old[at]))
        });
    }
    out.out.push(b'}');
}

fn difference(
    out: &mut Tables<'_>,
    spec: &TableSpec,
    id: Uuid,
    kind: Select,
    old: Option<&[Datum]>,
    new: Option<&[Datum]>,
) {
    let columns = &out.schema.tables[spec.table].columns;
    let name: &[u8] = match kind {
        Select::INITIAL => b"{\"initial\":",
        Select::INSERT => b"{\"insert\":",
        Select::MODIFY => b"{\"modify\":",
        _ => b"{\"delete\":null",
    };
    out.row(spec.table, id).extend_from_slice(name);
    match (kind, old, new) {
        (Select::MODIFY, Some(old), Some(new)) => out.columns(spec, kind, |at| {
            (old[at] != new[at]).then(|| Owned(old[at].diff(&new[at], &columns[at].ty)))
        }),
        (Select::INITIAL | Select::INSERT, _, Some(new)) => out.columns(spec, kind, |at| {
            (!new[at].is_default(&columns[at].ty)).then_some(Borrowed(&new[at]))
        }),
        _ => {}
    }
    out.out.push(b'}');
}

/// The rows as they are.
pub(super) fn initial(schema: &Schema, spec: &Spec, form: Form, tables: &[Arc<Table>]) -> Vec<u8> {
    let mut out = Tables::new(schema);
    for spec in spec.tables.iter().filter(|spec| spec.select.has(Select::INITIAL)) {
        for (id, row) in tables[spec.table].iter() {
            if !spec.condition.lets_through(row) {
                continue;
            }
            match form {
                Form::Whole => whole(&mut out, spec, id, Select::INITIAL, None, Some(row)),
                Form::Difference => {
                    difference(&mut out, spec, id, Select::INITIAL, None, Some(row))
                }
            }
        }
    }
    out.end()
}

/// Changes; `None` if there is nothing to tell. Changes of a table must be together.
pub(crate) fn updates(
    schema: &Schema,
    spec: &Spec,
    form: Form,
    changes: &[RowChange],
) -> Option<Vec<u8>> {
    let mut out = Tables::new(schema);
    for change in changes {
        let Some(spec) = spec.table(change.table) else { continue };
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        let Some(kind) = kind(spec, old, new) else { continue };
        match form {
            Form::Whole => whole(&mut out, spec, change.id, kind, old, new),
            Form::Difference => difference(&mut out, spec, change.id, kind, old, new),
        }
    }
    (!out.is_empty()).then(|| out.end())
}

/// The rows that come and go because a monitor's conditions changed; `None` if there are none.
pub fn condition_change(
    schema: &Schema,
    before: &Spec,
    after: &Spec,
    tables: &[Arc<Table>],
) -> Option<Vec<u8>> {
    let mut out = Tables::new(schema);
    for (before, after) in before.tables.iter().zip(&after.tables) {
        if before.condition == after.condition {
            continue;
        }
        for (id, row) in tables[after.table].iter() {
            let kind = match (before.condition.lets_through(row), after.condition.lets_through(row))
            {
                (false, true) => Select::INSERT,
                (true, false) => Select::DELETE,
                (true, true) | (false, false) => continue,
            };
            if after.select.has(kind) {
                difference(&mut out, after, id, kind, Some(row), Some(row));
            }
        }
    }
    (!out.is_empty()).then(|| out.end())
}
