//! `ovs-vswitchd`: options, daemon, log, clock, threads, and then the main loop.

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use config::DummyPolicy;
use mio::{Events, Poll};
use ovsdb_client::Remotes;
use runtime::start::{End, Program, take_signals};
use vswitchd::clock::Clock;
use vswitchd::commands::dummy;
use vswitchd::coverage;
use vswitchd::daemon::{self, Pidfile, Signals};
use vswitchd::embedded::{self, Embedded};
use vswitchd::identity::Identity;
use vswitchd::log;
use vswitchd::modules::{self, VSWITCHD};
use vswitchd::options::{Dirs, Dummy, OVS_VERSION, Options, PROGRAM};
use vswitchd::reactor::{self, DATABASE_UNIXCTL, Daemon, Exit, SIGNALS, Setup, UNIXCTL, WAKER};
use vswitchd::unixctl::{Server, builtin};

fn main() -> ExitCode {
    let modules = modules::register;
    Program { name: PROGRAM, log: &VSWITCHD, modules, parse: Options::parse, run }.main()
}

/// Runs until asked to stop; the signal that asked, if one did.
fn run(options: &Options, dirs: &Dirs) -> End {
    if options.embedded_db.is_some() {
        embedded::make_directories(options, dirs)?;
    }
    let common = &options.common;
    common.log.apply()?;
    let remotes = options.database.parse::<Remotes>()?.below(&dirs.run);
    let ready = daemon::start(&common.daemon, daemon::Privileges::Network)?;
    // After the last fork: threads do not survive one.
    log::start_writer()?;
    for text in &common.ignored {
        vswitchd::warn!(VSWITCHD, "{text}");
    }
    if options.mlockall
        && let Err(e) = daemon::lock_memory()
    {
        vswitchd::err!(VSWITCHD, "mlockall failed: {e}");
    }

    let database = match &options.embedded_db {
        Some(file) => Some(Embedded::start(file, options, dirs)?),
        None => None,
    };
    // The control socket's commands for it need it too.
    let database = Rc::new(RefCell::new(database));

    raise_descriptor_limit();
    let mut poll = Poll::new()?;
    let mut signals = Signals::new(poll.registry(), SIGNALS)?;
    let clock = Clock::new();
    let waker = reactor::waker(&poll)?;
    let named = waker.clone();
    let setup = Setup {
        remotes,
        tls: common.tls.clone(),
        embedded: options.embedded_db.is_some(),
        dummy: match options.dummy {
            Dummy::Off => DummyPolicy::Off,
            Dummy::On => DummyPolicy::On,
            Dummy::Override => DummyPolicy::Override,
            Dummy::System => DummyPolicy::OverrideSystem,
        },
        clock: clock.clone(),
        openflow: connmgr::OpenFlowOptions {
            rundir: dirs.run.clone(),
            version: OVS_VERSION.to_owned(),
            tls: options.common.tls.clone(),
            unconfined: options.unconfined,
            log_module: modules::by_name,
        },
        version: OVS_VERSION.to_owned(),
        identity: Identity::new(&dirs.run, &dirs.sysconf, move || {
            // Fails only when the poll is gone, at exit.
            let _ = named.wake();
        }),
    };
    let mut daemon = Daemon::start(setup, &poll, waker.clone())?;
    let mut commands = Daemon::commands();
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        // Fails only when the poll is gone, at exit.
        let _ = waker.wake();
    });
    let warp = builtin::register(
        &mut commands,
        builtin::Hooks {
            clock: clock.clone(),
            time_commands: options.dummy != Dummy::Off,
            exit: |daemon: &mut Daemon, cleanup, answer| {
                daemon.exit = Some(Exit { cleanup, answer: Some(answer) });
            },
            memory: |daemon: &mut Daemon| daemon.memory(),
        },
    );
    if options.dummy != Dummy::Off {
        dummy::register(&mut commands, &warp, |daemon: &Daemon| &daemon.context);
    }
    if options.embedded_db.is_some() {
        embedded::register(&mut commands, &database);
    }
    let mut servers = Vec::new();
    if let Some(path) = options.unixctl_path(dirs) {
        // `ovs-appctl -t ovsdb-server` finds what it would find of a server of its own.
        if options.embedded_db.is_some() {
            let path = embedded::unixctl_path(dirs);
            let commands = embedded::commands(&database);
            servers.push(Server::bind(
                &path,
                poll.registry(),
                DATABASE_UNIXCTL,
                commands,
                wake.clone(),
            )?);
        }
        servers.push(Server::bind(&path, poll.registry(), UNIXCTL, commands, wake.clone())?);
    }
    clock.set_driver(wake.clone());
    let participant = clock.register(wake);

    let mut ready = Some(ready);
    let mut pidfiles: Vec<Pidfile> = Vec::new();
    let mut events = Events::with_capacity(256);
    let mut killed = None;
    while daemon.exit.is_none() && killed.is_none() {
        let now = participant.now();
        if daemon.turn() {
            participant.busy();
        }
        if let Some(database) = database.borrow_mut().as_mut() {
            database.supervise(now);
        }
        if daemon.is_ready()
            && let Some(ready) = ready.take()
        {
            pidfiles.extend(ready.ready());
            if options.embedded_db.is_some() && !pidfiles.is_empty() {
                pidfiles.extend(embedded::pidfile(options, dirs));
            }
            vswitchd::info!(VSWITCHD, "{PROGRAM} (Open vSwitch) {OVS_VERSION}");
        }
        for server in &mut servers {
            server.run(&mut daemon, poll.registry());
        }
        let next_count = coverage::run(now);
        if daemon.is_settled() {
            participant.done();
        }
        let sleep = [warp.run(), daemon.timeout(), clock.timeout(Some(next_count))];
        let control = servers.iter().map(Server::timeout);
        let sleep = sleep.into_iter().chain(control).flatten().min();
        if daemon.exit.is_some() {
            break;
        }
        reactor::wait(&mut poll, &mut events, sleep)?;
        for event in &events {
            match event.token() {
                WAKER => {}
                SIGNALS => killed = killed.or(take_signals(&mut signals, &VSWITCHD)),
                token if token.0 >= connmgr::TOKENS => daemon.openflow_event(event),
                token => match servers.iter_mut().find(|server| server.owns(token)) {
                    Some(server) => server.handle_event(&mut daemon, poll.registry(), token),
                    None => daemon.session_event(event),
                },
            }
        }
    }
    daemon.stop();
    // Whoever hears that the daemon has ended may open the database.
    drop(database.take());
    for mut server in servers {
        // The answer to `exit` goes out.
        server.run(&mut daemon, poll.registry());
    }
    drop(pidfiles);
    drop(ready);
    log::flush();
    Ok(killed)
}

/// Each bond member takes three descriptors and the soft limit is often 1024, for the sake of
/// programs that use select(2). The hard limit is what the administrator allows.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(e) = raised {
        vswitchd::warn!(VSWITCHD, "cannot raise the limit of open files ({})", e.desc());
    }
}
