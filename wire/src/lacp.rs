//! LACPDUs: IEEE 802.1AX-2014 clause 6.4.2.3.
//!
//! What is parsed and emitted here starts at the subtype octet, after the Ethernet header with
//! type 0x8809. A [`Lacpdu`] in hand has passed the checks of [`Lacpdu::parse`]; nothing in it
//! can be malformed.

use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::vlan::VlanPacket;
use serde::Serialize;

use crate::frame::{ethernet, from_pnet, to_pnet};
use crate::{EthAddr, EtherType};
use format::{LacpduPacket, MutableLacpduPacket};

/// Octets of an LACPDU from its subtype on.
pub const LACPDU_LEN: usize = 110;

/// Slow Protocols subtype of LACP (IEEE 802.3 annex 57A).
pub const SUBTYPE_LACP: u8 = 1;
/// Slow Protocols subtype of the marker protocol.
pub const SUBTYPE_MARKER: u8 = 2;

const VERSION: u8 = 1;
const TLV_ACTOR: (u8, u8) = (1, 20);
const TLV_PARTNER: (u8, u8) = (2, 20);
const TLV_COLLECTOR: (u8, u8) = (3, 16);

/// Bits of [`PortInfo::state`] (clause 6.4.2.3, item m).
pub mod state {
    /// Active, else passive.
    pub const ACTIVITY: u8 = 0x01;
    /// Short time-out, else long.
    pub const TIMEOUT: u8 = 0x02;
    /// May be aggregated, else individual.
    pub const AGGREGATION: u8 = 0x04;
    /// Attached to the right aggregator.
    pub const SYNCHRONIZATION: u8 = 0x08;
    /// Accepts frames.
    pub const COLLECTING: u8 = 0x10;
    /// Sends frames.
    pub const DISTRIBUTING: u8 = 0x20;
    /// Works with default partner information: it has heard of no partner.
    pub const DEFAULTED: u8 = 0x40;
    /// Its partner information is out of date.
    pub const EXPIRED: u8 = 0x80;
}

/// What one end says of itself (actor), or of the other (partner).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct PortInfo {
    /// Lower is preferred.
    pub system_priority: u16,
    /// System identifier.
    pub system: EthAddr,
    /// Ports of one system with equal keys may be aggregated.
    pub key: u16,
    /// Lower is preferred.
    pub port_priority: u16,
    /// Port number, unique in its system.
    pub port: u16,
    /// Bits of [`state`].
    pub state: u8,
}

/// One LACPDU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Lacpdu {
    /// The sender.
    pub actor: PortInfo,
    /// What the sender believes of the receiver.
    pub partner: PortInfo,
    /// In tens of microseconds. 0 when the collector TLV is missing from a parsed PDU: nothing
    /// here depends on the value, so such a PDU is accepted.
    pub collector_max_delay: u16,
}

/// Why the octets are not an LACPDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LacpError {
    /// Shorter than an LACPDU.
    #[error("{len} octets, fewer than the {LACPDU_LEN} of an LACPDU")]
    TooShort {
        /// Octets that came.
        len: usize,
    },
    /// Well formed as far as anyone looks, but of the marker protocol.
    #[error("a marker PDU, not an LACPDU")]
    Marker,
    /// Another Slow Protocol; its subtype.
    #[error("Slow Protocols subtype {0}, not 1 (LACP)")]
    Subtype(u8),
    /// The first TLV is not that of the actor.
    #[error("actor TLV has type {typ} and length {len}, not 1 and 20")]
    Actor {
        /// TLV type.
        typ: u8,
        /// TLV length, in octets.
        len: u8,
    },
    /// The second TLV is not that of the partner.
    #[error("partner TLV has type {typ} and length {len}, not 2 and 20")]
    Partner {
        /// TLV type.
        typ: u8,
        /// TLV length, in octets.
        len: u8,
    },
}

