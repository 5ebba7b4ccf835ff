//! The session: one connection to a server after the other, and the replica that outlives them.
//!
//! ```text
//!            deadline                writable            get_schema, monitor answered
//!  Backoff ----------> Connecting ------------> Connected(Schema -> Monitor -> Following)
//!     ^                    |                        |
//!     +--------------------+------------------------+   any error: twice as long, up to 8 s
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Registry, Token};
use ovsdb::{DatabaseSchema, Uuid};
use serde_json::value::RawValue;

use crate::connection::{Connection, Heard, LinkError, LockState, MonitorMethod, Phase};
use crate::db::{BadValue, Change, Db, Format};
use crate::plan::{Plan, SchemaGap};
use crate::remote::{Remote, Stream};
use crate::rows::Table;
use crate::txn::{Txn, TxnError, TxnReply, parse_reply};

/// What a session can be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database's name. Default `Open_vSwitch`.
    pub database: String,
    /// The lock to ask for, if any; `ovs-vswitchd` takes `ovs_vswitchd`. While it is set, a
    /// transaction is only done when it is held. Default none.
    pub lock: Option<String>,
    /// The tables to follow. Default all that have typed rows.
    pub tables: Vec<Table>,
    /// Silence after which the server is probed; as much again without an answer breaks the
    /// connection. Zero turns it off. Default, as upstream: 5 s for TCP, off for Unix sockets,
    /// whose end is always noticed.
    pub probe_interval: Option<Duration>,
    /// First wait after a failure. Default 1 s.
    pub min_backoff: Duration,
    /// Longest wait between attempts. Default 8 s.
    pub max_backoff: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            database: "Open_vSwitch".to_owned(),
            lock: None,
            tables: Table::ALL.to_vec(),
            probe_interval: None,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(8),
        }
    }
}

/// Names a transaction until its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(u64);

/// Something that happened, in the order it happened.
#[derive(Debug)]
pub enum SessionEvent {
    /// A connection stands; the contents are not here yet.
    Connected,
    /// An attempt to connect failed.
    ConnectFailed {
        /// Why.
        reason: LinkError,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The connection broke. The replica keeps what it had.
    Disconnected {
        /// Why.
        reason: LinkError,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The replica holds the whole contents now, after each connect.
    InitialData,
    /// The replica changed. Several updates may be one event.
    Changed,
    /// The lock is ours.
    Locked,
    /// The lock is no longer ours: another client has it, or the connection broke.
    LockLost,
    /// Another client holds the lock; [`SessionEvent::Locked`] comes when it lets go.
    LockBusy,
    /// The server lacks a column, or has it with another type. After each connect.
    SchemaGap(SchemaGap),
    /// A value that its column does not take.
    BadValue(BadValue),
    /// A transaction is done, or is not.
    TxnReply(TxnId, Result<TxnReply, TxnError>),
}

#[derive(Debug)]
enum Link {
    Backoff { until: Duration },
    Connecting { stream: Stream, until: Duration },
    Connected(Box<Connection>),
}

/// A client of one database server.
///
/// It does no blocking call and reads no clock: `now` is the time since any fixed point. The
/// caller's duties, in this order, each time round its loop:
///
/// 1. [`Session::on_event`] for every event of the session's token;
/// 2. [`Session::run`];
/// 3. [`Session::poll_event`] until it gives `None`;
/// 4. sleep no longer than until [`Session::next_deadline`].
///
/// Call `run` also after [`Session::transact`], which only queues.
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// use ovsdb_client::{Options, Session, SessionEvent};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Prints every bond whenever the configuration changes.
/// let mut poll = mio::Poll::new()?;
/// let mut events = mio::Events::with_capacity(16);
/// let mut session = Session::new("unix:/run/openvswitch/db.sock".parse()?, Options::default());
/// session.register(poll.registry(), mio::Token(0))?;
/// let start = Instant::now();
/// let mut seen = 0;
/// loop {
///     session.run(start.elapsed());
///     while let Some(event) = session.poll_event() {
///         if let SessionEvent::Disconnected { reason, .. } = event {
///             eprintln!("{reason}");
///         }
///     }
///     if session.has_data() && session.db().config_seqno() != seen {
///         seen = session.db().config_seqno();
///         for port in session.db().ports.values().filter(|port| port.interfaces.len() > 1) {
///             println!("{}: {:?}", port.name, port.bond_mode);
///         }
///     }
///     let wait = session.next_deadline().map(|at| at.saturating_sub(start.elapsed()));
///     poll.poll(&mut events, wait)?;
///     events.iter().for_each(|event| session.on_event(event));
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    remote: Remote,
    options: Options,
    registry: Option<(Registry, Token)>,
    link: Link,
    backoff: Duration,
    db: Db,
    has_data: bool,
    plan: Plan,
    schema_version: Option<String>,
    /// The last transaction in the replica, if the server counts them; else zero.
    last_txn: Uuid,
    events: VecDeque<SessionEvent>,
    next_id: u64,
}

impl Session {
    /// A session that connects at the first [`Session::run`].
    pub fn new(remote: Remote, options: Options) -> Session {
        Session {
            remote,
            options,
            registry: None,
            link: Link::Backoff { until: Duration::ZERO },
            backoff: Duration::ZERO,
            db: Db::default(),
            has_data: false,
            plan: Plan::default(),
            schema_version: None,
            last_txn: Uuid::ZERO,
            events: VecDeque::new(),
            next_id: 1,
        }
    }

