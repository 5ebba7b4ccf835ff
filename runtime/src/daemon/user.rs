//! `--user`: another user, with the capabilities that the program needs and no others.

use std::io;

use nix::unistd::{Gid, Group, Uid, User, getgid, getuid, setgid, setgroups, setuid};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities,
};

use super::error::DaemonError;
use crate::log;

/// What every daemon keeps: sockets on ports below 1024, and mlockall(2).
const BASIC: CapabilitySet = CapabilitySet::NET_BIND_SERVICE.union(CapabilitySet::IPC_LOCK);
/// What network devices need besides.
const NETWORK: CapabilitySet =
    CapabilitySet::NET_BROADCAST.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::NET_RAW);

/// The capabilities that a program keeps under `--user`, as in Open vSwitch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// CAP_NET_BIND_SERVICE and CAP_IPC_LOCK.
    Basic,
    /// These, and CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BROADCAST for network devices.
    Network,
}

impl Privileges {
    fn capabilities(self) -> CapabilitySet {
        match self {
            Privileges::Basic => BASIC,
            Privileges::Network => BASIC.union(NETWORK),
        }
    }
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
    let step = |what: &'static str| move |e: Errno| refuse_system(spec, what, &e.into());
    let nix_step = |what: &'static str| {
        move |e: nix::errno::Errno| refuse_system(spec, what, &io::Error::from(e))
    };
    // Permitted capabilities are to outlive setuid(2).
    set_keep_capabilities(true).map_err(step("prctl(PR_SET_KEEPCAPS)"))?;
    drop_bounding_set(privileges.capabilities()).map_err(step("prctl(PR_CAPBSET_DROP)"))?;
    setgroups(&[]).map_err(nix_step("setgroups"))?;
    setgid(gid).map_err(nix_step("setgid"))?;
    setuid(uid).map_err(nix_step("setuid"))?;
    keep_only(privileges.capabilities()).map_err(step("capset"))?;
    set_keep_capabilities(false).map_err(step("prctl(PR_SET_KEEPCAPS)"))?;
    if (getuid(), getgid()) != (uid, gid) {
        return Err(refuse("the system did not change the user".into()));
    }
    Ok(())
}

fn refuse_system(spec: &str, what: &str, e: &io::Error) -> DaemonError {
    DaemonError::User { spec: spec.to_owned(), why: format!("{what} failed ({})", posix::text(e)) }
}

/// No program that this one starts can regain what is given up.
fn drop_bounding_set(kept: CapabilitySet) -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // An older kernel knows fewer capabilities.
            Err(Errno::INVAL) => {}
            other => other?,
        }
    }
    Ok(())
}

fn keep_only(kept: CapabilitySet) -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: none })
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
