//! Transactions of many operations, each on a thread of its own, so that other clients are answered
//! meanwhile.
//!
//! The thread has the state of the database as it was when it began. While it runs, transactions
//! that only read are answered at once, from that state. Those that write to the same database wait
//! for its end, in the order in which they came: transactions are isolated (ovsdb(7)), and the thread may
//! have read what they would change. A write so waits for the rest of the long transaction
//! and its commit, about 4 µs for each operation. To commit it before the long one and to run that
//! again would let a stream of small writes keep the long one from ever ending.
//!
//! The commit is made by the server's own thread, if the state is still the same and the session
//! still owns the locks that were asserted; otherwise the transaction runs again.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use serde::Deserialize;

use crate::database::{Attempt, Database, State, TxnContext};
use crate::error::Error;
use crate::json::{Json, member};
use crate::monitor::{Form, Spec, Text, updates};
use crate::rowid::RowIds;
use crate::server::session::{Chunk, Item};
use crate::server::trigger::{MAX_WAITING, Trigger};
use crate::server::{Now, Server, SessionId};

/// Milliseconds between two checks whether a thread has ended.
pub(super) const CHECK_INTERVAL: u64 = 1;

/// A transaction whose operations look at more rows than this, one after another, runs in the background.
const COSTLY_ROWS: usize = 20_000;

/// A transaction that runs on its own thread, or waits for one.
#[derive(Debug)]
pub(super) struct LongTransaction {
    pub(super) session: SessionId,
    /// The request's identifier, as JSON.
    pub(super) id: String,
    /// The request's parameters, as JSON.
    pub(super) params: Arc<str>,
    pub(super) created_ms: u64,
    /// The session's next requests wait for its end; not so if it is tried again after a `wait`.
    holds: bool,
}

impl LongTransaction {
    pub(super) fn new(
        session: SessionId,
        id: &str,
        params: Arc<str>,
        created_ms: u64,
    ) -> LongTransaction {
        LongTransaction { session, id: id.to_owned(), params, created_ms, holds: true }
    }

    /// One that waited and is tried again.
    pub(super) fn again(trigger: &Trigger) -> LongTransaction {
        LongTransaction {
            session: trigger.session,
            id: trigger.id.clone(),
            params: Arc::clone(&trigger.params),
            created_ms: trigger.created_ms,
            holds: false,
        }
    }
}

/// The result of a thread.
struct Done {
    /// `None` if the request is not JSON.
    attempt: Option<Attempt>,
    /// The updates for groups of monitors, if it has many changes.
    texts: Vec<(u64, Text)>,
    /// Locks that the session owned when the transaction asserted them.
    asserted: BTreeSet<String>,
}

#[derive(Debug)]
struct Running {
    long: LongTransaction,
    state: State,
    done: Receiver<Done>,
}

/// The transaction of a database that runs on its own thread, and those that wait for its end.
#[derive(Debug, Default)]
pub(super) struct Background {
    running: Option<Running>,
    queue: VecDeque<LongTransaction>,
}

impl Background {
    /// True if there is one.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

/// Changes of a transaction that take long to be dropped.
pub(crate) const MANY_CHANGES: usize = 1000;

/// Drops a large value on a thread of its own.
pub(crate) fn drop_on_thread(value: impl Send + 'static) {
    // If there is no thread it is dropped here.
    let _ = runtime::panic::spawn_supervised("ovsdb-drop", move || drop(value));
}

/// The database that a request names; the rest of it is not parsed.
fn database_named(params: &str) -> Option<String> {
    let rest = params.trim_start().strip_prefix('[')?;
    String::deserialize(&mut serde_json::Deserializer::from_str(rest)).ok()
}

/// True if the operations look at many rows that they have no index for.
pub(super) fn is_costly(params: &Json<'_>, database: &Database) -> bool {
    let scanned = |operation: &Json<'_>| -> Option<usize> {
        let members = operation.as_object()?;
        let table = database.schema().table(member(members, "table")?.as_str()?)?;
        let conditions = member(members, "where")?.as_array()?;
        let equal = |clause: &Json<'_>| matches!(clause.as_array(), Some([_, Json::String(function), _]) if function == "==");
        (!conditions.iter().any(equal)).then(|| database.tables()[table].len())
    };
    let operations = params.as_array().and_then(|params| params.get(1..)).unwrap_or_default();
    operations.iter().filter_map(scanned).sum::<usize>() > COSTLY_ROWS
}

