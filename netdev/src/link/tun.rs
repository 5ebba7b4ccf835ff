//! What the kernel says of a TUN/TAP device (`drivers/net/tun.c`), and the processes that have it
//! open.

use std::os::unix::fs::MetadataExt;

use super::netlink::{self, Which};
use super::{absent, get_error};
use crate::DeviceError;

/// A TUN or TAP device, or another device of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunInfo {
    /// The device's own name: what was asked for may be an alternative name of it.
    pub name: String,
    pub ifindex: u32,
    /// `IFLA_INFO_KIND`: `tun` for TUN and TAP devices.
    pub kind: String,
    /// What only TUN and TAP devices have; `None` when the kernel does not tell (before 4.17).
    pub tun: Option<Tun>,
}

/// `IFLA_TUN_*` of linux/if_link.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tun {
    /// The user who may attach to it without `CAP_NET_ADMIN`; `None` = not set.
    pub owner: Option<u32>,
    /// Ethernet frames (`IFF_TAP`), not IP packets (`IFF_TUN`).
    pub tap: bool,
    /// It stays when no process has it open.
    pub persist: bool,
    pub multi_queue: bool,
    /// Queues that processes have open; told of multi-queue devices only.
    pub queues: u32,
}

/// The device of this name in the current network namespace.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn get(name: &str) -> Result<TunInfo, DeviceError> {
    let mut found = None;
    netlink::request(Which::Named(name), false, |p| found = netlink::tun_info(p))
        .and_then(|()| found.ok_or_else(absent))
        .map_err(get_error(name, "state"))
}

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// As in `/proc/PID/comm`.
    pub program: String,
}

/// The process of this network namespace that is attached to the TUN or TAP device `name`. `None`
/// also when it belongs to another user whose descriptors may not be looked at, or to another PID
/// namespace.
pub fn holder(name: &str) -> Option<Holder> {
    let line = format!("iff:\t{name}");
    let ours = std::fs::metadata("/proc/thread-self/ns/net").ok()?.ino();
    let pids = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids: Vec<u32> = pids.filter_map(|d| d.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().find_map(|pid| {
        let ns = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino();
        if ns != ours {
            return None;
        }
        let mut descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        descriptors.find(|d| {
            let number = d.file_name();
            // Few descriptors are of this device; only theirs are looked into.
            std::fs::read_link(d.path()).is_ok_and(|to| to.ends_with("tun"))
                && std::fs::read_to_string(
                    std::path::Path::new(&format!("/proc/{pid}/fdinfo")).join(number),
                )
                .is_ok_and(|info| info.lines().any(|l| l == line))
        })?;
        let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Some(Holder { pid, program: program.trim_end().to_owned() })
    })
}
