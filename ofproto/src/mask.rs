//! Megaflow masks: the bits that a translation depends on.

use wire::key::FRAG_LATER;
use wire::neighbour::Neighbour;
use wire::{EthAddr, EtherType, FlowKey, FlowMask, VlanTag, arp};

use crate::config::{BfdMatch, ProbeMatch};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;

const MAC: EthAddr = EthAddr::BROADCAST;

/// IPv4 or IPv6.
pub(crate) fn is_ip(key: &FlowKey) -> bool {
    key.eth_type == EtherType::IPV4 || key.eth_type == EtherType::IPV6
}

/// The bits that every flow depends on.
pub(crate) fn base(key: &FlowKey) -> FlowMask {
    let mut m = FlowMask {
        recirc_id: u32::MAX,
        in_port: u32::MAX,
        eth_type: u16::MAX,
        ..FlowMask::default()
    };
    if is_ip(key) {
        m.nw_frag = u8::MAX;
    }
    m
}

/// Every field that the packet's own layers have: `upcall/disable-megaflows`.
pub(crate) fn exact(key: &FlowKey) -> FlowMask {
    let mut m = base(key);
    m.skb_priority = u32::MAX;
    m.pkt_mark = u32::MAX;
    m.dp_hash = u32::MAX;
    m.eth_src = MAC;
    m.eth_dst = MAC;
    m.vlan[0] = VlanTag { tpid: u16::MAX, tci: u16::MAX };
    if key.vlan[0].is_present() {
        m.vlan[1] = VlanTag { tpid: u16::MAX, tci: u16::MAX };
    }
    match key.eth_type {
        EtherType::IPV4 | EtherType::IPV6 => {}
        EtherType::ARP | EtherType::RARP => {
            m.nw_src = [u8::MAX; 16];
            m.nw_dst = [u8::MAX; 16];
            m.nw_proto = u8::MAX;
            m.arp_sha = MAC;
            m.arp_tha = MAC;
            return m;
        }
        _ => return m,
    }
    m.nw_src = [u8::MAX; 16];
    m.nw_dst = [u8::MAX; 16];
    m.nw_tos = u8::MAX;
    m.nw_ttl = u8::MAX;
    m.nw_proto = u8::MAX;
    let first = key.nw_frag & FRAG_LATER == 0;
    if key.eth_type == EtherType::IPV6 {
        m.ipv6_label = u32::MAX;
        if first && is_nd(key) {
            m.nd_target = [u8::MAX; 16];
            m.arp_sha = MAC;
            m.arp_tha = MAC;
        }
    }
    if first && matches!(key.nw_proto, TCP | UDP | SCTP | ICMP | IGMP | ICMPV6) {
        m.tp_src = u16::MAX;
        m.tp_dst = u16::MAX;
        if key.nw_proto == TCP {
            m.tcp_flags = u16::MAX;
        }
    }
    m
}

/// Neighbour solicitation or advertisement (RFC 4861, types 135 and 136).
fn is_nd(key: &FlowKey) -> bool {
    key.nw_proto == ICMPV6 && matches!(key.tp_src, 135 | 136) && key.tp_dst == 0
}

/// A session's own BFD control packets over IPv4 (RFC 5881): UDP port 3784.
pub(crate) fn is_bfd(key: &FlowKey, own: BfdMatch, m: &mut FlowMask) -> bool {
    if let Some(mac) = own.dst_mac {
        m.eth_dst = MAC;
        if key.eth_dst != mac {
            return false;
        }
    }
    if key.eth_type != EtherType::IPV4 {
        return false;
    }
    m.nw_proto = u8::MAX;
    if key.nw_proto != UDP || key.nw_frag & FRAG_LATER != 0 {
        return false;
    }
    m.tp_dst = u16::MAX;
    if key.tp_dst != wire::bfd::PORT {
        return false;
    }
    own.dst_ip.is_none_or(|ip| {
        m.nw_dst = [u8::MAX; 16];
        key.ipv4_dst() == ip.octets()
    })
}

/// Continuity checks (IEEE 802.1ag) to a session's address.
pub(crate) fn is_cfm(key: &FlowKey, dst: EthAddr, m: &mut FlowMask) -> bool {
    if key.eth_type != EtherType::CFM {
        return false;
    }
    m.eth_dst = MAC;
    key.eth_dst == dst
}

/// An ARP or neighbour discovery packet of a member's probes: an answer of a target, a question of a
/// target about the member, or the request of a sibling that a switch has flooded to this member.
pub(crate) fn is_probe(key: &FlowKey, own: &ProbeMatch, m: &mut FlowMask) -> bool {
    match key.eth_type {
        EtherType::ARP => {}
        EtherType::IPV6 => {
            m.nw_proto = u8::MAX;
            if key.nw_proto != ICMPV6 || key.nw_frag & FRAG_LATER != 0 {
                return false;
            }
            m.tp_src = u16::MAX;
            if !is_nd(key) {
                return false;
            }
        }
        _ => return false,
    }
    m.eth_dst = MAC;
    let mine = key.eth_dst == own.asker.mac;
    if !mine {
        m.eth_src = MAC;
        if !key.eth_dst.is_multicast() || !own.siblings.contains(&key.eth_src) {
            return false;
        }
    }
    m.vlan[0] = VlanTag { tpid: u16::MAX, tci: u16::MAX };
    m.nw_proto = u8::MAX;
    m.nw_src = [u8::MAX; 16];
    m.nw_dst = [u8::MAX; 16];
    if key.eth_type == EtherType::IPV6 {
        m.nw_ttl = u8::MAX;
        m.tp_dst = u16::MAX;
        m.nd_target = [u8::MAX; 16];
    }
    let Some(packet) = Neighbour::of(key).filter(|p| p.vid == own.vid) else { return false };
    if mine {
        own.asker.is_addressed_by(&packet) && (!packet.answer || own.targets.contains(&packet.from))
    } else {
        !packet.answer && own.targets.contains(&packet.to)
    }
}

/// A gratuitous ARP: how a station says that it has moved.
pub(crate) fn is_gratuitous_arp(key: &FlowKey, m: &mut FlowMask) -> bool {
    if key.eth_type == EtherType::ARP {
        m.eth_dst = MAC;
        if key.eth_dst == EthAddr::BROADCAST {
            m.nw_proto = u8::MAX;
            if key.nw_proto == arp::op::REQUEST {
                m.nw_src = [u8::MAX; 16];
                m.nw_dst = [u8::MAX; 16];
            }
        }
    }
    arp::is_gratuitous(key)
}

/// Group addresses that no bridge forwards: IEEE 802.1D's sixteen, and those of Extreme's and
/// Cisco's link protocols.
pub(crate) fn is_reserved(dst: EthAddr) -> bool {
    match dst.0 {
        [0x01, 0x80, 0xc2, 0, 0, x] => x <= 0x0f,
        [0x00, 0xe0, 0x2b, 0, 0, x] => matches!(x, 0x00 | 0x04 | 0x06),
        [0x01, 0x00, 0x0c, 0, 0, 0] | [0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd] => true,
        [0x01, 0x00, 0x0c, 0xcc, 0xcc, x] => x == 0xcc || x == 0xcd || (0xc0..=0xc7).contains(&x),
        _ => false,
    }
}
