//! Messages to and from octets.
//!
//! [`decode`] takes one whole message, as [`Header::peek`] delimits it, and answers with the
//! message or with the error that is to be sent back. [`encode`] writes one; a multipart reply
//! that does not fit into one message becomes several.

mod action_decode;
mod action_encode;
mod buf;
mod bundle;
mod flow;
mod flow_events;
mod header;
mod kind;
mod match10;
mod monitor;
mod nxm;
mod packet;
mod port;
mod prop;
mod shaping;
mod switch;
mod table;
#[cfg(test)]
mod tests;

pub use header::{HEADER_LEN, Header};
pub use kind::{Kind, Peek, is_multipart_request, peek};
pub use nxm::field_header;

pub(crate) use action_encode::segments;

use buf::{Reader, Writer};

use crate::error::OfError;
use crate::msg::{Body, Message, PacketInFormat};
use crate::ofport::OfPort;
use crate::version::{Protocol, Version, VersionSet};

/// Reads a hello of any version: what the peer speaks, and whether all of it was understood
/// (OpenFlow 1.5 clause 7.5.1). Without a bitmap it speaks its version and all before.
pub fn decode_hello(octets: &[u8]) -> Result<(VersionSet, bool), OfError> {
    let bad = OfError::BrcBadLen;
    let header = Header::peek(octets).ok_or(bad)?;
    let mut versions = VersionSet::up_to(header.version);
    let mut ok = true;
    let mut r = Reader::new(&octets[HEADER_LEN..], bad);
    while !r.is_empty() {
        let mut h = r;
        let (Ok(typ), Ok(len)) = (h.u16(), h.u16()) else { return Ok((versions, false)) };
        let len = usize::from(len);
        let padded = len.next_multiple_of(8);
        if len < 4 || padded > r.len() {
            return Ok((versions, false));
        }
        let body = &r.rest()[4..len];
        let bitmap = body.first_chunk::<4>().filter(|_| typ == 1 && body.len().is_multiple_of(4));
        // There is no version 0.
        match bitmap.map(|b| u32::from_be_bytes(*b) & !1) {
            Some(set @ 1..) => versions = VersionSet(set),
            Some(0) | None => ok = false,
        }
        r.skip(padded)?;
    }
    Ok((versions, ok))
}

/// Reads one message. The octets must be all of it: the length in its header is checked.
pub fn decode(octets: &[u8], protocol: Protocol) -> Result<Message, OfError> {
    let header = Header::peek(octets).ok_or(OfError::BrcBadLen)?;
    if usize::from(header.len) != octets.len() {
        return Err(OfError::BrcBadLen);
    }
    let version = Version::from_wire(header.version);
    if header.is_hello() {
        let (versions, ok) = decode_hello(octets)?;
        let version = version.unwrap_or(protocol.version);
        return Ok(Message::new(version, header.xid, Body::Hello { versions, ok }));
    }
    let version = version.ok_or(OfError::BrcBadVersion)?;
    let parts = kind::split(octets, version)?;
    let r = Reader::new(parts.body, OfError::BrcBadLen);
    let body = decode_body(parts.kind, r, Protocol { version, ..protocol }, header.xid)?;
    Ok(Message { version, xid: header.xid, more: parts.more, body })
}

