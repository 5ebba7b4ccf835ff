//! What can go wrong around a testbed, and whether the system, a program or the machine is the cause.

use std::io;
use std::time::Duration;

/// Why the testbed could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{what}: {}", posix::text(source))]
    Io {
        /// What was being done.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel refused a request on a link or an address.
    #[error("{what}: {} (rtnetlink)", posix::text(source))]
    Netlink {
        /// What was being done.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{command}: {status}\n{output}")]
    Command {
        /// Its command line.
        command: String,
        /// Its exit status.
        status: String,
        /// What it printed.
        output: String,
    },
    /// Something did not happen in time.
    #[error("after {} s there was still no {what}{detail}", .after.as_secs_f32())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
        /// What is known besides; begins with a separator, or is empty.
        detail: String,
    },
    /// Programs that are not installed.
    #[error("not installed: {}. On Debian: {install}", .programs.join(", "))]
    Missing {
        /// Their names.
        programs: Vec<String>,
        /// The command that installs them.
        install: &'static str,
    },
    /// This process may not make network namespaces.
    #[error("{0}")]
    Privileges(String),
    /// The daemon is not there, or did not build.
    #[error("{0}")]
    Daemon(String),
}

impl Error {
    /// Names what was being done when `source` happened.
    pub fn io(what: impl Into<String>, source: io::Error) -> Error {
        Error::Io { what: what.into(), source }
    }

    /// As [`Error::io`] with the calling thread's `errno`.
    pub fn last_os(what: impl Into<String>) -> Error {
        Error::io(what, io::Error::last_os_error())
    }
}

/// Checks until `done` says yes, at most for `limit`; looks about once in `every`.
pub fn wait_for(
    what: &str,
    limit: Duration,
    every: Duration,
    mut done: impl FnMut() -> bool,
) -> Result<Duration, Error> {
    let start = std::time::Instant::now();
    loop {
        if done() {
            return Ok(start.elapsed());
        }
        if start.elapsed() > limit {
            return Err(Error::Timeout { what: what.into(), after: limit, detail: String::new() });
        }
        std::thread::sleep(every);
    }
}
