//! A database: its rows and its file.

mod compact;
mod convert;
mod open;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::json::Json;
use crate::log::{self, Log, Mode, Replacement};
use crate::rowid::RowIds;
use crate::schema::Schema;
use crate::server::Now;
use crate::table::{Row, Table};
use crate::txn::{Context, Executed, Prepared, RowChange, Txn, execute};
use ovsdb::Uuid;

/// A transaction that was committed.
#[derive(Debug)]
pub struct Commit {
    /// The rows that changed, table by table.
    pub changes: Vec<RowChange>,
}

/// What became of a transaction.
#[derive(Debug)]
pub enum TxnOutcome {
    /// It is over.
    Reply(TxnReply),
    /// A `wait` is not fulfilled: try again after the next commit, and when the time is over.
    Blocked {
        /// Milliseconds from the request until an answer is due; `None` is never.
        timeout_ms: Option<u64>,
    },
}

/// The answer to a transaction.
#[derive(Debug, Default)]
pub struct TxnReply {
    /// The results as JSON, without the closing bracket.
    pub results: Vec<u8>,
    /// What it changed, if anything.
    pub commit: Option<Arc<Commit>>,
    /// May be told to the client only after [`Database::sync`].
    pub durable: bool,
    /// Why it could not be written to the file. The results have the error.
    pub unwritten: Option<Error>,
}

/// What became of a transaction that is not committed yet.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It failed, or there is nothing to commit.
    Over {
        /// The results as JSON, without the closing bracket.
        results: Vec<u8>,
    },
    /// As [`TxnOutcome::Blocked`].
    Blocked {
        /// Milliseconds from the request until an answer is due; `None` is never.
        timeout_ms: Option<u64>,
    },
    /// It may be committed if nothing has changed meanwhile.
    Ready(Ready),
}

/// A transaction that may be committed.
#[derive(Debug)]
pub(crate) struct Ready {
    results: Vec<u8>,
    prepared: Prepared,
    /// What goes into the file.
    record: Option<log::Record>,
    durable: bool,
    /// The tables after it, if they were made in the background, and the growth of the number of atoms.
    applied: Option<(Tables, isize)>,
}

/// A transaction with fewer changes is applied by the server's thread.
const MANY_CHANGES: usize = 1000;
/// So is one that changes less than this part of its tables, because they are to be copied.
const PART: usize = 8;

impl Ready {
    /// Makes the tables that come of it, unless that costs more than to apply it.
    fn apply_in_background(&mut self, state: &State) {
        let changes = &self.prepared.changes;
        let mut touched: Vec<usize> = changes.iter().map(|change| change.table).collect();
        touched.dedup();
        let rows: usize = touched.iter().map(|table| state.tables[*table].len()).sum();
        if changes.len() < MANY_CHANGES || rows / PART > changes.len() {
            return;
        }
        let growth = growth(changes);
        let mut tables = Vec::clone(&state.tables);
        self.prepared.apply(&state.schema, &mut tables);
        self.applied = Some((Arc::new(tables), growth));
    }
}

impl Attempt {
    /// True if the commit is only an exchange of the tables.
    pub(crate) fn is_applied(&self) -> bool {
        matches!(self, Attempt::Ready(Ready { applied: Some(_), .. }))
    }

    /// The rows that it changes; none if there is nothing to commit.
    pub(crate) fn changes(&self) -> &[RowChange] {
        match self {
            Attempt::Ready(ready) => &ready.prepared.changes,
            Attempt::Over { .. } | Attempt::Blocked { .. } => &[],
        }
    }

    /// Does what can be done of the commit before it, on a thread of its own.
    pub(crate) fn prepare_commit(&mut self, state: &State) {
        if let Attempt::Ready(ready) = self {
            ready.apply_in_background(state);
        }
    }
}

/// The state of a database at some time.
#[derive(Debug, Clone)]
pub(crate) struct State {
    schema: Arc<Schema>,
    tables: Tables,
    /// There is a file.
    logged: bool,
}

