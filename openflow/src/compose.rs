//! Frames made from fields: a packet that gives the key it was made of, with lengths and
//! checksums as they should be.

use wire::checksum::{checksum, fold, pseudo_v4, pseudo_v6, sum};
use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EtherType, FlowKey, ip};

/// What the frame carries after its last header.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// These octets, where the headers leave room for any: not after a TCP segment that begins
    /// or ends a connection, nor in ARP.
    Octets(&'a [u8]),
    /// Zeros until the frame has this many octets.
    UpTo(usize),
}

/// 64 octets that count up, which `netdev-dummy/receive` sends.
pub const COUNTING: [u8; 64] = {
    let mut p = [0; 64];
    let mut i = 0;
    while i < 64 {
        p[i] = i as u8;
        i += 1;
    }
    p
};

/// Flags of TCP.
const FIN: u16 = 1;
const SYN: u16 = 2;
const RST: u16 = 4;

/// Makes a frame. `mpls` has the label stack for an MPLS type, outermost entry first, used up to
/// the one with the bottom bit. The checksum of SCTP is left zero.
pub fn compose(key: &FlowKey, mpls: &[u32; 3], payload: Payload<'_>) -> Vec<u8> {
    let octets: &[u8] = match payload {
        Payload::Octets(o) => o,
        Payload::UpTo(_) => &[],
    };
    let mut f = Vec::with_capacity(128);
    f.extend(key.eth_dst.0);
    f.extend(key.eth_src.0);
    for tag in key.vlan.iter().filter(|t| t.is_present()) {
        let tpid = if tag.tpid == 0 { EtherType::VLAN } else { tag.tpid };
        f.extend(tpid.to_be_bytes());
        f.extend((tag.tci & !wire::VlanTag::CFI).to_be_bytes());
    }
    f.extend(key.eth_type.to_be_bytes());
    let l3 = f.len();
    let mut l4 = None;
    match key.eth_type {
        EtherType::IPV4 => {
            let fragment: u16 = match key.nw_frag & (FRAG_ANY | FRAG_LATER) {
                0 => 0,
                FRAG_ANY => 0x2000,
                _ => 0x2000 | 100,
            };
            f.extend([0x45, key.nw_tos, 0, 0, 0, 0]);
            f.extend(fragment.to_be_bytes());
            f.extend([key.nw_ttl, key.nw_proto, 0, 0]);
            f.extend(key.ipv4_src());
            f.extend(key.ipv4_dst());
            l4 = Some(f.len());
            transport(&mut f, key, octets);
        }
        EtherType::IPV6 => {
            let word = 6 << 28 | u32::from(key.nw_tos) << 20 | key.ipv6_label & 0x000f_ffff;
            let fragment = key.nw_frag & FRAG_ANY != 0;
            f.extend(word.to_be_bytes());
            f.extend([0, 0, if fragment { ip::FRAGMENT } else { key.nw_proto }, key.nw_ttl]);
            f.extend(key.nw_src);
            f.extend(key.nw_dst);
            if fragment {
                // More fragments, and for a later one an offset of 100 units.
                let later = key.nw_frag & FRAG_LATER != 0;
                let offset: u16 = if later { 100 << 3 | 1 } else { 1 };
                f.extend([key.nw_proto, 0]);
                f.extend(offset.to_be_bytes());
                f.extend([0; 4]);
            }
            l4 = Some(f.len());
            transport(&mut f, key, octets);
        }
        EtherType::ARP | EtherType::RARP => {
            f.extend([0, 1, 8, 0, 6, 4, 0, key.nw_proto]);
            f.extend(key.arp_sha.0);
            f.extend(key.ipv4_src());
            f.extend(key.arp_tha.0);
            f.extend(key.ipv4_dst());
        }
        0x8847 | 0x8848 => {
            for lse in mpls {
                f.extend(lse.to_be_bytes());
                if lse & 0x100 != 0 {
                    break;
                }
            }
        }
        _ => {}
    }
    if let Payload::UpTo(len) = payload
        && f.len() < len
    {
        f.resize(len, 0);
    }
    if key.eth_type == EtherType::NONE {
        // The type's place holds the length.
        let len = u16::try_from(f.len()).unwrap_or(u16::MAX).min(0x5ff);
        let at = l3 - 2;
        f[at..at + 2].copy_from_slice(&len.to_be_bytes());
    }
    if let Some(l4) = l4 {
        finish(&mut f, key, l3, l4);
    }
    f
}

