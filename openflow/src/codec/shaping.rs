//! Requests about queues, groups and meters, and their limits. Layouts: OpenFlow 1.0 clause 5.3.5,
//! 1.3 clauses 7.3.5.8 to 7.3.5.14.

use super::buf::{Reader, Writer};
use super::port;
use crate::error::OfError;
use crate::msg::{ALL, GROUP_ALL, GroupFeatures, MeterFeatures, QueueRequest, QueueStats};
use crate::ofport::OfPort;
use crate::version::Version;

pub(super) fn decode_queue_stats(r: &mut Reader<'_>, v: Version) -> Result<QueueRequest, OfError> {
    let port = port::decode_port_no(r, v)?;
    if v == Version::V10 {
        r.skip(2)?;
        // 1.0 has its own "all ports".
        let port = if port == OfPort::ALL { OfPort::ANY } else { port };
        return Ok(QueueRequest { port, queue: r.u32()? });
    }
    Ok(QueueRequest { port, queue: r.u32()? })
}

pub(super) fn encode_queue_stats(w: &mut Writer, q: &QueueRequest, v: Version) {
    match v {
        Version::V10 => {
            let all = q.port == OfPort::ANY;
            w.u16(if all { OfPort::ALL.0 } else { q.port.0 }).zeros(2);
        }
        _ => {
            w.u32(q.port.to_wire32());
        }
    }
    w.u32(q.queue);
}

pub(super) fn decode_queue_config(r: &mut Reader<'_>, v: Version) -> Result<QueueRequest, OfError> {
    let port = port::decode_port_no(r, v)?;
    let (queue, ok) = match v {
        Version::V10 => (ALL, port.is_physical()),
        Version::V11 | Version::V12 | Version::V13 => {
            (ALL, port.is_physical() || port == OfPort::ANY)
        }
        Version::V14 | Version::V15 => (r.u32()?, true),
    };
    if !ok {
        return Err(OfError::QofcBadPort);
    }
    Ok(QueueRequest { port, queue })
}

pub(super) fn encode_queue_config(w: &mut Writer, q: &QueueRequest, v: Version) {
    match v {
        Version::V10 => w.u16(q.port.0).zeros(2),
        Version::V11 | Version::V12 | Version::V13 => w.u32(q.port.to_wire32()).zeros(4),
        Version::V14 | Version::V15 => w.u32(q.port.to_wire32()).u32(q.queue),
    };
}

pub(super) fn decode_queue_stats_reply(
    r: &mut Reader<'_>,
    v: Version,
) -> Result<Vec<QueueStats>, OfError> {
    let bad = OfError::BrcBadLen;
    let mut out = Vec::new();
    while !r.is_empty() {
        let mut e = if v >= Version::V14 {
            let len = usize::from(Reader::new(r.rest(), bad).u16()?);
            let mut e = r.sub(len, bad)?;
            e.skip(8)?;
            e
        } else {
            r.sub(if v == Version::V13 { 40 } else { 32 }, bad)?
        };
        let port = port::decode_port_no(&mut e, v)?;
        if v == Version::V10 {
            e.skip(2)?;
        }
        let mut q = QueueStats::unknown(port, e.u32()?);
        (q.tx_bytes, q.tx_packets, q.tx_errors) = (e.u64()?, e.u64()?, e.u64()?);
        if v >= Version::V13 {
            let (sec, nsec) = (e.u32()?, e.u32()?);
            q.duration = (sec != u32::MAX).then_some((sec, nsec));
        }
        out.push(q);
    }
    Ok(out)
}

