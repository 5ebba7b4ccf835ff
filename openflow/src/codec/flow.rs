//! Messages about flows. Layouts: OpenFlow 1.0 clauses 5.3.3 and 5.3.5, 1.5 clauses 7.3.4 and
//! 7.3.5.3, and for the extended forms of 1.0 Open vSwitch's `nicira-ext.h`.

use super::action_decode::pull_instructions;
use super::action_encode::put_instructions;
use super::buf::{Reader, Writer};
use super::match10;
use super::nxm::{self, Mode};
use crate::action_check::{self, Limits};
use crate::error::OfError;
use crate::msg::{
    Aggregate, FlowFlags, FlowMod, FlowModCommand, FlowStats, FlowStatsRequest, GROUP_ANY,
};
use crate::ofport::OfPort;
use crate::version::{Protocol, Version};

const NO_BUFFER: u32 = u32::MAX;

fn buffer(v: u32) -> Option<u32> {
    (v != NO_BUFFER).then_some(v)
}

/// Flags on the wire, with the versions that have them.
const FLAGS: [(u16, FlowFlags, Version); 5] = [
    (1, FlowFlags::SEND_FLOW_REM, Version::V10),
    (2, FlowFlags::CHECK_OVERLAP, Version::V10),
    (4, FlowFlags::RESET_COUNTS, Version::V12),
    (8, FlowFlags::NO_PKT_COUNTS, Version::V13),
    (16, FlowFlags::NO_BYT_COUNTS, Version::V13),
];

/// 1.0's emergency flows, which were never built and are gone since.
const EMERGENCY: u16 = 4;

fn decode_flags(raw: u16, v: Version) -> Result<FlowFlags, OfError> {
    let mut left = raw;
    let mut flags = FlowFlags::default();
    for (bit, flag, since) in FLAGS {
        if raw & bit != 0 && v >= since {
            left &= !bit;
            flags = flags.with(flag);
        }
    }
    if left == 0 { Ok(flags) } else { Err(OfError::FmfcBadFlags) }
}

fn encode_flags(flags: FlowFlags, v: Version) -> u16 {
    let on = FLAGS.iter().filter(|(_, f, since)| flags.has(*f) && v >= *since);
    on.map(|(bit, _, _)| bit).sum()
}

/// What all versions do with a decoded command in the end.
fn finish_mod(mut m: FlowMod, raw_flags: u16, v: Version) -> Result<FlowMod, OfError> {
    let mut flags = raw_flags;
    if v == Version::V10 {
        flags &= !EMERGENCY;
    }
    m.flags = decode_flags(flags, v)?;
    // Before 1.2 an addition always starts from zero, and nothing else does.
    if v < Version::V12 && m.command == FlowModCommand::Add {
        m.flags = m.flags.with(FlowFlags::RESET_COUNTS);
    }
    if flags != raw_flags {
        return Err(if m.hard_timeout != 0 || m.idle_timeout != 0 {
            OfError::FmfcBadEmergTimeout
        } else {
            OfError::FmfcTableFull
        });
    }
    let limits = Limits { table: m.table_id, ..Limits::NONE };
    action_check::check(&m.actions, &m.matching, v, limits)?;
    Ok(m)
}

pub(super) fn decode_mod(r: &mut Reader<'_>, p: Protocol) -> Result<FlowMod, OfError> {
    if p.version == Version::V10 { decode_mod10(r, p) } else { decode_mod11(r, p.version) }
}

/// Command and table in the 16 bits of 1.0.
fn command10(raw: u16, p: Protocol) -> Result<(FlowModCommand, u8), OfError> {
    let (command, table) = if p.table_id { (raw & 0xff, (raw >> 8) as u8) } else { (raw, 255) };
    let command = u8::try_from(command).ok().and_then(FlowModCommand::from_wire);
    Ok((command.ok_or(OfError::FmfcBadCommand)?, table))
}

