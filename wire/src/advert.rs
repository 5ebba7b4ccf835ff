//! Unsolicited neighbour advertisements (RFC 4861), which announce where an IPv6 address is.

use std::net::Ipv6Addr;

use pnet_packet::icmpv6::ndp::{
    MutableNeighborAdvertPacket, NdpOption, NdpOptionTypes, NeighborAdvertFlags,
};
use pnet_packet::icmpv6::{Icmpv6Code, Icmpv6Type, MutableIcmpv6Packet};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::util::ipv6_checksum;

use crate::frame::{Ipv6, ethernet};
use crate::{EthAddr, EtherType};

/// All nodes of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The Ethernet address of [`ALL_NODES`] (RFC 2464 section 7).
const ALL_NODES_MAC: EthAddr = EthAddr([0x33, 0x33, 0, 0, 0, 1]);
/// ICMPv6 type (RFC 4861 section 4.4).
const ADVERTISEMENT: Icmpv6Type = Icmpv6Type(136);
/// A neighbour discovery packet that has passed a router has less, and is ignored (RFC 4861
/// section 7.1.2).
const HOP_LIMIT: u8 = 255;

/// An unsolicited neighbour advertisement (RFC 4861 section 7.2.6): `mac` has `ip`. To all nodes,
/// with the override flag and a target link-layer address option; `router` sets the router flag,
/// which has to say what the host is. 86 octets, untagged.
pub fn unsolicited_advertisement(mac: EthAddr, ip: Ipv6Addr, router: bool) -> Vec<u8> {
    const HEADER: usize = MutableNeighborAdvertPacket::minimum_packet_size();
    let mut icmp = vec![0; HEADER + 8];
    if let Some(mut p) = MutableNeighborAdvertPacket::new(&mut icmp) {
        p.set_icmpv6_type(ADVERTISEMENT);
        p.set_icmpv6_code(Icmpv6Code(0));
        let router = if router { NeighborAdvertFlags::Router } else { 0 };
        p.set_flags(NeighborAdvertFlags::Override | router);
        p.set_target_addr(ip);
        // The length counts units of 8 octets.
        let data = mac.0.to_vec();
        p.set_options(&[NdpOption { option_type: NdpOptionTypes::TargetLLAddr, length: 1, data }]);
    }
    let sum = ipv6_checksum(&icmp, 1, &[], &ip, &ALL_NODES, IpNextHeaderProtocols::Icmpv6);
    if let Some(mut p) = MutableIcmpv6Packet::new(&mut icmp) {
        p.set_checksum(sum);
    }
    let packet = Ipv6 {
        traffic_class: 0,
        flow_label: 0,
        next_header: IpNextHeaderProtocols::Icmpv6.0,
        hop_limit: HOP_LIMIT,
        src: ip,
        dst: ALL_NODES,
    };
    ethernet(ALL_NODES_MAC, mac, &[], EtherType::IPV6, &packet.packet(&icmp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract;

    #[test]
    fn advertisement_has_the_fields_of_rfc_4861() {
        let mac = EthAddr([0x52, 0x54, 0, 1, 2, 3]);
        let ip: Ipv6Addr = "fd00::7".parse().unwrap();
        for (router, flags) in [(false, 0x20), (true, 0xa0)] {
            let p = unsolicited_advertisement(mac, ip, router);
            assert_eq!(p.len(), 86);
            assert_eq!(p[..14], [0x33, 0x33, 0, 0, 0, 1, 0x52, 0x54, 0, 1, 2, 3, 0x86, 0xdd]);
            assert_eq!((p[20], p[21]), (58, 255), "ICMPv6, hop limit");
            assert_eq!((p[54], p[55], p[58]), (136, 0, flags));
            assert_eq!(p[78..86], [2, 1, 0x52, 0x54, 0, 1, 2, 3], "the target's address");
            let k = extract(&p, 0);
            assert_eq!((k.nw_src, k.nd_target), (ip.octets(), ip.octets()));
            assert_eq!((k.nw_dst, k.arp_tha), (ALL_NODES.octets(), mac));
            // The sum over the pseudo-header and the message with its checksum.
            let sum = ipv6_checksum(
                &p[54..],
                usize::MAX,
                &[],
                &ip,
                &ALL_NODES,
                IpNextHeaderProtocols::Icmpv6,
            );
            assert_eq!(sum, 0);
        }
    }
}
