//! Runs the operations of a `transact` request (RFC 7047, section 4.1.3).

use crate::error::{Error, Result};
use crate::json::Json;
use crate::parser::{Kind, Members};
use crate::rowid::RowIds;
use crate::txn::{Txn, ops};
use crate::value::Symbols;

/// What operations need to know beyond the rows.
pub struct Context<'c> {
    /// New identifiers.
    pub ids: &'c mut RowIds,
    /// Nothing may be changed.
    pub read_only: bool,
    /// Reserved databases may be changed.
    pub internal: bool,
    /// Milliseconds since the request came.
    pub elapsed_ms: u64,
    /// Whether the client owns a lock.
    pub owns_lock: &'c dyn Fn(&str) -> bool,
}

/// How it ended.
#[derive(Debug)]
pub enum Executed {
    /// All operations succeeded; the results lack their closing bracket.
    Done {
        /// The results as JSON, without `]`.
        results: Vec<u8>,
        /// A `commit` asked for it.
        durable: bool,
        /// Of the `comment` operations, a line each.
        comment: String,
    },
    /// An operation failed: nothing may be committed.
    Failed {
        /// The results as JSON.
        results: Vec<u8>,
    },
    /// A `wait` is not fulfilled: try again after the next commit, and when the time is over.
    Blocked {
        /// Milliseconds from the request until an answer is due; `None` is never.
        timeout_ms: Option<u64>,
    },
}

/// Why an operation did not succeed.
pub(super) enum Stop {
    Error(Error),
    Blocked,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// The state of a request while its operations run.
pub(super) struct Execution<'e, 'd> {
    pub(super) txn: &'e mut Txn<'d>,
    pub(super) symbols: Symbols<'e>,
    pub(super) elapsed_ms: u64,
    pub(super) timeout_ms: Option<u64>,
    pub(super) owns_lock: &'e dyn Fn(&str) -> bool,
    pub(super) durable: bool,
    pub(super) comment: String,
}

impl Execution<'_, '_> {
    /// The table that a member names.
    pub(super) fn table(&self, members: &Members<'_, '_>) -> usize {
        let Some(name) = members.required("table", Kind::Id).and_then(Json::as_str) else {
            return usize::MAX;
        };
        self.txn.schema.table(name).unwrap_or_else(|| {
            members.raise(format!("No table named {name}."));
            // Never used: the error is looked at before any row is.
            usize::MAX
        })
    }
}

type Operation = fn(&mut Execution<'_, '_>, &Members<'_, '_>, &mut Vec<u8>) -> Result<(), Stop>;

/// The operations, and whether each leaves the database alone.
const OPERATIONS: [(&str, bool, Operation); 10] = [
    ("insert", false, ops::insert),
    ("select", true, ops::select),
    ("update", false, ops::update),
    ("mutate", false, ops::mutate),
    ("delete", false, ops::delete),
    ("wait", true, ops::wait),
    ("commit", false, ops::commit),
    ("abort", true, ops::abort),
    ("comment", true, ops::comment),
    ("assert", true, ops::assert),
];

/// Runs operations until one fails or blocks.
pub fn execute(txn: &mut Txn<'_>, operations: &[Json<'_>], context: Context<'_>) -> Executed {
    let Context { ids, read_only, internal, elapsed_ms, owns_lock } = context;
    let reserved = (!internal && txn.schema.name.starts_with('_')).then(|| txn.schema.name.clone());
    let mut execution = Execution {
        txn,
        symbols: Symbols::new(ids),
        elapsed_ms,
        timeout_ms: None,
        owns_lock,
        durable: false,
        comment: String::new(),
    };
    let mut results = vec![b'['];
    for (at, operation) in operations.iter().enumerate() {
        if at > 0 {
            results.push(b',');
        }
        let begin = results.len();
        let what = || format!("ovsdb operation {} of {}", at + 1, operations.len());
        let members = Members::new(operation, &what);
        let mut outcome = Ok(());
        let mut changes = None;
        if let Some(name) = members.required("op", Kind::Id).and_then(Json::as_str) {
            match OPERATIONS.iter().find(|(known, ..)| *known == name) {
                Some((name, looks_only, run)) => {
                    changes = (!looks_only).then_some(*name);
                    outcome = run(&mut execution, &members, &mut results);
                }
                None => members.raise(format!("No operation \"{name}\"")),
            }
        }
        // What is wrong with its form goes before what went wrong when it ran.
        if let Err(error) = members.finish() {
            outcome = Err(error.into());
        }
        if outcome.is_ok()
            && let Some(name) = changes
        {
            outcome = match &reserved {
                _ if read_only => Err(Error::new(
                    "not allowed",
                    format!(
                        "{name} operation not allowed when database server is in read only mode"
                    ),
                )
                .into()),
                Some(database) => Err(Error::new(
                    "not allowed",
                    format!(
                        "{name} operation not allowed on table in reserved database {database}"
                    ),
                )
                .into()),
                None => Ok(()),
            };
        }
        match outcome {
            Ok(()) if results.len() == begin => results.extend_from_slice(b"{}"),
            Ok(()) => {}
            Err(Stop::Blocked) => return Executed::Blocked { timeout_ms: execution.timeout_ms },
            Err(Stop::Error(error)) => {
                results.truncate(begin);
                results.extend_from_slice(error.to_json().as_bytes());
                for _ in at + 1..operations.len() {
                    results.extend_from_slice(b",null");
                }
                results.push(b']');
                return Executed::Failed { results };
            }
        }
    }
    let Execution { durable, comment, .. } = execution;
    Executed::Done { results, durable, comment }
}