pub(super) fn encode_queue_stats_entry(w: &mut Writer, q: &QueueStats, v: Version) {
    let start = w.len();
    if v >= Version::V14 {
        w.u16(0).zeros(6);
    }
    match v {
        Version::V10 => w.u16(q.port.0).zeros(2),
        _ => w.u32(q.port.to_wire32()),
    };
    w.u32(q.queue).u64(q.tx_bytes).u64(q.tx_packets).u64(q.tx_errors);
    if v >= Version::V13 {
        let (sec, nsec) = q.duration.unwrap_or((u32::MAX, u32::MAX));
        w.u32(sec).u32(nsec);
    }
    if v >= Version::V14 {
        w.set_len(start, 0);
    }
}

/// Queues without their properties, which are not read.
pub(super) fn decode_queue_config_reply(
    r: &mut Reader<'_>,
    v: Version,
) -> Result<(OfPort, Vec<(OfPort, u32)>), OfError> {
    let bad = OfError::BrcBadLen;
    let mut port = OfPort::ANY;
    if v < Version::V14 {
        port = port::decode_port_no(r, v)?;
        r.skip(if v == Version::V10 { 6 } else { 4 })?;
    }
    let mut queues = Vec::new();
    while !r.is_empty() {
        let mut h = *r;
        let (of, queue, len, header);
        match v {
            Version::V10 | Version::V11 => {
                (of, queue, len, header) = (port, h.u32()?, h.u16()?, 8);
            }
            Version::V12 | Version::V13 => {
                queue = h.u32()?;
                of = OfPort::from_wire32(h.u32()?)?;
                (len, header) = (h.u16()?, 16);
            }
            Version::V14 | Version::V15 => {
                of = OfPort::from_wire32(h.u32()?)?;
                (queue, len, header) = (h.u32()?, h.u16()?, 16);
            }
        }
        if usize::from(len) < header {
            return Err(bad);
        }
        r.skip(len.into())?;
        queues.push((of, queue));
    }
    Ok((port, queues))
}

/// The beginning of a reply before 1.4.
pub(super) fn encode_queue_config_port(w: &mut Writer, port: OfPort, v: Version) {
    port::encode_port_no(w, port, v);
}

pub(super) fn encode_queue_config_entry(w: &mut Writer, q: &(OfPort, u32), v: Version) {
    let (port, queue) = *q;
    match v {
        Version::V10 | Version::V11 => w.u32(queue).u16(8).zeros(2),
        Version::V12 | Version::V13 => w.u32(queue).u32(port.to_wire32()).u16(16).zeros(6),
        Version::V14 | Version::V15 => w.u32(port.to_wire32()).u32(queue).u16(16).zeros(6),
    };
}

/// A group's or meter's number with padding, where there is one.
pub(super) fn decode_number(r: &mut Reader<'_>) -> Result<u32, OfError> {
    if r.is_empty() { Ok(GROUP_ALL) } else { r.u32() }
}

pub(super) fn encode_number(w: &mut Writer, id: u32) {
    w.u32(id).zeros(4);
}

pub(super) fn decode_group_features(r: &mut Reader<'_>) -> Result<GroupFeatures, OfError> {
    let mut g = GroupFeatures { types: r.u32()?, capabilities: r.u32()?, ..Default::default() };
    for n in g.max_groups.iter_mut().chain(&mut g.actions) {
        *n = r.u32()?;
    }
    Ok(g)
}

pub(super) fn encode_group_features(w: &mut Writer, g: &GroupFeatures) {
    w.u32(g.types).u32(g.capabilities);
    for n in g.max_groups.iter().chain(&g.actions) {
        w.u32(*n);
    }
}

pub(super) fn decode_meter_features(r: &mut Reader<'_>) -> Result<MeterFeatures, OfError> {
    Ok(MeterFeatures {
        max_meters: r.u32()?,
        band_types: r.u32()?,
        capabilities: r.u32()?,
        max_bands: r.u8()?,
        max_color: r.u8()?,
    })
}

pub(super) fn encode_meter_features(w: &mut Writer, m: &MeterFeatures) {
    w.u32(m.max_meters).u32(m.band_types).u32(m.capabilities).u8(m.max_bands).u8(m.max_color);
    w.zeros(2);
}
