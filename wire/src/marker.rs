//! Marker PDUs: IEEE 802.1AX-2014 clause 6.5.3.3.
//!
//! What is parsed and emitted here starts at the subtype octet, after the Ethernet header with
//! type 0x8809, as in [`crate::lacp`].

use crate::EthAddr;
use crate::frame::{from_pnet, to_pnet};
use crate::lacp::SUBTYPE_MARKER;
use format::{MarkerPacket, MutableMarkerPacket};

/// Octets of a Marker PDU from its subtype on.
pub const MARKER_LEN: usize = 110;

const VERSION: u8 = 1;
const TLV_LEN: u8 = 16;

/// The TLV type of a Marker PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MarkerKind {
    /// Marker Information (type 1), which asks for a response.
    Information,
    /// Marker Response (type 2).
    Response,
}

/// One Marker PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// A question or its answer.
    pub kind: MarkerKind,
    /// Port number of the system that asked.
    pub requester_port: u16,
    /// The system that asked.
    pub requester_system: EthAddr,
    /// Chosen by the system that asked; the answer repeats it.
    pub transaction: u32,
}

/// Why the octets are not a Marker PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MarkerError {
    /// Shorter than a Marker PDU.
    #[error("{len} octets, fewer than the {MARKER_LEN} of a marker PDU")]
    TooShort {
        /// Octets that came.
        len: usize,
    },
    /// Another Slow Protocol; its subtype.
    #[error("Slow Protocols subtype {0}, not 2 (marker)")]
    Subtype(u8),
    /// The first TLV is neither that of a question nor that of an answer.
    #[error("marker TLV has type {typ} and length {len}, not 1 or 2 and 16")]
    Tlv {
        /// TLV type.
        typ: u8,
        /// TLV length, in octets.
        len: u8,
    },
}

impl Marker {
    /// Reads a PDU. Octets after the 110th are ignored, as is the version.
    pub fn parse(octets: &[u8]) -> Result<Marker, MarkerError> {
        let len = octets.len();
        let Some(p) = octets.get(..MARKER_LEN).and_then(MarkerPacket::new) else {
            return Err(MarkerError::TooShort { len });
        };
        if p.get_subtype() != SUBTYPE_MARKER {
            return Err(MarkerError::Subtype(p.get_subtype()));
        }
        let kind = match (p.get_tlv_type(), p.get_tlv_len()) {
            (1, TLV_LEN) => MarkerKind::Information,
            (2, TLV_LEN) => MarkerKind::Response,
            (typ, len) => return Err(MarkerError::Tlv { typ, len }),
        };
        Ok(Marker {
            kind,
            requester_port: p.get_requester_port(),
            requester_system: from_pnet(p.get_requester_system()),
            transaction: p.get_transaction(),
        })
    }

    /// The PDU's octets, [`MARKER_LEN`] of them; padding, reserved octets and the terminator are
    /// zero.
    pub fn emit(&self) -> Vec<u8> {
        let mut buf = vec![0; MARKER_LEN];
        let mut p = MutableMarkerPacket::new(&mut buf).expect("the buffer holds a marker PDU");
        p.set_subtype(SUBTYPE_MARKER);
        p.set_version(VERSION);
        p.set_tlv_type(match self.kind {
            MarkerKind::Information => 1,
            MarkerKind::Response => 2,
        });
        p.set_tlv_len(TLV_LEN);
        p.set_requester_port(self.requester_port);
        p.set_requester_system(to_pnet(self.requester_system));
        p.set_transaction(self.transaction);
        buf
    }
}

/// The octets, in the words of figure 6-26.
// The macro's output is not under our control.
#[allow(unreachable_pub, unused, clippy::all, clippy::undocumented_unsafe_blocks)]
mod format {
    use pnet_base::MacAddr;
    use pnet_macros::packet;
    use pnet_macros_support::types::*;

    #[packet]
    pub struct Marker {
        pub subtype: u8,
        pub version: u8,
        pub tlv_type: u8,
        pub tlv_len: u8,
        pub requester_port: u16be,
        #[construct_with(u8, u8, u8, u8, u8, u8)]
        pub requester_system: MacAddr,
        pub transaction: u32be,
        // Padding, the terminator TLV, reserved octets.
        #[payload]
        pub rest: Vec<u8>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Marker {
        Marker {
            kind: MarkerKind::Information,
            requester_port: 0x0102,
            requester_system: EthAddr([2, 3, 4, 5, 6, 7]),
            transaction: 0x0a0b_0c0d,
        }
    }

    /// Every field at the offset that figure 6-26 gives it.
    #[test]
    fn marker_fields_are_at_standard_offsets() {
        let b = sample().emit();
        assert_eq!(b.len(), 110);
        assert_eq!(b[..4], [2, 1, 1, 16]);
        assert_eq!(b[4..16], [1, 2, 2, 3, 4, 5, 6, 7, 0x0a, 0x0b, 0x0c, 0x0d]);
        assert!(b[16..].iter().all(|&o| o == 0));
        assert_eq!(Marker::parse(&b), Ok(sample()));
        let answer = Marker { kind: MarkerKind::Response, ..sample() };
        assert_eq!(answer.emit()[2], 2);
        assert_eq!(Marker::parse(&answer.emit()), Ok(answer));
    }

    #[test]
    fn parse_invalid_pdu_returns_reason() {
        let good = sample().emit();
        let with = |at: usize, v: u8| {
            let mut b = good.clone();
            b[at] = v;
            Marker::parse(&b)
        };
        assert_eq!(Marker::parse(&good[..109]), Err(MarkerError::TooShort { len: 109 }));
        assert_eq!(Marker::parse(&[]), Err(MarkerError::TooShort { len: 0 }));
        assert_eq!(with(0, 1), Err(MarkerError::Subtype(1)));
        assert_eq!(with(2, 3), Err(MarkerError::Tlv { typ: 3, len: 16 }));
        assert_eq!(with(3, 15), Err(MarkerError::Tlv { typ: 1, len: 15 }));
        // A later version is not fatal.
        assert_eq!(with(1, 2), Ok(sample()));
    }
}
