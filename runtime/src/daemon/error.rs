//! Why a daemon does not start.

use std::io;
use std::path::PathBuf;

/// Why the daemon cannot start. `main` prints it and exits with status 1.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("{what} failed ({})", posix::text(error))]
    System { what: &'static str, error: io::Error },
    #[error("cannot daemonize with {0} threads running")]
    Threads(usize),
    #[error("could not detach from foreground session ({0})")]
    Detach(String),
    #[error("could not initiate process monitoring ({0})")]
    Monitor(String),
    #[error("{path}: {what} failed ({})", posix::text(error))]
    File { path: PathBuf, what: &'static str, error: io::Error },
    #[error("{path}: already running as pid {pid}, aborting")]
    Running { path: PathBuf, pid: i32 },
    #[error("{path}: locked by pid {pid}, which is starting, aborting")]
    Starting { path: PathBuf, pid: i32 },
    #[error("--user={spec}: {why}")]
    User { spec: String, why: String },
}

/// The error of a system call.
pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |error| DaemonError::System { what, error }
}