fn decode_body(kind: Kind, mut r: Reader<'_>, p: Protocol, xid: u32) -> Result<Body, OfError> {
    let v = p.version;
    let r = &mut r;
    Ok(match kind {
        Kind::Hello => Body::Hello { versions: VersionSet::one(v), ok: true },
        Kind::Error => Body::Error(switch::decode_error(r, v)?),
        Kind::EchoRequest => Body::EchoRequest(r.rest().to_vec()),
        Kind::EchoReply => Body::EchoReply(r.rest().to_vec()),
        Kind::FeaturesRequest => Body::FeaturesRequest,
        Kind::FeaturesReply => Body::FeaturesReply(switch::decode_features(r, v)?),
        Kind::GetConfigRequest => Body::GetConfigRequest,
        Kind::GetConfigReply => Body::GetConfigReply(switch::decode_config(r, v)?),
        Kind::SetConfig => Body::SetConfig(switch::decode_config(r, v)?),
        Kind::BarrierRequest => Body::BarrierRequest,
        Kind::BarrierReply => Body::BarrierReply,
        Kind::PacketIn => Body::PacketIn(packet::decode_in(r, v)?),
        Kind::NxPacketIn => Body::PacketIn(packet::decode_nx_in(r)?),
        Kind::NxPacketIn2 => Body::PacketIn(packet::decode_nx_in2(r)?),
        Kind::PacketOut => Body::PacketOut(packet::decode_out(r, v)?),
        Kind::FlowMod => Body::FlowMod(flow::decode_mod(r, p)?),
        Kind::NxFlowMod => Body::FlowMod(flow::decode_nx_mod(r, p)?),
        Kind::FlowRemoved => Body::FlowRemoved(flow_events::decode_removed(r, v)?),
        Kind::NxFlowRemoved => Body::FlowRemoved(flow_events::decode_nx_removed(r)?),
        Kind::PortMod => Body::PortMod(port::decode_mod(r, v)?),
        Kind::PortStatus => Body::PortStatus(port::decode_status(r, v)?),
        Kind::TableMod => Body::TableMod(table::decode_table_mod(r, v)?),
        Kind::RoleRequest => Body::RoleRequest(switch::decode_role(r, true)?),
        Kind::RoleReply => Body::RoleReply(switch::decode_role(r, false)?),
        Kind::NxRoleRequest => Body::RoleRequest(switch::decode_nx_role(r)?),
        Kind::NxRoleReply => Body::RoleReply(switch::decode_nx_role(r)?),
        Kind::RoleStatus => Body::RoleStatus(switch::decode_role_status(r)?),
        Kind::GetAsyncRequest => Body::GetAsyncRequest,
        Kind::GetAsyncReply => Body::GetAsyncReply(switch::decode_async(r, v)?),
        Kind::SetAsync => Body::SetAsync(switch::decode_async(r, v)?),
        Kind::NxSetAsync => Body::SetAsync(switch::decode_nx_async(r)?),
        Kind::NxSetAsync2 => Body::SetAsync(switch::decode_nx_async2(r)?),
        Kind::DescRequest => Body::DescRequest,
        Kind::DescReply => Body::DescReply(switch::decode_desc(r)?),
        Kind::FlowStatsRequest => Body::FlowStatsRequest(flow::decode_request(r, v)?),
        Kind::NxFlowStatsRequest => Body::FlowStatsRequest(flow::decode_nx_request(r)?),
        Kind::AggregateRequest => Body::AggregateRequest(flow::decode_request(r, v)?),
        Kind::NxAggregateRequest => Body::AggregateRequest(flow::decode_nx_request(r)?),
        Kind::FlowStatsReply => {
            Body::FlowStatsReply { nxm: false, flows: flow::decode_stats(r, v)? }
        }
        Kind::NxFlowStatsReply => {
            Body::FlowStatsReply { nxm: true, flows: flow::decode_nx_stats(r)? }
        }
        Kind::AggregateReply => {
            Body::AggregateReply { nxm: false, stats: flow::decode_aggregate(r, v)? }
        }
        Kind::NxAggregateReply => {
            Body::AggregateReply { nxm: true, stats: flow::decode_aggregate(r, v)? }
        }
        Kind::TableStatsRequest => Body::TableStatsRequest,
        Kind::TableStatsReply => Body::TableStatsReply(table::decode_table_stats(r, v)?),
        Kind::TableFeaturesRequest => Body::TableFeaturesRequest(table::decode_table_features(r)?),
        Kind::TableFeaturesReply => Body::TableFeaturesReply(table::decode_table_features(r)?),
        Kind::TableDescRequest => Body::TableDescRequest,
        Kind::TableDescReply => Body::TableDescReply(table::decode_table_desc(r)?),
        Kind::PortStatsRequest => Body::PortStatsRequest(port::decode_port_no(r, v)?),
        Kind::PortStatsReply => Body::PortStatsReply(port::decode_stats(r, v)?),
        Kind::PortDescRequest if r.is_empty() => Body::PortDescRequest(OfPort::ANY),
        Kind::PortDescRequest => Body::PortDescRequest(port::decode_port_no(r, v)?),
        Kind::PortDescReply => Body::PortDescReply(port::decode_descs(r, v)?),
        Kind::FlowMonitorRequest => Body::FlowMonitorRequest(monitor::decode_requests(r, v)?),
        Kind::FlowMonitorReply => Body::FlowMonitorReply(monitor::decode_updates(r, v)?),
        Kind::FlowMonitorCancel => Body::FlowMonitorCancel(r.u32()?),
        Kind::FlowMonitorPaused => Body::FlowMonitorPaused,
        Kind::FlowMonitorResumed => Body::FlowMonitorResumed,
        Kind::SetFlowFormat => match r.u32()? {
            0 => Body::SetFlowFormat { nxm: false },
            2 => Body::SetFlowFormat { nxm: true },
            _ => return Err(OfError::BrcEperm),
        },
        Kind::FlowModTableId => Body::FlowModTableId(r.u8()? != 0),
        Kind::SetPacketInFormat => {
            let format = PacketInFormat::from_wire(r.u32()?).ok_or(OfError::BrcEperm)?;
            Body::SetPacketInFormat(format)
        }
        Kind::FlowAge => Body::FlowAge,
        Kind::SetControllerId => {
            r.zeros(6, OfError::NxBrcMustBeZero)?;
            Body::SetControllerId(r.u16()?)
        }
        Kind::TableStatus => Body::TableStatus(table::decode_table_status(r)?),
        Kind::BundleControl => Body::BundleControl(bundle::decode_control(r)?),
        Kind::BundleAdd => Body::BundleAdd(bundle::decode_add(r, v, xid)?),
        Kind::QueueStatsRequest => Body::QueueStatsRequest(shaping::decode_queue_stats(r, v)?),
        Kind::QueueStatsReply => Body::QueueStatsReply(shaping::decode_queue_stats_reply(r, v)?),
        Kind::QueueGetConfigReply | Kind::QueueDescReply => {
            let (port, queues) = shaping::decode_queue_config_reply(r, v)?;
            Body::QueueConfigReply { port, queues }
        }
        Kind::QueueGetConfigRequest | Kind::QueueDescRequest => {
            Body::QueueConfigRequest(shaping::decode_queue_config(r, v)?)
        }
        Kind::GroupStatsRequest => Body::GroupStatsRequest(shaping::decode_number(r)?),
        Kind::GroupDescRequest => Body::GroupDescRequest(shaping::decode_number(r)?),
        Kind::GroupFeaturesRequest => Body::GroupFeaturesRequest,
        Kind::GroupFeaturesReply => Body::GroupFeaturesReply(shaping::decode_group_features(r)?),
        Kind::MeterStatsRequest => Body::MeterStatsRequest(shaping::decode_number(r)?),
        Kind::MeterConfigRequest => Body::MeterConfigRequest(shaping::decode_number(r)?),
        Kind::MeterFeaturesRequest => Body::MeterFeaturesRequest,
        Kind::MeterFeaturesReply => Body::MeterFeaturesReply(shaping::decode_meter_features(r)?),
        Kind::GroupMod
        | Kind::MeterMod
        | Kind::RequestForward
        | Kind::GroupStatsReply
        | Kind::GroupDescReply
        | Kind::MeterStatsReply
        | Kind::MeterConfigReply
        | Kind::TlvTableMod
        | Kind::TlvTableRequest
        | Kind::TlvTableReply
        | Kind::Resume
        | Kind::CtFlushZone
        | Kind::CtFlush
        | Kind::IpfixBridgeRequest
        | Kind::IpfixBridgeReply
        | Kind::IpfixFlowRequest
        | Kind::IpfixFlowReply => Body::Raw { kind, body: r.rest().to_vec() },
    })
}