fn decode_mod10(r: &mut Reader<'_>, p: Protocol) -> Result<FlowMod, OfError> {
    let (mut matching, wild) = match10::pull10(r)?;
    matching.normalize();
    let new_cookie = r.u64()?;
    let command = r.u16()?;
    let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
    let buffer_id = buffer(r.u32()?);
    let out_port = OfPort(r.u16()?);
    let raw_flags = r.u16()?;
    let (command, table_id) = command10(command, p)?;
    let m = FlowMod {
        matching,
        // A flow that wildcards nothing has the highest priority (1.0 clause 3.4).
        priority: if wild { priority } else { u16::MAX },
        new_cookie,
        modify_cookie: new_cookie != u64::MAX,
        table_id,
        idle_timeout,
        hard_timeout,
        buffer_id,
        out_port,
        actions: pull_instructions(r, r.len(), p.version)?,
        ..FlowMod::new(command)
    };
    finish_mod(m, raw_flags, p.version)
}

pub(super) fn decode_nx_mod(r: &mut Reader<'_>, p: Protocol) -> Result<FlowMod, OfError> {
    let new_cookie = r.u64()?;
    let raw_command = r.u16()?;
    let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
    let buffer_id = buffer(r.u32()?);
    let out_port = OfPort(r.u16()?);
    let raw_flags = r.u16()?;
    let match_len = usize::from(r.u16()?);
    r.skip(6)?;
    let (matching, cookie) = nxm::pull(r, match_len, Mode::Strict, true)?;
    let (cookie, cookie_mask) = cookie.unwrap_or_default();
    if raw_command & 0xff == 0 && cookie_mask != 0 {
        return Err(OfError::NxBrcNxmInvalid);
    }
    let (command, table_id) = command10(raw_command, p)?;
    let m = FlowMod {
        matching,
        priority,
        cookie,
        cookie_mask,
        new_cookie,
        modify_cookie: new_cookie != u64::MAX,
        table_id,
        idle_timeout,
        hard_timeout,
        buffer_id,
        out_port,
        actions: pull_instructions(r, r.len(), p.version)?,
        ..FlowMod::new(command)
    };
    finish_mod(m, raw_flags, p.version)
}

fn decode_mod11(r: &mut Reader<'_>, v: Version) -> Result<FlowMod, OfError> {
    let (raw_cookie, mask) = (r.u64()?, r.u64()?);
    let (table_id, raw_command) = (r.u8()?, r.u8()?);
    let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
    let buffer_id = buffer(r.u32()?);
    let (raw_port, raw_group) = (r.u32()?, r.u32()?);
    let raw_flags = r.u16()?;
    let importance = r.u16()?;
    let matching = match10::pull11(r, Mode::Strict)?;

    let known = FlowModCommand::from_wire(raw_command);
    let is_delete = known.is_some_and(FlowModCommand::is_delete);
    let is_add = known == Some(FlowModCommand::Add);
    if table_id == 255 && (v == Version::V11 || !is_delete) {
        return Err(OfError::FmfcBadTableId);
    }
    let out_port = OfPort::from_wire32(raw_port)?;
    let command = known.ok_or(OfError::FmfcBadCommand)?;
    // In 1.1 a modification that does not look at cookies may add, so it gives one.
    let sets_cookie = is_add || (v == Version::V11 && !is_delete && mask == 0);
    let (cookie, cookie_mask, new_cookie) =
        if sets_cookie { (0, 0, raw_cookie) } else { (raw_cookie, mask, u64::MAX) };
    let m = FlowMod {
        matching,
        priority,
        cookie,
        cookie_mask,
        new_cookie,
        table_id,
        idle_timeout,
        hard_timeout,
        importance: if v >= Version::V14 && is_add { importance } else { 0 },
        buffer_id,
        out_port,
        out_group: if is_delete { raw_group } else { GROUP_ANY },
        actions: pull_instructions(r, r.len(), v)?,
        ..FlowMod::new(command)
    };
    finish_mod(m, raw_flags, v)
}

