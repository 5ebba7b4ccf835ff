//! Actions and instructions from a message.
//!
//! An action begins with type and length (16 bits each); type 0xffff is a vendor's, whose number
//! and subtype follow (32 and 16 bits). Layouts: OpenFlow 1.0 clause 5.2.4, 1.5 clause 7.2.6, and
//! for Nicira's the comments of Open vSwitch's `ofp-actions.c`.

use wire::{EthAddr, EtherType};

use super::buf::Reader;
use super::nxm;
use super::prop::Properties;
use crate::action::{self, Action, Controller, PacketInReason, SetForm, Within};
use crate::error::{NX_VENDOR, ONF_VENDOR, OfError};
use crate::field::{Field, Subfield};
use crate::ofport::OfPort;
use crate::version::Version;

/// How deep `clone` may be nested. It bounds the use of the stack; flows in use nest a few.
const MAX_DEPTH: u32 = 32;

/// How to decode.
#[derive(Clone, Copy)]
struct Context {
    version: Version,
    depth: u32,
}

/// Reads `len` octets of actions and checks their order.
pub(crate) fn pull_actions(
    r: &mut Reader<'_>,
    len: usize,
    version: Version,
    within: Within,
) -> Result<Vec<Action>, OfError> {
    if !len.is_multiple_of(8) {
        return Err(OfError::BrcBadLen);
    }
    let octets = r.take(len).map_err(|_| OfError::BrcBadLen)?;
    let actions = list(octets, Context { version, depth: 0 })?;
    action::verify(&actions, version, within).map_err(|e| e.error)?;
    Ok(actions)
}

/// Reads what a flow does: in 1.0 a list of actions, later instructions.
pub(crate) fn pull_instructions(
    r: &mut Reader<'_>,
    len: usize,
    version: Version,
) -> Result<Vec<Action>, OfError> {
    if version == Version::V10 {
        return pull_actions(r, len, version, Within::Flow);
    }
    let bad = OfError::BicBadLen;
    if !len.is_multiple_of(8) {
        return Err(bad);
    }
    let found = split_instructions(r.take(len).map_err(|_| bad)?, version)?;
    let cx = Context { version, depth: 0 };
    let mut out = Vec::new();
    // In the order in which they take effect, whatever the order in the message.
    let [meter, apply, clear, write, metadata, goto] = found;
    if let Some(mut b) = meter {
        out.push(Action::Meter(b.u32()?));
    }
    if let Some(mut b) = apply {
        b.skip(4)?;
        out.extend(list(b.rest(), cx)?);
    }
    if clear.is_some() {
        out.push(Action::ClearActions);
    }
    if let Some(mut b) = write {
        b.skip(4)?;
        let set = list(b.rest(), cx)?;
        if !set.iter().all(Action::allowed_in_set) {
            return Err(OfError::BacBadType);
        }
        out.push(Action::WriteActions(set));
    }
    if let Some(mut b) = metadata {
        b.skip(4)?;
        out.push(Action::WriteMetadata { value: b.u64()?, mask: b.u64()? });
    }
    if let Some(mut b) = goto {
        out.push(Action::GotoTable(b.u8()?));
    }
    action::verify(&out, version, Within::Flow).map_err(|e| e.error)?;
    Ok(out)
}

/// Each kind of instruction, at most once: meter, apply, clear, write, metadata, goto.
fn split_instructions(octets: &[u8], version: Version) -> Result<[Option<Reader<'_>>; 6], OfError> {
    let bad = OfError::BicBadLen;
    let mut found = [None; 6];
    let mut rest = octets;
    while !rest.is_empty() {
        let mut h = Reader::new(rest, bad);
        let (typ, len) = (h.u16()?, usize::from(h.u16()?));
        if len < 8 || !len.is_multiple_of(8) || len > rest.len() {
            return Err(bad);
        }
        let (slot, exact) = match typ {
            1 => (5, Some(8)),
            2 => (4, Some(24)),
            3 => (3, None),
            4 => (1, None),
            5 => (2, Some(8)),
            // An action since 1.5.
            6 if version >= Version::V15 && len == 8 => return Err(OfError::BicUnknownInst),
            6 => (0, Some(8)),
            0xffff => return Err(OfError::BicBadExperimenter),
            _ => return Err(OfError::BicUnknownInst),
        };
        if exact.is_some_and(|n| n != len) {
            return Err(bad);
        }
        if found[slot].is_some() {
            return Err(OfError::BicDupInst);
        }
        found[slot] = Some(Reader::new(&rest[4..len], bad));
        rest = &rest[len..];
    }
    Ok(found)
}

