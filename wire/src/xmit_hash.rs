//! The transmit hashes of Linux bonding (`xmit_hash_policy`), with the kernel's results.
//!
//! Linux sends a packet by the usable member whose index is `hash % count`. The hash is computed
//! from the frame as it leaves. Its outermost VLAN tag does not count as part of the frame, because
//! Linux keeps it beside the packet; only `vlan+srcmac` looks at it. Addresses and ports are read as
//! a little-endian machine (x86-64) reads them.
//!
//! Source: `bond_xmit_hash` of `drivers/net/bonding/bond_main.c` and `net/core/flow_dissector.c`,
//! Linux 6.x. Two things differ: a hash that the packet's own socket or NIC has computed, which
//! Linux takes for `encap3+4`, does not exist here; TIPC and PPTP are not dissected.

use crate::{EtherType, ip};

/// What a transmit hash is computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub enum HashPolicy {
    /// `l2`: the last octets of both Ethernet addresses, and the Ethernet type. Linux's default.
    #[default]
    #[serde(rename = "l2")]
    L2,
    /// `l2+3`: `l2` and the IP addresses.
    #[serde(rename = "l2+3")]
    L23,
    /// `l3+4`: IP addresses and ports, or the identifier of an ICMP echo.
    #[serde(rename = "l3+4")]
    L34,
    /// `encap2+3`: as `l2+3`, with the addresses of the innermost packet of a tunnel.
    #[serde(rename = "encap2+3")]
    Encap23,
    /// `encap3+4`: as `l3+4`, of the innermost packet of a tunnel.
    #[serde(rename = "encap3+4")]
    Encap34,
    /// `vlan+srcmac`: the tag and the source address.
    #[serde(rename = "vlan+srcmac")]
    VlanSrcMac,
}

impl HashPolicy {
    /// All policies, in the order of Linux's numbers `xmit_hash_policy=0`, `2`, `1`, `3`, `4`, `5`.
    pub const ALL: [HashPolicy; 6] = [
        HashPolicy::L2,
        HashPolicy::L23,
        HashPolicy::L34,
        HashPolicy::Encap23,
        HashPolicy::Encap34,
        HashPolicy::VlanSrcMac,
    ];

    /// As the option `bond-hash-policy` calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            HashPolicy::L2 => "l2",
            HashPolicy::L23 => "l2+3",
            HashPolicy::L34 => "l3+4",
            HashPolicy::Encap23 => "encap2+3",
            HashPolicy::Encap34 => "encap3+4",
            HashPolicy::VlanSrcMac => "vlan+srcmac",
        }
    }

    /// The policy of this name.
    pub fn from_name(name: &str) -> Option<HashPolicy> {
        HashPolicy::ALL.into_iter().find(|p| p.as_str() == name)
    }
}

/// The hash of a frame under a policy; 0 for one that is shorter than an Ethernet header.
pub fn xmit_hash(policy: HashPolicy, frame: &[u8]) -> u32 {
    let Some(f) = Frame::of(frame) else { return 0 };
    match policy {
        HashPolicy::L2 => f.eth(),
        HashPolicy::VlanSrcMac => f.vlan_src_mac(),
        HashPolicy::L23 => match first_headers(&f) {
            Some(h) => h.fold(f.eth()),
            None => f.eth(),
        },
        HashPolicy::L34 => match first_headers(&f) {
            Some(h) => h.fold(h.word()) >> 1,
            None => f.eth(),
        },
        HashPolicy::Encap23 => match innermost_headers(&f) {
            Some(h) => h.fold(f.eth()),
            None => f.eth(),
        },
        HashPolicy::Encap34 => match innermost_headers(&f) {
            Some(h) => h.fold(h.word()) >> 1,
            None => f.eth(),
        },
    }
}

/// A frame without its outermost tag.
struct Frame<'a> {
    dst: [u8; 6],
    src: [u8; 6],
    /// Tag control information of the outermost tag; 0 without one.
    tci: u16,
    /// The octets after the source address and the outermost tag: an Ethernet type, or a length.
    proto: u16,
    /// What follows.
    l3: &'a [u8],
}