/// Headers above IP.
fn transport(f: &mut Vec<u8>, key: &FlowKey, payload: &[u8]) {
    if key.nw_frag & FRAG_LATER != 0 {
        return;
    }
    let ports = [key.tp_src.to_be_bytes(), key.tp_dst.to_be_bytes()].concat();
    let (typ, code) = (key.tp_src as u8, key.tp_dst as u8);
    match key.nw_proto {
        ip::TCP => {
            f.extend(ports);
            f.extend([0; 8]);
            f.extend((0x5000 | key.tcp_flags & 0x0fff).to_be_bytes());
            f.extend([0; 6]);
            if key.tcp_flags & (SYN | FIN | RST) == 0 {
                f.extend(payload);
            }
        }
        ip::UDP => {
            f.extend(ports);
            f.extend([0; 4]);
            f.extend(payload);
        }
        ip::SCTP => {
            f.extend(ports);
            f.extend([0; 8]);
        }
        ip::ICMP if key.eth_type == EtherType::IPV4 => {
            f.extend([typ, code, 0, 0, 0, 0, 0, 0]);
            // Echo reply and request.
            if matches!((typ, code), (0 | 8, 0)) {
                f.extend(payload);
            }
        }
        ip::IGMP => f.extend([typ, code, 0, 0, 0, 0, 0, 0]),
        ip::ICMPV6 => {
            f.extend([typ, code, 0, 0, 0, 0, 0, 0]);
            match (typ, code) {
                (135 | 136, 0) => {
                    f.extend(key.nd_target);
                    for (option, mac) in [(1, key.arp_sha), (2, key.arp_tha)] {
                        if !mac.is_zero() {
                            f.extend([option, 1]);
                            f.extend(mac.0);
                        }
                    }
                }
                (128 | 129, 0) => f.extend(payload),
                _ => {}
            }
        }
        _ => {}
    }
}

/// Lengths and checksums.
fn finish(f: &mut [u8], key: &FlowKey, l3: usize, l4: usize) {
    let put = |f: &mut [u8], at: usize, v: u16| f[at..at + 2].copy_from_slice(&v.to_be_bytes());
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let l4_len = f.len() - l4;
    let v6 = key.eth_type == EtherType::IPV6;
    let pseudo = if v6 {
        let plen = short(f.len() - l3 - 40);
        put(f, l3 + 4, plen);
        pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, l4_len as u32)
    } else {
        let total = short(f.len() - l3);
        put(f, l3 + 2, total);
        let c = checksum(&f[l3..l4]);
        put(f, l3 + 10, c);
        pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, l4_len as u32)
    };
    if key.nw_frag & FRAG_LATER != 0 {
        return;
    }
    match key.nw_proto {
        ip::TCP => {
            let c = !fold(sum(&f[l4..], pseudo));
            put(f, l4 + 16, c);
        }
        ip::UDP => {
            put(f, l4 + 4, short(l4_len));
            let c = !fold(sum(&f[l4..], pseudo));
            // Zero would mean "none" (RFC 768).
            put(f, l4 + 6, if c == 0 { 0xffff } else { c });
        }
        ip::ICMP if !v6 => {
            let c = checksum(&f[l4..]);
            put(f, l4 + 2, c);
        }
        ip::IGMP => {
            let c = checksum(&f[l4..]);
            put(f, l4 + 2, c);
        }
        ip::ICMPV6 => {
            let c = !fold(sum(&f[l4..], pseudo));
            put(f, l4 + 2, c);
        }
        _ => {}
    }
}
