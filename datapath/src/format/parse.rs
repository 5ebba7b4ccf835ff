//! A flow's match read from Open vSwitch's notation, such as
//! `in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(...)`.
//!
//! The opposite of `fields`. What follows a slash is a mask; a field without one is looked at as
//! a whole, one that is not named not at all.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, FlowKey, FlowMask, VlanTag};

use super::fields::FLAG_NAMES;
use crate::port::PortNo;

/// The text is no match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Open vSwitch's words.
    #[error("syntax error at {0}")]
    Syntax(String),
    /// A field of packets that this datapath does not look at, or an action that it cannot do.
    #[error("{0}: not supported by this datapath")]
    Unsupported(String),
}

/// Reads a match. `port` finds a port by name, where one is given instead of a number.
///
/// # Errors
///
/// Where the text cannot be read.
pub fn flow(
    text: &str,
    port: &dyn Fn(&str) -> Option<PortNo>,
) -> Result<(FlowKey, FlowMask), ParseError> {
    let mut p = Parser::new(port);
    p.attributes(text)?;
    Ok(p.done())
}

pub(super) struct Parser<'a> {
    key: FlowKey,
    mask: FlowMask,
    /// Tags so far.
    tags: usize,
    /// What they encapsulate, so far.
    encaps: usize,
    port: &'a dyn Fn(&str) -> Option<PortNo>,
}

pub(super) const DELIMITERS: [char; 5] = [',', ' ', '\t', '\r', '\n'];

/// A value and its mask, as text.
struct Field<'a> {
    name: &'a str,
    value: &'a str,
    mask: Option<&'a str>,
}

impl<'a> Field<'a> {
    fn new(name: &'a str, text: &'a str) -> Field<'a> {
        // White space before a value is nothing, also before a mask.
        match text.split_once('/') {
            Some((value, mask)) => {
                Field { name, value: value.trim_start(), mask: Some(mask.trim_start()) }
            }
            None => Field { name, value: text.trim_start(), mask: None },
        }
    }

    fn error(&self) -> ParseError {
        let mask = self.mask.map(|m| format!("/{m}")).unwrap_or_default();
        let equals = if self.name.is_empty() { "" } else { "=" };
        ParseError::Syntax(format!("{}{equals}{}{mask}", self.name, self.value))
    }

    /// Reads value and mask with `read`; without a mask it is `full`.
    fn read<T>(&self, full: T, read: impl Fn(&str) -> Option<T>) -> Result<(T, T), ParseError> {
        let value = read(self.value).ok_or_else(|| self.error())?;
        let mask = match self.mask {
            Some(text) => read(text).ok_or_else(|| self.error())?,
            None => full,
        };
        Ok((value, mask))
    }

    fn number<T: TryFrom<u64>>(&self, full: T) -> Result<(T, T), ParseError> {
        self.read(full, number)
    }

    fn parsed<T: FromStr>(&self, full: T) -> Result<(T, T), ParseError> {
        self.read(full, |text| text.parse().ok())
    }

    fn eth(&self) -> Result<(EthAddr, EthAddr), ParseError> {
        self.parsed(EthAddr::BROADCAST)
    }

    fn ipv4(&self) -> Result<([u8; 16], [u8; 16]), ParseError> {
        let (v, m) = self.parsed(Ipv4Addr::BROADCAST)?;
        let wide = |a: Ipv4Addr| {
            let mut w = [0; 16];
            w[12..].copy_from_slice(&a.octets());
            w
        };
        Ok((wide(v), wide(m)))
    }

    fn ipv6(&self) -> Result<([u8; 16], [u8; 16]), ParseError> {
        let (v, m) = self.parsed(Ipv6Addr::from([0xff; 16]))?;
        Ok((v.octets(), m.octets()))
    }

    /// `no`, `first` or `later`; a number masks.
    fn frag(&self) -> Result<(u8, u8), ParseError> {
        let value = match self.value {
            "no" => 0,
            "first" => FRAG_ANY,
            "later" => FRAG_ANY | FRAG_LATER,
            _ => return Err(self.error()),
        };
        let mask = match self.mask {
            None => FRAG_ANY | FRAG_LATER,
            Some(text) => match number::<u8>(text).ok_or_else(|| self.error())? {
                0 => 0,
                _ => FRAG_ANY | FRAG_LATER,
            },
        };
        Ok((value, mask))
    }

    /// A number, names joined by `|`, or names behind `+` and `-`, which then are the mask.
    fn tcp_flags(&self) -> Result<(u16, u16), ParseError> {
        const FULL: u16 = 0x0fff;
        let bit = |name: &str| FLAG_NAMES.iter().position(|n| *n == name).map(|n| 1u16 << n);
        let text = self.value;
        if text.starts_with(['+', '-']) {
            let (mut value, mut mask, mut rest) = (0, 0, text);
            while let Some(sign) = rest.get(..1) {
                let end = rest[1..].find(['+', '-']).map_or(rest.len(), |n| n + 1);
                let b = bit(&rest[1..end]).ok_or_else(|| self.error())?;
                mask |= b;
                value |= if sign == "+" { b } else { 0 };
                rest = &rest[end..];
            }
            return Ok((value, mask));
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return self.number(FULL);
        }
        let all: Option<Vec<u16>> = text.split('|').map(bit).collect();
        Ok((all.ok_or_else(|| self.error())?.iter().sum(), FULL))
    }
}

