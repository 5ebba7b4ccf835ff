//! What the kernel reports of a TUN/TAP device, and the processes that have it open.

use std::os::unix::fs::MetadataExt;

use super::netlink::{self, Which, attributes, ifinfo, text, u32_of};
use crate::DeviceError;

/// A TUN or TAP device, or another device of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunInfo {
    /// The device's name. The requested name may be an alternative name of the device.
    pub name: String,
    /// The device's index.
    pub ifindex: u32,
    /// `IFLA_INFO_KIND`: `tun` for TUN and TAP devices.
    pub kind: String,
    /// What only TUN and TAP devices have; `None` when the kernel does not report it (before 4.17).
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
    /// `IFF_MULTI_QUEUE`: several processes can have it open.
    pub multi_queue: bool,
    /// Queues that processes have open; reported for multi-queue devices only.
    pub queues: u32,
}

/// The device of this name in the current network namespace.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn get(name: &str) -> Result<TunInfo, DeviceError> {
    netlink::one(Which::Named(name), false, tun_info)
        .map_err(|e| DeviceError::get(name, "state", e))
}

/// A device, and the attributes of TUN and TAP devices, from the payload of `RTM_NEWLINK`.
pub(super) fn tun_info(payload: &[u8]) -> Option<TunInfo> {
    // linux/if_link.h; libc does not have them.
    const IFLA_TUN_OWNER: u16 = 1;
    const IFLA_TUN_TYPE: u16 = 3;
    const IFLA_TUN_PERSIST: u16 = 6;
    const IFLA_TUN_MULTI_QUEUE: u16 = 7;
    const IFLA_TUN_NUM_QUEUES: u16 = 8;
    let h = ifinfo(payload)?;
    let mut info = TunInfo { ifindex: h.index, ..TunInfo::default() };
    for (kind, v) in attributes(h.attributes) {
        match kind {
            libc::IFLA_IFNAME => info.name = text(v),
            libc::IFLA_LINKINFO => {
                for (kind, v) in attributes(v) {
                    match kind {
                        libc::IFLA_INFO_KIND => info.kind = text(v),
                        libc::IFLA_INFO_DATA => {
                            let find = |k| attributes(v).find(|(kind, _)| *kind == k);
                            let byte = |k| find(k).and_then(|(_, v)| v.first().copied());
                            let word = |k| find(k).and_then(|(_, v)| u32_of(v));
                            info.tun = Some(Tun {
                                owner: word(IFLA_TUN_OWNER),
                                tap: byte(IFLA_TUN_TYPE) == Some(libc::IFF_TAP as u8),
                                persist: byte(IFLA_TUN_PERSIST) == Some(1),
                                multi_queue: byte(IFLA_TUN_MULTI_QUEUE) == Some(1),
                                queues: word(IFLA_TUN_NUM_QUEUES).unwrap_or(0),
                            });
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if info.kind != "tun" {
        info.tun = None;
    }
    if info.name.is_empty() { None } else { Some(info) }
}

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process's number.
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
            // The file behind the link is cheap to compare; `fdinfo` is read only where it fits.
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
