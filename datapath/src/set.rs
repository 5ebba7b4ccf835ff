//! Writing header fields into a frame, with the checksums that cover them.
//!
//! Checksums are updated incrementally (RFC 1624): a wrong one stays wrong, and one that the device
//! is to complete stays incomplete. A packet without the header, or with an invalid one, is not
//! changed: its flow key has zeros for that header, and the flow was looked up by them.

use netdev::{Packet, VnetHdr};
use wire::checksum;
use wire::crc32c::crc32c;
use wire::eth::ETH_HEADER_LEN;
use wire::extract::MAX_VLANS;
use wire::key::FRAG_LATER;
use wire::{EthAddr, EtherType, FlowKey, FlowMask, Layers, ip};

use crate::action::{Layer, SetHeader};

/// Writes the fields of `set` into `packet` and into its flow key `key`.
pub fn set_header(packet: &mut Packet, key: &mut FlowKey, set: &SetHeader) {
    let (v, m) = (&set.value, &set.mask);
    match set.layer {
        Layer::SkbPriority => {
            key.skb_priority = key.skb_priority & !m.skb_priority | v.skb_priority & m.skb_priority;
        }
        Layer::SkbMark => key.pkt_mark = key.pkt_mark & !m.pkt_mark | v.pkt_mark & m.pkt_mark,
        Layer::Eth => {
            if packet.len() >= ETH_HEADER_LEN {
                write_masked(&mut key.eth_dst.0, &v.eth_dst.0, &m.eth_dst.0);
                write_masked(&mut key.eth_src.0, &v.eth_src.0, &m.eth_src.0);
                let frame = packet.data_mut();
                frame[..6].copy_from_slice(&key.eth_dst.0);
                frame[6..12].copy_from_slice(&key.eth_src.0);
            }
        }
        Layer::Ipv4 if key.eth_type == EtherType::IPV4 => ipv4(packet, key, v, m),
        Layer::Ipv6 if key.eth_type == EtherType::IPV6 => ipv6(packet, key, v, m),
        Layer::Arp if matches!(key.eth_type, EtherType::ARP | EtherType::RARP) => {
            arp(packet, key, v, m);
        }
        Layer::Tcp if key.nw_proto == ip::TCP => ports(packet, key, v, m),
        Layer::Udp if key.nw_proto == ip::UDP => ports(packet, key, v, m),
        Layer::Sctp if key.nw_proto == ip::SCTP => ports(packet, key, v, m),
        Layer::Icmp if is(key, EtherType::IPV4, ip::ICMP) => icmp(packet, key, v, m),
        Layer::Icmpv6 if is(key, EtherType::IPV6, ip::ICMPV6) => icmp(packet, key, v, m),
        Layer::Nd if is(key, EtherType::IPV6, ip::ICMPV6) => nd(packet, key, v, m),
        Layer::Ipv4
        | Layer::Ipv6
        | Layer::Arp
        | Layer::Tcp
        | Layer::Udp
        | Layer::Sctp
        | Layer::Icmp
        | Layer::Icmpv6
        | Layer::Nd => {}
    }
}

/// Writes another source address into the Ethernet header.
pub fn set_source(packet: &mut Packet, mac: EthAddr) {
    if let Some(source) = packet.data_mut().get_mut(6..12) {
        source.copy_from_slice(&mac.0);
    }
}

/// A copy of the first `len` octets of a packet. Its checksum was completed over the whole packet
/// before, because the device could no longer do it.
pub fn truncated(packet: &Packet, len: usize) -> Packet {
    let mut copy = with_checksum(packet);
    copy.truncate(len);
    copy
}