/// Decimal, or hexadecimal behind `0x`; white space in front does not matter.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let text = text.trim_start();
    let n = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    T::try_from(n.ok()?).ok()
}

/// The text in the parentheses that open at the start, and what follows them.
pub(super) fn parentheses(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 1;
    for (at, c) in inner.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

impl<'a> Parser<'a> {
    pub(super) fn new(port: &'a dyn Fn(&str) -> Option<PortNo>) -> Parser<'a> {
        let key = FlowKey { eth_type: EtherType::NONE, ..FlowKey::default() };
        Parser { key, mask: FlowMask::default(), tags: 0, encaps: 0, port }
    }

    pub(super) fn done(self) -> (FlowKey, FlowMask) {
        (self.key, self.mask)
    }

    pub(super) fn attributes(&mut self, text: &str) -> Result<(), ParseError> {
        let mut rest = text.trim_start_matches(DELIMITERS);
        if let Some(ufid) = rest.strip_prefix("ufid:") {
            let end = ufid.find(DELIMITERS).unwrap_or(ufid.len());
            rest = ufid[end..].trim_start_matches(DELIMITERS);
        }
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
        let (k, m) = (&mut self.key, &mut self.mask);
        match name {
            "skb_priority" => (k.skb_priority, m.skb_priority) = one.number(u32::MAX)?,
            "skb_mark" => (k.pkt_mark, m.pkt_mark) = one.number(u32::MAX)?,
            "recirc_id" => (k.recirc_id, m.recirc_id) = one.number(u32::MAX)?,
            "dp_hash" => (k.dp_hash, m.dp_hash) = one.number(u32::MAX)?,
            "in_port" => match (self.port)(body) {
                Some(port) => (k.in_port, m.in_port) = (port.0, u32::MAX),
                None => (k.in_port, m.in_port) = one.number(u32::MAX)?,
            },
            "eth_type" => {
                (k.eth_type, m.eth_type) = one.number(u16::MAX)?;
            }
            "tcp_flags" => (k.tcp_flags, m.tcp_flags) = one.tcp_flags()?,
            "encap" => {
                // The tag's own type was read as the packet's.
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
                for part in body.split(',').filter(|p| !p.is_empty()) {
                    let (field, text) = part.split_once('=').ok_or_else(|| one.error())?;
                    self.field(name, &Field::new(field, text))?;
                }
            }
        }
        Ok(())
    }

    fn vlan(&mut self, body: &str) -> Result<(), ParseError> {
        let (mut tci, mut looks) = (VlanTag::CFI, VlanTag::CFI);
        for part in body.split(',').filter(|p| !p.is_empty()) {
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

/// Whether a field that we do not have is given as zero, or masked away.
fn zero(f: &Field<'_>) -> bool {
    let none = |text: &str| number::<u64>(text) == Some(0);
    none(f.value) || f.mask.is_some_and(none)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(read("ufid:1-2-3 in_port(1),tcp_flags(0x11)").unwrap().0.tcp_flags, 0x11);
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
