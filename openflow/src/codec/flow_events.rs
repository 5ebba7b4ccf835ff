//! Messages that tell of changes to flows: removals, and what monitors see. Layouts: OpenFlow 1.0
//! clause 5.4.3, 1.5 clause 7.4.2, and for monitors Open vSwitch's `nicira-ext.h`.

use super::action_decode::pull_actions;
use super::action_encode::{Known, put_actions};
use super::buf::{Reader, Writer};
use super::flow::{Oxs, entries, known};
use super::match10;
use super::nxm::{self, Mode};
use crate::action::{Action, Within};
use crate::error::OfError;
use crate::field::Match;
use crate::msg::{
    FlowMonitorRequest, FlowRemoved, FlowRemovedReason, FlowUpdate, FlowUpdateEvent, monitor_flags,
};
use crate::ofport::OfPort;
use crate::version::Version;

fn reason(raw: u8) -> Result<FlowRemovedReason, OfError> {
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

pub(super) fn decode_monitor_requests(
    r: &mut Reader<'_>,
) -> Result<Vec<FlowMonitorRequest>, OfError> {
    use monitor_flags::{ADD, ALL, DELETE, MODIFY};
    let mut out = Vec::new();
    while !r.is_empty() {
        let (id, flags, out_port) = (r.u32()?, r.u16()?, OfPort(r.u16()?));
        let match_len = usize::from(r.u16()?);
        let table_id = r.u8()?;
        let zero = r.take(5)?;
        if flags & (ADD | DELETE | MODIFY) == 0 || flags & !ALL != 0 {
            return Err(OfError::MofcBadFlags);
        }
        if zero.iter().any(|o| *o != 0) {
            return Err(OfError::NxBrcMustBeZero);
        }
        let (matching, _) = nxm::pull(r, match_len, Mode::Strict, false)?;
        out.push(FlowMonitorRequest { id, flags, out_port, table_id, matching });
    }
    Ok(out)
}

pub(super) fn encode_monitor_request(w: &mut Writer, q: &FlowMonitorRequest) {
    let start = w.len();
    w.u32(q.id).u16(q.flags).u16(q.out_port.0).u16(0).u8(q.table_id).zeros(5);
    let len = nxm::put(w, &q.matching, None);
    w.set_u16(start + 8, len);
}

pub(super) fn decode_updates(r: &mut Reader<'_>, v: Version) -> Result<Vec<FlowUpdate>, OfError> {
    entries(r, 8, |r| {
        let event = r.u16()?;
        if event == 3 {
            return Ok(FlowUpdate::Abbreviated { xid: r.u32()? });
        }
        let raw_reason = r.u16()?;
        let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
        let match_len = usize::from(r.u16()?);
        let table_id = r.u8()?;
        r.skip(1)?;
        let cookie = r.u64()?;
        let event = match event {
            0 => FlowUpdateEvent::Added,
            1 => FlowUpdateEvent::Deleted(reason(raw_reason.min(255) as u8)?),
            2 => FlowUpdateEvent::Modified,
            _ => return Err(OfError::NxBrcFmBadEvent),
        };
        let (matching, _) = nxm::pull(r, match_len, Mode::Strict, false)?;
        let actions = pull_actions(r, r.len(), v, Within::Flow)?;
        Ok(FlowUpdate::Full {
            event,
            table_id,
            priority,
            idle_timeout,
            hard_timeout,
            cookie,
            matching,
            actions,
        })
    })
}

pub(super) fn encode_update(w: &mut Writer, u: &FlowUpdate, v: Version) {
    let start = w.len();
    w.u16(0);
    match u {
        FlowUpdate::Abbreviated { xid } => {
            w.u16(3).u32(*xid);
        }
        FlowUpdate::Full {
            event,
            table_id,
            priority,
            idle_timeout,
            hard_timeout,
            cookie,
            matching,
            actions,
        } => {
            let (event, reason) = match event {
                FlowUpdateEvent::Added => (0, 0),
                FlowUpdateEvent::Deleted(r) => (1, r.wire()),
                FlowUpdateEvent::Modified => (2, 0),
            };
            w.u16(event).u16(reason.into()).u16(*priority).u16(*idle_timeout).u16(*hard_timeout);
            w.u16(0).u8(*table_id).zeros(1).u64(*cookie);
            let len = nxm::put(w, matching, None);
            w.set_u16(start + 12, len);
            put_list(w, actions, v, matching);
        }
    }
    w.set_len(start, 0);
}

/// Actions alone, also in versions that have instructions.
fn put_list(w: &mut Writer, actions: &[Action], v: Version, m: &Match) {
    let known = Known::of(m);
    put_actions(w, actions, v, known);
}
