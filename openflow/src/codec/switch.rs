//! Messages about the switch and its controllers.

use super::buf::{Reader, Writer};
use super::port;
use super::prop::{self, Properties};
use crate::error::{ErrorCode, OfError};
use crate::msg::{AsyncMasks, Config, Desc, ErrorMsg, Features, Role, RoleRequest, RoleStatus};
use crate::version::Version;

/// The type of an error that a vendor defines, before 1.2 and since.
const VENDOR_ERROR: u16 = 0xb0c2;
const EXPERIMENTER_ERROR: u16 = 0xffff;

pub(super) fn decode_error(r: &mut Reader<'_>, v: Version) -> Result<ErrorMsg, OfError> {
    let mut code = ErrorCode { vendor: 0, typ: r.u16()?, code: r.u16()? };
    if (code.typ, code.code) == (VENDOR_ERROR, 0) {
        code = ErrorCode { vendor: r.u32()?, typ: r.u16()?, code: r.u16()? };
    } else if code.typ == EXPERIMENTER_ERROR {
        code = ErrorCode { vendor: r.u32()?, typ: code.code, code: 0 };
    }
    let error = OfError::from_code(v, code);
    Ok(ErrorMsg { error, code, data: r.rest().to_vec() })
}

pub(super) fn encode_error(w: &mut Writer, e: &ErrorMsg, v: Version) {
    let code = e.error.and_then(|e| e.sendable(v).code(v)).unwrap_or(e.code);
    if code.vendor == 0 {
        w.u16(code.typ).u16(code.code);
    } else if v <= Version::V11 {
        w.u16(VENDOR_ERROR).u16(0).u32(code.vendor).u16(code.typ).u16(code.code);
    } else {
        w.u16(EXPERIMENTER_ERROR).u16(code.typ).u32(code.vendor);
    }
    w.bytes(&e.data);
}

pub(super) fn decode_features(r: &mut Reader<'_>, v: Version) -> Result<Features, OfError> {
    let (datapath_id, n_buffers, n_tables, aux) = (r.u64()?, r.u32()?, r.u8()?, r.u8()?);
    r.skip(2)?;
    let (capabilities, actions) = (r.u32()?, r.u32()?);
    Ok(Features {
        datapath_id,
        n_buffers,
        n_tables,
        auxiliary_id: if v >= Version::V13 { aux } else { 0 },
        capabilities,
        actions: if v == Version::V10 { actions } else { 0 },
        ports: port::decode_descs(r, v)?,
    })
}

pub(super) fn encode_features(w: &mut Writer, f: &Features, v: Version) {
    w.u64(f.datapath_id).u32(f.n_buffers).u8(f.n_tables);
    w.u8(if v >= Version::V13 { f.auxiliary_id } else { 0 }).zeros(2);
    w.u32(f.capabilities).u32(if v == Version::V10 { f.actions } else { 0 });
    if v < Version::V13 {
        f.ports.iter().for_each(|p| port::encode_desc(w, p, v));
    }
}

pub(super) fn decode_config(r: &mut Reader<'_>, v: Version) -> Result<Config, OfError> {
    let (flags, miss_send_len) = (r.u16()?, r.u16()?);
    let ttl = if v < Version::V13 { Config::INVALID_TTL_TO_CONTROLLER } else { 0 };
    if flags & !(Config::FRAG_MASK | ttl) != 0 {
        return Err(OfError::ScfcBadFlags);
    }
    Ok(Config { flags, miss_send_len })
}

fn role(n: u32) -> Result<Role, OfError> {
    match n {
        0 => Ok(Role::NoChange),
        1 => Ok(Role::Equal),
        2 => Ok(Role::Primary),
        3 => Ok(Role::Secondary),
        _ => Err(OfError::RrfcBadRole),
    }
}

pub(super) fn decode_role(r: &mut Reader<'_>, request: bool) -> Result<RoleRequest, OfError> {
    let role = role(r.u32()?)?;
    r.skip(4)?;
    let generation = r.u64()?;
    let none = if request { role == Role::NoChange } else { generation == u64::MAX };
    Ok(RoleRequest { role, generation: (!none).then_some(generation), nx: false })
}

pub(super) fn encode_role(w: &mut Writer, q: &RoleRequest) {
    w.u32(q.role as u32).zeros(4).u64(q.generation.unwrap_or(u64::MAX));
}

