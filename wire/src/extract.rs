//! Extraction of the flow key from a frame.
//!
//! Malformed packets are handled as in Open vSwitch, because that decides which flow matches them:
//! the fields of a malformed header and of all later ones stay zero; fields of earlier headers keep
//! their values. Octets after the end of the IP packet (Ethernet padding) are ignored.

use zerocopy::FromBytes;

use crate::header::{
    Arp, Ethernet, Icmp, Ipv4, Ipv6, Ipv6Extension, LinkLayerOption, Sctp, Snap, Tcp, Udp, Vlan,
};
use crate::key::{FRAG_ANY, FRAG_LATER};
use crate::{EthAddr, EtherType, FlowKey, VlanTag, ip};

/// Maximum number of VLAN tags that [`extract`] parses.
pub const MAX_VLANS: usize = 2;

/// Where a frame's headers lie, in octets from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// After the last tag that was read and the Ethernet type; `None` if the frame is shorter
    /// than an Ethernet header.
    pub l3: Option<usize>,
    /// After the IP header and its extensions; `None` without an intact IP header.
    pub l4: Option<usize>,
    /// The end of the IP packet as its header states it; 0 while `l4` is `None`.
    pub l4_end: usize,
}

/// The flow key of `frame`, received on datapath port `in_port`. `recirc_id`, `dp_hash` and the
/// other metadata are zero. Any octets are accepted; a frame without a full Ethernet header gives
/// a key of zeros but for `in_port`.
#[inline]
pub fn extract(frame: &[u8], in_port: u32) -> FlowKey {
    extract_layers(frame, in_port, MAX_VLANS).0
}

/// As [`extract`], but parses at most `max_vlans` tags (`other_config:vlan-limit`; values above
/// [`MAX_VLANS`] are clamped), and also returns the positions of the headers. If more tags follow,
/// `eth_type` is the TPID of the next one.
#[inline]
pub fn extract_layers(frame: &[u8], in_port: u32, max_vlans: usize) -> (FlowKey, Layers) {
    let mut key = FlowKey { in_port, ..FlowKey::default() };
    let mut layers = Layers::default();
    let Ok((eth, mut rest)) = Ethernet::ref_from_prefix(frame) else {
        return (key, layers);
    };
    key.eth_dst = eth.dst;
    key.eth_src = eth.src;
    key.eth_type = eth.eth_type.get();
    for tag in key.vlan.iter_mut().take(max_vlans) {
        if !matches!(key.eth_type, EtherType::VLAN | EtherType::VLAN_8021AD) {
            break;
        }
        let Ok((vlan, after)) = Vlan::ref_from_prefix(rest) else { break };
        *tag = VlanTag { tpid: key.eth_type, tci: vlan.tci.get() | VlanTag::CFI };
        key.eth_type = vlan.eth_type.get();
        rest = after;
    }
    if key.eth_type < 0x0600 {
        (key.eth_type, rest) = snap_type(rest);
    }
    layers.l3 = Some(frame.len() - rest.len());

    let l4 = match key.eth_type {
        EtherType::IPV4 => ipv4(rest, &mut key),
        EtherType::IPV6 => ipv6(rest, &mut key),
        EtherType::ARP | EtherType::RARP => {
            arp(rest, &mut key);
            None
        }
        _ => None,
    };
    if let Some(Payload { start, end }) = l4 {
        let l3 = frame.len() - rest.len();
        layers.l4 = Some(l3 + start);
        layers.l4_end = l3 + end;
        if key.nw_frag & FRAG_LATER == 0 {
            transport(&rest[start..end], &mut key);
        }
    }
    (key, layers)
}

/// The type of an IEEE 802.2 frame by its SNAP header, and what follows it.
#[cold]
fn snap_type(rest: &[u8]) -> (u16, &[u8]) {
    match Snap::ref_from_prefix(rest) {
        Ok((Snap { llc: [0xaa, 0xaa, 0x03], oui: [0, 0, 0], eth_type }, after)) => {
            let typ = eth_type.get();
            (if typ >= 0x0600 { typ } else { EtherType::NONE }, after)
        }
        _ => (EtherType::NONE, rest),
    }
}

/// The range of the L4 octets in an L3 packet.
struct Payload {
    start: usize,
    end: usize,
}

#[inline]
fn ipv4(l3: &[u8], key: &mut FlowKey) -> Option<Payload> {
    let (h, _) = Ipv4::ref_from_prefix(l3).ok()?;
    let (header, total) = (h.header_len(), usize::from(h.total_len.get()));
    if header < 20 || total < header || total > l3.len() || l3.len() - total > 0xffff {
        return None;
    }
    let fragment = h.flags_offset.get();
    // The M flag or a fragment offset.
    if fragment & 0x3fff != 0 {
        key.nw_frag = FRAG_ANY;
        if fragment & 0x1fff != 0 {
            key.nw_frag |= FRAG_LATER;
        }
    }
    key.nw_tos = h.tos;
    key.nw_ttl = h.ttl;
    key.nw_proto = h.proto;
    key.nw_src[12..].copy_from_slice(&h.src);
    key.nw_dst[12..].copy_from_slice(&h.dst);
    Some(Payload { start: header, end: total })
}

