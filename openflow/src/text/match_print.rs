//! Matches.

use wire::{EthAddr, EtherType, VlanTag, ip};

use super::value::{self, CT_STATES, TCP_FLAGS, TUN_FLAGS, hex};
use super::{Names, print_port};
use crate::field::{Field, Match};

/// The priority that is not shown.
pub(super) const DEFAULT_PRIORITY: u16 = 0x8000;

/// Gathers the items of a match.
struct Items<'a> {
    m: &'a Match,
    out: Vec<String>,
}

impl Items<'_> {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        self.out.push(format!("{name}={value}"));
    }

    /// `%#x` with an optional mask.
    fn hex(&mut self, name: &str, field: Field) {
        let (v, m) = self.m.get(field);
        if m == field.ones() {
            self.put(name, hex(v));
        } else if m != 0 {
            self.put(name, format!("{}/{}", hex(v), hex(m)));
        }
    }

    /// Decimal, or with a mask `0x%x/0x%x`.
    fn be16(&mut self, name: &str, v: u16, m: u16) {
        match m {
            0 => {}
            0xffff => self.put(name, v),
            m => self.put(name, format!("0x{v:x}/0x{m:x}")),
        }
    }

    fn be32(&mut self, name: &str, v: u32, m: u32) {
        match m {
            0 => {}
            u32::MAX => self.put(name, v),
            m => self.put(name, format!("0x{v:08x}/0x{m:08x}")),
        }
    }

    fn ipv4(&mut self, name: &str, field: Field) {
        let (v, m) = self.m.get(field);
        if m != 0 {
            self.put(name, value::ipv4(v as u32, m as u32));
        }
    }

    fn ipv6(&mut self, name: &str, field: Field) {
        let (v, m) = self.m.get(field);
        if m != 0 {
            self.put(name, value::ipv6(v, m));
        }
    }

    fn eth(&mut self, name: &str, v: EthAddr, m: EthAddr) {
        if !m.is_zero() {
            self.put(name, value::eth(v, m));
        }
    }

    fn flags(&mut self, name: &str, field: Field, full: u32, names: &[&str]) {
        let (v, m) = self.m.get(field);
        if m != 0 {
            self.put(name, value::flags(v as u32, m as u32, full, names));
        }
    }

    fn decimal(&mut self, name: &str, field: Field) {
        let (v, m) = self.m.get(field);
        if m != 0 {
            self.put(name, v);
        }
    }
}

/// A match as `ovs-ofctl` shows it, with its priority in front unless that is the default
/// (32768). Nothing for a match of everything with the default priority.
pub fn print_match(m: &Match, priority: u16, names: &dyn Names) -> String {
    let mut i = Items { m, out: Vec::new() };
    if priority != DEFAULT_PRIORITY {
        i.put("priority", priority);
    }
    pipeline(&mut i, names);
    let typ = type_of(&mut i);
    registers(&mut i, names);
    ethernet(&mut i, typ);
    network(&mut i, typ);
    transport(&mut i, typ);
    i.out.join(",")
}

/// What stands before the packet's type.
fn pipeline(i: &mut Items<'_>, names: &dyn Names) {
    i.hex("pkt_mark", Field::PktMark);
    i.hex("recirc_id", Field::RecircId);
    i.hex("dp_hash", Field::DpHash);
    i.decimal("conj_id", Field::ConjId);
    if i.m.mask.key.skb_priority != 0 {
        i.put("skb_priority", hex(i.m.value.key.skb_priority));
    }
    if i.m.mask.actset_output.0 != 0 {
        i.put("actset_output", print_port(i.m.value.actset_output, names));
    }
    let (state, mask) = (i.m.value.ct_state, i.m.mask.ct_state);
    if mask != 0 {
        i.put("ct_state", value::flags(state, mask, 0xff, &CT_STATES));
    }
    let (zone, mask) = (i.m.value.ct_zone, i.m.mask.ct_zone);
    i.be16("ct_zone", zone, mask);
    i.hex("ct_mark", Field::CtMark);
    i.hex("ct_label", Field::CtLabel);
    let m = i.m;
    let megaflow = m.mask.key.recirc_id != 0;
    let ethernet = m.value.packet_type == 0 && m.mask.packet_type == u32::MAX;
    if m.mask.packet_type != 0 && (!ethernet || megaflow) {
        i.out.push(value::packet_type(m.value.packet_type, m.mask.packet_type));
    }
}

