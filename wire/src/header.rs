//! The fixed parts of headers as they lie in a frame: in network byte order, without alignment.
//!
//! `T::ref_from_prefix` and `T::mut_from_prefix` of zerocopy give one without copying it; they fail
//! when the octets are too few. Options and extensions follow a header and are not part of it.

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::EthAddr;

macro_rules! headers {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $t:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
            #[repr(C)]
            pub(crate) struct $name {
                $(pub(crate) $field: $t,)*
            }
        )*
    };
}

headers! {
    /// IEEE 802.3 clause 3.2.
    Ethernet { dst: EthAddr, src: EthAddr, eth_type: U16, }
    /// What follows a tag's TPID: the tag's TCI (IEEE 802.1Q clause 9.4) and the next type.
    Vlan { tci: U16, eth_type: U16, }
    /// LLC and SNAP of an IEEE 802.2 frame; `llc` is aa-aa-03 and `oui` 0 for an Ethernet type.
    Snap { llc: [u8; 3], oui: [u8; 3], eth_type: U16, }
    /// RFC 791 section 3.1.
    Ipv4 {
        version_ihl: u8,
        tos: u8,
        total_len: U16,
        id: U16,
        flags_offset: U16,
        ttl: u8,
        proto: u8,
        checksum: U16,
        src: [u8; 4],
        dst: [u8; 4],
    }
    /// RFC 8200 section 3.
    Ipv6 {
        class_label: U32,
        payload_len: U16,
        next: u8,
        hop_limit: u8,
        src: [u8; 16],
        dst: [u8; 16],
    }
    /// The first eight octets of an IPv6 extension header (RFC 8200 section 4) and of the
    /// authentication header (RFC 4302). `offset_flags` is the fragment header's.
    Ipv6Extension { next: u8, len: u8, offset_flags: U16, rest: [u8; 4], }
    /// RFC 9293 section 3.1. `offset_flags`: the header's length in words of 32 bits, and 12 flags.
    Tcp {
        src: U16,
        dst: U16,
        seq: U32,
        ack: U32,
        offset_flags: U16,
        window: U16,
        checksum: U16,
        urgent: U16,
    }
    /// RFC 768.
    Udp { src: U16, dst: U16, len: U16, checksum: U16, }
    /// RFC 9260 section 3.1.
    Sctp { src: U16, dst: U16, tag: U32, checksum: U32, }
    /// ICMP (RFC 792), ICMPv6 (RFC 4443) and IGMP (RFC 2236).
    Icmp { kind: u8, code: u8, checksum: U16, rest: [u8; 4], }
    /// ARP for IPv4 over Ethernet (RFC 826).
    Arp {
        hardware: U16,
        protocol: U16,
        hardware_len: u8,
        protocol_len: u8,
        opcode: U16,
        sha: EthAddr,
        spa: [u8; 4],
        tha: EthAddr,
        tpa: [u8; 4],
    }
    /// A source or target link-layer address option (RFC 4861 section 4.6.1).
    LinkLayerOption { kind: u8, len: u8, addr: EthAddr, }
}

impl Ipv4 {
    /// The header's length with its options, in octets.
    pub(crate) fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }
}

impl Tcp {
    pub(crate) const FIN: u16 = 0x01;
    pub(crate) const PSH: u16 = 0x08;
    pub(crate) const CWR: u16 = 0x80;

    /// The header's length with its options, in octets.
    pub(crate) fn header_len(&self) -> usize {
        usize::from(self.offset_flags.get() >> 12) * 4
    }
}
