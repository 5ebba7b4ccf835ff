//! The main loop: the database, the control socket, signals, deadlines.
//!
//! ```text
//!              OVSDB server          ovs-appctl           signals
//!                   │                    │                   │
//!                   ▼                    ▼                   ▼
//!   ┌───────────────────────────── main (mio) ─────────────────────────────┐
//!   │ Session ─▶ config::desired ─▶ apply::Switch ─▶ status ─▶ Session     │
//!   └──┬───────────────┬──────────────────┬─────────────────────▲──────────┘
//!      │ configure     │ configure        │ port_add / del      │ letters (latest values), waker
//!      ▼               ▼                  ▼                     │
//!   ┌──────┐ publish ┌──────────┐ miss ┌──────────┐          ┌──┴───┐
//!   │ links│────────▶│ ofproto  │◀─────│ datapath │          │ links│
//!   └──┬───┘ reasons └──────────┘      └────▲─────┘          └──────┘
//!      │                  ┌────────────┐    │ flows
//!      └─────────────────▶│revalidator │────┘
//!                         └────────────┘
//! ```
//!
//! Main may be slow; nobody but the operator waits for it. While the database is away everything
//! but configuration goes on, and what was learned meanwhile is written when it is back.

mod memory;
mod notices;
mod packet_clock;
mod writing;

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use connmgr::{ConnectionManager, PacketQueue};
use datapath::userspace::Userspace;
use datapath::{Datapath, PortNo};
use mio::{Events, Poll, Token, Waker};
use ovsdb_client::{Options, Remotes, Session, SessionEvent, TlsSettings, TxnId};
use parking_lot::Mutex;
use wire::Time;

use crate::apply::{Parts, Switch};
use crate::clock::Clock;
use crate::commands::{self, Context, Dummy, View};
use crate::coverage::Counter;
use crate::identity::Identity;
use crate::links::{self, Links};
use crate::modules::{BRIDGE, OVSDB, RECONNECT};
use crate::openflow_host::{self, Hosts};
use crate::revalidator::{self, Queue};
use crate::status::Status;
use crate::unixctl::{Commands, Pending};
use config::{Desired, DummyPolicy, desired_after};

/// The poll's tokens.
pub const SESSION: Token = Token(0);
pub const WAKER: Token = Token(1);
pub const SIGNALS: Token = Token(2);
pub const UNIXCTL: std::ops::Range<usize> = 100..400;
/// Of the control socket that an embedded database has.
pub const DATABASE_UNIXCTL: std::ops::Range<usize> = 400..500;

/// The lock that keeps two daemons off one database.
const LOCK: &str = "ovs_vswitchd";

/// How often it is asked whether a port number is free again, when none was.
const NUMBER_RETRY: Duration = Duration::from_millis(500);

/// Batches of packets that had to grow. Ours are of fixed size: it stays 0, which is what whoever
/// asks for it (Open vSwitch's own tests do, after each) wants to hear.
static BATCH_GROWN: Counter = Counter::new("dp_packet_batch_grow");

/// Configurations applied.
static RECONFIGURED: Counter = Counter::new("bridge_reconfigure");

/// What the daemon is started with.
pub struct Setup {
    /// The database servers, with what TLS needs.
    pub remotes: Remotes,
    pub tls: TlsSettings,
    /// This process serves the database.
    pub embedded: bool,
    pub dummy: DummyPolicy,
    pub clock: Clock,
    pub openflow: connmgr::OpenFlowOptions,
    /// What goes to `Open_vSwitch.ovs_version` where nobody else writes it.
    pub version: String,
    /// What goes to `Open_vSwitch.external_ids` where nobody else writes it.
    pub identity: Identity,
}

/// A command that ends the daemon.
pub struct Exit {
    /// `exit --cleanup`: take the devices' ports out of the datapath first.
    pub cleanup: bool,
    pub answer: Option<Pending>,
}

