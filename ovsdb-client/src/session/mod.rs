//! The session: one connection to a server after the other, and the replica that outlives them.
//!
//! ```text
//!            deadline                writable            _Server, get_schema, monitor answered
//!  Backoff ----------> Connecting ------------> Connected(Server -> Schema -> Monitor -> Following)
//!     ^ |                ^   |                     |
//!     | +-- Lookup ------+   |                     |
//!     | +-- Listening ---+   |                     |
//!     +----------------------+---------------------+   any error: the next server at once; after
//!                                                      the last one twice as long, up to 8 s
//! ```

mod follow;
mod link;
mod repeat;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::{Interest, Registry, Token};
use ovsdb::Uuid;

use crate::TlsSettings;
use crate::cluster::{Cluster, Newest};
use crate::condition::{Filters, RowFilter};
use crate::connection::{Connection, LinkError, LockState, Phase};
use crate::db::{BadValue, Change, Db};
use crate::plan::{Plan, SchemaGap};
use crate::remote::Remotes;
use crate::rows::{Row, Table};
use crate::txn::{Txn, TxnError, TxnId, TxnReply};
use repeat::{Outcome, Repeats};
use stream::reconnect::{Reconnect, Rules, Timing};
use stream::{Listener, Lookup, Stream, Target};
use wire::Time;

/// The events of a connected stream.
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

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
    /// The rows to follow. Default all; [`Session::set_filter`] changes it later.
    pub filters: Filters,
    /// Which members of a clustered database to stay with. Default the leader.
    pub cluster: Cluster,
    /// Tries several servers in an order that depends on this number instead of the order given,
    /// to spread the clients of a fleet. Default the order given.
    pub shuffle: Option<u64>,
    /// What `ssl:` and `pssl:` need. Default nothing.
    pub tls: TlsSettings,
    /// Silence after which the server is probed; as much again without an answer breaks the
    /// connection. Zero turns it off. Default, as upstream: 5 s for TCP and TLS, off for Unix sockets,
    /// whose end is always noticed.
    pub probe_interval: Option<Duration>,
    /// First wait after every server failed once. Default 1 s.
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
            filters: Filters::default(),
            cluster: Cluster::default(),
            shuffle: None,
            tls: TlsSettings::default(),
            probe_interval: None,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(8),
        }
    }
}

/// How long a name may be looked up: resolvers give up before.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence before a server is probed, by default. As upstream's.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

impl Options {
    /// The times of connections to this server.
    fn timing(&self, remote: &Target) -> Timing {
        let default = if remote.needs_probes() { PROBE_INTERVAL } else { Duration::ZERO };
        let probe = self.probe_interval.unwrap_or(default);
        Timing {
            min_backoff: self.min_backoff,
            max_backoff: self.max_backoff,
            resolve: Some(LOOKUP_TIMEOUT),
            probe: (!probe.is_zero()).then_some(probe),
        }
    }
}

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
    /// The replica holds the rows that the filters ask for, after [`Session::set_filter`].
    Filtered,
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
    Backoff,
    /// The server's name is being resolved.
    Lookup(Lookup),
    /// Until the server connects.
    Listening,
    Connecting {
        stream: Stream,
        /// Other addresses of the server, tried if this one does not answer.
        others: Vec<SocketAddr>,
    },
    Connected(Box<Connection>),
}

/// A client of one database, on one server or on one of several.
///
/// With several servers (`tcp:192.0.2.1:6640,tcp:192.0.2.2:6640`) a failure leads to the next one
/// at once; only when all have failed, it waits. The replica outlives the change: from a server of
/// the same cluster only what came since is fetched. [`Options::cluster`] says which members of a
/// cluster are used; a server that is no longer one of them is left.
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
    remotes: Remotes,
    /// Which of them is used, or is tried next.
    at: usize,
    /// The next attempt is the next server's.
    next_server: bool,
    newest: Newest,
    options: Options,
    registry: Option<(Registry, Token)>,
    tls: tls::Context,
    link: Link,
    /// The listening socket of a passive target. It stays open while connected.
    listener: Option<Listener>,
    /// When to connect, to probe and to give up.
    reconnect: Reconnect,
    db: Db,
    has_data: bool,
    plan: Plan,
    schema_version: Option<String>,
    /// The last transaction in the replica, if the server counts them; else zero.
    last_txn: Uuid,
    /// The filters that the server was last told.
    asked: Filters,
    /// The filters that the rows in the replica meet; `None` if that is not known.
    holds: Option<Filters>,
    resumed: u64,
    repeats: Repeats,
    events: VecDeque<SessionEvent>,
    next_id: u64,
}

impl Session {
    /// A session that connects at the first [`Session::run`].
    pub fn new(mut remotes: Remotes, options: Options) -> Session {
        if let Some(seed) = options.shuffle {
            remotes.shuffle(seed);
        }
        let mut reconnect =
            Reconnect::active(Time::ZERO, Rules::Ovsdb, options.timing(&remotes.as_slice()[0]));
        reconnect.set_round(u32::try_from(remotes.as_slice().len()).unwrap_or(u32::MAX));
        Session {
            at: 0,
            next_server: false,
            remotes,
            newest: Newest::default(),
            tls: tls::Context::new(options.tls.clone()),
            options,
            registry: None,
            link: Link::Backoff,
            listener: None,
            reconnect,
            db: Db::default(),
            has_data: false,
            plan: Plan::default(),
            schema_version: None,
            last_txn: Uuid::ZERO,
            asked: Filters::default(),
            holds: None,
            resumed: 0,
            repeats: Repeats::default(),
            events: VecDeque::new(),
            next_id: 1,
        }
    }