/// Why a message cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The version does not have this message.
    #[error("{version} has no message {kind:?}")]
    NoSuchMessage {
        /// The message type.
        kind: Kind,
        /// The version that was asked for.
        version: Version,
    },
    /// The message does not fit into the 16-bit length field.
    #[error("{kind:?} of {len} octets (a message has at most 65535)")]
    TooLong {
        /// The message type.
        kind: Kind,
        /// The length in octets.
        len: usize,
    },
}

/// What to write: which message, and its body in one piece or in items that may stand in
/// different parts of a multipart message.
enum Out {
    One(Kind, Writer),
    Items(Kind, Vec<Writer>),
}

/// Writes a message: one or, if its items do not fit into one, several, all but the last with
/// the mark that more follow. `protocol` tells in which form; its version is the message's.
pub fn encode(m: &Message, protocol: Protocol) -> Result<Vec<Vec<u8>>, EncodeError> {
    let p = Protocol { version: m.version, ..protocol };
    let (kind, items) = match encode_body(&m.body, p) {
        Out::One(kind, w) => (kind, vec![w]),
        Out::Items(kind, items) => (kind, items),
    };
    let no_such = EncodeError::NoSuchMessage { kind, version: m.version };
    let start = || kind::headers(kind, m.version, m.xid).ok_or(no_such.clone());
    let finish = |mut w: Writer, more: bool| {
        w.set_len(0, 2);
        if more {
            w.0[kind::FLAGS_AT + 1] |= 1;
        }
        w.0
    };
    const MAX: usize = u16::MAX as usize;
    let mut out = Vec::new();
    let mut w = start()?;
    let header = w.len();
    for item in items {
        if header + item.len() > MAX {
            return Err(EncodeError::TooLong { kind, len: header + item.len() });
        }
        if w.len() + item.len() > MAX {
            out.push(finish(std::mem::replace(&mut w, start()?), true));
        }
        w.bytes(&item.0);
    }
    out.push(finish(w, m.more));
    Ok(out)
}