/// Main's state.
pub struct Daemon {
    pub context: Context,
    pub exit: Option<Exit>,
    session: Session,
    awaited: notices::Awaited,
    switch: Switch,
    status: Status,
    openflow: ConnectionManager,
    /// Ports may differ from what controllers were told.
    ports_stale: bool,
    desired: Desired,
    dummy: DummyPolicy,
    version: String,
    identity: Identity,
    ready: bool,
    /// `Db::config_seqno` that `desired` was made of.
    seen: Option<u64>,
    /// `flow-restore-wait` has been set since the start: nothing is forwarded, no controller is
    /// connected. Once it is not set this stays false, whatever the database says.
    restoring: bool,
    /// No other daemon has the lock.
    ours: bool,
    /// Devices changed since the last apply.
    stale: bool,
    /// Status may differ from the database.
    dirty: bool,
    /// A configuration is in force that `cur_cfg` does not tell of yet.
    applied: bool,
    in_flight: Option<Flight>,
    /// Not before: a transaction was refused.
    retry_at: Option<Time>,
    next_stats: Option<Time>,
    stats_in_flight: Option<TxnId>,
    threads: Vec<JoinHandle<()>>,
}

struct Flight {
    id: TxnId,
    first: bool,
}

impl Daemon {
    /// Starts the threads. The poll is the caller's.
    ///
    /// # Errors
    ///
    /// The system's, when it has no descriptor or thread to give.
    pub fn start(setup: Setup, poll: &Poll, waker: Arc<Waker>) -> io::Result<Daemon> {
        crate::coverage::register(&[&BATCH_GROWN, &RECONFIGURED]);
        crate::counters::start();
        let clock = setup.clock.clone();
        let ofproto = ofproto::Ofproto::new();
        // Until the database has said that nobody restores flows.
        ofproto.hold(true);
        let time =
            Arc::new(packet_clock::PacketClock { clock: clock.clone(), waiter: OnceLock::new() });
        let (userspace, worker) = Userspace::new(ofproto.clone(), time.clone(), random_seed())?;
        let _ = time.waiter.set(clock.waiter(Arc::new(userspace.waker())));
        let datapath: Arc<dyn Datapath> = Arc::new(userspace);
        ofproto.attach(datapath.clone());
        // Weak: the switch must not keep its datapath alive.
        let tables = Arc::downgrade(&datapath);
        let packet_clock = time.clone();
        // Dummies' packets are the main thread's, as upstream's log has it.
        let as_main = setup.dummy != DummyPolicy::Off;
        let dpif = if as_main { "dummy@ovs-dummy" } else { "system@ovs-system" };
        ofproto.set_flow_watcher(Box::new(move |event, flow| {
            notices::log_flow(&tables, dpif, || datapath::Clock::now(&*packet_clock), event, flow);
        }));
        ofproto.set_reporter(Box::new(notices::log_report));
        // Ends with the process: the switch forwards until the last moment.
        std::thread::Builder::new().name("datapath1".to_owned()).spawn(move || {
            if as_main {
                crate::log::set_subprogram("");
            }
            worker.run();
        })?;
        let queue = Queue::default();
        let revalidator =
            revalidator::spawn(queue.clone(), ofproto.clone(), datapath.clone(), clock.clone())?;
        let (links, handle) = links::spawn(links::Setup {
            clock: clock.clone(),
            datapath: datapath.clone(),
            ofproto: ofproto.clone(),
            revalidator: queue.clone(),
            main: waker.clone(),
            queries: Box::new(links::KernelQueries),
        })?;
        let packets = PacketQueue::new(waker);
        ofproto.set_packet_in_sink(packets.clone());
        let switch = Switch::new(&setup.openflow.rundir);
        let openflow = ConnectionManager::new(poll.registry(), setup.openflow, packets)?;
        let options = Options {
            lock: Some(LOCK.to_owned()),
            tls: setup.tls,
            shuffle: Some(random_seed()),
            ..Options::default()
        };
        let mut session = Session::new(setup.remotes, options);
        session.register(poll.registry(), SESSION)?;
        let view = Arc::new(Mutex::new(View::default()));
        let spares = commands::spare::Spares::new(setup.dummy != DummyPolicy::Off);
        Ok(Daemon {
            context: Context {
                clock,
                links,
                ofproto,
                datapath,
                revalidator: queue,
                view,
                spares,
                cleared: commands::pmd::Cleared::default(),
            },
            exit: None,
            session,
            awaited: notices::Awaited::new(setup.embedded),
            switch,
            status: Status::default(),
            openflow,
            ports_stale: false,
            desired: Desired::default(),
            dummy: setup.dummy,
            version: setup.version,
            identity: setup.identity,
            ready: false,
            seen: None,
            restoring: true,
            ours: false,
            stale: false,
            dirty: false,
            applied: false,
            in_flight: None,
            retry_at: None,
            next_stats: None,
            stats_in_flight: None,
            threads: vec![handle, revalidator],
        })
    }