    /// Registers the session's socket, and each later one, with a poll.
    ///
    /// # Errors
    ///
    /// The poll's, if it cannot be duplicated or refuses the socket.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let registry = registry.try_clone()?;
        match &mut self.link {
            Link::Connecting { stream, .. } => registry.register(stream, token, BOTH)?,
            Link::Connected(connection) => {
                registry.register(&mut connection.stream, token, BOTH)?;
            }
            Link::Lookup(lookup) => registry.register(lookup, token, Interest::READABLE)?,
            Link::Backoff | Link::Listening => {}
        }
        if let Some(listener) = &mut self.listener {
            registry.register(listener, token, Interest::READABLE)?;
        }
        self.registry = Some((registry, token));
        Ok(())
    }

    /// The address of the server that is used; while there is none, of the one tried last. After a
    /// failure it stays the failed one's until the next attempt.
    pub fn remote(&self) -> &Target {
        &self.remotes.as_slice()[self.at]
    }

    /// All servers' addresses, in the order in which they are tried.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
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

    /// How many connections went on where an earlier one had ended: only what came since was
    /// fetched, not the whole contents.
    pub fn resumed(&self) -> u64 {
        self.resumed
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
        let own = self.reconnect.next_deadline().map(|at| Duration::from_nanos(at.as_nanos()));
        match &self.link {
            Link::Backoff | Link::Lookup(_) | Link::Connecting { .. } | Link::Listening => own,
            // What may be read in one call was read, and there is more.
            Link::Connected(connection) if connection.readable => Some(Duration::ZERO),
            Link::Connected(_) => own.into_iter().chain(self.next_repeat()).min(),
        }
    }

    /// Changes which rows of a table are followed. Rows that no longer meet the filter leave the
    /// replica, others come; [`SessionEvent::Filtered`] says when that is done. Without a
    /// connection it counts from the next one on. A server that knows only `monitor` (upstream
    /// before 2.6) sends every row all the same. To be followed by [`Session::run`].
    pub fn set_filter<R: Row>(&mut self, filter: RowFilter<R>) {
        self.options.filters.set(filter);
        self.change_filters();
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
            Link::Connected(_)
            | Link::Backoff
            | Link::Lookup(_)
            | Link::Listening
            | Link::Connecting { .. } => TxnError::Disconnected,
        };
        self.events.push_back(SessionEvent::TxnReply(txn_id, Err(refused)));
        txn_id
    }

    /// Builds a transaction from the replica and sends it; if it fails because the contents have
    /// changed meanwhile, or because the connection or the leader was lost, builds it anew from
    /// the new contents, until it is done or fails for another reason
    /// ([`TxnError::is_transient`]). The reply comes as [`SessionEvent::TxnReply`] once.
    ///
    /// What `build` relies on it should read with [`Txn::read`]. After a lost connection the last
    /// attempt may be done already: an empty transaction says that nothing is left to do. Without
    /// a connection (or the lock, if [`Options::lock`] is set) it waits for one, so it never
    /// ends by itself; [`Session::cancel`] ends it. To be followed by [`Session::run`].
    pub fn retry(&mut self, build: impl FnMut(&Db) -> Txn + Send + 'static) -> TxnId {
        let id = TxnId(self.next_id());
        self.repeats.add(id, Box::new(build));
        id
    }

    /// Gives up a transaction of [`Session::retry`]; no reply comes. False if it is done already.
    /// One that is on its way may still be done.
    pub fn cancel(&mut self, id: TxnId) -> bool {
        self.repeats.remove(id)
    }

    fn can_transact(&self) -> bool {
        match &self.link {
            Link::Connected(connection) => {
                connection.phase == Phase::Following
                    && (self.options.lock.is_none() || connection.lock == LockState::Held)
            }
            Link::Backoff | Link::Lookup(_) | Link::Listening | Link::Connecting { .. } => false,
        }
    }

    /// When a transaction of [`Session::retry`] is due.
    fn next_repeat(&self) -> Option<Duration> {
        if self.can_transact() { self.repeats.next_deadline(self.db.seqno()) } else { None }
    }

    /// Sends the transactions of [`Session::retry`] that are due.
    fn repeat(&mut self, now: Duration) {
        if !self.can_transact() {
            return;
        }
        let seqno = self.db.seqno();
        for (id, txn) in self.repeats.build_due(&self.db, now) {
            if txn.is_empty() {
                self.repeats.remove(id);
                self.events.push_back(SessionEvent::TxnReply(id, Ok(TxnReply::default())));
                continue;
            }
            let request = self.transact(&txn).0;
            self.repeats.sent(id, request, seqno);
        }
    }

    /// A transaction has its reply.
    fn txn_done(&mut self, request: u64, result: Result<TxnReply, TxnError>, now: Duration) {
        let retry_at = now + self.options.min_backoff;
        let id = match self.repeats.replied(request, &result, retry_at) {
            Outcome::Done(id) => id,
            Outcome::Again => return,
            // One of `transact`, or of a transaction that was canceled.
            Outcome::Unknown => TxnId(request),
        };
        self.events.push_back(SessionEvent::TxnReply(id, result));
    }

    /// Breaks the connection and connects again after a wait, for instance on request.
    pub fn reconnect(&mut self, now: Duration) {
        self.fail(now, LinkError::Asked);
    }
}
