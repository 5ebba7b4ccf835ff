//! A packet that looks like a given flow: what a test lets a device receive.
//!
//! The opposite of [`extract`](crate::extract()): headers from the key's fields, lengths and
//! checksums that are right, and a payload where the protocol carries one.

use crate::arp;
use crate::checksum::{checksum, fold, pseudo_v4, pseudo_v6, sum};
use crate::eth::ETH_HEADER_LEN;
use crate::key::{FRAG_ANY, FRAG_LATER};
use crate::{EthAddr, EtherType, FlowKey, ip};

/// Octets of payload, counting up from 0, unless a length is asked for: as many as Open vSwitch
/// puts there.
const PAYLOAD: usize = 64;

/// Headers of the payload's own protocol that carry it: RFC 792, RFC 4443.
const ECHO: [u16; 2] = [0, 8];
const ECHO_V6: [u16; 2] = [128, 129];

/// Neighbour solicitation and advertisement (RFC 4861).
const NEIGHBOUR: [u16; 2] = [135, 136];

/// SYN, FIN and RST: segments that carry no data here.
const NO_DATA: u16 = 0x007;

/// The packet is longer than the length that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet of this flow has at least {least} octets, {asked} are asked for")]
pub struct TooLong {
    /// The least length, in octets.
    pub least: usize,
    /// The length that was asked for, in octets.
    pub asked: usize,
}

/// A frame that [`extract`](crate::extract()) reads as `key`, as far as frames can say it; with a
/// payload of 64 octets where the protocol has one.
pub fn compose(key: &FlowKey) -> Vec<u8> {
    frame(key, PAYLOAD, None)
}

/// As [`compose`], with exactly `len` octets: zeros follow the headers.
///
/// # Errors
///
/// The headers alone are longer.
pub fn compose_len(key: &FlowKey, len: usize) -> Result<Vec<u8>, TooLong> {
    let least = frame(key, 0, None).len();
    if least > len {
        return Err(TooLong { least, asked: len });
    }
    Ok(frame(key, 0, Some(len - least)))
}

/// `extra` zeros follow as part of the innermost packet.
fn frame(key: &FlowKey, payload: usize, extra: Option<usize>) -> Vec<u8> {
    let extra = extra.unwrap_or(0);
    let mut f = Vec::with_capacity(128);
    f.extend(key.eth_dst.0);
    f.extend(key.eth_src.0);
    for tag in key.vlan.iter().filter(|t| t.is_present()) {
        let (vid, pcp) = (tag.vid(), u16::from(tag.pcp()));
        f.extend(tag.tpid.to_be_bytes());
        f.extend((pcp << 13 | vid).to_be_bytes());
    }
    if key.eth_type == EtherType::NONE {
        // IEEE 802.3: a length. Of the whole frame, as Open vSwitch has it.
        let len = f.len() + 2 + extra;
        f.extend((len as u16).to_be_bytes());
        f.resize(len, 0);
        return f;
    }
    f.extend(key.eth_type.to_be_bytes());
    match key.eth_type {
        EtherType::IPV4 => ipv4(key, payload, extra, &mut f),
        EtherType::IPV6 => ipv6(key, payload, extra, &mut f),
        EtherType::ARP | EtherType::RARP => {
            arp(key, &mut f);
            f.resize(f.len() + extra, 0);
        }
        _ => f.resize(f.len() + extra, 0),
    }
    debug_assert!(f.len() >= ETH_HEADER_LEN);
    f
}

fn ipv4(key: &FlowKey, payload: usize, extra: usize, f: &mut Vec<u8>) {
    let mut l4 = transport(key, payload);
    l4.resize(l4.len() + extra, 0);
    finish(key, &mut l4);
    let fragment: u16 = match (key.nw_frag & FRAG_ANY != 0, key.nw_frag & FRAG_LATER != 0) {
        (false, _) => 0,
        (true, false) => 0x2000,
        (true, true) => 0x2000 | 100,
    };
    let mut h = [0; 20];
    h[0] = 0x45;
    h[1] = key.nw_tos;
    h[2..4].copy_from_slice(&((20 + l4.len()) as u16).to_be_bytes());
    h[6..8].copy_from_slice(&fragment.to_be_bytes());
    h[8] = key.nw_ttl;
    h[9] = key.nw_proto;
    h[12..16].copy_from_slice(&key.ipv4_src());
    h[16..20].copy_from_slice(&key.ipv4_dst());
    let c = checksum(&h);
    h[10..12].copy_from_slice(&c.to_be_bytes());
    f.extend(h);
    f.extend(l4);
}

