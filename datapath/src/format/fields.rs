//! A flow's match in Open vSwitch's notation (`lib/odp-util.c` of its sources defines it).
//!
//! Values are those of the packet that made the flow, also where the mask hides bits; a mask
//! follows after a slash unless it is full.

use std::net::{Ipv4Addr, Ipv6Addr};

use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, FlowKey, FlowMask, VlanTag, ip};

use super::attr::{Attr, Show, Value};
use crate::action::Layer;
use crate::port::PortNo;

/// `Ethernet type` values below this are lengths of IEEE 802.3 frames.
const ETH_TYPE_MIN: u16 = 0x600;

/// All bits of TCP flags that can be matched.
const TCP_FLAGS: u16 = 0x0fff;

/// Hexadecimal as C's `%#x`: no prefix for zero.
pub(super) fn hex(v: impl Into<u64>) -> String {
    match v.into() {
        0 => "0".to_owned(),
        v => format!("{v:#x}"),
    }
}

/// Gathers the fields of one attribute.
struct Fields {
    fields: Vec<(&'static str, String)>,
    more: bool,
}

impl Fields {
    fn new(show: Show<'_>) -> Fields {
        Fields { fields: Vec::new(), more: show.more }
    }

    /// Shows a field unless nothing of it is looked at.
    fn put(
        &mut self,
        name: &'static str,
        value: String,
        mask: Mask,
        mask_text: impl Fn() -> String,
    ) {
        let text = match mask {
            Mask::Empty if !self.more => return,
            Mask::Full => value,
            Mask::Empty | Mask::Partial => format!("{value}/{}", mask_text()),
        };
        self.fields.push((name, text));
    }

    fn eth(&mut self, name: &'static str, v: EthAddr, m: EthAddr) {
        self.put(name, v.to_string(), mask(&m.0), || m.to_string());
    }

    fn ipv4(&mut self, name: &'static str, v: [u8; 4], m: [u8; 4]) {
        self.put(name, Ipv4Addr::from(v).to_string(), mask(&m), || Ipv4Addr::from(m).to_string());
    }

    fn ipv6(&mut self, name: &'static str, v: [u8; 16], m: [u8; 16]) {
        self.put(name, Ipv6Addr::from(v).to_string(), mask(&m), || Ipv6Addr::from(m).to_string());
    }

    fn u8(&mut self, name: &'static str, v: u8, m: u8) {
        self.put(name, v.to_string(), mask(&[m]), || hex(m));
    }

    fn u8x(&mut self, name: &'static str, v: u8, m: u8) {
        self.put(name, hex(v), mask(&[m]), || hex(m));
    }

    fn u16(&mut self, name: &'static str, v: u16, m: u16) {
        self.put(name, v.to_string(), mask(&m.to_be_bytes()), || hex(m));
    }

    fn label(&mut self, v: u32, m: u32) {
        const FULL: u32 = 0x000f_ffff;
        let kind = match m & FULL {
            0 => Mask::Empty,
            FULL => Mask::Full,
            _ => Mask::Partial,
        };
        self.put("label", hex(v), kind, || hex(m));
    }

    /// An enumeration: it is looked at as a whole or not at all.
    fn frag(&mut self, v: u8, m: u8) {
        if m != 0 {
            let text = match (v & FRAG_ANY != 0, v & FRAG_LATER != 0) {
                (false, _) => "no",
                (true, false) => "first",
                (true, true) => "later",
            };
            self.fields.push(("frag", text.to_owned()));
        }
    }