#[inline]
fn ipv6(l3: &[u8], key: &mut FlowKey) -> Option<Payload> {
    let (h, _) = Ipv6::ref_from_prefix(l3).ok()?;
    let end = size_of::<Ipv6>() + usize::from(h.payload_len.get());
    if end > l3.len() || l3.len() - end > 0xffff {
        return None;
    }
    key.nw_src = h.src;
    key.nw_dst = h.dst;
    // With malformed extension headers only the addresses are set.
    let ext = extensions(&l3[..end], h.next)?;
    let word = h.class_label.get();
    key.ipv6_label = word & 0x000f_ffff;
    key.nw_tos = (word >> 20) as u8;
    key.nw_ttl = h.hop_limit;
    key.nw_proto = ext.proto;
    key.nw_frag = ext.frag;
    Some(Payload { start: ext.start, end })
}

struct Extensions {
    proto: u8,
    frag: u8,
    start: usize,
}

/// Walks the extension headers of an IPv6 packet that is cut to its stated length.
#[inline]
fn extensions(packet: &[u8], mut proto: u8) -> Option<Extensions> {
    let mut start = size_of::<Ipv6>();
    let mut frag = 0;
    loop {
        if !matches!(proto, ip::HOPOPTS | ip::ROUTING | ip::DSTOPTS | ip::AH | ip::FRAGMENT) {
            return Some(Extensions { proto, frag, start });
        }
        let (h, _) = Ipv6Extension::ref_from_prefix(packet.get(start..)?).ok()?;
        let len = match proto {
            ip::AH => (usize::from(h.len) + 2) * 4,
            ip::FRAGMENT => 8,
            _ => (usize::from(h.len) + 1) * 8,
        };
        if start + len > packet.len() {
            return None;
        }
        start += len;
        if proto == ip::FRAGMENT {
            let offset = h.offset_flags.get();
            if offset != 0 {
                frag = FRAG_ANY;
                if offset & 0xfff8 != 0 {
                    frag |= FRAG_LATER;
                    return Some(Extensions { proto: ip::FRAGMENT, frag, start });
                }
            }
        }
        proto = h.next;
    }
}

#[inline]
fn transport(l4: &[u8], key: &mut FlowKey) {
    match key.nw_proto {
        ip::TCP => {
            if let Ok((h, _)) = Tcp::ref_from_prefix(l4)
                && (size_of::<Tcp>()..=l4.len()).contains(&h.header_len())
            {
                (key.tp_src, key.tp_dst) = (h.src.get(), h.dst.get());
                key.tcp_flags = h.offset_flags.get() & 0x0fff;
            }
        }
        ip::UDP => {
            if let Ok((h, _)) = Udp::ref_from_prefix(l4) {
                (key.tp_src, key.tp_dst) = (h.src.get(), h.dst.get());
            }
        }
        ip::SCTP => {
            if let Ok((h, _)) = Sctp::ref_from_prefix(l4) {
                (key.tp_src, key.tp_dst) = (h.src.get(), h.dst.get());
            }
        }
        ip::ICMP | ip::IGMP => {
            if let Ok((h, _)) = Icmp::ref_from_prefix(l4) {
                (key.tp_src, key.tp_dst) = (h.kind.into(), h.code.into());
            }
        }
        ip::ICMPV6 => {
            if let Ok((h, body)) = Icmp::ref_from_prefix(l4) {
                (key.tp_src, key.tp_dst) = (h.kind.into(), h.code.into());
                const NEIGHBOUR_SOLICITATION: u8 = 135;
                const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
                if let (NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT, 0) = (h.kind, h.code) {
                    neighbour_discovery(body, key);
                }
            }
        }
        _ => {}
    }
}

/// Target and link-layer address options (RFC 4861 sections 4.3, 4.4, 4.6.1). If an
/// option occurs twice, all three fields stay zero.
fn neighbour_discovery(body: &[u8], key: &mut FlowKey) {
    let Some((target, mut options)) = body.split_first_chunk::<16>() else {
        return;
    };
    let (mut sll, mut tll) = (EthAddr::ZERO, EthAddr::ZERO);
    while let Ok((option, _)) = LinkLayerOption::ref_from_prefix(options) {
        let len = usize::from(option.len) * 8;
        if len == 0 || len > options.len() {
            break;
        }
        const SOURCE_LINK_LAYER: u8 = 1;
        const TARGET_LINK_LAYER: u8 = 2;
        let slot = match option.kind {
            SOURCE_LINK_LAYER if len == 8 => Some(&mut sll),
            TARGET_LINK_LAYER if len == 8 => Some(&mut tll),
            _ => None,
        };
        if let Some(slot) = slot {
            if !slot.is_zero() {
                return;
            }
            *slot = option.addr;
        }
        options = &options[len..];
    }
    key.nd_target = *target;
    key.arp_sha = sll;
    key.arp_tha = tll;
}

/// ARP and RARP for IPv4 over Ethernet (RFC 826); others leave the fields zero.
fn arp(l3: &[u8], key: &mut FlowKey) {
    /// The hardware type of Ethernet.
    const ETHERNET: u16 = 1;
    let Ok((h, _)) = Arp::ref_from_prefix(l3) else {
        return;
    };
    if (h.hardware.get(), h.protocol.get()) != (ETHERNET, EtherType::IPV4)
        || (h.hardware_len, h.protocol_len) != (6, 4)
    {
        return;
    }
    // Only the low octet can be matched; larger opcodes read as 0.
    key.nw_proto = u8::try_from(h.opcode.get()).unwrap_or(0);
    key.arp_sha = h.sha;
    key.nw_src[12..].copy_from_slice(&h.spa);
    key.arp_tha = h.tha;
    key.nw_dst[12..].copy_from_slice(&h.tpa);
}
