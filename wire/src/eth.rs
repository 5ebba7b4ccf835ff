//! Ethernet addresses and types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 48-bit Ethernet address.
///
/// ```
/// use wire::EthAddr;
/// let mac: EthAddr = "aa:55:aa:55:00:07".parse().unwrap();
/// assert_eq!(mac.to_string(), "aa:55:aa:55:00:07");
/// assert!(!mac.is_multicast());
/// ```
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct EthAddr(pub [u8; 6]);

impl EthAddr {
    /// All bits zero: no address.
    pub const ZERO: EthAddr = EthAddr([0; 6]);
    /// All stations: ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: EthAddr = EthAddr([0xff; 6]);
    /// Slow Protocols multicast (IEEE 802.3 annex 57A), where LACPDUs go.
    pub const SLOW_PROTOCOLS: EthAddr = EthAddr([0x01, 0x80, 0xc2, 0, 0, 0x02]);

    /// The group bit: multicast and broadcast.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether all bits are zero.
    pub fn is_zero(self) -> bool {
        self == EthAddr::ZERO
    }

    /// The low 48 bits of the result, first octet most significant.
    pub const fn to_u64(self) -> u64 {
        let b = self.0;
        u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]])
    }

    /// The low 48 bits of `v`.
    pub const fn from_u64(v: u64) -> EthAddr {
        let b = v.to_be_bytes();
        EthAddr([b[2], b[3], b[4], b[5], b[6], b[7]])
    }
}

impl fmt::Display for EthAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4], b[5])
    }
}

impl fmt::Debug for EthAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six pairs of hexadecimal digits joined by colons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an Ethernet address (expected xx:xx:xx:xx:xx:xx)")]
pub struct EthAddrError(String);

impl FromStr for EthAddr {
    type Err = EthAddrError;

    fn from_str(s: &str) -> Result<EthAddr, EthAddrError> {
        let err = || EthAddrError(s.to_owned());
        let mut out = [0u8; 6];
        let mut parts = s.split(':');
        for o in &mut out {
            let p = parts.next().ok_or_else(err)?;
            if p.is_empty() || p.len() > 2 || !p.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(err());
            }
            *o = u8::from_str_radix(p, 16).map_err(|_| err())?;
        }
        if parts.next().is_some() { Err(err()) } else { Ok(EthAddr(out)) }
    }
}

impl Serialize for EthAddr {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EthAddr {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<EthAddr, D::Error> {
        let s = std::borrow::Cow::<str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

/// Octets of an Ethernet header without tags.
pub const ETH_HEADER_LEN: usize = 14;

/// EtherType values in host byte order.
pub struct EtherType;

impl EtherType {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// RARP (RFC 903).
    pub const RARP: u16 = 0x8035;
    /// MPLS unicast (RFC 3032).
    pub const MPLS: u16 = 0x8847;
    /// MPLS multicast (RFC 5332).
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// IEEE 802.1Q C-tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.3 Slow Protocols: LACP and marker.
    pub const SLOW: u16 = 0x8809;
    /// IEEE 802.1ad S-tag.
    pub const VLAN_8021AD: u16 = 0x88a8;
    /// Stands for "no Ethernet type" in a flow key: an IEEE 802.2 frame without SNAP type.
    pub const NONE: u16 = 0x05ff;
    /// IEEE 802.1ag connectivity fault management.
    pub const CFM: u16 = 0x8902;
}
