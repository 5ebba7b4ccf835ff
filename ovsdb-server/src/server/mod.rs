//! The server: databases, sessions, and the methods that join them.

mod background;
mod dispatch;
mod monitors;
mod rowlog;
mod session;
mod status;
mod trigger;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ovsdb::jsonrpc::MessageError;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::lock::{Holding, Locks};
use crate::monitor::{MonitorId, Monitors};
use crate::rowid::RowIds;
use ovsdb::Uuid;

use background::Background;
pub(crate) use background::{MANY_CHANGES, drop_on_thread};
pub use session::{Chunk, SessionOptions};
use session::{Item, Session};
use trigger::Trigger;

/// The time, given by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back. Time-outs are counted in it.
    pub mono_ms: u64,
    /// Milliseconds since 1970 UTC, for the `_date` of records on disk.
    pub wall_ms: i64,
}

/// A client's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A database with what depends on it.
#[derive(Debug)]
struct Hosted {
    database: Database,
    monitors: Monitors,
    /// Whose the monitors are.
    owners: BTreeMap<MonitorId, SessionId>,
    /// Transactions that wait.
    triggers: Vec<Trigger>,
    /// A transaction of many operations, and what waits for its end.
    background: Background,
    /// Something changed since they were last tried.
    retry: bool,
    /// Its row in the `_Server` database.
    status: Uuid,
    /// Tables whose changes are logged.
    logged: BTreeSet<String>,
    /// How its last compaction ended, if it failed.
    compaction_error: Option<Error>,
}

/// Something that the caller may log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// True for a warning.
    pub warning: bool,
    /// There may be many of its kind.
    pub frequent: bool,
    /// In words.
    pub text: String,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    id: Uuid,
    databases: BTreeMap<String, Hosted>,
    sessions: BTreeMap<SessionId, Session>,
    next_session: u64,
    locks: Locks,
    /// Sessions that have something to send or are to be closed.
    ready: BTreeSet<SessionId>,
    /// Databases with commits that are not on disk and whose answers wait for it.
    unsynced: BTreeSet<String>,
    events: VecDeque<Event>,
    /// Monitors with conditions are refused, as by servers that are older.
    no_conditions: bool,
    /// The size from which on a request runs on a thread of its own, in bytes.
    long_bytes: usize,
    /// When [`Server::run`] was last called, by the clock of time-outs.
    ran_ms: u64,
}

/// Milliseconds between two looks at a compaction.
const COMPACTION_CHECK: u64 = 2;

impl Server {
    /// A server with no database but its own, `_Server`.
    ///
    /// # Errors
    ///
    /// None: the schema of `_Server` is part of the program and has its test.
    pub fn new(mut ids: RowIds) -> Result<Server> {
        let id = ids.draw();
        let mut server = Server {
            id,
            databases: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            locks: Locks::default(),
            ready: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            events: VecDeque::new(),
            no_conditions: false,
            long_bytes: usize::MAX,
            ran_ms: 0,
        };
        server.host(Database::create(status::schema()?, ids));
        Ok(server)
    }

    /// Identifies this run of the server.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Serves a database.
    ///
    /// # Errors
    ///
    /// If there is one of that name, or the name is reserved.
    pub fn add_database(&mut self, database: Database) -> Result<()> {
        let name = database.name();
        if name.starts_with('_') {
            let details = format!("{name}: names beginning with \"_\" are reserved");
            return Err(Error::new("ovsdb error", details));
        }
        if self.databases.contains_key(name) {
            return Err(Error::new("ovsdb error", format!("{name}: duplicate database name")));
        }
        let reason = format!("adding {name} database");
        self.close_unaware(&reason);
        self.host(database);
        Ok(())
    }

    fn host(&mut self, database: Database) {
        let name = database.name().to_owned();
        let hosted = Hosted {
            database,
            monitors: Monitors::default(),
            owners: BTreeMap::new(),
            triggers: Vec::new(),
            background: Background::default(),
            retry: false,
            status: Uuid::ZERO,
            logged: BTreeSet::new(),
            compaction_error: None,
        };
        self.databases.insert(name.clone(), hosted);
        self.show_database(&name);
    }