fn list(octets: &[u8], cx: Context) -> Result<Vec<Action>, OfError> {
    let bad = OfError::BacBadLen;
    let mut out = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let mut h = Reader::new(rest, bad);
        let (typ, len) = (h.u16()?, usize::from(h.u16()?));
        let word = h.u32()?;
        let kind = if typ == 0xffff {
            let subtype = match word {
                NX_VENDOR | ONF_VENDOR if rest.len() < 16 => return Err(bad),
                NX_VENDOR | ONF_VENDOR => h.u16()?,
                _ => return Err(OfError::BacBadVendor),
            };
            vendor_kind(word, subtype, cx.version).ok_or(OfError::BacBadVendorType)?
        } else {
            standard_kind(typ, cx.version).ok_or(OfError::BacBadType)?
        };
        let Kind { min, exact, header, read } = kind;
        let fits = if exact { len == min } else { len >= min };
        if len > rest.len() || !fits || !len.is_multiple_of(8) {
            return Err(bad);
        }
        let mut body = Reader::new(&rest[header..len], bad);
        out.push(read(&mut body, cx)?);
        rest = &rest[len..];
    }
    Ok(out)
}

type Read = fn(&mut Reader<'_>, Context) -> Result<Action, OfError>;

/// An action's form: its length, and how to read what follows its header.
struct Kind {
    min: usize,
    exact: bool,
    header: usize,
    read: Read,
}

const fn std(len: usize, read: Read) -> Option<Kind> {
    Some(Kind { min: len, exact: true, header: 4, read })
}

const fn nx(len: usize, read: Read) -> Option<Kind> {
    Some(Kind { min: len, exact: true, header: 10, read })
}

const fn nx_more(min: usize, read: Read) -> Option<Kind> {
    Some(Kind { min, exact: false, header: 10, read })
}

fn standard_kind(typ: u16, v: Version) -> Option<Kind> {
    let v10 = v == Version::V10;
    match typ {
        0 if v10 => std(8, |b, _| output(OfPort(b.u16()?), b.u16()?)),
        0 => std(16, |b, _| output(OfPort::from_wire32(b.u32()?)?, b.u16()?)),
        1 => std(8, |b, c| {
            let vid = b.u16()?;
            let push = c.version == Version::V10;
            argument(vid <= 0xfff, Action::SetVlanVid { vid, push })
        }),
        2 => std(8, |b, c| {
            let pcp = b.u8()?;
            let push = c.version == Version::V10;
            argument(pcp <= 7, Action::SetVlanPcp { pcp, push })
        }),
        3 if v10 => std(8, |_, _| Ok(Action::StripVlan { pop: false })),
        // What follows has the same order in 1.1, one number lower for want of the last.
        4..=8 if v10 => addresses(typ),
        3..=7 => addresses(typ + 1),
        8 => std(8, |b, _| {
            let ecn = b.u8()?;
            argument(ecn <= 3, Action::SetIpEcn(ecn))
        }),
        9 => std(8, |b, _| Ok(Action::SetTpSrc(b.u16()?))),
        10 => std(8, |b, _| Ok(Action::SetTpDst(b.u16()?))),
        11 if v10 => std(16, |b, _| {
            let port = OfPort(b.u16()?);
            b.skip(6)?;
            let ok = port.is_physical() || matches!(port, OfPort::IN_PORT | OfPort::LOCAL);
            if !ok {
                return Err(OfError::BacBadOutPort);
            }
            Ok(Action::Enqueue { port, queue: b.u32()? })
        }),
        _ if v10 => None,
        13 => std(8, set_mpls_label),
        14 => std(8, |b, _| Ok(Action::SetMplsTc(b.u8()?))),
        15 => std(8, |b, _| Ok(Action::SetMplsTtl(b.u8()?))),
        16 => std(8, |_, _| Ok(Action::DecMplsTtl)),
        17 => std(8, |b, _| {
            let t = b.u16()?;
            let ok = matches!(t, EtherType::VLAN | EtherType::VLAN_8021AD);
            argument(ok, Action::PushVlan(t))
        }),
        18 => std(8, |_, _| Ok(Action::StripVlan { pop: true })),
        19 => std(8, push_mpls),
        20 => std(8, |b, _| Ok(Action::PopMpls(b.u16()?))),
        21 => std(8, |b, _| Ok(Action::SetQueue(b.u32()?))),
        22 => std(8, |b, _| Ok(Action::Group(b.u32()?))),
        23 => std(8, |b, _| Ok(Action::SetIpTtl(b.u8()?))),
        24 => std(8, |_, _| Ok(Action::DecTtl(None))),
        25 if v >= Version::V12 => Some(Kind { min: 8, exact: false, header: 4, read: set_field }),
        28 if v >= Version::V15 => Some(Kind {
            min: 16,
            exact: false,
            header: 4,
            read: |b, _| {
                let (n_bits, src, dst) = (b.u16()?, b.u16()?, b.u16()?);
                b.skip(2)?;
                move_field(b, n_bits, src, dst, true)
            },
        }),
        29 if v >= Version::V15 => std(8, |b, _| Ok(Action::Meter(b.u32()?))),
        _ => None,
    }
}

/// The actions that set an address or the type of service, by their numbers in 1.0.
fn addresses(typ: u16) -> Option<Kind> {
    match typ {
        4 => std(16, |b, _| Ok(Action::SetEthSrc(EthAddr(b.array()?)))),
        5 => std(16, |b, _| Ok(Action::SetEthDst(EthAddr(b.array()?)))),
        6 => std(8, |b, _| Ok(Action::SetIpv4Src(b.array()?))),
        7 => std(8, |b, _| Ok(Action::SetIpv4Dst(b.array()?))),
        _ => std(8, |b, _| {
            let tos = b.u8()?;
            argument(tos & 3 == 0, Action::SetIpDscp(tos))
        }),
    }
}

fn vendor_kind(vendor: u32, subtype: u16, v: Version) -> Option<Kind> {
    let only10 = v == Version::V10;
    let to14 = v <= Version::V14;
    if vendor == ONF_VENDOR {
        return match subtype {
            3200 if matches!(v, Version::V13 | Version::V14) => nx_more(24, |b, _| {
                b.skip(2)?;
                let (n_bits, src, dst) = (b.u16()?, b.u16()?, b.u16()?);
                b.skip(2)?;
                move_field(b, n_bits, src, dst, true)
            }),
            _ => None,
        };
    }
    match subtype {
        1 => nx(16, |b, _| {
            let in_port = OfPort(b.u16()?);
            Ok(Action::Resubmit { in_port, table: 255, ct: false, short: true })
        }),
        14 => nx(16, |b, _| resubmit(b, false)),
        44 => nx(16, |b, _| resubmit(b, true)),
        2 => nx(16, |b, _| {
            b.skip(2)?;
            Ok(Action::SetTunnel { id: b.u32()?.into(), wide: false })
        }),
        9 => nx(24, |b, _| {
            b.skip(6)?;
            Ok(Action::SetTunnel { id: b.u64()?, wide: true })
        }),
        4 if only10 => nx(16, |b, _| {
            b.skip(2)?;
            Ok(Action::SetQueue(b.u32()?))
        }),
        5 => nx(16, |_, _| Ok(Action::PopQueue)),
        6 if to14 => nx_more(16, |b, _| {
            let (n_bits, src, dst) = (b.u16()?, b.u16()?, b.u16()?);
            move_field(b, n_bits, src, dst, false)
        }),
        7 if to14 => nx(24, reg_load),
        33 if to14 => nx_more(16, reg_load2),
        8 => nx_more(16, |b, _| Ok(Action::Note(b.rest().to_vec()))),
        15 => nx(24, |b, _| {
            let (ofs, n_bits) = ofs_nbits(b.u16()?);
            let header = b.u32()?;
            let max_len = b.u16()?;
            b.zeros(6, OfError::BacBadArgument)?;
            let src = Subfield { field: nxm::field_of_nxm_header(header)?, ofs, n_bits };
            src.check_src()?;
            Ok(Action::OutputReg { src, max_len, form2: false })
        }),
        32 => nx(24, |b, _| {
            let (ofs, n_bits) = ofs_nbits(b.u16()?);
            let max_len = b.u16()?;
            let src = Subfield { field: nxm::pull_field(b)?, ofs, n_bits };
            must_be_zero(b)?;
            src.check_src()?;
            Ok(Action::OutputReg { src, max_len, form2: true })
        }),
        17 => nx(16, |_, _| Ok(Action::Exit)),
        18 if only10 => nx(16, |_, _| Ok(Action::DecTtl(None))),
        19 => nx(16, |b, _| Ok(Action::FinTimeout { idle: b.u16()?, hard: b.u16()? })),
        20 => nx(16, |b, _| {
            let (max_len, id) = (b.u16()?, b.u16()?);
            let reason = PacketInReason(b.u8()?);
            Ok(Action::Controller(Controller { max_len, id, reason, ..Controller::default() }))
        }),
        37 => nx_more(16, controller2),
        21 => nx_more(16, dec_ttl_ids),
        22 => nx(32, |b, _| {
            b.zeros(6, OfError::NxBrcMustBeZero)?;
            Ok(Action::WriteMetadata { value: b.u64()?, mask: b.u64()? })
        }),
        23 if only10 => nx(16, push_mpls),
        24 if only10 => nx(16, |b, _| Ok(Action::PopMpls(b.u16()?))),
        25 if only10 => nx(16, |b, _| Ok(Action::SetMplsTtl(b.u8()?))),
        26 if only10 => nx(16, |_, _| Ok(Action::DecMplsTtl)),
        27 => nx(24, |b, _| {
            let s = stack(b)?;
            s.check_src()?;
            Ok(Action::Push(s))
        }),
        28 => nx(24, |b, _| {
            let s = stack(b)?;
            s.check_dst()?;
            Ok(Action::Pop(s))
        }),
        30 if only10 => nx(16, |b, c| {
            b.skip(2)?;
            set_mpls_label(b, c)
        }),
        31 if only10 => nx(16, |b, _| Ok(Action::SetMplsTc(b.u8()?))),
        34 => nx(16, |b, _| {
            let (clause, n_clauses, id) = (b.u8()?, b.u8()?, b.u32()?);
            if !(2..=64).contains(&n_clauses) || clause >= n_clauses {
                return Err(OfError::NxBacBadConjunction);
            }
            Ok(Action::Conjunction { id, clause, n_clauses })
        }),
        39 => nx(16, |b, _| {
            let (port, max_len) = (OfPort(b.u16()?), b.u32()?);
            argument(max_len >= 14, Action::OutputTrunc { port, max_len })
        }),
        40 if only10 => nx(16, |b, _| {
            b.skip(2)?;
            Ok(Action::Group(b.u32()?))
        }),
        42 => nx_more(16, |b, c| {
            b.skip(6)?;
            if c.depth == MAX_DEPTH {
                return Err(OfError::BacTooMany);
            }
            let inner = list(b.rest(), Context { depth: c.depth + 1, ..c })?;
            action::verify(&inner, c.version, Within::List).map_err(|e| e.error)?;
            Ok(Action::Clone(inner))
        }),
        43 => nx(16, |_, _| Ok(Action::CtClear)),
        254 => nx(16, |_, _| Ok(Action::DebugSlow)),
        255 => nx(16, |_, _| Ok(Action::DebugRecirc)),
        _ => None,
    }
}

/// The action if its argument is good.
fn argument(ok: bool, a: Action) -> Result<Action, OfError> {
    if ok { Ok(a) } else { Err(OfError::BacBadArgument) }
}

fn output(port: OfPort, max_len: u16) -> Result<Action, OfError> {
    port.check_output()?;
    Ok(Action::Output { port, max_len })
}

fn set_mpls_label(b: &mut Reader<'_>, _: Context) -> Result<Action, OfError> {
    Ok(Action::SetMplsLabel(b.u32()?))
}

fn push_mpls(b: &mut Reader<'_>, _: Context) -> Result<Action, OfError> {
    let t = b.u16()?;
    argument(matches!(t, 0x8847 | 0x8848), Action::PushMpls(t))
}

fn resubmit(b: &mut Reader<'_>, ct: bool) -> Result<Action, OfError> {
    let (in_port, table) = (OfPort(b.u16()?), b.u8()?);
    b.zeros(3, OfError::BacBadArgument)?;
    Ok(Action::Resubmit { in_port, table, ct, short: false })
}

/// Offset in the upper ten bits, width less one in the lower six.
fn ofs_nbits(v: u16) -> (u16, u16) {
    (v >> 6, (v & 0x3f) + 1)
}

fn must_be_zero(b: &mut Reader<'_>) -> Result<(), OfError> {
    b.zeros(b.len(), OfError::NxBrcMustBeZero)
}

fn stack(b: &mut Reader<'_>) -> Result<Subfield, OfError> {
    let ofs = b.u16()?;
    let field = nxm::pull_field(b)?;
    let n_bits = b.u16()?;
    must_be_zero(b)?;
    Ok(Subfield { field, ofs, n_bits })
}

fn move_field(
    b: &mut Reader<'_>,
    n_bits: u16,
    src_ofs: u16,
    dst_ofs: u16,
    onf: bool,
) -> Result<Action, OfError> {
    let src = Subfield { field: nxm::pull_field(b)?, ofs: src_ofs, n_bits };
    let dst = Subfield { field: nxm::pull_field(b)?, ofs: dst_ofs, n_bits };
    must_be_zero(b)?;
    src.check_src()?;
    dst.check_dst()?;
    Ok(Action::Move { src, dst, onf })
}

fn reg_load(b: &mut Reader<'_>, _: Context) -> Result<Action, OfError> {
    let (ofs, n_bits) = ofs_nbits(b.u16()?);
    let dst = Subfield { field: nxm::field_of_nxm_header(b.u32()?)?, ofs, n_bits };
    let value = b.u64()?;
    dst.check_dst()?;
    if n_bits < 64 && value >> n_bits != 0 {
        return Err(OfError::BacBadArgument);
    }
    let value = u128::from(value) << ofs;
    Ok(Action::SetField { field: dst.field, value, mask: dst.mask(), form: SetForm::Load })
}

fn reg_load2(b: &mut Reader<'_>, _: Context) -> Result<Action, OfError> {
    let (field, value, mask) = nxm::pull_entry(b, true)?;
    b.zeros(b.len(), OfError::BacBadSetArgument)?;
    if !field.info().writable {
        return Err(OfError::BacBadSetArgument);
    }
    Ok(Action::SetField { field, value: value & mask, mask, form: SetForm::Load2 })
}

fn set_field(b: &mut Reader<'_>, c: Context) -> Result<Action, OfError> {
    let masked = c.version >= Version::V15;
    let (field, value, mask) = nxm::pull_entry(b, masked)
        .map_err(|e| if e == OfError::BmcBadMask { OfError::BacBadSetMask } else { e })?;
    let bad = OfError::BacBadSetArgument;
    b.zeros(b.len(), bad)?;
    // The port that a packet came from is not to be set by this action (1.2 clause A.2.5).
    if field == Field::InPortOxm || !field.info().writable || !field.value_ok(value) {
        return Err(bad);
    }
    // A VLAN ID is only set where there is a tag, and the value says so.
    if field == Field::VlanVid && value & mask & 0x1000 == 0 {
        return Err(bad);
    }
    Ok(Action::SetField { field, value, mask, form: SetForm::SetField })
}

fn dec_ttl_ids(b: &mut Reader<'_>, _: Context) -> Result<Action, OfError> {
    let n = usize::from(b.u16()?);
    b.zeros(4, OfError::NxBrcMustBeZero)?;
    if b.len() < n * 2 {
        return Err(OfError::BacBadLen);
    }
    let ids = (0..n).map(|_| b.u16()).collect::<Result<_, _>>()?;
    Ok(Action::DecTtl(Some(ids)))
}

fn controller2(b: &mut Reader<'_>, _: Context) -> Result<Action, OfError> {
    b.zeros(6, OfError::NxBrcMustBeZero)?;
    let mut c = Controller { extended: true, ..Controller::default() };
    for p in Properties::new(b.rest()) {
        let p = p?;
        match p.typ {
            0 => c.max_len = p.u16()?,
            1 => c.id = p.u16()?,
            2 => c.reason = PacketInReason(p.u8()?),
            3 => c.userdata = p.body.to_vec(),
            4 => c.pause = true,
            // There is no meter 0.
            5 => c.meter = Some(p.u32()?).filter(|m| *m != 0),
            _ => return Err(OfError::BpcBadType),
        }
    }
    Ok(Action::Controller(c))
}
