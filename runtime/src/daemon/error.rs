//! Why a daemon does not start.

use std::io;
use std::path::PathBuf;

/// Why the daemon cannot start. `main` prints it and exits with status 1.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A system call failed.
    #[error("{what} failed ({})", posix::text(error))]
    System {
        /// The call.
        what: &'static str,
        /// The system's reason.
        error: io::Error,
    },
    /// fork(2) copies only the thread that calls it; the number of threads is given.
    #[error("cannot daemonize with {0} threads running")]
    Threads(usize),
    /// The child that `--detach` forked did not come up; its reason.
    #[error("could not detach from foreground session ({0})")]
    Detach(String),
    /// The child that `--monitor` forked did not come up; its reason.
    #[error("could not initiate process monitoring ({0})")]
    Monitor(String),
    /// The pidfile cannot be made.
    #[error("{path}: {what} failed ({})", posix::text(error))]
    File {
        /// The file.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The system's reason.
        error: io::Error,
    },
    /// A running daemon holds the pidfile.
    #[error("{path}: already running as pid {pid}, aborting")]
    Running {
        /// The pidfile.
        path: PathBuf,
        /// The daemon's process.
        pid: i32,
    },
    /// A daemon that is starting holds the pidfile's temporary form.
    #[error("{path}: locked by pid {pid}, which is starting, aborting")]
    Starting {
        /// The temporary file.
        path: PathBuf,
        /// The daemon's process.
        pid: i32,
    },
    /// `--user` cannot be followed.
    #[error("--user={spec}: {why}")]
    User {
        /// The option's value.
        spec: String,
        /// The reason.
        why: String,
    },
}

/// The error of a system call.
pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |error| DaemonError::System { what, error }
}
