//! ARP (RFC 826) and neighbour discovery (RFC 4861) as a probe of a link: requests that name one
//! station, and the answers to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::compose::{Payload, compose};
use crate::{EthAddr, EtherType, FlowKey, VlanTag, arp, ip};

/// ICMPv6 types (RFC 4861 sections 4.3 and 4.4).
const SOLICITATION: u16 = 135;
const ADVERTISEMENT: u16 = 136;

/// Neighbour discovery is never forwarded by a router (RFC 4861 section 7.1).
const HOP_LIMIT: u8 = 255;

/// The addresses that requests are sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// Source of the Ethernet frame, and the hardware address in the packet: where answers go.
    pub mac: EthAddr,
    /// Sender protocol address of ARP. `0.0.0.0` makes the request an ARP probe (RFC 5227 section
    /// 1.1), which no receiver enters in its table.
    pub ipv4: Ipv4Addr,
    /// Source of neighbour solicitations. Not the unspecified address: that would make the request
    /// duplicate address detection, whose answers go to all nodes (RFC 4861 section 7.2.4).
    pub ipv6: Ipv6Addr,
}

impl Asker {
    /// A request for the hardware address of `target`, untagged or in the VLAN `vid`.
    pub fn request(&self, target: IpAddr, vid: Option<u16>) -> Vec<u8> {
        let tag = vid.map_or(VlanTag::default(), |vid| VlanTag {
            tpid: EtherType::VLAN,
            tci: VlanTag::CFI | vid,
        });
        let key = FlowKey {
            eth_src: self.mac,
            arp_sha: self.mac,
            vlan: [tag, VlanTag::default()],
            ..FlowKey::default()
        };
        let key = match target {
            IpAddr::V4(target) => FlowKey {
                eth_dst: EthAddr::BROADCAST,
                eth_type: EtherType::ARP,
                nw_proto: arp::op::REQUEST,
                nw_src: in_key(self.ipv4),
                nw_dst: in_key(target),
                ..key
            },
            IpAddr::V6(target) => {
                let group = solicited_node(target);
                FlowKey {
                    eth_dst: group_mac(group),
                    eth_type: EtherType::IPV6,
                    nw_proto: ip::ICMPV6,
                    nw_ttl: HOP_LIMIT,
                    nw_src: self.ipv6.octets(),
                    nw_dst: group.octets(),
                    tp_src: SOLICITATION,
                    nd_target: target.octets(),
                    ..key
                }
            }
        };
        compose(&key, &[], Payload::Octets(&[]))
    }

    /// Our address of the family of `other`.
    fn address(&self, other: IpAddr) -> IpAddr {
        match other {
            IpAddr::V4(_) => self.ipv4.into(),
            IpAddr::V6(_) => self.ipv6.into(),
        }
    }

    /// Whether a packet was sent to this station alone: an answer to a request, or a request for
    /// its own address.
    pub fn is_addressed_by(&self, packet: &Neighbour) -> bool {
        let own = self.address(packet.to);
        packet.dst == self.mac && packet.to == own && (packet.answer || !own.is_unspecified())
    }

    /// The station that a packet is an answer of, if it answers a request of ours.
    pub fn answered_by(&self, packet: &Neighbour) -> Option<IpAddr> {
        let ours = packet.station == self.mac && packet.to == self.address(packet.to);
        (packet.answer && ours).then_some(packet.from)
    }
}

/// An ARP request or reply, a neighbour solicitation or a neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// An ARP reply or a neighbour advertisement; otherwise a request.
    pub answer: bool,
    /// The address that the packet speaks of: the sender protocol address of ARP, the source of a
    /// solicitation, the target of an advertisement.
    pub from: IpAddr,
    /// What it asks for: the target protocol address of ARP, the target of a solicitation, the
    /// destination of an advertisement.
    pub to: IpAddr,
    /// Destination of the Ethernet frame.
    pub dst: EthAddr,
    /// The station that it is for: `dst`, or the target hardware address of an ARP packet to a
    /// group.
    pub station: EthAddr,
    /// The VLAN of the frame's tag; 0 without one.
    pub vid: u16,
}

