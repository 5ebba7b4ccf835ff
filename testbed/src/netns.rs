//! A network namespace without a name.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Error;
use super::rtnl::Rtnl;
use parking_lot::Mutex;

/// A network namespace that lives as long as this value, or a process or socket in it.
pub struct Netns {
    fd: OwnedFd,
    rtnl: Mutex<Rtnl>,
}

impl Netns {
    /// A new, empty namespace: loopback up, and IPv6 off so that nothing is sent unasked.
    pub fn new() -> Result<Netns, Error> {
        let made = std::thread::spawn(|| -> Result<Netns, Error> {
            // SAFETY: unshare takes no pointer; only this thread, which ends, is moved.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(Error::last_os("cannot make a network namespace"));
            }
            let path = "/proc/thread-self/ns/net";
            let fd = File::open(path).map_err(|e| Error::io(format!("cannot open {path}"), e))?;
            for which in ["all", "default"] {
                // Kernels without IPv6 have no such file, and need none.
                let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
            }
            let mut rtnl = Rtnl::open()?;
            rtnl.set_up("lo", true)?;
            Ok(Netns { fd: fd.into(), rtnl: Mutex::new(rtnl) })
        });
        made.join().unwrap_or_else(|_| Err(Error::Privileges("a thread panicked".into())))
    }

    /// The descriptor that stands for the namespace.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Runs `f` on a thread inside the namespace and waits for it. Sockets that it opens stay in
    /// the namespace.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|s| {
            let inside = s.spawn(|| {
                enter(self.raw_fd()).expect("the namespace exists as long as its descriptor");
                f()
            });
            match inside.join() {
                Ok(v) => v,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// A command that will run inside the namespace and be killed when the calling thread ends.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let fd = self.raw_fd();
        let parent = std::process::id();
        let mut command = Command::new(program);
        // SAFETY: setns and prctl are async-signal-safe. `fd` is open when the child forks as
        // long as the caller keeps the namespace, which it does by keeping `self`.
        unsafe {
            command.pre_exec(move || {
                enter(fd)?;
                super::process::die_with_parent(parent)
            });
        }
        command
    }

    /// Links and addresses of the namespace.
    pub fn rtnl(&self) -> parking_lot::MutexGuard<'_, Rtnl> {
        self.rtnl.lock()
    }

    /// A veth pair, both ends up: `here` in this namespace, `there` in `other`.
    pub fn veth(&self, here: &str, other: &Netns, there: &str) -> Result<(), Error> {
        self.rtnl().add_veth(here, other.raw_fd(), there)?;
        self.rtnl().set_up(here, true)?;
        other.rtnl().set_up(there, true)
    }
}

fn enter(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: setns takes no pointer and moves only the calling thread.
    match unsafe { libc::setns(fd, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
