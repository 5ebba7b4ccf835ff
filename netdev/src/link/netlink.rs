//! rtnetlink(7): requests for links, and the parsers of answers.
//!
//! Only the few attributes that are needed are parsed. To parse all of a message, as
//! netlink-packet-route does, takes some twenty times as long.

use std::io;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NlasIterator,
};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use wire::EthAddr;

use super::info::{LinkInfo, LinkStats};
use crate::sys;

/// `NETLINK_ROUTE`: the protocol with number 0.
pub(super) const ROUTE: Option<Protocol> = None;
/// A datagram of a dump is at most 32 KiB, one link with all its attributes some 2 KiB.
pub(super) const DATAGRAM: usize = 64 << 10;
/// How long to wait for an answer. The kernel answers at once, unless it holds its lock for
/// network configuration, as while devices are removed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;

/// One netlink message: type, flags, sequence number and payload.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) seq: u32,
    pub(super) payload: &'a [u8],
}

/// The messages of a datagram, up to the first that is malformed.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let b = NetlinkBuffer::new_checked(datagram).ok()?;
        let len = b.length() as usize;
        let m = Message {
            kind: b.message_type(),
            flags: b.flags(),
            seq: b.sequence_number(),
            payload: datagram.get(16..len)?,
        };
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(m)
    })
}

/// `struct ifinfomsg` and the attributes that follow it.
pub(super) struct IfInfo<'a> {
    family: u8,
    pub(super) index: u32,
    flags: u32,
    pub(super) attributes: &'a [u8],
}

impl IfInfo<'_> {
    /// Not about a port of a Linux bridge (family `AF_BRIDGE`), which the kernel reports by the same
    /// messages.
    pub(super) fn is_link(&self) -> bool {
        i32::from(self.family) == libc::AF_UNSPEC && self.index != 0
    }
}

pub(super) fn u32_of(b: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(..4)?.try_into().ok()?))
}

pub(super) fn ifinfo(payload: &[u8]) -> Option<IfInfo<'_>> {
    Some(IfInfo {
        family: *payload.first()?,
        index: u32_of(payload.get(4..)?)?,
        flags: u32_of(payload.get(8..)?)?,
        attributes: payload.get(16..)?,
    })
}

pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes)
        .map_while(Result::ok)
        .map(|a| (a.kind(), &a.into_inner()[4..a.length().into()]))
}

pub(super) fn text(b: &[u8]) -> String {
    let end = b.iter().position(|c| *c == 0).unwrap_or(b.len());
    String::from_utf8_lossy(&b[..end]).into_owned()
}

/// The payload of `RTM_NEWLINK` or `RTM_DELLINK`. `None` when it is malformed, or about a port of a
/// Linux bridge (family `AF_BRIDGE`), which the kernel reports by the same messages.
pub(super) fn link_info(payload: &[u8]) -> Option<LinkInfo> {
    let h = ifinfo(payload)?;
    if !h.is_link() {
        return None;
    }
    let mut info = LinkInfo {
        ifindex: h.index,
        admin_up: h.flags & libc::IFF_UP as u32 != 0,
        carrier: h.flags & libc::IFF_LOWER_UP as u32 != 0,
        ..LinkInfo::default()
    };
    for (kind, v) in attributes(h.attributes) {
        match kind {
            libc::IFLA_IFNAME => info.name = text(v),
            libc::IFLA_MTU => info.mtu = u32_of(v)?,
            libc::IFLA_ADDRESS => {
                // Devices other than Ethernet have addresses of other lengths.
                info.mac = v.try_into().map(EthAddr).unwrap_or_default();
            }
            libc::IFLA_MASTER => info.master = u32_of(v)?,
            libc::IFLA_CARRIER_CHANGES => info.carrier_changes = u32_of(v)?,
            libc::IFLA_LINKINFO => {
                let mut inner = attributes(v);
                if let Some((_, k)) = inner.find(|(k, _)| *k == libc::IFLA_INFO_KIND) {
                    info.kind = text(k);
                }
            }
            _ => {}
        }
    }
    if info.name.is_empty() { None } else { Some(info) }
}

