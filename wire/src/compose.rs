//! Frames made from a flow key: the opposite of [`extract`](crate::extract()).
//!
//! `netdev-dummy/receive`, `ofproto/trace -generate` and tests use them. Lengths and checksums are
//! right; fields that a frame cannot carry (`in_port`, other metadata) are ignored. The choices
//! where several frames have the same key are those of Open vSwitch.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::icmp::{self, IcmpCode, IcmpType, MutableIcmpPacket};
use pnet_packet::icmpv6::ndp::{MutableNeighborSolicitPacket, NdpOption, NdpOptionTypes};
use pnet_packet::icmpv6::{Icmpv6Code, Icmpv6Type, MutableIcmpv6Packet};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::tcp::{MutableTcpPacket, TcpFlags};
use pnet_packet::util;

use crate::arp;
use crate::frame::{Ipv4, Ipv6, MORE_FRAGMENTS, ethernet, ipv6_fragment, udp};
use crate::key::{FRAG_ANY, FRAG_LATER};
use crate::{EthAddr, EtherType, FlowKey, VlanTag, ip};
use format::MutableSctpPacket;

/// 64 octets that count up from 0: the payload that `netdev-dummy/receive` sends.
pub const COUNTING: [u8; 64] = {
    let mut p = [0; 64];
    let mut i = 0;
    while i < 64 {
        p[i] = i as u8;
        i += 1;
    }
    p
};

/// Bit in an MPLS label stack entry: the bottom of the stack (RFC 3032 section 2.1).
const MPLS_BOTTOM: u32 = 0x100;

/// ICMP types of echo reply and request (RFC 792), and of ICMPv6 (RFC 4443).
const ECHO: [u16; 2] = [0, 8];
const ECHO_V6: [u16; 2] = [128, 129];
/// ICMPv6 types of neighbour solicitation and advertisement (RFC 4861).
const NEIGHBOUR: [u16; 2] = [135, 136];

/// Segments with one of these flags carry no payload.
const NO_DATA: u16 = (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) as u16;

/// Fragment offset of a fragment that is not the first, in units of 8 octets.
const LATER_OFFSET: u16 = 100;

/// What follows the innermost header.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// These octets, where the protocol carries any: after UDP, after ICMP echo, and after TCP
    /// without SYN, FIN and RST.
    Octets(&'a [u8]),
    /// Zeros until the frame has at least this many octets. They count as part of the innermost
    /// packet.
    UpTo(usize),
}

/// The headers alone are longer than the requested frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet of this flow has at least {least} octets, {asked} are asked for")]
pub struct TooLong {
    /// Octets of the headers.
    pub least: usize,
    /// The requested length, in octets.
    pub asked: usize,
}

/// A frame whose flow key is `key`.
///
/// `mpls` is the label stack for an MPLS Ethernet type, outermost entry first; entries after the
/// one with the bottom-of-stack bit are ignored. The checksum of SCTP is left zero.
pub fn compose(key: &FlowKey, mpls: &[u32], payload: Payload<'_>) -> Vec<u8> {
    match payload {
        Payload::Octets(octets) => frame(key, mpls, octets, 0),
        Payload::UpTo(len) => {
            let headers = frame(key, mpls, &[], 0);
            match len.saturating_sub(headers.len()) {
                0 => headers,
                zeros => frame(key, mpls, &[], zeros),
            }
        }
    }
}

/// As [`compose`] with [`Payload::UpTo`], with exactly `len` octets.
///
/// # Errors
///
/// The headers alone are longer than `len`.
pub fn compose_len(key: &FlowKey, mpls: &[u32], len: usize) -> Result<Vec<u8>, TooLong> {
    let frame = compose(key, mpls, Payload::UpTo(len));
    if frame.len() > len { Err(TooLong { least: frame.len(), asked: len }) } else { Ok(frame) }
}

