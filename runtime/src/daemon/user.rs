//! `--user`: another user, with the capabilities that the program needs and no others.

use std::io;

use nix::unistd::{Gid, Group, Uid, User, getgid, getuid, setgid, setgroups, setuid};

use super::error::DaemonError;
use crate::log;

/// Capability numbers (linux/capability.h).
const CAP_NET_BIND_SERVICE: u32 = 10;
const CAP_NET_BROADCAST: u32 = 11;
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_LAST: u32 = 40;

/// What every daemon keeps: sockets on ports below 1024, and mlockall(2).
const BASIC: u32 = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_IPC_LOCK;
/// What network devices need besides.
const NETWORK: u32 = 1 << CAP_NET_BROADCAST | 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW;

/// The capabilities that a program keeps under `--user`, as in Open vSwitch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// CAP_NET_BIND_SERVICE and CAP_IPC_LOCK.
    Basic,
    /// These, and CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BROADCAST for network devices.
    Network,
}

impl Privileges {
    /// The capabilities as a bit mask, by their numbers.
    fn mask(self) -> u32 {
        match self {
            Privileges::Basic => BASIC,
            Privileges::Network => BASIC | NETWORK,
        }
    }
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Finds `USER[:GROUP]`; an empty user is the present one, a missing group the user's.
fn lookup(spec: &str) -> Result<(Uid, Gid), String> {
    let (user, group) = match spec.split_once(':') {
        Some((u, g)) => (u, Some(g)),
        None => (spec, None),
    };
    let (uid, mut gid) = if user.is_empty() {
        (getuid(), getgid())
    } else {
        match User::from_name(user) {
            Ok(Some(u)) => (u.uid, u.gid),
            Ok(None) => return Err(format!("no user {user:?}")),
            Err(e) => return Err(format!("cannot look up user {user:?} ({})", words(e))),
        }
    };
    if let Some(name) = group.filter(|g| !g.is_empty()) {
        gid = match Group::from_name(name) {
            Ok(Some(g)) => g.gid,
            Ok(None) => return Err(format!("no group {name:?}")),
            Err(e) => return Err(format!("cannot look up group {name:?} ({})", words(e))),
        };
    } else if group.is_some() && user.is_empty() {
        return Err("neither user nor group".into());
    }
    Ok((uid, gid))
}

/// The system's words for a number.
fn words(error: nix::errno::Errno) -> String {
    posix::text(io::Error::from(error))
}

/// Becomes the user for good, with the capabilities of `privileges` only.
pub(super) fn become_user(spec: &str, privileges: Privileges) -> Result<(), DaemonError> {
    let refuse = |why: String| DaemonError::User { spec: spec.to_owned(), why };
    if !getuid().is_root() {
        return Err(refuse("only root can use this option".into()));
    }
    let (uid, gid) = lookup(spec).map_err(refuse)?;
    if uid.is_root() && gid.as_raw() == 0 {
        return Ok(());
    }
    // The log was opened before, and is to be opened again when it has been rotated.
    log::change_owner(uid.as_raw(), gid.as_raw()).map_err(|(path, e)| {
        refuse(format!("cannot change the owner of {} ({})", path.display(), posix::text(e)))
    })?;
    let step = |what: &'static str| move |e: io::Error| refuse_system(spec, what, &e);
    keep_capabilities(true).map_err(step("prctl(PR_SET_KEEPCAPS)"))?;
    drop_bounding_set(privileges.mask()).map_err(step("prctl(PR_CAPBSET_DROP)"))?;
    setgroups(&[]).map_err(|e| step("setgroups")(e.into()))?;
    setgid(gid).map_err(|e| step("setgid")(e.into()))?;
    setuid(uid).map_err(|e| step("setuid")(e.into()))?;
    set_capabilities(privileges.mask()).map_err(step("capset"))?;
    keep_capabilities(false).map_err(step("prctl(PR_SET_KEEPCAPS)"))?;
    if (getuid(), getgid()) != (uid, gid) {
        return Err(refuse("the system did not change the user".into()));
    }
    Ok(())
}

fn refuse_system(spec: &str, what: &str, e: &io::Error) -> DaemonError {
    DaemonError::User { spec: spec.to_owned(), why: format!("{what} failed ({})", posix::text(e)) }
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether permitted capabilities outlive setuid(2).
fn keep_capabilities(keep: bool) -> io::Result<()> {
    // SAFETY: this operation takes one number.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep), 0, 0, 0) }.into())
}

/// No program that we might start can regain what we give up.
fn drop_bounding_set(kept: u32) -> io::Result<()> {
    for cap in (0..=CAP_LAST).filter(|c| kept >> (c % 32) & 1 == 0 || *c >= 32) {
        // SAFETY: this operation takes one number.
        let r = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(cap), 0, 0, 0) };
        match check(r.into()) {
            // An older kernel knows fewer capabilities.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
            other => other?,
        }
    }
    Ok(())
}

fn set_capabilities(kept: u32) -> io::Result<()> {
    let header = CapHeader { version: VERSION_3, pid: 0 };
    let low = CapData { effective: kept, permitted: kept, inheritable: 0 };
    let high = CapData { effective: 0, permitted: 0, inheritable: 0 };
    let data = [low, high];
    // SAFETY: version 3 reads the header and two data structures, which outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(lookup("root"), Ok((Uid::from_raw(0), Gid::from_raw(0))));
        let (uid, gid) = lookup("root:daemon").unwrap();
        assert!(uid.is_root() && gid.as_raw() != 0);
        assert_eq!(lookup(":root").unwrap().1, Gid::from_raw(0));
        assert_eq!(lookup("no such"), Err("no user \"no such\"".into()));
        assert_eq!(lookup("root:no such"), Err("no group \"no such\"".into()));
        assert_eq!(lookup(":"), Err("neither user nor group".into()));
    }
}
