//! Extraction of the flow key from a frame.
//!
//! Malformed packets are handled as in Open vSwitch, because that decides which flow matches them:
//! the fields of a malformed header and of all later ones stay zero; fields of earlier headers keep
//! their values. Octets after the end of the IP packet (Ethernet padding) are ignored.

use crate::eth::ETH_HEADER_LEN;
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
    let Some((eth, mut rest)) = frame.split_first_chunk::<12>() else {
        return (key, layers);
    };
    if frame.len() < ETH_HEADER_LEN {
        return (key, layers);
    }
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *eth;
    key.eth_dst = EthAddr([d0, d1, d2, d3, d4, d5]);
    key.eth_src = EthAddr([s0, s1, s2, s3, s4, s5]);

    // Here `rest` begins with an Ethernet type: it has at least two octets.
    for tag in key.vlan.iter_mut().take(max_vlans) {
        let tpid = be16(rest, 0);
        if !matches!(tpid, EtherType::VLAN | EtherType::VLAN_8021AD) || rest.len() < 6 {
            break;
        }
        *tag = VlanTag { tpid, tci: be16(rest, 2) | VlanTag::CFI };
        rest = &rest[4..];
    }
    key.eth_type = be16(rest, 0);
    rest = &rest[2..];
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
    match rest.split_first_chunk::<8>() {
        Some((&[0xaa, 0xaa, 0x03, 0, 0, 0, hi, lo], after)) => {
            let typ = u16::from_be_bytes([hi, lo]);
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
    let h = l3.first_chunk::<20>()?;
    let header = usize::from(h[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
    if header < 20 || total < header || total > l3.len() || l3.len() - total > 0xffff {
        return None;
    }
    let fragment = u16::from_be_bytes([h[6], h[7]]);
    // The M flag or a fragment offset.
    if fragment & 0x3fff != 0 {
        key.nw_frag = FRAG_ANY;
        if fragment & 0x1fff != 0 {
            key.nw_frag |= FRAG_LATER;
        }
    }
    key.nw_tos = h[1];
    key.nw_ttl = h[8];
    key.nw_proto = h[9];
    key.nw_src[12..].copy_from_slice(&h[12..16]);
    key.nw_dst[12..].copy_from_slice(&h[16..20]);
    Some(Payload { start: header, end: total })
}

#[inline]
fn ipv6(l3: &[u8], key: &mut FlowKey) -> Option<Payload> {
    let h = l3.first_chunk::<40>()?;
    let end = 40 + usize::from(u16::from_be_bytes([h[4], h[5]]));
    if end > l3.len() || l3.len() - end > 0xffff {
        return None;
    }
    key.nw_src.copy_from_slice(&h[8..24]);
    key.nw_dst.copy_from_slice(&h[24..40]);
    // With malformed extension headers only the addresses are set.
    let ext = extensions(&l3[..end], h[6])?;
    let word = u32::from_be_bytes([h[0], h[1], h[2], h[3]]);
    key.ipv6_label = word & 0x000f_ffff;
    key.nw_tos = (word >> 20) as u8;
    key.nw_ttl = h[7];
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
    let mut start = 40;
    let mut frag = 0;
    loop {
        if !matches!(proto, ip::HOPOPTS | ip::ROUTING | ip::DSTOPTS | ip::AH | ip::FRAGMENT) {
            return Some(Extensions { proto, frag, start });
        }
        // Every extension header has at least 8 octets.
        let h = packet.get(start..)?.first_chunk::<8>()?;
        let len = match proto {
            ip::AH => (usize::from(h[1]) + 2) * 4,
            ip::FRAGMENT => 8,
            _ => (usize::from(h[1]) + 1) * 8,
        };
        if start + len > packet.len() {
            return None;
        }
        start += len;
        if proto == ip::FRAGMENT {
            let offset = u16::from_be_bytes([h[2], h[3]]);
            if offset != 0 {
                frag = FRAG_ANY;
                if offset & 0xfff8 != 0 {
                    frag |= FRAG_LATER;
                    return Some(Extensions { proto: ip::FRAGMENT, frag, start });
                }
            }
        }
        proto = h[0];
    }
}

#[inline]
fn transport(l4: &[u8], key: &mut FlowKey) {
    match key.nw_proto {
        ip::TCP => {
            if let Some(h) = l4.first_chunk::<20>() {
                let header = usize::from(h[12] >> 4) * 4;
                if header >= 20 && header <= l4.len() {
                    ports(h, key);
                    key.tcp_flags = u16::from_be_bytes([h[12], h[13]]) & 0x0fff;
                }
            }
        }
        ip::UDP => {
            if let Some(h) = l4.first_chunk::<8>() {
                ports(h, key);
            }
        }
        ip::SCTP => {
            if let Some(h) = l4.first_chunk::<12>() {
                ports(h, key);
            }
        }
        ip::ICMP | ip::IGMP => {
            if let Some(h) = l4.first_chunk::<8>() {
                type_and_code(h, key);
            }
        }
        ip::ICMPV6 => {
            if let Some(h) = l4.first_chunk::<8>() {
                type_and_code(h, key);
                const NEIGHBOUR_SOLICITATION: u8 = 135;
                const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
                if matches!(h[..2], [NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT, 0]) {
                    neighbour_discovery(&l4[8..], key);
                }
            }
        }
        _ => {}
    }
}

#[inline]
fn ports<const N: usize>(h: &[u8; N], key: &mut FlowKey) {
    key.tp_src = u16::from_be_bytes([h[0], h[1]]);
    key.tp_dst = u16::from_be_bytes([h[2], h[3]]);
}

#[inline]
fn type_and_code(h: &[u8; 8], key: &mut FlowKey) {
    key.tp_src = u16::from(h[0]);
    key.tp_dst = u16::from(h[1]);
}

/// Target and link-layer address options (RFC 4861 sections 4.3, 4.4, 4.6.1). If an
/// option occurs twice, all three fields stay zero.
fn neighbour_discovery(body: &[u8], key: &mut FlowKey) {
    let Some((target, mut options)) = body.split_first_chunk::<16>() else {
        return;
    };
    let (mut sll, mut tll) = (EthAddr::ZERO, EthAddr::ZERO);
    while options.len() >= 8 {
        let len = usize::from(options[1]) * 8;
        if len == 0 || len > options.len() {
            break;
        }
        const SOURCE_LINK_LAYER: u8 = 1;
        const TARGET_LINK_LAYER: u8 = 2;
        let slot = match options[0] {
            SOURCE_LINK_LAYER if len == 8 => Some(&mut sll),
            TARGET_LINK_LAYER if len == 8 => Some(&mut tll),
            _ => None,
        };
        if let Some(slot) = slot {
            if !slot.is_zero() {
                return;
            }
            slot.0.copy_from_slice(&options[2..8]);
        }
        options = &options[len..];
    }
    key.nd_target = *target;
    key.arp_sha = sll;
    key.arp_tha = tll;
}

/// ARP and RARP for IPv4 over Ethernet (RFC 826); others leave the fields zero.
fn arp(l3: &[u8], key: &mut FlowKey) {
    let Some(h) = l3.first_chunk::<28>() else {
        return;
    };
    if h[..6] != [0, 1, 8, 0, 6, 4] {
        return;
    }
    // Only the low octet can be matched; larger opcodes read as 0.
    key.nw_proto = if h[6] == 0 { h[7] } else { 0 };
    key.arp_sha.0.copy_from_slice(&h[8..14]);
    key.nw_src[12..].copy_from_slice(&h[14..18]);
    key.arp_tha.0.copy_from_slice(&h[18..24]);
    key.nw_dst[12..].copy_from_slice(&h[24..28]);
}

/// # Panics
///
/// Fewer than two octets follow `at`.
#[inline]
fn be16(b: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([b[at], b[at + 1]])
}