/// `octets` follow where the protocol carries a payload, and then `zeros` as many zeros.
fn frame(key: &FlowKey, mpls: &[u32], octets: &[u8], zeros: usize) -> Vec<u8> {
    let tag =
        |t: VlanTag| VlanTag { tpid: if t.tpid == 0 { EtherType::VLAN } else { t.tpid }, ..t };
    let vlan = key.vlan.map(tag);
    let mut l3 = match key.eth_type {
        EtherType::IPV4 => ipv4(key, octets, zeros),
        EtherType::IPV6 => ipv6(key, octets, zeros),
        EtherType::ARP | EtherType::RARP => arp(key),
        EtherType::MPLS | EtherType::MPLS_MULTICAST => label_stack(mpls),
        _ => Vec::new(),
    };
    if !matches!(key.eth_type, EtherType::IPV4 | EtherType::IPV6) {
        l3.resize(l3.len() + zeros, 0);
    }
    let mut eth_type = key.eth_type;
    if eth_type == EtherType::NONE {
        // IEEE 802.3: a length. That of the whole frame, as in Open vSwitch.
        let tags = vlan.iter().filter(|t| t.is_present()).count();
        let len = crate::eth::ETH_HEADER_LEN + 4 * tags + l3.len();
        eth_type = u16::try_from(len).unwrap_or(u16::MAX).min(EtherType::NONE);
    }
    ethernet(key.eth_dst, key.eth_src, &vlan, eth_type, &l3)
}

fn label_stack(entries: &[u32]) -> Vec<u8> {
    let bottom = entries.iter().position(|e| e & MPLS_BOTTOM != 0);
    let used = bottom.map_or(entries, |i| &entries[..=i]);
    used.iter().flat_map(|e| e.to_be_bytes()).collect()
}

/// The addresses are zero unless the packet is a request or a reply.
fn arp(key: &FlowKey) -> Vec<u8> {
    let mut p = arp::Packet { op: u16::from(key.nw_proto), ..arp::Packet::default() };
    if matches!(key.nw_proto, arp::op::REQUEST | arp::op::REPLY) {
        (p.sha, p.spa) = (key.arp_sha, key.ipv4_src().into());
        (p.tha, p.tpa) = (key.arp_tha, key.ipv4_dst().into());
    }
    p.emit()
}

fn ipv4(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    let (flags, fragment_offset) = match (key.nw_frag & FRAG_ANY, key.nw_frag & FRAG_LATER) {
        (0, 0) => (0, 0),
        (_, 0) => (MORE_FRAGMENTS, 0),
        _ => (MORE_FRAGMENTS, LATER_OFFSET),
    };
    Ipv4 {
        tos: key.nw_tos,
        flags,
        fragment_offset,
        ttl: key.nw_ttl,
        proto: key.nw_proto,
        src: key.ipv4_src().into(),
        dst: key.ipv4_dst().into(),
    }
    .packet(&transport(key, octets, zeros))
}

fn ipv6(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    let mut payload = transport(key, octets, zeros);
    let mut next_header = key.nw_proto;
    if key.nw_frag & FRAG_ANY != 0 {
        let offset = if key.nw_frag & FRAG_LATER != 0 { LATER_OFFSET } else { 0 };
        payload = ipv6_fragment(key.nw_proto, offset, &payload);
        next_header = ip::FRAGMENT;
    }
    Ipv6 {
        traffic_class: key.nw_tos,
        flow_label: key.ipv6_label,
        next_header,
        hop_limit: key.nw_ttl,
        src: key.nw_src.into(),
        dst: key.nw_dst.into(),
    }
    .packet(&payload)
}

/// The IP payload, with its checksum.
fn transport(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    if key.nw_frag & FRAG_LATER != 0 {
        return vec![0; zeros];
    }
    match key.nw_proto {
        ip::TCP => tcp(key, octets, zeros),
        ip::UDP => datagram(key, octets, zeros),
        ip::SCTP => sctp(key, zeros),
        ip::ICMP => icmp(key, octets, zeros),
        ip::IGMP => icmp(key, &[], zeros),
        ip::ICMPV6 => icmpv6(key, octets, zeros),
        _ => vec![0; zeros],
    }
}

/// `header` zeros, `octets`, and then `zeros` more.
fn buffer(header: usize, octets: &[u8], zeros: usize) -> Vec<u8> {
    let mut buf = vec![0; header + octets.len() + zeros];
    buf[header..header + octets.len()].copy_from_slice(octets);
    buf
}

/// The checksum of `l4` with the pseudo-header of `key`; the 16-bit word number `skip` counts as
/// zero.
fn checksum(key: &FlowKey, l4: &[u8], skip: usize) -> u16 {
    let proto = IpNextHeaderProtocol(key.nw_proto);
    if key.eth_type == EtherType::IPV6 {
        let (src, dst) = (Ipv6Addr::from(key.nw_src), Ipv6Addr::from(key.nw_dst));
        util::ipv6_checksum(l4, skip, &[], &src, &dst, proto)
    } else {
        let (src, dst) = (Ipv4Addr::from(key.ipv4_src()), Ipv4Addr::from(key.ipv4_dst()));
        util::ipv4_checksum(l4, skip, &[], &src, &dst, proto)
    }
}