impl<'a> Frame<'a> {
    fn of(frame: &'a [u8]) -> Option<Frame<'a>> {
        let (&dst, rest) = frame.split_first_chunk::<6>()?;
        let (&src, rest) = rest.split_first_chunk::<6>()?;
        let (&proto, rest) = rest.split_first_chunk::<2>()?;
        let untagged = Frame { dst, src, tci: 0, proto: u16::from_be_bytes(proto), l3: rest };
        if !is_tag(untagged.proto) {
            return Some(untagged);
        }
        let Some((&[a, b, c, d], l3)) = rest.split_first_chunk::<4>() else {
            return Some(untagged);
        };
        let (tci, proto) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Some(Frame { tci, proto, l3, ..untagged })
    }

    fn eth(&self) -> u32 {
        u32::from(self.dst[5] ^ self.src[5]) ^ u32::from(self.proto)
    }

    fn vlan_src_mac(&self) -> u32 {
        let [a, b, c, d, e, f] = self.src;
        u32::from_be_bytes([0, a, b, c]) ^ u32::from_be_bytes([0, d, e, f]) ^ u32::from(self.tci)
    }
}

fn is_tag(proto: u16) -> bool {
    matches!(proto, EtherType::VLAN | EtherType::VLAN_8021AD)
}

/// What a hash takes from the headers after Ethernet's.
#[derive(Clone, Copy, Default)]
struct Headers {
    /// Both addresses, combined.
    addresses: u32,
    /// Source and destination port as they stand; 0 without ports.
    ports: u32,
    /// Type, code and identifier of an ICMP message that has one.
    icmp: Option<u32>,
}

impl Headers {
    fn word(&self) -> u32 {
        self.icmp.unwrap_or(self.ports)
    }

