//! Flow monitors. Layouts: Open vSwitch's `nicira-ext.h` (to 1.2), the foundation's extension 187
//! (1.3), OpenFlow 1.4 clause 7.3.5.18.

use super::action_decode::{pull_actions, pull_instructions};
use super::action_encode::{Known, put_actions, put_instructions};
use super::buf::{Reader, Writer};
use super::flow::entries;
use super::flow_events::reason;
use super::match10;
use super::nxm::{self, Mode};
use crate::action::{Action, Instruction, Within};
use crate::error::OfError;
use crate::msg::{
    FlowMonitorRequest, FlowUpdate, FlowUpdateEvent, GROUP_ANY, MonitorCommand, monitor_flags,
};
use crate::ofport::OfPort;
use crate::version::Version;

use monitor_flags::{ACTIONS, ADD, DELETE, INITIAL, MODIFY, OWN};

/// `OWN` as the extensions have it.
const NX_OWN: u16 = 32;
const COMMON: u16 = INITIAL | ADD | DELETE | MODIFY | ACTIONS;

fn flags_from(raw: u16, v: Version) -> Result<u16, OfError> {
    let own = if v < Version::V14 { NX_OWN } else { OWN };
    if raw & (ADD | DELETE | MODIFY) == 0 || raw & !(COMMON | own) != 0 {
        return Err(OfError::MofcBadFlags);
    }
    Ok(raw & COMMON | if raw & own != 0 { OWN } else { 0 })
}

fn flags_to(flags: u16, v: Version) -> u16 {
    match v {
        Version::V14 | Version::V15 => flags,
        _ => flags & COMMON | if flags & OWN != 0 { NX_OWN } else { 0 },
    }
}

pub(super) fn decode_requests(
    r: &mut Reader<'_>,
    v: Version,
) -> Result<Vec<FlowMonitorRequest>, OfError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        out.push(match v {
            Version::V13 => request13(r)?,
            Version::V14 | Version::V15 => request14(r, v)?,
            _ => request_nx(r, v)?,
        });
    }
    Ok(out)
}

fn request_nx(r: &mut Reader<'_>, v: Version) -> Result<FlowMonitorRequest, OfError> {
    let (id, raw_flags, out_port) = (r.u32()?, r.u16()?, OfPort(r.u16()?));
    let match_len = usize::from(r.u16()?);
    let table_id = r.u8()?;
    let zero = r.take(5)?;
    let flags = flags_from(raw_flags, v)?;
    if zero.iter().any(|o| *o != 0) {
        return Err(OfError::NxBrcMustBeZero);
    }
    let (matching, _) = nxm::pull(r, match_len, Mode::Strict, false)?;
    let (command, out_group) = (MonitorCommand::Add, GROUP_ANY);
    Ok(FlowMonitorRequest { id, command, flags, out_port, out_group, table_id, matching })
}

fn request13(r: &mut Reader<'_>) -> Result<FlowMonitorRequest, OfError> {
    let (id, raw_flags) = (r.u32()?, r.u16()?);
    r.skip(2)?;
    let (raw_port, table_id) = (r.u32()?, r.u8()?);
    let zero = r.take(3)?;
    let flags = flags_from(raw_flags, Version::V13)?;
    if zero.iter().any(|o| *o != 0) {
        return Err(OfError::NxBrcMustBeZero);
    }
    let out_port = OfPort::from_wire32(raw_port)?;
    let matching = match10::pull11(r, Mode::Strict)?;
    let (command, out_group) = (MonitorCommand::Add, GROUP_ANY);
    Ok(FlowMonitorRequest { id, command, flags, out_port, out_group, table_id, matching })
}

fn request14(r: &mut Reader<'_>, v: Version) -> Result<FlowMonitorRequest, OfError> {
    let (id, raw_port, out_group) = (r.u32()?, r.u32()?, r.u32()?);
    let (raw_flags, table_id, command) = (r.u16()?, r.u8()?, r.u8()?);
    let command = match command {
        0 => MonitorCommand::Add,
        1 => MonitorCommand::Modify,
        2 => MonitorCommand::Delete,
        _ => return Err(OfError::MofcBadCommand),
    };
    if command == MonitorCommand::Delete {
        let matching = match10::pull11(r, Mode::Strict)?;
        let (flags, out_port) = (0, OfPort::ANY);
        return Ok(FlowMonitorRequest {
            id,
            command,
            flags,
            out_port,
            out_group: GROUP_ANY,
            table_id,
            matching,
        });
    }
    let flags = flags_from(raw_flags, v)?;
    let out_port = OfPort::from_wire32(raw_port)?;
    let matching = match10::pull11(r, Mode::Strict)?;
    Ok(FlowMonitorRequest { id, command, flags, out_port, out_group, table_id, matching })
}