fn tcp(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    const LEN: usize = MutableTcpPacket::minimum_packet_size();
    let octets = if key.tcp_flags & NO_DATA == 0 { octets } else { &[] };
    let mut buf = buffer(LEN, octets, zeros);
    if let Some(mut p) = MutableTcpPacket::new(&mut buf) {
        p.set_source(key.tp_src);
        p.set_destination(key.tp_dst);
        p.set_data_offset((LEN / 4) as u8);
        p.set_reserved((key.tcp_flags >> 8) as u8 & 0x0f);
        p.set_flags(key.tcp_flags as u8);
    }
    let sum = checksum(key, &buf, 8);
    if let Some(mut p) = MutableTcpPacket::new(&mut buf) {
        p.set_checksum(sum);
    }
    buf
}

fn datagram(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    let mut buf = udp(key.tp_src, key.tp_dst, &buffer(0, octets, zeros));
    let sum = match checksum(key, &buf, 3) {
        // Zero would mean "no checksum" (RFC 768).
        0 => 0xffff,
        sum => sum,
    };
    if let Some(mut p) = pnet_packet::udp::MutableUdpPacket::new(&mut buf) {
        p.set_checksum(sum);
    }
    buf
}

fn sctp(key: &FlowKey, zeros: usize) -> Vec<u8> {
    let mut buf = buffer(MutableSctpPacket::minimum_packet_size(), &[], zeros);
    if let Some(mut p) = MutableSctpPacket::new(&mut buf) {
        p.set_source(key.tp_src);
        p.set_destination(key.tp_dst);
    }
    buf
}

/// Octets of an ICMP or ICMPv6 header with the four octets whose meaning depends on the type. An
/// IGMPv2 message has the same layout (RFC 2236 section 2).
const ICMP_LEN: usize = 8;

fn icmp(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    let echo = ECHO.contains(&key.tp_src) && key.tp_dst == 0;
    let mut buf = buffer(ICMP_LEN, if echo { octets } else { &[] }, zeros);
    if let Some(mut p) = MutableIcmpPacket::new(&mut buf) {
        p.set_icmp_type(IcmpType(key.tp_src as u8));
        p.set_icmp_code(IcmpCode(key.tp_dst as u8));
        let sum = icmp::checksum(&p.to_immutable());
        p.set_checksum(sum);
    }
    buf
}

fn icmpv6(key: &FlowKey, octets: &[u8], zeros: usize) -> Vec<u8> {
    let mut buf = if NEIGHBOUR.contains(&key.tp_src) && key.tp_dst == 0 {
        neighbour(key, zeros)
    } else {
        let echo = ECHO_V6.contains(&key.tp_src) && key.tp_dst == 0;
        buffer(ICMP_LEN, if echo { octets } else { &[] }, zeros)
    };
    if let Some(mut p) = MutableIcmpv6Packet::new(&mut buf) {
        p.set_icmpv6_type(Icmpv6Type(key.tp_src as u8));
        p.set_icmpv6_code(Icmpv6Code(key.tp_dst as u8));
    }
    let sum = checksum(key, &buf, 1);
    if let Some(mut p) = MutableIcmpv6Packet::new(&mut buf) {
        p.set_checksum(sum);
    }
    buf
}

/// A neighbour solicitation or advertisement; an advertisement's flags are zero.
fn neighbour(key: &FlowKey, zeros: usize) -> Vec<u8> {
    let option = |option_type, mac: EthAddr| {
        let data = mac.0.to_vec();
        (!mac.is_zero()).then_some(NdpOption { option_type, length: 1, data })
    };
    let options: Vec<NdpOption> = [
        option(NdpOptionTypes::SourceLLAddr, key.arp_sha),
        option(NdpOptionTypes::TargetLLAddr, key.arp_tha),
    ]
    .into_iter()
    .flatten()
    .collect();
    let headers = MutableNeighborSolicitPacket::minimum_packet_size() + 8 * options.len();
    let mut buf = vec![0; headers];
    if let Some(mut p) = MutableNeighborSolicitPacket::new(&mut buf) {
        p.set_target_addr(key.nd_target.into());
        p.set_options(&options);
    }
    buf.resize(headers + zeros, 0);
    buf
}

// The macro's output is not under our control.
#[allow(unreachable_pub, unused, clippy::all, clippy::undocumented_unsafe_blocks)]
mod format {
    use pnet_macros::packet;
    use pnet_macros_support::types::*;