/// Writes what follows the command in both forms of 1.0.
fn put_mod10(w: &mut Writer, m: &FlowMod, p: Protocol) {
    let table = if p.table_id { u16::from(m.table_id) << 8 } else { 0 };
    w.u16(table | u16::from(m.command.wire()));
    w.u16(m.idle_timeout).u16(m.hard_timeout).u16(m.priority);
    w.u32(m.buffer_id.unwrap_or(NO_BUFFER)).u16(m.out_port.0);
    w.u16(encode_flags(m.flags, p.version));
}

pub(super) fn encode_mod(w: &mut Writer, m: &FlowMod, p: Protocol) {
    let v = p.version;
    if v == Version::V10 {
        match10::put10(w, &m.matching);
        w.u64(m.new_cookie);
        put_mod10(w, m, p);
        return put_instructions(w, &m.actions, v, &m.matching);
    }
    let is_add = m.command == FlowModCommand::Add;
    let sets_cookie = is_add || (v == Version::V11 && !m.command.is_delete() && m.cookie_mask == 0);
    w.u64(if sets_cookie { m.new_cookie } else { m.cookie & m.cookie_mask }).u64(m.cookie_mask);
    let all_allowed = v > Version::V11 && m.command.is_delete();
    w.u8(if m.table_id == 255 && !all_allowed { 0 } else { m.table_id });
    w.u8(m.command.wire()).u16(m.idle_timeout).u16(m.hard_timeout).u16(m.priority);
    w.u32(m.buffer_id.unwrap_or(NO_BUFFER)).u32(m.out_port.to_wire32()).u32(m.out_group);
    w.u16(encode_flags(m.flags, v));
    w.u16(if v >= Version::V14 && is_add { m.importance } else { 0 });
    match10::put11(w, &m.matching, v);
    put_instructions(w, &m.actions, v, &m.matching);
}

pub(super) fn encode_nx_mod(w: &mut Writer, m: &FlowMod, p: Protocol) {
    w.u64(m.new_cookie);
    put_mod10(w, m, p);
    let len_at = w.len();
    w.u16(0).zeros(6);
    let len = nxm::put(w, &m.matching, Some((m.cookie, m.cookie_mask)));
    w.set_u16(len_at, len);
    put_instructions(w, &m.actions, p.version, &m.matching);
}

pub(super) fn decode_request(r: &mut Reader<'_>, v: Version) -> Result<FlowStatsRequest, OfError> {
    if v == Version::V10 {
        let (matching, _) = match10::pull10(r)?;
        let table_id = r.u8()?;
        r.skip(1)?;
        let out_port = OfPort(r.u16()?);
        return Ok(FlowStatsRequest {
            nxm: false,
            matching,
            cookie: 0,
            cookie_mask: 0,
            out_port,
            out_group: GROUP_ANY,
            table_id,
        });
    }
    let table_id = r.u8()?;
    r.skip(3)?;
    let out_port = OfPort::from_wire32(r.u32()?)?;
    let out_group = r.u32()?;
    r.skip(4)?;
    let (cookie, cookie_mask) = (r.u64()?, r.u64()?);
    let matching = match10::pull11(r, Mode::Strict)?;
    let nxm = false;
    Ok(FlowStatsRequest { nxm, matching, cookie, cookie_mask, out_port, out_group, table_id })
}

pub(super) fn decode_nx_request(r: &mut Reader<'_>) -> Result<FlowStatsRequest, OfError> {
    let out_port = OfPort(r.u16()?);
    let match_len = usize::from(r.u16()?);
    let table_id = r.u8()?;
    r.skip(3)?;
    let (matching, cookie) = nxm::pull(r, match_len, Mode::Strict, true)?;
    if !r.is_empty() {
        return Err(OfError::BrcBadLen);
    }
    let (cookie, cookie_mask) = cookie.unwrap_or_default();
    let (nxm, out_group) = (true, GROUP_ANY);
    Ok(FlowStatsRequest { nxm, matching, cookie, cookie_mask, out_port, out_group, table_id })
}

