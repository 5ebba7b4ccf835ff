//! Reads a database from its file.

use std::path::Path;
use std::sync::Arc;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::log::{Log, Mode, TxnRecord, decode};
use crate::rowid::RowIds;
use crate::schema::{COL_UUID, COL_VERSION, Schema};
use crate::txn::Txn;
use crate::value::{Atom, Datum};

impl Database {
    /// Opens a file to serve it. What is cut off or damaged at its end is reported in the warnings and
    /// left behind: the next transaction is written over it.
    ///
    /// # Errors
    ///
    /// `I/O error`, or the file is not a database: its schema cannot be read.
    pub fn open(path: &Path, ids: RowIds) -> Result<(Database, Vec<Error>)> {
        Database::open_as(path, Mode::ReadWrite, ids)
    }

    /// Opens a file, to read it or to serve it.
    ///
    /// # Errors
    ///
    /// As [`Database::open`].
    pub fn open_as(path: &Path, mode: Mode, ids: RowIds) -> Result<(Database, Vec<Error>)> {
        let mut log = Log::open(path, mode)?;
        let mut record = Vec::new();
        if !log.read(&mut record)? {
            let details = format!("{}: unexpected end of file reading schema", log.name());
            return Err(Error::new("ovsdb error", details));
        }
        let schema = Schema::parse(&String::from_utf8_lossy(&record))?;
        let mut database = Database { log: None, ..Database::create(schema, ids) };
        let mut warnings = Vec::new();
        loop {
            match log.read(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    warnings.push(error);
                    break;
                }
            }
            let replayed =
                decode(&database.schema, &record).and_then(|record| database.replay(record));
            if let Err(error) = replayed {
                warnings.push(error);
                log.unread();
                break;
            }
        }
        database.log = Some(log);
        Ok((database, warnings))
    }

    /// Applies a record as it was committed.
    pub(super) fn replay(&mut self, record: TxnRecord) -> Result<()> {
        let schema = Arc::clone(&self.schema);
        let TxnRecord { is_diff, rows, cells, .. } = record;
        let mut cells: Vec<Option<(usize, Datum)>> = cells.into_iter().map(Some).collect();
        let mut txn = Txn::new(&schema, &self.tables);
        for row in rows {
            let columns = &schema.tables[row.table].columns;
            let Some(range) = row.cells else {
                if txn.get(row.table, row.id).is_none() {
                    return Err(Error::new(
                        "syntax error",
                        format!("transaction deletes row {} that does not exist", row.id),
                    ));
                }
                txn.delete(row.table, row.id);
                continue;
            };
            let cells = cells[range].iter_mut().filter_map(Option::take);
            if let Some(fields) = txn.modify(row.table, row.id) {
                for (column, datum) in cells {
                    let ty = &columns[column].ty;
                    let datum = match is_diff {
                        true => fields[column].apply_diff(&datum, ty),
                        false => datum,
                    };
                    datum.check(ty)?;
                    fields[column] = datum;
                }
                continue;
            }
            let mut new = schema.tables[row.table].default_row.clone();
            let fields = Arc::make_mut(&mut new);
            for (column, datum) in cells {
                datum.check(&columns[column].ty)?;
                fields[column] = datum;
            }
            fields[COL_UUID] = Datum::One(Atom::Uuid(row.id));
            fields[COL_VERSION] = Datum::One(Atom::Uuid(self.ids.draw()));
            txn.insert(row.table, row.id, new);
        }
        let prepared = txn.prepare(&mut self.ids)?;
        if !prepared.is_empty() {
            self.apply(prepared, None);
        }
        Ok(())
    }
}
