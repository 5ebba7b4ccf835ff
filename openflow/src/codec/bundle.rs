//! Bundles. Layouts: OpenFlow 1.4 clause 7.3.9; in 1.3 the same as the foundation's extension 230.

use super::buf::{Reader, Writer};
use super::header::{HEADER_LEN, Header};
use crate::error::OfError;
use crate::msg::{BundleAdd, BundleControl};
use crate::version::Version;

pub(super) fn decode_control(r: &mut Reader<'_>) -> Result<BundleControl, OfError> {
    Ok(BundleControl { id: r.u32()?, typ: r.u16()?, flags: r.u16()? })
}

pub(super) fn encode_control(w: &mut Writer, b: &BundleControl) {
    w.u32(b.id).u16(b.typ).u16(b.flags);
}

/// The inner message must be of the same version and have the same number. Properties may follow
/// it, which is not defined.
pub(super) fn decode_add(r: &mut Reader<'_>, v: Version, xid: u32) -> Result<BundleAdd, OfError> {
    let id = r.u32()?;
    r.skip(2)?;
    let flags = r.u16()?;
    let bad_len = OfError::BfcMsgBadLen;
    let inner = Header::peek(r.rest()).ok_or(bad_len)?;
    if inner.version != v.wire() {
        return Err(OfError::BfcBadVersion);
    }
    let len = usize::from(inner.len);
    let message = r.rest().get(..len).filter(|m| m.len() >= HEADER_LEN).ok_or(bad_len)?;
    if inner.xid != xid {
        return Err(OfError::BfcMsgBadXid);
    }
    Ok(BundleAdd { id, flags, message: message.to_vec() })
}

pub(super) fn encode_add(w: &mut Writer, b: &BundleAdd) {
    w.u32(b.id).zeros(2).u16(b.flags).bytes(&b.message);
}
