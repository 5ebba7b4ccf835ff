//! `ovsdb-server`: options, daemon, log, control socket, and then the server's loop.

use std::fs::File;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use mio::{Events, Poll, Token, Waker};
use ovsdb_server::Database;
use ovsdb_server::cli::{Config, Options, PROGRAM};
use ovsdb_server::control::{self, Control};
use ovsdb_server::net::{MODULES, OVSDB, Service, TlsSources};
use ovsdb_server::schema::Schema;
use runtime::cli::{Dirs, OVS_VERSION};
use runtime::clock::Clock;
use runtime::coverage;
use runtime::daemon::{self, Signals};
use runtime::log;
use runtime::start::{End, Program, take_signals};
use runtime::unixctl::{Commands, Reply, Server, builtin};

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const UNIXCTL: std::ops::Range<usize> = 2..102;
const SERVICE: usize = 102;

fn main() -> ExitCode {
    let modules = || {
        log::register(MODULES);
        log::register(runtime::modules::ALL);
    };
    Program { name: PROGRAM, log: &OVSDB, modules, parse: Options::parse, run }.main()
}

/// Runs until asked to stop; the signal that asked, if one did.
fn run(options: &Options, dirs: &Dirs) -> End {
    let common = &options.common;
    common.log.apply()?;
    // Before the forks, so that a server that --monitor starts again finds in it what was
    // configured by hand.
    let memory = match options.config_file {
        Some(_) => None,
        None => {
            let name = rustix::fs::MemfdFlags::CLOEXEC;
            let file = File::from(rustix::fs::memfd_create(PROGRAM, name)?);
            options.config.save(&file)?;
            Some(file)
        }
    };
    let ready = daemon::start(&common.daemon, daemon::Privileges::Basic)?;
    // After the last fork: threads do not survive one.
    log::start_writer()?;
    for text in &common.ignored {
        runtime::warn!(OVSDB, "{text}");
    }

    if let Some(file) = options.default.as_ref().filter(|file| !file.exists()) {
        // A host without ovsdb-tool has no other way to get one.
        let schema = Schema::parse(&ovsdb::vswitch::DATABASE.schema().to_json())?;
        Database::create_file(file, &schema)?;
        runtime::info!(OVSDB, "{}: a new database", file.display());
    }

    let mut poll = Poll::new()?;
    let mut signals = Signals::new(poll.registry(), SIGNALS)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let clock = Clock::new();
    let mut service = Service::new(poll.registry().try_clone()?, SERVICE, clock.clone())?;
    service.set_tls(TlsSources::from(&common.tls));
    let mut control =
        Control { config_file: options.config_file.clone(), memory, ..Control::new(service) };
    match &control.memory {
        Some(file) => {
            let config = Config::load(file)?;
            control.apply(&config)?;
        }
        None => control.reload()?,
    }
    control.turn();

    let mut commands = Commands::new();
    builtin::register(
        &mut commands,
        builtin::Hooks {
            clock: clock.clone(),
            time_commands: false,
            exit: |control: &mut Control, _, answer| control.exit = Some(answer),
            memory: |control: &mut Control| control.service.memory(),
        },
    );
    control::register(&mut commands);
    let wake: Arc<dyn Fn() + Send + Sync> = {
        let waker = Arc::clone(&waker);
        Arc::new(move || {
            // Fails only when the poll is gone, at exit.
            let _ = waker.wake();
        })
    };
    let mut server = match dirs.unixctl(PROGRAM, common.unixctl.as_deref()) {
        Some(path) => Some(Server::bind(&path, poll.registry(), UNIXCTL, commands, wake)?),
        None => None,
    };
    let child = match &options.run {
        Some(command) => Some(start(command, waker)?),
        None => {
            runtime::info!(OVSDB, "{PROGRAM} (Open vSwitch) {OVS_VERSION}");
            None
        }
    };
    let pidfile = ready.ready();

    let mut events = Events::with_capacity(256);
    let mut killed = None;
    let mut ended: Option<ExitStatus> = None;
    while control.exit.is_none() && killed.is_none() && ended.is_none() {
        if let Some(server) = &mut server {
            server.run(&mut control, poll.registry());
        }
        control.turn();
        let next_count = coverage::run(clock.now());
        let mut tokens = Vec::new();
        let control_socket = server.as_ref().and_then(Server::timeout);
        let most = [clock.timeout(Some(next_count)), control_socket].into_iter().flatten().min();
        let most = if control.exit.is_some() { Some(Default::default()) } else { most };
        control.service.wait(&mut poll, &mut events, most, |_, token| tokens.push(token))?;
        for token in tokens {
            match token {
                WAKER => {}
                SIGNALS => killed = killed.or(take_signals(&mut signals, &OVSDB)),
                token => {
                    if let Some(server) = &mut server {
                        server.handle_event(&mut control, poll.registry(), token);
                    }
                }
            }
        }
        ended = child.as_ref().and_then(|child| child.try_recv().ok());
    }
    control.service.close();
    drop(pidfile);
    // The answer to `exit` goes out when everything else is done.
    if let Some(answer) = control.exit.take() {
        answer.complete(Reply::Text(String::new()));
    }
    drop(server);
    log::flush();
    match (ended, &options.run) {
        (Some(status), Some(command)) if !status.success() => {
            Err(format!("{command}: child exited, {}", status_text(status)).into())
        }
        _ => Ok(killed),
    }
}

/// Starts the command of `--run`; its exit status goes through the channel.
fn start(
    command: &str,
    waker: Arc<Waker>,
) -> Result<Receiver<ExitStatus>, Box<dyn std::error::Error>> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .spawn()
        .map_err(|error| format!("{command}: process failed to start ({})", posix::text(error)))?;
    let (tell, told) = sync_channel(1);
    std::thread::Builder::new().name("run".to_owned()).spawn(move || {
        if let Ok(status) = child.wait() {
            // Both fail only when the server ends anyway.
            let _ = tell.send(status);
            let _ = waker.wake();
        }
    })?;
    Ok(told)
}

fn status_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed (signal {signal})"),
        (None, None) => status.to_string(),
    }
}
