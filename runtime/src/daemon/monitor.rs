//! `--monitor`: a process that waits for the daemon and starts it again when it crashes.

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::error::{DaemonError, system};
use super::fork::{Died, Forked, Notify, close_standard_fds, fork_and_wait, wait};
use crate::log;
use crate::modules::DAEMON as LOG;

/// Between two restarts.
const PAUSE: Duration = Duration::from_secs(10);

/// A death by one of these is a crash; by any other the daemon was meant to stop.
const CRASHES: [Signal; 9] = [
    Signal::SIGABRT,
    Signal::SIGALRM,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGPIPE,
    Signal::SIGSEGV,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
];

/// Forks the daemon and returns in it, the first time and after each crash. The calling process
/// becomes the monitor, tells `parent` when the first daemon is ready, and exits when a daemon
/// ends without a crash.
pub(super) fn run(parent: Option<Notify>, detached: bool) -> Result<Notify, DaemonError> {
    let mut parent = parent;
    let mut child: Pid;
    match fork_and_wait().map_err(system("fork"))? {
        Forked::Child(n) => return Ok(n),
        Forked::Parent { outcome: Err(Died::Exited(code)), .. } if code != 0 => {
            std::process::exit(code)
        }
        Forked::Parent { outcome: Err(died), .. } => {
            return Err(DaemonError::Monitor(format!(
                "fork child died before signaling startup, {died}"
            )));
        }
        Forked::Parent { child: c, outcome: Ok(()) } => child = c,
    }
    if let Some(n) = parent.take() {
        n.done();
    }
    if detached {
        close_standard_fds();
        log::console_off();
    }
    log::set_subprogram("monitor");
    let mut crashes = 0u32;
    let mut last_restart: Option<Instant> = None;
    let mut died = watch(child)?;
    loop {
        let Died::Signaled { signal, core } = died else {
            stop(child, died);
        };
        if !CRASHES.contains(&signal) {
            stop(child, died);
        }
        crashes += 1;
        if core {
            // One core tells enough; more would fill the disk.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        }
        let status = format!("{crashes} crashes: pid {child} died, {died}");
        if let Some(left) = last_restart.and_then(|t| PAUSE.checked_sub(t.elapsed())) {
            crate::warn!(LOG, "{status}, waiting until 10 seconds since last restart");
            std::thread::sleep(left);
        }
        last_restart = Some(Instant::now());
        crate::err!(LOG, "{status}, restarting");
        match fork_and_wait().map_err(system("fork"))? {
            Forked::Child(n) => {
                log::set_subprogram("");
                return Ok(n);
            }
            Forked::Parent { child: c, outcome } => {
                child = c;
                died = match outcome {
                    Ok(()) => watch(child)?,
                    Err(d) => d,
                };
            }
        }
    }
}

/// Waits, with the log file closed: it may be rotated away meanwhile.
fn watch(child: Pid) -> Result<Died, DaemonError> {
    let file = log::file_name();
    log::close_file();
    let died = wait(child).map_err(system("waitpid"));
    if let Some(path) = file {
        let _ = log::set_file(&path);
    }
    died
}

fn stop(child: Pid, died: Died) -> ! {
    crate::info!(LOG, "pid {child} died, {died}, exiting");
    std::process::exit(0)
}
