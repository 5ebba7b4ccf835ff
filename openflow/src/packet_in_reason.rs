//! Reasons of packet-in messages.

use crate::version::Version;

/// Why a packet goes to a controller (`ofp_packet_in_reason`). 6 and 7 are internal: a table miss
/// with and without a table-miss flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketInReason(pub u8);

impl PacketInReason {
    /// No flow matched (`OFPR_NO_MATCH`; a table-miss flow since 1.4).
    pub const NO_MATCH: PacketInReason = PacketInReason(0);
    /// An output action to the controller (`OFPR_ACTION`; `OFPR_APPLY_ACTION` since 1.4).
    pub const ACTION: PacketInReason = PacketInReason(1);
    /// The packet's time to live is invalid (`OFPR_INVALID_TTL`, 1.2).
    pub const INVALID_TTL: PacketInReason = PacketInReason(2);
    /// An output in the action set (`OFPR_ACTION_SET`, 1.4).
    pub const ACTION_SET: PacketInReason = PacketInReason(3);
    /// An output in a group bucket (`OFPR_GROUP`, 1.4).
    pub const GROUP: PacketInReason = PacketInReason(4);
    /// An output of a packet-out (`OFPR_PACKET_OUT`, 1.4).
    pub const PACKET_OUT: PacketInReason = PacketInReason(5);
    /// A table-miss flow sent it; internal, never on the wire.
    pub const EXPLICIT_MISS: PacketInReason = PacketInReason(6);
    /// No flow matched and there is no table-miss flow; internal, never on the wire.
    pub const IMPLICIT_MISS: PacketInReason = PacketInReason(7);

    const NAMES: [&str; 6] =
        ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

    /// The reason with this name, in any case.
    pub fn from_name(s: &str) -> Option<PacketInReason> {
        let n = PacketInReason::NAMES.iter().position(|n| n.eq_ignore_ascii_case(s))?;
        Some(PacketInReason(n as u8))
    }

    /// The reason to send in this version: those since 1.4 map to older ones before.
    pub fn for_version(self, v: Version) -> PacketInReason {
        match self {
            PacketInReason::EXPLICIT_MISS if v < Version::V13 => PacketInReason::ACTION,
            PacketInReason::EXPLICIT_MISS | PacketInReason::IMPLICIT_MISS => {
                PacketInReason::NO_MATCH
            }
            PacketInReason::ACTION_SET | PacketInReason::GROUP | PacketInReason::PACKET_OUT
                if v < Version::V14 =>
            {
                PacketInReason::ACTION
            }
            other => other,
        }
    }
}

impl std::fmt::Display for PacketInReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0, PacketInReason::NAMES.get(usize::from(self.0))) {
            (_, Some(name)) => f.write_str(name),
            (6 | 7, None) => Ok(()),
            (n, None) => write!(f, "{n}"),
        }
    }
}
