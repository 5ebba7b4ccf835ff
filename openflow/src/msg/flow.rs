//! Flows: adding, changing, removing, counting and watching them.

use crate::action::Action;
use crate::field::Match;
use crate::ofport::OfPort;

/// Any group.
pub const GROUP_ANY: u32 = 0xffff_ffff;

/// What to do with flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowModCommand {
    /// `OFPFC_ADD`: add a flow, in place of one with the same match and priority.
    Add,
    /// `OFPFC_MODIFY`: change the actions of the flows that the match covers.
    Modify,
    /// `OFPFC_MODIFY_STRICT`: change the actions of the flow with this match and priority.
    ModifyStrict,
    /// `OFPFC_DELETE`: delete the flows that the match covers.
    Delete,
    /// `OFPFC_DELETE_STRICT`: delete the flow with this match and priority.
    DeleteStrict,
}

impl FlowModCommand {
    /// The number on the wire, the same in all versions.
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// The command with this number.
    pub fn from_wire(v: u8) -> Option<FlowModCommand> {
        const ALL: [FlowModCommand; 5] = [
            FlowModCommand::Add,
            FlowModCommand::Modify,
            FlowModCommand::ModifyStrict,
            FlowModCommand::Delete,
            FlowModCommand::DeleteStrict,
        ];
        ALL.get(usize::from(v)).copied()
    }

    /// Whether it deletes flows.
    pub const fn is_delete(self) -> bool {
        matches!(self, FlowModCommand::Delete | FlowModCommand::DeleteStrict)
    }

    /// Only the flow with this match and priority.
    pub const fn is_strict(self) -> bool {
        matches!(self, FlowModCommand::ModifyStrict | FlowModCommand::DeleteStrict)
    }
}

/// A flow's flags; the numbers are our own, each version has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowFlags(pub u16);

impl FlowFlags {
    /// Send a flow-removed message when the flow expires or is deleted.
    pub const SEND_FLOW_REM: FlowFlags = FlowFlags(1);
    /// Refuse the flow if it overlaps one of the same priority.
    pub const CHECK_OVERLAP: FlowFlags = FlowFlags(2);
    /// Reset the counters of a modified flow (1.2; implied before).
    pub const RESET_COUNTS: FlowFlags = FlowFlags(4);
    /// The switch need not count packets (1.3).
    pub const NO_PKT_COUNTS: FlowFlags = FlowFlags(8);
    /// The switch need not count octets (1.3).
    pub const NO_BYT_COUNTS: FlowFlags = FlowFlags(16);

    /// As in commands, in the order in which they are shown.
    pub const NAMES: [(FlowFlags, &'static str); 5] = [
        (FlowFlags::SEND_FLOW_REM, "send_flow_rem"),
        (FlowFlags::CHECK_OVERLAP, "check_overlap"),
        (FlowFlags::RESET_COUNTS, "reset_counts"),
        (FlowFlags::NO_PKT_COUNTS, "no_packet_counts"),
        (FlowFlags::NO_BYT_COUNTS, "no_byte_counts"),
    ];

    /// Whether a bit of `flag` is set.
    pub const fn has(self, flag: FlowFlags) -> bool {
        self.0 & flag.0 != 0
    }

    /// With the bits of `flag` set.
    #[must_use]
    pub const fn with(self, flag: FlowFlags) -> FlowFlags {
        FlowFlags(self.0 | flag.0)
    }

    /// With the bits of `flag` cleared.
    #[must_use]
    pub const fn without(self, flag: FlowFlags) -> FlowFlags {
        FlowFlags(self.0 & !flag.0)
    }
}

/// A command to change the flow table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMod {
    /// The operation.
    pub command: FlowModCommand,
    /// The match.
    pub matching: Match,
    /// Priority, 0 to 65535; higher ones win.
    pub priority: u16,
    /// Of flows to change or delete: the bits of their cookie in `cookie_mask`.
    pub cookie: u64,
    /// The bits of `cookie` to compare; 0: any cookie (1.1).
    pub cookie_mask: u64,
    /// The cookie to give.
    pub new_cookie: u64,
    /// Whether a modification changes the cookie of flows that exist.
    pub modify_cookie: bool,
    /// 255: the switch's choice for an addition, all tables for a deletion.
    pub table_id: u8,
    /// Seconds; 0: none.
    pub idle_timeout: u16,
    /// Seconds after installation; 0: none.
    pub hard_timeout: u16,
    /// What to evict last (1.4).
    pub importance: u16,
    /// A packet the switch has kept, to send through the new flow.
    pub buffer_id: Option<u32>,
    /// Of flows to delete: they send to this port; [`OfPort::ANY`]: to any or none.
    pub out_port: OfPort,
    /// The same for a group.
    pub out_group: u32,
    /// The flow's flags.
    pub flags: FlowFlags,
    /// The actions and instructions.
    pub actions: Vec<Action>,
}

