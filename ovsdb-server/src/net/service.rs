//! The engine with its sockets, driven by a reactor.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use mio::{Events, Poll, Registry, Token};
use runtime::clock::Clock;
use runtime::log::RateLimit;
use wire::Time;

use super::conn::{Conn, Ended, Input, Origin, READ_BUDGET};
use super::dbcolumn::{TlsSources, Watched};
use super::remote::{Remote, RemoteOptions, millis};
use super::slot::Slot;
use super::{JSONRPC, OVSDB, RECONNECT, SERVER, Shown};
use crate::database::Database;
use crate::error::Error;
use crate::rowid::RowIds;
use crate::server::{Chunk, Now, Server, SessionId, SessionOptions};
use stream::Stream;
use stream::reconnect::Due;

static RL: RateLimit = RateLimit::new(5, 5);
static ROWS: RateLimit = RateLimit::new(30, 60);
static REFUSED: RateLimit = RateLimit::new(5, 5);

/// Requests of one client that are run before others get their turn.
const MAX_REQUESTS: usize = 16;
/// Bytes of answers that a client may have waiting before its next request is looked at.
const MAX_QUEUED_ANSWERS: usize = 4 << 20;
/// The size from which on a transaction (some hundred operations) runs on a thread of its own, in
/// bytes.
const LONG_REQUEST: usize = 64 << 10;
/// Milliseconds between two updates of `Manager.status`.
pub(super) const STATUS_INTERVAL: u64 = 2_500;

/// The server on its sockets; see the [module](super). `turn` is to be called after the events of
/// each `wait`.
pub struct Service {
    pub(super) engine: Server,
    pub(super) registry: Registry,
    clock: Clock,
    first_token: usize,
    pub(super) slots: Vec<Slot>,
    free: Vec<usize>,
    /// Slots of connections that have something to do, in the order in which they came to have it.
    runnable: IndexSet<usize, RandomState>,
    /// Slots of listeners at which clients may wait.
    pub(super) doors: Vec<usize>,
    /// When listeners at which accepting failed are tried again.
    pub(super) accept_again: u64,
    sessions: BTreeMap<SessionId, usize>,
    /// The remotes that are configured, `db:` included.
    pub(super) configured: BTreeMap<String, RemoteOptions>,
    /// The remotes that are listened at or connected to.
    pub(super) remotes: BTreeMap<Arc<str>, Remote>,
    pub(super) tls: tls::Context,
    pub(super) tls_sources: TlsSources,
    pub(super) watched: Watched,
    /// When the next update of `Manager.status` is due.
    pub(super) status_due: u64,
    /// The server's own session, by which it writes into databases.
    pub(super) own: SessionId,
    own_id: u64,
    /// Names of connections without an address.
    pub(super) unix_count: u64,
    /// When a connection may have to be probed or ended, at the earliest.
    pub(super) probe_check: u64,
    pub(super) last_problem: String,
    buffer: Vec<u8>,
}

impl Service {
    /// A server without databases and remotes. Its events have tokens from `first_token` on.
    ///
    /// # Errors
    ///
    /// The engine cannot begin.
    pub fn new(registry: Registry, first_token: usize, clock: Clock) -> Result<Service, Error> {
        let mut engine = Server::new(RowIds::random())?;
        engine.run_long_transactions_in_background(LONG_REQUEST);
        let own = engine.connect(SessionOptions::default());
        let mut service = Service {
            engine,
            registry,
            clock,
            first_token,
            slots: Vec::new(),
            free: Vec::new(),
            runnable: IndexSet::default(),
            doors: Vec::new(),
            accept_again: u64::MAX,
            sessions: BTreeMap::new(),
            configured: BTreeMap::new(),
            remotes: BTreeMap::new(),
            tls: tls::Context::default(),
            tls_sources: TlsSources::default(),
            watched: Watched::default(),
            status_due: 0,
            own,
            own_id: 0,
            unix_count: 0,
            probe_check: u64::MAX,
            last_problem: String::new(),
            buffer: vec![0; 64 << 10],
        };
        // Databases come and go without our session ending.
        service.ask_engine("set_db_change_aware", "[true]");
        Ok(service)
    }

