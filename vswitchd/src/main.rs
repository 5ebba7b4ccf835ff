//! `ovs-vswitchd`: options, daemon, log, clock, threads, and then the main loop.

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use mio::{Events, Poll};
use vswitchd::clock::Clock;
use vswitchd::commands::dummy;
use vswitchd::config::DummyPolicy;
use vswitchd::daemon::{self, Pidfile, Signal, Signals};
use vswitchd::embedded::{self, Embedded};
use vswitchd::log::{self, Level};
use vswitchd::modules::{self, VSWITCHD};
use vswitchd::options::{Dirs, Dummy, OVS_VERSION, Options, PROGRAM, Parsed};
use vswitchd::reactor::{self, Daemon, Exit, SIGNALS, Setup, UNIXCTL, WAKER};
use vswitchd::unixctl::{Server, builtin};
use vswitchd::{coverage, log_at, openflow};

fn main() -> ExitCode {
    log::init(PROGRAM);
    modules::register();
    log::install_panic_hook();
    let dirs = Dirs::from_env();
    let options = match Options::parse(std::env::args_os(), &dirs) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(e) => return fail(&e),
    };
    match run(&options, &dirs) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(signal)) => Signals::die_of(signal),
        Err(e) => fail(&*e),
    }
}

/// What upstream does with a fatal error: a line to the terminal and the log, status 1.
fn fail(e: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{PROGRAM}: {e}");
    log_at!(VSWITCHD, Level::Emer, "{e}");
    log::flush();
    ExitCode::FAILURE
}

/// Runs until asked to stop; the signal that asked, if one did.
fn run(options: &Options, dirs: &Dirs) -> Result<Option<i32>, Box<dyn std::error::Error>> {
    if options.embedded_db.is_some() {
        embedded::make_directories(options, dirs)?;
    }
    set_up_log(options)?;
    let remotes = options.database.parse()?;
    let ready = daemon::start(&options.daemon)?;
    // After the last fork: threads do not survive one.
    log::start_writer()?;
    for text in &options.ignored {
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

    let mut poll = Poll::new()?;
    let mut signals = Signals::new(poll.registry(), SIGNALS)?;
    let clock = Clock::new();
    let setup = Setup {
        remotes,
        tls: options.tls.clone(),
        dummy: match options.dummy {
            Dummy::Off => DummyPolicy::Off,
            Dummy::On => DummyPolicy::On,
            Dummy::Override => DummyPolicy::Override,
            Dummy::System => DummyPolicy::OverrideSystem,
        },
        clock: clock.clone(),
        rundir: dirs.run.clone(),
        version: OVS_VERSION.to_owned(),
    };
    let waker = reactor::waker(&poll)?;
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
    let mut server = match options.unixctl_path(dirs) {
        Some(path) => Some(Server::bind(&path, poll.registry(), UNIXCTL, commands, wake.clone())?),
        None => None,
    };
    clock.set_driver(wake.clone());
    let waiter = clock.waiter(wake);

    let mut ready = Some(ready);
    let mut pidfile: Option<Pidfile> = None;
    let mut events = Events::with_capacity(256);
    let mut killed = None;
    while daemon.exit.is_none() && killed.is_none() {
        let now = waiter.now();
        if daemon.turn() {
            waiter.busy();
        }
        if let Some(database) = database.borrow_mut().as_mut() {
            database.tend(now);
        }
        if daemon.is_ready()
            && let Some(ready) = ready.take()
        {
            pidfile = ready.ready();
            vswitchd::info!(VSWITCHD, "{PROGRAM} (Open vSwitch) {OVS_VERSION}");
        }
        if let Some(server) = &mut server {
            server.run(&mut daemon, poll.registry());
        }
        let next_count = coverage::run(now);
        if daemon.is_settled() {
            waiter.done();
        }
        let sleep = [warp.run(), daemon.timeout(), clock.timeout(Some(next_count))];
        let sleep = sleep.into_iter().flatten().min();
        if daemon.exit.is_some() {
            break;
        }
        reactor::wait(&mut poll, &mut events, sleep)?;
        for event in &events {
            match event.token() {
                WAKER => {}
                SIGNALS => killed = killed.or(take_signals(&mut signals)),
                token if token.0 >= openflow::TOKENS => daemon.openflow_event(event),
                token => match &mut server {
                    Some(server) if server.owns(token) => {
                        server.handle_event(&mut daemon, poll.registry(), token);
                    }
                    Some(_) | None => daemon.session_event(event),
                },
            }
        }
    }
    daemon.stop();
    // Whoever hears that the daemon has ended may open the database.
    drop(database.take());
    if let Some(mut server) = server {
        // The answer to `exit` goes out.
        server.run(&mut daemon, poll.registry());
    }
    drop(pidfile);
    drop(ready);
    log::flush();
    Ok(killed)
}

/// The signal to stop by, if one came.
fn take_signals(signals: &mut Signals) -> Option<i32> {
    let mut killed = None;
    for signal in signals.take() {
        match signal {
            Signal::Exit(number) => killed = Some(number),
            Signal::ReopenLog => {
                if let Some(Err(e)) = log::reopen_file() {
                    vswitchd::err!(VSWITCHD, "cannot reopen the log file ({e})");
                }
            }
        }
    }
    killed
}

fn set_up_log(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    for spec in &options.log.verbose {
        match spec {
            None => log::set_all(),
            Some(spec) => log::set_from_spec(spec)?,
        }
    }
    if let Some(method) = &options.log.syslog_method {
        log::set_syslog_method(method)?;
    }
    if let Some(target) = &options.log.syslog_target {
        log::set_syslog_target(target)?;
    }
    if let Some(path) = &options.log.file {
        log::set_file(path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
