//! Packets to and from controllers. Layouts: OpenFlow 1.0 clauses 5.3.6 and 5.4.1, 1.3 clauses
//! 7.3.7 and 7.4.1, and for the extended forms Open vSwitch's `nicira-ext.h`.

use super::action_decode::pull_actions;
use super::action_encode::{Known, put_actions};
use super::buf::{Reader, Writer};
use super::nxm::{self, Mode};
use super::prop::{self, Properties};
use crate::action::{PacketInReason, Within};
use crate::error::OfError;
use crate::field::{Field, Match};
use crate::msg::{PacketIn, PacketInFormat, PacketOut};
use crate::ofport::OfPort;
use crate::version::Version;

const NO_BUFFER: u32 = u32::MAX;

fn buffer(v: u32) -> Option<u32> {
    (v != NO_BUFFER).then_some(v)
}

fn cookie(v: u64) -> Option<u64> {
    (v != u64::MAX).then_some(v)
}

fn from_port(port: OfPort) -> Match {
    let mut m = Match::default();
    m.set(Field::InPort, port.0.into());
    m
}

pub(super) fn decode_in(r: &mut Reader<'_>, v: Version) -> Result<PacketIn, OfError> {
    let mut pin = PacketIn {
        format: PacketInFormat::Standard,
        reason: PacketInReason::NO_MATCH,
        table_id: 0,
        cookie: None,
        metadata: Match::default(),
        packet: Vec::new(),
        total_len: 0,
        buffer_id: buffer(r.u32()?),
        userdata: Vec::new(),
        continuation: Vec::new(),
    };
    match v {
        Version::V10 => {
            pin.total_len = r.u16()?.into();
            pin.metadata = from_port(OfPort(r.u16()?));
            pin.reason = PacketInReason(r.u8()?);
            r.skip(1)?;
        }
        Version::V11 => {
            let port = r.u32()?;
            r.skip(4)?;
            pin.total_len = r.u16()?.into();
            pin.reason = PacketInReason(r.u8()?);
            pin.table_id = r.u8()?;
            pin.metadata = from_port(OfPort::from_wire32(port)?);
        }
        _ => {
            pin.total_len = r.u16()?.into();
            pin.reason = PacketInReason(r.u8()?);
            pin.table_id = r.u8()?;
            if v >= Version::V13 {
                pin.cookie = cookie(r.u64()?);
            }
            pin.metadata = nxm::pull_oxm(r, Mode::Loose)?;
            r.skip(2)?;
        }
    }
    pin.packet = r.rest().to_vec();
    Ok(pin)
}

pub(super) fn decode_nx_in(r: &mut Reader<'_>) -> Result<PacketIn, OfError> {
    let (raw_buffer, total_len) = (r.u32()?, r.u16()?);
    let (reason, table_id, raw_cookie) = (r.u8()?, r.u8()?, r.u64()?);
    let match_len = usize::from(r.u16()?);
    r.skip(6)?;
    let (metadata, _) = nxm::pull(r, match_len, Mode::Loose, false)?;
    r.skip(2)?;
    Ok(PacketIn {
        format: PacketInFormat::Nxt,
        reason: PacketInReason(reason),
        table_id,
        cookie: cookie(raw_cookie),
        metadata,
        packet: r.rest().to_vec(),
        total_len: total_len.into(),
        buffer_id: buffer(raw_buffer),
        userdata: Vec::new(),
        continuation: Vec::new(),
    })
}

/// `NXPINT_*`.
mod nxpint {
    pub(super) const PACKET: u16 = 0;
    pub(super) const FULL_LEN: u16 = 1;
    pub(super) const BUFFER_ID: u16 = 2;
    pub(super) const TABLE_ID: u16 = 3;
    pub(super) const COOKIE: u16 = 4;
    pub(super) const REASON: u16 = 5;
    pub(super) const METADATA: u16 = 6;
    pub(super) const USERDATA: u16 = 7;
    pub(super) const CONTINUATION: u16 = 8;
}

pub(super) fn decode_nx_in2(r: &mut Reader<'_>) -> Result<PacketIn, OfError> {
    let mut pin = PacketIn {
        format: PacketInFormat::Nxt2,
        reason: PacketInReason::NO_MATCH,
        table_id: 0,
        cookie: None,
        metadata: Match::default(),
        packet: Vec::new(),
        total_len: 0,
        buffer_id: None,
        userdata: Vec::new(),
        continuation: Vec::new(),
    };
    for p in Properties::new(r.rest()) {
        let p = p?;
        match p.typ {
            nxpint::PACKET => pin.packet = p.body.to_vec(),
            nxpint::FULL_LEN => pin.total_len = p.u32()?,
            nxpint::BUFFER_ID => pin.buffer_id = buffer(p.u32()?),
            nxpint::TABLE_ID => pin.table_id = p.u8()?,
            nxpint::COOKIE => pin.cookie = cookie(p.u64()?),
            nxpint::REASON => pin.reason = PacketInReason(p.u8()?),
            nxpint::METADATA => pin.metadata = nxm::decode(p.body, Mode::Loose, false)?.0,
            nxpint::USERDATA => pin.userdata = p.body.to_vec(),
            nxpint::CONTINUATION => pin.continuation = p.body.to_vec(),
            _ => {}
        }
    }
    let len = pin.packet.len() as u32;
    if pin.total_len == 0 {
        pin.total_len = len;
    }
    if len == 0 || pin.total_len < len { Err(OfError::BrcBadLen) } else { Ok(pin) }
}