fn one(kind: Kind, write: impl FnOnce(&mut Writer)) -> Out {
    let mut w = Writer::default();
    write(&mut w);
    Out::One(kind, w)
}

fn items<T>(kind: Kind, all: &[T], write: impl Fn(&mut Writer, &T)) -> Out {
    let item = |t: &T| {
        let mut w = Writer::default();
        write(&mut w, t);
        w
    };
    Out::Items(kind, all.iter().map(item).collect())
}

fn empty(kind: Kind) -> Out {
    Out::Items(kind, Vec::new())
}

fn encode_body(body: &Body, p: Protocol) -> Out {
    let v = p.version;
    match body {
        Body::Hello { versions, .. } => one(Kind::Hello, |w| {
            if versions.needs_bitmap() {
                w.u16(1).u16(8).u32(versions.0);
            }
        }),
        Body::Error(e) => one(Kind::Error, |w| switch::encode_error(w, e, v)),
        Body::EchoRequest(data) => one(Kind::EchoRequest, |w| {
            w.bytes(data);
        }),
        Body::EchoReply(data) => one(Kind::EchoReply, |w| {
            w.bytes(data);
        }),
        Body::FeaturesRequest => empty(Kind::FeaturesRequest),
        Body::FeaturesReply(f) => one(Kind::FeaturesReply, |w| switch::encode_features(w, f, v)),
        Body::GetConfigRequest => empty(Kind::GetConfigRequest),
        Body::GetConfigReply(c) => one(Kind::GetConfigReply, |w| {
            w.u16(c.flags).u16(c.miss_send_len);
        }),
        Body::SetConfig(c) => one(Kind::SetConfig, |w| {
            w.u16(c.flags).u16(c.miss_send_len);
        }),
        Body::BarrierRequest => empty(Kind::BarrierRequest),
        Body::BarrierReply => empty(Kind::BarrierReply),
        Body::PacketIn(pin) => match pin.format {
            PacketInFormat::Standard => one(Kind::PacketIn, |w| packet::encode_in(w, pin, v)),
            PacketInFormat::Nxt => one(Kind::NxPacketIn, |w| packet::encode_nx_in(w, pin, v)),
            PacketInFormat::Nxt2 => one(Kind::NxPacketIn2, |w| packet::encode_nx_in2(w, pin, v)),
        },
        Body::PacketOut(po) => one(Kind::PacketOut, |w| packet::encode_out(w, po, v)),
        Body::FlowMod(f) if v == Version::V10 && p.nxm => {
            one(Kind::NxFlowMod, |w| flow::encode_nx_mod(w, f, p))
        }
        Body::FlowMod(f) => one(Kind::FlowMod, |w| flow::encode_mod(w, f, p)),
        Body::FlowRemoved(f) if f.nxm => {
            one(Kind::NxFlowRemoved, |w| flow_events::encode_nx_removed(w, f))
        }
        Body::FlowRemoved(f) => one(Kind::FlowRemoved, |w| flow_events::encode_removed(w, f, v)),
        Body::PortMod(m) => one(Kind::PortMod, |w| port::encode_mod(w, m, v)),
        Body::PortStatus(s) => one(Kind::PortStatus, |w| {
            w.u8(s.reason.wire()).zeros(7);
            port::encode_desc(w, &s.desc, v);
        }),
        Body::TableMod(t) => one(Kind::TableMod, |w| table::encode_table_mod(w, t, v)),
        Body::TableStatus(t) => one(Kind::TableStatus, |w| table::encode_table_status(w, t)),
        Body::BundleControl(b) => one(Kind::BundleControl, |w| bundle::encode_control(w, b)),
        Body::BundleAdd(b) => one(Kind::BundleAdd, |w| bundle::encode_add(w, b)),
        Body::RoleRequest(r) if r.nx => one(Kind::NxRoleRequest, |w| switch::encode_nx_role(w, r)),
        Body::RoleRequest(r) => one(Kind::RoleRequest, |w| switch::encode_role(w, r)),
        Body::RoleReply(r) if r.nx => one(Kind::NxRoleReply, |w| switch::encode_nx_role(w, r)),
        Body::RoleReply(r) => one(Kind::RoleReply, |w| switch::encode_role(w, r)),
        Body::RoleStatus(s) => one(Kind::RoleStatus, |w| {
            w.u32(s.role as u32).u8(s.reason).zeros(3).u64(s.generation);
        }),
        Body::GetAsyncRequest => empty(Kind::GetAsyncRequest),
        Body::GetAsyncReply(a) => one(Kind::GetAsyncReply, |w| switch::encode_async(w, a, v)),
        Body::SetAsync(a) if a.nx => one(Kind::NxSetAsync, |w| switch::encode_nx_async(w, a)),
        Body::SetAsync(a) => one(Kind::SetAsync, |w| switch::encode_async(w, a, v)),
        Body::DescRequest => empty(Kind::DescRequest),
        Body::DescReply(d) => one(Kind::DescReply, |w| switch::encode_desc(w, d)),
        Body::FlowStatsRequest(q) if q.nxm => {
            one(Kind::NxFlowStatsRequest, |w| flow::encode_nx_request(w, q))
        }
        Body::FlowStatsRequest(q) => one(Kind::FlowStatsRequest, |w| flow::encode_request(w, q, v)),
        Body::AggregateRequest(q) if q.nxm => {
            one(Kind::NxAggregateRequest, |w| flow::encode_nx_request(w, q))
        }
        Body::AggregateRequest(q) => one(Kind::AggregateRequest, |w| flow::encode_request(w, q, v)),
        Body::FlowStatsReply { nxm: true, flows } => {
            items(Kind::NxFlowStatsReply, flows, flow::encode_nx_stats)
        }
        Body::FlowStatsReply { nxm: false, flows } => {
            items(Kind::FlowStatsReply, flows, |w, f| flow::encode_stats(w, f, v))
        }
        Body::AggregateReply { nxm, stats } => {
            let kind = if *nxm { Kind::NxAggregateReply } else { Kind::AggregateReply };
            one(kind, |w| flow::encode_aggregate(w, stats, v, *nxm))
        }
        Body::TableStatsRequest => empty(Kind::TableStatsRequest),
        Body::TableStatsReply(t) => {
            items(Kind::TableStatsReply, t, |w, t| table::encode_table_stats(w, t, v))
        }
        Body::TableFeaturesRequest(t) => {
            items(Kind::TableFeaturesRequest, t, table::encode_table_features)
        }
        Body::TableFeaturesReply(t) => {
            items(Kind::TableFeaturesReply, t, table::encode_table_features)
        }
        Body::TableDescRequest => empty(Kind::TableDescRequest),
        Body::TableDescReply(t) => items(Kind::TableDescReply, t, table::encode_table_desc),
        Body::PortStatsRequest(port) => {
            one(Kind::PortStatsRequest, |w| port::encode_port_no(w, *port, v))
        }
        Body::PortStatsReply(all) => {
            items(Kind::PortStatsReply, all, |w, s| port::encode_stats(w, s, v))
        }
        Body::PortDescRequest(port) if v >= Version::V15 => {
            one(Kind::PortDescRequest, |w| port::encode_port_no(w, *port, v))
        }
        Body::PortDescRequest(_) => empty(Kind::PortDescRequest),
        Body::PortDescReply(all) => {
            items(Kind::PortDescReply, all, |w, d| port::encode_desc(w, d, v))
        }
        Body::FlowMonitorRequest(all) => {
            items(Kind::FlowMonitorRequest, all, |w, q| monitor::encode_request(w, q, v))
        }
        Body::FlowMonitorReply(all) => {
            items(Kind::FlowMonitorReply, all, |w, u| monitor::encode_update(w, u, v))
        }
        Body::FlowMonitorCancel(id) => one(Kind::FlowMonitorCancel, |w| {
            w.u32(*id);
        }),
        Body::FlowMonitorPaused => empty(Kind::FlowMonitorPaused),
        Body::FlowMonitorResumed => empty(Kind::FlowMonitorResumed),
        Body::SetFlowFormat { nxm } => one(Kind::SetFlowFormat, |w| {
            w.u32(if *nxm { 2 } else { 0 });
        }),
        Body::FlowModTableId(on) => one(Kind::FlowModTableId, |w| {
            w.u8(u8::from(*on)).zeros(7);
        }),
        Body::SetPacketInFormat(f) => one(Kind::SetPacketInFormat, |w| {
            w.u32(f.wire());
        }),
        Body::FlowAge => empty(Kind::FlowAge),
        Body::SetControllerId(id) => one(Kind::SetControllerId, |w| {
            w.zeros(6).u16(*id);
        }),
        Body::QueueStatsRequest(q) => {
            one(Kind::QueueStatsRequest, |w| shaping::encode_queue_stats(w, q, v))
        }
        Body::QueueConfigRequest(q) => {
            let old = v < Version::V14;
            let kind = if old { Kind::QueueGetConfigRequest } else { Kind::QueueDescRequest };
            one(kind, |w| shaping::encode_queue_config(w, q, v))
        }
        Body::QueueStatsReply(all) => {
            items(Kind::QueueStatsReply, all, |w, q| shaping::encode_queue_stats_entry(w, q, v))
        }
        Body::QueueConfigReply { queues, .. } if v >= Version::V14 => {
            items(Kind::QueueDescReply, queues, |w, q| shaping::encode_queue_config_entry(w, q, v))
        }
        Body::QueueConfigReply { port, queues } => one(Kind::QueueGetConfigReply, |w| {
            shaping::encode_queue_config_port(w, *port, v);
            queues.iter().for_each(|q| shaping::encode_queue_config_entry(w, q, v));
        }),
        Body::GroupStatsRequest(id) => {
            one(Kind::GroupStatsRequest, |w| shaping::encode_number(w, *id))
        }
        // Before 1.5 it is always of all, but for Nicira's.
        Body::GroupDescRequest(id) if matches!(v, Version::V10 | Version::V15) => {
            one(Kind::GroupDescRequest, |w| shaping::encode_number(w, *id))
        }
        Body::GroupDescRequest(_) => empty(Kind::GroupDescRequest),
        Body::GroupFeaturesRequest => empty(Kind::GroupFeaturesRequest),
        Body::GroupFeaturesReply(g) => {
            one(Kind::GroupFeaturesReply, |w| shaping::encode_group_features(w, g))
        }
        Body::MeterStatsRequest(id) => {
            one(Kind::MeterStatsRequest, |w| shaping::encode_number(w, *id))
        }
        Body::MeterConfigRequest(id) => {
            one(Kind::MeterConfigRequest, |w| shaping::encode_number(w, *id))
        }
        Body::MeterFeaturesRequest => empty(Kind::MeterFeaturesRequest),
        Body::MeterFeaturesReply(m) => {
            one(Kind::MeterFeaturesReply, |w| shaping::encode_meter_features(w, m))
        }
        Body::Raw { kind, body } => one(*kind, |w| {
            w.bytes(body);
        }),
    }
}
