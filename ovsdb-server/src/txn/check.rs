//! Indexes: no two rows may have the same values in their columns.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use ovsdb::schema::AtomicType;

use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::table::Row;
use crate::txn::Txn;
use crate::value::Datum;
use ovsdb::Uuid;

/// What goes before the `at`th of `n` items in a list in words.
fn delimiter(at: usize, n: usize) -> &'static str {
    match (at, n) {
        (0, _) => "",
        (1, 2) => " and ",
        (at, n) if at == n - 1 => ", and ",
        _ => ", ",
    }
}

fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let n = items.len();
    items.enumerate().map(|(at, item)| format!("{}{item}", delimiter(at, n))).collect()
}

fn values(schema: &TableSchema, index: &[usize], row: &Row) -> String {
    list(index.iter().map(|column| row[*column].plain_text(&schema.columns[*column].ty)))
}

/// The columns whose order does not depend on random identifiers.
fn comparable<'r>(schema: &TableSchema, row: &'r Row) -> Vec<&'r Datum> {
    let random =
        |at: usize| schema.columns[at].ty.bases().any(|base| base.kind == AtomicType::Uuid);
    row.iter().enumerate().filter(|(at, _)| !random(*at)).map(|(_, datum)| datum).collect()
}

impl Txn<'_> {
    pub(super) fn check_indexes(&self) -> Result<()> {
        for (table, changes) in self.changes.iter().enumerate() {
            let schema = &self.schema.tables[table];
            for (at, index) in schema.indexes.iter().enumerate() {
                let mut seen: HashMap<Box<[Datum]>, Uuid, FixedState> = HashMap::default();
                for (id, change) in changes {
                    let Some(row) = &change.new else { continue };
                    let key = self.key(table, at, row);
                    let twin = self.untouched_twin(table, at, &key);
                    if let Some(twin) = twin.or_else(|| seen.insert(key, *id)) {
                        return Err(self.duplicate(table, index, *id, twin));
                    }
                }
            }
        }
        Ok(())
    }

    fn duplicate(&self, table: usize, index: &[usize], a: Uuid, b: Uuid) -> Error {
        let schema = &self.schema.tables[table];
        let rows = self.get(table, a).zip(self.get(table, b));
        let Some((row_a, row_b)) = rows else { return Error::constraint("identical values") };
        // The larger one first, so that the text does not depend on chance.
        let swap = comparable(schema, row_a) < comparable(schema, row_b);
        let ((first, row), second) = if swap { ((b, row_b), a) } else { ((a, row_a), b) };
        let columns = list(index.iter().map(|at| format!("\"{}\"", schema.columns[*at].name)));
        Error::constraint(format!(
            "Transaction causes multiple rows in \"{}\" table to have identical values ({}) for \
             index on column{} {columns}.  {}  {}",
            schema.name,
            values(schema, index, row),
            if index.len() > 1 { "s" } else { "" },
            self.history(table, index, "First", first),
            self.history(table, index, "Second", second),
        ))
    }

    fn history(&self, table: usize, index: &[usize], title: &str, id: Uuid) -> String {
        let schema = &self.schema.tables[table];
        let change = self.changes[table].get(&id).map(|change| (&change.old, &change.new));
        let what = match change {
            Some((Some(old), Some(new))) => {
                if index.iter().all(|column| old[*column] == new[*column]) {
                    "existed in the database before this transaction, which modified some of the \
                     row's columns but not any columns in this index."
                        .to_owned()
                } else {
                    let values = values(schema, index, old);
                    format!("had the following index values before the transaction: {values}.")
                }
            }
            Some((None, _)) => "was inserted by this transaction.".to_owned(),
            Some((Some(_), None)) | None => "existed in the database before this transaction and \
                                             was not modified by the transaction."
                .to_owned(),
        };
        format!("{title} row, with UUID {id}, {what}")
    }
}
