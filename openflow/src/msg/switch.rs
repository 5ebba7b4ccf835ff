//! The switch as a whole, and its relation to a controller.

use crate::error::{ErrorCode, OfError};
use crate::msg::PortDesc;

/// Something is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMsg {
    /// What; `None` if the numbers are not known.
    pub error: Option<OfError>,
    /// As it was sent; to send, it is worked out from `error` when there is one.
    pub code: ErrorCode,
    /// The beginning of the message; for a failed hello a text.
    pub data: Vec<u8>,
}

impl ErrorMsg {
    /// The answer to `request`, which is returned as far as there is room.
    pub fn reply(error: OfError, request: &[u8]) -> ErrorMsg {
        // Header, type, code, and those of a vendor.
        const HEADERS: usize = 8 + 16;
        let data = request[..request.len().min(usize::from(u16::MAX) - HEADERS)].to_vec();
        ErrorMsg { error: Some(error), code: ErrorCode { vendor: 0, typ: 0, code: 0 }, data }
    }
}

/// What a switch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Datapath identifier: 48 bits of Ethernet address below 16 bits of the implementer's choice.
    pub datapath_id: u64,
    /// Packets that the switch can buffer.
    pub n_buffers: u32,
    /// Number of flow tables.
    pub n_tables: u8,
    /// 1.3 and later.
    pub auxiliary_id: u8,
    /// `OFPC_*` as sent.
    pub capabilities: u32,
    /// 1.0: bits of `OFPAT_*`.
    pub actions: u32,
    /// Before 1.3.
    pub ports: Vec<PortDesc>,
}

impl Features {
    /// Bits of `capabilities`.
    pub const FLOW_STATS: u32 = 1;
    /// The switch counts table lookups.
    pub const TABLE_STATS: u32 = 1 << 1;
    /// The switch counts port packets.
    pub const PORT_STATS: u32 = 1 << 2;
    /// The switch counts group packets (1.1).
    pub const GROUP_STATS: u32 = 1 << 3;
    /// The switch counts queue packets.
    pub const QUEUE_STATS: u32 = 1 << 6;
    /// 1.0: 802.1D; later bits of group and blocking.
    pub const ARP_MATCH_IP: u32 = 1 << 7;
}

/// How a switch treats a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// 0: fragments as packets, 1: drop, 2: reassemble, 3: Nicira's matching of `nw_frag`;
    /// 4: tell of expired times to live (before 1.3).
    pub flags: u16,
    /// Octets of a missed packet to send.
    pub miss_send_len: u16,
}

impl Config {
    /// The bits of `flags` that concern fragments.
    pub const FRAG_MASK: u16 = 3;
    /// Send packets with an invalid time to live to the controller (1.1 and 1.2).
    pub const INVALID_TTL_TO_CONTROLLER: u16 = 4;
}

/// A controller's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Report the role, change nothing.
    NoChange,
    /// Full access, shared with others.
    Equal,
    /// Full access, at most one controller ("master" before 1.5).
    Primary,
    /// Read-only access ("slave" before 1.5).
    Secondary,
}

impl Role {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Role::NoChange => "nochange",
            Role::Equal => "equal",
            Role::Primary => "primary",
            Role::Secondary => "secondary",
        }
    }
}

/// A controller asks for a role, and is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleRequest {
    /// The role asked for or held.
    pub role: Role,
    /// `None` in the old form of Nicira's.
    pub generation: Option<u64>,
    /// In Nicira's form, which is the only one before 1.2.
    pub nx: bool,
}

/// A controller lost its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleStatus {
    /// The new role.
    pub role: Role,
    /// 0: another became primary, 1: configuration, 2: experimenter.
    pub reason: u8,
    /// The generation of the last role request.
    pub generation: u64,
}

/// Which messages a controller wants unasked: for each kind a bit for each reason, first for the
/// roles primary and equal, then for secondary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsyncMasks {
    /// Packet-in, by [`PacketInReason`](crate::action::PacketInReason).
    pub packet_in: [u32; 2],
    /// Port status, by [`PortReason`](crate::msg::PortReason).
    pub port_status: [u32; 2],
    /// Flow removed, by [`FlowRemovedReason`](crate::msg::FlowRemovedReason).
    pub flow_removed: [u32; 2],
    /// Role status, by reason (1.4).
    pub role_status: [u32; 2],
    /// Table status, by reason (1.4).
    pub table_status: [u32; 2],
    /// Requestforward, by reason (1.4).
    pub request_forward: [u32; 2],
    /// In one of Nicira's forms.
    pub nx: bool,
    /// Bits of the kinds that a message with properties named, in the order of the fields above,
    /// primary first; the others keep what they had. All set in the older forms.
    pub named: u16,
}

/// Who made the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desc {
    /// Manufacturer.
    pub manufacturer: String,
    /// Hardware description.
    pub hardware: String,
    /// Software description.
    pub software: String,
    /// Serial number.
    pub serial: String,
    /// Of the bridge, for people.
    pub datapath: String,
}
