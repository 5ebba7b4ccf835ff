//! One packet's key in the datapath's notation: `in_port(1),eth(src=…,dst=…),eth_type(0x0800),
//! ipv4(…),tcp(…)`, as `netdev-dummy/receive` and `ofproto/trace` take it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, FlowKey, VlanTag, ip};

use super::TextError;
use super::scan;
use super::value::{CT_STATES, TCP_FLAGS};

/// What the text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OdpFlow {
    /// With the datapath's port number in `in_port`, 0 if none was given and then
    /// `has_port` is false.
    pub key: FlowKey,
    pub has_port: bool,
    pub tun_id: u64,
    /// Source and destination of the tunnel, IPv4 in the lowest 32 bits.
    pub tun_src: u128,
    pub tun_dst: u128,
    pub tun_tos: u8,
    pub tun_ttl: u8,
    pub ct_state: u32,
    pub ct_zone: u16,
    pub ct_mark: u32,
    pub mpls: [u32; 3],
}

/// Reads a key. `port` tells the number of a port given by name.
pub fn parse_odp_flow(s: &str, port: &dyn Fn(&str) -> Option<u32>) -> Result<OdpFlow, TextError> {
    let mut p = Parser { flow: OdpFlow::default(), port, depth: 0, implied: EtherType::NONE };
    p.list(without_identity(s))?;
    p.finish()?;
    Ok(p.flow)
}

/// The text without the identity that a detailed dump has in front: `ufid:` and a UUID.
fn without_identity(s: &str) -> &str {
    let s = s.trim_start_matches([',', ' ', '\t', '\r', '\n']);
    match s.strip_prefix("ufid:").and_then(|rest| rest.split_at_checked(36)) {
        Some((id, rest)) if id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) => rest,
        _ => s,
    }
}

struct Parser<'a> {
    flow: OdpFlow,
    port: &'a dyn Fn(&str) -> Option<u32>,
    /// Of `encap`: the number of tags passed.
    depth: usize,
    /// The packet's type if none is given.
    implied: u16,
}

/// Takes `name(content)` off the text.
fn attribute<'a>(text: &mut &'a str) -> Result<Option<(&'a str, &'a str)>, TextError> {
    let s = text.trim_start_matches([',', ' ', '\t', '\r', '\n']);
    if s.is_empty() {
        return Ok(None);
    }
    let bad = || TextError(format!("syntax error at {s}"));
    let open = s.find('(').ok_or_else(bad)?;
    let mut depth = 0usize;
    for (i, c) in s[open..].char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    *text = &s[open + i + 1..];
                    return Ok(Some((&s[..open], &s[open + 1..open + i])));
                }
            }
            _ => {}
        }
    }
    Err(bad())
}

/// The value before a mask: a mask is allowed and has no effect on one packet's key.
fn plain(s: &str) -> &str {
    s.split_once('/').map_or(s, |(v, _)| v).trim()
}

fn number<T: TryFrom<u64>>(s: &str) -> Result<T, TextError> {
    let v = scan::number(plain(s)).and_then(|n| T::try_from(n).ok());
    v.ok_or_else(|| TextError(format!("syntax error at {s}")))
}

fn parse<T: FromStr>(s: &str) -> Result<T, TextError> {
    plain(s).parse().map_err(|_| TextError(format!("syntax error at {s}")))
}

fn ipv4(s: &str) -> Result<[u8; 16], TextError> {
    let a: Ipv4Addr = parse(s)?;
    let mut out = [0; 16];
    out[12..].copy_from_slice(&a.octets());
    Ok(out)
}

fn ipv6(s: &str) -> Result<[u8; 16], TextError> {
    Ok(parse::<Ipv6Addr>(s)?.octets())
}

fn frag(s: &str) -> Result<u8, TextError> {
    match plain(s) {
        "no" => Ok(0),
        "first" => Ok(FRAG_ANY),
        "later" => Ok(FRAG_ANY | FRAG_LATER),
        _ => TextError::new(format!("syntax error at {s}")),
    }
}

/// Names of bits with `|` between or with signs in front, or a number.
fn flags(s: &str, names: &[&str]) -> Result<u32, TextError> {
    if let Some(n) = scan::number(plain(s)) {
        return u32::try_from(n).or_else(|_| TextError::new(format!("syntax error at {s}")));
    }
    let mut value = 0;
    let signed = s.starts_with(['+', '-']);
    let marked = if signed { s.replace('-', "|-").replace('+', "|+") } else { s.to_owned() };
    for word in marked.split('|').filter(|w| !w.is_empty()) {
        let (set, name) = match word.strip_prefix('-') {
            Some(name) => (false, name),
            None => (true, word.strip_prefix('+').unwrap_or(word)),
        };
        let Some(bit) = names.iter().position(|n| *n == name) else {
            return TextError::new(format!("syntax error at {s}"));
        };
        if set {
            value |= 1 << bit;
        }
    }
    Ok(value)
}