/// Runs a transaction; `owned` are the session's locks.
fn run(
    long: &(Arc<str>, u64),
    state: &State,
    ids: &mut RowIds,
    (read_only, owned): (bool, &BTreeSet<String>),
    groups: &[(u64, Spec, Form)],
    now: Now,
) -> Done {
    let (params, created_ms) = long;
    let asserted = RefCell::new(BTreeSet::new());
    let attempt = Json::parse(params).ok().map(|params| {
        let operations = params.as_array().and_then(|params| params.get(1..)).unwrap_or_default();
        let context = TxnContext {
            read_only,
            internal: false,
            created_ms: *created_ms,
            now,
            owns_lock: &|lock| {
                let owns = owned.contains(lock);
                if owns {
                    asserted.borrow_mut().insert(lock.to_owned());
                }
                owns
            },
        };
        let mut attempt = state.attempt(ids, operations, &context);
        attempt.prepare_commit(state);
        attempt
    });
    let changes = attempt.as_ref().map_or(&[][..], Attempt::changes);
    let texts = match changes.len() > MANY_CHANGES {
        true => groups
            .iter()
            .map(|(id, spec, form)| {
                (*id, updates(state.schema(), spec, *form, changes).map(Arc::new))
            })
            .collect(),
        false => Vec::new(),
    };
    Done { attempt, texts, asserted: asserted.into_inner() }
}

impl Server {
    /// From now on transactions whose requests have at least this many bytes, and those that look at many
    /// rows, run on threads of their own. Their answers come some time after [`Server::handle`];
    /// meanwhile [`Server::is_busy`] holds for the session. Without this all transactions are
    /// answered at once.
    pub fn run_long_transactions_in_background(&mut self, bytes: usize) {
        self.long_bytes = bytes;
    }