/// The type of packet that the match is for, and which of it was said by a short name.
#[derive(Clone, Copy)]
struct Type {
    dl_type: u16,
    said_type: bool,
    said_proto: bool,
}

fn type_of(i: &mut Items<'_>) -> Type {
    let m = i.m;
    let dl_type = m.value.dl_type();
    let mut t = Type { dl_type, said_type: false, said_proto: false };
    if m.mask.key.eth_type == 0 {
        return t;
    }
    let proto = (m.mask.key.nw_proto != 0).then_some(m.value.key.nw_proto);
    let ip_proto = |suffix: &str| match proto {
        Some(ip::TCP) => Some(format!("tcp{suffix}")),
        Some(ip::UDP) => Some(format!("udp{suffix}")),
        Some(ip::SCTP) => Some(format!("sctp{suffix}")),
        _ => None,
    };
    let (special, plain) = match dl_type {
        EtherType::IPV4 => {
            let icmp = (proto == Some(ip::ICMP)).then(|| "icmp".to_owned());
            (icmp.or_else(|| ip_proto("")), "ip")
        }
        EtherType::IPV6 => {
            let icmp = (proto == Some(ip::ICMPV6)).then(|| "icmp6".to_owned());
            (icmp.or_else(|| ip_proto("6")), "ipv6")
        }
        EtherType::ARP => (None, "arp"),
        EtherType::RARP => (None, "rarp"),
        0x8847 => (None, "mpls"),
        0x8848 => (None, "mplsm"),
        _ => return t,
    };
    t.said_type = true;
    t.said_proto = special.is_some();
    i.out.push(special.unwrap_or_else(|| plain.to_owned()));
    t
}

fn registers(i: &mut Items<'_>, names: &dyn Names) {
    for n in 0..32 {
        i.hex(&format!("reg{n}"), Field::Reg(n));
    }
    i.hex("tun_id", Field::TunId);
    i.ipv4("tun_src", Field::TunSrc);
    i.ipv4("tun_dst", Field::TunDst);
    i.ipv6("tun_ipv6_src", Field::TunIpv6Src);
    i.ipv6("tun_ipv6_dst", Field::TunIpv6Dst);
    if i.m.mask.tun_tos != 0 {
        i.put("tun_tos", format!("{:x}", i.m.value.tun_tos));
    }
    i.decimal("tun_ttl", Field::TunTtl);
    i.flags("tun_flags", Field::TunFlags, 1, &TUN_FLAGS);
    i.hex("metadata", Field::Metadata);
    if i.m.mask.in_port.0 != 0 {
        i.put("in_port", print_port(i.m.value.in_port, names));
    }
}

fn ethernet(i: &mut Items<'_>, t: Type) {
    let (v, m) = (&i.m.value.key, &i.m.mask.key);
    for (n, (tag, mask)) in v.vlan.iter().zip(&m.vlan).enumerate() {
        if mask.tci == 0 {
            break;
        }
        let suffix = if n == 0 { String::new() } else { n.to_string() };
        let (vid_mask, pcp_mask) = (mask.tci & VlanTag::VID_MASK, mask.tci & 0xe000);
        let whole_parts = matches!(vid_mask, 0 | 0xfff) && matches!(pcp_mask, 0 | 0xe000);
        let tagged = tag.tci & mask.tci & VlanTag::CFI != 0;
        if tagged && whole_parts && (vid_mask != 0 || pcp_mask != 0) {
            if vid_mask != 0 {
                i.put(&format!("dl_vlan{suffix}"), tag.vid());
            }
            if pcp_mask != 0 {
                i.put(&format!("dl_vlan_pcp{suffix}"), tag.pcp());
            }
        } else if mask.tci == 0xffff {
            i.put(&format!("vlan_tci{suffix}"), format!("0x{:04x}", tag.tci));
        } else {
            i.put(&format!("vlan_tci{suffix}"), format!("0x{:04x}/0x{:04x}", tag.tci, mask.tci));
        }
    }
    i.eth("dl_src", v.eth_src, m.eth_src);
    i.eth("dl_dst", v.eth_dst, m.eth_dst);
    if !t.said_type && m.eth_type != 0 {
        i.put("dl_type", format!("0x{:04x}", t.dl_type));
    }
}

