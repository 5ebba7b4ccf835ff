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
    /// The version in the header.
    pub version: Version,
    /// Chosen by who asks, repeated by who answers.
    pub xid: u32,
    /// Of a multipart message: more parts follow.
    pub more: bool,
    /// The contents.
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
        /// The versions.
        versions: VersionSet,
        /// Whether all elements were understood.
        ok: bool,
    },
    /// `OFPT_ERROR`.
    Error(ErrorMsg),
    /// `OFPT_ECHO_REQUEST`: octets to send back.
    EchoRequest(Vec<u8>),
    /// `OFPT_ECHO_REPLY`: the octets of the request.
    EchoReply(Vec<u8>),
    /// `OFPT_FEATURES_REQUEST`.
    FeaturesRequest,
    /// `OFPT_FEATURES_REPLY`.
    FeaturesReply(Features),
    /// `OFPT_GET_CONFIG_REQUEST`.
    GetConfigRequest,
    /// `OFPT_GET_CONFIG_REPLY`.
    GetConfigReply(Config),
    /// `OFPT_SET_CONFIG`.
    SetConfig(Config),
    /// `OFPT_BARRIER_REQUEST`.
    BarrierRequest,
    /// `OFPT_BARRIER_REPLY`.
    BarrierReply,

    /// `OFPT_PACKET_IN`, `NXT_PACKET_IN`, `NXT_PACKET_IN2`.
    PacketIn(PacketIn),
    /// `OFPT_PACKET_OUT`.
    PacketOut(PacketOut),
    /// `OFPT_FLOW_MOD`, `NXT_FLOW_MOD`.
    FlowMod(FlowMod),
    /// `OFPT_FLOW_REMOVED`, `NXT_FLOW_REMOVED`.
    FlowRemoved(FlowRemoved),
    /// `OFPT_PORT_MOD`.
    PortMod(PortMod),
    /// `OFPT_PORT_STATUS`.
    PortStatus(PortStatus),
    /// `OFPT_TABLE_MOD` (1.1).
    TableMod(TableMod),
    /// `OFPT_TABLE_STATUS` (1.4).
    TableStatus(TableStatus),
    /// `OFPT_BUNDLE_CONTROL` (1.4), `ONFT_BUNDLE_CONTROL` (1.3).
    BundleControl(BundleControl),
    /// `OFPT_BUNDLE_ADD_MESSAGE` (1.4), `ONFT_BUNDLE_ADD_MESSAGE` (1.3).
    BundleAdd(BundleAdd),

    /// `OFPT_ROLE_REQUEST` (1.2), `NXT_ROLE_REQUEST`.
    RoleRequest(RoleRequest),
    /// `OFPT_ROLE_REPLY` (1.2), `NXT_ROLE_REPLY`.
    RoleReply(RoleRequest),
    /// `OFPT_ROLE_STATUS` (1.4).
    RoleStatus(RoleStatus),
    /// `OFPT_GET_ASYNC_REQUEST` (1.3).
    GetAsyncRequest,
    /// `OFPT_GET_ASYNC_REPLY` (1.3).
    GetAsyncReply(AsyncMasks),
    /// `OFPT_SET_ASYNC` (1.3), `NXT_SET_ASYNC_CONFIG`.
    SetAsync(AsyncMasks),

    /// `OFPMP_DESC` request.
    DescRequest,
    /// `OFPMP_DESC` reply.
    DescReply(Desc),
    /// `OFPMP_FLOW` request; `OFPMP_FLOW_DESC` in 1.5.
    FlowStatsRequest(FlowStatsRequest),
    /// `nxm`: in the extended form of 1.0.
    FlowStatsReply {
        /// In the extended form of 1.0 (`NXST_FLOW`).
        nxm: bool,
        /// The flows of this part.
        flows: Vec<FlowStats>,
    },
    /// `OFPMP_AGGREGATE` request; `OFPMP_AGGREGATE_STATS` in 1.5.
    AggregateRequest(FlowStatsRequest),
    /// `OFPMP_AGGREGATE` reply.
    AggregateReply {
        /// In the extended form of 1.0 (`NXST_AGGREGATE`).
        nxm: bool,
        /// The sums.
        stats: Aggregate,
    },
    /// `OFPMP_TABLE` request.
    TableStatsRequest,
    /// `OFPMP_TABLE` reply.
    TableStatsReply(Vec<TableStats>),
    /// `OFPMP_TABLE_FEATURES` request (1.3); without tables it only asks.
    TableFeaturesRequest(Vec<TableFeatures>),
    /// `OFPMP_TABLE_FEATURES` reply (1.3).
    TableFeaturesReply(Vec<TableFeatures>),
    /// `OFPMP_TABLE_DESC` request (1.4).
    TableDescRequest,
    /// `OFPMP_TABLE_DESC` reply (1.4).
    TableDescReply(Vec<TableDesc>),
    /// Of one port, or of all.
    PortStatsRequest(crate::OfPort),
    /// `OFPMP_PORT_STATS` reply.
    PortStatsReply(Vec<PortStats>),
    /// Of one port, or of all, which before 1.5 is the only choice.
    PortDescRequest(crate::OfPort),
    /// `OFPMP_PORT_DESC` reply.
    PortDescReply(Vec<PortDesc>),
    /// `OFPMP_FLOW_MONITOR` request (1.4), `NXST_FLOW_MONITOR`.
    FlowMonitorRequest(Vec<FlowMonitorRequest>),
    /// `OFPMP_FLOW_MONITOR` reply (1.4), `NXST_FLOW_MONITOR`.
    FlowMonitorReply(Vec<FlowUpdate>),
    /// `NXT_FLOW_MONITOR_CANCEL`: the monitor's identity.
    FlowMonitorCancel(u32),
    /// `NXT_FLOW_MONITOR_PAUSED`.
    FlowMonitorPaused,
    /// `NXT_FLOW_MONITOR_RESUMED`.
    FlowMonitorResumed,
    /// Counters of queues.
    QueueStatsRequest(QueueRequest),
    /// `OFPMP_QUEUE_STATS` reply.
    QueueStatsReply(Vec<QueueStats>),
    /// What queues there are.
    QueueConfigRequest(QueueRequest),
    /// The port that was asked for, and each queue with its port. Only 1.2 and later tell the
    /// latter, and 1.4 and later do not tell the former ([`crate::OfPort::ANY`]).
    QueueConfigReply {
        /// The port asked for.
        port: crate::OfPort,
        /// Port and identity of each queue.
        queues: Vec<(crate::OfPort, u32)>,
    },
    /// A group's counters; [`GROUP_ALL`]: of all.
    GroupStatsRequest(u32),
    /// `OFPMP_GROUP_DESC` request: the group.
    GroupDescRequest(u32),
    /// `OFPMP_GROUP_FEATURES` request (1.2).
    GroupFeaturesRequest,
    /// `OFPMP_GROUP_FEATURES` reply (1.2).
    GroupFeaturesReply(GroupFeatures),
    /// A meter's counters; [`METER_ALL`]: of all.
    MeterStatsRequest(u32),
    /// `OFPMP_METER_CONFIG` request (1.3): the meter.
    MeterConfigRequest(u32),
    /// `OFPMP_METER_FEATURES` request (1.3).
    MeterFeaturesRequest,
    /// `OFPMP_METER_FEATURES` reply (1.3).
    MeterFeaturesReply(MeterFeatures),

    /// Matches in the extended form (NXM) or not.
    SetFlowFormat {
        /// NXM rather than the 1.0 match.
        nxm: bool,
    },
    /// Whether a flow_mod's command carries a table's number.
    FlowModTableId(bool),
    /// `NXT_SET_PACKET_IN_FORMAT`.
    SetPacketInFormat(PacketInFormat),
    /// Shows ages in flow statistics.
    FlowAge,
    /// `NXT_SET_CONTROLLER_ID`: the connection's identity.
    SetControllerId(u16),

    /// A message that exists and whose length is right, but whose content is not read here:
    /// groups, meters and others. The octets after its headers.
    Raw {
        /// The message type.
        kind: Kind,
        /// The octets.
        body: Vec<u8>,
    },
}
