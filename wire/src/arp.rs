//! ARP and RARP packets that announce the location of an address.

use std::net::Ipv4Addr;

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, MutableArpPacket};
use pnet_packet::ethernet::EtherTypes;

use crate::frame::{ethernet, to_pnet};
use crate::{EthAddr, EtherType, FlowKey};

/// ARP opcodes (RFC 826, RFC 903).
pub mod op {
    /// Request (RFC 826).
    pub const REQUEST: u8 = 1;
    /// Reply (RFC 826).
    pub const REPLY: u8 = 2;
    /// Reverse request (RFC 903).
    pub const RARP_REQUEST: u8 = 3;
}

/// True for a gratuitous ARP packet: broadcast, and either a reply or a request for the sender's own
/// address. Depends on `eth_type`, `eth_dst` and `nw_proto`, and for a request on both addresses.
pub fn is_gratuitous(key: &FlowKey) -> bool {
    if key.eth_type != EtherType::ARP || key.eth_dst != EthAddr::BROADCAST {
        return false;
    }
    match key.nw_proto {
        op::REPLY => true,
        op::REQUEST => key.nw_src == key.nw_dst,
        _ => false,
    }
}

/// The fields of an ARP or RARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// One of [`op`].
    pub(crate) op: u16,
    /// Sender hardware address.
    pub(crate) sha: EthAddr,
    /// Sender protocol address.
    pub(crate) spa: Ipv4Addr,
    /// Target hardware address.
    pub(crate) tha: EthAddr,
    /// Target protocol address.
    pub(crate) tpa: Ipv4Addr,
}

impl Default for Packet {
    fn default() -> Packet {
        let (mac, ip) = (EthAddr::ZERO, Ipv4Addr::UNSPECIFIED);
        Packet { op: 0, sha: mac, spa: ip, tha: mac, tpa: ip }
    }
}

impl Packet {
    /// The packet's 28 octets, which follow the Ethernet type.
    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut buf = vec![0; MutableArpPacket::minimum_packet_size()];
        if let Some(mut p) = MutableArpPacket::new(&mut buf) {
            p.set_hardware_type(ArpHardwareTypes::Ethernet);
            p.set_protocol_type(EtherTypes::Ipv4);
            p.set_hw_addr_len(6);
            p.set_proto_addr_len(4);
            p.set_operation(ArpOperation(self.op));
            p.set_sender_hw_addr(to_pnet(self.sha));
            p.set_sender_proto_addr(self.spa);
            p.set_target_hw_addr(to_pnet(self.tha));
            p.set_target_proto_addr(self.tpa);
        }
        buf
    }
}

/// A learning packet: a broadcast RARP request from and about `mac`, with no IPv4 addresses.
/// Switches learn the location of `mac` from it, and nothing answers it. 42 octets, untagged.
pub fn learning_packet(mac: EthAddr) -> Vec<u8> {
    let op = u16::from(op::RARP_REQUEST);
    let p = Packet { op, sha: mac, tha: mac, ..Packet::default() };
    ethernet(EthAddr::BROADCAST, mac, &[], EtherType::RARP, &p.emit())
}

/// A gratuitous ARP request: `mac` has `ip`. 42 octets, untagged (RFC 5227 section 3).
pub fn gratuitous_arp(mac: EthAddr, ip: [u8; 4]) -> Vec<u8> {
    let (op, ip) = (u16::from(op::REQUEST), Ipv4Addr::from(ip));
    let p = Packet { op, sha: mac, spa: ip, tpa: ip, ..Packet::default() };
    ethernet(EthAddr::BROADCAST, mac, &[], EtherType::ARP, &p.emit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract;

    const MAC: EthAddr = EthAddr([0x52, 0x54, 0, 1, 2, 3]);

    #[test]
    fn learning_packet_is_broadcast_rarp() {
        let p = learning_packet(MAC);
        assert_eq!(p.len(), 42);
        let k = extract(&p, 0);
        assert_eq!((k.eth_dst, k.eth_src), (EthAddr::BROADCAST, MAC));
        assert_eq!((k.eth_type, k.nw_proto), (EtherType::RARP, 3));
        assert_eq!((k.arp_sha, k.arp_tha), (MAC, MAC));
        assert_eq!((k.nw_src, k.nw_dst), ([0; 16], [0; 16]));
        assert!(!is_gratuitous(&k));
    }

    #[test]
    fn is_gratuitous_accepts_broadcast_announcements_only() {
        let p = gratuitous_arp(MAC, [10, 0, 0, 1]);
        assert!(is_gratuitous(&extract(&p, 0)));

        let mut other = p.clone();
        other[41] = 2; // Asks for someone else.
        assert!(!is_gratuitous(&extract(&other, 0)));
        other[21] = op::REPLY;
        assert!(is_gratuitous(&extract(&other, 0)));
        other[5] = 0; // To one station.
        assert!(!is_gratuitous(&extract(&other, 0)));
        other[5] = 0xff;
        other[21] = 9;
        assert!(!is_gratuitous(&extract(&other, 0)));
        other[21] = op::REPLY;
        other[13] = 0x35; // RARP's type is 0x8035, 0x0835 is not assigned.
        assert!(!is_gratuitous(&extract(&other, 0)));
    }
}
