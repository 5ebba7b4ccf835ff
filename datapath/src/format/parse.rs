//! Flow keys read from Open vSwitch's notation, such as
//! `in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(...)`.
//!
//! The inverse of `fields`. [`flow`] reads a match: the part after a slash is a mask, a field
//! without one is matched exactly, a field that is not named is not matched. [`packet`] reads the
//! key of one packet, including fields that this datapath cannot match.

use std::net::{Ipv4Addr, Ipv6Addr};

use wire::{EtherType, FlowKey, FlowMask, VlanTag, ip};

use super::fields::FLAG_NAMES;
pub use super::scan::ParseError;
use super::scan::{DELIMITERS, Field, number, parentheses, parts};
use crate::port::PortNo;

/// The bits of `ct_state`, lowest first.
const CT_STATE_NAMES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

/// The Ethernet type of MPLS unicast (RFC 3032 section 5).
const MPLS: u16 = 0x8847;

/// The bits of `tcp_flags` that the notation has.
const TCP_FLAGS: u32 = 0x0fff;

/// Reads a match. `port` resolves port names.
///
/// # Errors
///
/// [`ParseError::Syntax`] with the text from the attribute on that cannot be read;
/// [`ParseError::Unsupported`] for a field that this datapath does not match.
pub fn flow(
    text: &str,
    port: &dyn Fn(&str) -> Option<PortNo>,
) -> Result<(FlowKey, FlowMask), ParseError> {
    let mut p = Parser::new(port);
    p.identity_and_attributes(text)?;
    Ok(p.done())
}

/// A packet's key, and the fields that the notation has besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketFields {
    /// `in_port` is a datapath port number, 0 if none was given.
    pub key: FlowKey,
    /// Tunnel key, such as the VXLAN network identifier.
    pub tun_id: u64,
    /// The tunnel's source address; an IPv4 address in the lowest 32 bits.
    pub tun_src: u128,
    /// The tunnel's destination address; an IPv4 address in the lowest 32 bits.
    pub tun_dst: u128,
    /// Type of service of the tunnel's IP header.
    pub tun_tos: u8,
    /// Time to live of the tunnel's IP header.
    pub tun_ttl: u8,
    /// Connection tracking state bits, `new` lowest.
    pub ct_state: u32,
    /// Connection tracking zone.
    pub ct_zone: u16,
    /// Connection tracking mark.
    pub ct_mark: u32,
    /// MPLS label stack entries, the outermost first (RFC 3032 section 2.1).
    pub mpls: [u32; 3],
}

/// Reads the key of one packet. `port` resolves port names. Masks are read and ignored.
///
/// # Errors
///
/// [`ParseError::Syntax`] with the text from the attribute on that cannot be read.
pub fn packet(
    text: &str,
    port: &dyn Fn(&str) -> Option<PortNo>,
) -> Result<PacketFields, ParseError> {
    let mut p = Parser { extra: Some(PacketFields::default()), ..Parser::new(port) };
    p.identity_and_attributes(text)?;
    let mut key = p.key;
    if key.eth_type == EtherType::NONE {
        key.eth_type = p.implied_type;
    }
    let icmpv6 = key.eth_type == EtherType::IPV6 && key.nw_proto == ip::ICMPV6;
    let arp = matches!(key.eth_type, EtherType::ARP | EtherType::RARP);
    let hardware_addresses = !(key.arp_sha.is_zero() && key.arp_tha.is_zero());
    if hardware_addresses && !(icmpv6 || arp) {
        return Err(ParseError::Syntax("nd: the packet is not ICMPv6".to_owned()));
    }
    Ok(PacketFields { key, ..p.extra.unwrap_or_default() })
}