impl State {
    /// The schema.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Runs a transaction without its commit.
    pub(crate) fn attempt(
        &self,
        ids: &mut RowIds,
        operations: &[Json<'_>],
        context: &TxnContext<'_>,
    ) -> Attempt {
        let mut txn = Txn::new(&self.schema, &self.tables);
        let executed = execute(
            &mut txn,
            operations,
            Context {
                ids,
                read_only: context.read_only,
                internal: context.internal,
                elapsed_ms: context.now.mono_ms.saturating_sub(context.created_ms),
                owns_lock: context.owns_lock,
            },
        );
        let (mut results, durable, comment) = match executed {
            Executed::Blocked { timeout_ms } => return Attempt::Blocked { timeout_ms },
            Executed::Failed { mut results } => {
                // The reply is closed where it is sent.
                results.pop();
                return Attempt::Over { results };
            }
            Executed::Done { results, durable, comment } => (results, durable, comment),
        };
        let prepared = match txn.prepare(ids) {
            Ok(prepared) => prepared,
            Err(error) => {
                push_error(&mut results, &error);
                return Attempt::Over { results };
            }
        };
        if prepared.is_empty() {
            return Attempt::Over { results };
        }
        let wall_ms = context.now.wall_ms;
        let record = self.logged.then(|| {
            log::transaction(&self.schema, &prepared.changes, wall_ms, &comment)
                .map(log::Record::new)
        });
        let record = record.flatten();
        Attempt::Ready(Ready { results, prepared, record, durable, applied: None })
    }
}

/// The rights of a transaction, and the locks of its session.
pub struct TxnContext<'c> {
    /// Nothing may be changed.
    pub read_only: bool,
    /// The server's own: it may change reserved databases.
    pub internal: bool,
    /// When the request came.
    pub created_ms: u64,
    /// The time.
    pub now: Now,
    /// Whether the client owns a lock.
    pub owns_lock: &'c dyn Fn(&str) -> bool,
}

/// A database.
#[derive(Debug)]
pub struct Database {
    schema: Arc<Schema>,
    /// Shared with a transaction that runs on another thread.
    tables: Tables,
    ids: RowIds,
    /// Its file is being written anew. Before the log, so that it ends before the lock does.
    compaction: Option<Replacement>,
    log: Option<Log>,
    /// Atoms in all rows.
    atoms: usize,
    /// When it was last compacted or opened, by the clock of time-outs; unknown at first.
    snapshot_ms: Option<u64>,
}

/// The tables of a database, each shared with the states that have it.
type Tables = Arc<Vec<Arc<Table>>>;

fn empty_tables(schema: &Schema) -> Tables {
    Arc::new(schema.tables.iter().map(|table| Arc::new(Table::new(table))).collect())
}

impl Database {
    /// A database in memory only.
    pub fn create(schema: Schema, ids: RowIds) -> Database {
        Database {
            tables: empty_tables(&schema),
            schema: Arc::new(schema),
            ids,
            log: None,
            compaction: None,
            atoms: 0,
            snapshot_ms: None,
        }
    }

    /// Writes a new file with an empty database, as `ovsdb-tool create` does.
    ///
    /// # Errors
    ///
    /// `I/O error`, also if the file is there.
    pub fn create_file(path: &Path, schema: &Schema) -> Result<()> {
        let mut log = Log::open(path, Mode::Create)?;
        log.append(&mut schema_record(schema))?;
        log.sync()
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.schema.name
    }

    /// The schema as JSON, as `get_schema` answers it.
    pub fn get_schema(&self) -> &str {
        &self.schema.json
    }

    /// The name of its file, if it has one.
    pub fn file_name(&self) -> Option<&str> {
        self.log.as_ref().map(Log::name)
    }

    /// Why its file takes no more transactions, if it does not.
    pub fn storage_error(&self) -> Option<&Error> {
        self.log.as_ref().and_then(Log::broken)
    }