pub(super) fn encode_request(w: &mut Writer, q: &FlowStatsRequest, v: Version) {
    if v == Version::V10 {
        match10::put10(w, &q.matching);
        w.u8(q.table_id).zeros(1).u16(q.out_port.0);
        return;
    }
    w.u8(q.table_id).zeros(3).u32(q.out_port.to_wire32()).u32(q.out_group).zeros(4);
    w.u64(q.cookie).u64(q.cookie_mask);
    match10::put11(w, &q.matching, v);
}

pub(super) fn encode_nx_request(w: &mut Writer, q: &FlowStatsRequest) {
    let start = w.len();
    w.u16(q.out_port.0).u16(0).u8(q.table_id).zeros(3);
    let len = nxm::put(w, &q.matching, Some((q.cookie, q.cookie_mask)));
    w.set_u16(start + 2, len);
}

/// The entries of a list whose first 16 bits tell their length, at least `min`.
pub(super) fn entries<'a, T>(
    r: &mut Reader<'a>,
    min: usize,
    read: impl Fn(&mut Reader<'a>) -> Result<T, OfError>,
) -> Result<Vec<T>, OfError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        let mut peek = *r;
        let len = usize::from(peek.u16()?);
        if len < min {
            return Err(OfError::BrcBadLen);
        }
        let mut entry = r.sub(len, OfError::BrcBadLen)?;
        entry.skip(2)?;
        out.push(read(&mut entry)?);
    }
    Ok(out)
}

pub(super) fn decode_stats(r: &mut Reader<'_>, v: Version) -> Result<Vec<FlowStats>, OfError> {
    match v {
        Version::V10 => entries(r, 88, stats10),
        Version::V15 => entries(r, 32, stats15),
        _ => entries(r, 56, |e| stats11(e, v)),
    }
}

fn stats10(r: &mut Reader<'_>) -> Result<FlowStats, OfError> {
    let table_id = r.u8()?;
    r.skip(1)?;
    let (matching, _) = match10::pull10(r)?;
    let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
    let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
    r.skip(6)?;
    let (cookie, packets, bytes) = (r.u64()?, r.u64()?, r.u64()?);
    let actions = pull_instructions(r, r.len(), Version::V10)?;
    Ok(FlowStats {
        matching,
        cookie,
        table_id,
        priority,
        duration_sec,
        duration_nsec,
        idle_timeout,
        hard_timeout,
        idle_age: None,
        hard_age: None,
        packets,
        bytes,
        importance: 0,
        flags: FlowFlags::default(),
        actions,
    })
}

fn stats11(r: &mut Reader<'_>, v: Version) -> Result<FlowStats, OfError> {
    let table_id = r.u8()?;
    r.skip(1)?;
    let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
    let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
    let (raw_flags, importance) = (r.u16()?, r.u16()?);
    r.skip(2)?;
    let (cookie, packets, bytes) = (r.u64()?, r.u64()?, r.u64()?);
    let matching = match10::pull11(r, Mode::Strict)?;
    let flags = if v >= Version::V13 { decode_flags(raw_flags, v)? } else { FlowFlags::default() };
    let actions = pull_instructions(r, r.len(), v)?;
    Ok(FlowStats {
        matching,
        cookie,
        table_id,
        priority,
        duration_sec,
        duration_nsec,
        idle_timeout,
        hard_timeout,
        idle_age: None,
        hard_age: None,
        packets,
        bytes,
        importance: if v >= Version::V14 { importance } else { 0 },
        flags,
        actions,
    })
}

fn stats15(r: &mut Reader<'_>) -> Result<FlowStats, OfError> {
    r.skip(2)?;
    let table_id = r.u8()?;
    r.skip(1)?;
    let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
    let (raw_flags, importance, cookie) = (r.u16()?, r.u16()?, r.u64()?);
    let matching = match10::pull11(r, Mode::Strict)?;
    let oxs = Oxs::pull(r)?;
    let flags = decode_flags(raw_flags, Version::V15)?;
    let actions = pull_instructions(r, r.len(), Version::V15)?;
    Ok(FlowStats {
        matching,
        cookie,
        table_id,
        priority,
        duration_sec: oxs.duration.0,
        duration_nsec: oxs.duration.1,
        idle_timeout,
        hard_timeout,
        idle_age: oxs.idle_age,
        hard_age: None,
        packets: oxs.packets,
        bytes: oxs.bytes,
        importance,
        flags,
        actions,
    })
}