/// Nicira's roles have numbers that are lower by one, and no "no change".
pub(super) fn decode_nx_role(r: &mut Reader<'_>) -> Result<RoleRequest, OfError> {
    let role = role(r.u32()?.saturating_add(1))?;
    Ok(RoleRequest { role, generation: None, nx: true })
}

pub(super) fn encode_nx_role(w: &mut Writer, q: &RoleRequest) {
    w.u32((q.role as u32).saturating_sub(1));
}

pub(super) fn decode_role_status(r: &mut Reader<'_>) -> Result<RoleStatus, OfError> {
    let role = role(r.u32()?)?;
    let reason = r.u8()?;
    r.skip(3)?;
    Ok(RoleStatus { role, reason, generation: r.u64()? })
}

impl AsyncMasks {
    fn kinds(&self) -> [[u32; 2]; 6] {
        [
            self.packet_in,
            self.port_status,
            self.flow_removed,
            self.role_status,
            self.table_status,
            self.request_forward,
        ]
    }

    fn kind_mut(&mut self, n: usize) -> Option<&mut [u32; 2]> {
        match n {
            0 => Some(&mut self.packet_in),
            1 => Some(&mut self.port_status),
            2 => Some(&mut self.flow_removed),
            3 => Some(&mut self.role_status),
            4 => Some(&mut self.table_status),
            5 => Some(&mut self.request_forward),
            _ => None,
        }
    }
}

pub(super) fn decode_async(r: &mut Reader<'_>, v: Version) -> Result<AsyncMasks, OfError> {
    if v < Version::V14 { fixed_async(r, false) } else { async_properties(r, false) }
}

pub(super) fn decode_nx_async(r: &mut Reader<'_>) -> Result<AsyncMasks, OfError> {
    fixed_async(r, true)
}

pub(super) fn decode_nx_async2(r: &mut Reader<'_>) -> Result<AsyncMasks, OfError> {
    async_properties(r, true)
}

fn fixed_async(r: &mut Reader<'_>, nx: bool) -> Result<AsyncMasks, OfError> {
    Ok(AsyncMasks {
        packet_in: [r.u32()?, r.u32()?],
        port_status: [r.u32()?, r.u32()?],
        flow_removed: [r.u32()?, r.u32()?],
        nx,
        named: 0x3f,
        ..AsyncMasks::default()
    })
}

/// Properties of 1.4 (clause 7.3.10): even numbers for the role secondary, odd ones for primary
/// and equal.
fn async_properties(r: &mut Reader<'_>, nx: bool) -> Result<AsyncMasks, OfError> {
    let mut a = AsyncMasks { nx, ..AsyncMasks::default() };
    for p in Properties::new(r.rest()) {
        let p = p?;
        let n = usize::from(p.typ);
        let slot = usize::from(n.is_multiple_of(2));
        let mask = p.u32()?;
        let kind = a.kind_mut(n / 2).ok_or(OfError::AcfcUnsupported)?;
        kind[slot] = mask;
        a.named |= 1 << (n / 2 * 2 + slot);
    }
    Ok(a)
}

pub(super) fn encode_async(w: &mut Writer, a: &AsyncMasks, v: Version) {
    if v < Version::V14 {
        return encode_nx_async(w, a);
    }
    for (n, kind) in a.kinds().into_iter().enumerate() {
        for (slot, mask) in kind.into_iter().enumerate().rev() {
            if a.named & 1 << (n * 2 + slot) != 0 {
                prop::put(w, (n * 2 + 1 - slot) as u16, |w| {
                    w.u32(mask);
                });
            }
        }
    }
}

pub(super) fn encode_nx_async(w: &mut Writer, a: &AsyncMasks) {
    for mask in a.kinds()[..3].as_flattened() {
        w.u32(*mask);
    }
}

/// Lengths of the description's texts, with their final zeros.
const DESC: usize = 256;
const SERIAL: usize = 32;

pub(super) fn decode_desc(r: &mut Reader<'_>) -> Result<Desc, OfError> {
    Ok(Desc {
        manufacturer: r.text(DESC)?,
        hardware: r.text(DESC)?,
        software: r.text(DESC)?,
        serial: r.text(SERIAL)?,
        datapath: r.text(DESC)?,
    })
}

pub(super) fn encode_desc(w: &mut Writer, d: &Desc) {
    w.text(&d.manufacturer, DESC).text(&d.hardware, DESC).text(&d.software, DESC);
    w.text(&d.serial, SERIAL).text(&d.datapath, DESC);
}
