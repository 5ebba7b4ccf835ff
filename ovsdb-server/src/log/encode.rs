//! Transactions as records.

use ovsdb::value::push_json_string;

use crate::log::Log;
use crate::schema::{COL_UUID, Schema};
use crate::table::Row;
use crate::txn::RowChange;
use crate::value::Datum;
use ovsdb::Uuid;

/// The members that are not tables. Gives a record that has them.
fn begin(wall_ms: i64, comment: &str) -> Vec<u8> {
    let mut text = String::from("{");
    if !comment.is_empty() {
        text.push_str("\"_comment\":");
        push_json_string(&mut text, comment);
        text.push(',');
    }
    text.push_str(&format!("\"_date\":{wall_ms},\"_is_diff\":true"));
    let mut out = Log::new_record();
    out.extend_from_slice(text.as_bytes());
    out
}

/// Writes rows below their tables.
struct Rows<'o> {
    out: &'o mut Vec<u8>,
    table: Option<usize>,
}

impl Rows<'_> {
    /// Begins a row; its value comes next.
    fn row(&mut self, schema: &Schema, table: usize, id: Uuid) -> &mut Vec<u8> {
        if self.table == Some(table) {
            self.out.push(b',');
        } else {
            if self.table.is_some() {
                self.out.push(b'}');
            }
            self.table = Some(table);
            // Names of tables are identifiers: nothing to escape.
            self.out.extend_from_slice(b",\"");
            self.out.extend_from_slice(schema.tables[table].name.as_bytes());
            self.out.extend_from_slice(b"\":{");
        }
        self.out.push(b'"');
        id.push(self.out);
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn inserted(&mut self, schema: &Schema, table: usize, id: Uuid, row: &[Datum]) {
        let out = self.row(schema, table, id);
        out.push(b'{');
        let columns = &schema.tables[table].columns;
        let mut first = true;
        for (column, datum) in columns.iter().zip(row).skip(COL_UUID + 1) {
            if column.persistent && !datum.is_default(&column.ty) {
                if !std::mem::replace(&mut first, false) {
                    out.push(b',');
                }
                out.extend_from_slice(column.prefix.as_bytes());
                datum.push(&column.ty, out);
            }
        }
        out.push(b'}');
    }

    fn modified(
        &mut self,
        schema: &Schema,
        (table, id): (usize, Uuid),
        (old, new): (&[Datum], &[Datum]),
    ) {
        let columns = &schema.tables[table].columns;
        let mut first = true;
        for (column, (old, new)) in columns.iter().zip(old.iter().zip(new)).skip(COL_UUID + 1) {
            if !column.persistent || old == new {
                continue;
            }
            if std::mem::replace(&mut first, false) {
                self.row(schema, table, id).push(b'{');
            } else {
                self.out.push(b',');
            }
            self.out.extend_from_slice(column.prefix.as_bytes());
            old.diff(new, &column.ty).push(&column.ty, self.out);
        }
        if !first {
            self.out.push(b'}');
        }
    }

    /// Ends the members; false if there was no row.
    fn end(self) -> bool {
        if self.table.is_some() {
            self.out.push(b'}');
        }
        self.out.push(b'}');
        self.table.is_some()
    }
}

/// The record of a transaction; `None` if it changes nothing that is kept on disk.
pub fn transaction(
    schema: &Schema,
    changes: &[RowChange],
    wall_ms: i64,
    comment: &str,
) -> Option<Vec<u8>> {
    let mut out = begin(wall_ms, comment);
    let mut rows = Rows { out: &mut out, table: None };
    for change in changes {
        match (&change.old, &change.new) {
            (None, Some(new)) => rows.inserted(schema, change.table, change.id, new),
            (Some(old), Some(new)) => {
                rows.modified(schema, (change.table, change.id), (old, new));
            }
            (Some(_), None) => {
                rows.row(schema, change.table, change.id).extend_from_slice(b"null");
            }
            (None, None) => {}
        }
    }
    rows.end().then_some(out)
}

/// A record of all rows, table by table.
pub fn snapshot<'r>(
    schema: &Schema,
    all: impl Iterator<Item = (usize, Uuid, &'r Row)>,
    wall_ms: i64,
    comment: &str,
) -> Vec<u8> {
    let mut out = begin(wall_ms, comment);
    let mut rows = Rows { out: &mut out, table: None };
    for (table, id, row) in all {
        rows.inserted(schema, table, id, row);
    }
    rows.end();
    out
}