    /// Tells where the session's sockets, this one's and later ones', are to be registered.
    ///
    /// # Errors
    ///
    /// The poll's, if it cannot be duplicated or refuses the socket.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let registry = registry.try_clone()?;
        match &mut self.link {
            Link::Connecting { stream, .. } => stream.register(&registry, token)?,
            Link::Connected(connection) => connection.stream.register(&registry, token)?,
            Link::Backoff { .. } => {}
        }
        self.registry = Some((registry, token));
        Ok(())
    }

    /// The server's address.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The replica. It is kept while there is no connection.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The version of the schema that the server had last, such as `8.3.1`.
    pub fn schema_version(&self) -> Option<&str> {
        self.schema_version.as_deref()
    }

    /// True once the replica has held the whole contents.
    pub fn has_data(&self) -> bool {
        self.has_data
    }

    /// True while the replica follows the server.
    pub fn is_following(&self) -> bool {
        matches!(&self.link, Link::Connected(connection) if connection.phase == Phase::Following)
    }

    /// True while the lock is held.
    pub fn is_locked(&self) -> bool {
        matches!(&self.link, Link::Connected(connection) if connection.lock == LockState::Held)
    }

    /// The rows that changed since the last call. Take them now and then, for rows that came and
    /// went are remembered until then.
    pub fn take_changes(&mut self) -> BTreeMap<(Table, Uuid), Change> {
        self.db.take_changes()
    }

    /// What happened next, if anything.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Takes note of an event of the session's token.
    pub fn on_event(&mut self, event: &Event) {
        if let Link::Connected(connection) = &mut self.link
            && (event.is_readable() || event.is_read_closed() || event.is_error())
        {
            connection.readable = true;
        }
    }

    /// The time at which [`Session::run`] must be called even without an event.
    pub fn next_deadline(&self) -> Option<Duration> {
        match &self.link {
            Link::Backoff { until } | Link::Connecting { until, .. } => Some(*until),
            Link::Connected(connection) => connection.next_deadline(self.probe_interval()),
        }
    }

