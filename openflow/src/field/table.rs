//! The facts about every field.
//!
//! From the OpenFlow specifications (1.2 to 1.5, clause "Flow Match Fields") and, for the
//! extensions, Open vSwitch's `ovs-fields(7)`.

use std::collections::HashMap;
use std::sync::LazyLock;

use wire::{EtherType, VlanTag, ip};

use super::fields::Fields;
use super::id::Field;

/// How a value is written in commands and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A decimal number.
    Dec,
    /// A hexadecimal number.
    Hex,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An Ethernet address.
    Eth,
    /// `yes`, `no`, `first`, `later`, `not_later`.
    Frag,
    /// Names of TCP flags.
    TcpFlags,
    /// Names of tunnel flags.
    TunFlags,
    /// Names of connection tracking states.
    CtState,
    /// An OpenFlow port as 16 bits.
    Port,
    /// An OpenFlow port as 32 bits.
    Port32,
    /// `eth`, or name space and type in parentheses.
    PacketType,
}

/// What must hold for a field to exist in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prereq {
    /// None.
    None,
    /// An Ethernet packet.
    Ethernet,
    /// A VLAN tag.
    VlanVid,
    /// An MPLS Ethernet type.
    Mpls,
    /// The Ethernet type of ARP or RARP.
    Arp,
    /// The Ethernet type of IPv4.
    Ipv4,
    /// The Ethernet type of IPv6.
    Ipv6,
    /// IPv4 or IPv6.
    IpAny,
    /// TCP over IPv4 or IPv6, not a later fragment.
    Tcp,
    /// UDP over IPv4 or IPv6, not a later fragment.
    Udp,
    /// SCTP over IPv4 or IPv6, not a later fragment.
    Sctp,
    /// ICMP over IPv4.
    Icmpv4,
    /// ICMPv6 over IPv6.
    Icmpv6,
    /// A neighbour solicitation or advertisement.
    Nd,
    /// A neighbour solicitation (ICMPv6 type 135).
    NdSolicit,
    /// A neighbour advertisement (ICMPv6 type 136).
    NdAdvert,
}

impl Prereq {
    pub(super) fn holds(self, f: &Fields) -> bool {
        let typ = f.dl_type();
        let k = &f.key;
        let ip_any = matches!(typ, EtherType::IPV4 | EtherType::IPV6);
        let proto = |p| ip_any && k.nw_proto == p;
        let l4 = |p| proto(p) && k.nw_frag & wire::key::FRAG_LATER == 0;
        let nd =
            |t| typ == EtherType::IPV6 && proto(ip::ICMPV6) && k.tp_dst == 0 && (k.tp_src == t);
        match self {
            Prereq::None => true,
            Prereq::Ethernet => f.packet_type == 0,
            Prereq::VlanVid => k.vlan[0].tci & VlanTag::CFI != 0,
            Prereq::Mpls => f.is_mpls(),
            Prereq::Arp => matches!(typ, EtherType::ARP | EtherType::RARP),
            Prereq::Ipv4 => typ == EtherType::IPV4,
            Prereq::Ipv6 => typ == EtherType::IPV6,
            Prereq::IpAny => ip_any,
            Prereq::Tcp => l4(ip::TCP),
            Prereq::Udp => l4(ip::UDP),
            Prereq::Sctp => l4(ip::SCTP),
            Prereq::Icmpv4 => typ == EtherType::IPV4 && k.nw_proto == ip::ICMP,
            Prereq::Icmpv6 => typ == EtherType::IPV6 && k.nw_proto == ip::ICMPV6,
            Prereq::Nd => nd(135) || nd(136),
            Prereq::NdSolicit => nd(135),
            Prereq::NdAdvert => nd(136),
        }
    }
}

/// The name of a field in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name in the specification, such as `OXM_OF_ETH_TYPE`.
    pub name: &'static str,
    /// 0 and 1 NXM, 0x8000 OXM, 0xffff experimenter.
    pub class: u16,
    /// With class 0xffff.
    pub vendor: u32,
    /// The field's number within the class, 0 to 127.
    pub number: u8,
    /// Number of the first version that uses it; 0: from before OXM.
    pub since: u8,
}

