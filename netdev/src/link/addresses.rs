//! The host's IP addresses, by device, as rtnetlink(7) reports them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketType, bind, recv};
use wire::EthAddr;

use super::netlink::{self, DATAGRAM, attributes, ifinfo, text, u32_of};
use crate::sys;

/// Octets of kernel memory for queued messages.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The bit of `RTNLGRP_IPV6_NETCONF` (25).
const RTMGRP_IPV6_NETCONF: u32 = 1 << 24;
/// What is subscribed to.
const GROUPS: u32 = (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR)
    as u32
    | RTMGRP_IPV6_NETCONF;

/// `struct netconfmsg` and its attributes, of linux/netconf.h.
const RTM_NEWNETCONF: u16 = 80;
const RTM_GETNETCONF: u16 = 82;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
/// `IFLA_VLAN_ID` and `IFLA_VLAN_PROTOCOL` of linux/if_link.h.
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;

/// The addresses of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceAddresses {
    /// Its Ethernet address; zero when its addresses are of another length.
    pub mac: EthAddr,
    /// Of an 802.1Q device on top of another one: the other one's index and the VLAN, 0 to 4095.
    pub vlan: Option<(u32, u16)>,
    /// `net.ipv6.conf.DEVICE.forwarding`.
    pub router: bool,
    /// The addresses that may be used; not those that are still tested for duplicates, or have
    /// failed the test.
    pub addresses: BTreeSet<IpAddr>,
}

/// Follows the addresses in the network namespace in which it was made.
///
/// The kernel drops messages when the receive buffer is full, and reports that; the monitor then
/// reads everything again.
pub struct AddressMonitor {
    socket: OwnedFd,
    devices: BTreeMap<u32, DeviceAddresses>,
    complete: bool,
    buf: Box<[u8]>,
}

impl AddressMonitor {
    /// Call [`poll`](AddressMonitor::poll) once before waiting for messages.
    ///
    /// # Errors
    ///
    /// No descriptor or memory is left.
    pub fn new() -> io::Result<AddressMonitor> {
        let socket = sys::socket(AddressFamily::NETLINK, SocketType::RAW, netlink::ROUTE)?;
        sys::set_receive_buffer(&socket, RECEIVE_BUFFER);
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        let buf = vec![0; DATAGRAM].into_boxed_slice();
        Ok(AddressMonitor { socket, devices: BTreeMap::new(), complete: false, buf })
    }

    /// Readable when `poll` has messages.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// By the device's index. Devices without addresses are among them.
    pub fn devices(&self) -> &BTreeMap<u32, DeviceAddresses> {
        &self.devices
    }

