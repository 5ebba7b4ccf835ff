//! Forking, and the pipe by which a child says that it is ready.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Died {
    Exited(i32),
    Signaled { signal: Signal, core: bool },
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Died::Exited(code) => write!(f, "exit status {code}"),
            Died::Signaled { signal, core } => {
                let core = if *core { ", core dumped" } else { "" };
                write!(f, "killed ({}){core}", signal.as_str())
            }
        }
    }
}

/// The child's end of the pipe.
pub(super) struct Notify(File);

impl Notify {
    /// Tells the parent. A parent that has gone does not matter.
    pub(super) fn done(mut self) {
        let _ = self.0.write_all(&[0]);
    }
}

/// Where a fork returned.
pub(super) enum Forked {
    /// In the parent, after the child was ready (or died before).
    Parent {
        child: Pid,
        outcome: Result<(), Died>,
    },
    Child(Notify),
}

/// Forks, and in the parent waits for the child's `done`.
pub(super) fn fork_and_wait() -> io::Result<Forked> {
    let (read, write): (OwnedFd, OwnedFd) = pipe()?;
    // SAFETY: `start` has made sure that this is the process's only thread, so the child may do
    // anything.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(read);
            Ok(Forked::Child(Notify(write.into())))
        }
        ForkResult::Parent { child } => {
            drop(write);
            let outcome = match File::from(read).read_exact(&mut [0]) {
                Ok(()) => Ok(()),
                Err(_) => Err(wait(child)?),
            };
            Ok(Forked::Parent { child, outcome })
        }
    }
}

/// Waits until the child ends.
pub(super) fn wait(child: Pid) -> io::Result<Died> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Died::Exited(code)),
            Ok(WaitStatus::Signaled(_, signal, core)) => {
                return Ok(Died::Signaled { signal, core });
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Points standard input, output and error at `/dev/null`.
pub(super) fn close_standard_fds() {
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else {
        return;
    };
    let _ = nix::unistd::dup2_stdin(&null);
    let _ = nix::unistd::dup2_stdout(&null);
    let _ = nix::unistd::dup2_stderr(&null);
}