    /// True if a session's next message has to wait for the answer to the one before.
    pub fn is_busy(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.busy)
    }

    /// Takes a request if it is a long one; its parameters have not been parsed yet.
    pub(super) fn begin_long(
        &mut self,
        id: SessionId,
        request: &str,
        params: &str,
        now: Now,
    ) -> bool {
        if params.len() < self.long_bytes {
            return false;
        }
        let Some(name) = database_named(params) else { return false };
        let (waiting, same) = self.waiting(id, request);
        if same || waiting >= MAX_WAITING || !self.databases.contains_key(&name) {
            return false;
        }
        self.queue_in_background(
            &name,
            LongTransaction::new(id, request, params.into(), now.mono_ms),
            now,
        );
        true
    }

    /// Starts a transaction in the background, or queues it behind the one that runs.
    pub(super) fn queue_in_background(&mut self, name: &str, long: LongTransaction, now: Now) {
        if long.holds
            && let Some(session) = self.sessions.get_mut(&long.session)
        {
            session.busy = true;
        }
        let Some(hosted) = self.databases.get_mut(name) else { return };
        hosted.background.queue.push_back(long);
        if !hosted.background.is_running() {
            self.start_in_background(name, now);
        }
    }

    /// Starts the next one that waits; those that are short are run.
    fn start_in_background(&mut self, name: &str, now: Now) {
        while let Some(hosted) = self.databases.get_mut(name)
            && hosted.background.running.is_none()
            && let Some(long) = hosted.background.queue.pop_front()
        {
            let short = long.params.len() < self.long_bytes;
            if short
                && let Ok(params) = Json::parse(&long.params)
                && !is_costly(&params, &hosted.database)
            {
                let (id, created) = (long.session, long.created_ms);
                if let Some(attempt) = self.try_transact(id, name, &params, created, now) {
                    self.conclude(name, &long, attempt);
                }
                self.release(&long);
                continue;
            }
            self.spawn_in_background(name, long, now);
        }
    }

    fn spawn_in_background(&mut self, name: &str, long: LongTransaction, now: Now) {
        let session = self.sessions.get(&long.session);
        let read_only = session.is_some_and(|session| session.options.read_only);
        let locks = self.locks.of(long.session).map(|(lock, _)| lock.to_owned());
        let owned: BTreeSet<String> =
            locks.filter(|lock| self.locks.owns(long.session, lock)).collect();
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let state = hosted.database.state();
        let groups = hosted.monitors.groups();
        let (give, done) = sync_channel(1);
        let (theirs, mut ids) = (state.clone(), hosted.database.ids().split());
        let work = (Arc::clone(&long.params), long.created_ms);
        let task = move || {
            let result = run(&work, &theirs, &mut ids, (read_only, &owned), &groups, now);
            // The server changes the tables in place if it is the only one that has them.
            drop(theirs);
            // The receiver is gone when the database is.
            let _ = give.send(result);
        };
        // If it panics, its client gets an error.
        let thread = runtime::panic::spawn_supervised("ovsdb-txn", task);
        hosted.background.running = Some(Running { long, state, done });
        if let Err(error) = thread {
            self.event(true, format!("{name}: cannot start a thread: {}", posix::text(&error)));
        }
    }

    /// Commits and answers transactions whose threads have ended, and starts those that wait.
    pub(super) fn advance_background(&mut self, now: Now) {
        let running = self.databases.iter().filter(|(_, hosted)| hosted.background.is_running());
        for name in running.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(hosted) = self.databases.get_mut(&name) else { continue };
            let Some(running) = hosted.background.running.take() else { continue };
            match running.done.try_recv() {
                Err(TryRecvError::Empty) => {
                    hosted.background.running = Some(running);
                    continue;
                }
                Err(TryRecvError::Disconnected) => {
                    let error = Error::new("internal error", "the transaction's thread has ended");
                    self.answer_error(&running.long, &error.to_json());
                    self.release(&running.long);
                }
                Ok(done) => self.finish_background(&name, running, done),
            }
            self.start_in_background(&name, now);
        }
    }

    fn finish_background(&mut self, name: &str, running: Running, done: Done) {
        let Running { long, state, .. } = running;
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let owned = done.asserted.iter().all(|lock| self.locks.owns(long.session, lock));
        if !owned || !hosted.database.is_at(&state) {
            hosted.background.queue.push_front(long);
            return;
        }
        hosted.monitors.expect(done.texts);
        match done.attempt {
            // The old tables are the state's alone then.
            Some(attempt) if attempt.is_applied() => {
                self.conclude(name, &long, attempt);
                drop_on_thread(state);
            }
            // The tables are changed in place if nothing else has them.
            Some(attempt) => {
                drop(state);
                self.conclude(name, &long, attempt);
            }
            None => {
                if let Some(session) = self.sessions.get_mut(&long.session) {
                    session.close = Some("received bad JSON-RPC message".to_owned());
                }
            }
        }
        if let Some(hosted) = self.databases.get_mut(name) {
            // They are left if it was not committed.
            hosted.monitors.expect(Vec::new());
        }
        self.release(&long);
    }

    /// The session's next message is looked at again.
    fn release(&mut self, long: &LongTransaction) {
        if long.holds
            && let Some(session) = self.sessions.get_mut(&long.session)
        {
            session.busy = false;
            self.ready.insert(long.session);
        }
    }

    fn answer_error(&mut self, long: &LongTransaction, error: &str) {
        let id = &long.id;
        let answer = format!("{{\"error\":{error},\"id\":{id},\"result\":null}}");
        self.send(long.session, Item::Bytes(Chunk::Own(answer.into_bytes())));
    }

    /// Ends background transactions of a database that is removed: each is answered `canceled`.
    pub(super) fn cancel_background(&mut self, name: &str) {
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let Background { running, queue } = std::mem::take(&mut hosted.background);
        for long in running.map(|running| running.long).into_iter().chain(queue) {
            self.answer_error(&long, "\"canceled\"");
            self.release(&long);
        }
    }
}