impl Lacpdu {
    /// Reads a PDU. Octets after the 110th are ignored, as is the version: a later version's PDU
    /// is read as version 1 (clause 6.4.12).
    pub fn parse(octets: &[u8]) -> Result<Lacpdu, LacpError> {
        let len = octets.len();
        let Some(p) = octets.get(..LACPDU_LEN).and_then(LacpduPacket::new) else {
            return Err(LacpError::TooShort { len });
        };
        match p.get_subtype() {
            SUBTYPE_LACP => {}
            SUBTYPE_MARKER => return Err(LacpError::Marker),
            other => return Err(LacpError::Subtype(other)),
        }
        let (typ, len) = (p.get_actor_type(), p.get_actor_len());
        if (typ, len) != TLV_ACTOR {
            return Err(LacpError::Actor { typ, len });
        }
        let (typ, len) = (p.get_partner_type(), p.get_partner_len());
        if (typ, len) != TLV_PARTNER {
            return Err(LacpError::Partner { typ, len });
        }
        let collector = (p.get_collector_type(), p.get_collector_len()) == TLV_COLLECTOR;
        Ok(Lacpdu {
            actor: PortInfo {
                system_priority: p.get_actor_system_priority(),
                system: from_pnet(p.get_actor_system()),
                key: p.get_actor_key(),
                port_priority: p.get_actor_port_priority(),
                port: p.get_actor_port(),
                state: p.get_actor_state(),
            },
            partner: PortInfo {
                system_priority: p.get_partner_system_priority(),
                system: from_pnet(p.get_partner_system()),
                key: p.get_partner_key(),
                port_priority: p.get_partner_port_priority(),
                port: p.get_partner_port(),
                state: p.get_partner_state(),
            },
            collector_max_delay: if collector { p.get_collector_max_delay() } else { 0 },
        })
    }

    /// The PDU's octets, [`LACPDU_LEN`] of them; reserved ones and the terminator are zero.
    pub fn emit(&self) -> Vec<u8> {
        let mut buf = vec![0; LACPDU_LEN];
        let mut p = MutableLacpduPacket::new(&mut buf).expect("the buffer holds an LACPDU");
        p.set_subtype(SUBTYPE_LACP);
        p.set_version(VERSION);

        p.set_actor_type(TLV_ACTOR.0);
        p.set_actor_len(TLV_ACTOR.1);
        p.set_actor_system_priority(self.actor.system_priority);
        p.set_actor_system(to_pnet(self.actor.system));
        p.set_actor_key(self.actor.key);
        p.set_actor_port_priority(self.actor.port_priority);
        p.set_actor_port(self.actor.port);
        p.set_actor_state(self.actor.state);

        p.set_partner_type(TLV_PARTNER.0);
        p.set_partner_len(TLV_PARTNER.1);
        p.set_partner_system_priority(self.partner.system_priority);
        p.set_partner_system(to_pnet(self.partner.system));
        p.set_partner_key(self.partner.key);
        p.set_partner_port_priority(self.partner.port_priority);
        p.set_partner_port(self.partner.port);
        p.set_partner_state(self.partner.state);

        p.set_collector_type(TLV_COLLECTOR.0);
        p.set_collector_len(TLV_COLLECTOR.1);
        p.set_collector_max_delay(self.collector_max_delay);
        buf
    }

    /// A whole frame: Ethernet header to the Slow Protocols address, then the PDU (124 octets).
    pub fn frame(&self, src: EthAddr) -> Vec<u8> {
        slow_frame(src, &self.emit())
    }
}

/// A frame from `src` to the Slow Protocols address with `payload`, which begins at the subtype.
pub fn slow_frame(src: EthAddr, payload: &[u8]) -> Vec<u8> {
    ethernet(EthAddr::SLOW_PROTOCOLS, src, &[], EtherType::SLOW, payload)
}

/// The payload of a Slow Protocols frame, from the subtype on; `None` for any other frame. A
/// priority tag (VID 0) is skipped, as Linux does for packet sockets; a frame in a VLAN is no Slow
/// Protocols frame.
pub fn slow_payload(frame: &[u8]) -> Option<&[u8]> {
    const ETH: usize = EthernetPacket::minimum_packet_size();
    const TAG: usize = VlanPacket::minimum_packet_size();
    match EthernetPacket::new(frame)?.get_ethertype().0 {
        EtherType::SLOW => frame.get(ETH..),
        EtherType::VLAN => {
            let tag = VlanPacket::new(frame.get(ETH..)?)?;
            let slow = tag.get_vlan_identifier() == 0 && tag.get_ethertype().0 == EtherType::SLOW;
            if slow { frame.get(ETH + TAG..) } else { None }
        }
        _ => None,
    }
}

/// The octets, in the words of figure 6-7.
// The macro's output is not under our control.
#[allow(unreachable_pub, unused, clippy::all, clippy::undocumented_unsafe_blocks)]
mod format {
    use pnet_base::MacAddr;
    use pnet_macros::packet;
    use pnet_macros_support::types::*;

