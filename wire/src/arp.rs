//! ARP and RARP: the packets that tell a network where an address is.

use crate::eth::{EtherType, frame};
use crate::{EthAddr, FlowKey};

/// ARP opcodes (RFC 826, RFC 903).
pub mod op {
    /// Request (RFC 826).
    pub const REQUEST: u8 = 1;
    /// Reply (RFC 826).
    pub const REPLY: u8 = 2;
    /// Reverse request (RFC 903).
    pub const RARP_REQUEST: u8 = 3;
}

/// True for an ARP packet that announces its sender to everyone: broadcast, and either a reply or
/// a request for the sender's own address. Looks at `eth_type`, `eth_dst` and `nw_proto`, and for
/// a request at both addresses.
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

fn body(opcode: u8, sha: EthAddr, spa: [u8; 4], tha: EthAddr, tpa: [u8; 4]) -> [u8; 28] {
    let mut b = [0; 28];
    b[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, opcode]);
    b[8..14].copy_from_slice(&sha.0);
    b[14..18].copy_from_slice(&spa);
    b[18..24].copy_from_slice(&tha.0);
    b[24..28].copy_from_slice(&tpa);
    b
}

/// A learning packet: a broadcast RARP request from and about `mac`, with no IPv4 addresses. It
/// makes switches learn where `mac` is and asks for no answer. 42 octets, untagged.
pub fn learning_packet(mac: EthAddr) -> Vec<u8> {
    let b = body(op::RARP_REQUEST, mac, [0; 4], mac, [0; 4]);
    frame(EthAddr::BROADCAST, mac, EtherType::RARP, &b)
}

/// A gratuitous ARP request: `mac` has `ip`. 42 octets, untagged (RFC 5227 section 3).
pub fn gratuitous_arp(mac: EthAddr, ip: [u8; 4]) -> Vec<u8> {
    let b = body(op::REQUEST, mac, ip, EthAddr::ZERO, ip);
    frame(EthAddr::BROADCAST, mac, EtherType::ARP, &b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract;

    const MAC: EthAddr = EthAddr([0x52, 0x54, 0, 1, 2, 3]);

    #[test]
    fn learning_packet_octets() {
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
    fn gratuitous() {
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
