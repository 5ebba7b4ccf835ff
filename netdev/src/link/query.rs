//! One device of the current network namespace, or all, by rtnetlink.

use std::io;

use super::info::{LinkInfo, LinkStats};
use super::netlink::{self, Which};
use crate::DeviceError;

/// One device by name.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn get(name: &str) -> Result<LinkInfo, DeviceError> {
    netlink::one(Which::Named(name), false, netlink::link_info)
        .map_err(|e| DeviceError::get(name, "state", e))
}

/// One device by index.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn get_by_index(ifindex: u32) -> Result<LinkInfo, DeviceError> {
    netlink::one(Which::Numbered(ifindex), false, netlink::link_info)
        .map_err(|e| DeviceError::get(&format!("with index {ifindex}"), "state", e))
}

/// Every device, by ifindex.
///
/// # Errors
///
/// The kernel does not answer, or is out of memory.
pub fn get_all() -> Result<Vec<LinkInfo>, DeviceError> {
    dump().map_err(|e| DeviceError::get("(all)", "state", e))
}

/// As [`get_all`]. A list that changed while it was read is read again.
pub(super) fn dump() -> io::Result<Vec<LinkInfo>> {
    const TRIES: usize = 8;
    let mut links = Vec::new();
    for _ in 0..TRIES {
        links.clear();
        match netlink::request(Which::All, false, |p| links.extend(netlink::link_info(p))) {
            Ok(()) => break,
            // Changes in between are also multicast: even the last list is good enough.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    links.sort_by_key(|l| l.ifindex);
    Ok(links)
}

/// The kernel's counters of a device; [`LinkStats::swapped`] for an internal one.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn stats(name: &str) -> Result<LinkStats, DeviceError> {
    netlink::one(Which::Named(name), true, netlink::link_stats)
        .map_err(|e| DeviceError::get(name, "statistics", e))
}
