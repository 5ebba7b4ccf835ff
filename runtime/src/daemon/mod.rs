//! Becoming a daemon: user, background, supervisor, pidfile, signals.
//!
//! ```no_run
//! # use runtime::daemon::{self, Daemonize, Privileges};
//! # fn main() -> Result<(), daemon::DaemonError> {
//! # let options = Daemonize::default();
//! // Before any thread exists. With --detach the caller's process stays behind and exits when
//! // the daemon is ready (status 0) or has died (its status); only the daemon returns.
//! let ready = daemon::start(&options, Privileges::Network)?;
//! // ... open the control socket, connect to the database, configure ...
//! let _pidfile = ready.ready(); // Lets the parent go; keep what it returns until the end.
//! # Ok(()) }
//! ```
//!
//! ```text
//! shell -- ovs-vswitchd --detach --monitor
//!            | fork          waits for one octet through a pipe, exits
//!            monitor         passes the octet on, waits for its child; forks again when it crashes
//!            | fork
//!            daemon          pidfile, threads, everything; writes the octet when ready
//! ```

mod error;
mod fork;
mod monitor;
mod pidfile;
mod signals;
mod user;

use std::io;
use std::path::PathBuf;

use rustix::mm::{MlockAllFlags, mlockall};

use crate::log;
use crate::modules::DAEMON as LOG;

use error::system;

pub use error::DaemonError;
pub use pidfile::Pidfile;
pub use signals::{Signal, Signals};
pub use user::Privileges;

/// How to run in the background.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemonize {
    /// `--detach`: run in the background, in a session of its own (setsid(2)).
    pub detach: bool,
    /// `--no-chdir`: stay in the current directory instead of `/`.
    pub no_chdir: bool,
    /// `--monitor`: a second process starts the daemon again when a signal has ended it.
    pub monitor: bool,
    /// `--pidfile`: an absolute path; `None` = no pidfile.
    pub pidfile: Option<PathBuf>,
    /// `--overwrite-pidfile`: start also while another process holds the pidfile.
    pub overwrite_pidfile: bool,
    /// `USER[:GROUP]`.
    pub user: Option<String>,
}

/// The daemon runs, but nobody has been told yet.
#[must_use = "the parent process waits for ready()"]
pub struct Ready {
    notify: Option<fork::Notify>,
    detach: bool,
    chdir: bool,
    pidfile: Option<Pidfile>,
}

/// Changes the user, forks as asked, and takes the pidfile, in this order. Returns in the daemon
/// only.
pub fn start(o: &Daemonize, privileges: Privileges) -> Result<Ready, DaemonError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(DaemonError::Threads(threads));
    }
    default_crashes();
    if let Some(spec) = &o.user {
        user::become_user(spec, privileges)?;
    }
    let mut notify = None;
    if o.detach {
        match fork::fork_and_wait().map_err(system("fork"))? {
            fork::Forked::Parent { outcome: Ok(()), .. } => std::process::exit(0),
            fork::Forked::Parent { outcome: Err(fork::Died::Exited(code)), .. } if code != 0 => {
                std::process::exit(code)
            }
            fork::Forked::Parent { outcome: Err(died), .. } => {
                return Err(DaemonError::Detach(died.to_string()));
            }
            fork::Forked::Child(n) => notify = Some(n),
        }
        nix::unistd::setsid()
            .map_err(|e| DaemonError::System { what: "setsid", error: e.into() })?;
    }
    if o.monitor {
        notify = Some(monitor::run(notify, o.detach)?);
    }
    let pidfile = match &o.pidfile {
        Some(path) => Some(Pidfile::prepare(path, o.overwrite_pidfile)?),
        None => None,
    };
    Ok(Ready { notify, detach: o.detach, chdir: o.detach && !o.no_chdir, pidfile })
}

/// Lets signals that mean a crash kill at once. The standard library catches two of them to tell
/// of a stack overflow, which ends in the same signal; but one that somebody sends it would
/// swallow, and the monitor waits for the death.
/// libc's call: neither rustix nor signal-hook resets these two signals.
fn default_crashes() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: resetting a disposition to the default touches no memory.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

impl Ready {
    /// Startup is complete: lets the parent exit with status 0, changes to `/`, lets go of the
    /// terminal. The pidfile is removed when the returned value is dropped.
    pub fn ready(self) -> Option<Pidfile> {
        let mut pidfile = self.pidfile;
        if let Some(Err(error)) = pidfile.as_mut().map(Pidfile::place) {
            crate::err!(LOG, "{error}");
        }
        if let Some(n) = self.notify {
            n.done();
        }
        if self.chdir {
            // The root directory is always there.
            let _ = std::env::set_current_dir("/");
        }
        if self.detach {
            fork::close_standard_fds();
            log::console_off();
        }
        pidfile
    }
}

/// `--mlockall`: keeps all memory resident, pages as they are first used. The error is for the
/// log; the daemon runs without.
pub fn lock_memory() -> io::Result<()> {
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    // Before Linux 4.4 there is no MCL_ONFAULT.
    Ok(mlockall(all | MlockAllFlags::ONFAULT).or_else(|_| mlockall(all))?)
}