    /// The tables, in the order of the schema.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// The rows of a table by name; none if there is no such table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (Uuid, &Row)> {
        let table = self.schema.table(table).map(|table| self.tables[table].iter());
        table.into_iter().flatten()
    }

    /// Atoms in all rows.
    pub fn atoms(&self) -> usize {
        self.atoms
    }

    /// Bytes of its file.
    pub fn file_size(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::size)
    }

    /// Runs a transaction: `operations` are the parameters of `transact` behind the database's
    /// name.
    pub fn transact(&mut self, operations: &[Json<'_>], context: &TxnContext<'_>) -> TxnOutcome {
        let attempt = self.attempt(operations, context);
        self.conclude(attempt)
    }

    /// Runs a transaction without its commit.
    pub(crate) fn attempt(&mut self, operations: &[Json<'_>], context: &TxnContext<'_>) -> Attempt {
        self.state().attempt(&mut self.ids, operations, context)
    }

    /// What a transaction needs that runs on another thread: it is to be given back to
    /// [`Database::conclude`] if the state is still the same.
    pub(crate) fn state(&mut self) -> State {
        State {
            schema: Arc::clone(&self.schema),
            tables: Arc::clone(&self.tables),
            logged: self.log.is_some(),
        }
    }

    /// True if nothing has changed since.
    pub(crate) fn is_at(&self, state: &State) -> bool {
        Arc::ptr_eq(&self.schema, &state.schema) && Arc::ptr_eq(&self.tables, &state.tables)
    }

    /// Commits what was tried.
    pub(crate) fn conclude(&mut self, attempt: Attempt) -> TxnOutcome {
        let Ready { mut results, prepared, record, durable, applied } = match attempt {
            Attempt::Ready(ready) => ready,
            Attempt::Over { results } => {
                return TxnOutcome::Reply(TxnReply { results, ..TxnReply::default() });
            }
            Attempt::Blocked { timeout_ms } => return TxnOutcome::Blocked { timeout_ms },
        };
        let written = match (&mut self.log, record) {
            (Some(log), Some(record)) => log.append_record(&record).map(|()| true),
            (None, _) | (_, None) => Ok(false),
        };
        TxnOutcome::Reply(match written {
            Ok(written) => TxnReply {
                results,
                commit: Some(self.apply(prepared, applied)),
                durable: durable && written,
                unwritten: None,
            },
            Err(error) => {
                push_error(&mut results, &error);
                TxnReply { results, unwritten: Some(error), ..TxnReply::default() }
            }
        })
    }

    fn apply(&mut self, prepared: Prepared, applied: Option<(Tables, isize)>) -> Arc<Commit> {
        if let Some((tables, growth)) = applied {
            self.tables = tables;
            self.atoms = self.atoms.saturating_add_signed(growth);
            return Arc::new(Commit { changes: prepared.changes });
        }
        prepared.apply(&self.schema, Arc::<Vec<Arc<Table>>>::make_mut(&mut self.tables));
        self.atoms = self.atoms.saturating_add_signed(growth(&prepared.changes));
        Arc::new(Commit { changes: prepared.changes })
    }

    /// Brings all transactions to the disk.
    ///
    /// # Errors
    ///
    /// `I/O error`.
    pub fn sync(&mut self) -> Result<()> {
        self.log.as_mut().map_or(Ok(()), Log::sync)
    }

    /// New identifiers.
    pub fn ids(&mut self) -> &mut RowIds {
        &mut self.ids
    }
}

/// Atoms in the rows after some changes less those before.
fn growth(changes: &[RowChange]) -> isize {
    let atoms = |row: &Option<Row>| -> isize {
        let columns = row.iter().flat_map(|row| row.iter());
        columns.map(|datum| datum.atoms() as isize).sum()
    };
    changes.iter().map(|change| atoms(&change.new) - atoms(&change.old)).sum()
}

/// Appends an error to results that are not closed yet.
pub fn push_error(results: &mut Vec<u8>, error: &Error) {
    if results.len() > 1 {
        results.push(b',');
    }
    results.extend_from_slice(error.to_json().as_bytes());
}

fn schema_record(schema: &Schema) -> Vec<u8> {
    let mut record = Log::new_record();
    record.extend_from_slice(schema.json.as_bytes());
    record
}