    /// The common header of SCTP (RFC 9260 section 3.1).
    #[packet]
    pub struct Sctp {
        pub source: u16be,
        pub destination: u16be,
        pub verification_tag: u32be,
        pub checksum: u32be,
        #[payload]
        pub chunks: Vec<u8>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::verify;
    use crate::extract;

    fn key(eth_type: u16, nw_proto: u8) -> FlowKey {
        FlowKey {
            in_port: 7,
            eth_dst: EthAddr([2, 0, 0, 0, 0, 1]),
            eth_src: EthAddr([2, 0, 0, 0, 0, 2]),
            eth_type,
            nw_proto,
            nw_ttl: 64,
            nw_tos: 4,
            nw_src: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1],
            nw_dst: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2],
            ..FlowKey::default()
        }
    }

    #[test]
    fn compose_then_extract_gives_same_key() {
        let (v4, v6) = (EtherType::IPV4, EtherType::IPV6);
        let ports = |k: FlowKey| FlowKey { tp_src: 1, tp_dst: 2, ..k };
        let tag = |tpid, vid: u16| VlanTag { tpid, tci: 0x1000 | 3 << 13 | vid };
        let mut keys = vec![
            (ports(FlowKey { tcp_flags: 0x010, ..key(v4, ip::TCP) }), 118),
            (ports(FlowKey { tcp_flags: 0x002, ..key(v4, ip::TCP) }), 54),
            (ports(key(v4, ip::UDP)), 106),
            (ports(key(v4, ip::SCTP)), 46),
            (FlowKey { tp_src: 8, ..key(v4, ip::ICMP) }, 106),
            (FlowKey { tp_src: 3, tp_dst: 1, ..key(v4, ip::ICMP) }, 42),
            (FlowKey { tp_src: 0x11, ..key(v4, ip::IGMP) }, 42),
            (FlowKey { nw_frag: FRAG_ANY, ..ports(key(v4, ip::UDP)) }, 106),
            (FlowKey { nw_frag: FRAG_ANY | FRAG_LATER, ..key(v4, ip::UDP) }, 34),
            (FlowKey { ipv6_label: 0x12345, ..ports(key(v6, ip::TCP)) }, 138),
            (FlowKey { tp_src: 128, ..key(v6, ip::ICMPV6) }, 126),
            (FlowKey { tp_src: 1, ..key(v6, ip::ICMPV6) }, 62),
            (key(v4, 200), 34),
        ];
        let who = FlowKey {
            arp_sha: EthAddr([2; 6]),
            arp_tha: EthAddr([3; 6]),
            ..key(EtherType::ARP, 1)
        };
        keys.push((FlowKey { nw_ttl: 0, nw_tos: 0, ..who }, 42));
        let nd = FlowKey { tp_src: 135, nd_target: [9; 16], ..key(v6, ip::ICMPV6) };
        keys.push((FlowKey { arp_sha: EthAddr([2; 6]), ..nd }, 86));
        let plain = FlowKey { eth_type: 0x1234, ..FlowKey { in_port: 7, ..FlowKey::default() } };
        keys.push((plain, 14));
        keys.push((FlowKey { eth_type: EtherType::NONE, ..plain }, 14));
        for (k, len) in keys {
            for vlan in [
                [VlanTag::default(); 2],
                [tag(0x8100, 5), VlanTag::default()],
                [tag(0x88a8, 0), tag(0x8100, 4095)],
            ] {
                let k = FlowKey { vlan, ..k };
                let tags = vlan.iter().filter(|t| t.is_present()).count();
                let f = compose(&k, &[], Payload::Octets(&COUNTING));
                assert_eq!(extract(&f, 7), k, "{k:?}");
                assert_eq!(f.len(), len + 4 * tags, "{k:?}");
                assert_ne!(verify(&f), Some(false), "{k:?}");
                let f = compose_len(&k, &[], 300).unwrap();
                assert_eq!((f.len(), extract(&f, 7)), (300, k));
                assert_ne!(verify(&f), Some(false), "{k:?}");
            }
        }
    }

    #[test]
    fn compose_len_gives_exact_length_or_error() {
        let k = key(EtherType::IPV4, ip::UDP);
        assert_eq!(compose_len(&k, &[], 42).unwrap().len(), 42);
        assert_eq!(compose_len(&k, &[], 41), Err(TooLong { least: 42, asked: 41 }));
        let f = compose_len(&k, &[], 60).unwrap();
        assert_eq!(f[38..40], 26_u16.to_be_bytes(), "UDP's length tells of the zeros");
    }
}