pub(super) fn decode_nx_stats(r: &mut Reader<'_>) -> Result<Vec<FlowStats>, OfError> {
    // An age is sent plus one, so that zero means "not told".
    let age = |raw: u16| raw.checked_sub(1).map(u32::from);
    entries(r, 48, |r| {
        let table_id = r.u8()?;
        r.skip(1)?;
        let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
        let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
        let match_len = usize::from(r.u16()?);
        let (idle_age, hard_age) = (age(r.u16()?), age(r.u16()?));
        let (cookie, packets, bytes) = (r.u64()?, r.u64()?, r.u64()?);
        if match_len.next_multiple_of(8) > r.len() {
            return Err(OfError::BrcBadLen);
        }
        let (matching, _) = nxm::pull(r, match_len, Mode::Strict, false)?;
        Ok(FlowStats {
            matching,
            cookie,
            table_id,
            priority,
            duration_sec,
            duration_nsec,
            idle_timeout,
            hard_timeout,
            idle_age,
            hard_age,
            packets,
            bytes,
            importance: 0,
            flags: FlowFlags::default(),
            actions: pull_instructions(r, r.len(), Version::V10)?,
        })
    })
}

/// Counters that are not known are sent as zero where the field is not optional.
pub(super) fn known(n: u64) -> u64 {
    if n == u64::MAX { 0 } else { n }
}

pub(super) fn encode_stats(w: &mut Writer, f: &FlowStats, v: Version) {
    let start = w.len();
    w.u16(0);
    match v {
        Version::V10 => {
            w.u8(f.table_id).zeros(1);
            match10::put10(w, &f.matching);
            w.u32(f.duration_sec).u32(f.duration_nsec);
            w.u16(f.priority).u16(f.idle_timeout).u16(f.hard_timeout).zeros(6);
            w.u64(f.cookie).u64(known(f.packets)).u64(known(f.bytes));
        }
        Version::V15 => {
            w.zeros(2).u8(f.table_id).zeros(1);
            w.u16(f.priority).u16(f.idle_timeout).u16(f.hard_timeout);
            w.u16(encode_flags(f.flags, v)).u16(f.importance).u64(f.cookie);
            match10::put11(w, &f.matching, v);
            let oxs = Oxs {
                duration: (f.duration_sec, f.duration_nsec),
                idle_age: f.idle_age,
                packets: f.packets,
                bytes: f.bytes,
                flows: u32::MAX,
            };
            oxs.put(w);
        }
        _ => {
            w.u8(f.table_id).zeros(1).u32(f.duration_sec).u32(f.duration_nsec);
            w.u16(f.priority).u16(f.idle_timeout).u16(f.hard_timeout);
            w.u16(if v >= Version::V13 { encode_flags(f.flags, v) } else { 0 });
            w.u16(if v >= Version::V14 { f.importance } else { 0 }).zeros(2);
            w.u64(f.cookie).u64(known(f.packets)).u64(known(f.bytes));
            match10::put11(w, &f.matching, v);
        }
    }
    put_instructions(w, &f.actions, v, &f.matching);
    w.set_len(start, 0);
}

pub(super) fn encode_nx_stats(w: &mut Writer, f: &FlowStats) {
    let age = |a: Option<u32>| a.map_or(0, |s| u16::try_from(s + 1).unwrap_or(u16::MAX));
    let start = w.len();
    w.u16(0).u8(f.table_id).zeros(1).u32(f.duration_sec).u32(f.duration_nsec);
    w.u16(f.priority).u16(f.idle_timeout).u16(f.hard_timeout).u16(0);
    w.u16(age(f.idle_age)).u16(age(f.hard_age)).u64(f.cookie).u64(f.packets).u64(f.bytes);
    let len = nxm::put(w, &f.matching, None);
    w.set_u16(start + 18, len);
    put_instructions(w, &f.actions, Version::V10, &f.matching);
    w.set_len(start, 0);
}