pub(super) struct Parser<'a> {
    key: FlowKey,
    mask: FlowMask,
    /// Of a packet: the fields that a match cannot have. `None`: they are unsupported.
    extra: Option<PacketFields>,
    /// VLAN tags read.
    tags: usize,
    /// `encap` attributes read.
    encaps: usize,
    /// The Ethernet type that the last IP or MPLS attribute implies.
    implied_type: u16,
    port: &'a dyn Fn(&str) -> Option<PortNo>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(port: &'a dyn Fn(&str) -> Option<PortNo>) -> Parser<'a> {
        let key = FlowKey { eth_type: EtherType::NONE, ..FlowKey::default() };
        Parser {
            key,
            mask: FlowMask::default(),
            extra: None,
            tags: 0,
            encaps: 0,
            implied_type: EtherType::NONE,
            port,
        }
    }

    pub(super) fn done(self) -> (FlowKey, FlowMask) {
        (self.key, self.mask)
    }

    /// Attributes after an optional flow identity, `ufid:` and a UUID.
    fn identity_and_attributes(&mut self, text: &str) -> Result<(), ParseError> {
        let text = text.trim_start_matches(DELIMITERS);
        let uuid = text.strip_prefix("ufid:").and_then(|rest| rest.split_at_checked(36));
        let rest = match uuid {
            Some((id, rest)) if id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) => rest,
            _ => text,
        };
        self.attributes(rest)
    }

    pub(super) fn attributes(&mut self, text: &str) -> Result<(), ParseError> {
        let mut rest = text.trim_start_matches(DELIMITERS);
        while !rest.is_empty() {
            let at = rest;
            let syntax = || ParseError::Syntax(at.to_owned());
            let open = rest.find('(').ok_or_else(syntax)?;
            let name = &rest[..open];
            let (body, after) = parentheses(&rest[open..]).ok_or_else(syntax)?;
            self.attribute(name, body).map_err(|e| match e {
                ParseError::Syntax(_) => syntax(),
                ParseError::Unsupported(_) => e,
            })?;
            rest = after.trim_start_matches(DELIMITERS);
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, body: &str) -> Result<(), ParseError> {
        let one = Field::new("", body);
        if self.extra.is_some() && self.packet_attribute(name, body)? {
            return Ok(());
        }
        let (k, m) = (&mut self.key, &mut self.mask);
        match name {
            "skb_priority" => (k.skb_priority, m.skb_priority) = one.number(u32::MAX)?,
            "skb_mark" => (k.pkt_mark, m.pkt_mark) = one.number(u32::MAX)?,
            "recirc_id" => (k.recirc_id, m.recirc_id) = one.number(u32::MAX)?,
            "dp_hash" => (k.dp_hash, m.dp_hash) = one.number(u32::MAX)?,
            "in_port" => match (self.port)(body.trim()) {
                Some(port) => (k.in_port, m.in_port) = (port.0, u32::MAX),
                None => (k.in_port, m.in_port) = one.number(u32::MAX)?,
            },
            "eth_type" => {
                (k.eth_type, m.eth_type) = one.number(u16::MAX)?;
                if k.eth_type == 0 {
                    // A frame without a type (IEEE 802.3) is written as 0.
                    k.eth_type = EtherType::NONE;
                }
            }
            "tcp_flags" => {
                let (v, looks) = one.flags(&FLAG_NAMES, TCP_FLAGS)?;
                let low = |v| u16::try_from(v).map_err(|_| one.error());
                (k.tcp_flags, m.tcp_flags) = (low(v)?, low(looks)?);
            }
            "encap" => {
                if self.encaps == self.tags {
                    return Err(one.error());
                }
                self.encaps += 1;
                (k.eth_type, m.eth_type) = (EtherType::NONE, 0);
                return self.attributes(body);
            }
            "vlan" => {
                if self.tags == k.vlan.len() {
                    return Err(one.error());
                }
                self.vlan(body)?;
            }
            "ct_state" | "ct_zone" | "ct_mark" | "ct_label" if zero(&one) => {}
            "packet_type" if body == "ns=0,id=0" => {}
            "ct_state" | "ct_zone" | "ct_mark" | "ct_label" | "ct_tuple4" | "ct_tuple6"
            | "tunnel" | "mpls" | "nsh" | "nd_ext" | "packet_type" => {
                return Err(ParseError::Unsupported(format!("{name}({body})")));
            }
            _ => {
                match name {
                    "ipv4" => self.implied_type = EtherType::IPV4,
                    "ipv6" => self.implied_type = EtherType::IPV6,
                    _ => {}
                }
                for part in parts(body) {
                    let (field, text) = part.split_once('=').ok_or_else(|| one.error())?;
                    self.field(name, &Field::new(field, text))?;
                }
            }
        }
        Ok(())
    }

    /// Reads an attribute of a packet that a match cannot have; false if `name` is another.
    fn packet_attribute(&mut self, name: &str, body: &str) -> Result<bool, ParseError> {
        let Some(extra) = &mut self.extra else { return Ok(false) };
        let one = Field::new("", body);
        match name {
            "ct_state" => extra.ct_state = one.flags(&CT_STATE_NAMES, u32::MAX)?.0,
            "ct_zone" => extra.ct_zone = one.number(u16::MAX)?.0,
            "ct_mark" => extra.ct_mark = one.number(u32::MAX)?.0,
            // A packet that is traced has none of these: accepted and not used.
            "ct_label" | "ct_tuple4" | "ct_tuple6" | "packet_type" => {}
            "tunnel" => extra.tunnel(body)?,
            "mpls" => {
                self.implied_type = MPLS;
                extra.mpls(body)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn vlan(&mut self, body: &str) -> Result<(), ParseError> {
        let (mut tci, mut looks) = (VlanTag::CFI, VlanTag::CFI);
        for part in parts(body) {
            let (name, text) =
                part.split_once('=').ok_or_else(|| ParseError::Syntax(part.to_owned()))?;
            let f = Field::new(name, text);
            let (shift, full) = match name {
                "vid" => (0, VlanTag::VID_MASK),
                "pcp" => (VlanTag::PCP_SHIFT, 7),
                "cfi" => (12, 1),
                _ => return Err(f.error()),
            };
            let (v, m) = f.number(full)?;
            if v > full || m > full {
                return Err(f.error());
            }
            tci = tci & !(full << shift) | v << shift;
            looks = looks & !(full << shift) | m << shift;
        }
        let (k, m) = (&mut self.key, &mut self.mask);
        // An Ethernet type in front of a tag is the tag's.
        let tpid = if k.eth_type == EtherType::NONE { EtherType::VLAN } else { k.eth_type };
        k.vlan[self.tags] = VlanTag { tpid, tci };
        m.vlan[self.tags] = VlanTag { tpid: u16::MAX, tci: looks };
        (k.eth_type, m.eth_type) = (EtherType::NONE, 0);
        self.tags += 1;
        Ok(())
    }

    fn field(&mut self, attribute: &str, f: &Field<'_>) -> Result<(), ParseError> {
        let (k, m) = (&mut self.key, &mut self.mask);
        match (attribute, f.name) {
            ("eth", "src") => (k.eth_src, m.eth_src) = f.eth()?,
            ("eth", "dst") => (k.eth_dst, m.eth_dst) = f.eth()?,
            ("ipv4", "src") | ("arp", "sip") => (k.nw_src, m.nw_src) = f.ipv4()?,
            ("ipv4", "dst") | ("arp", "tip") => (k.nw_dst, m.nw_dst) = f.ipv4()?,
            ("ipv6", "src") => (k.nw_src, m.nw_src) = f.ipv6()?,
            ("ipv6", "dst") => (k.nw_dst, m.nw_dst) = f.ipv6()?,
            ("ipv6", "label") => (k.ipv6_label, m.ipv6_label) = f.number(0x000f_ffff)?,
            ("ipv4" | "ipv6", "proto") => (k.nw_proto, m.nw_proto) = f.number(u8::MAX)?,
            ("ipv4", "tos") | ("ipv6", "tclass") => (k.nw_tos, m.nw_tos) = f.number(u8::MAX)?,
            ("ipv4", "ttl") | ("ipv6", "hlimit") => (k.nw_ttl, m.nw_ttl) = f.number(u8::MAX)?,
            ("ipv4" | "ipv6", "frag") => (k.nw_frag, m.nw_frag) = f.frag()?,
            ("tcp" | "udp" | "sctp", "src") => (k.tp_src, m.tp_src) = f.number(u16::MAX)?,
            ("tcp" | "udp" | "sctp", "dst") => (k.tp_dst, m.tp_dst) = f.number(u16::MAX)?,
            ("icmp" | "icmpv6", "type" | "code") => {
                let (v, looks) = f.number(u8::MAX)?;
                let (v, looks) = (u16::from(v), u16::from(looks));
                if f.name == "type" {
                    (k.tp_src, m.tp_src) = (v, looks);
                } else {
                    (k.tp_dst, m.tp_dst) = (v, looks);
                }
            }
            ("arp", "op") => {
                // Only the low octet can be matched; larger opcodes read as 0.
                let (v, looks): (u16, u16) = f.number(u16::MAX)?;
                (k.nw_proto, m.nw_proto) = (u8::try_from(v).unwrap_or(0), looks as u8);
            }
            ("arp", "sha") | ("nd", "sll") => (k.arp_sha, m.arp_sha) = f.eth()?,
            ("arp", "tha") | ("nd", "tll") => (k.arp_tha, m.arp_tha) = f.eth()?,
            ("nd", "target") => (k.nd_target, m.nd_target) = f.ipv6()?,
            _ => return Err(f.error()),
        }
        Ok(())
    }
}

impl PacketFields {
    fn tunnel(&mut self, body: &str) -> Result<(), ParseError> {
        let v4 = |a: Ipv4Addr| u128::from(u32::from(a));
        for part in parts(body) {
            let (name, text) = part.split_once('=').unwrap_or((part, ""));
            let f = Field::new(name, text);
            match name {
                "tun_id" => self.tun_id = f.number(u64::MAX)?.0,
                "src" => self.tun_src = v4(f.parsed(Ipv4Addr::BROADCAST)?.0),
                "dst" => self.tun_dst = v4(f.parsed(Ipv4Addr::BROADCAST)?.0),
                "ipv6_src" => self.tun_src = f.parsed(Ipv6Addr::from([0xff; 16]))?.0.into(),
                "ipv6_dst" => self.tun_dst = f.parsed(Ipv6Addr::from([0xff; 16]))?.0.into(),
                "tos" => self.tun_tos = f.number(u8::MAX)?.0,
                "ttl" => self.tun_ttl = f.number(u8::MAX)?.0,
                "tp_src" | "tp_dst" => {
                    f.number(u16::MAX)?;
                }
                _ if name.starts_with("flags(") => {}
                _ => return Err(f.error()),
            }
        }
        Ok(())
    }

    /// Up to three label stack entries, each beginning with its label.
    fn mpls(&mut self, body: &str) -> Result<(), ParseError> {
        let mut n = 0;
        self.mpls = [0; 3];
        for part in parts(body) {
            let (name, text) = part.split_once('=').unwrap_or((part, ""));
            let f = Field::new(name, text);
            let bits = f.number(u32::MAX)?.0;
            if name == "label" && self.mpls[n] != 0 {
                n += 1;
            }
            let entry = self.mpls.get_mut(n).ok_or_else(|| f.error())?;
            match (name, bits) {
                ("label", 0..=0xf_ffff) => *entry |= bits << 12,
                ("tc", 0..=7) => *entry |= bits << 9,
                ("bos", 0..=1) => *entry |= bits << 8,
                ("ttl", 0..=255) => *entry |= bits,
                _ => return Err(f.error()),
            }
            if n + 1 == self.mpls.len() && name == "label" && bits == 0 {
                return Err(f.error());
            }
        }
        Ok(())
    }
}

/// Whether a field that this datapath does not have is given as zero or with a mask of zero.
fn zero(f: &Field<'_>) -> bool {
    let none = |text: &str| number::<u64>(text) == Some(0);
    none(f.value) || f.mask.is_some_and(none)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FlowHandle;
    use crate::format::{FlowDump, Show};
    use wire::Time;

    fn read(text: &str) -> Result<(FlowKey, FlowMask), ParseError> {
        flow(text, &|name| (name == "p9").then_some(PortNo(9)))
    }

    /// What a dump shows of it again.
    fn again(text: &str) -> String {
        let (key, mask) = read(text).unwrap();
        let f = FlowHandle::new(key, mask, Vec::new(), None, Time::ZERO);
        let show = Show { table: &|_| None, names: None, more: false };
        let shown = FlowDump::new(&f, Time::ZERO, show).to_string();
        shown.split(", packets:").next().unwrap().replace(",packet_type(ns=0,id=0)", "")
    }

    #[test]
    fn a_dump_reads_back() {
        for text in [
            "recirc_id(0),in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),\
             eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.0/255.255.0.0,proto=6,tos=0,\
             ttl=64,frag=no),tcp(src=8,dst=9/0xff),tcp_flags(syn|ack)",
            "recirc_id(0x5),dp_hash(0x3/0xff),in_port(2),eth_type(0x86dd),ipv6(src=fe80::1,\
             dst=::/ffff::,label=0x5,proto=58,tclass=0,hlimit=255,frag=no),\
             icmpv6(type=135,code=0),nd(target=fe80::2,sll=00:00:00:00:00:01,\
             tll=00:00:00:00:00:00)",
            "in_port(1),eth(dst=01:00:00:00:00:00/01:00:00:00:00:00),eth_type(0x8100),\
             vlan(vid=5,pcp=3),encap(eth_type(0x88a8),vlan(vid=7,pcp=0),encap(\
             eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=00:00:00:00:00:01,\
             tha=00:00:00:00:00:00)))",
            "in_port(1),eth_type(0x0800),ipv4(proto=17,frag=first),udp(src=1,dst=2)",
            "in_port(1),eth_type(0x0800),ipv4(proto=6,frag=no),tcp_flags(+syn-ack)",
            "skb_priority(0x7),in_port(4),skb_mark(0x1/0x3),eth_type(0x1234)",
        ] {
            assert_eq!(again(text), text);
        }
    }

    #[test]
    fn other_ways_to_write_it() {
        let (key, mask) = read(
            " in_port(p9) eth() packet_type(ns=0,id=0), ct_state(0),ct_mark(0/0) \
             eth_type(2048),ipv4(proto=\n0x11,frag=later)",
        )
        .unwrap();
        assert_eq!((key.in_port, key.eth_type, key.nw_proto, key.nw_frag), (9, 0x800, 17, 3));
        assert_eq!((mask.in_port, mask.nw_proto, mask.nw_ttl), (u32::MAX, 0xff, 0));
        let (key, mask) = read("in_port(3),eth(src=00:00:00:00:00:01)").unwrap();
        assert_eq!((key.eth_type, mask.eth_type), (EtherType::NONE, 0));
        let (key, mask) = read("eth_type( 0x800),ipv4(proto=\n1,tos=2/ 3)").unwrap();
        assert_eq!((key.nw_proto, mask.nw_proto, key.nw_tos, mask.nw_tos), (1, 0xff, 2, 3));
        let (key, _) = read("eth_type(0x8100),vlan(vid=0,pcp=0)").unwrap();
        assert_eq!(key.vlan[0], VlanTag { tpid: 0x8100, tci: 0x1000 });
        assert_eq!(
            read("ufid:29e148ba-4de1-436c-bc01-890097e0663d in_port(1),tcp_flags(0x11)")
                .unwrap()
                .0
                .tcp_flags,
            0x11
        );
    }

    fn read_packet(text: &str) -> Result<PacketFields, ParseError> {
        packet(text, &|name| (name == "p7").then_some(PortNo(7)))
    }

    #[test]
    fn packet_reads_every_attribute() {
        let s = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),\
                 ipv4(src=10.0.0.2,dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=9),\
                 tcp_flags(syn|ack)";
        let f = read_packet(s).unwrap();
        assert_eq!((f.key.in_port, f.key.ipv4_src()), (1, [10, 0, 0, 2]));
        assert_eq!((f.key.tp_src, f.key.tp_dst, f.key.tcp_flags), (8, 9, 0x12));
        let s = "in_port(p7),eth_type(0x88a8),vlan(vid=5,pcp=3),encap(eth_type(0x8100),\
                 vlan(vid=6),encap(eth_type(0x0806),arp(op=1)))";
        let f = read_packet(s).unwrap();
        assert_eq!(f.key.in_port, 7);
        assert_eq!(f.key.vlan[0], VlanTag { tpid: 0x88a8, tci: 0x7005 });
        assert_eq!(f.key.vlan[1], VlanTag { tpid: 0x8100, tci: 0x1006 });
        assert_eq!((f.key.eth_type, f.key.nw_proto), (0x806, 1));
        let s = "tunnel(tun_id=0x5,src=10.0.0.1,ipv6_dst=fe80::1,tos=1,ttl=64,tp_src=5,\
                 flags(df|key)),ct_state(+trk-new),ct_zone(4),ct_mark(0x3/0xf),ct_label(1),\
                 ct_tuple4(src=1.2.3.4),packet_type(ns=0,id=0),in_port(2),\
                 mpls(label=1,tc=2,ttl=3,bos=0,label=4,tc=0,ttl=5,bos=1)";
        let f = read_packet(s).unwrap();
        assert_eq!((f.tun_id, f.tun_src, f.tun_tos, f.tun_ttl), (5, 0x0a00_0001, 1, 64));
        assert_eq!(f.tun_dst, 0xfe80 << 112 | 1);
        assert_eq!((f.ct_state, f.ct_zone, f.ct_mark), (0x20, 4, 3));
        assert_eq!(f.mpls, [1 << 12 | 2 << 9 | 3, 4 << 12 | 1 << 8 | 5, 0]);
        assert_eq!((f.key.eth_type, f.key.in_port), (MPLS, 2));
        let id = "ufid:29e148ba-4de1-436c-bc01-890097e0663d";
        assert_eq!(read_packet(&format!("{id}, in_port(3)")).unwrap().key.in_port, 3);
    }

    #[test]
    fn packet_without_eth_type_gets_the_implied_one() {
        let eth_type = |s| read_packet(s).unwrap().key.eth_type;
        assert_eq!(eth_type("eth()"), EtherType::NONE);
        assert_eq!(eth_type("eth_type(0/0xffff)"), EtherType::NONE);
        assert_eq!(eth_type("ipv4(proto=1)"), EtherType::IPV4);
        assert_eq!(eth_type("ipv6(proto=1)"), EtherType::IPV6);
        let f = read_packet("ipv4(src=1.2.3.4/255.0.0.0,frag=later),tcp_flags(+syn-ack)").unwrap();
        assert_eq!((f.key.ipv4_src(), f.key.tcp_flags), ([1, 2, 3, 4], 2));
    }

    #[test]
    fn packet_errors_name_the_rest_of_the_text() {
        for bad in [
            "eth",
            "eth(",
            "bogus(1)",
            "ipv4(src=x)",
            "ipv4(foo=1)",
            "in_port(p8)",
            "eth_type(99999)",
            "tcp_flags(foo)",
            "vlan(vid=4096)",
            "eth)(",
            "ufid:29e1, in_port(3)",
            "mpls(label=1,label=2,label=3,label=4)",
            "tunnel(what=1)",
            "encap(in_port(1))",
        ] {
            assert_eq!(read_packet(bad), Err(ParseError::Syntax(bad.to_owned())));
        }
        let wrong = read_packet("in_port(1),eth(src=x),eth_type(0x800)").unwrap_err();
        assert_eq!(wrong.to_string(), "syntax error at eth(src=x),eth_type(0x800)");
        assert_eq!(
            read_packet("in_port(1),nd(sll=00:00:00:00:00:01)").unwrap_err().to_string(),
            "syntax error at nd: the packet is not ICMPv6"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z_0-9=:,()/>+|.x-]{0,60}|.{0,60}") {
            let _ = read(&text);
            let _ = read_packet(&text);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, from) in [
            ("in_port(1),eth(src=xx)", "eth(src=xx)"),
            ("nonsense", "nonsense"),
            ("in_port(1),foo(a=1),eth()", "foo(a=1),eth()"),
            ("ipv4(src=1.2.3.4", "ipv4(src=1.2.3.4"),
            ("eth_type(0x12345)", "eth_type(0x12345)"),
            ("vlan(vid=4096)", "vlan(vid=4096)"),
            ("encap(eth_type(0x0800))", "encap(eth_type(0x0800))"),
            ("tcp_flags(+syn-what)", "tcp_flags(+syn-what)"),
            ("udp(src)", "udp(src)"),
        ] {
            assert_eq!(read(text), Err(ParseError::Syntax(from.to_owned())), "{text}");
        }
        let deep = "vlan(vid=1),".to_owned() + &"encap(".repeat(100_000) + &")".repeat(100_000);
        assert!(matches!(read(&deep), Err(ParseError::Syntax(_))));
        assert!(matches!(read("tunnel(tun_id=1)"), Err(ParseError::Unsupported(_))));
        assert!(matches!(read("ct_state(+trk)"), Err(ParseError::Unsupported(_))));
    }
}