fn network(i: &mut Items<'_>, t: Type) {
    let arp = matches!(t.dl_type, EtherType::ARP | EtherType::RARP);
    if t.dl_type == EtherType::IPV6 {
        i.ipv6("ipv6_src", Field::Ipv6Src);
        i.ipv6("ipv6_dst", Field::Ipv6Dst);
        let (v, m) = i.m.get(Field::Ipv6Label);
        if m == Field::Ipv6Label.ones() {
            i.put("ipv6_label", format!("0x{v:05x}"));
        } else if m != 0 {
            i.put("ipv6_label", format!("0x{v:05x}/0x{m:05x}"));
        }
    } else if arp {
        i.ipv4("arp_spa", Field::ArpSpa);
        i.ipv4("arp_tpa", Field::ArpTpa);
    } else {
        i.ipv4("nw_src", Field::Ipv4Src);
        i.ipv4("nw_dst", Field::Ipv4Dst);
    }
    if !t.said_proto && i.m.mask.key.nw_proto != 0 {
        i.put(if arp { "arp_op" } else { "nw_proto" }, i.m.value.key.nw_proto);
    }
    let (v, m) = (&i.m.value.key, &i.m.mask.key);
    if arp {
        i.eth("arp_sha", v.arp_sha, m.arp_sha);
        i.eth("arp_tha", v.arp_tha, m.arp_tha);
    }
    if m.nw_tos & 0xfc != 0 {
        i.put("nw_tos", v.nw_tos & 0xfc);
    }
    if m.nw_tos & 3 != 0 {
        i.put("nw_ecn", v.nw_tos & 3);
    }
    i.decimal("nw_ttl", Field::IpTtl);
    for (name, field) in [
        ("mpls_label", Field::MplsLabel),
        ("mpls_tc", Field::MplsTc),
        ("mpls_ttl", Field::MplsTtl),
        ("mpls_bos", Field::MplsBos),
    ] {
        i.decimal(name, field);
    }
    let (lse, mask) = (i.m.value.mpls, i.m.mask.mpls);
    i.be32("mpls_lse1", lse[1], mask[1]);
    i.be32("mpls_lse2", lse[2], mask[2]);
    let frag = v.nw_frag;
    let text = match (m.nw_frag & 3, frag & 1 != 0, frag & 2 != 0) {
        (3, true, true) => "later",
        (3, true, false) => "first",
        (3, false, true) => "<error>",
        (3 | 1, false, _) => "no",
        (1, true, _) => "yes",
        (2, _, true) => "later",
        (2, _, false) => "not_later",
        _ => return,
    };
    i.put("nw_frag", text);
}

fn transport(i: &mut Items<'_>, t: Type) {
    let (v, m) = (&i.m.value.key, &i.m.mask.key);
    let icmp4 = t.dl_type == EtherType::IPV4 && v.nw_proto == ip::ICMP;
    let icmp6 = t.dl_type == EtherType::IPV6 && v.nw_proto == ip::ICMPV6;
    let (src, dst) = if icmp4 || icmp6 { ("icmp_type", "icmp_code") } else { ("tp_src", "tp_dst") };
    i.be16(src, v.tp_src, m.tp_src);
    i.be16(dst, v.tp_dst, m.tp_dst);
    if icmp6 {
        i.ipv6("nd_target", Field::NdTarget);
        i.eth("nd_sll", v.arp_sha, m.arp_sha);
        i.eth("nd_tll", v.arp_tha, m.arp_tha);
    }
    let ip = matches!(t.dl_type, EtherType::IPV4 | EtherType::IPV6);
    if ip && v.nw_proto == ip::TCP {
        i.flags("tcp_flags", Field::TcpFlags, 0xfff, &TCP_FLAGS);
    }
}