/// The facts about one field.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// The field.
    pub field: Field,
    /// Its name in commands and output.
    pub name: &'static str,
    /// Another name; may be empty.
    pub other_name: &'static str,
    /// Number of bits that can be matched.
    pub bits: u16,
    /// In messages.
    pub bytes: u8,
    /// Whether a match may look at some of its bits only.
    pub maskable: bool,
    /// How its value is written.
    pub format: Format,
    /// What a match must have besides it.
    pub prereq: Prereq,
    /// Whether an action may set it.
    pub writable: bool,
    /// Oldest first.
    pub headers: &'static [Header],
}

const fn h(name: &'static str, class: u16, vendor: u32, number: u8, since: u8) -> Header {
    Header { name, class, vendor, number, since }
}

#[allow(clippy::too_many_arguments)]
const fn row(
    field: Field,
    name: &'static str,
    other_name: &'static str,
    bits: u16,
    bytes: u8,
    maskable: bool,
    format: Format,
    prereq: Prereq,
    writable: bool,
    headers: &'static [Header],
) -> FieldInfo {
    FieldInfo { field, name, other_name, bits, bytes, maskable, format, prereq, writable, headers }
}

#[rustfmt::skip]
const TABLE: &[FieldInfo] = &[
    row(Field::DpHash, "dp_hash", "", 32, 4, true, Format::Hex, Prereq::None, false, &[h("NXM_NX_DP_HASH", 0x1, 0x0, 35, 0), h("NXOXM_ET_DP_HASH", 0xffff, 0x2320, 0, 3)]),
    row(Field::RecircId, "recirc_id", "", 32, 4, false, Format::Dec, Prereq::None, false, &[h("NXM_NX_RECIRC_ID", 0x1, 0x0, 36, 0)]),
    row(Field::PacketType, "packet_type", "", 32, 4, false, Format::PacketType, Prereq::None, false, &[h("OXM_OF_PACKET_TYPE", 0x8000, 0x0, 44, 6)]),
    row(Field::ConjId, "conj_id", "", 32, 4, false, Format::Dec, Prereq::None, false, &[h("NXM_NX_CONJ_ID", 0x1, 0x0, 37, 0)]),
    row(Field::TunId, "tun_id", "tunnel_id", 64, 8, true, Format::Hex, Prereq::None, true, &[h("NXM_NX_TUN_ID", 0x1, 0x0, 16, 0), h("OXM_OF_TUNNEL_ID", 0x8000, 0x0, 38, 4)]),
    row(Field::TunSrc, "tun_src", "", 32, 4, true, Format::Ipv4, Prereq::None, true, &[h("NXM_NX_TUN_IPV4_SRC", 0x1, 0x0, 31, 0)]),
    row(Field::TunDst, "tun_dst", "", 32, 4, true, Format::Ipv4, Prereq::None, true, &[h("NXM_NX_TUN_IPV4_DST", 0x1, 0x0, 32, 0)]),
    row(Field::TunIpv6Src, "tun_ipv6_src", "", 128, 16, true, Format::Ipv6, Prereq::None, true, &[h("NXM_NX_TUN_IPV6_SRC", 0x1, 0x0, 109, 0)]),
    row(Field::TunIpv6Dst, "tun_ipv6_dst", "", 128, 16, true, Format::Ipv6, Prereq::None, true, &[h("NXM_NX_TUN_IPV6_DST", 0x1, 0x0, 110, 0)]),
    row(Field::TunFlags, "tun_flags", "", 1, 2, true, Format::TunFlags, Prereq::None, true, &[h("NXM_NX_TUN_FLAGS", 0x1, 0x0, 104, 0)]),
    row(Field::TunTtl, "tun_ttl", "", 8, 1, false, Format::Dec, Prereq::None, false, &[]),
    row(Field::TunTos, "tun_tos", "", 8, 1, false, Format::Dec, Prereq::None, false, &[]),
    row(Field::Metadata, "metadata", "", 64, 8, true, Format::Hex, Prereq::None, true, &[h("OXM_OF_METADATA", 0x8000, 0x0, 2, 3)]),
    row(Field::InPort, "in_port", "", 16, 2, false, Format::Port, Prereq::None, true, &[h("NXM_OF_IN_PORT", 0x0, 0x0, 0, 0)]),
    row(Field::InPortOxm, "in_port_oxm", "", 32, 4, false, Format::Port32, Prereq::None, true, &[h("OXM_OF_IN_PORT", 0x8000, 0x0, 0, 3)]),
    row(Field::ActsetOutput, "actset_output", "", 32, 4, false, Format::Port32, Prereq::None, false, &[h("ONFOXM_ET_ACTSET_OUTPUT", 0xffff, 0x4f4e4600, 43, 4), h("OXM_OF_ACTSET_OUTPUT", 0x8000, 0x0, 43, 6)]),
    row(Field::SkbPriority, "skb_priority", "", 32, 4, false, Format::Hex, Prereq::None, false, &[]),
    row(Field::PktMark, "pkt_mark", "", 32, 4, true, Format::Hex, Prereq::None, true, &[h("NXM_NX_PKT_MARK", 0x1, 0x0, 33, 0)]),
    row(Field::CtState, "ct_state", "", 32, 4, true, Format::CtState, Prereq::None, false, &[h("NXM_NX_CT_STATE", 0x1, 0x0, 105, 0)]),
    row(Field::CtZone, "ct_zone", "", 16, 2, false, Format::Hex, Prereq::None, false, &[h("NXM_NX_CT_ZONE", 0x1, 0x0, 106, 0)]),
    row(Field::CtMark, "ct_mark", "", 32, 4, true, Format::Hex, Prereq::None, true, &[h("NXM_NX_CT_MARK", 0x1, 0x0, 107, 0)]),
    row(Field::CtLabel, "ct_label", "", 128, 16, true, Format::Hex, Prereq::None, true, &[h("NXM_NX_CT_LABEL", 0x1, 0x0, 108, 0)]),
    row(Field::EthSrc, "eth_src", "dl_src", 48, 6, true, Format::Eth, Prereq::Ethernet, true, &[h("NXM_OF_ETH_SRC", 0x0, 0x0, 2, 0), h("OXM_OF_ETH_SRC", 0x8000, 0x0, 4, 3)]),
    row(Field::EthDst, "eth_dst", "dl_dst", 48, 6, true, Format::Eth, Prereq::Ethernet, true, &[h("NXM_OF_ETH_DST", 0x0, 0x0, 1, 0), h("OXM_OF_ETH_DST", 0x8000, 0x0, 3, 3)]),
    row(Field::EthType, "eth_type", "dl_type", 16, 2, false, Format::Hex, Prereq::Ethernet, false, &[h("NXM_OF_ETH_TYPE", 0x0, 0x0, 3, 0), h("OXM_OF_ETH_TYPE", 0x8000, 0x0, 5, 3)]),
    row(Field::VlanTci, "vlan_tci", "", 16, 2, true, Format::Hex, Prereq::Ethernet, true, &[h("NXM_OF_VLAN_TCI", 0x0, 0x0, 4, 0)]),
    row(Field::DlVlan, "dl_vlan", "", 12, 2, false, Format::Dec, Prereq::Ethernet, true, &[]),
    row(Field::DlVlanPcp, "dl_vlan_pcp", "", 3, 1, false, Format::Dec, Prereq::Ethernet, true, &[]),
    row(Field::VlanVid, "vlan_vid", "", 12, 2, true, Format::Dec, Prereq::Ethernet, true, &[h("OXM_OF_VLAN_VID", 0x8000, 0x0, 6, 3)]),
    row(Field::VlanPcp, "vlan_pcp", "", 3, 1, false, Format::Dec, Prereq::VlanVid, true, &[h("OXM_OF_VLAN_PCP", 0x8000, 0x0, 7, 3)]),
    row(Field::MplsLabel, "mpls_label", "", 20, 4, false, Format::Dec, Prereq::Mpls, true, &[h("OXM_OF_MPLS_LABEL", 0x8000, 0x0, 34, 3)]),
    row(Field::MplsTc, "mpls_tc", "", 3, 1, false, Format::Dec, Prereq::Mpls, true, &[h("OXM_OF_MPLS_TC", 0x8000, 0x0, 35, 3)]),
    row(Field::MplsBos, "mpls_bos", "", 1, 1, false, Format::Dec, Prereq::Mpls, false, &[h("OXM_OF_MPLS_BOS", 0x8000, 0x0, 36, 4)]),
    row(Field::MplsTtl, "mpls_ttl", "", 8, 1, false, Format::Dec, Prereq::Mpls, true, &[h("NXM_NX_MPLS_TTL", 0x1, 0x0, 30, 0)]),
    row(Field::Ipv4Src, "ip_src", "nw_src", 32, 4, true, Format::Ipv4, Prereq::Ipv4, true, &[h("NXM_OF_IP_SRC", 0x0, 0x0, 7, 0), h("OXM_OF_IPV4_SRC", 0x8000, 0x0, 11, 3)]),
    row(Field::Ipv4Dst, "ip_dst", "nw_dst", 32, 4, true, Format::Ipv4, Prereq::Ipv4, true, &[h("NXM_OF_IP_DST", 0x0, 0x0, 8, 0), h("OXM_OF_IPV4_DST", 0x8000, 0x0, 12, 3)]),
    row(Field::Ipv6Src, "ipv6_src", "", 128, 16, true, Format::Ipv6, Prereq::Ipv6, true, &[h("NXM_NX_IPV6_SRC", 0x1, 0x0, 19, 0), h("OXM_OF_IPV6_SRC", 0x8000, 0x0, 26, 3)]),
    row(Field::Ipv6Dst, "ipv6_dst", "", 128, 16, true, Format::Ipv6, Prereq::Ipv6, true, &[h("NXM_NX_IPV6_DST", 0x1, 0x0, 20, 0), h("OXM_OF_IPV6_DST", 0x8000, 0x0, 27, 3)]),
    row(Field::Ipv6Label, "ipv6_label", "", 20, 4, true, Format::Hex, Prereq::Ipv6, true, &[h("NXM_NX_IPV6_LABEL", 0x1, 0x0, 27, 0), h("OXM_OF_IPV6_FLABEL", 0x8000, 0x0, 28, 3)]),
    row(Field::IpProto, "nw_proto", "ip_proto", 8, 1, false, Format::Dec, Prereq::IpAny, false, &[h("NXM_OF_IP_PROTO", 0x0, 0x0, 6, 0), h("OXM_OF_IP_PROTO", 0x8000, 0x0, 10, 3)]),
    row(Field::IpDscp, "nw_tos", "", 8, 1, false, Format::Dec, Prereq::IpAny, true, &[h("NXM_OF_IP_TOS", 0x0, 0x0, 5, 0)]),
    row(Field::IpDscpShifted, "ip_dscp", "", 6, 1, false, Format::Dec, Prereq::IpAny, true, &[h("OXM_OF_IP_DSCP", 0x8000, 0x0, 8, 3)]),
    row(Field::IpEcn, "nw_ecn", "ip_ecn", 2, 1, false, Format::Dec, Prereq::IpAny, true, &[h("NXM_NX_IP_ECN", 0x1, 0x0, 28, 0), h("OXM_OF_IP_ECN", 0x8000, 0x0, 9, 3)]),
    row(Field::IpTtl, "nw_ttl", "", 8, 1, false, Format::Dec, Prereq::IpAny, true, &[h("NXM_NX_IP_TTL", 0x1, 0x0, 29, 0)]),
    row(Field::IpFrag, "ip_frag", "nw_frag", 2, 1, true, Format::Frag, Prereq::IpAny, false, &[h("NXM_NX_IP_FRAG", 0x1, 0x0, 26, 0)]),
    row(Field::ArpOp, "arp_op", "", 16, 2, false, Format::Dec, Prereq::Arp, true, &[h("NXM_OF_ARP_OP", 0x0, 0x0, 15, 0), h("OXM_OF_ARP_OP", 0x8000, 0x0, 21, 3)]),
    row(Field::ArpSpa, "arp_spa", "", 32, 4, true, Format::Ipv4, Prereq::Arp, true, &[h("NXM_OF_ARP_SPA", 0x0, 0x0, 16, 0), h("OXM_OF_ARP_SPA", 0x8000, 0x0, 22, 3)]),
    row(Field::ArpTpa, "arp_tpa", "", 32, 4, true, Format::Ipv4, Prereq::Arp, true, &[h("NXM_OF_ARP_TPA", 0x0, 0x0, 17, 0), h("OXM_OF_ARP_TPA", 0x8000, 0x0, 23, 3)]),
    row(Field::ArpSha, "arp_sha", "", 48, 6, true, Format::Eth, Prereq::Arp, true, &[h("NXM_NX_ARP_SHA", 0x1, 0x0, 17, 0), h("OXM_OF_ARP_SHA", 0x8000, 0x0, 24, 3)]),
    row(Field::ArpTha, "arp_tha", "", 48, 6, true, Format::Eth, Prereq::Arp, true, &[h("NXM_NX_ARP_THA", 0x1, 0x0, 18, 0), h("OXM_OF_ARP_THA", 0x8000, 0x0, 25, 3)]),
    row(Field::TcpSrc, "tcp_src", "tp_src", 16, 2, true, Format::Dec, Prereq::Tcp, true, &[h("NXM_OF_TCP_SRC", 0x0, 0x0, 9, 0), h("OXM_OF_TCP_SRC", 0x8000, 0x0, 13, 3)]),
    row(Field::TcpDst, "tcp_dst", "tp_dst", 16, 2, true, Format::Dec, Prereq::Tcp, true, &[h("NXM_OF_TCP_DST", 0x0, 0x0, 10, 0), h("OXM_OF_TCP_DST", 0x8000, 0x0, 14, 3)]),
    row(Field::TcpFlags, "tcp_flags", "", 12, 2, true, Format::TcpFlags, Prereq::Tcp, false, &[h("NXM_NX_TCP_FLAGS", 0x1, 0x0, 34, 0), h("ONFOXM_ET_TCP_FLAGS", 0xffff, 0x4f4e4600, 42, 4), h("OXM_OF_TCP_FLAGS", 0x8000, 0x0, 42, 6)]),
    row(Field::UdpSrc, "udp_src", "", 16, 2, true, Format::Dec, Prereq::Udp, true, &[h("NXM_OF_UDP_SRC", 0x0, 0x0, 11, 0), h("OXM_OF_UDP_SRC", 0x8000, 0x0, 15, 3)]),
    row(Field::UdpDst, "udp_dst", "", 16, 2, true, Format::Dec, Prereq::Udp, true, &[h("NXM_OF_UDP_DST", 0x0, 0x0, 12, 0), h("OXM_OF_UDP_DST", 0x8000, 0x0, 16, 3)]),
    row(Field::SctpSrc, "sctp_src", "", 16, 2, true, Format::Dec, Prereq::Sctp, true, &[h("OXM_OF_SCTP_SRC", 0x8000, 0x0, 17, 3)]),
    row(Field::SctpDst, "sctp_dst", "", 16, 2, true, Format::Dec, Prereq::Sctp, true, &[h("OXM_OF_SCTP_DST", 0x8000, 0x0, 18, 3)]),
    row(Field::Icmpv4Type, "icmp_type", "", 8, 1, false, Format::Dec, Prereq::Icmpv4, true, &[h("NXM_OF_ICMP_TYPE", 0x0, 0x0, 13, 0), h("OXM_OF_ICMPV4_TYPE", 0x8000, 0x0, 19, 3)]),
    row(Field::Icmpv4Code, "icmp_code", "", 8, 1, false, Format::Dec, Prereq::Icmpv4, true, &[h("NXM_OF_ICMP_CODE", 0x0, 0x0, 14, 0), h("OXM_OF_ICMPV4_CODE", 0x8000, 0x0, 20, 3)]),
    row(Field::Icmpv6Type, "icmpv6_type", "", 8, 1, false, Format::Dec, Prereq::Icmpv6, true, &[h("NXM_NX_ICMPV6_TYPE", 0x1, 0x0, 21, 0), h("OXM_OF_ICMPV6_TYPE", 0x8000, 0x0, 29, 3)]),
    row(Field::Icmpv6Code, "icmpv6_code", "", 8, 1, false, Format::Dec, Prereq::Icmpv6, true, &[h("NXM_NX_ICMPV6_CODE", 0x1, 0x0, 22, 0), h("OXM_OF_ICMPV6_CODE", 0x8000, 0x0, 30, 3)]),
    row(Field::NdTarget, "nd_target", "", 128, 16, true, Format::Ipv6, Prereq::Nd, true, &[h("NXM_NX_ND_TARGET", 0x1, 0x0, 23, 0), h("OXM_OF_IPV6_ND_TARGET", 0x8000, 0x0, 31, 3)]),
    row(Field::NdSll, "nd_sll", "", 48, 6, true, Format::Eth, Prereq::NdSolicit, true, &[h("NXM_NX_ND_SLL", 0x1, 0x0, 24, 0), h("OXM_OF_IPV6_ND_SLL", 0x8000, 0x0, 32, 3)]),
    row(Field::NdTll, "nd_tll", "", 48, 6, true, Format::Eth, Prereq::NdAdvert, true, &[h("NXM_NX_ND_TLL", 0x1, 0x0, 25, 0), h("OXM_OF_IPV6_ND_TLL", 0x8000, 0x0, 33, 3)]),
];