impl FlowMod {
    /// What a command without parameters means.
    pub fn new(command: FlowModCommand) -> FlowMod {
        FlowMod {
            command,
            matching: Match::default(),
            priority: 0x8000,
            cookie: 0,
            cookie_mask: 0,
            new_cookie: 0,
            modify_cookie: false,
            table_id: 255,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            buffer_id: None,
            out_port: OfPort::ANY,
            out_group: GROUP_ANY,
            flags: FlowFlags::default(),
            actions: Vec::new(),
        }
    }
}

/// Which flows to tell about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStatsRequest {
    /// In the extended form of 1.0.
    pub nxm: bool,
    /// The match that covers the flows.
    pub matching: Match,
    /// The bits of their cookie in `cookie_mask`.
    pub cookie: u64,
    /// The bits of `cookie` to compare; 0: any cookie (1.1).
    pub cookie_mask: u64,
    /// They send to this port; [`OfPort::ANY`]: any or none.
    pub out_port: OfPort,
    /// They send to this group; [`GROUP_ANY`]: any or none.
    pub out_group: u32,
    /// 255: all.
    pub table_id: u8,
}

/// What a flow is and has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStats {
    /// The flow's match.
    pub matching: Match,
    /// The flow's cookie.
    pub cookie: u64,
    /// The flow's table.
    pub table_id: u8,
    /// The flow's priority.
    pub priority: u16,
    /// Seconds since installation.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec`.
    pub duration_nsec: u32,
    /// Idle time-out in seconds; 0: none.
    pub idle_timeout: u16,
    /// Hard time-out in seconds; 0: none.
    pub hard_timeout: u16,
    /// Seconds since the last packet and the last change; `None` if not told.
    pub idle_age: Option<u32>,
    /// Seconds since the last change; `None`: not told (`NXST_FLOW` with `NXT_FLOW_AGE` only).
    pub hard_age: Option<u32>,
    /// `u64::MAX`: not known.
    pub packets: u64,
    /// Octets; `u64::MAX`: not known.
    pub bytes: u64,
    /// Importance for eviction (1.4).
    pub importance: u16,
    /// The flow's flags (1.3).
    pub flags: FlowFlags,
    /// The actions and instructions.
    pub actions: Vec<Action>,
}

/// Sums over flows; `u64::MAX`: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// Packets of all flows.
    pub packets: u64,
    /// Octets of all flows.
    pub bytes: u64,
    /// Number of flows.
    pub flows: u32,
}

/// Why a flow is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowRemovedReason {
    /// No packet for the idle time-out (`OFPRR_IDLE_TIMEOUT`).
    IdleTimeout,
    /// The hard time-out ended (`OFPRR_HARD_TIMEOUT`).
    HardTimeout,
    /// A flow_mod deleted it (`OFPRR_DELETE`).
    Delete,
    /// Its group was deleted (`OFPRR_GROUP_DELETE`, 1.3).
    GroupDelete,
    /// Its meter was deleted (`OFPRR_METER_DELETE`, 1.4).
    MeterDelete,
    /// The table was full (`OFPRR_EVICTION`, 1.4).
    Eviction,
}

impl FlowRemovedReason {
    /// All reasons, by their number on the wire.
    pub const ALL: [FlowRemovedReason; 6] = [
        FlowRemovedReason::IdleTimeout,
        FlowRemovedReason::HardTimeout,
        FlowRemovedReason::Delete,
        FlowRemovedReason::GroupDelete,
        FlowRemovedReason::MeterDelete,
        FlowRemovedReason::Eviction,
    ];

    /// The number on the wire.
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// The reason with this number.
    pub fn from_wire(v: u8) -> Option<FlowRemovedReason> {
        FlowRemovedReason::ALL.get(usize::from(v)).copied()
    }