/// The fields between an attribute's parentheses.
fn fields(
    content: &str,
    mut each: impl FnMut(&str, &str) -> Result<bool, TextError>,
) -> Result<(), TextError> {
    let mut rest = content;
    while !rest.trim().is_empty() {
        // A value may itself have parentheses with commas in them.
        let mut depth = 0usize;
        let end = rest.char_indices().find(|(_, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            *c == ',' && depth == 0
        });
        let end = end.map_or(rest.len(), |(i, _)| i);
        let item = rest[..end].trim();
        rest = rest.get(end + 1..).unwrap_or("");
        if item.is_empty() {
            continue;
        }
        let (name, v) = item.split_once('=').unwrap_or((item, ""));
        if !each(name, v)? {
            return TextError::new(format!("syntax error at {item}"));
        }
    }
    Ok(())
}

impl Parser<'_> {
    fn list(&mut self, mut s: &str) -> Result<(), TextError> {
        loop {
            let at = s.trim_start_matches([',', ' ', '\t', '\r', '\n']);
            let Some((name, content)) = attribute(&mut s)? else { return Ok(()) };
            // As upstream, the rest of the text from the attribute on is what is wrong.
            let bad = |_| TextError(format!("syntax error at {at}"));
            self.attribute(name, content).map_err(bad)?;
        }
    }

    fn attribute(&mut self, name: &str, c: &str) -> Result<(), TextError> {
        let f = &mut self.flow;
        let k = &mut f.key;
        match name {
            "skb_priority" => k.skb_priority = number(c)?,
            "skb_mark" => k.pkt_mark = number(c)?,
            "recirc_id" => k.recirc_id = number(c)?,
            "dp_hash" => k.dp_hash = number(c)?,
            "ct_state" => f.ct_state = flags(c, &CT_STATES)?,
            "ct_zone" => f.ct_zone = number(c)?,
            "ct_mark" => f.ct_mark = number(c)?,
            // Not tracked, not used.
            "ct_label" | "ct_tuple4" | "ct_tuple6" | "packet_type" => {}
            "in_port" => {
                k.in_port = match number(c) {
                    Ok(n) => n,
                    Err(e) => (self.port)(c.trim()).ok_or(e)?,
                };
                f.has_port = true;
            }
            "tunnel" => return self.tunnel(c),
            "eth" => fields(c, |name, v| {
                match name {
                    "src" => k.eth_src = parse::<EthAddr>(v)?,
                    "dst" => k.eth_dst = parse::<EthAddr>(v)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            "eth_type" => return self.eth_type(number(c)?),
            "vlan" => return self.vlan(c),
            "encap" => {
                self.depth += 1;
                self.list(c)?;
                self.depth -= 1;
            }
            "mpls" => {
                self.implied = 0x8847;
                return self.mpls(c);
            }
            "ipv4" | "ipv6" => {
                let v4 = name == "ipv4";
                self.implied = if v4 { EtherType::IPV4 } else { EtherType::IPV6 };
                let address = if v4 { ipv4 } else { ipv6 };
                fields(c, |name, v| {
                    match name {
                        "src" => k.nw_src = address(v)?,
                        "dst" => k.nw_dst = address(v)?,
                        "proto" => k.nw_proto = number(v)?,
                        "tos" | "tclass" => k.nw_tos = number(v)?,
                        "ttl" | "hlimit" => k.nw_ttl = number(v)?,
                        "label" => k.ipv6_label = number::<u32>(v)? & 0x000f_ffff,
                        "frag" => k.nw_frag = frag(v)?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
            }
            "tcp" | "udp" | "sctp" => fields(c, |name, v| {
                match name {
                    "src" => k.tp_src = number(v)?,
                    "dst" => k.tp_dst = number(v)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            "tcp_flags" => k.tcp_flags = flags(c, &TCP_FLAGS)? as u16 & 0x0fff,
            "icmp" | "icmpv6" => fields(c, |name, v| {
                match name {
                    "type" => k.tp_src = number::<u8>(v)?.into(),
                    "code" => k.tp_dst = number::<u8>(v)?.into(),
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            "nd" => fields(c, |name, v| {
                match name {
                    "target" => k.nd_target = ipv6(v)?,
                    "sll" => k.arp_sha = parse::<EthAddr>(v)?,
                    "tll" => k.arp_tha = parse::<EthAddr>(v)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            "arp" => fields(c, |name, v| {
                match name {
                    "sip" => k.nw_src = ipv4(v)?,
                    "tip" => k.nw_dst = ipv4(v)?,
                    "op" => k.nw_proto = number(v)?,
                    "sha" => k.arp_sha = parse::<EthAddr>(v)?,
                    "tha" => k.arp_tha = parse::<EthAddr>(v)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            _ => return TextError::new(format!("syntax error at {name}({c})")),
        }
        Ok(())
    }

    /// A tag's type if a tag follows, else the packet's.
    fn eth_type(&mut self, t: u16) -> Result<(), TextError> {
        let is_tag = matches!(t, EtherType::VLAN | EtherType::VLAN_8021AD);
        match self.flow.key.vlan.get_mut(self.depth) {
            Some(tag) if is_tag => tag.tpid = t,
            _ => self.flow.key.eth_type = t,
        }
        Ok(())
    }

    fn vlan(&mut self, c: &str) -> Result<(), TextError> {
        let Some(tag) = self.flow.key.vlan.get_mut(self.depth) else {
            return TextError::new(format!("syntax error at vlan({c})"));
        };
        let mut tci = VlanTag::CFI;
        fields(c, |name, v| {
            let bits = number::<u16>(v)?;
            match (name, bits) {
                ("vid", 0..=0xfff) => tci |= bits,
                ("pcp", 0..=7) => tci |= bits << VlanTag::PCP_SHIFT,
                ("cfi", 0) => tci &= !VlanTag::CFI,
                ("cfi", 1) => {}
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        tag.tci = tci;
        Ok(())
    }

    fn mpls(&mut self, c: &str) -> Result<(), TextError> {
        let mut n = 0;
        let mut lse = [0u32; 3];
        fields(c, |name, v| {
            let bits = number::<u32>(v)?;
            // A second label begins the next entry.
            if name == "label" && lse[n] != 0 {
                n += 1;
            }
            let Some(entry) = lse.get_mut(n) else { return Ok(false) };
            match (name, bits) {
                ("label", 0..=0xf_ffff) => *entry |= bits << 12,
                ("tc", 0..=7) => *entry |= bits << 9,
                ("bos", 0..=1) => *entry |= bits << 8,
                ("ttl", 0..=255) => *entry |= bits,
                _ => return Ok(false),
            }
            if n + 1 == 3 && name == "label" && bits == 0 {
                return Ok(false);
            }
            Ok(true)
        })?;
        self.flow.mpls = lse;
        Ok(())
    }

    fn tunnel(&mut self, c: &str) -> Result<(), TextError> {
        let f = &mut self.flow;
        let v4 = |s: &str| Ok(u32::from(parse::<Ipv4Addr>(s)?).into());
        let v6 = |s: &str| Ok(u128::from(parse::<Ipv6Addr>(s)?));
        fields(c, |name, v| {
            match name {
                "tun_id" => f.tun_id = number(v)?,
                "src" => f.tun_src = v4(v)?,
                "dst" => f.tun_dst = v4(v)?,
                "ipv6_src" => f.tun_src = v6(v)?,
                "ipv6_dst" => f.tun_dst = v6(v)?,
                "tos" => f.tun_tos = number(v)?,
                "ttl" => f.tun_ttl = number(v)?,
                "tp_src" | "tp_dst" => {
                    number::<u16>(v)?;
                }
                _ => return Ok(name.starts_with("flags(")),
            }
            Ok(true)
        })
    }

    /// What follows from what was given.
    fn finish(&mut self) -> Result<(), TextError> {
        let k = &mut self.flow.key;
        if k.eth_type == 0 {
            // None at all is an IEEE 802.2 frame: the notation has no type for it.
            k.eth_type = self.implied;
        }
        for tag in &mut k.vlan {
            if tag.is_present() && tag.tpid == 0 {
                tag.tpid = EtherType::VLAN;
            }
        }
        let icmp6 = k.eth_type == EtherType::IPV6 && k.nw_proto == ip::ICMPV6;
        let arp = matches!(k.eth_type, EtherType::ARP | EtherType::RARP);
        let none = k.arp_sha.is_zero() && k.arp_tha.is_zero();
        if !(icmp6 || arp || none) {
            return TextError::new("syntax error at nd: the packet is not ICMPv6");
        }
        Ok(())
    }
}
