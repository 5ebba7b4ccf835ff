//! One packet's fields.

use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, VlanTag, ip};

use super::match_print::DEFAULT_PRIORITY;
use super::{Names, print_match};
use crate::field::{Fields, Match};
use crate::ofport::OfPort;

/// The bottom of an MPLS label stack.
const MPLS_BOTTOM: u32 = 0x100;

/// The fields that a packet like `f` has, each bit of them set. Metadata and registers are not
/// among them: they are no part of the packet.
pub fn packet_mask(f: &Fields) -> Fields {
    let mut m = Fields::default();
    if f.tun_dst != 0 || f.tun_ipv6_dst != 0 {
        m.tun_id = u64::MAX;
        m.tun_src = u32::MAX;
        m.tun_dst = u32::MAX;
        m.tun_ipv6_src = u128::MAX;
        m.tun_ipv6_dst = u128::MAX;
        m.tun_flags = 1;
        m.tun_tos = u8::MAX;
        m.tun_ttl = u8::MAX;
    } else if f.tun_id != 0 {
        m.tun_id = u64::MAX;
    }
    m.ct_state = 0xff;
    m.ct_zone = u16::MAX;
    m.ct_mark = u32::MAX;
    m.ct_label = u128::MAX;
    m.in_port = OfPort(u16::MAX);
    m.packet_type = u32::MAX;
    let (all, none) = (EthAddr([0xff; 6]), EthAddr::ZERO);
    let k = &mut m.key;
    k.skb_priority = u32::MAX;
    k.pkt_mark = u32::MAX;
    k.recirc_id = u32::MAX;
    k.dp_hash = u32::MAX;
    if f.packet_type == 0 {
        k.eth_dst = all;
        k.eth_src = all;
        k.eth_type = u16::MAX;
        // The first tag that is not there belongs to it: the packet is known to have no more.
        for (mask, tag) in k.vlan.iter_mut().zip(&f.key.vlan) {
            *mask = VlanTag { tpid: u16::MAX, tci: u16::MAX };
            if tag.tci == 0 {
                break;
            }
        }
    }
    let typ = f.dl_type();
    let proto = f.key.nw_proto;
    let v4 = {
        let mut a = [0; 16];
        a[12..].fill(0xff);
        a
    };
    match typ {
        EtherType::IPV4 => (k.nw_src, k.nw_dst) = (v4, v4),
        EtherType::IPV6 => {
            (k.nw_src, k.nw_dst) = ([0xff; 16], [0xff; 16]);
            k.ipv6_label = 0x000f_ffff;
            let (kind, code) = (f.key.tp_src, f.key.tp_dst);
            let neighbour = proto == ip::ICMPV6 && matches!(kind, 135 | 136) && code == 0;
            if neighbour {
                k.nd_target = [0xff; 16];
            }
            (k.arp_sha, k.arp_tha) = if neighbour { (all, all) } else { (none, none) };
        }
        EtherType::ARP | EtherType::RARP => {
            (k.nw_src, k.nw_dst) = (v4, v4);
            k.nw_proto = u8::MAX;
            (k.arp_sha, k.arp_tha) = (all, all);
            return m;
        }
        _ if f.is_mpls() => {
            for (mask, lse) in m.mpls.iter_mut().zip(f.mpls) {
                *mask = u32::MAX;
                if lse & MPLS_BOTTOM != 0 {
                    break;
                }
            }
            return m;
        }
        _ => return m,
    }
    k.nw_frag = FRAG_ANY | FRAG_LATER;
    k.nw_tos = u8::MAX;
    k.nw_ttl = u8::MAX;
    k.nw_proto = u8::MAX;
    let has_ports =
        matches!(proto, ip::ICMP | ip::ICMPV6 | ip::TCP | ip::UDP | ip::SCTP | ip::IGMP);
    if has_ports && f.key.nw_frag & FRAG_LATER == 0 {
        k.tp_src = u16::MAX;
        k.tp_dst = u16::MAX;
        if proto == ip::TCP {
            k.tcp_flags = 0x0fff;
        }
    }
    m
}

/// A packet's fields as `ofproto/trace` and a packet-in show them. Metadata that is zero is left
/// out.
pub fn print_fields(f: &Fields, names: &dyn Names) -> String {
    let mut m = packet_mask(f);
    m.metadata = u64::MAX;
    m.regs = [u32::MAX; 32];
    let unless_zero = |mask: &mut u32, value: u32| {
        if value == 0 {
            *mask = 0;
        }
    };
    unless_zero(&mut m.key.skb_priority, f.key.skb_priority);
    unless_zero(&mut m.key.pkt_mark, f.key.pkt_mark);
    unless_zero(&mut m.key.recirc_id, f.key.recirc_id);
    unless_zero(&mut m.key.dp_hash, f.key.dp_hash);
    unless_zero(&mut m.ct_state, f.ct_state);
    unless_zero(&mut m.ct_mark, f.ct_mark);
    for (mask, value) in m.regs.iter_mut().zip(f.regs) {
        unless_zero(mask, value);
    }
    if f.in_port == OfPort(0) {
        m.in_port = OfPort(0);
    }
    if f.ct_zone == 0 {
        m.ct_zone = 0;
    }
    if f.ct_label == 0 {
        m.ct_label = 0;
    }
    if f.metadata == 0 {
        m.metadata = 0;
    }
    print_match(&Match { value: f.masked(&m), mask: m }, DEFAULT_PRIORITY, names)
}

#[cfg(test)]
mod tests {
    use super::super::{NoNames, parse_exact_flow};
    use super::*;

    /// Each as Open vSwitch's `ofproto/trace` shows it after `Flow: `.
    #[test]
    fn fields_print_as_ofproto_trace_does() {
        let shown = |text: &str| print_fields(&parse_exact_flow(text, &NoNames).unwrap(), &NoNames);
        assert_eq!(
            shown("in_port=1,skb_priority=1,pkt_mark=2,arp,dl_src=50:54:00:00:00:01"),
            "pkt_mark=0x2,skb_priority=0x1,arp,in_port=1,vlan_tci=0x0000,\
             dl_src=50:54:00:00:00:01,dl_dst=00:00:00:00:00:00,arp_spa=0.0.0.0,arp_tpa=0.0.0.0,\
             arp_op=0,arp_sha=00:00:00:00:00:00,arp_tha=00:00:00:00:00:00"
        );
        assert_eq!(
            shown("in_port=2,dl_vlan=9,tcp,nw_src=10.0.0.1,tp_dst=80,tcp_flags=syn"),
            "tcp,in_port=2,dl_vlan=9,dl_vlan_pcp=0,vlan_tci1=0x0000,dl_src=00:00:00:00:00:00,\
             dl_dst=00:00:00:00:00:00,nw_src=10.0.0.1,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,\
             nw_frag=no,tp_src=0,tp_dst=80,tcp_flags=syn"
        );
        assert_eq!(
            shown("in_port=1"),
            "in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,\
             dl_type=0x0000"
        );
        assert_eq!(
            shown("metadata=5,reg3=7"),
            "reg3=0x7,metadata=0x5,in_port=ANY,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,\
             dl_dst=00:00:00:00:00:00,dl_type=0x0000"
        );
    }
}