    /// As in output.
    pub const fn name(self) -> &'static str {
        match self {
            FlowRemovedReason::IdleTimeout => "idle",
            FlowRemovedReason::HardTimeout => "hard",
            FlowRemovedReason::Delete => "delete",
            FlowRemovedReason::GroupDelete => "group_delete",
            FlowRemovedReason::MeterDelete => "meter_delete",
            FlowRemovedReason::Eviction => "eviction",
        }
    }
}

/// A flow is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRemoved {
    /// In the extended form of 1.0.
    pub nxm: bool,
    /// The flow's match.
    pub matching: Match,
    /// The flow's cookie.
    pub cookie: u64,
    /// The flow's priority.
    pub priority: u16,
    /// Why it was removed.
    pub reason: FlowRemovedReason,
    /// 255: not told.
    pub table_id: u8,
    /// Seconds from installation to removal.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec`.
    pub duration_nsec: u32,
    /// Idle time-out in seconds; 0: none.
    pub idle_timeout: u16,
    /// Hard time-out in seconds; 0: none (1.2).
    pub hard_timeout: u16,
    /// Packets that hit the flow; `u64::MAX`: not known.
    pub packets: u64,
    /// Octets of those packets; `u64::MAX`: not known.
    pub bytes: u64,
}

/// What to watch and to tell: the bits of [`FlowMonitorRequest::flags`] (`OFPFMF_*`).
pub mod monitor_flags {
    /// Report the flows that exist first.
    pub const INITIAL: u16 = 1;
    /// Report additions.
    pub const ADD: u16 = 2;
    /// Report removals.
    pub const DELETE: u16 = 4;
    /// Report changes.
    pub const MODIFY: u16 = 8;
    /// Include the actions.
    pub const ACTIONS: u16 = 16;
    /// 1.4 and later.
    pub const NO_ABBREV: u16 = 32;
    /// Nicira's and the foundation's extensions have it as 32.
    pub const OWN: u16 = 64;
    /// All bits that are known.
    pub const ALL: u16 = 127;
}

/// What to do with a monitor; before 1.4 it is only ever added this way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MonitorCommand {
    /// Create the monitor (`OFPFMC_ADD`).
    #[default]
    Add,
    /// Replace the monitor's parameters (`OFPFMC_MODIFY`, 1.4).
    Modify,
    /// Delete the monitor (`OFPFMC_DELETE`, 1.4).
    Delete,
}

/// A wish to be told of changes to flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMonitorRequest {
    /// The monitor's identity, unique within the connection.
    pub id: u32,
    /// The operation.
    pub command: MonitorCommand,
    /// Bits of [`monitor_flags`].
    pub flags: u16,
    /// Flows that send to this port; [`OfPort::ANY`]: any or none.
    pub out_port: OfPort,
    /// [`GROUP_ANY`] before 1.4.
    pub out_group: u32,
    /// Flows of this table; 255: of all.
    pub table_id: u8,
    /// Flows that this match covers.
    pub matching: Match,
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowUpdateEvent {
    /// It was there when the monitor was made; before 1.4 sent as an addition.
    Initial,
    /// The flow was added.
    Added,
    /// The flow was removed.
    Deleted(FlowRemovedReason),
    /// The flow's actions were changed.
    Modified,
}

/// A change that a monitor tells of.
#[expect(clippy::large_enum_variant, reason = "short-lived, and nearly always full")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowUpdate {
    /// A change with the flow's state.
    Full {
        /// The kind of change.
        event: FlowUpdateEvent,
        /// The flow's table.
        table_id: u8,
        /// The flow's priority.
        priority: u16,
        /// Idle time-out in seconds; 0: none.
        idle_timeout: u16,
        /// Hard time-out in seconds; 0: none.
        hard_timeout: u16,
        /// The flow's cookie.
        cookie: u64,
        /// The flow's match.
        matching: Match,
        /// Its actions; empty unless [`monitor_flags::ACTIONS`] is set.
        actions: Vec<Action>,
    },
    /// A change that the receiver itself asked for in the message with this number.
    Abbreviated {
        /// The transaction identifier of that message.
        xid: u32,
    },
    /// 1.4 and later; before they are messages of their own.
    Paused,
    /// Updates are sent again (1.4).
    Resumed,
}
