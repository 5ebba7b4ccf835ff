//! The main loop: the database, the control socket, signals, deadlines.
//!
//! ```text
//!              OVSDB server          ovs-appctl           signals
//!                   │                    │                   │
//!                   ▼                    ▼                   ▼
//!   ┌───────────────────────────── main (mio) ─────────────────────────────┐
//!   │ Session ─▶ config::desired ─▶ apply::Switch ─▶ status ─▶ Session     │
//!   └──┬───────────────┬──────────────────┬─────────────────────▲──────────┘
//!      │ configure     │ configure        │ port_add / del      │ updates (latest values), waker
//!      ▼               ▼                  ▼                     │
//!   ┌──────┐ publish ┌──────────┐ miss ┌──────────┐          ┌──┴───┐
//!   │ links│────────▶│ ofproto  │◀─────│ datapath │          │ links│
//!   └──┬───┘ reasons └──────────┘      └────▲─────┘          └──────┘
//!      │                  ┌────────────┐    │ flows
//!      └─────────────────▶│revalidator │────┘
//!                         └────────────┘
//! ```
//!
//! Forwarding and failover do not wait for main. While the database is away everything but
//! configuration goes on, and what has changed meanwhile is written when it is back.
//!
//! | file | contents |
//! |---|---|
//! | `threads` | starting and ending the other threads |
//! | `forwarding` | the configured switch, and what has changed of it |
//! | `openflow` | OpenFlow connections over it |
//! | `status_writer` | transactions with status and statistics |
//! | `commands` | commands that change what main owns |
//! | `memory` | `memory/show` |
//! | `notices` | log lines about configurations, packets and flows |
//! | `packet_clock` | the clock as the packet thread reads it |
//! | `revision` | counting changes |

mod commands;
mod forwarding;
mod memory;
mod notices;
mod openflow;
mod packet_clock;
mod revision;
mod status_writer;
mod threads;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use config::DummyPolicy;
use connmgr::{ConnectionManager, OpenFlowOptions};
use mio::{Events, Poll, Token, Waker};
use ovsdb_client::{Options, Remotes, Session, SessionEvent, TlsSettings};
use wire::Time;

use self::forwarding::Forwarding;
use self::openflow::OpenFlow;
use self::status_writer::StatusWriter;
use self::threads::{Started, Threads};
use crate::apply::Switch;
use crate::clock::Clock;
use crate::commands::Context;
use crate::coverage::Counter;
use crate::identity::Identity;
use crate::modules::{BRIDGE, OVSDB, RECONNECT};
use crate::unixctl::{Commands, Pending, Reply};
use links::Links;

/// The poll's token of the database session.
pub const SESSION: Token = Token(0);
/// The poll's token of [`waker`].
pub const WAKER: Token = Token(1);
/// The poll's token of signals.
pub const SIGNALS: Token = Token(2);
/// The poll's tokens of the control socket.
pub const UNIXCTL: std::ops::Range<usize> = 100..400;
/// The poll's tokens of the embedded database's control socket.
pub const DATABASE_UNIXCTL: std::ops::Range<usize> = 400..500;

/// The database lock that only one daemon holds.
const LOCK: &str = "ovs_vswitchd";

/// The interval between checks for a free port number while an interface waits for one.
const NUMBER_RETRY: Duration = Duration::from_millis(500);

/// Configurations applied.
static RECONFIGURED: Counter = Counter::new("bridge_reconfigure");

/// The parameters of a start.
pub struct Setup {
    /// The database servers.
    pub remotes: Remotes,
    /// TLS of the connection to them.
    pub tls: TlsSettings,
    /// This process serves the database.
    pub embedded: bool,
    /// Which devices are dummies.
    pub dummy: DummyPolicy,
    /// The daemon's clock.
    pub clock: Clock,
    /// OpenFlow connections.
    pub openflow: OpenFlowOptions,
    /// `Open_vSwitch.ovs_version`, if the column is empty.
    pub version: String,
    /// Keys of `Open_vSwitch.external_ids`, if they are missing.
    pub identity: Identity,
}

/// A command that ends the daemon.
pub struct Exit {
    /// `exit --cleanup`: take the devices' ports out of the datapath first.
    pub cleanup: bool,
    /// The command's outstanding answer.
    pub answer: Option<Pending>,
}

/// The main thread's state.
pub struct Daemon {
    /// What commands work with.
    pub context: Context,
    /// Set when the daemon is to end.
    pub exit: Option<Exit>,
    session: Session,
    awaited: notices::Awaited,
    config: ConfigState,
    forwarding: Forwarding,
    openflow: OpenFlow,
    writer: StatusWriter,
    threads: Threads,
}