    /// The attribute, unless there is nothing to show.
    fn attr(self, name: &'static str) -> Option<Attr> {
        (!self.fields.is_empty()).then_some(Attr { name, value: Value::Fields(self.fields) })
    }
}

#[derive(Clone, Copy)]
enum Mask {
    Empty,
    Partial,
    Full,
}

fn mask(octets: &[u8]) -> Mask {
    if octets.iter().all(|&o| o == 0) {
        Mask::Empty
    } else if octets.iter().all(|&o| o == 0xff) {
        Mask::Full
    } else {
        Mask::Partial
    }
}

/// A number of 32 bits that is an attribute by itself.
fn number(name: &'static str, v: u32, m: u32, show: Show<'_>) -> Option<Attr> {
    let text = match mask(&m.to_be_bytes()) {
        Mask::Empty if !show.more => return None,
        Mask::Full => hex(v),
        Mask::Empty | Mask::Partial => format!("{}/{}", hex(v), hex(m)),
    };
    Some(Attr { name, value: Value::One(text) })
}

/// A packet that no connection tracking has seen.
const NO_CT_STATE: &str = "-new-est-rel-rpl-inv-trk-snat-dnat";

/// The match of a flow that a packet with key `k` made, and that looks where `m` has bits.
pub(super) fn key(k: &FlowKey, m: &FlowMask, show: Show<'_>) -> Vec<Attr> {
    let mut out = Vec::new();
    out.extend(number("recirc_id", k.recirc_id, m.recirc_id, show));
    out.extend(number("dp_hash", k.dp_hash, m.dp_hash, show));
    out.extend(header(Layer::SkbPriority, k, m, show, true));
    if m.in_port == u32::MAX {
        // A packet of our own has no port, and then there is no attribute.
        if k.in_port != PortNo::NONE.0 {
            let value = Value::One(show.port(PortNo(k.in_port)));
            out.push(Attr { name: "in_port", value });
        }
    } else if m.in_port != 0 || show.more {
        let value = Value::One(format!("{}/{}", k.in_port, hex(m.in_port)));
        out.push(Attr { name: "in_port", value });
    }
    out.extend(header(Layer::SkbMark, k, m, show, true));
    // There is no connection tracking here, and nothing looks at it, but for flows that look at
    // everything.
    let all = [m.dp_hash, m.skb_priority, m.pkt_mark].iter().all(|bits| *bits == u32::MAX);
    if all {
        let state = if show.more { "0/0xff" } else { NO_CT_STATE };
        out.push(Attr { name: "ct_state", value: Value::One(state.to_owned()) });
        for name in ["ct_zone", "ct_mark", "ct_label"] {
            out.push(Attr { name, value: Value::One("0".to_owned()) });
        }
    } else if show.more {
        for name in ["ct_state", "ct_zone", "ct_mark", "ct_label"] {
            out.push(Attr { name, value: Value::One("0/0".to_owned()) });
        }
    }
    // Every packet is Ethernet.
    let ethernet = vec![("ns", "0".to_owned()), ("id", "0".to_owned())];
    out.push(Attr { name: "packet_type", value: Value::Fields(ethernet) });
    out.extend(header(Layer::Eth, k, m, show, true));
    out.extend(from_tag(0, k, m, show));
    out
}

/// The tags from the `n`th on, and what they encapsulate.
fn from_tag(n: usize, k: &FlowKey, m: &FlowMask, show: Show<'_>) -> Vec<Attr> {
    let Some(tag) = k.vlan.get(n).filter(|t| t.tci != 0) else {
        return from_type(k, m, show);
    };
    let tpid = Value::One(format!("{:#06x}", tag.tpid));
    let mut out = vec![Attr { name: "eth_type", value: tpid }];
    let looks = m.vlan[n].tci;
    if looks != 0 || show.more {
        out.push(Attr { name: "vlan", value: Value::Fields(vlan(tag.tci, looks, show)) });
    }
    let value = Value::Nested(from_tag(n + 1, k, m, show));
    out.push(Attr { name: "encap", value });
    out
}

fn vlan(tci: u16, looks: u16, show: Show<'_>) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let split = |t: u16| (t & VlanTag::VID_MASK, t >> VlanTag::PCP_SHIFT);
    let ((vid, pcp), (vid_mask, pcp_mask)) = (split(tci), split(looks));
    let with_mask = |v: u16, m: u16, full: u16| {
        if m == full { v.to_string() } else { format!("{v}/0x{m:x}") }
    };
    if show.more || vid != 0 || vid_mask != 0 {
        out.push(("vid", with_mask(vid, vid_mask, VlanTag::VID_MASK)));
    }
    if show.more || pcp != 0 || pcp_mask != 0 {
        out.push(("pcp", with_mask(pcp, pcp_mask, 7)));
    }
    if tci & VlanTag::CFI == 0 {
        out.push(("cfi", "0".to_owned()));
    }
    out
}

/// The Ethernet type and what follows it.
fn from_type(k: &FlowKey, m: &FlowMask, show: Show<'_>) -> Vec<Attr> {
    if k.eth_type < ETH_TYPE_MIN {
        // "No type": the key has no attribute and the mask has a full one.
        return vec![Attr { name: "eth_type", value: Value::One("0/0xffff".to_owned()) }];
    }
    let mut out = Vec::new();
    if m.eth_type != 0 || show.more {
        let mut text = format!("{:#06x}", k.eth_type);
        if m.eth_type != u16::MAX {
            text += &format!("/{:#06x}", m.eth_type);
        }
        out.push(Attr { name: "eth_type", value: Value::One(text) });
    }
    let layer = match k.eth_type {
        EtherType::IPV4 => Layer::Ipv4,
        EtherType::IPV6 => Layer::Ipv6,
        EtherType::ARP | EtherType::RARP => Layer::Arp,
        _ => return out,
    };
    out.extend(header(layer, k, m, show, true));
    if layer != Layer::Arp && k.nw_frag & FRAG_LATER == 0 {
        l4(k, m, show, &mut out);
    }
    out
}

/// One header's attribute; `whole` with what can be matched, but not set.
pub(super) fn header(
    layer: Layer,
    k: &FlowKey,
    m: &FlowMask,
    show: Show<'_>,
    whole: bool,
) -> Option<Attr> {
    let mut f = Fields::new(show);
    let ports = |mut f: Fields, name| {
        f.u16("src", k.tp_src, m.tp_src);
        f.u16("dst", k.tp_dst, m.tp_dst);
        f.attr(name)
    };
    match layer {
        Layer::SkbPriority => number("skb_priority", k.skb_priority, m.skb_priority, show),
        Layer::SkbMark => number("skb_mark", k.pkt_mark, m.pkt_mark, show),
        Layer::Eth => {
            f.eth("src", k.eth_src, m.eth_src);
            f.eth("dst", k.eth_dst, m.eth_dst);
            f.attr("eth")
        }
        Layer::Ipv4 => {
            f.ipv4("src", k.ipv4_src(), m.ipv4_src());
            f.ipv4("dst", k.ipv4_dst(), m.ipv4_dst());
            if whole {
                f.u8("proto", k.nw_proto, m.nw_proto);
            }
            f.u8x("tos", k.nw_tos, m.nw_tos);
            f.u8("ttl", k.nw_ttl, m.nw_ttl);
            if whole {
                f.frag(k.nw_frag, m.nw_frag);
            }
            f.attr("ipv4")
        }
        Layer::Ipv6 => {
            f.ipv6("src", k.nw_src, m.nw_src);
            f.ipv6("dst", k.nw_dst, m.nw_dst);
            f.label(k.ipv6_label, m.ipv6_label);
            if whole {
                f.u8("proto", k.nw_proto, m.nw_proto);
            }
            f.u8x("tclass", k.nw_tos, m.nw_tos);
            f.u8("hlimit", k.nw_ttl, m.nw_ttl);
            if whole {
                f.frag(k.nw_frag, m.nw_frag);
            }
            f.attr("ipv6")
        }
        Layer::Arp => {
            f.ipv4("sip", k.ipv4_src(), m.ipv4_src());
            f.ipv4("tip", k.ipv4_dst(), m.ipv4_dst());
            f.u8("op", k.nw_proto, m.nw_proto);
            f.eth("sha", k.arp_sha, m.arp_sha);
            f.eth("tha", k.arp_tha, m.arp_tha);
            f.attr("arp")
        }
        Layer::Tcp => ports(f, "tcp"),
        Layer::Udp => ports(f, "udp"),
        Layer::Sctp => ports(f, "sctp"),
        Layer::Icmp => icmp("icmp", k, m, show),
        Layer::Icmpv6 => icmp("icmpv6", k, m, show),
        Layer::Nd => {
            f.ipv6("target", k.nd_target, m.nd_target);
            f.eth("sll", k.arp_sha, m.arp_sha);
            f.eth("tll", k.arp_tha, m.arp_tha);
            f.attr("nd")
        }
    }
}

fn l4(k: &FlowKey, m: &FlowMask, show: Show<'_>, out: &mut Vec<Attr>) {
    let mut add = |layer| out.extend(header(layer, k, m, show, true));
    match (k.nw_proto, k.eth_type) {
        (ip::TCP, _) => {
            add(Layer::Tcp);
            if m.tcp_flags & TCP_FLAGS != 0 || (show.more && k.tcp_flags != 0) {
                let value = Value::One(flags_masked(k.tcp_flags, m.tcp_flags & TCP_FLAGS));
                out.push(Attr { name: "tcp_flags", value });
            }
        }
        (ip::UDP, _) => add(Layer::Udp),
        (ip::SCTP, _) => add(Layer::Sctp),
        (ip::ICMP, EtherType::IPV4) => add(Layer::Icmp),
        (ip::ICMPV6, EtherType::IPV6) => {
            add(Layer::Icmpv6);
            // Neighbour solicitation and advertisement, RFC 4861 sections 4.3 and 4.4.
            if matches!((k.tp_src, k.tp_dst), (135 | 136, 0)) {
                add(Layer::Nd);
            }
        }
        _ => {}
    }
}

/// Type and code: octets that stand in 16-bit fields.
fn icmp(name: &'static str, k: &FlowKey, m: &FlowMask, show: Show<'_>) -> Option<Attr> {
    let mut f = Fields::new(show);
    f.u8("type", k.tp_src as u8, m.tp_src as u8);
    f.u8("code", k.tp_dst as u8, m.tp_dst as u8);
    f.attr(name)
}

/// TCP flags, lowest bit first (RFC 9293 and RFC 3168; three more are reserved).
pub(super) const FLAG_NAMES: [&str; 12] =
    ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];