    #[packet]
    pub struct Lacpdu {
        pub subtype: u8,
        pub version: u8,
        pub actor_type: u8,
        pub actor_len: u8,
        pub actor_system_priority: u16be,
        #[construct_with(u8, u8, u8, u8, u8, u8)]
        pub actor_system: MacAddr,
        pub actor_key: u16be,
        pub actor_port_priority: u16be,
        pub actor_port: u16be,
        pub actor_state: u8,
        pub actor_reserved: u24be,
        pub partner_type: u8,
        pub partner_len: u8,
        pub partner_system_priority: u16be,
        #[construct_with(u8, u8, u8, u8, u8, u8)]
        pub partner_system: MacAddr,
        pub partner_key: u16be,
        pub partner_port_priority: u16be,
        pub partner_port: u16be,
        pub partner_state: u8,
        pub partner_reserved: u24be,
        pub collector_type: u8,
        pub collector_len: u8,
        pub collector_max_delay: u16be,
        // Reserved octets, the terminator TLV, padding.
        #[payload]
        pub rest: Vec<u8>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Lacpdu {
        Lacpdu {
            actor: PortInfo {
                system_priority: 0xfffe,
                system: EthAddr([0xaa, 0x66, 0xaa, 0x66, 0, 1]),
                key: 0x0102,
                port_priority: 0x8000,
                port: 7,
                state: state::ACTIVITY | state::AGGREGATION | state::SYNCHRONIZATION,
            },
            partner: PortInfo {
                system_priority: 1,
                system: EthAddr([2, 3, 4, 5, 6, 7]),
                key: 0x0304,
                port_priority: 0x0506,
                port: 0x0708,
                state: state::EXPIRED | state::TIMEOUT,
            },
            collector_max_delay: 0x1234,
        }
    }

    /// Every field at the offset that figure 6-7 gives it.
    #[test]
    fn lacpdu_fields_are_at_standard_offsets() {
        let b = sample().emit();
        assert_eq!(b.len(), 110);
        assert_eq!(b[..4], [1, 1, 1, 20]);
        assert_eq!(b[4..6], [0xff, 0xfe]);
        assert_eq!(b[6..12], [0xaa, 0x66, 0xaa, 0x66, 0, 1]);
        assert_eq!(b[12..19], [1, 2, 0x80, 0, 0, 7, 0x0d]);
        assert_eq!(b[19..24], [0, 0, 0, 2, 20]);
        assert_eq!(b[24..39], [0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 7, 8, 0x82]);
        assert_eq!(b[39..46], [0, 0, 0, 3, 16, 0x12, 0x34]);
        assert!(b[46..].iter().all(|&o| o == 0));
        assert_eq!(Lacpdu::parse(&b), Ok(sample()));
        assert_eq!(sample().frame(EthAddr::ZERO).len(), 124);
    }

    #[test]
    fn parse_invalid_pdu_returns_reason() {
        let good = sample().emit();
        let with = |at: usize, v: u8| {
            let mut b = good.clone();
            b[at] = v;
            Lacpdu::parse(&b)
        };
        assert_eq!(Lacpdu::parse(&good[..109]), Err(LacpError::TooShort { len: 109 }));
        assert_eq!(Lacpdu::parse(&[]), Err(LacpError::TooShort { len: 0 }));
        assert_eq!(with(0, 2), Err(LacpError::Marker));
        assert_eq!(with(0, 10), Err(LacpError::Subtype(10)));
        assert_eq!(with(2, 9), Err(LacpError::Actor { typ: 9, len: 20 }));
        assert_eq!(with(3, 19), Err(LacpError::Actor { typ: 1, len: 19 }));
        assert_eq!(with(22, 1), Err(LacpError::Partner { typ: 1, len: 20 }));
        assert_eq!(with(23, 0), Err(LacpError::Partner { typ: 2, len: 0 }));
        // A later version and a broken collector TLV are not fatal.
        assert_eq!(with(1, 2), Ok(sample()));
        assert_eq!(with(42, 0), Ok(Lacpdu { collector_max_delay: 0, ..sample() }));
        // Trailing octets (a frame check sequence, padding) are ignored.
        let mut long = good.clone();
        long.extend([0xff; 18]);
        assert_eq!(Lacpdu::parse(&long), Ok(sample()));
    }

    #[test]
    fn slow_payload_skips_priority_tag_only() {
        let frame = slow_frame(EthAddr([2, 0, 0, 0, 0, 1]), &[1; LACPDU_LEN]);
        assert_eq!(slow_payload(&frame), Some(&[1; LACPDU_LEN][..]));
        let tagged = |tag: [u8; 4]| [&frame[..12], &tag, &frame[12..]].concat();
        assert_eq!(slow_payload(&tagged([0x81, 0, 0xe0, 0])), Some(&[1; LACPDU_LEN][..]));
        assert_eq!(slow_payload(&tagged([0x81, 0, 0, 5])), None);
        assert_eq!(slow_payload(&tagged([0x81, 0, 1, 0])), None);
        assert_eq!(slow_payload(&tagged([0x88, 0xa8, 0, 5])), None);
        assert_eq!(slow_payload(&tagged([0x81, 0, 0, 0])[..15]), None);
        assert_eq!(slow_payload(&frame[..13]), None);
        assert_eq!(slow_payload(&[0; 60]), None);
        assert_eq!(slow_payload(&[]), None);
    }
}