    fn fold(&self, hash: u32) -> u32 {
        let h = hash ^ self.addresses;
        let h = h ^ h >> 16;
        h ^ h >> 8
    }
}

/// An IPv4 or IPv6 header.
struct Ip {
    addresses: u32,
    /// Offset of what follows the header.
    end: usize,
    /// The protocol, or next header, that follows.
    proto: u8,
    /// A part of a fragmented IPv4 packet.
    fragment: bool,
}

fn le32(octets: &[u8]) -> u32 {
    octets.first_chunk::<4>().map_or(0, |w| u32::from_le_bytes(*w))
}

fn ip_header(proto: u16, data: &[u8], at: usize) -> Option<Ip> {
    let rest = data.get(at..)?;
    match proto {
        EtherType::IPV4 => {
            let h = rest.first_chunk::<20>()?;
            Some(Ip {
                addresses: le32(&h[12..]) ^ le32(&h[16..]),
                end: at + usize::from(h[0] & 0x0f) * 4,
                proto: h[9],
                // The M flag or an offset.
                fragment: u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0,
            })
        }
        EtherType::IPV6 => {
            let h = rest.first_chunk::<40>()?;
            let addresses = h[8..].chunks_exact(4).fold(0, |x, w| x ^ le32(w));
            Some(Ip { addresses, end: at + 40, proto: h[6], fragment: false })
        }
        _ => None,
    }
}

/// The first four octets after an IP header that tell flows apart: two ports, or the SPI of IPsec.
fn ports(proto: u8, data: &[u8], at: usize) -> u32 {
    const DCCP: u8 = 33;
    const ESP: u8 = 50;
    const UDP_LITE: u8 = 136;
    let at = match proto {
        ip::TCP | ip::UDP | ip::SCTP | DCCP | ESP | UDP_LITE => at,
        // Its SPI comes after a word of other fields.
        ip::AH => at + 4,
        _ => return 0,
    };
    le32(data.get(at..).unwrap_or_default())
}

/// Type, code and identifier of an ICMP message; an identifier of 0 counts as 1. Without an
/// identifier the type alone.
fn icmp(data: &[u8], at: usize) -> (u8, Option<u32>) {
    let Some(&[typ, code, _, _, a, b, _, _]) = data.get(at..).and_then(|d| d.first_chunk()) else {
        return (0, None);
    };
    // Echo, timestamp and their replies; echo of ICMPv6.
    let has_id = matches!(typ, 0 | 8 | 13 | 14 | 128 | 129);
    let id = u16::from_be_bytes([a, b]).max(1);
    (typ, has_id.then(|| u32::from_le_bytes([typ, code, 0, 0]) | u32::from(id) << 16))
}

/// An ICMP message that carries the beginning of the packet that it is about.
fn is_icmp_error(proto: u8, typ: u8) -> bool {
    match proto {
        ip::ICMP => matches!(typ, 3 | 4 | 5 | 11 | 12),
        _ => matches!(typ, 1..=4),
    }
}

/// `l2+3` and `l3+4`: the first IP header; of an ICMP error, the packet that it is about. `None` =
/// no IP packet.
fn first_headers(f: &Frame<'_>) -> Option<Headers> {
    let first = ip_header(f.proto, f.l3, 0)?;
    let of = |h: &Ip| if h.fragment { 0 } else { ports(h.proto, f.l3, h.end) };
    let mut found = Headers { addresses: first.addresses, ports: of(&first), icmp: None };
    if !first.fragment && matches!(first.proto, ip::ICMP | ip::ICMPV6) {
        let (typ, id) = icmp(f.l3, first.end);
        found.icmp = id;
        if is_icmp_error(first.proto, typ) {
            let about = ip_header(f.proto, f.l3, first.end + 8)?;
            found.addresses = about.addresses;
            found.ports = of(&about);
        }
    }
    Some(found)
}

/// `encap2+3` and `encap3+4`: the innermost header that can be found. `None` = Linux's dissector
/// gives up, and the hash is that of `l2`.
fn innermost_headers(f: &Frame<'_>) -> Option<Headers> {
    const PPPOE: u16 = 0x8864;
    const PTP: u16 = 0x88f7;
    /// Headers that Linux looks at before it gives up.
    const MAX_HEADERS: usize = 15;

    let (mut proto, mut at, data) = (f.proto, 0, f.l3);
    let mut found = Headers::default();
    for _ in 0..MAX_HEADERS {
        match proto {
            EtherType::IPV4 | EtherType::IPV6 => {
                let h = ip_header(proto, data, at)?;
                if proto == EtherType::IPV4 && h.end < at + 20 {
                    return None;
                }
                found.addresses = h.addresses;
                if h.fragment {
                    return Some(found);
                }
                match after_ip(proto, h.proto, data, h.end)? {
                    After::Tunnel { proto: inner, at: inner_at } => (proto, at) = (inner, inner_at),
                    After::End { proto, at } => {
                        if matches!(proto, ip::ICMP | ip::ICMPV6) {
                            found.icmp = icmp(data, at).1;
                        }
                        found.ports = ports(proto, data, at);
                        return Some(found);
                    }
                }
            }
            EtherType::VLAN | EtherType::VLAN_8021AD => {
                let tag = data.get(at..)?.first_chunk::<4>()?;
                (proto, at) = (u16::from_be_bytes([tag[2], tag[3]]), at + 4);
            }
            PPPOE => {
                let h = data.get(at..)?.first_chunk::<8>()?;
                proto = match u16::from_be_bytes([h[6], h[7]]) {
                    0x0021 => EtherType::IPV4,
                    0x0057 => EtherType::IPV6,
                    0x0281 => EtherType::MPLS,
                    0x0283 => EtherType::MPLS_MULTICAST,
                    _ => return None,
                };
                at += 8;
            }
            EtherType::ARP
            | EtherType::RARP
            | EtherType::MPLS
            | EtherType::MPLS_MULTICAST
            | PTP => return Some(found),
            _ => return None,
        }
    }
    Some(found)
}

/// What follows an IP header and its extensions.
enum After {
    /// Another packet of this Ethernet type.
    Tunnel { proto: u16, at: usize },
    /// A protocol that carries no packet that is looked at.
    End { proto: u8, at: usize },
}

fn after_ip(l3: u16, mut proto: u8, data: &[u8], mut at: usize) -> Option<After> {
    const IPIP: u8 = 4;
    const IPV6: u8 = 41;
    const GRE: u8 = 47;
    const NO_PORTS: u8 = 59;
    loop {
        match proto {
            ip::HOPOPTS | ip::ROUTING | ip::DSTOPTS if l3 == EtherType::IPV6 => {
                let h = data.get(at..)?.first_chunk::<2>()?;
                (proto, at) = (h[0], at + (usize::from(h[1]) + 1) * 8);
            }
            ip::FRAGMENT if l3 == EtherType::IPV6 => {
                data.get(at..)?.first_chunk::<8>()?;
                return Some(After::End { proto: NO_PORTS, at });
            }
            IPIP => return Some(After::Tunnel { proto: EtherType::IPV4, at }),
            IPV6 => return Some(After::Tunnel { proto: EtherType::IPV6, at }),
            GRE => return gre(data, at),
            _ => return Some(After::End { proto, at }),
        }
    }
}

/// RFC 2784 and 2890. A packet with routing or of another version is not looked into.
fn gre(data: &[u8], at: usize) -> Option<After> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const VERSION: u16 = 0x0007;
    /// Transparent Ethernet bridging.
    const TEB: u16 = 0x6558;
    let h = data.get(at..)?.first_chunk::<4>()?;
    let (flags, proto) = (u16::from_be_bytes([h[0], h[1]]), u16::from_be_bytes([h[2], h[3]]));
    if flags & (ROUTING | VERSION) != 0 {
        return Some(After::End { proto: 47, at });
    }
    let options = [CHECKSUM, KEY, SEQUENCE].into_iter().filter(|o| flags & o != 0).count();
    let at = at + 4 + 4 * options;
    if proto != TEB {
        return Some(After::Tunnel { proto, at });
    }
    let eth = data.get(at..)?.first_chunk::<14>()?;
    Some(After::Tunnel { proto: u16::from_be_bytes([eth[12], eth[13]]), at: at + 14 })
}