/// A copy with its L4 checksum completed and no offload request: a packet that the device would
/// have segmented becomes one long packet.
pub fn with_checksum(packet: &Packet) -> Packet {
    let mut copy = packet.to_owned_packet();
    let vnet = std::mem::take(&mut copy.vnet);
    if vnet.flags & VnetHdr::NEEDS_CSUM != 0 {
        let layers = wire::extract_layers(copy.data(), 0, MAX_VLANS).1;
        let end = if layers.l4.is_some() { layers.l4_end } else { copy.len() };
        // Offsets outside the frame: there is no checksum to complete.
        let _ = checksum::complete(&mut copy.data_mut()[..end], vnet.csum_start, vnet.csum_offset);
    }
    copy
}

/// Offsets of the headers of a packet with this key.
#[inline]
fn layers(packet: &Packet, key: &FlowKey) -> Layers {
    // Fast path for IPv4: no second extraction.
    if key.eth_type == EtherType::IPV4 {
        let frame = packet.data();
        let tags = key.vlan.iter().filter(|t| t.is_present()).count();
        let l3 = ETH_HEADER_LEN + 4 * tags;
        if let Some([hi, lo, h @ ..]) = frame.get(l3 - 2..).and_then(|f| f.first_chunk::<22>())
            && u16::from_be_bytes([*hi, *lo]) == EtherType::IPV4
        {
            let header = usize::from(h[0] & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
            let rest = frame.len() - l3;
            if header >= 20 && total >= header && total <= rest && rest - total <= 0xffff {
                return Layers { l3: Some(l3), l4: Some(l3 + header), l4_end: l3 + total };
            }
        }
    }
    wire::extract_layers(packet.data(), 0, MAX_VLANS).1
}

fn is(key: &FlowKey, eth_type: u16, proto: u8) -> bool {
    key.eth_type == eth_type && key.nw_proto == proto
}

/// Replaces the bits of `to` that are set in `mask` by those of `value`.
fn write_masked(to: &mut [u8], value: &[u8], mask: &[u8]) {
    for (t, (v, m)) in to.iter_mut().zip(value.iter().zip(mask)) {
        *t = *t & !m | v & m;
    }
}

fn mixed16(old: u16, value: u16, mask: u16) -> u16 {
    old & !mask | value & mask
}

/// A packet's L4 checksum: its place and kind.
struct Transport {
    /// Offset from the start of the frame.
    at: usize,
    /// It holds the sum of the pseudo-header only; the device adds the rest on transmission.
    partial: bool,
    /// UDP: a checksum of zero means "none" (RFC 768), so that a computed zero is sent as 0xffff.
    udp: bool,
}

impl Transport {
    /// The checksum that covers the pseudo-header, if the packet has one.
    fn find(packet: &Packet, key: &FlowKey, layers: Layers) -> Option<Transport> {
        let l4 = layers.l4.filter(|_| key.nw_frag & FRAG_LATER == 0)?;
        let (least, offset) = match key.nw_proto {
            ip::TCP => (20, 16),
            ip::UDP => (8, 6),
            ip::ICMPV6 if key.eth_type == EtherType::IPV6 => (8, 2),
            _ => return None,
        };
        let field = packet.data().get(l4..layers.l4_end).filter(|o| o.len() >= least)?;
        let none = field[offset..offset + 2] == [0, 0];
        let vnet = packet.vnet;
        let partial = vnet.flags & VnetHdr::NEEDS_CSUM != 0
            && (usize::from(vnet.csum_start), usize::from(vnet.csum_offset)) == (l4, offset);
        let udp = key.nw_proto == ip::UDP;
        (partial || !udp || !none).then_some(Transport { at: l4 + offset, partial, udp })
    }

    /// Updates the checksum for a change of pseudo-header octets.
    fn pseudo(&self, frame: &mut [u8], old: &[u8], new: &[u8]) {
        if self.partial {
            // Not inverted yet.
            let field = be16(frame, self.at);
            put16(frame, self.at, !checksum::replace(!field, old, new));
        } else {
            self.covered(frame, old, new);
        }
    }

    /// Updates the checksum for a change of octets that it covers outside the pseudo-header.
    fn covered(&self, frame: &mut [u8], old: &[u8], new: &[u8]) {
        if self.partial {
            return;
        }
        let c = checksum::replace(be16(frame, self.at), old, new);
        put16(frame, self.at, if self.udp && c == 0 { 0xffff } else { c });
    }
}

fn be16(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn put16(frame: &mut [u8], at: usize, v: u16) {
    frame[at..at + 2].copy_from_slice(&v.to_be_bytes());
}

/// Replaces octets of the IPv4 header and updates its checksum.
fn put_ipv4(frame: &mut [u8], l3: usize, at: usize, new: &[u8]) {
    let c = checksum::replace(be16(frame, l3 + 10), &frame[l3 + at..l3 + at + new.len()], new);
    put16(frame, l3 + 10, c);
    frame[l3 + at..l3 + at + new.len()].copy_from_slice(new);
}

fn ipv4(packet: &mut Packet, key: &mut FlowKey, v: &FlowKey, m: &FlowMask) {
    let layers = layers(packet, key);
    let (Some(l3), Some(_)) = (layers.l3, layers.l4) else { return };
    let transport = Transport::find(packet, key, layers);
    let before = *key;
    write_masked(&mut key.nw_src[12..], &v.nw_src[12..], &m.nw_src[12..]);
    write_masked(&mut key.nw_dst[12..], &v.nw_dst[12..], &m.nw_dst[12..]);
    key.nw_tos = key.nw_tos & !m.nw_tos | v.nw_tos & m.nw_tos;
    key.nw_ttl = key.nw_ttl & !m.nw_ttl | v.nw_ttl & m.nw_ttl;
    let frame = packet.data_mut();
    for (at, old, new) in
        [(12, before.ipv4_src(), key.ipv4_src()), (16, before.ipv4_dst(), key.ipv4_dst())]
    {
        if old != new {
            put_ipv4(frame, l3, at, &new);
            if let Some(t) = &transport {
                t.pseudo(frame, &old, &new);
            }
        }
    }
    if key.nw_tos != before.nw_tos {
        let version = frame[l3];
        put_ipv4(frame, l3, 0, &[version, key.nw_tos]);
    }
    if key.nw_ttl != before.nw_ttl {
        let proto = frame[l3 + 9];
        put_ipv4(frame, l3, 8, &[key.nw_ttl, proto]);
    }
}

fn ipv6(packet: &mut Packet, key: &mut FlowKey, v: &FlowKey, m: &FlowMask) {
    let layers = layers(packet, key);
    let (Some(l3), Some(l4)) = (layers.l3, layers.l4) else { return };
    let transport = Transport::find(packet, key, layers);
    let before = *key;
    write_masked(&mut key.nw_src, &v.nw_src, &m.nw_src);
    write_masked(&mut key.nw_dst, &v.nw_dst, &m.nw_dst);
    key.nw_tos = key.nw_tos & !m.nw_tos | v.nw_tos & m.nw_tos;
    key.nw_ttl = key.nw_ttl & !m.nw_ttl | v.nw_ttl & m.nw_ttl;
    let label = m.ipv6_label & 0x000f_ffff;
    key.ipv6_label = key.ipv6_label & !label | v.ipv6_label & label;
    let routed = still_routed(&packet.data()[l3..l4]);
    let frame = packet.data_mut();
    for (at, old, new, counts) in
        [(8, before.nw_src, key.nw_src, true), (24, before.nw_dst, key.nw_dst, !routed)]
    {
        if old != new {
            frame[l3 + at..l3 + at + 16].copy_from_slice(&new);
            if let Some(t) = transport.as_ref().filter(|_| counts) {
                t.pseudo(frame, &old, &new);
            }
        }
    }
    let version = u32::from(frame[l3] & 0xf0) << 24;
    let word = version | (u32::from(key.nw_tos) << 20) | key.ipv6_label;
    frame[l3..l3 + 4].copy_from_slice(&word.to_be_bytes());
    frame[l3 + 7] = key.nw_ttl;
}

/// Whether a routing header has segments left: then the pseudo-header has the final destination, not
/// the header's (RFC 8200 section 8.1). `packet` ends where the L4 header begins; its extension
/// headers are valid.
fn still_routed(packet: &[u8]) -> bool {
    let mut proto = packet[6];
    let mut at = 40;
    while let Some(h) = packet.get(at..).and_then(|h| h.first_chunk::<4>()) {
        if proto == ip::ROUTING && h[3] > 0 {
            return true;
        }
        at += match proto {
            ip::AH => (usize::from(h[1]) + 2) * 4,
            ip::FRAGMENT => 8,
            _ => (usize::from(h[1]) + 1) * 8,
        };
        proto = h[0];
    }
    false
}

fn arp(packet: &mut Packet, key: &mut FlowKey, v: &FlowKey, m: &FlowMask) {
    let Some(l3) = layers(packet, key).l3 else { return };
    let Some(h) = packet.data_mut()[l3..].first_chunk_mut::<28>() else { return };
    if h[..6] != [0, 1, 8, 0, 6, 4] {
        return;
    }
    // The operation has two octets; we match and write the lower, and a write makes it whole.
    if m.nw_proto != 0 {
        let low = h[7] & !m.nw_proto | v.nw_proto & m.nw_proto;
        if m.nw_proto == u8::MAX {
            h[6] = 0;
        }
        h[7] = low;
        key.nw_proto = if h[6] == 0 { low } else { 0 };
    }
    write_masked(&mut h[8..14], &v.arp_sha.0, &m.arp_sha.0);
    write_masked(&mut h[14..18], &v.nw_src[12..], &m.nw_src[12..]);
    write_masked(&mut h[18..24], &v.arp_tha.0, &m.arp_tha.0);
    write_masked(&mut h[24..28], &v.nw_dst[12..], &m.nw_dst[12..]);
    key.arp_sha.0.copy_from_slice(&h[8..14]);
    key.nw_src[12..].copy_from_slice(&h[14..18]);
    key.arp_tha.0.copy_from_slice(&h[18..24]);
    key.nw_dst[12..].copy_from_slice(&h[24..28]);
}

/// Offset of the L4 header, if the packet has one of at least `least` octets.
fn l4(packet: &Packet, key: &FlowKey, least: usize) -> Option<(Layers, usize)> {
    let layers = layers(packet, key);
    let l4 = layers.l4.filter(|_| key.nw_frag & FRAG_LATER == 0)?;
    (layers.l4_end >= l4 + least).then_some((layers, l4))
}

fn ports(packet: &mut Packet, key: &mut FlowKey, v: &FlowKey, m: &FlowMask) {
    let least = match key.nw_proto {
        ip::TCP => 20,
        ip::SCTP => 12,
        _ => 8,
    };
    let Some((layers, l4)) = l4(packet, key, least) else { return };
    let old =
        [packet.data()[l4], packet.data()[l4 + 1], packet.data()[l4 + 2], packet.data()[l4 + 3]];
    if key.nw_proto == ip::TCP {
        // As in the key: a header that does not check out has no ports.
        let header = usize::from(packet.data()[l4 + 12] >> 4) * 4;
        if header < 20 || l4 + header > layers.l4_end {
            return;
        }
    }
    key.tp_src = mixed16(key.tp_src, v.tp_src, m.tp_src);
    key.tp_dst = mixed16(key.tp_dst, v.tp_dst, m.tp_dst);
    let ([a, b], [c, d]) = (key.tp_src.to_be_bytes(), key.tp_dst.to_be_bytes());
    let new = [a, b, c, d];
    if new == old {
        return;
    }
    let transport = Transport::find(packet, key, layers);
    let left_to_device =
        packet.vnet.flags & VnetHdr::NEEDS_CSUM != 0 && usize::from(packet.vnet.csum_start) == l4;
    let frame = packet.data_mut();
    if let Some(t) = transport {
        t.covered(frame, &old, &new);
    }
    if key.nw_proto == ip::SCTP && !left_to_device {
        let octets = &mut frame[l4..layers.l4_end];
        let was = [octets[8], octets[9], octets[10], octets[11]];
        octets[8..12].fill(0);
        let right = crc32c(octets);
        octets[..4].copy_from_slice(&new);
        let now = u32::from_le_bytes(was) ^ right ^ crc32c(octets);
        octets[8..12].copy_from_slice(&now.to_le_bytes());
    } else {
        frame[l4..l4 + 4].copy_from_slice(&new);
    }
}

fn icmp(packet: &mut Packet, key: &mut FlowKey, v: &FlowKey, m: &FlowMask) {
    let Some((layers, l4)) = l4(packet, key, 8) else { return };
    let old = [packet.data()[l4], packet.data()[l4 + 1]];
    let mut new = old;
    write_masked(&mut new, &[v.tp_src as u8, v.tp_dst as u8], &[m.tp_src as u8, m.tp_dst as u8]);
    if new == old {
        return;
    }
    // ICMP's checksum has no pseudo-header, and nothing completes it later.
    let transport = Transport::find(packet, key, layers).unwrap_or(Transport {
        at: l4 + 2,
        partial: false,
        udp: false,
    });
    let frame = packet.data_mut();
    transport.covered(frame, &old, &new);
    frame[l4..l4 + 2].copy_from_slice(&new);
    // What follows type and code may now be, or no longer be, neighbour discovery.
    refresh(packet, key);
}

fn nd(packet: &mut Packet, key: &mut FlowKey, v: &FlowKey, m: &FlowMask) {
    let Some((layers, l4)) = l4(packet, key, 24) else { return };
    // Neighbour solicitation and advertisement, RFC 4861 sections 4.3 and 4.4.
    if !matches!(packet.data()[l4..l4 + 2], [135 | 136, 0]) {
        return;
    }
    let Some(t) = Transport::find(packet, key, layers) else { return };
    let frame = packet.data_mut();
    write(frame, &t, l4 + 8, &v.nd_target, &m.nd_target);
    let mut at = l4 + 24;
    while at + 8 <= layers.l4_end {
        let len = usize::from(frame[at + 1]) * 8;
        if len == 0 || at + len > layers.l4_end {
            break;
        }
        match (frame[at], len) {
            // Source and target link-layer address, RFC 4861 section 4.6.1.
            (1, 8) => write(frame, &t, at + 2, &v.arp_sha.0, &m.arp_sha.0),
            (2, 8) => write(frame, &t, at + 2, &v.arp_tha.0, &m.arp_tha.0),
            _ => {}
        }
        at += len;
    }
    refresh(packet, key);
}

/// Writes masked octets at an even offset within what `t` covers, and updates the checksum.
fn write(frame: &mut [u8], t: &Transport, at: usize, value: &[u8], mask: &[u8]) {
    let mut new = [0; 16];
    let new = &mut new[..value.len()];
    new.copy_from_slice(&frame[at..at + value.len()]);
    write_masked(new, value, mask);
    let old = &mut [0; 16][..value.len()];
    old.copy_from_slice(&frame[at..at + value.len()]);
    if new != old {
        t.covered(frame, old, new);
        frame[at..at + new.len()].copy_from_slice(new);
    }
}

/// Extracts `key` from the packet again. Fields that are not in the packet (port, recirculation id,
/// hash, mark, priority) keep their values.
pub fn refresh(packet: &Packet, key: &mut FlowKey) {
    *key = FlowKey {
        recirc_id: key.recirc_id,
        dp_hash: key.dp_hash,
        pkt_mark: key.pkt_mark,
        skb_priority: key.skb_priority,
        ..wire::extract(packet.data(), key.in_port)
    };
}