impl Neighbour {
    /// `None` for every other packet.
    pub fn of(key: &FlowKey) -> Option<Neighbour> {
        let (dst, vid) = (key.eth_dst, key.vlan[0].vid());
        match (key.eth_type, key.nw_proto) {
            (EtherType::ARP, op @ (arp::op::REQUEST | arp::op::REPLY)) => Some(Neighbour {
                answer: op == arp::op::REPLY,
                from: Ipv4Addr::from(key.ipv4_src()).into(),
                to: Ipv4Addr::from(key.ipv4_dst()).into(),
                dst,
                station: if dst.is_multicast() { key.arp_tha } else { dst },
                vid,
            }),
            (EtherType::IPV6, ip::ICMPV6)
                if key.nw_ttl == HOP_LIMIT && key.nw_frag == 0 && key.tp_dst == 0 =>
            {
                let (src, to) = (Ipv6Addr::from(key.nw_src), Ipv6Addr::from(key.nw_dst));
                let target = Ipv6Addr::from(key.nd_target);
                let (answer, from, to) = match key.tp_src {
                    SOLICITATION => (false, src, target),
                    ADVERTISEMENT => (true, target, to),
                    _ => return None,
                };
                Some(Neighbour { answer, from: from.into(), to: to.into(), dst, station: dst, vid })
            }
            _ => None,
        }
    }
}

/// An IPv4 address as a flow key holds it.
fn in_key(address: Ipv4Addr) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[12..].copy_from_slice(&address.octets());
    octets
}

/// The solicited-node multicast address (RFC 4291 section 2.7.1).
fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let t = target.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, t[13], t[14], t[15]])
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
fn group_mac(group: Ipv6Addr) -> EthAddr {
    let g = group.octets();
    EthAddr([0x33, 0x33, g[12], g[13], g[14], g[15]])
}

/// The link-local address of a station by its hardware address (RFC 4291 appendix A).
pub fn link_local(mac: EthAddr) -> Ipv6Addr {
    let m = mac.0;
    Ipv6Addr::from([
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        m[0] ^ 2,
        m[1],
        m[2],
        0xff,
        0xfe,
        m[3],
        m[4],
        m[5],
    ])
}