/// The counters in the payload of `RTM_NEWLINK` (`struct rtnl_link_stats64`).
pub(super) fn link_stats(payload: &[u8]) -> Option<LinkStats> {
    let h = ifinfo(payload)?;
    let (_, v) = attributes(h.attributes).find(|(k, _)| *k == libc::IFLA_STATS64)?;
    // The structure has grown at its end over time; these are its oldest sixteen.
    let mut c = [0u64; 16];
    for (c, b) in c.iter_mut().zip(v.chunks_exact(8)) {
        *c = u64::from_ne_bytes(b.try_into().ok()?);
    }
    Some(LinkStats {
        rx_packets: c[0],
        tx_packets: c[1],
        rx_bytes: c[2],
        tx_bytes: c[3],
        rx_errors: c[4],
        tx_errors: c[5],
        rx_dropped: c[6],
        tx_dropped: c[7],
        multicast: c[8],
        collisions: c[9],
        rx_over_err: c[11],
        rx_crc_err: c[12],
        rx_frame_err: c[13],
        rx_missed_errors: c[15],
    })
}

/// Which links a request is for.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    All,
    Named(&'a str),
    Numbered(u32),
}

const SEQUENCE: u32 = 1;

/// A request for links (`RTM_GETLINK`): the message's header, `struct ifinfomsg` and attributes.
fn get_link(which: Which<'_>, with_stats: bool) -> Vec<u8> {
    /// `RTEXT_FILTER_SKIP_STATS` of linux/rtnetlink.h.
    const SKIP_STATS: u32 = 1 << 3;
    let (flags, index) = match which {
        Which::All => (NLM_F_REQUEST | NLM_F_DUMP, 0),
        Which::Named(_) => (NLM_F_REQUEST, 0),
        Which::Numbered(index) => (NLM_F_REQUEST, index),
    };
    let mut m = vec![0; 32];
    m[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    m[6..8].copy_from_slice(&flags.to_ne_bytes());
    m[8..12].copy_from_slice(&SEQUENCE.to_ne_bytes());
    m[20..24].copy_from_slice(&index.to_ne_bytes());
    let mut attribute = |kind: u16, value: &[u8]| {
        m.extend((4 + value.len() as u16).to_ne_bytes());
        m.extend(kind.to_ne_bytes());
        m.extend(value);
        m.resize(m.len().next_multiple_of(4), 0);
    };
    if let Which::Named(name) = which {
        attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
    }
    if !with_stats {
        attribute(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
    }
    let length = m.len() as u32;
    m[..4].copy_from_slice(&length.to_ne_bytes());
    m
}

/// Asks for one link and reads its answer with `parse`. `ENODEV` when there is none.
pub(super) fn one<T>(
    which: Which<'_>,
    with_stats: bool,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<T> {
    let mut found = None;
    request(which, with_stats, |payload| found = parse(payload))?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// Asks for one link, or all, and gives every answer's payload to `each`. `EINTR` when the list
/// changed while it was read.
pub(super) fn request(
    which: Which<'_>,
    with_stats: bool,
    each: impl FnMut(&[u8]),
) -> io::Result<()> {
    if let Which::Named(name) = which {
        sys::Ifreq::new(name)?;
    }
    let all = matches!(which, Which::All);
    exchange(&get_link(which, with_stats), libc::RTM_NEWLINK, all, each)
}

/// Asks for all objects of one kind (`RTM_GETADDR` and the like), of all address families; the
/// answers are messages of the kind `answer`. `EINTR` when the list changed while it was read.
pub(super) fn dump(get: u16, answer: u16, each: impl FnMut(&[u8])) -> io::Result<()> {
    /// The longest header that a request can need, `struct ifinfomsg`; zeros are all families.
    const HEADER: usize = 16;
    let mut m = vec![0; 16 + HEADER];
    m[..4].copy_from_slice(&((16 + HEADER) as u32).to_ne_bytes());
    m[4..6].copy_from_slice(&get.to_ne_bytes());
    m[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    m[8..12].copy_from_slice(&SEQUENCE.to_ne_bytes());
    exchange(&m, answer, true, each)
}

/// Sends a request and gives the payload of each answer of the kind `answers` to `each`: of the
/// first, or of all.
fn exchange(
    message: &[u8],
    answers: u16,
    all: bool,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let kind = SocketType::RAW;
    let socket = socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, ROUTE)?;
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    send(&socket, message, SendFlags::empty())?;
    let mut buf = vec![0; DATAGRAM];
    let mut interrupted = false;
    while Instant::now() < deadline {
        let (n, _) = recv(&socket, &mut buf[..], RecvFlags::empty())?;
        for m in messages(&buf[..n]).filter(|m| m.seq == SEQUENCE) {
            interrupted |= m.flags & NLM_F_DUMP_INTR != 0;
            match m.kind {
                NLMSG_DONE if interrupted => return Err(io::ErrorKind::Interrupted.into()),
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = u32_of(m.payload).map_or(0, |c| c as i32);
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                kind if kind == answers => {
                    each(m.payload);
                    if !all {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tun::tun_info;
    use super::*;

    fn read_all(bytes: &[u8]) {
        for m in messages(bytes) {
            let _ = link_info(m.payload);
            let _ = tun_info(m.payload);
            let _ = link_stats(m.payload);
        }
        let _ = link_info(bytes);
        let _ = tun_info(bytes);
        let _ = link_stats(bytes);
    }

    /// The kernel's answer for the loopback device, as a whole message.
    fn sample() -> Vec<u8> {
        let mut payload = Vec::new();
        request(Which::Named("lo"), true, |p| payload = p.to_vec()).unwrap();
        let mut m = ((payload.len() + 16) as u32).to_ne_bytes().to_vec();
        m.extend(libc::RTM_NEWLINK.to_ne_bytes());
        m.extend([0; 10]);
        m.extend(payload);
        m
    }

    #[test]
    fn parsers_read_kernel_message() {
        let s = sample();
        let all: Vec<_> = messages(&s).collect();
        assert_eq!(all.len(), 1);
        let info = link_info(all[0].payload).unwrap();
        assert_eq!((info.name.as_str(), info.ifindex), ("lo", 1));
        assert!(link_stats(all[0].payload).is_some());
    }

    #[test]
    fn request_has_name_or_index() {
        let m = get_link(Which::Named("eth0"), false);
        let b = NetlinkBuffer::new_checked(&m).unwrap();
        assert_eq!((b.length(), b.message_type()), (52, libc::RTM_GETLINK));
        let all: Vec<_> = attributes(ifinfo(b.payload()).unwrap().attributes).collect();
        let mask = 8u32.to_ne_bytes();
        assert_eq!(all, [(libc::IFLA_IFNAME, &b"eth0\0"[..]), (libc::IFLA_EXT_MASK, &mask[..])]);
        let m = get_link(Which::Numbered(7), true);
        assert_eq!(ifinfo(&m[16..]).unwrap().index, 7);
    }

    #[test]
    fn link_info_ignores_bridge_port_message() {
        let mut s = sample();
        s[16] = libc::AF_BRIDGE as u8;
        assert_eq!(link_info(&s[16..]), None);
    }

    proptest! {
        #[test]
        fn parsers_accept_garbage(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read_all(&bytes);
        }

        #[test]
        fn parsers_accept_damaged_messages(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut s = sample();
            for (at, to) in damage {
                let at = at.index(s.len());
                s[at] = to;
            }
            read_all(&s);
            read_all(&s[..cut.index(s.len())]);
        }
    }
}