/// Which configuration is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConfigState {
    /// None: the database's lock was not granted yet, or another daemon holds it.
    NotLocked,
    /// The lock is held and the rows must be read. A configuration from before an interruption of
    /// the connection stays in force until then.
    Unread,
    /// The one with this `Db::config_seqno`.
    InForce(u64),
}

impl Daemon {
    /// Starts the threads. The poll is the caller's.
    ///
    /// # Errors
    ///
    /// The system's, when it has no descriptor or thread left.
    pub fn start(setup: Setup, poll: &Poll, waker: Arc<Waker>) -> io::Result<Daemon> {
        crate::coverage::register(&[&crate::counters::BATCH_GROWN, &RECONFIGURED]);
        crate::counters::register_all();
        let dummies = setup.dummy != DummyPolicy::Off;
        let Started { threads, context, packets } = Threads::start(&setup.clock, dummies, &waker)?;
        let switch = Switch::new(&setup.openflow.rundir);
        let connections = ConnectionManager::new(poll.registry(), setup.openflow, packets)?;
        let options = Options {
            lock: Some(LOCK.to_owned()),
            tls: setup.tls,
            shuffle: Some(threads::random_seed()),
            ..Options::default()
        };
        let mut session = Session::new(setup.remotes, options);
        session.register(poll.registry(), SESSION)?;
        Ok(Daemon {
            context,
            exit: None,
            session,
            awaited: notices::Awaited::new(setup.embedded),
            config: ConfigState::NotLocked,
            forwarding: Forwarding::new(switch, setup.dummy),
            openflow: OpenFlow::new(connections),
            writer: StatusWriter::new(setup.version, setup.identity),
            threads,
        })
    }

    /// The commands that the control socket answers.
    pub fn commands() -> Commands<Daemon> {
        let mut commands = Commands::new();
        crate::commands::register(&mut commands, |daemon: &Daemon| &daemon.context);
        commands::register(&mut commands, |daemon: &mut Daemon| commands::Deps {
            forwarding: &mut daemon.forwarding,
            openflow: &mut daemon.openflow,
            context: &daemon.context,
        });
        commands
    }

    fn now(&self) -> Time {
        self.context.clock.now()
    }

    /// Handles a poll event whose token is at or above [`connmgr::TOKENS`].
    pub fn openflow_event(&mut self, event: &mio::event::Event) {
        self.openflow.connections.on_event(event);
    }

    /// Handles a poll event of the session.
    pub fn session_event(&mut self, event: &mio::event::Event) {
        self.session.on_event(event);
    }

    /// Does all work that is due. True if other threads may have work.
    pub fn turn(&mut self) -> bool {
        crate::counters::update(&self.context.ofproto, &self.context.datapath.stats());
        let mut busy = self.forwarding.collect(&self.context);
        if self.writer.identity_known() {
            self.forwarding.show_again();
        }
        self.session.run(since_start(self.now()));
        while let Some(event) = self.session.poll_event() {
            self.event(event);
        }
        // `Forwarding::read` looks at all rows.
        drop(self.session.take_changes());
        busy |= self.configure();
        busy |= self.openflow.run(self.now(), &mut self.forwarding, &self.context);
        if let ConfigState::InForce(_) = self.config {
            let writable = self.is_writable();
            let (session, forwarding) = (&mut self.session, &mut self.forwarding);
            self.writer.run(writable, session, forwarding, &self.openflow, &self.context);
        }
        // Sends what was queued.
        self.session.run(since_start(self.now()));
        busy
    }

    /// The database is connected and its lock is held.
    fn is_writable(&self) -> bool {
        self.session.is_locked() && self.session.is_following()
    }

    /// How long main may sleep.
    pub fn timeout(&self) -> Option<Duration> {
        let session = self.session.next_deadline().map(|d| Time::ZERO + d);
        let writer = self.writer.next_deadline().filter(|_| self.is_writable());
        let openflow = self.openflow.connections.next_deadline(self.now());
        let waits_for_number = self.forwarding.switch.is_out_of_numbers();
        let number = waits_for_number.then(|| self.now() + NUMBER_RETRY);
        let next = [session, writer, openflow, number].into_iter().flatten().min();
        self.context.clock.timeout(next)
    }

