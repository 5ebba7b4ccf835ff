//! Messages, independent of the version in which they are sent.

mod bundle;
mod flow;
mod packet;
mod port;
mod shaping;
mod switch;
mod table;

pub use bundle::{BundleAdd, BundleControl, BundleOp, bundle_flags};
pub use flow::{
    Aggregate, FlowFlags, FlowMod, FlowModCommand, FlowMonitorRequest, FlowRemoved,
    FlowRemovedReason, FlowStats, FlowStatsRequest, FlowUpdate, FlowUpdateEvent, GROUP_ANY,
    MonitorCommand, monitor_flags,
};
pub use packet::{PacketIn, PacketInFormat, PacketOut};
pub use port::{PortDesc, PortMod, PortReason, PortStats, PortStatus, config, features, state};
pub use shaping::{
    ALL, GROUP_ALL, GroupFeatures, METER_ALL, MeterFeatures, QueueRequest, QueueStats,
};
pub use switch::{AsyncMasks, Config, Desc, ErrorMsg, Features, Role, RoleRequest, RoleStatus};
pub use table::{
    TableDesc, TableFeatures, TableMod, TableStats, TableStatus, Vacancy, table_config,
};

use crate::codec::Kind;
use crate::version::{Version, VersionSet};

/// A message with its header.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub version: Version,
    /// Chosen by who asks, repeated by who answers.
    pub xid: u32,
    /// Of a multipart message: more parts follow.
    pub more: bool,
    pub body: Body,
}

impl Message {
    /// One that is not a part of many.
    pub fn new(version: Version, xid: u32, body: Body) -> Message {
        Message { version, xid, more: false, body }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The versions that the sender speaks; `ok` is false if an element was unknown or broken.
    Hello {
        versions: VersionSet,
        ok: bool,
    },
    Error(ErrorMsg),
    EchoRequest(Vec<u8>),
    EchoReply(Vec<u8>),
    FeaturesRequest,
    FeaturesReply(Features),
    GetConfigRequest,
    GetConfigReply(Config),
    SetConfig(Config),
    BarrierRequest,
    BarrierReply,

    PacketIn(PacketIn),
    PacketOut(PacketOut),
    FlowMod(FlowMod),
    FlowRemoved(FlowRemoved),
    PortMod(PortMod),
    PortStatus(PortStatus),
    TableMod(TableMod),
    TableStatus(TableStatus),
    BundleControl(BundleControl),
    BundleAdd(BundleAdd),

    RoleRequest(RoleRequest),
    RoleReply(RoleRequest),
    RoleStatus(RoleStatus),
    GetAsyncRequest,
    GetAsyncReply(AsyncMasks),
    SetAsync(AsyncMasks),

    DescRequest,
    DescReply(Desc),
    FlowStatsRequest(FlowStatsRequest),
    /// `nxm`: in the extended form of 1.0.
    FlowStatsReply {
        nxm: bool,
        flows: Vec<FlowStats>,
    },
    AggregateRequest(FlowStatsRequest),
    AggregateReply {
        nxm: bool,
        stats: Aggregate,
    },
    TableStatsRequest,
    TableStatsReply(Vec<TableStats>),
    TableFeaturesRequest(Vec<TableFeatures>),
    TableFeaturesReply(Vec<TableFeatures>),
    TableDescRequest,
    TableDescReply(Vec<TableDesc>),
    /// Of one port, or of all.
    PortStatsRequest(crate::OfPort),
    PortStatsReply(Vec<PortStats>),
    /// Of one port, or of all, which before 1.5 is the only choice.
    PortDescRequest(crate::OfPort),
    PortDescReply(Vec<PortDesc>),
    FlowMonitorRequest(Vec<FlowMonitorRequest>),
    FlowMonitorReply(Vec<FlowUpdate>),
    FlowMonitorCancel(u32),
    FlowMonitorPaused,
    FlowMonitorResumed,
    /// Counters of queues.
    QueueStatsRequest(QueueRequest),
    QueueStatsReply(Vec<QueueStats>),
    /// What queues there are.
    QueueConfigRequest(QueueRequest),
    /// The port that was asked for, and each queue with its port. Only 1.2 and later tell the
    /// latter, and 1.4 and later do not tell the former ([`crate::OfPort::ANY`]).
    QueueConfigReply {
        port: crate::OfPort,
        queues: Vec<(crate::OfPort, u32)>,
    },
    /// A group's counters; [`GROUP_ALL`]: of all.
    GroupStatsRequest(u32),
    GroupDescRequest(u32),
    GroupFeaturesRequest,
    GroupFeaturesReply(GroupFeatures),
    /// A meter's counters; [`METER_ALL`]: of all.
    MeterStatsRequest(u32),
    MeterConfigRequest(u32),
    MeterFeaturesRequest,
    MeterFeaturesReply(MeterFeatures),

    /// Matches in the extended form (NXM) or not.
    SetFlowFormat {
        nxm: bool,
    },
    /// Whether a flow_mod's command carries a table's number.
    FlowModTableId(bool),
    SetPacketInFormat(PacketInFormat),
    /// Shows ages in flow statistics.
    FlowAge,
    SetControllerId(u16),

    /// A message that exists and whose length is right, but whose content is not read here:
    /// groups, meters and others. The octets after its headers.
    Raw {
        kind: Kind,
        body: Vec<u8>,
    },
}