    /// The commands that the control socket answers.
    pub fn commands() -> Commands<Daemon> {
        let mut commands = Commands::new();
        commands::register(&mut commands, |daemon: &Daemon| &daemon.context);
        commands.register("dpctl/del-if", "dp iface...", 2, usize::MAX, |daemon, req| {
            use crate::unixctl::Reply;
            match daemon.remove_ports(&req.args[0], &req.args[1..]) {
                Ok(()) => Reply::Text(String::new()),
                Err(text) => Reply::Error(text),
            }
        });
        commands.register(
            "dpif-dummy/change-port-number",
            "dp port new-number",
            3,
            3,
            |daemon, req| {
                use crate::unixctl::Reply;
                match daemon.renumber_port(&req.args[0], &req.args[1], &req.args[2]) {
                    Ok(()) => Reply::Text(String::new()),
                    Err(text) => Reply::Error(text.to_owned()),
                }
            },
        );
        commands.register("bridge/reconnect", "[bridge]", 0, 1, |daemon, req| {
            use crate::unixctl::Reply;
            match req.args.first() {
                Some(name) if !daemon.context.ofproto.list().contains(name) => {
                    Reply::Error("Unknown bridge".to_owned())
                }
                only => {
                    daemon.reconnect(only.map(String::as_str));
                    Reply::Text(String::new())
                }
            }
        });
        commands
    }

    fn now(&self) -> Time {
        self.context.clock.now()
    }

    /// Takes note of a poll event whose token is at or above [`connmgr::TOKENS`].
    pub fn openflow_event(&mut self, event: &mio::event::Event) {
        self.openflow.on_event(event);
    }

    /// Takes note of a poll event of the session.
    pub fn session_event(&mut self, event: &mio::event::Event) {
        self.session.on_event(event);
    }

    /// One turn: everything that can be done now. True if others may have to go on with it.
    pub fn turn(&mut self) -> bool {
        crate::counters::update(&self.context.ofproto);
        let mut busy = self.read_letters();
        if self.switch.dummies_changed() {
            self.stale = true;
            self.dirty = true;
            self.ports_stale = true;
        }
        self.dirty |= self.identity.named();
        self.stale |= self.switch.numbers_freed(&self.context.ofproto);
        self.session.run(since_start(self.now()));
        while let Some(event) = self.session.poll_event() {
            self.event(event);
        }
        // The changes are looked at as a whole.
        drop(self.session.take_changes());
        busy |= self.configure();
        busy |= self.run_openflow();
        self.write_status();
        self.write_statistics();
        // What was queued goes out in this turn.
        self.session.run(since_start(self.now()));
        busy
    }

    /// How long main may sleep.
    pub fn timeout(&self) -> Option<Duration> {
        let session = self.session.next_deadline().map(|d| Time::ZERO + d);
        // Without a connection there is nothing to try again.
        let writable = self.session.is_following() && self.session.is_locked();
        let retry = self.retry_at.filter(|_| writable && (self.dirty || self.applied));
        let stats = self.next_stats.filter(|_| self.stats_in_flight.is_none() && writable);
        let openflow = self.openflow.next_deadline(self.now());
        let number = self.switch.is_out_of_numbers().then(|| self.now() + NUMBER_RETRY);
        let next = [session, retry, stats, openflow, number].into_iter().flatten().min();
        self.context.clock.timeout(next)
    }

    fn read_letters(&mut self) -> bool {
        let letters = self.context.links.outbox.take();
        if letters.is_empty() {
            return false;
        }
        self.status.take(&letters);
        self.ports_stale = true;
        self.stale |= self.switch.devices_removed(&letters.removed);
        for (name, news) in &letters.links {
            self.stale |= self.switch.link_news(name, news);
        }
        self.dirty = true;
        true
    }