/// Statistics as 1.5 has them: a row of values with headers, each optional (clause 7.2.4).
pub(super) struct Oxs {
    pub(super) duration: (u32, u32),
    pub(super) idle_age: Option<u32>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) flows: u32,
}

impl Oxs {
    const CLASS: u16 = 0x8002;
    pub(super) const NONE: Oxs = Oxs {
        duration: (u32::MAX, u32::MAX),
        idle_age: None,
        packets: u64::MAX,
        bytes: u64::MAX,
        flows: u32::MAX,
    };

    pub(super) fn pull(r: &mut Reader<'_>) -> Result<Oxs, OfError> {
        let bad = OfError::BmcBadLen;
        let mut h = Reader::new(r.rest(), bad);
        h.skip(2)?;
        let len = usize::from(h.u16()?);
        let octets = r.take(len.next_multiple_of(8)).map_err(|_| bad)?;
        let mut r = Reader::new(octets.get(4..len).ok_or(bad)?, bad);
        let mut oxs = Oxs::NONE;
        while !r.is_empty() {
            let (class, number, len) = (r.u16()?, r.u8()?, usize::from(r.u8()?));
            let mut v = r.sub(len, bad)?;
            match (class, number, len) {
                (Oxs::CLASS, 0, 8) => oxs.duration = (v.u32()?, v.u32()?),
                (Oxs::CLASS, 2, 8) => oxs.idle_age = Some(v.u32()?),
                (Oxs::CLASS, 6, 4) => oxs.flows = v.u32()?,
                (Oxs::CLASS, 8, 8) => oxs.packets = v.u64()?,
                (Oxs::CLASS, 10, 8) => oxs.bytes = v.u64()?,
                _ => {}
            }
        }
        Ok(oxs)
    }

    pub(super) fn put(&self, w: &mut Writer) {
        let start = w.len();
        w.u32(0);
        let mut entry = |number: u8, v: u64| {
            w.u16(Oxs::CLASS).u8(number << 1).u8(8).u64(v);
        };
        if self.duration.0 != u32::MAX {
            entry(0, u64::from(self.duration.0) << 32 | u64::from(self.duration.1));
        }
        if let Some(age) = self.idle_age {
            entry(1, u64::from(age) << 32);
        }
        if self.packets != u64::MAX {
            entry(4, self.packets);
        }
        if self.bytes != u64::MAX {
            entry(5, self.bytes);
        }
        if self.flows != u32::MAX {
            w.u16(Oxs::CLASS).u8(3 << 1).u8(4).u32(self.flows);
        }
        w.set_len(start, 2);
        w.pad8(start);
    }
}

pub(super) fn decode_aggregate(r: &mut Reader<'_>, v: Version) -> Result<Aggregate, OfError> {
    if v == Version::V15 {
        let oxs = Oxs::pull(r)?;
        return Ok(Aggregate { packets: oxs.packets, bytes: oxs.bytes, flows: oxs.flows });
    }
    Ok(Aggregate { packets: r.u64()?, bytes: r.u64()?, flows: r.u32()? })
}

pub(super) fn encode_aggregate(w: &mut Writer, a: &Aggregate, v: Version, nxm: bool) {
    match v {
        Version::V15 => {
            let Aggregate { packets, bytes, flows } = *a;
            Oxs { packets, bytes, flows, ..Oxs::NONE }.put(w);
        }
        Version::V10 if !nxm => {
            w.u64(known(a.packets)).u64(known(a.bytes)).u32(a.flows).zeros(4);
        }
        _ => {
            w.u64(a.packets).u64(a.bytes).u32(a.flows).zeros(4);
        }
    }
}
