//! Which messages a controller is sent unasked: for each kind a bit for each reason, by role.

use openflow::msg::AsyncMasks;
use openflow::{OfError, Version};

/// Kinds, by their places among those that messages name: a role that was taken (3) is told
/// whatever the masks say, and nothing is forwarded (5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsyncKind {
    PacketIn = 0,
    PortStatus = 1,
    FlowRemoved = 2,
    TableStatus = 4,
}

/// Reasons of packets: 0 miss, 1 action, 2 TTL, 3 to 5 refine the action (1.4), 6 and 7 are the
/// switch's own: a miss that a flow sent, and one that no flow met.
const PACKET_IN_10: u32 = 0b111;
const PACKET_IN_14: u32 = 0b11_1111;
const NO_MATCH: u32 = 1;
const ACTION: u32 = 1 << 1;
const INVALID_TTL: u32 = 1 << 2;
const REFINED: u32 = 0b11_1000;
const EXPLICIT_MISS: u32 = 1 << 6;
const IMPLICIT_MISS: u32 = 1 << 7;

/// For each kind first primary and equal, then secondary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AsyncConfig([[u32; 2]; 6]);

/// The reasons that a message of `version` may name.
fn allowed(kind: usize, version: Version) -> u32 {
    match kind {
        0 if version >= Version::V14 => PACKET_IN_14,
        0 => PACKET_IN_10,
        1 => 0b111,
        2 => 0b11_1111,
        3 => 0b111,
        // Vacancy down and up.
        4 => 0b1_1000,
        _ => 0b11,
    }
}

impl AsyncConfig {
    pub(super) const NOTHING: AsyncConfig = AsyncConfig([[0; 2]; 6]);

    /// The messages for a controller that has not asked for any (Open vSwitch's; the standard leaves it
    /// open).
    pub(super) fn default_for(version: Version) -> AsyncConfig {
        let mut packets = PACKET_IN_14 & !INVALID_TTL | EXPLICIT_MISS;
        if version < Version::V13 {
            packets |= IMPLICIT_MISS;
        }
        let removed = match version {
            Version::V10 | Version::V11 | Version::V12 => 0b111,
            Version::V13 => 0b1111,
            Version::V14 | Version::V15 => 0b11_1111,
        };
        AsyncConfig([[packets, 0], [0b111, 0b111], [removed, 0], [0, 0], [0, 0], [0, 0]])
    }

    pub(super) fn has(&self, kind: AsyncKind, secondary: bool, reason: u8) -> bool {
        reason < 32 && self.0[kind as usize][usize::from(secondary)] & 1 << reason != 0
    }

    pub(super) fn invalid_ttl(&self) -> bool {
        self.0[0][0] & INVALID_TTL != 0
    }

    pub(super) fn set_invalid_ttl(&mut self, on: bool) {
        self.0[0][0] = if on { self.0[0][0] | INVALID_TTL } else { self.0[0][0] & !INVALID_TTL };
    }

    /// Takes over what a message says. The kinds that it does not name keep what they had; in the
    /// older form those that it cannot name go off.
    pub(super) fn set(
        &mut self,
        m: &AsyncMasks,
        version: Version,
        properties: bool,
    ) -> Result<(), OfError> {
        let new = [
            m.packet_in,
            m.port_status,
            m.flow_removed,
            m.role_status,
            m.table_status,
            m.request_forward,
        ];
        let mut to = if properties { *self } else { AsyncConfig::NOTHING };
        for (kind, (to, new)) in to.0.iter_mut().zip(new).enumerate() {
            for (slot, (to, new)) in to.iter_mut().zip(new).enumerate() {
                if m.named & 1 << (kind * 2 + slot) == 0 {
                    continue;
                }
                let allowed = allowed(kind, version);
                // The older form never had an error for it.
                if properties && new & !allowed != 0 {
                    return Err(OfError::AcfcInvalid);
                }
                *to = new & allowed;
                if kind == 0 && new & NO_MATCH != 0 {
                    *to |= EXPLICIT_MISS;
                    if version < Version::V13 {
                        *to |= IMPLICIT_MISS;
                    }
                }
            }
        }
        to.refine(version);
        *self = to;
        Ok(())
    }

    /// Before 1.4 one reason stands for all that actions send.
    pub(super) fn refine(&mut self, version: Version) {
        if version < Version::V14 {
            for mask in &mut self.0[0] {
                if *mask & ACTION != 0 {
                    *mask |= REFINED;
                }
            }
        }
    }

    /// As `version` can express it.
    pub(super) fn message(&self, version: Version) -> AsyncMasks {
        let mut out = self.0;
        for (kind, masks) in out.iter_mut().enumerate() {
            for mask in masks {
                *mask &= allowed(kind, version);
            }
        }
        let [packet_in, port_status, flow_removed, role_status, table_status, request_forward] =
            out;
        AsyncMasks {
            packet_in,
            port_status,
            flow_removed,
            role_status,
            table_status,
            request_forward,
            nx: false,
            named: 0xfff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn async_defaults_depend_on_version() {
        let m = AsyncConfig::default_for(Version::V10);
        assert!(m.has(AsyncKind::PacketIn, false, 0) && !m.has(AsyncKind::PacketIn, true, 0));
        assert!(m.has(AsyncKind::PacketIn, false, 7) && !m.invalid_ttl());
        assert!(m.has(AsyncKind::PortStatus, true, 2));
        assert!(!AsyncConfig::default_for(Version::V13).has(AsyncKind::PacketIn, false, 7));
        assert!(AsyncConfig::default_for(Version::V13).has(AsyncKind::FlowRemoved, false, 3));
    }

    #[test]
    fn async_masks_set_and_read_back() {
        let old = AsyncMasks { packet_in: [0xff, 1], named: 0x3f, ..AsyncMasks::default() };
        let mut m = AsyncConfig::default_for(Version::V10);
        assert_eq!(m.set(&old, Version::V10, false), Ok(()));
        assert_eq!(m.0[0], [0b1111_1111, 0b1100_0001]);
        assert_eq!(m.0[1], [0, 0]);
        assert_eq!(m.message(Version::V13).packet_in, [7, 1]);
        let new = AsyncMasks { port_status: [0, 8], named: 1 << 3, ..AsyncMasks::default() };
        assert_eq!(m.set(&new, Version::V14, true), Err(OfError::AcfcInvalid));
        let new = AsyncMasks { port_status: [0, 4], named: 1 << 3, ..AsyncMasks::default() };
        assert_eq!(m.set(&new, Version::V14, true), Ok(()));
        assert_eq!(m.0[1], [0, 4]);
        assert_eq!(m.0[0][0], 0b1111_1111);
    }
}