    fn event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Connected => {
                self.awaited.answered();
                crate::info!(RECONNECT, "{}: connected", self.session.remote(); "target" => self.session.remote().to_string());
            }
            SessionEvent::ConnectFailed { reason, retry_in } => {
                crate::info!(
                    RECONNECT,
                    "{}: connection attempt failed ({reason})",
                    self.session.remote(); "target" => self.session.remote().to_string());
                crate::dbg!(RECONNECT, "waiting {retry_in:?} before the next attempt");
                self.awaited.failed(&self.session.remote().to_string());
            }
            SessionEvent::Disconnected { reason, retry_in } => {
                crate::info!(RECONNECT, "{}: connection closed ({reason})", self.session.remote(); "target" => self.session.remote().to_string());
                crate::dbg!(RECONNECT, "waiting {retry_in:?} before the next attempt");
            }
            SessionEvent::InitialData | SessionEvent::Filtered | SessionEvent::Changed => {
                self.forwarding.show_again();
            }
            SessionEvent::Locked => {
                // Another daemon may have written the rows meanwhile.
                self.config = ConfigState::Unread;
                self.forwarding.show_again();
            }
            SessionEvent::LockBusy => self.yield_lock(),
            // The lock ended with the connection; no other daemon has asked for it.
            SessionEvent::LockLost if !self.session.is_following() => {}
            SessionEvent::LockLost => self.yield_lock(),
            // An older server; columns that it lacks keep their defaults.
            SessionEvent::SchemaGap(gap) => crate::info!(OVSDB, "{gap}"),
            SessionEvent::BadValue(bad) => crate::warn!(OVSDB, "{bad}"),
            SessionEvent::TxnReply(id, result) => {
                self.writer.reply(id, result.map(drop), self.context.clock.now());
            }
        }
    }

    /// Another daemon runs this database's switch: this one gives up its bridges.
    fn yield_lock(&mut self) {
        crate::err!(
            BRIDGE,
            "another ovs-vswitchd process is running, disabling this process (pid {}) until it \
             goes away",
            std::process::id()
        );
        self.config = ConfigState::NotLocked;
        self.forwarding.release(&self.context);
        self.openflow.configure(self.now(), &mut self.forwarding, &self.context);
    }

    /// Applies the rows if they, or the devices, have changed; whether it did.
    fn configure(&mut self) -> bool {
        if self.config == ConfigState::NotLocked || !self.session.has_data() {
            return false;
        }
        let seqno = self.session.db().config_seqno();
        if self.config != ConfigState::InForce(seqno) {
            // A replica that is being filled lacks bridges that exist.
            if !self.session.is_following() {
                return false;
            }
            self.config = ConfigState::InForce(seqno);
            if self.forwarding.read(self.session.db(), &self.context) {
                self.writer.restart_statistics();
            }
        } else if !self.forwarding.devices_changed() {
            return false;
        }
        self.forwarding.apply(&self.context);
        self.openflow.configure(self.now(), &mut self.forwarding, &self.context);
        RECONFIGURED.add(1);
        true
    }

    /// No transaction of this daemon is under way.
    pub fn is_settled(&self) -> bool {
        self.writer.in_flight() == 0 || !self.session.is_following()
    }

    /// The first configuration is in force and written back.
    pub fn is_ready(&self) -> bool {
        self.writer.is_ready()
    }

    /// Ends the threads. Devices that the switch has made stay, unless it is to clean up.
    pub fn stop(&mut self) {
        if self.exit.as_ref().is_some_and(|e| e.cleanup) {
            self.forwarding.clear(&self.context);
        }
        // The next daemon needs them at once; other ports forward until the process ends.
        self.forwarding.switch.close_own_devices(&*self.context.datapath);
        self.threads.stop(&self.context);
        if let Some(answer) = self.exit.take().and_then(|e| e.answer) {
            answer.complete(Reply::Text(String::new()));
        }
    }

    /// `memory/show`.
    pub fn memory(&mut self) -> Vec<(String, u64)> {
        memory::usage(
            self.session.db(),
            &self.forwarding,
            &self.openflow,
            &self.writer,
            &self.context,
        )
    }

    /// The links thread, for tests.
    pub fn links(&self) -> &Links {
        &self.context.links
    }
}

fn since_start(now: Time) -> Duration {
    Duration::from_nanos(now.as_nanos())
}

/// Wakes the main thread's poll from any thread.
///
/// # Errors
///
/// The system has no descriptor left.
pub fn waker(poll: &Poll) -> io::Result<Arc<Waker>> {
    Ok(Arc::new(Waker::new(poll.registry(), WAKER)?))
}

/// Polls once. An interruption by a signal is no error.
///
/// # Errors
///
/// The system's.
pub fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}
