//! Flows: adding, changing, removing, counting and watching them.

use crate::action::Action;
use crate::field::Match;
use crate::ofport::OfPort;

/// Any group.
pub const GROUP_ANY: u32 = 0xffff_ffff;

/// What to do with flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowModCommand {
    Add,
    Modify,
    ModifyStrict,
    Delete,
    DeleteStrict,
}

impl FlowModCommand {
    pub const fn wire(self) -> u8 {
        self as u8
    }

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
    pub const SEND_FLOW_REM: FlowFlags = FlowFlags(1);
    pub const CHECK_OVERLAP: FlowFlags = FlowFlags(2);
    pub const RESET_COUNTS: FlowFlags = FlowFlags(4);
    pub const NO_PKT_COUNTS: FlowFlags = FlowFlags(8);
    pub const NO_BYT_COUNTS: FlowFlags = FlowFlags(16);

    /// As in commands, in the order in which they are shown.
    pub const NAMES: [(FlowFlags, &'static str); 5] = [
        (FlowFlags::SEND_FLOW_REM, "send_flow_rem"),
        (FlowFlags::CHECK_OVERLAP, "check_overlap"),
        (FlowFlags::RESET_COUNTS, "reset_counts"),
        (FlowFlags::NO_PKT_COUNTS, "no_packet_counts"),
        (FlowFlags::NO_BYT_COUNTS, "no_byte_counts"),
    ];

    pub const fn has(self, flag: FlowFlags) -> bool {
        self.0 & flag.0 != 0
    }

    #[must_use]
    pub const fn with(self, flag: FlowFlags) -> FlowFlags {
        FlowFlags(self.0 | flag.0)
    }

    #[must_use]
    pub const fn without(self, flag: FlowFlags) -> FlowFlags {
        FlowFlags(self.0 & !flag.0)
    }
}

/// A command to change the flow table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMod {
    pub command: FlowModCommand,
    pub matching: Match,
    pub priority: u16,
    /// Of flows to change or delete: the bits of their cookie in `cookie_mask`.
    pub cookie: u64,
    pub cookie_mask: u64,
    /// The cookie to give.
    pub new_cookie: u64,
    /// Whether a modification changes the cookie of flows that exist.
    pub modify_cookie: bool,
    /// 255: the switch's choice for an addition, all tables for a deletion.
    pub table_id: u8,
    /// Seconds; 0: none.
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    /// What to evict last (1.4).
    pub importance: u16,
    /// A packet the switch has kept, to send through the new flow.
    pub buffer_id: Option<u32>,
    /// Of flows to delete: they send to this port; [`OfPort::ANY`]: to any or none.
    pub out_port: OfPort,
    /// The same for a group.
    pub out_group: u32,
    pub flags: FlowFlags,
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
    pub matching: Match,
    pub cookie: u64,
    pub cookie_mask: u64,
    pub out_port: OfPort,
    pub out_group: u32,
    /// 255: all.
    pub table_id: u8,
}

/// What a flow is and has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStats {
    pub matching: Match,
    pub cookie: u64,
    pub table_id: u8,
    pub priority: u16,
    pub duration_sec: u32,
    pub duration_nsec: u32,
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    /// Seconds since the last packet and the last change; `None` if not told.
    pub idle_age: Option<u32>,
    pub hard_age: Option<u32>,
    /// `u64::MAX`: not known.
    pub packets: u64,
    pub bytes: u64,
    pub importance: u16,
    pub flags: FlowFlags,
    pub actions: Vec<Action>,
}

/// Sums over flows; `u64::MAX`: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aggregate {
    pub packets: u64,
    pub bytes: u64,
    pub flows: u32,
}

/// Why a flow is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowRemovedReason {
    IdleTimeout,
    HardTimeout,
    Delete,
    GroupDelete,
    MeterDelete,
    Eviction,
}

impl FlowRemovedReason {
    pub const ALL: [FlowRemovedReason; 6] = [
        FlowRemovedReason::IdleTimeout,
        FlowRemovedReason::HardTimeout,
        FlowRemovedReason::Delete,
        FlowRemovedReason::GroupDelete,
        FlowRemovedReason::MeterDelete,
        FlowRemovedReason::Eviction,
    ];

    pub const fn wire(self) -> u8 {
        self as u8
    }

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
    pub matching: Match,
    pub cookie: u64,
    pub priority: u16,
    pub reason: FlowRemovedReason,
    /// 255: not told.
    pub table_id: u8,
    pub duration_sec: u32,
    pub duration_nsec: u32,
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub packets: u64,
    pub bytes: u64,
}

/// What to watch and to tell: the bits of [`FlowMonitorRequest::flags`] (`OFPFMF_*`).
pub mod monitor_flags {
    pub const INITIAL: u16 = 1;
    pub const ADD: u16 = 2;
    pub const DELETE: u16 = 4;
    pub const MODIFY: u16 = 8;
    pub const ACTIONS: u16 = 16;
    /// 1.4 and later.
    pub const NO_ABBREV: u16 = 32;
    /// Nicira's and the foundation's extensions have it as 32.
    pub const OWN: u16 = 64;
    pub const ALL: u16 = 127;
}

/// What to do with a monitor; before 1.4 it is only ever added this way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MonitorCommand {
    #[default]
    Add,
    Modify,
    Delete,
}

/// A wish to be told of changes to flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMonitorRequest {
    pub id: u32,
    pub command: MonitorCommand,
    pub flags: u16,
    pub out_port: OfPort,
    /// [`GROUP_ANY`] before 1.4.
    pub out_group: u32,
    pub table_id: u8,
    pub matching: Match,
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowUpdateEvent {
    /// It was there when the monitor was made; before 1.4 sent as an addition.
    Initial,
    Added,
    Deleted(FlowRemovedReason),
    Modified,
}

/// A change that a monitor tells of.
#[expect(clippy::large_enum_variant, reason = "short-lived, and nearly always full")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowUpdate {
    Full {
        event: FlowUpdateEvent,
        table_id: u8,
        priority: u16,
        idle_timeout: u16,
        hard_timeout: u16,
        cookie: u64,
        matching: Match,
        actions: Vec<Action>,
    },
    /// A change that the receiver itself asked for in the message with this number.
    Abbreviated {
        xid: u32,
    },
    /// 1.4 and later; before they are messages of their own.
    Paused,
    Resumed,
}
