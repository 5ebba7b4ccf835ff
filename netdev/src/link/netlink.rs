//! rtnetlink(7): requests for links, and what is read from the answers.
//!
//! Only the few attributes that are wanted are looked at; the rest of a message, which is most of
//! it, is stepped over.

use std::io;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use std::os::fd::{AsRawFd, BorrowedFd};
use wire::EthAddr;

use super::tun::{Tun, TunInfo};
use super::{LinkInfo, LinkStats};
use crate::sys;

/// A datagram of a dump is at most 32 KiB, one link with all its attributes some 2 KiB.
pub(super) const DATAGRAM: usize = 64 << 10;
/// The kernel answers at once; it may hold its lock for long while devices are removed.
const PATIENCE: Duration = Duration::from_secs(5);

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
struct IfInfo<'a> {
    family: u8,
    index: u32,
    flags: u32,
    attributes: &'a [u8],
}

fn u32_of(b: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(..4)?.try_into().ok()?))
}

fn ifinfo(payload: &[u8]) -> Option<IfInfo<'_>> {
    Some(IfInfo {
        family: *payload.first()?,
        index: u32_of(payload.get(4..)?)?,
        flags: u32_of(payload.get(8..)?)?,
        attributes: payload.get(16..)?,
    })
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes)
        .map_while(Result::ok)
        .map(|a| (a.kind(), &a.into_inner()[4..a.length().into()]))
}

fn text(b: &[u8]) -> String {
    let end = b.iter().position(|c| *c == 0).unwrap_or(b.len());
    String::from_utf8_lossy(&b[..end]).into_owned()
}

/// The payload of `RTM_NEWLINK` or `RTM_DELLINK`. `None` when it is not about a device as such
/// (a bridge tells of its ports by the same messages) or malformed.
pub(super) fn link_info(payload: &[u8]) -> Option<LinkInfo> {
    let h = ifinfo(payload)?;
    if i32::from(h.family) != libc::AF_UNSPEC || h.index == 0 {
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
                // Other kinds of device have longer and shorter ones.
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

/// A device with what the kernel tells of TUN and TAP devices, from the payload of `RTM_NEWLINK`.
pub(super) fn tun_info(payload: &[u8]) -> Option<TunInfo> {
    // linux/if_link.h; the crates that this one uses do not have them.
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

/// Which links are asked for.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    All,
    Named(&'a str),
    Numbered(u32),
}

/// Asks for one link, or all, and gives every answer's payload to `each`. `EINTR` when the list
/// changed while it was read.
pub(super) fn request(
    which: Which<'_>,
    with_stats: bool,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut attributes = Vec::new();
    let mut link = LinkMessage::default();
    let all = match which {
        Which::All => true,
        Which::Named(n) => {
            sys::Ifreq::new(n)?;
            attributes.push(LinkAttribute::IfName(n.to_owned()));
            false
        }
        Which::Numbered(index) => {
            link.header.index = index;
            false
        }
    };
    if !with_stats {
        attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    }
    link.attributes = attributes;
    const SEQ: u32 = 1;
    let mut header = NetlinkHeader::default();
    header.flags = if all { NLM_F_REQUEST | NLM_F_DUMP } else { NLM_F_REQUEST };
    header.sequence_number = SEQ;
    let payload = NetlinkPayload::from(RouteNetlinkMessage::GetLink(link));
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut request = vec![0; message.buffer_len()];
    message.serialize(&mut request);

    let socket = Socket::new(NETLINK_ROUTE)?;
    let deadline = Instant::now() + PATIENCE;
    // SAFETY: the descriptor is open as long as `socket`.
    let fd = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
    set_socket_timeout(fd, Timeout::Recv, Some(PATIENCE))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request, 0)?;
    let mut buf = vec![0; DATAGRAM];
    let mut interrupted = false;
    while Instant::now() < deadline {
        let n = socket.recv(&mut &mut buf[..], 0)?;
        for m in messages(&buf[..n]).filter(|m| m.seq == SEQ) {
            interrupted |= m.flags & NLM_F_DUMP_INTR != 0;
            match m.kind {
                NLMSG_DONE if interrupted => return Err(io::ErrorKind::Interrupted.into()),
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = u32_of(m.payload).map_or(0, |c| c as i32);
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                libc::RTM_NEWLINK => {
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

    /// What the kernel says of the loopback device, as a whole message.
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
    fn a_real_message_is_read() {
        let s = sample();
        let all: Vec<_> = messages(&s).collect();
        assert_eq!(all.len(), 1);
        let info = link_info(all[0].payload).unwrap();
        assert_eq!((info.name.as_str(), info.ifindex), ("lo", 1));
        assert!(link_stats(all[0].payload).is_some());
    }

    #[test]
    fn a_bridges_word_about_a_port_is_no_news_of_the_device() {
        let mut s = sample();
        s[16] = libc::AF_BRIDGE as u8;
        assert_eq!(link_info(&s[16..]), None);
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read_all(&bytes);
        }

        #[test]
        fn damaged_messages_do_no_harm(
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
