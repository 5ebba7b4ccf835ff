//! Messages that tell of removed flows. Layouts: OpenFlow 1.0 clause 5.4.3, 1.5 clause 7.4.2.

use super::buf::{Reader, Writer};
use super::flow::{Oxs, known};
use super::match10;
use super::nxm::{self, Mode};
use crate::error::OfError;
use crate::msg::{FlowRemoved, FlowRemovedReason};
use crate::version::Version;

pub(super) fn reason(raw: u8) -> Result<FlowRemovedReason, OfError> {
    FlowRemovedReason::from_wire(raw).ok_or(OfError::NxBrcBadReason)
}

pub(super) fn decode_removed(r: &mut Reader<'_>, v: Version) -> Result<FlowRemoved, OfError> {
    let nxm = false;
    match v {
        Version::V10 => {
            let (matching, _) = match10::pull10(r)?;
            let (cookie, priority) = (r.u64()?, r.u16()?);
            let reason = reason(r.u8()?)?;
            r.skip(1)?;
            let (duration_sec, duration_nsec, idle_timeout) = (r.u32()?, r.u32()?, r.u16()?);
            r.skip(2)?;
            let (packets, bytes) = (r.u64()?, r.u64()?);
            let (table_id, hard_timeout) = (255, 0);
            Ok(FlowRemoved {
                nxm,
                matching,
                cookie,
                priority,
                reason,
                table_id,
                duration_sec,
                duration_nsec,
                idle_timeout,
                hard_timeout,
                packets,
                bytes,
            })
        }
        Version::V15 => {
            let (table_id, raw_reason, priority) = (r.u8()?, r.u8()?, r.u16()?);
            let (idle_timeout, hard_timeout, cookie) = (r.u16()?, r.u16()?, r.u64()?);
            let matching = match10::pull11(r, Mode::Strict)?;
            let reason = reason(raw_reason)?;
            let Oxs { duration, packets, bytes, .. } = Oxs::pull(r)?;
            let (duration_sec, duration_nsec) = duration;
            Ok(FlowRemoved {
                nxm,
                matching,
                cookie,
                priority,
                reason,
                table_id,
                duration_sec,
                duration_nsec,
                idle_timeout,
                hard_timeout,
                packets,
                bytes,
            })
        }
        _ => {
            let (cookie, priority) = (r.u64()?, r.u16()?);
            let (raw_reason, table_id) = (r.u8()?, r.u8()?);
            let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
            let (idle_timeout, hard_timeout) = (r.u16()?, r.u16()?);
            let (packets, bytes) = (r.u64()?, r.u64()?);
            let matching = match10::pull11(r, Mode::Strict)?;
            let reason = reason(raw_reason)?;
            Ok(FlowRemoved {
                nxm,
                matching,
                cookie,
                priority,
                reason,
                table_id,
                duration_sec,
                duration_nsec,
                idle_timeout,
                hard_timeout,
                packets,
                bytes,
            })
        }
    }
}

pub(super) fn decode_nx_removed(r: &mut Reader<'_>) -> Result<FlowRemoved, OfError> {
    let (cookie, priority) = (r.u64()?, r.u16()?);
    // The table's number is sent plus one; zero means "not told".
    let (raw_reason, table_id) = (r.u8()?, r.u8()?.wrapping_sub(1));
    let (duration_sec, duration_nsec, idle_timeout) = (r.u32()?, r.u32()?, r.u16()?);
    let match_len = usize::from(r.u16()?);
    let (packets, bytes) = (r.u64()?, r.u64()?);
    let (matching, _) = nxm::pull(r, match_len, Mode::Strict, false)?;
    let reason = reason(raw_reason)?;
    let (nxm, hard_timeout) = (true, 0);
    Ok(FlowRemoved {
        nxm,
        matching,
        cookie,
        priority,
        reason,
        table_id,
        duration_sec,
        duration_nsec,
        idle_timeout,
        hard_timeout,
        packets,
        bytes,
    })
}

fn sent_reason(f: &FlowRemoved, v: Version) -> u8 {
    match f.reason {
        FlowRemovedReason::MeterDelete if v < Version::V14 => FlowRemovedReason::Delete.wire(),
        r => r.wire(),
    }
}

pub(super) fn encode_removed(w: &mut Writer, f: &FlowRemoved, v: Version) {
    match v {
        Version::V10 => {
            match10::put10(w, &f.matching);
            w.u64(f.cookie).u16(f.priority).u8(sent_reason(f, v)).zeros(1);
            w.u32(f.duration_sec).u32(f.duration_nsec).u16(f.idle_timeout).zeros(2);
            w.u64(known(f.packets)).u64(known(f.bytes));
        }
        Version::V15 => {
            w.u8(f.table_id).u8(sent_reason(f, v)).u16(f.priority);
            w.u16(f.idle_timeout).u16(f.hard_timeout).u64(f.cookie);
            match10::put11(w, &f.matching, v);
            let duration = (f.duration_sec, f.duration_nsec);
            Oxs { duration, packets: f.packets, bytes: f.bytes, ..Oxs::NONE }.put(w);
        }
        _ => {
            w.u64(f.cookie).u16(f.priority).u8(sent_reason(f, v)).u8(f.table_id);
            w.u32(f.duration_sec).u32(f.duration_nsec);
            w.u16(f.idle_timeout).u16(f.hard_timeout).u64(f.packets).u64(f.bytes);
            match10::put11(w, &f.matching, v);
        }
    }
}

pub(super) fn encode_nx_removed(w: &mut Writer, f: &FlowRemoved) {
    w.u64(f.cookie).u16(f.priority).u8(sent_reason(f, Version::V10));
    w.u8(f.table_id.wrapping_add(1)).u32(f.duration_sec).u32(f.duration_nsec);
    w.u16(f.idle_timeout);
    let len_at = w.len();
    w.u16(0).u64(f.packets).u64(f.bytes);
    let len = nxm::put(w, &f.matching, None);
    w.set_u16(len_at, len);
}