    /// Milliseconds of the clock.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().as_millis()
    }

    /// The time for the engine.
    pub fn engine_now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_ms: self.now(), wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Where TLS's files are from now on.
    pub fn set_tls(&mut self, sources: TlsSources) {
        self.tls_sources = sources;
        self.watched.forget();
    }

    /// The engine.
    pub fn engine(&self) -> &Server {
        &self.engine
    }

    /// The engine, mutable.
    pub fn engine_mut(&mut self) -> &mut Server {
        &mut self.engine
    }

    /// Opens a file and serves it; gives its database's name.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no database, or is served already.
    pub fn open_database(&mut self, path: &Path) -> Result<String, Error> {
        let asked = std::fs::canonicalize(path).ok();
        for name in self.engine.database_names() {
            let file = self.engine.database(name).and_then(Database::file_name);
            let served = file.and_then(|file| std::fs::canonicalize(file).ok());
            if served.is_some() && served == asked {
                let text = format!("{}: already open", path.display());
                return Err(Error::new("ovsdb error", text));
            }
        }
        let (database, warnings) = Database::open(path, RowIds::random())?;
        for warning in warnings {
            runtime::warn!(OVSDB, "{}: {warning}", path.display());
        }
        let name = database.name().to_owned();
        self.add_database(database)?;
        Ok(name)
    }

    /// Serves a database that is in memory only, or open already.
    ///
    /// # Errors
    ///
    /// There is one of this name.
    pub fn add_database(&mut self, database: Database) -> Result<(), Error> {
        self.watched.forget();
        self.engine.add_database(database)
    }

    /// Serves a database no more; false if there is none of this name.
    pub fn remove_database(&mut self, name: &str) -> bool {
        self.watched.forget();
        self.engine.remove_database(name).is_some()
    }

    /// Handles an event of one of the server's sockets.
    fn event(&mut self, token: Token, readable: bool, closing: bool) {
        let slot = token.0.wrapping_sub(self.first_token);
        match self.slots.get_mut(slot) {
            Some(Slot::Listener(listener)) => {
                if !std::mem::replace(&mut listener.ready, true) {
                    self.doors.push(slot);
                }
            }
            Some(Slot::Conn(conn)) => {
                conn.on_event(readable, closing);
                self.list(slot);
            }
            Some(Slot::Lookup | Slot::Free) | None => {}
        }
    }

    pub(super) fn list(&mut self, slot: usize) {
        if let Some(Slot::Conn(_)) = self.slots.get(slot) {
            self.runnable.insert(slot);
        }
    }

    /// Handles everything that is pending.
    pub fn turn(&mut self) {
        let now = self.now();
        self.resolve_remotes(now);
        self.accept_all(now);
        let mut done = Vec::new();
        for slot in std::mem::take(&mut self.runnable) {
            if let Err(why) = self.serve(slot, now) {
                done.push((slot, why));
            }
        }
        self.engine.run(self.engine_now());
        self.deliver(&mut done);
        for (slot, why) in done {
            self.end(slot, &why, now);
        }
        self.probe(now);
        self.write_status(now);
        for event in self.engine.take_events() {
            match (event.warning, event.frequent) {
                (true, true) => runtime::warn_rl!(OVSDB, REFUSED, "{}", event.text),
                (true, false) => runtime::warn!(OVSDB, "{}", event.text),
                (false, true) => runtime::info_rl!(OVSDB, ROWS, "{}", event.text),
                (false, false) => runtime::info!(OVSDB, "{}", event.text),
            }
        }
    }

    /// Waits for events, at most so long; those with other tokens than ours go to `other`.
    ///
    /// # Errors
    ///
    /// The system's, other than an interruption.
    pub fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        most: Option<Duration>,
        mut other: impl FnMut(&mut Service, Token),
    ) -> io::Result<()> {
        let wait = self.timeout().into_iter().chain(most).min();
        match poll.poll(events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in events.iter() {
            match event.token() {
                token if token.0 >= self.first_token => {
                    let closing = event.is_read_closed() || event.is_write_closed();
                    self.event(token, event.is_readable(), closing || event.is_error());
                }
                token => other(self, token),
            }
        }
        Ok(())
    }

    /// How long the next poll may wait.
    fn timeout(&self) -> Option<Duration> {
        if !self.runnable.is_empty() {
            return Some(Duration::ZERO);
        }
        let remotes = self.remotes.values().map(Remote::deadline);
        let engine = self.engine.next_deadline();
        let ours = [self.probe_check, self.status_deadline(), self.accept_again];
        let at = remotes.chain(engine).chain(ours).min();
        let at = at.filter(|at| *at != u64::MAX)?;
        // Rounded up: a poll that ends early would only come back.
        self.clock
            .timeout(Some(Time::from_millis(at)))
            .map(|wait| wait + Duration::from_micros(999))
    }

    /// The poll's token for a slot.
    fn token(&self, slot: usize) -> Token {
        Token(self.first_token + slot)
    }

    /// Takes a slot for what `make` makes of its token.
    pub(super) fn take_slot(
        &mut self,
        make: impl FnOnce(&Registry, Token) -> io::Result<Slot>,
    ) -> io::Result<usize> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        match make(&self.registry, self.token(slot)) {
            Ok(what) => {
                self.slots[slot] = what;
                Ok(slot)
            }
            Err(error) => {
                self.free.push(slot);
                Err(error)
            }
        }
    }

    /// Begins a session on a socket.
    pub(super) fn begin(
        &mut self,
        stream: Stream,
        name: String,
        remote: &Arc<str>,
        origin: Origin,
        now: u64,
    ) -> io::Result<usize> {
        let Some(known) = self.remotes.get(remote) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let options = SessionOptions { read_only: known.options.read_only };
        let session = self.engine.connect(options);
        let taken = self.take_slot(|registry, token| {
            let mut conn = Conn::new(stream, name, Arc::clone(remote), origin, session);
            conn.register(registry, token)?;
            Ok(Slot::Conn(Box::new(conn)))
        });
        match taken {
            Ok(slot) => {
                self.sessions.insert(session, slot);
                self.list(slot);
                self.probe_check = self.probe_check.min(now);
                Ok(slot)
            }
            Err(error) => {
                self.engine.disconnect(session);
                Err(error)
            }
        }
    }

    /// Sends, reads and handles for one connection until it has to wait. What can be answered is
    /// in the engine then.
    fn serve(&mut self, slot: usize, now: u64) -> Result<(), Ended> {
        let engine_now = self.engine_now();
        let Service { slots, engine, buffer, remotes, .. } = self;
        let Some(Slot::Conn(conn)) = slots.get_mut(slot) else { return Ok(()) };
        if !conn.is_connected(remotes) {
            return self.check_connecting(slot, now);
        }
        if !conn.flush(&self.registry, Token(self.first_token + slot))? {
            // The event that says that it can go on lists it again.
            return Ok(());
        }
        let mut handled = 0;
        loop {
            if engine.is_busy(conn.session) {
                // It is listed again when it is answered.
                conn.read_budget = READ_BUDGET;
                return Ok(());
            }
            if handled == MAX_REQUESTS || engine.queued(conn.session) > MAX_QUEUED_ANSWERS {
                break;
            }
            if let Some(message) = conn.framer.next_message()? {
                runtime::dbg!(JSONRPC, "{}: received {}", conn.name, Shown(message));
                engine.handle(conn.session, message, engine_now)?;
                handled += 1;
                continue;
            }
            if conn.input == Input::Ended {
                return Err(Ended::Eof);
            }
            if conn.input == Input::Waiting || conn.read_budget == 0 {
                break;
            }
            let budget = conn.read_budget;
            conn.read(buffer)?;
            conn.log_server_name();
            if conn.read_budget < budget
                && let Some(reconnect) = conn.reconnect(remotes)
            {
                reconnect.received(Time::from_millis(now), false);
            }
        }
        conn.read_budget = READ_BUDGET;
        if conn.has_work() {
            self.list(slot);
        }
        Ok(())
    }

    /// Sends sessions what the engine has for them. The first fetch writes the commits of all sessions
    /// to the disk.
    fn deliver(&mut self, done: &mut Vec<(usize, Ended)>) {
        for session in self.engine.take_ready() {
            if session == self.own {
                self.drop_own_answers();
                continue;
            }
            let Some(&slot) = self.sessions.get(&session) else { continue };
            let Some(Slot::Conn(conn)) = self.slots.get_mut(slot) else { continue };
            if let Some(why) = self.engine.must_close(session) {
                // As upstream: such a client finds out for itself what became of its requests.
                conn.fetch = false;
                done.push((slot, Ended::Ours(why.to_owned())));
                continue;
            }
            conn.fetch = true;
            if conn.is_connected(&self.remotes) {
                self.list(slot);
            }
        }
        let mut chunks = Vec::new();
        let waiting = self.runnable.iter().copied().chain(done.iter().map(|(slot, _)| *slot));
        for slot in waiting.collect::<Vec<_>>() {
            let token = self.token(slot);
            let Some(Slot::Conn(conn)) = self.slots.get_mut(slot) else { continue };
            if !conn.fetch || conn.backlog() > 0 {
                continue;
            }
            conn.fetch = false;
            self.engine.fetch(conn.session, &mut chunks);
            for chunk in &chunks {
                runtime::dbg!(JSONRPC, "{}: send {}", conn.name, Shown(chunk.bytes()));
            }
            conn.queue(chunks.drain(..));
            if let Err(error) = conn.flush(&self.registry, token) {
                done.push((slot, error.into()));
            }
        }
        // Those whose socket is full go on when it says so; those with nothing left to do, when
        // something comes.
        self.runnable.retain(|slot| match &self.slots[*slot] {
            Slot::Conn(conn) => conn.backlog() == 0 && conn.has_work(),
            Slot::Listener(_) | Slot::Lookup | Slot::Free => false,
        });
    }

    /// Ends a connection: its session's locks and monitors go with it.
    pub(super) fn end(&mut self, slot: usize, why: &Ended, now: u64) {
        let Some(Slot::Conn(conn)) = self.slots.get_mut(slot) else { return };
        let name = conn.name.clone();
        let remote = Arc::clone(&conn.remote);
        // The socket is closed next, which takes it out of the poll in any case.
        let _ = self.registry.deregister(&mut conn.stream);
        let session = conn.session;
        let connecting = !conn.is_connected(&self.remotes);
        // It gives a descriptor back.
        self.accept_again = self.accept_again.min(now);
        self.slots[slot] = Slot::Free;
        self.free.push(slot);
        self.sessions.remove(&session);
        self.engine.disconnect(session);
        match why {
            Ended::Frame(_) | Ended::Message(_) => runtime::warn_rl!(JSONRPC, RL, "{name}: {why}"),
            // An attempt that failed, which is reported with what follows it.
            Ended::Io(_) if connecting => {}
            Ended::Io(error) => {
                runtime::warn_rl!(RECONNECT, RL, "{name}: connection dropped ({error})");
            }
            Ended::Silent(_) => runtime::err_rl!(RECONNECT, RL, "{name}: {why}, disconnecting"),
            Ended::Ours(why) => runtime::info!(SERVER, "{name}: disconnecting ({why})"),
            Ended::Eof => runtime::dbg!(RECONNECT, "{name}: connection closed by peer"),
            Ended::TimedOut => runtime::info!(RECONNECT, "{name}: connection attempt timed out"),
        }
        self.ended(&remote, slot, why, now);
    }

    /// Frees a listener's slot.
    pub(super) fn free_slot(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
        self.free.push(slot);
    }

    /// Disconnects all clients, for this reason.
    pub fn reconnect(&mut self, why: &str) {
        let now = self.now();
        for slot in 0..self.slots.len() {
            if matches!(self.slots[slot], Slot::Conn(_)) {
                self.end(slot, &Ended::Ours(why.to_owned()), now);
            }
        }
    }

    /// Probes peers that are silent, and ends connections that were not made or answered in time.
    fn probe(&mut self, now: u64) {
        if now < self.probe_check {
            return;
        }
        let mut next = u64::MAX;
        let mut silent = Vec::new();
        let time = Time::from_millis(now);
        for (slot, what) in self.slots.iter_mut().enumerate() {
            let Slot::Conn(conn) = what else { continue };
            let busy = self.engine.is_busy(conn.session);
            let Some(reconnect) = conn.reconnect(&mut self.remotes) else { continue };
            if busy {
                // Its answers to probes are not read now.
                reconnect.received(time, false);
            }
            let due = reconnect.poll(time);
            next = next.min(millis(reconnect.next_deadline()));
            match due {
                Some(Due::Probe(_)) => {
                    conn.probe();
                    let flushed = conn.flush(&self.registry, Token(self.first_token + slot));
                    silent.extend(flushed.err().map(|error| (slot, error.into())));
                }
                Some(Due::NoAnswer(_)) => {
                    let seconds = reconnect.silent_for(time).as_secs_f64();
                    silent.push((slot, Ended::Silent(seconds)));
                }
                Some(Due::TimedOut) => silent.push((slot, Ended::TimedOut)),
                // Not while there is a connection.
                Some(Due::Connect) | None => {}
            }
        }
        self.probe_check = next.max(now + 1);
        if next == u64::MAX {
            self.probe_check = u64::MAX;
        }
        for (slot, why) in silent {
            self.end(slot, &why, now);
        }
    }

    /// Sends the engine a request of the server's own session. An error in the answer is logged.
    pub(super) fn ask_engine(&mut self, method: &str, params: &str) {
        self.own_id += 1;
        let mut message = Vec::new();
        ovsdb::jsonrpc::push_request(&mut message, self.own_id, method, params);
        let now = self.engine_now();
        if let Err(error) = self.engine.handle(self.own, &message, now) {
            runtime::err_rl!(OVSDB, RL, "own request {method}: {error}");
        }
        self.drop_own_answers();
    }

    fn drop_own_answers(&mut self) {
        let mut answers: Vec<Chunk> = Vec::new();
        self.engine.fetch(self.own, &mut answers);
        for answer in answers {
            let text = String::from_utf8_lossy(answer.bytes());
            if text.contains("\"error\":{") || text.contains("\"error\":\"") {
                runtime::err_rl!(OVSDB, RL, "own request: {text}");
            }
        }
    }

    /// The session of a connection.
    pub(super) fn session_of(&self, slot: usize) -> Option<SessionId> {
        match self.slots.get(slot) {
            Some(Slot::Conn(conn)) => Some(conn.session),
            Some(Slot::Listener(_) | Slot::Lookup | Slot::Free) | None => None,
        }
    }

    /// Counts for `memory/show`.
    pub fn memory(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<(String, u64)> = self
            .engine
            .memory()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count as u64))
            .collect();
        let backlog: usize = self
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Conn(conn) => conn.backlog(),
                Slot::Listener(_) | Slot::Lookup | Slot::Free => 0,
            })
            .sum();
        if let Some((_, sessions)) = counts.iter_mut().find(|(name, _)| name == "sessions") {
            // The server's own is not counted.
            *sessions = sessions.saturating_sub(1);
        }
        counts.push(("backlog".to_owned(), backlog as u64));
        // As upstream, which always shows these.
        let always = ["atoms", "cells", "monitors", "n-weak-refs"];
        counts.retain(|(name, count)| *count > 0 || always.contains(&name.as_str()));
        counts.sort();
        counts
    }

    /// The remotes that were asked for, in alphabetical order.
    pub fn configured_remotes(&self) -> &BTreeMap<String, RemoteOptions> {
        &self.configured
    }
}