fn ipv6(key: &FlowKey, payload: usize, extra: usize, f: &mut Vec<u8>) {
    let mut l4 = transport(key, payload);
    l4.resize(l4.len() + extra, 0);
    finish(key, &mut l4);
    let word = 6 << 28 | u32::from(key.nw_tos) << 20 | key.ipv6_label & 0x000f_ffff;
    f.extend(word.to_be_bytes());
    f.extend((l4.len() as u16).to_be_bytes());
    f.extend([key.nw_proto, key.nw_ttl]);
    f.extend(key.nw_src);
    f.extend(key.nw_dst);
    f.extend(l4);
}

fn arp(key: &FlowKey, f: &mut Vec<u8>) {
    let mut b = [0; 28];
    b[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, key.nw_proto]);
    if matches!(key.nw_proto, arp::op::REQUEST | arp::op::REPLY) {
        b[8..14].copy_from_slice(&key.arp_sha.0);
        b[14..18].copy_from_slice(&key.ipv4_src());
        b[18..24].copy_from_slice(&key.arp_tha.0);
        b[24..28].copy_from_slice(&key.ipv4_dst());
    }
    f.extend(b);
}

/// The L4 header and payload; length and checksum are still to be filled in.
fn transport(key: &FlowKey, payload: usize) -> Vec<u8> {
    if key.nw_frag & FRAG_LATER != 0 {
        return Vec::new();
    }
    let (src, dst) = (key.tp_src.to_be_bytes(), key.tp_dst.to_be_bytes());
    let kind = [key.tp_src as u8, key.tp_dst as u8];
    let data = (0..payload).map(|i| i as u8);
    match key.nw_proto {
        ip::TCP => {
            let mut h = vec![0; 20];
            h[..2].copy_from_slice(&src);
            h[2..4].copy_from_slice(&dst);
            h[12..14].copy_from_slice(&(5 << 12 | key.tcp_flags & 0x0fff).to_be_bytes());
            if key.tcp_flags & NO_DATA == 0 {
                h.extend(data);
            }
            h
        }
        ip::UDP => [src, dst, [0; 2], [0; 2]].concat().into_iter().chain(data).collect(),
        ip::SCTP => [src, dst].concat().into_iter().chain([0; 8]).collect(),
        ip::ICMP => {
            let mut h = [&kind[..], &[0; 6]].concat();
            if ECHO.contains(&key.tp_src) && key.tp_dst == 0 {
                h.extend(data);
            }
            h
        }
        ip::IGMP => [&kind[..], &[0; 6]].concat(),
        ip::ICMPV6 => {
            let mut h = [&kind[..], &[0; 6]].concat();
            if NEIGHBOUR.contains(&key.tp_src) && key.tp_dst == 0 {
                h.extend(key.nd_target);
                for (option, mac) in [(1, key.arp_sha), (2, key.arp_tha)] {
                    if mac != EthAddr::ZERO {
                        h.extend([option, 1]);
                        h.extend(mac.0);
                    }
                }
            } else if ECHO_V6.contains(&key.tp_src) && key.tp_dst == 0 {
                h.extend(data);
            }
            h
        }
        _ => Vec::new(),
    }
}

/// Fills in UDP's length and whatever checksum the protocol has.
fn finish(key: &FlowKey, l4: &mut [u8]) {
    if key.nw_frag & FRAG_LATER != 0 {
        return;
    }
    let len = l4.len() as u32;
    let pseudo = if key.eth_type == EtherType::IPV6 {
        pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, len)
    } else {
        pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, len)
    };
    let (at, pseudo) = match key.nw_proto {
        ip::TCP => (16, pseudo),
        ip::UDP => {
            l4[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            (6, pseudo)
        }
        ip::ICMPV6 => (2, pseudo),
        ip::ICMP | ip::IGMP => (2, 0),
        _ => return,
    };
    let mut c = !fold(sum(l4, pseudo));
    if key.nw_proto == ip::UDP && c == 0 {
        // Zero would mean "none" (RFC 768).
        c = 0xffff;
    }
    l4[at..at + 2].copy_from_slice(&c.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::verify;
    use crate::{VlanTag, extract};

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
    fn comes_back_as_it_was() {
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
                let f = compose(&k);
                assert_eq!(extract(&f, 7), k, "{k:?}");
                assert_eq!(f.len(), len + 4 * tags, "{k:?}");
                assert_ne!(verify(&f), Some(false), "{k:?}");
                let f = compose_len(&k, 300).unwrap();
                assert_eq!((f.len(), extract(&f, 7)), (300, k));
                assert_ne!(verify(&f), Some(false), "{k:?}");
            }
        }
    }

    #[test]
    fn as_long_as_asked_or_not_at_all() {
        let k = key(EtherType::IPV4, ip::UDP);
        assert_eq!(compose_len(&k, 42).unwrap().len(), 42);
        assert_eq!(compose_len(&k, 41), Err(TooLong { least: 42, asked: 41 }));
        let f = compose_len(&k, 60).unwrap();
        assert_eq!(f[38..40], 26_u16.to_be_bytes(), "UDP's length tells of the zeros");
    }
}
