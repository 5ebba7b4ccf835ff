//! Frames and packets that we make ourselves, written with `pnet_packet`.
//!
//! Each function returns a whole packet: a header, its length and checksum fields filled in, and
//! the payload. Length fields hold 16 bits; the length of a longer packet is truncated.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_base::MacAddr;
use pnet_packet::ethernet::{EtherType as PnetType, MutableEthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::ipv6::{MutableFragmentPacket, MutableIpv6Packet};
use pnet_packet::udp::MutableUdpPacket;
use pnet_packet::vlan::{ClassOfService, MutableVlanPacket};

use crate::{EthAddr, VlanTag};

/// More fragments follow: the lowest of the three flag bits of an IPv4 header (RFC 791 section
/// 3.1).
pub(crate) const MORE_FRAGMENTS: u8 = pnet_packet::ipv4::Ipv4Flags::MoreFragments;

pub(crate) fn from_pnet(m: MacAddr) -> EthAddr {
    EthAddr(m.octets())
}

pub(crate) fn to_pnet(m: EthAddr) -> MacAddr {
    m.0.into()
}

/// `header` zeros, then `payload`.
fn buffer(header: usize, payload: &[u8]) -> Vec<u8> {
    let mut buf = Vec::with_capacity(header + payload.len());
    buf.resize(header, 0);
    buf.extend_from_slice(payload);
    buf
}

/// An Ethernet frame, without padding and frame check sequence. `vlan` holds the tags, outermost
/// first; absent ones are skipped, and the DEI bit is zero.
pub fn ethernet(
    dst: EthAddr,
    src: EthAddr,
    vlan: &[VlanTag],
    eth_type: u16,
    payload: &[u8],
) -> Vec<u8> {
    const ETH: usize = MutableEthernetPacket::minimum_packet_size();
    const TAG: usize = MutableVlanPacket::minimum_packet_size();
    let tags: Vec<VlanTag> = vlan.iter().copied().filter(|t| t.is_present()).collect();
    let mut types = tags.iter().map(|t| t.tpid).chain([eth_type]).map(PnetType::new);
    let mut next_type = || types.next().unwrap_or(PnetType::new(eth_type));
    let mut buf = buffer(ETH + tags.len() * TAG, payload);
    if let Some(mut p) = MutableEthernetPacket::new(&mut buf) {
        p.set_destination(to_pnet(dst));
        p.set_source(to_pnet(src));
        p.set_ethertype(next_type());
    }
    for (i, tag) in tags.iter().enumerate() {
        if let Some(mut p) = MutableVlanPacket::new(&mut buf[ETH + i * TAG..]) {
            p.set_priority_code_point(ClassOfService::new(tag.pcp()));
            p.set_vlan_identifier(tag.vid());
            p.set_ethertype(next_type());
        }
    }
    buf
}

/// The fields of an IPv4 header without options that a caller chooses.
pub(crate) struct Ipv4 {
    /// DSCP and ECN.
    pub(crate) tos: u8,
    /// [`MORE_FRAGMENTS`] or 0.
    pub(crate) flags: u8,
    /// In units of 8 octets.
    pub(crate) fragment_offset: u16,
    pub(crate) ttl: u8,
    pub(crate) proto: u8,
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
}

impl Ipv4 {
    pub(crate) fn packet(&self, payload: &[u8]) -> Vec<u8> {
        const LEN: usize = MutableIpv4Packet::minimum_packet_size();
        let mut buf = buffer(LEN, payload);
        let total_length = buf.len() as u16;
        if let Some(mut p) = MutableIpv4Packet::new(&mut buf) {
            p.set_version(4);
            p.set_header_length((LEN / 4) as u8);
            p.set_dscp(self.tos >> 2);
            p.set_ecn(self.tos & 3);
            p.set_total_length(total_length);
            p.set_flags(self.flags);
            p.set_fragment_offset(self.fragment_offset);
            p.set_ttl(self.ttl);
            p.set_next_level_protocol(IpNextHeaderProtocol(self.proto));
            p.set_source(self.src);
            p.set_destination(self.dst);
            let checksum = ipv4::checksum(&p.to_immutable());
            p.set_checksum(checksum);
        }
        buf
    }
}

/// The fields of an IPv6 header that a caller chooses.
pub(crate) struct Ipv6 {
    /// DSCP and ECN.
    pub(crate) traffic_class: u8,
    /// 20 bits.
    pub(crate) flow_label: u32,
    pub(crate) next_header: u8,
    pub(crate) hop_limit: u8,
    pub(crate) src: Ipv6Addr,
    pub(crate) dst: Ipv6Addr,
}

impl Ipv6 {
    pub(crate) fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut buf = buffer(MutableIpv6Packet::minimum_packet_size(), payload);
        if let Some(mut p) = MutableIpv6Packet::new(&mut buf) {
            p.set_version(6);
            p.set_traffic_class(self.traffic_class);
            p.set_flow_label(self.flow_label & 0x000f_ffff);
            p.set_payload_length(payload.len() as u16);
            p.set_next_header(IpNextHeaderProtocol(self.next_header));
            p.set_hop_limit(self.hop_limit);
            p.set_source(self.src);
            p.set_destination(self.dst);
        }
        buf
    }
}

/// An IPv6 fragment header (RFC 8200 section 4.5) with the M flag set. `offset` is in units of 8
/// octets.
pub(crate) fn ipv6_fragment(next_header: u8, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut buf = buffer(MutableFragmentPacket::minimum_packet_size(), payload);
    if let Some(mut p) = MutableFragmentPacket::new(&mut buf) {
        p.set_next_header(IpNextHeaderProtocol(next_header));
        p.set_fragment_offset_with_flags(offset << 3 | 1);
    }
    buf
}

/// A UDP datagram without a checksum.
pub(crate) fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let mut buf = buffer(MutableUdpPacket::minimum_packet_size(), payload);
    let length = buf.len() as u16;
    if let Some(mut p) = MutableUdpPacket::new(&mut buf) {
        p.set_source(src);
        p.set_destination(dst);
        p.set_length(length);
    }
    buf
}