fn flags_masked(flags: u16, mask: u16) -> String {
    let bits = FLAG_NAMES.iter().enumerate().map(|(i, name)| (1u16 << i, *name));
    match mask {
        0 => "0/0".to_owned(),
        TCP_FLAGS if flags & TCP_FLAGS == 0 => "0".to_owned(),
        TCP_FLAGS => {
            let set: Vec<&str> = bits.filter(|(b, _)| flags & b != 0).map(|(_, n)| n).collect();
            set.join("|")
        }
        _ => bits
            .filter(|(b, _)| mask & b != 0)
            .map(|(b, n)| format!("{}{n}", if flags & b != 0 { '+' } else { '-' }))
            .collect(),
    }
}

/// Flags as tcpdump writes them, in its order.
pub(super) fn tcpdump_flags(flags: u16) -> String {
    let letters: [(u16, &str); 12] = [
        (0x002, "S"),
        (0x001, "F"),
        (0x008, "P"),
        (0x004, "R"),
        (0x020, "U"),
        (0x010, "."),
        (0x040, "E"),
        (0x080, "C"),
        (0x100, "N"),
        (0x200, "[200]"),
        (0x400, "[400]"),
        (0x800, "[800]"),
    ];
    letters.iter().filter(|(b, _)| flags & b != 0).map(|(_, l)| *l).collect()
}