    /// Takes in what has changed. At first, and after messages were dropped, it waits for the
    /// kernel's answer.
    ///
    /// # Errors
    ///
    /// The system is out of memory or does not answer; the next call reads everything again.
    pub fn poll(&mut self) -> io::Result<()> {
        loop {
            match recv(&self.socket, &mut self.buf[..], RecvFlags::TRUNC) {
                Ok((_, n)) if n > self.buf.len() => self.complete = false,
                Ok((n, _)) => {
                    for m in netlink::messages(&self.buf[..n]) {
                        take(&mut self.devices, m.kind, m.payload);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => self.complete = false,
                Err(Errno::AGAIN) if self.complete => return Ok(()),
                // Messages that come meanwhile are read afterwards. The last about an address or
                // device says how it is, so that older ones among them do no harm.
                Err(Errno::AGAIN) => {
                    self.devices = read_all()?;
                    self.complete = true;
                }
                Err(e) => {
                    self.complete = false;
                    return Err(e.into());
                }
            }
        }
    }
}

fn read_all() -> io::Result<BTreeMap<u32, DeviceAddresses>> {
    const TRIES: usize = 8;
    let dumps = [
        (libc::RTM_GETLINK, libc::RTM_NEWLINK),
        (libc::RTM_GETADDR, libc::RTM_NEWADDR),
        (RTM_GETNETCONF, RTM_NEWNETCONF),
    ];
    let mut devices = BTreeMap::new();
    for (get, kind) in dumps {
        for _ in 0..TRIES {
            match netlink::dump(get, kind, |payload| take(&mut devices, kind, payload)) {
                Ok(()) => break,
                // Changes in between are also multicast: even the last list is good enough.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Without IPv6 there is nothing to ask.
                Err(_) if kind == RTM_NEWNETCONF => break,
                Err(e) => return Err(e),
            }
        }
    }
    Ok(devices)
}

/// One message.
fn take(devices: &mut BTreeMap<u32, DeviceAddresses>, kind: u16, payload: &[u8]) {
    match kind {
        libc::RTM_NEWLINK => {
            let Some(h) = ifinfo(payload).filter(|h| h.is_link()) else { return };
            let device = devices.entry(h.index).or_default();
            (device.mac, device.vlan) = link(h.attributes);
        }
        libc::RTM_DELLINK => {
            if let Some(h) = ifinfo(payload).filter(|h| h.is_link()) {
                devices.remove(&h.index);
            }
        }
        libc::RTM_NEWADDR | libc::RTM_DELADDR => {
            let Some((index, address, usable)) = address(payload) else { return };
            let known = &mut devices.entry(index).or_default().addresses;
            if kind == libc::RTM_NEWADDR && usable {
                known.insert(address);
            } else {
                known.remove(&address);
            }
        }
        RTM_NEWNETCONF => {
            if let Some((index, router)) = forwarding(payload) {
                devices.entry(index).or_default().router = router;
            }
        }
        _ => {}
    }
}

/// The address of a device, and the device and VLAN that it is on top of.
fn link(bytes: &[u8]) -> (EthAddr, Option<(u32, u16)>) {
    let (mut mac, mut under, mut vlan) = (EthAddr::ZERO, None, None);
    for (kind, v) in attributes(bytes) {
        match kind {
            libc::IFLA_ADDRESS => mac = v.try_into().map(EthAddr).unwrap_or_default(),
            libc::IFLA_LINK => under = u32_of(v),
            libc::IFLA_LINKINFO => vlan = vlan_of(v),
            _ => {}
        }
    }
    (mac, under.zip(vlan))
}

/// The VLAN in the `IFLA_LINKINFO` of an 802.1Q device.
fn vlan_of(info: &[u8]) -> Option<u16> {
    let find = |bytes, kind| attributes(bytes).find(|(k, _)| *k == kind).map(|(_, v)| v);
    if text(find(info, libc::IFLA_INFO_KIND)?) != "vlan" {
        return None;
    }
    // The attribute may carry a flag that says that others are in it.
    let data = attributes(info).find(|(k, _)| k & 0x3fff == libc::IFLA_INFO_DATA)?.1;
    let number = |kind| find(data, kind)?.get(..2)?.try_into().ok();
    // In network byte order.
    let protocol = number(IFLA_VLAN_PROTOCOL).map(u16::from_be_bytes);
    let dot1q = protocol.is_none_or(|p| p == wire::EtherType::VLAN);
    number(IFLA_VLAN_ID).map(u16::from_ne_bytes).filter(|_| dot1q)
}

/// `struct ifaddrmsg` and its attributes: the device, the address, and whether it may be used.
fn address(payload: &[u8]) -> Option<(u32, IpAddr, bool)> {
    let (family, short_flags) = (i32::from(*payload.first()?), u32::from(*payload.get(2)?));
    let index = u32_of(payload.get(4..)?)?;
    let (mut near, mut prefix, mut flags) = (None, None, short_flags);
    for (kind, v) in attributes(payload.get(8..)?) {
        match kind {
            libc::IFA_LOCAL => near = Some(v),
            libc::IFA_ADDRESS => prefix = Some(v),
            libc::IFA_FLAGS => flags = u32_of(v)?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end's.
    let octets = near.or(prefix)?;
    let address = match family {
        libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into(),
        _ => return None,
    };
    let unusable = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
    Some((index, address, flags & unusable == 0))
}

/// `struct netconfmsg` and its attributes, of IPv6: the device, and whether it forwards.
fn forwarding(payload: &[u8]) -> Option<(u32, bool)> {
    if i32::from(*payload.first()?) != libc::AF_INET6 {
        return None;
    }
    let find =
        |kind| attributes(payload.get(4..)?).find(|(k, _)| *k == kind).and_then(|(_, v)| u32_of(v));
    // The values for all devices, and for those to come, have negative numbers.
    let index = find(NETCONFA_IFINDEX).filter(|index| *index as i32 > 0)?;
    Some((index, find(NETCONFA_FORWARDING)? != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loopback_has_its_addresses() {
        let mut monitor = AddressMonitor::new().unwrap();
        monitor.poll().unwrap();
        let lo = &monitor.devices()[&1];
        // Of a namespace whose loopback device is up.
        if !lo.addresses.is_empty() {
            assert!(lo.addresses.contains(&IpAddr::from(Ipv4Addr::LOCALHOST)), "{lo:?}");
        }
        assert_eq!((lo.mac, lo.vlan), (EthAddr::ZERO, None));
    }

    proptest! {
        #[test]
        fn parser_accepts_garbage(
            kind in prop::sample::select(vec![
                libc::RTM_NEWLINK,
                libc::RTM_DELLINK,
                libc::RTM_NEWADDR,
                libc::RTM_DELADDR,
                RTM_NEWNETCONF,
            ]),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            take(&mut BTreeMap::new(), kind, &bytes);
        }
    }
}
