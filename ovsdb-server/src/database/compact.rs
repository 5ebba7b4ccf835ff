//! The file written anew, without what is no longer true.

use std::sync::Arc;

use crate::database::{Database, schema_record};
use crate::error::Result;
use crate::log;
use crate::server::Now;
use crate::table::{Row, Table};
use ovsdb::Uuid;

const MINUTE: u64 = 60_000;
const COMMENT: &str = "compacting database online";

/// The rows of all tables, with their tables' numbers.
pub(super) fn all_rows(tables: &[Arc<Table>]) -> impl Iterator<Item = (usize, Uuid, &Row)> {
    let numbered = tables.iter().enumerate();
    numbered.flat_map(|(table, rows)| rows.iter().map(move |(id, row)| (table, id, row)))
}

impl Database {
    /// Writes the file anew, without what is no longer true.
    ///
    /// # Errors
    ///
    /// `I/O error`; then the old file is still in use.
    pub fn compact(&mut self, now: Now) -> Result<()> {
        self.compaction = None;
        self.snapshot_ms = Some(now.mono_ms);
        let Some(log) = &mut self.log else { return Ok(()) };
        let rows = log::snapshot(&self.schema, all_rows(&self.tables), now.wall_ms, COMMENT);
        log.replace(vec![schema_record(&self.schema), rows])
    }

    /// Begins to write the file anew while transactions go on: another thread writes the
    /// rows as they are now. [`Database::continue_compaction`] brings it to its end.
    ///
    /// # Errors
    ///
    /// As [`Database::compact`].
    pub fn begin_compaction(&mut self, now: Now) -> Result<()> {
        if self.compaction.is_some() {
            return Ok(());
        }
        self.snapshot_ms = Some(now.mono_ms);
        let Some(log) = &mut self.log else { return Ok(()) };
        if log.broken().is_some() {
            // Nothing goes on until it is done.
            return self.compact(now);
        }
        // Rows are never changed in place, so that they need no copies.
        let snapshot: Vec<(usize, Uuid, Row)> =
            all_rows(&self.tables).map(|(table, id, row)| (table, id, Arc::clone(row))).collect();
        let schema = Arc::clone(&self.schema);
        self.compaction = Some(log.begin_replacement(move || {
            let rows = snapshot.iter().map(|(table, id, row)| (*table, *id, row));
            let rows = log::snapshot(&schema, rows, now.wall_ms, COMMENT);
            vec![schema_record(&schema), rows]
        })?);
        Ok(())
    }

    /// True if the file is being written anew.
    pub fn is_compacting(&self) -> bool {
        self.compaction.is_some()
    }

    /// Continues a compaction; gives its result when it has ended. To be called repeatedly while there
    /// is one.
    /// One that failed because it was due is tried again after a minute.
    pub fn continue_compaction(&mut self, now: Now) -> Option<Result<()>> {
        let (log, compaction) = (self.log.as_mut()?, self.compaction.as_mut()?);
        let result = match log.continue_replacement(compaction) {
            Ok(false) => return None,
            Ok(true) => Ok(()),
            Err(error) => {
                self.snapshot_ms = Some(now.mono_ms.saturating_sub(9 * MINUTE));
                Err(error)
            }
        };
        self.compaction = None;
        Some(result)
    }

    /// Begins to compact the file if it is time: ten minutes after the last time if it has a hundred
    /// records and has grown a lot, a day after it in any case.
    ///
    /// # Errors
    ///
    /// `I/O error`; it is tried again after a minute.
    pub fn compact_if_due(&mut self, now: Now) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let last = *self.snapshot_ms.get_or_insert(now.mono_ms);
        let age = now.mono_ms.saturating_sub(last);
        let due = if age < 24 * 60 * MINUTE {
            age >= 10 * MINUTE && log.records() >= 100 && log.grew_lots()
        } else {
            log.records() > 0
        };
        if !due || self.compaction.is_some() {
            return Ok(());
        }
        let result = self.begin_compaction(now);
        if result.is_err() {
            self.snapshot_ms = Some(now.mono_ms.saturating_sub(9 * MINUTE));
        }
        result
    }
}
