//! The few frames that a testbed sends, and a look at those that it gets.

use std::net::Ipv4Addr;

use wire::{EthAddr, EtherType};

/// Addresses of a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Ethernet source.
    pub src_mac: EthAddr,
    /// Ethernet destination.
    pub dst_mac: EthAddr,
    /// VLAN ID of an 802.1Q tag, if there is to be one.
    pub vlan: Option<u16>,
    /// IPv4 source.
    pub src_ip: Ipv4Addr,
    /// IPv4 destination.
    pub dst_ip: Ipv4Addr,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
}

impl Udp {
    /// The whole frame. The UDP checksum is left out, as RFC 768 allows.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut f = ethernet(self.dst_mac, self.src_mac, self.vlan, EtherType::IPV4);
        let udp_len = 8 + payload.len();
        let mut ip = [0u8; 20];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&((20 + udp_len) as u16).to_be_bytes());
        ip[8] = 64;
        ip[9] = 17;
        ip[12..16].copy_from_slice(&self.src_ip.octets());
        ip[16..20].copy_from_slice(&self.dst_ip.octets());
        let sum = !ones_complement_sum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        f.extend_from_slice(&ip);
        f.extend_from_slice(&self.src_port.to_be_bytes());
        f.extend_from_slice(&self.dst_port.to_be_bytes());
        f.extend_from_slice(&(udp_len as u16).to_be_bytes());
        f.extend_from_slice(&[0, 0]);
        f.extend_from_slice(payload);
        f
    }

    /// The way back.
    pub fn reversed(&self) -> Udp {
        Udp {
            src_mac: self.dst_mac,
            dst_mac: self.src_mac,
            vlan: self.vlan,
            src_ip: self.dst_ip,
            dst_ip: self.src_ip,
            src_port: self.dst_port,
            dst_port: self.src_port,
        }
    }

    /// Reads a frame that `frame` made; `None` for any other.
    pub fn parse(frame: &[u8]) -> Option<(Udp, &[u8])> {
        let (h, ip) = Header::parse(frame)?;
        if h.eth_type != EtherType::IPV4 || ip.first() != Some(&0x45) || ip.get(9) != Some(&17) {
            return None;
        }
        let addr = |at: usize| -> Option<Ipv4Addr> {
            Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?))
        };
        let port = |at: usize| -> Option<u16> { Some(u16::from_be_bytes(two(ip, at)?)) };
        let end = 20 + usize::from(port(24)?);
        let udp = Udp {
            src_mac: h.src,
            dst_mac: h.dst,
            vlan: h.vlan,
            src_ip: addr(12)?,
            dst_ip: addr(16)?,
            src_port: port(20)?,
            dst_port: port(22)?,
        };
        Some((udp, ip.get(28..end)?))
    }
}

/// The Ethernet header, one tag at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Destination.
    pub dst: EthAddr,
    /// Source.
    pub src: EthAddr,
    /// VLAN ID, if the frame is tagged.
    pub vlan: Option<u16>,
    /// EtherType, in host byte order.
    pub eth_type: u16,
}

impl Header {
    /// The header and what follows it; `None` if the frame is too short.
    pub fn parse(frame: &[u8]) -> Option<(Header, &[u8])> {
        let dst = EthAddr(frame.get(..6)?.try_into().ok()?);
        let src = EthAddr(frame.get(6..12)?.try_into().ok()?);
        let mut eth_type = u16::from_be_bytes(two(frame, 12)?);
        let (mut vlan, mut at) = (None, 14);
        if eth_type == EtherType::VLAN {
            vlan = Some(u16::from_be_bytes(two(frame, 14)?) & 0x0fff);
            eth_type = u16::from_be_bytes(two(frame, 16)?);
            at = 18;
        }
        Some((Header { dst, src, vlan, eth_type }, frame.get(at..)?))
    }
}

/// An Ethernet header.
pub fn ethernet(dst: EthAddr, src: EthAddr, vlan: Option<u16>, eth_type: u16) -> Vec<u8> {
    let mut f = Vec::with_capacity(128);
    f.extend_from_slice(&dst.0);
    f.extend_from_slice(&src.0);
    if let Some(vid) = vlan {
        f.extend_from_slice(&EtherType::VLAN.to_be_bytes());
        f.extend_from_slice(&vid.to_be_bytes());
    }
    f.extend_from_slice(&eth_type.to_be_bytes());
    f
}

/// A gratuitous ARP request (RFC 5944 section 4.6): "`ip` is at `mac`", to everybody.
pub fn gratuitous_arp(mac: EthAddr, ip: Ipv4Addr, vlan: Option<u16>) -> Vec<u8> {
    let mut f = ethernet(EthAddr::BROADCAST, mac, vlan, EtherType::ARP);
    f.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    f.extend_from_slice(&mac.0);
    f.extend_from_slice(&ip.octets());
    f.extend_from_slice(&[0; 6]);
    f.extend_from_slice(&ip.octets());
    f.resize(f.len().max(60), 0);
    f
}

/// A Slow Protocols frame around an LACPDU that begins at its subtype octet.
pub fn slow_protocols(src: EthAddr, pdu: &[u8]) -> Vec<u8> {
    let mut f = ethernet(EthAddr::SLOW_PROTOCOLS, src, None, EtherType::SLOW);
    f.extend_from_slice(pdu);
    f
}

fn two(b: &[u8], at: usize) -> Option<[u8; 2]> {
    b.get(at..at + 2)?.try_into().ok()
}

/// RFC 1071, over an even number of octets.
fn ones_complement_sum(octets: &[u8]) -> u16 {
    let sum: u32 =
        octets.chunks_exact(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_reads_back() {
        for vlan in [None, Some(10)] {
            let udp = Udp {
                src_mac: EthAddr([2, 0, 0, 0, 0, 1]),
                dst_mac: EthAddr([2, 0, 0, 0, 0, 2]),
                vlan,
                src_ip: Ipv4Addr::new(10, 0, 0, 1),
                dst_ip: Ipv4Addr::new(10, 0, 0, 2),
                src_port: 5,
                dst_port: 6,
            };
            let mut frame = udp.frame(b"hello");
            assert_eq!(Udp::parse(&frame), Some((udp, &b"hello"[..])));
            // A receiver sums the header to all ones.
            let at = if vlan.is_some() { 18 } else { 14 };
            assert_eq!(ones_complement_sum(&frame[at..at + 20]), 0xffff);
            frame.truncate(30);
            assert_eq!(Udp::parse(&frame), None);
        }
    }
}