/// Octets of the whole packet as the 16-bit fields can say it.
fn total16(pin: &PacketIn) -> u16 {
    u16::try_from(pin.total_len).unwrap_or(u16::MAX)
}

pub(super) fn encode_in(w: &mut Writer, pin: &PacketIn, v: Version) {
    let port = pin.metadata.value.in_port;
    let reason = pin.reason.for_version(v).0;
    w.u32(pin.buffer_id.unwrap_or(NO_BUFFER));
    match v {
        Version::V10 => {
            w.u16(total16(pin)).u16(port.0).u8(reason).zeros(1);
        }
        Version::V11 => {
            w.u32(port.to_wire32()).u32(port.to_wire32()).u16(total16(pin));
            w.u8(reason).u8(pin.table_id);
        }
        _ => {
            w.u16(total16(pin)).u8(reason).u8(pin.table_id);
            if v >= Version::V13 {
                w.u64(pin.cookie.unwrap_or(u64::MAX));
            }
            nxm::put_oxm(w, &pin.metadata, v);
            w.zeros(2);
        }
    }
    w.bytes(&pin.packet);
}

pub(super) fn encode_nx_in(w: &mut Writer, pin: &PacketIn, v: Version) {
    w.u32(pin.buffer_id.unwrap_or(NO_BUFFER)).u16(total16(pin));
    w.u8(pin.reason.for_version(v).0).u8(pin.table_id).u64(pin.cookie.unwrap_or(u64::MAX));
    let len_at = w.len();
    w.u16(0).zeros(6);
    let len = nxm::put(w, &pin.metadata, None);
    w.set_u16(len_at, len);
    w.zeros(2).bytes(&pin.packet);
}

pub(super) fn encode_nx_in2(w: &mut Writer, pin: &PacketIn, v: Version) {
    prop::put(w, nxpint::PACKET, |w| {
        w.bytes(&pin.packet);
    });
    if pin.total_len as usize != pin.packet.len() {
        prop::put(w, nxpint::FULL_LEN, |w| {
            w.u32(pin.total_len);
        });
    }
    if let Some(id) = pin.buffer_id {
        prop::put(w, nxpint::BUFFER_ID, |w| {
            w.u32(id);
        });
    }
    prop::put(w, nxpint::TABLE_ID, |w| {
        w.u8(pin.table_id);
    });
    if let Some(c) = pin.cookie {
        prop::put_u64(w, nxpint::COOKIE, c);
    }
    prop::put(w, nxpint::REASON, |w| {
        w.u8(pin.reason.for_version(v).0);
    });
    prop::put(w, nxpint::METADATA, |w| nxm::encode(w, &pin.metadata, Some(v), None));
    if !pin.userdata.is_empty() {
        prop::put(w, nxpint::USERDATA, |w| {
            w.bytes(&pin.userdata);
        });
    }
    if !pin.continuation.is_empty() {
        prop::put(w, nxpint::CONTINUATION, |w| {
            w.bytes(&pin.continuation);
        });
    }
}

pub(super) fn decode_out(r: &mut Reader<'_>, v: Version) -> Result<PacketOut, OfError> {
    let buffer_id = buffer(r.u32()?);
    let actions_len;
    let mut metadata;
    match v {
        Version::V10 => {
            metadata = from_port(OfPort(r.u16()?));
            metadata.set_ethernet();
            actions_len = r.u16()?;
        }
        Version::V15 => {
            actions_len = r.u16()?;
            r.skip(2)?;
            metadata = nxm::pull_oxm(r, Mode::Pipeline)?;
            if metadata.mask.in_port.0 == 0 {
                return Err(OfError::BrcBadPort);
            }
        }
        _ => {
            let port = r.u32()?;
            actions_len = r.u16()?;
            r.skip(6)?;
            metadata = from_port(OfPort::from_wire32(port)?);
            metadata.set_ethernet();
        }
    }
    let actions = pull_actions(r, actions_len.into(), v, Within::List)?;
    let port = metadata.value.in_port;
    let ok =
        port.is_physical() || matches!(port, OfPort::LOCAL | OfPort::NONE | OfPort::CONTROLLER);
    if !ok {
        return Err(OfError::BrcBadPort);
    }
    let packet = if buffer_id.is_none() { r.rest().to_vec() } else { Vec::new() };
    Ok(PacketOut { buffer_id, metadata, actions, packet })
}

pub(super) fn encode_out(w: &mut Writer, po: &PacketOut, v: Version) {
    let port = po.metadata.value.in_port;
    let mut actions = Writer::default();
    put_actions(&mut actions, &po.actions, v, Known::default());
    // A list that does not fit makes the message too long, which the caller is told.
    let len = u16::try_from(actions.len()).unwrap_or(u16::MAX);
    w.u32(po.buffer_id.unwrap_or(NO_BUFFER));
    match v {
        Version::V10 => {
            w.u16(port.0).u16(len);
        }
        Version::V15 => {
            w.u16(len).zeros(2);
            nxm::put_oxm(w, &po.metadata, v);
        }
        _ => {
            w.u32(port.to_wire32()).u16(len).zeros(6);
        }
    }
    w.bytes(&actions.0).bytes(&po.packet);
}