    /// Serves a database no more: its monitors end, its waiting transactions are canceled, and
    /// sessions that did not say that they cope with such changes are to be closed. `None` if there
    /// is no such database or it is the server's own.
    pub fn remove_database(&mut self, name: &str) -> Option<Database> {
        if name.starts_with('_') || !self.databases.contains_key(name) {
            return None;
        }
        self.leave_database(name);
        self.hide_database(name);
        let hosted = self.databases.remove(name)?;
        self.unsynced.remove(name);
        self.close_unaware(&format!("removing {name} database"));
        Some(hosted.database)
    }

    /// A database.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(name).map(|hosted| &hosted.database)
    }

    /// The names of all databases, the server's own included.
    pub fn database_names(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    /// Compacts a database's file now.
    ///
    /// # Errors
    ///
    /// `I/O error`, or there is no such database.
    pub fn compact(&mut self, name: &str, now: Now) -> Result<()> {
        let hosted = self.databases.get_mut(name);
        let hosted = hosted.ok_or_else(|| Error::new("unknown database", name.to_owned()))?;
        hosted.database.compact(now)
    }

    /// Begins to compact a database's file; [`Server::run`] brings it to its end.
    ///
    /// # Errors
    ///
    /// `I/O error`, or there is no such database.
    pub fn begin_compaction(&mut self, name: &str, now: Now) -> Result<()> {
        let hosted = self.databases.get_mut(name);
        let hosted = hosted.ok_or_else(|| Error::new("unknown database", name.to_owned()))?;
        hosted.compaction_error = None;
        hosted.database.begin_compaction(now)
    }

    /// Why the last compaction of a database failed, if it did.
    pub fn compaction_error(&self, name: &str) -> Option<&Error> {
        self.databases.get(name).and_then(|hosted| hosted.compaction_error.as_ref())
    }

    /// Begins a session.
    pub fn connect(&mut self, options: SessionOptions) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.sessions.insert(id, Session::new(options));
        id
    }

    /// Ends a session: its locks, monitors and waiting transactions go with it.
    pub fn disconnect(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.ready.remove(&id);
        for (database, monitor) in session.monitors.values() {
            if let Some(hosted) = self.databases.get_mut(database) {
                hosted.monitors.remove(*monitor);
                hosted.owners.remove(monitor);
            }
        }
        for hosted in self.databases.values_mut() {
            hosted.triggers.retain(|trigger| trigger.session != id);
        }
        for (name, owner) in self.locks.end(id) {
            self.notify_lock(owner, "locked", &name);
        }
    }

    /// Allows or forbids changes to a session.
    pub fn set_read_only(&mut self, id: SessionId, read_only: bool) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.options.read_only = read_only;
        }
    }

    /// Takes one whole message from a client.
    ///
    /// # Errors
    ///
    /// If it is not a JSON-RPC message: the session should be closed.
    pub fn handle(&mut self, id: SessionId, message: &[u8], now: Now) -> Result<(), MessageError> {
        let escaped = ovsdb::jsonrpc::escape_invalid(message);
        if escaped.is_some()
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.sent_invalid = true;
        }
        let message = ovsdb::jsonrpc::parse(escaped.as_deref().unwrap_or(message))?;
        let result = self.dispatch(id, message, now);
        self.retry_triggers(now, false);
        result
    }

    /// Does what is due: waiting transactions whose time is over, compaction. To be called after
    /// each batch of messages and when [`Server::next_deadline`] has come.
    pub fn run(&mut self, now: Now) {
        self.ran_ms = now.mono_ms;
        self.advance_background(now);
        self.retry_triggers(now, true);
        let mut events = Vec::new();
        for (name, hosted) in &mut self.databases {
            let ended = hosted.database.continue_compaction(now);
            let begun = hosted.database.compact_if_due(now).err().map(Err);
            for result in ended.into_iter().chain(begun) {
                events.push(match &result {
                    Ok(()) => (false, format!("{name}: compacted")),
                    Err(error) => (true, format!("{name}: compacting failed: {error}")),
                });
                hosted.compaction_error = result.err();
            }
        }
        for (warning, text) in events {
            self.event(warning, text);
        }
    }

    /// When [`Server::run`] is to be called again at the latest, by the clock of time-outs.
    pub fn next_deadline(&self) -> Option<u64> {
        // While a transaction runs in the background, those that wait are not tried.
        let idle = self.databases.values().filter(|hosted| !hosted.background.is_running());
        let triggers = idle.flat_map(|hosted| &hosted.triggers);
        let mut databases = self.databases.values();
        let compaction = databases
            .any(|hosted| hosted.database.is_compacting())
            .then_some(self.ran_ms + COMPACTION_CHECK);
        let mut databases = self.databases.values();
        let background = databases
            .any(|hosted| hosted.background.is_running())
            .then_some(self.ran_ms + background::CHECK_INTERVAL);
        triggers.filter_map(Trigger::deadline).chain(compaction).chain(background).min()
    }

    /// The sessions that have something to send or are to be closed, each of them once.
    pub fn take_ready(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.ready).into_iter().collect()
    }

    /// Why a session is to be closed, if it is.
    pub fn must_close(&self, id: SessionId) -> Option<&str> {
        self.sessions.get(&id)?.close.as_deref()
    }

    /// Takes what a session is to be sent. Commits whose clients want them durable are on the disk
    /// when this returns. To be called when all that was taken before is sent.
    pub fn fetch(&mut self, id: SessionId, out: &mut Vec<Chunk>) {
        self.sync();
        self.flush_monitors(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.take(out);
        }
    }

    /// Bytes of answers that wait for a session's next [`Server::fetch`].
    pub fn queued(&self, id: SessionId) -> usize {
        self.sessions.get(&id).map_or(0, Session::queued)
    }

    /// Brings commits to the disk whose clients want that. [`Server::fetch`] does it too; once for
    /// all that were handled since.
    pub fn sync(&mut self) {
        for name in std::mem::take(&mut self.unsynced) {
            let Some(hosted) = self.databases.get_mut(&name) else { continue };
            let result = hosted.database.sync();
            if let Err(error) = &result {
                self.frequent_warning(format!("{name}: {error}"));
            }
            for session in self.sessions.values_mut() {
                session.synced(&name, &result);
            }
        }
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// From now on monitors with conditions are unknown methods, as to servers that are older.
    pub fn disable_conditions(&mut self) {
        self.no_conditions = true;
    }

    /// The locks that a session asked for, with what it has of them.
    pub fn locks_of(&self, id: SessionId) -> impl Iterator<Item = (&str, Holding)> {
        self.locks.of(id)
    }

    /// Counts for `memory/show`, in alphabetical order.
    pub fn memory(&self) -> Vec<(&'static str, usize)> {
        let sum = |count: fn(&Hosted) -> usize| self.databases.values().map(count).sum();
        let cells = |hosted: &Hosted| {
            let schema = hosted.database.schema();
            let tables = schema.tables.iter().zip(hosted.database.tables());
            tables.map(|(schema, table)| schema.columns.len() * table.len()).sum()
        };
        let weak = |hosted: &Hosted| {
            hosted.database.tables().iter().map(|table| table.weak_references()).sum()
        };
        vec![
            ("atoms", sum(|hosted| hosted.database.atoms())),
            ("cells", sum(cells)),
            ("monitors", sum(|hosted| hosted.monitors.len())),
            ("n-weak-refs", sum(weak)),
            ("sessions", self.sessions.len()),
            ("triggers", sum(|hosted| hosted.triggers.len())),
        ]
    }

    fn event(&mut self, warning: bool, text: String) {
        // A bound on the memory between two calls.
        if self.events.len() < 1000 {
            self.events.push_back(Event { warning, frequent: false, text });
        }
    }

    /// A warning that each request of a client may cause again.
    fn frequent_warning(&mut self, text: String) {
        if self.events.len() < 1000 {
            self.events.push_back(Event { warning: true, frequent: true, text });
        }
    }

    /// Queues an item for a session.
    fn send(&mut self, id: SessionId, item: Item) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.queue.push_back(item);
            self.ready.insert(id);
        }
    }

    fn notify_lock(&mut self, id: SessionId, method: &str, name: &str) {
        let mut params = String::from("[");
        ovsdb::value::push_json_string(&mut params, name);
        params.push(']');
        let mut out = Vec::new();
        ovsdb::jsonrpc::push_notification(&mut out, method, &params);
        self.flush_monitors(id);
        self.send(id, Item::Bytes(Chunk::Own(out)));
    }

    /// Sessions that did not say that they cope with a change of databases are to be closed.
    fn close_unaware(&mut self, reason: &str) {
        for (id, session) in &mut self.sessions {
            if !session.change_aware && session.close.is_none() {
                session.close = Some(reason.to_owned());
                self.ready.insert(*id);
            }
        }
    }
}