pub(super) fn encode_request(w: &mut Writer, q: &FlowMonitorRequest, v: Version) {
    let start = w.len();
    let flags = flags_to(q.flags, v);
    match v {
        Version::V13 => {
            w.u32(q.id).u16(flags).u16(0).u32(q.out_port.to_wire32()).u8(q.table_id).zeros(3);
            let at = w.len();
            match10::put11(w, &q.matching, v);
            let len = oxm_len(w, at);
            w.set_u16(start + 6, len);
        }
        Version::V14 | Version::V15 => {
            w.u32(q.id).u32(q.out_port.to_wire32()).u32(q.out_group).u16(flags).u8(q.table_id);
            w.u8(q.command as u8);
            match10::put11(w, &q.matching, v);
        }
        _ => {
            w.u32(q.id).u16(flags).u16(q.out_port.0).u16(0).u8(q.table_id).zeros(5);
            let len = nxm::put(w, &q.matching, None);
            w.set_u16(start + 8, len);
        }
    }
}

/// The length that a match at `at` says it has, without its padding.
fn oxm_len(w: &Writer, at: usize) -> usize {
    w.0.get(at + 2..at + 4).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]))
}

/// Events as 1.4 numbers them; before, each but the first by one less.
mod event {
    pub(super) const INITIAL: u16 = 0;
    pub(super) const ADDED: u16 = 1;
    pub(super) const REMOVED: u16 = 2;
    pub(super) const MODIFIED: u16 = 3;
    pub(super) const ABBREVIATED: u16 = 4;
    pub(super) const PAUSED: u16 = 5;
    pub(super) const RESUMED: u16 = 6;
}

pub(super) fn decode_updates(r: &mut Reader<'_>, v: Version) -> Result<Vec<FlowUpdate>, OfError> {
    entries(r, 8, |r| {
        let raw = r.u16()?;
        let new = v >= Version::V14;
        let number = if new { raw } else { raw.saturating_add(1) };
        match number {
            event::ABBREVIATED => return Ok(FlowUpdate::Abbreviated { xid: r.u32()? }),
            event::PAUSED if new => return Ok(FlowUpdate::Paused),
            event::RESUMED if new => return Ok(FlowUpdate::Resumed),
            event::INITIAL..=event::MODIFIED => {}
            _ => return Err(OfError::NxBrcFmBadEvent),
        }
        let (table_id, raw_reason, priority, idle_timeout, hard_timeout, match_len);
        if new {
            table_id = r.u8()?;
            raw_reason = r.u8()?;
            (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
            match_len = 0;
            r.skip(4)?;
        } else {
            raw_reason = r.u16()?.min(255) as u8;
            (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
            match_len = usize::from(r.u16()?);
            table_id = r.u8()?;
            r.skip(1)?;
        }
        let cookie = r.u64()?;
        let event = match number {
            event::INITIAL => FlowUpdateEvent::Initial,
            event::ADDED => FlowUpdateEvent::Added,
            event::REMOVED => FlowUpdateEvent::Deleted(reason(raw_reason)?),
            _ => FlowUpdateEvent::Modified,
        };
        let (matching, actions) = if v >= Version::V13 {
            (match10::pull11(r, Mode::Strict)?, pull_instructions(r, r.len(), v)?)
        } else {
            let (matching, _) = nxm::pull(r, match_len, Mode::Strict, false)?;
            (matching, pull_actions(r, r.len(), v, Within::Flow)?)
        };
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
    let new = v >= Version::V14;
    let number = |n: u16| if new { n } else { n.saturating_sub(1) };
    w.u16(0);
    match u {
        FlowUpdate::Abbreviated { xid } => {
            w.u16(number(event::ABBREVIATED)).u32(*xid);
        }
        FlowUpdate::Paused => {
            w.u16(number(event::PAUSED)).zeros(4);
        }
        FlowUpdate::Resumed => {
            w.u16(number(event::RESUMED)).zeros(4);
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
                FlowUpdateEvent::Initial => (event::INITIAL, 0),
                FlowUpdateEvent::Added => (event::ADDED, 0),
                FlowUpdateEvent::Deleted(r) => (event::REMOVED, r.wire()),
                FlowUpdateEvent::Modified => (event::MODIFIED, 0),
            };
            w.u16(number(event));
            if new {
                w.u8(*table_id).u8(reason).u16(*idle_timeout).u16(*hard_timeout).u16(*priority);
                w.zeros(4).u64(*cookie);
            } else {
                w.u16(reason.into()).u16(*priority).u16(*idle_timeout).u16(*hard_timeout);
                w.u16(0).u8(*table_id).zeros(1).u64(*cookie);
            }
            let at = w.len();
            if v >= Version::V13 {
                match10::put11(w, matching, v);
                let len = oxm_len(w, at);
                if !new {
                    w.set_u16(start + 12, len);
                }
                put_instructions(w, actions, v, matching);
            } else {
                let len = nxm::put(w, matching, None);
                w.set_u16(start + 12, len);
                // Actions alone: instructions of 1.1 and 1.2 have no place here.
                let plain = |a: &&Action| {
                    v == Version::V10 || a.instruction(v) == Instruction::ApplyActions
                };
                let actions: Vec<Action> = actions.iter().filter(plain).cloned().collect();
                put_actions(w, &actions, v, Known::of(matching));
            }
        }
    }
    w.set_len(start, 0);
}