    /// Queues a transaction; its reply comes as [`SessionEvent::TxnReply`], at the latest when the
    /// connection breaks. The replica holds what it wrote before the reply comes.
    pub fn transact(&mut self, txn: &Txn) -> TxnId {
        let id = self.next_id();
        let txn_id = TxnId(id);
        let refused = match &mut self.link {
            Link::Connected(connection) if connection.phase == Phase::Following => {
                if self.options.lock.is_some() && connection.lock != LockState::Held {
                    TxnError::NotLocked
                } else {
                    let lock = self.options.lock.as_deref();
                    let plan = &self.plan;
                    let (params, infos) =
                        txn.encode(&self.options.database, lock, |table, c| plan.has(table, c));
                    connection.request(id, "transact", &params);
                    connection.txns.insert(id, infos);
                    return txn_id;
                }
            }
            Link::Connected(_) | Link::Backoff { .. } | Link::Connecting { .. } => {
                TxnError::Disconnected
            }
        };
        self.events.push_back(SessionEvent::TxnReply(txn_id, Err(refused)));
        txn_id
    }

    /// Breaks the connection and connects again after a wait, for instance on request.
    pub fn reconnect(&mut self, now: Duration) {
        self.fail(now, LinkError::Asked);
    }

    /// Does what can be done at this time without waiting.
    pub fn run(&mut self, now: Duration) {
        if let Link::Backoff { until } = self.link
            && now >= until
        {
            self.connect(now);
        }
        if let Link::Connecting { stream, until } = &self.link {
            match stream.connected() {
                Ok(true) => self.connected(now),
                Ok(false) if now >= *until => self.fail(now, LinkError::ConnectTimeout),
                Ok(false) => {}
                Err(error) => self.fail(now, LinkError::Io(error)),
            }
        }
        if matches!(self.link, Link::Connected(_))
            && let Err(error) = self.converse(now)
        {
            self.fail(now, error);
        }
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn probe_interval(&self) -> Duration {
        self.options.probe_interval.unwrap_or(match self.remote {
            Remote::Unix(_) => Duration::ZERO,
            Remote::Tcp(_) => Duration::from_secs(5),
        })
    }

    fn connect(&mut self, now: Duration) {
        let opened = Stream::open(&self.remote).and_then(|mut stream| {
            if let Some((registry, token)) = &self.registry {
                stream.register(registry, *token)?;
            }
            Ok(stream)
        });
        match opened {
            Ok(stream) => {
                let until = now + self.backoff.max(self.options.min_backoff);
                self.link = Link::Connecting { stream, until };
            }
            Err(error) => self.fail(now, LinkError::Io(error)),
        }
    }

    fn connected(&mut self, now: Duration) {
        let schema_id = self.next_id();
        let lock_id = self.next_id();
        let link = std::mem::replace(&mut self.link, Link::Backoff { until: now });
        let Link::Connecting { stream, .. } = link else {
            self.link = link;
            return;
        };
        let mut connection = Connection::new(stream, now, Phase::Schema { id: schema_id });
        let mut database = String::new();
        ovsdb::value::push_json_string(&mut database, &self.options.database);
        connection.request(schema_id, "get_schema", &format!("[{database}]"));
        if let Some(lock) = &self.options.lock {
            let mut name = String::new();
            ovsdb::value::push_json_string(&mut name, lock);
            connection.request(lock_id, "lock", &format!("[{name}]"));
            connection.lock = LockState::Asked { id: lock_id };
        }
        self.link = Link::Connected(Box::new(connection));
        self.events.push_back(SessionEvent::Connected);
    }

    /// Gives the connection up and says when to try again.
    fn fail(&mut self, now: Duration, reason: LinkError) {
        let (min, max) = (self.options.min_backoff, self.options.max_backoff);
        let longer = (self.backoff * 2).clamp(min, max.max(min));
        let link = std::mem::replace(&mut self.link, Link::Backoff { until: now });
        match link {
            Link::Backoff { .. } => {
                self.backoff = longer;
                self.events.push_back(SessionEvent::ConnectFailed { reason, retry_in: longer });
            }
            Link::Connecting { mut stream, .. } => {
                self.deregister(&mut stream);
                self.backoff = longer;
                self.events.push_back(SessionEvent::ConnectFailed { reason, retry_in: longer });
            }
            Link::Connected(mut connection) => {
                self.deregister(&mut connection.stream);
                // A connection that held for longer than the last wait starts the waits anew.
                let lasted = connection.heard.saturating_sub(connection.since);
                self.backoff = if lasted >= self.backoff.max(min) { min } else { longer };
                if reason.spoils_replica() {
                    self.last_txn = Uuid::ZERO;
                }
                for id in connection.txns.into_keys() {
                    let reply = SessionEvent::TxnReply(TxnId(id), Err(TxnError::Disconnected));
                    self.events.push_back(reply);
                }
                if connection.lock == LockState::Held {
                    self.events.push_back(SessionEvent::LockLost);
                }
                let retry_in = self.backoff;
                self.events.push_back(SessionEvent::Disconnected { reason, retry_in });
            }
        }
        self.link = Link::Backoff { until: now + self.backoff };
    }

    fn deregister(&self, stream: &mut Stream) {
        if let Some((registry, _)) = &self.registry {
            stream.deregister(registry);
        }
    }

    /// Reads, answers, writes and probes.
    fn converse(&mut self, now: Duration) -> Result<(), LinkError> {
        let registered = self.registry.is_some();
        let probe_interval = self.probe_interval();
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        connection.readable |= !registered;
        let ended = connection.read(now)?;
        // The framer is taken out while its messages are handled, for they borrow from it.
        let mut framer = std::mem::take(&mut connection.framer);
        let handled = loop {
            match framer.next_message() {
                Ok(Some(bytes)) => {
                    if let Err(error) = self.handle(bytes) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(LinkError::Frame(error)),
            }
        };
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        connection.framer = framer;
        handled?;
        if ended {
            return Err(LinkError::Closed);
        }
        connection.probe(now, probe_interval)?;
        connection.flush()
    }

    fn handle(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        match connection.hear(bytes)? {
            Heard::Nothing => Ok(()),
            Heard::Update { params, format, with_txn } => {
                if connection.phase != Phase::Following {
                    return Err(LinkError::Protocol("an update before the contents".to_owned()));
                }
                let before = self.db.seqno();
                let mut bad = Vec::new();
                let txn = self
                    .db
                    .apply_notification(params, format, with_txn, &mut bad)
                    .map_err(|error| LinkError::Update(error.to_string()))?;
                self.last_txn = txn;
                self.events.extend(bad.into_iter().map(SessionEvent::BadValue));
                if self.db.seqno() != before {
                    self.changed();
                }
                Ok(())
            }
            Heard::Lock { name, held } => {
                if self.options.lock.as_deref() == Some(&*name) {
                    let lost = connection.lock == LockState::Held && !held;
                    connection.lock = if held { LockState::Held } else { LockState::Waiting };
                    self.events.extend(held.then_some(SessionEvent::Locked));
                    self.events.extend(lost.then_some(SessionEvent::LockLost));
                }
                Ok(())
            }
            Heard::MonitorCanceled => {
                Err(LinkError::Protocol("the server ended the monitor".to_owned()))
            }
            Heard::Reply { id, result } => self.reply(id, result),
        }
    }

    /// One `Changed` stands for all until it is taken.
    fn changed(&mut self) {
        if !self.events.iter().any(|event| matches!(event, SessionEvent::Changed)) {
            self.events.push_back(SessionEvent::Changed);
        }
    }

    fn reply(&mut self, id: u64, result: Result<&RawValue, &RawValue>) -> Result<(), LinkError> {
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        if let Some(infos) = connection.txns.remove(&id) {
            let reply = match result {
                Ok(result) => parse_reply(result.get(), &infos),
                Err(error) => Err(TxnError::Refused(short(error))),
            };
            self.events.push_back(SessionEvent::TxnReply(TxnId(id), reply));
            return Ok(());
        }
        if connection.lock == (LockState::Asked { id }) {
            let held = match result {
                Ok(result) => {
                    #[derive(serde::Deserialize)]
                    struct Lock {
                        locked: bool,
                    }
                    serde_json::from_str::<Lock>(result.get())
                        .map_err(|error| LinkError::Protocol(format!("lock: {error}")))?
                        .locked
                }
                Err(error) => return Err(LinkError::Protocol(format!("lock: {}", short(error)))),
            };
            connection.lock = if held { LockState::Held } else { LockState::Waiting };
            self.events.push_back(if held { SessionEvent::Locked } else { SessionEvent::LockBusy });
            return Ok(());
        }
        match connection.phase {
            Phase::Schema { id: wanted } if wanted == id => self.schema_reply(result),
            Phase::Monitor { id: wanted, method } if wanted == id => {
                self.monitor_reply(method, result)
            }
            // The answer to something that is no longer of interest.
            Phase::Schema { .. } | Phase::Monitor { .. } | Phase::Following => Ok(()),
        }
    }

    fn schema_reply(&mut self, result: Result<&RawValue, &RawValue>) -> Result<(), LinkError> {
        let text = result.map_err(|error| {
            LinkError::Protocol(format!("database {}: {}", self.options.database, short(error)))
        })?;
        let schema = DatabaseSchema::parse(text.get())
            .map_err(|error| LinkError::Protocol(error.to_string()))?;
        let (plan, gaps) = Plan::new(&schema, &self.options.tables);
        self.schema_version = Some(schema.version);
        if plan != self.plan {
            // What newly followed columns hold is not among the changes since then.
            self.last_txn = Uuid::ZERO;
            self.plan = plan;
        }
        self.events.extend(gaps.into_iter().map(SessionEvent::SchemaGap));
        self.monitor(MonitorMethod::Since);
        Ok(())
    }

    fn monitor(&mut self, method: MonitorMethod) {
        let id = self.next_id();
        let mut params = String::from("[");
        ovsdb::value::push_json_string(&mut params, &self.options.database);
        params.push_str(",\"monitor\",");
        params.push_str(&self.plan.monitor_requests());
        if method == MonitorMethod::Since {
            params.push_str(&format!(",\"{}\"", self.last_txn));
        }
        params.push(']');
        if let Link::Connected(connection) = &mut self.link {
            connection.request(id, method.name(), &params);
            connection.phase = Phase::Monitor { id, method };
        }
    }

    fn monitor_reply(
        &mut self,
        method: MonitorMethod,
        result: Result<&RawValue, &RawValue>,
    ) -> Result<(), LinkError> {
        let result = match (result, method.older()) {
            (Ok(result), _) => result,
            (Err(error), Some(older)) if error.get().contains("unknown method") => {
                self.last_txn = Uuid::ZERO;
                self.monitor(older);
                return Ok(());
            }
            (Err(error), _) => {
                return Err(LinkError::Protocol(format!("{}: {}", method.name(), short(error))));
            }
        };
        let update = |error: serde_json::Error| LinkError::Update(error.to_string());
        let before = self.db.seqno();
        let mut bad = Vec::new();
        match method {
            MonitorMethod::Since => {
                let (found, last, tables): (bool, Uuid, &RawValue) =
                    serde_json::from_str(result.get()).map_err(update)?;
                if found {
                    self.db.apply(tables, Format::Difference, &mut bad).map_err(update)?;
                } else {
                    self.db.replace(tables, Format::Difference, &mut bad).map_err(update)?;
                }
                self.last_txn = last;
            }
            MonitorMethod::Cond => {
                self.db.replace(result, Format::Difference, &mut bad).map_err(update)?;
            }
            MonitorMethod::Plain => {
                self.db.replace(result, Format::Whole, &mut bad).map_err(update)?;
            }
        }
        if let Link::Connected(connection) = &mut self.link {
            connection.phase = Phase::Following;
        }
        self.has_data = true;
        self.events.extend(bad.into_iter().map(SessionEvent::BadValue));
        self.events.push_back(SessionEvent::InitialData);
        if self.db.seqno() != before {
            self.changed();
        }
        Ok(())
    }
}

/// An error object as a short text.
fn short(error: &RawValue) -> String {
    error.get().chars().take(256).collect()
}