    fn event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Connected => {
                self.awaited.answered();
                crate::info!(RECONNECT, "{}: connected", self.session.remote());
            }
            SessionEvent::ConnectFailed { reason, retry_in } => {
                crate::info!(
                    RECONNECT,
                    "{}: connection attempt failed ({reason})",
                    self.session.remote()
                );
                crate::dbg!(RECONNECT, "waiting {retry_in:?} before the next attempt");
                self.awaited.failed(&self.session.remote().to_string());
            }
            SessionEvent::Disconnected { reason, retry_in } => {
                crate::info!(RECONNECT, "{}: connection closed ({reason})", self.session.remote());
                crate::dbg!(RECONNECT, "waiting {retry_in:?} before the next attempt");
            }
            SessionEvent::InitialData | SessionEvent::Filtered | SessionEvent::Changed => {
                self.dirty = true;
            }
            SessionEvent::Locked => {
                self.ours = true;
                // What another daemon may have written meanwhile is not what is here.
                self.seen = None;
                self.dirty = true;
            }
            SessionEvent::LockBusy => self.stand_aside(),
            // With the connection the lock is gone too, but nobody else has asked for it.
            SessionEvent::LockLost if !self.session.is_following() => {}
            SessionEvent::LockLost => self.stand_aside(),
            // An older server; what it lacks keeps its default.
            SessionEvent::SchemaGap(gap) => crate::info!(OVSDB, "{gap}"),
            SessionEvent::BadValue(bad) => crate::warn!(OVSDB, "{bad}"),
            SessionEvent::TxnReply(id, result) => self.reply(id, result.map(drop)),
        }
    }

    /// Another daemon runs this database's switch.
    fn stand_aside(&mut self) {
        crate::err!(
            BRIDGE,
            "another ovs-vswitchd process is running, disabling this process (pid {}) until it \
             goes away",
            std::process::id()
        );
        self.ours = false;
        self.seen = None;
        let context = self.context.clone();
        self.switch.release(&parts(&context));
        self.desired = Desired::default();
        self.configure_openflow();
        self.applied = false;
    }

    /// Calls `f` with OpenFlow and what it finds the switch by.
    fn with_openflow<R>(&mut self, f: impl FnOnce(&mut ConnectionManager, &Hosts<'_>) -> R) -> R {
        let hosts = Hosts {
            switch: &self.switch,
            ofproto: &self.context.ofproto,
            datapath: &*self.context.datapath,
            admin: RefCell::default(),
        };
        let result = f(&mut self.openflow, &hosts);
        for (name, up) in hosts.admin.into_inner() {
            self.switch.set_admin(&name, up);
            self.dirty = true;
            self.ports_stale = true;
        }
        result
    }

    fn configure_openflow(&mut self) {
        let now = self.now();
        let ports = openflow_host::ports(&self.switch, &mut self.status);
        self.ports_stale = false;
        let desired = std::mem::take(&mut self.desired);
        let config = openflow_host::config(&desired, &self.switch, self.restoring);
        self.with_openflow(|o, hosts| o.configure(now, &config, ports, hosts));
        self.desired = desired;
    }

    /// One turn of OpenFlow. True if others may have to go on with it.
    fn run_openflow(&mut self) -> bool {
        let now = self.now();
        self.tell_ports(now);
        let busy = self.with_openflow(|o, hosts| o.run(now, hosts));
        // A controller may have brought one down.
        self.tell_ports(now);
        self.dirty |= self.openflow.take_status_changed();
        busy
    }

    fn tell_ports(&mut self, now: Time) {
        if std::mem::take(&mut self.ports_stale) {
            let ports = openflow_host::ports(&self.switch, &mut self.status);
            self.with_openflow(|o, hosts| o.ports_changed(now, ports, hosts));
        }
    }

    fn reconnect(&mut self, only: Option<&str>) {
        let now = self.now();
        self.with_openflow(|o, hosts| o.reconnect(now, only, hosts));
    }

    /// Nothing that this daemon writes is on its way to the database.
    pub fn is_settled(&self) -> bool {
        (self.in_flight.is_none() && self.stats_in_flight.is_none()) || !self.session.is_following()
    }

    /// `dpctl/del-if`: takes ports out of the datapath behind the configuration's back. They come
    /// back when something is configured the next time.
    fn remove_ports(&mut self, datapath: &str, ports: &[String]) -> Result<(), String> {
        let context = self.context.clone();
        if let Some(done) = context.spares.remove_ports(datapath, ports) {
            return done;
        }
        if !context.ofproto.dpif_show().iter().any(|d| d.name == datapath) {
            return Err("ovs-vswitchd: opening datapath (No such device)\n".to_owned());
        }
        let mut errors = String::new();
        for port in ports {
            let number = port.parse().ok().map(PortNo);
            if !self.switch.lose(port, number, &self.desired, &parts(&context)) {
                errors += &format!("ovs-vswitchd: no port named {port}\n");
            }
        }
        *self.context.view.lock() = self.view();
        self.dirty = true;
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// `dpif-dummy/change-port-number`: gives a port of the dummy datapath another number.
    fn renumber_port(
        &mut self,
        datapath: &str,
        port: &str,
        number: &str,
    ) -> Result<(), &'static str> {
        let context = self.context.clone();
        let dummy = self.dummy != DummyPolicy::Off && datapath == "ovs-dummy";
        if !dummy || context.ofproto.dpif_show().is_empty() {
            return Err("unknown datapath or not a dummy");
        }
        // What is no number counts as 0, as it does there.
        let to = PortNo(number.parse().unwrap_or(0));
        self.switch.move_port(port, to, &self.desired, &parts(&context))?;
        *context.view.lock() = self.view();
        self.dirty = true;
        Ok(())
    }

    /// The first configuration is in force and written back.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Applies the rows if they, or the devices, have changed; whether it did.
    fn configure(&mut self) -> bool {
        if !self.ours || !self.session.has_data() {
            return false;
        }
        let seqno = self.session.db().config_seqno();
        let fresh = self.seen != Some(seqno);
        if fresh {
            // A replica that is being filled would take bridges away.
            if !self.session.is_following() {
                return false;
            }
            self.seen = Some(seqno);
            let wanted = desired_after(self.session.db(), self.dummy, &self.desired);
            notices::log_new_warnings(&self.desired.warnings, &wanted.warnings);
            notices::log_new_complaints(&self.desired, &wanted);
            if wanted.switch.stats_interval != self.desired.switch.stats_interval {
                self.next_stats = None;
            }
            if wanted.switch != self.desired.switch {
                self.context.revalidator.set_options(wanted.switch.revalidator());
            }
            if self.restoring && !wanted.switch.flow_restore_wait {
                self.restoring = false;
                self.context.ofproto.hold(false);
            }
            self.desired = wanted;
            self.switch.set_database(self.session.db().open_vswitch.keys().next().copied());
            self.applied = true;
            self.dirty = true;
        }
        if fresh || self.stale {
            self.stale = false;
            let context = self.context.clone();
            self.switch.apply(&self.desired, &parts(&context));
            self.configure_openflow();
            RECONFIGURED.add(1);
            *self.context.view.lock() = self.view();
            self.dirty = true;
            return true;
        }
        false
    }

    fn view(&self) -> View {
        let mut view = View { warnings: self.desired.warnings.clone(), ..View::default() };
        for (name, a) in &self.switch.attached {
            if let Some(port) = a.dummy.clone() {
                view.dummies.insert(name.clone(), Dummy { port, queues: a.queues });
            }
            if let Some(port_no) = a.port_no {
                let kind = a.kind.name().to_owned();
                view.ports.insert(port_no, (name.clone(), kind));
                view.bridges.entry(a.bridge.clone()).or_default().push(port_no);
            }
        }
        view
    }

    /// Ends the threads. Devices that the switch has made stay, unless it is to clean up.
    pub fn stop(&mut self) {
        if self.exit.as_ref().is_some_and(|e| e.cleanup) {
            let context = self.context.clone();
            self.switch.clear(&parts(&context));
        }
        // The next daemon needs them at once; other ports forward until the end.
        self.switch.close_own_devices(&*self.context.datapath);
        self.context.links.stop();
        self.context.revalidator.stop();
        for thread in self.threads.drain(..) {
            // A panic in one has ended the process (`runtime::panic`).
            let _ = thread.join();
        }
        if let Some(answer) = self.exit.take().and_then(|e| e.answer) {
            answer.complete(crate::unixctl::Reply::Text(String::new()));
        }
    }

    /// The links thread, for those who test it.
    pub fn links(&self) -> &Links {
        &self.context.links
    }
}

fn parts(context: &Context) -> Parts<'_> {
    Parts {
        datapath: &context.datapath,
        links: &context.links,
        ofproto: &context.ofproto,
        now: context.clock.now(),
    }
}

fn since_start(now: Time) -> Duration {
    Duration::from_nanos(now.as_nanos())
}

/// Different in each run, so that nobody can aim at one slot of the caches.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// What wakes main's poll from any thread.
///
/// # Errors
///
/// The system has no descriptor to give.
pub fn waker(poll: &Poll) -> io::Result<Arc<Waker>> {
    Ok(Arc::new(Waker::new(poll.registry(), WAKER)?))
}

/// One poll; interruptions by signals are no errors.
pub fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}