/// A locally administered address (IEEE 802 clause 8.2) in place of one that another station uses
/// too. It differs from `mac` in one bit.
pub fn stand_in(mac: EthAddr) -> EthAddr {
    const LOCAL: u8 = 0x02;
    let mut octets = mac.0;
    octets[0] ^= if octets[0] & LOCAL == 0 { LOCAL } else { 0x40 };
    EthAddr(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract;

    const MAC: EthAddr = EthAddr([0x52, 0x54, 0, 1, 2, 3]);
    const ROUTER: EthAddr = EthAddr([0x52, 0x54, 0, 9, 9, 9]);

    fn asker() -> Asker {
        Asker { mac: MAC, ipv4: Ipv4Addr::UNSPECIFIED, ipv6: link_local(MAC) }
    }

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn arp_request_is_an_rfc_5227_probe_by_default() {
        let frame = asker().request(v4(1), None);
        assert_eq!(frame.len(), 42);
        let k = extract(&frame, 0);
        assert_eq!((k.eth_dst, k.eth_src), (EthAddr::BROADCAST, MAC));
        assert_eq!((k.eth_type, k.nw_proto), (EtherType::ARP, 1));
        assert_eq!((k.arp_sha, k.arp_tha), (MAC, EthAddr::ZERO));
        assert_eq!((k.ipv4_src(), k.ipv4_dst()), ([0; 4], [10, 0, 0, 1]));
        assert!(!k.vlan[0].is_present());
        let tagged = extract(&asker().request(v4(1), Some(20)), 0);
        assert_eq!((tagged.vlan[0].vid(), tagged.vlan[0].tpid), (20, 0x8100));
    }

    #[test]
    fn solicitation_is_whole() {
        let target: IpAddr = "2001:db8::12:3456".parse().unwrap();
        let frame = asker().request(target, None);
        assert_eq!(frame.len(), 14 + 40 + 24 + 8);
        let message = pnet_packet::icmpv6::Icmpv6Packet::new(&frame[54..]).unwrap();
        let (src, dst) = (link_local(MAC), solicited_node("2001:db8::12:3456".parse().unwrap()));
        let sum = pnet_packet::icmpv6::checksum(&message, &src, &dst);
        assert_eq!(message.get_checksum(), sum);
        let k = extract(&frame, 0);
        assert_eq!(k.eth_dst.to_string(), "33:33:ff:12:34:56");
        assert_eq!(Ipv6Addr::from(k.nw_dst).to_string(), "ff02::1:ff12:3456");
        assert_eq!(Ipv6Addr::from(k.nw_src).to_string(), "fe80::5054:ff:fe01:203");
        assert_eq!((k.nw_ttl, k.tp_src, k.tp_dst), (255, 135, 0));
        assert_eq!(IpAddr::from(k.nd_target), target);
        assert_eq!(k.arp_sha, MAC, "the source link-layer address option");
    }

    /// The reply of a station, with fields changed by `change`.
    fn reply(change: impl FnOnce(&mut FlowKey)) -> Neighbour {
        let mut key = FlowKey {
            eth_src: ROUTER,
            eth_dst: MAC,
            eth_type: EtherType::ARP,
            nw_proto: arp::op::REPLY,
            nw_src: in_key(Ipv4Addr::new(10, 0, 0, 1)),
            arp_sha: ROUTER,
            arp_tha: MAC,
            ..FlowKey::default()
        };
        change(&mut key);
        Neighbour::of(&key).unwrap()
    }

    #[test]
    fn arp_reply_counts_when_it_is_ours() {
        let answered = |change: fn(&mut FlowKey)| asker().answered_by(&reply(change));
        assert_eq!(answered(|_| {}), Some(v4(1)));
        assert_eq!(answered(|k| k.nw_src[15] = 2), Some(v4(2)), "whose it is, is for the caller");
        assert_eq!(answered(|k| k.eth_dst = EthAddr::BROADCAST), Some(v4(1)));
        assert_eq!(answered(|k| k.eth_dst = ROUTER), None);
        assert_eq!(answered(|k| k.nw_dst = in_key(Ipv4Addr::new(10, 0, 0, 7))), None);
        assert_eq!(answered(|k| k.nw_proto = arp::op::REQUEST), None);
        assert!(asker().is_addressed_by(&reply(|_| {})));
        assert!(!asker().is_addressed_by(&reply(|k| k.eth_dst = EthAddr::BROADCAST)));
        assert!(!asker().is_addressed_by(&reply(|k| k.nw_proto = arp::op::REQUEST)));
        let with_address = Asker { ipv4: Ipv4Addr::new(10, 0, 0, 7), ..asker() };
        assert!(with_address.is_addressed_by(&reply(|k| {
            (k.nw_proto, k.nw_dst) = (arp::op::REQUEST, in_key(Ipv4Addr::new(10, 0, 0, 7)));
        })));
    }

    #[test]
    fn advertisement_needs_its_hop_limit() {
        let router: Ipv6Addr = "fe80::1".parse().unwrap();
        let key = FlowKey {
            eth_src: ROUTER,
            eth_dst: MAC,
            eth_type: EtherType::IPV6,
            nw_proto: ip::ICMPV6,
            nw_ttl: 255,
            nw_src: router.octets(),
            nw_dst: link_local(MAC).octets(),
            tp_src: ADVERTISEMENT,
            nd_target: router.octets(),
            ..FlowKey::default()
        };
        let answered = |key: &FlowKey| asker().answered_by(&Neighbour::of(key)?);
        assert_eq!(answered(&key), Some(router.into()));
        assert_eq!(answered(&FlowKey { nw_ttl: 254, ..key }), None);
        assert_eq!(answered(&FlowKey { tp_src: SOLICITATION, ..key }), None);
        assert_eq!(answered(&FlowKey { tp_src: 134, ..key }), None);
        assert_eq!(answered(&FlowKey { nw_dst: [0xfe; 16], ..key }), None);
    }

    #[test]
    fn stand_in_is_local_and_another() {
        assert_eq!(stand_in(EthAddr([0, 1, 2, 3, 4, 5])), EthAddr([2, 1, 2, 3, 4, 5]));
        assert_eq!(stand_in(EthAddr([2, 1, 2, 3, 4, 5])), EthAddr([0x42, 1, 2, 3, 4, 5]));
    }
}