struct Index {
    rows: Vec<FieldInfo>,
    by_field: HashMap<Field, usize>,
    by_name: HashMap<&'static str, usize>,
    by_header_name: HashMap<&'static str, usize>,
    by_header: HashMap<(u16, u32, u8), usize>,
}

/// Texts that live as long as the program: one for each register, made once.
fn leak(s: String) -> &'static str {
    Box::leak(s.into_boxed_str())
}

/// The registers: `(index, name, header name, class, vendor, number, since)`.
fn register(field: Field, name: String, bits: u16, header: Header) -> FieldInfo {
    let headers: &'static [Header] = Box::leak(Box::new([header]));
    let format = Format::Hex;
    row(field, leak(name), "", bits, (bits / 8) as u8, true, format, Prereq::None, true, headers)
}

const NXM_NX: u16 = 1;
const OXM_PACKET_REGS: u16 = 0x8001;
const EXPERIMENTER: u16 = 0xffff;

fn registers() -> Vec<FieldInfo> {
    use crate::error::NX_VENDOR;
    let mut out = Vec::new();
    for n in 0..32u8 {
        let header = if n < 16 {
            h(leak(format!("NXM_NX_REG{n}")), NXM_NX, 0, n, 0)
        } else {
            h(leak(format!("NXOXM_ET_REG{n}")), EXPERIMENTER, NX_VENDOR, n + 1, 3)
        };
        out.push(register(Field::Reg(n), format!("reg{n}"), 32, header));
    }
    for n in 0..16u8 {
        let header = h(leak(format!("OXM_OF_PKT_REG{n}")), OXM_PACKET_REGS, 0, n, 4);
        out.push(register(Field::XReg(n), format!("xreg{n}"), 64, header));
    }
    for n in 0..8u8 {
        let header = if n < 4 {
            h(leak(format!("NXM_NX_XXREG{n}")), NXM_NX, 0, 111 + n, 0)
        } else {
            h(leak(format!("NXOXM_ET_XXREG{n}")), EXPERIMENTER, NX_VENDOR, 33 + n - 4, 3)
        };
        out.push(register(Field::XxReg(n), format!("xxreg{n}"), 128, header));
    }
    out
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index {
        rows: TABLE.iter().copied().chain(registers()).collect(),
        by_field: HashMap::new(),
        by_name: HashMap::new(),
        by_header_name: HashMap::new(),
        by_header: HashMap::new(),
    };
    for (i, r) in index.rows.iter().enumerate() {
        index.by_field.insert(r.field, i);
        index.by_name.insert(r.name, i);
        if !r.other_name.is_empty() {
            index.by_name.insert(r.other_name, i);
        }
        for h in r.headers {
            index.by_header_name.insert(h.name, i);
            index.by_header.insert((h.class, h.vendor, h.number), i);
        }
    }
    index
});

pub(super) fn rows() -> impl Iterator<Item = &'static FieldInfo> {
    INDEX.rows.iter()
}

pub(super) fn by_field(field: Field) -> &'static FieldInfo {
    // A register with a number that does not exist has the facts of its kind's first.
    let field = match field {
        Field::Reg(32..) => Field::Reg(0),
        Field::XReg(16..) => Field::XReg(0),
        Field::XxReg(8..) => Field::XxReg(0),
        other => other,
    };
    &INDEX.rows[INDEX.by_field[&field]]
}

pub(super) fn by_name(name: &str) -> Option<Field> {
    INDEX.by_name.get(name).map(|i| INDEX.rows[*i].field)
}

pub(super) fn by_header_name(name: &str) -> Option<Field> {
    INDEX.by_header_name.get(name).map(|i| INDEX.rows[*i].field)
}

impl Header {
    /// The field of a header in a message.
    pub(crate) fn field(class: u16, vendor: u32, number: u8) -> Option<Field> {
        INDEX.by_header.get(&(class, vendor, number)).map(|i| INDEX.rows[*i].field)
    }
}
