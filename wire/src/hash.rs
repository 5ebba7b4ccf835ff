//! The hash functions whose results a user can see, equal to Open vSwitch's on x86-64.
//!
//! Open vSwitch has two sets of hash functions and picks one when it is compiled: a MurmurHash3
//! (Austin Appleby, public domain) and, only when built with `-msse4.2`, one from CRC32
//! instructions. Distributions build for the baseline CPU, so Debian's daemon has the first set,
//! which is implemented here. It reads multi-octet header fields in network order as if they were
//! little-endian integers; this module does so on any machine.

use crate::key::{FRAG_ANY, FRAG_LATER};
use crate::{EthAddr, EtherType, FlowKey, ip};

/// Mixes one word into a hash.
#[inline]
pub const fn hash_add(hash: u32, data: u32) -> u32 {
    let k = data.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (hash ^ k).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

/// Mixes two words into a hash, the low one first.
#[inline]
pub const fn hash_add64(hash: u32, data: u64) -> u32 {
    hash_add(hash_add(hash, data as u32), (data >> 32) as u32)
}

/// Spreads what was mixed in; `last` is usually the number of octets that were.
#[inline]
pub const fn hash_finish(hash: u32, last: u32) -> u32 {
    let mut h = hash ^ last;
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// Hashes words, starting from `basis`.
pub fn hash_words(words: &[u32], basis: u32) -> u32 {
    let h = words.iter().fold(basis, |h, &w| hash_add(h, w));
    hash_finish(h, (words.len() as u32).wrapping_mul(4))
}

/// Hashes one word with a basis. The word is what is mixed first.
#[inline]
pub const fn hash_int(x: u32, basis: u32) -> u32 {
    hash_finish(hash_add(hash_add(x, 0), basis), 8)
}

/// Hashes 64 bits, starting from `basis`.
#[inline]
pub const fn hash_uint64(x: u64, basis: u32) -> u32 {
    hash_finish(hash_add64(basis, x), 8)
}

/// The hash of balance-slb and `bond/hash`: source address and VLAN (0 = untagged). Its low 8
/// bits are the bucket.
#[inline]
pub const fn hash_mac(mac: EthAddr, vlan: u16, basis: u32) -> u32 {
    hash_uint64(mac.to_u64() | (vlan as u64) << 48, basis)
}

/// Two octets of a header, read as Open vSwitch on x86 reads them.
#[inline]
const fn raw16(v: u16) -> u16 {
    v.swap_bytes()
}

#[inline]
fn halves(a: &[u8; 16]) -> [u64; 2] {
    let v = u128::from_le_bytes(*a);
    [v as u64, (v >> 64) as u64]
}

/// Addresses, protocol and ports of IPv4, IPv6 and ARP packets; a constant for others.
/// Not symmetric: the two directions of a connection differ.
#[inline]
pub fn flow_hash_5tuple(key: &FlowKey, basis: u32) -> u32 {
    let mut h = basis;
    match key.eth_type {
        EtherType::IPV4 | EtherType::ARP => {
            h = hash_add(h, u32::from_le_bytes(key.ipv4_src()));
            h = hash_add(h, u32::from_le_bytes(key.ipv4_dst()));
        }
        EtherType::IPV6 => {
            for w in halves(&key.nw_src).into_iter().chain(halves(&key.nw_dst)) {
                h = hash_add64(h, w);
            }
        }
        _ => return hash_finish(h, 42),
    }
    h = hash_add(h, u32::from(key.nw_proto));
    if matches!(key.nw_proto, ip::TCP | ip::UDP | ip::SCTP | ip::ICMP | ip::ICMPV6) {
        let ports = u32::from(raw16(key.tp_src)) | u32::from(raw16(key.tp_dst)) << 16;
        h = hash_add(h, ports);
    }
    hash_finish(h, 42)
}

/// What the userspace datapath's `hash(hash_l4(basis))` leaves in `dp_hash`; its low 8 bits are
/// the bucket of a balance-tcp bond that recirculates.
#[inline]
pub fn dp_hash_l4(key: &FlowKey, basis: u32) -> u32 {
    hash_int(flow_hash_5tuple(key, 0), basis)
}

/// A symmetric hash, equal for both directions of a connection: addresses, protocol, and ports of TCP, SCTP
/// and, if `inc_udp_ports`, UDP. Fragments hash without ports, non-IP frames by their L2 header.
#[inline]
pub fn flow_hash_symmetric_l3l4(key: &FlowKey, basis: u32, inc_udp_ports: bool) -> u32 {
    let mut h = basis;
    match key.eth_type {
        EtherType::IPV4 => {
            let (a, b) = (key.ipv4_src(), key.ipv4_dst());
            h = hash_add(h, u32::from_le_bytes(a) ^ u32::from_le_bytes(b));
        }
        EtherType::IPV6 => {
            let (a, b) = (halves(&key.nw_src), halves(&key.nw_dst));
            h = hash_add64(h, a[0] ^ b[0]);
            h = hash_add64(h, a[1] ^ b[1]);
        }
        _ => return flow_hash_symmetric_l2(key, basis),
    }
    h = hash_add(h, u32::from(key.nw_proto));
    let ports = match key.nw_proto {
        ip::TCP | ip::SCTP => true,
        ip::UDP => inc_udp_ports,
        _ => false,
    };
    if ports && key.nw_frag & (FRAG_ANY | FRAG_LATER) == 0 {
        h = hash_add(h, u32::from(raw16(key.tp_src ^ key.tp_dst)));
    }
    hash_finish(h, basis)
}

/// A symmetric hash, equal for both directions: addresses, VLANs and type of an Ethernet frame.
#[inline]
pub fn flow_hash_symmetric_l2(key: &FlowKey, basis: u32) -> u32 {
    let vid = key.vlan[0].vid() ^ key.vlan[1].vid();
    let (s, d) = (key.eth_src.0, key.eth_dst.0);
    let x = |i: usize| u32::from(s[i] ^ d[i]) << (8 * ((i % 4) as u32));
    let mut h = hash_add(basis, u32::from(raw16(key.eth_type)) | u32::from(raw16(vid)) << 16);
    h = hash_add(h, x(0) | x(1) | x(2) | x(3));
    h = hash_add(h, x(4) | x(5));
    hash_finish(h, basis)
}
