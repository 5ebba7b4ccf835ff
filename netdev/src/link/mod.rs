//! Link state and parameters of kernel devices.

use std::io;

use wire::EthAddr;

pub mod carrier;
pub mod ethtool;
pub mod mii;
mod monitor;
mod netlink;
mod proto_socket;
pub mod tun;

use crate::DeviceError;
use crate::sys::{Ifreq, Request};
pub use monitor::LinkMonitor;
use netlink::Which;
pub use proto_socket::ProtoSocket;

/// What the kernel says of a device (rtnetlink).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    pub ifindex: u32,
    pub name: String,
    pub mac: EthAddr,
    pub mtu: u32,
    /// `IFF_UP`.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`: the kernel's cached carrier.
    pub carrier: bool,
    /// `IFLA_INFO_KIND`, such as `veth` or `tun`; empty for hardware.
    pub kind: String,
    /// How often the carrier has changed, wrapping: tells of flaps that nobody saw.
    pub carrier_changes: u32,
    /// `IFLA_MASTER`: the ifindex of the Linux bridge, bond, team or VRF that the device is a port
    /// of; 0 = none.
    pub master: u32,
}

/// News from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// New or changed. After an overrun the monitor sends one for every device.
    Changed(LinkInfo),
    /// The device has given its name up; `Changed` with the new one follows.
    Renamed { ifindex: u32, from: String },
    /// Deleted, or moved to another network namespace: sockets on it are dead, even if the same
    /// index comes back.
    Gone { ifindex: u32, name: String },
}

/// `ethtool`'s view of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Mbit/s; 0 = unknown.
    pub speed_mbps: u64,
    /// `None` = unknown.
    pub full_duplex: Option<bool>,
    pub modes: LinkModes,
}

/// What the link could be and what was agreed on: bits as `linux/ethtool.h` numbers them, of which
/// the first 32 are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkModes {
    pub supported: u32,
    pub advertised: u32,
    /// What the peer advertises.
    pub peer: u32,
    /// `None` = neither of the two.
    pub medium: Option<Medium>,
    pub autoneg: bool,
}

impl LinkModes {
    /// Bits of media and of autonegotiation.
    pub const AUTONEG: u8 = 6;
    pub const TWISTED_PAIR: u8 = 7;
    pub const FIBRE: u8 = 10;
}

/// The connector in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    TwistedPair,
    Fibre,
}

/// Counters of a device, from the view of the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_frame_err: u64,
    pub rx_over_err: u64,
    pub rx_crc_err: u64,
    pub rx_missed_errors: u64,
    pub collisions: u64,
    pub multicast: u64,
}

impl LinkStats {
    /// The same counters from the other side of the device. What the host transmits on a tap, the
    /// switch receives, so the counters of an internal device are read this way.
    pub fn swapped(self) -> LinkStats {
        LinkStats {
            rx_packets: self.tx_packets,
            tx_packets: self.rx_packets,
            rx_bytes: self.tx_bytes,
            tx_bytes: self.rx_bytes,
            rx_dropped: self.tx_dropped,
            tx_dropped: self.rx_dropped,
            rx_errors: self.tx_errors,
            tx_errors: self.rx_errors,
            // These say why a receiver failed, and nobody failed on this side.
            ..LinkStats::default()
        }
    }
}

fn get_error(name: &str, what: &'static str) -> impl FnOnce(io::Error) -> DeviceError {
    move |source| DeviceError::Get { name: name.to_owned(), what, source }
}

fn absent() -> io::Error {
    io::Error::from_raw_os_error(libc::ENODEV)
}

/// One device of the current network namespace, by name.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn get(name: &str) -> Result<LinkInfo, DeviceError> {
    let mut found = None;
    netlink::request(Which::Named(name), false, |p| found = netlink::link_info(p))
        .and_then(|()| found.ok_or_else(absent))
        .map_err(get_error(name, "state"))
}

/// One device of the current network namespace, by index.
///
/// # Errors
///
/// `No such device`, or the kernel does not answer.
pub fn get_by_index(ifindex: u32) -> Result<LinkInfo, DeviceError> {
    let mut found = None;
    netlink::request(Which::Numbered(ifindex), false, |p| found = netlink::link_info(p))
        .and_then(|()| found.ok_or_else(absent))
        .map_err(get_error(&format!("with index {ifindex}"), "state"))
}

/// Every device of the current network namespace, by ifindex.
pub fn get_all() -> Result<Vec<LinkInfo>, DeviceError> {
    dump().map_err(get_error("(all)", "state"))
}

/// As `get_all`. A list that changed while it was read is read again.
fn dump() -> io::Result<Vec<LinkInfo>> {
    const TRIES: usize = 8;
    let mut links = Vec::new();
    for _ in 0..TRIES {
        links.clear();
        match netlink::request(Which::All, false, |p| links.extend(netlink::link_info(p))) {
            Ok(()) => break,
            // Whatever changed meanwhile is also multicast: even the last list is good enough.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    links.sort_by_key(|l| l.ifindex);
    Ok(links)
}

/// The kernel's counters of a device; [`LinkStats::swapped`] for an internal one.
pub fn stats(name: &str) -> Result<LinkStats, DeviceError> {
    let mut found = None;
    netlink::request(Which::Named(name), true, |p| found = netlink::link_stats(p))
        .and_then(|()| found.ok_or_else(absent))
        .map_err(get_error(name, "statistics"))
}

/// Sets or clears `IFF_UP`.
pub fn set_up(name: &str, up: bool) -> Result<(), DeviceError> {
    let set = || {
        let mut r = Ifreq::new(name)?.ioctl(Request::GetFlags)?;
        let bit = libc::IFF_UP as u16;
        let old = r.u16_at(0);
        let new = if up { old | bit } else { old & !bit };
        if new != old {
            r.put(0, &new.to_ne_bytes());
            r.ioctl(Request::SetFlags)?;
        }
        Ok(())
    };
    set().map_err(|source| DeviceError::Set { name: name.to_owned(), what: "flags", source })
}

/// Sets the device's address. Most devices take it at any time.
pub fn set_mac(name: &str, mac: EthAddr) -> Result<(), DeviceError> {
    let set = || {
        let mut r = Ifreq::new(name)?.ioctl(Request::GetHwaddr)?;
        // The family that it answered with stays.
        r.put(2, &mac.0);
        r.ioctl(Request::SetHwaddr)
    };
    let what = "Ethernet address";
    set().map_err(|source| DeviceError::Set { name: name.to_owned(), what, source })?;
    Ok(())
}

/// Sets the device's MTU, in octets; the range is the driver's.
pub fn set_mtu(name: &str, mtu: u32) -> Result<(), DeviceError> {
    let set = || {
        let mut r = Ifreq::new(name)?;
        r.put(0, &mtu.to_ne_bytes());
        r.ioctl(Request::SetMtu)
    };
    set().map_err(|source| DeviceError::Set { name: name.to_owned(), what: "MTU", source })?;
    Ok(())
}
