//! Another schema for the same rows (`convert`, `ovsdb-server(7)` section 4.1.19).

use std::sync::Arc;

use crate::database::compact::all_rows;
use crate::database::{Database, schema_record};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::log;
use crate::rowid::RowIds;
use crate::schema::{COL_VERSION, Schema};
use crate::server::Now;
use crate::txn::Txn;
use crate::value::Datum;

impl Database {
    /// Converts the rows to another schema, in memory and in the file. Tables and columns that the
    /// new schema does not have are dropped; values that fit no longer are an error.
    ///
    /// # Errors
    ///
    /// What is wrong with a value under the new schema, or `I/O error`; then nothing has changed.
    pub fn convert(&mut self, schema: Schema, now: Now) -> Result<()> {
        if schema.name != self.schema.name {
            return Err(Error::new(
                "invalid parameters",
                format!(
                    "new schema name ({}) does not match database name ({})",
                    schema.name, self.schema.name
                ),
            ));
        }
        let mut converted = self.converted(schema)?;
        // What it would write is no longer true.
        self.compaction = None;
        if let Some(log) = &mut self.log {
            let rows = log::snapshot(
                &converted.schema,
                all_rows(&converted.tables),
                now.wall_ms,
                "converted by ovsdb-server",
            );
            log.replace(vec![schema_record(&converted.schema), rows])?;
        }
        self.schema = Arc::clone(&converted.schema);
        self.tables = std::mem::take(&mut converted.tables);
        self.atoms = converted.atoms;
        Ok(())
    }

    /// A copy in memory with another schema.
    fn converted(&mut self, schema: Schema) -> Result<Database> {
        let ids = std::mem::replace(&mut self.ids, RowIds::seeded(0));
        let mut copy = Database::create(schema, ids);
        let result = self.convert_rows(&mut copy);
        // The new one is only a vessel: identifiers go on where they were.
        self.ids = std::mem::replace(&mut copy.ids, RowIds::seeded(0));
        result.map(|()| copy)
    }

    fn convert_rows(&self, copy: &mut Database) -> Result<()> {
        let schema = Arc::clone(&copy.schema);
        let mut txn = Txn::new(&schema, &copy.tables);
        for (from, old_table) in self.schema.tables.iter().zip(self.tables.iter()) {
            let Some(to) = schema.table(&from.name) else { continue };
            let columns: Vec<(usize, usize)> = (0..from.columns.len())
                .filter_map(|at| Some((at, schema.tables[to].column(&from.columns[at].name)?)))
                .collect();
            for (id, old) in old_table.iter() {
                let mut row = schema.tables[to].default_row.clone();
                let fields = Arc::make_mut(&mut row);
                for (at, new_at) in &columns {
                    let (old_type, new_type) =
                        (&from.columns[*at].ty, &schema.tables[to].columns[*new_at].ty);
                    // By way of JSON: a set of one may become a scalar, and the other way round.
                    fields[*new_at] = if old_type == new_type || *at <= COL_VERSION {
                        old[*at].clone()
                    } else {
                        let text = old[*at].to_json(old_type);
                        let json = Json::parse(&text)
                            .map_err(|error| Error::new("internal error", error.to_string()))?;
                        Datum::from_json(new_type, &json, None)?
                    };
                }
                txn.insert(to, id, row);
            }
        }
        let prepared = txn.prepare(&mut copy.ids)?;
        if !prepared.is_empty() {
            copy.apply(prepared, None);
        }
        Ok(())
    }
}
