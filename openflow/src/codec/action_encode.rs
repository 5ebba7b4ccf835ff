//! Actions and instructions to a message.
//!
//! Some depend on what the packet is known to be: later versions have no action that adds a tag
//! where there is none, and name the protocol of a port that is set. [`Known`] carries that.

use wire::{VlanTag, ip};

use super::buf::Writer;
use super::{nxm, prop};
use crate::action::{Action, Controller, Instruction, PacketInReason, SetForm};
use crate::error::{NX_VENDOR, ONF_VENDOR};
use crate::field::{Field, Match, Subfield, ones};
use crate::ofport::OfPort;
use crate::version::Version;

/// What is known of the packet at some place in a list of actions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    has_vlan: bool,
    proto: u8,
}

impl Known {
    /// Of packets that `m` matches.
    pub(crate) fn of(m: &Match) -> Known {
        let k = &m.value.key;
        Known { has_vlan: k.vlan[0].tci & VlanTag::CFI != 0, proto: k.nw_proto }
    }
}

/// Writes a list of actions.
pub(crate) fn put_actions(w: &mut Writer, actions: &[Action], v: Version, mut known: Known) {
    actions.iter().for_each(|a| put(w, a, v, &mut known));
}

/// Writes what a flow does: in 1.0 a list of actions, later instructions.
pub(crate) fn put_instructions(w: &mut Writer, actions: &[Action], v: Version, m: &Match) {
    let mut known = Known::of(m);
    if v == Version::V10 {
        return put_actions(w, actions, v, known);
    }
    let mut rest = actions;
    while let Some((first, after)) = rest.split_first() {
        if first.instruction(v) != Instruction::ApplyActions {
            put(w, first, v, &mut known);
            rest = after;
            continue;
        }
        let is_apply = |a: &Action| a.instruction(v) == Instruction::ApplyActions;
        let n = rest.iter().take_while(|a| is_apply(a)).count();
        let start = w.len();
        w.u16(4).u16(0).zeros(4);
        rest[..n].iter().for_each(|a| put(w, a, v, &mut known));
        w.set_len(start, 2);
        rest = &rest[n..];
    }
}

/// An action of the standard's: header, body, zeros to a multiple of 8.
fn std(w: &mut Writer, typ: u16, body: impl FnOnce(&mut Writer)) {
    let start = w.len();
    w.u16(typ).u16(0);
    body(w);
    w.pad8(start);
    w.set_len(start, 2);
    if w.len() - start < 8 {
        w.zeros(4).set_len(start, 2);
    }
}

/// An action of Nicira's, at least 16 octets.
fn nx(w: &mut Writer, subtype: u16, body: impl FnOnce(&mut Writer)) {
    let start = w.len();
    w.u16(0xffff).u16(0).u32(NX_VENDOR).u16(subtype);
    body(w);
    if w.len() - start < 16 {
        w.zeros(16 - (w.len() - start));
    }
    w.pad8(start);
    w.set_len(start, 2);
}

fn u8_action(w: &mut Writer, typ: u16, v: u8) {
    std(w, typ, |w| {
        w.u8(v);
    });
}

fn u16_action(w: &mut Writer, typ: u16, v: u16) {
    std(w, typ, |w| {
        w.u16(v);
    });
}

fn u32_action(w: &mut Writer, typ: u16, v: u32) {
    std(w, typ, |w| {
        w.u32(v);
    });
}

fn nx_u16(w: &mut Writer, subtype: u16, v: u16) {
    nx(w, subtype, |w| {
        w.u16(v);
    });
}

fn nx_u32(w: &mut Writer, subtype: u16, v: u32) {
    nx(w, subtype, |w| {
        w.zeros(2).u32(v);
    });
}

fn put_set_field(w: &mut Writer, field: Field, v: Version, value: u128) {
    std(w, 25, |w| nxm::put_entry(w, field, Some(v), value, field.ones()));
}

/// A number that 1.0 and 1.1 set by an action of its own, and later ones by `set_field`.
fn old_or_set(w: &mut Writer, v: Version, field: Field, value: u128, old: [u16; 2]) {
    match v {
        Version::V10 | Version::V11 => {
            let typ = old[usize::from(v == Version::V11)];
            let bytes = usize::from(field.info().bytes);
            std(w, typ, |w| {
                w.bytes(&value.to_be_bytes()[16 - bytes..]);
            });
        }
        _ => put_set_field(w, field, v, value),
    }
}

fn put(w: &mut Writer, a: &Action, v: Version, known: &mut Known) {
    let v10 = v == Version::V10;
    match a {
        Action::Output { port, max_len } => put_output(w, *port, *max_len, v),
        Action::OutputReg { src, max_len, form2 } => put_output_reg(w, *src, *max_len, *form2),
        Action::OutputTrunc { port, max_len } => nx(w, 39, |w| {
            w.u16(port.0).u32(*max_len);
        }),
        Action::Controller(c) => put_controller(w, c),
        Action::Enqueue { port, queue } if v10 => std(w, 11, |w| {
            w.u16(port.0).zeros(6).u32(*queue);
        }),
        Action::Enqueue { port, queue } => {
            u32_action(w, 21, *queue);
            put_output(w, *port, 0xffff, v);
            nx(w, 5, |_| {});
        }
        Action::Group(id) if v10 => nx_u32(w, 40, *id),
        Action::Group(id) => u32_action(w, 22, *id),

        Action::SetField { field, value, mask, form } => {
            put_value(w, *field, *value, *mask, *form, v, known);
        }
        Action::SetVlanVid { vid, push } => {
            push_if_needed(w, *push, v, known);
            match v {
                Version::V10 | Version::V11 => u16_action(w, 1, *vid),
                _ => put_set_field(w, Field::VlanVid, v, u128::from(*vid | 0x1000)),
            }
        }
        Action::SetVlanPcp { pcp, push } => {
            push_if_needed(w, *push, v, known);
            match v {
                Version::V10 | Version::V11 => u8_action(w, 2, *pcp),
                _ => put_set_field(w, Field::VlanPcp, v, (*pcp).into()),
            }
        }
        Action::StripVlan { .. } => {
            known.has_vlan = false;
            std(w, if v10 { 3 } else { 18 }, |_| {});
        }
        // In 1.0 the action that sets the tag's content, which must follow, adds it.
        Action::PushVlan(_) if v10 => {}
        Action::PushVlan(tpid) => {
            known.has_vlan = true;
            u16_action(w, 17, *tpid);
        }
        Action::SetEthSrc(mac) => old_or_set(w, v, Field::EthSrc, mac.to_u64().into(), [4, 3]),
        Action::SetEthDst(mac) => old_or_set(w, v, Field::EthDst, mac.to_u64().into(), [5, 4]),
        Action::SetIpv4Src(ip) => {
            old_or_set(w, v, Field::Ipv4Src, u32::from_be_bytes(*ip).into(), [6, 5]);
        }
        Action::SetIpv4Dst(ip) => {
            old_or_set(w, v, Field::Ipv4Dst, u32::from_be_bytes(*ip).into(), [7, 6]);
        }
        Action::SetIpDscp(tos) => match v {
            Version::V10 => u8_action(w, 8, *tos),
            Version::V11 => u8_action(w, 7, *tos),
            _ => put_set_field(w, Field::IpDscpShifted, v, (tos >> 2).into()),
        },
        Action::SetIpEcn(ecn) => match v {
            Version::V10 => reg_load(w, Subfield::whole(Field::IpEcn), (*ecn).into()),
            Version::V11 => u8_action(w, 8, *ecn),
            _ => put_set_field(w, Field::IpEcn, v, (*ecn).into()),
        },
        Action::SetIpTtl(ttl) if v10 => {
            reg_load(w, Subfield::whole(Field::IpTtl), (*ttl).into());
        }
        Action::SetIpTtl(ttl) => u8_action(w, 23, *ttl),
        Action::SetTpSrc(p) => {
            put_port(w, v, known, 9, [Field::TcpSrc, Field::UdpSrc, Field::SctpSrc], *p);
        }
        Action::SetTpDst(p) => {
            put_port(w, v, known, 10, [Field::TcpDst, Field::UdpDst, Field::SctpDst], *p);
        }
        Action::Move { src, dst, onf } => put_move(w, *src, *dst, *onf, v),
        Action::Push(s) => put_stack(w, 27, *s),
        Action::Pop(s) => put_stack(w, 28, *s),
        Action::DecTtl(None) if v10 => nx(w, 18, |_| {}),
        Action::DecTtl(None) => std(w, 24, |_| {}),
        Action::DecTtl(Some(ids)) => nx(w, 21, |w| {
            w.u16(u16::try_from(ids.len()).unwrap_or(u16::MAX)).zeros(4);
            for id in ids {
                w.u16(*id);
            }
        }),
        Action::SetMplsLabel(l) => match v {
            Version::V10 => nx_u32(w, 30, *l),
            Version::V11 => u32_action(w, 13, *l),
            _ => put_set_field(w, Field::MplsLabel, v, (*l).into()),
        },
        Action::SetMplsTc(tc) => match v {
            Version::V10 => nx(w, 31, |w| {
                w.u8(*tc);
            }),
            Version::V11 => u8_action(w, 14, *tc),
            _ => put_set_field(w, Field::MplsTc, v, (*tc).into()),
        },
        Action::SetMplsTtl(ttl) if v10 => nx(w, 25, |w| {
            w.u8(*ttl);
        }),
        Action::SetMplsTtl(ttl) => u8_action(w, 15, *ttl),
        Action::DecMplsTtl if v10 => nx(w, 26, |_| {}),
        Action::DecMplsTtl => std(w, 16, |_| {}),
        Action::PushMpls(t) if v10 => nx_u16(w, 23, *t),
        Action::PushMpls(t) => u16_action(w, 19, *t),
        Action::PopMpls(t) if v10 => nx_u16(w, 24, *t),
        Action::PopMpls(t) => u16_action(w, 20, *t),

        Action::SetTunnel { id, .. } if v >= Version::V12 => {
            put_set_field(w, Field::TunId, v, (*id).into());
        }
        Action::SetTunnel { id, wide } => match u32::try_from(*id) {
            Ok(id) if !wide => nx_u32(w, 2, id),
            _ => nx(w, 9, |w| {
                w.zeros(6).u64(*id);
            }),
        },
        Action::SetQueue(q) if v10 => nx_u32(w, 4, *q),
        Action::SetQueue(q) => u32_action(w, 21, *q),
        Action::PopQueue => nx(w, 5, |_| {}),
        Action::FinTimeout { idle, hard } => nx(w, 19, |w| {
            w.u16(*idle).u16(*hard);
        }),

        Action::Resubmit { in_port, table: 255, short: true, .. } => nx_u16(w, 1, in_port.0),
        Action::Resubmit { in_port, table, ct, .. } => nx(w, if *ct { 44 } else { 14 }, |w| {
            w.u16(in_port.0).u8(*table);
        }),
        Action::Conjunction { id, clause, n_clauses } => nx(w, 34, |w| {
            w.u8(*clause).u8(*n_clauses).u32(*id);
        }),
        Action::Note(data) => nx(w, 8, |w| {
            w.bytes(data);
        }),
        Action::Exit => nx(w, 17, |_| {}),
        Action::Clone(inner) => nx(w, 42, |w| {
            w.zeros(6);
            put_actions(w, inner, v, *known);
        }),
        Action::CtClear => nx(w, 43, |_| {}),
        Action::DebugSlow => nx(w, 254, |_| {}),
        Action::DebugRecirc => nx(w, 255, |_| {}),

        // Instructions share the actions' header.
        Action::Meter(id) => match v {
            Version::V10 | Version::V11 | Version::V12 => {}
            Version::V13 | Version::V14 => u32_action(w, 6, *id),
            Version::V15 => u32_action(w, 29, *id),
        },
        Action::ClearActions if v10 => {}
        Action::ClearActions => std(w, 5, |_| {}),
        Action::WriteActions(_) if v10 => {}
        Action::WriteActions(set) => std(w, 3, |w| {
            w.zeros(4);
            put_actions(w, set, v, *known);
        }),
        Action::WriteMetadata { value, mask } if v10 => nx(w, 22, |w| {
            w.zeros(6).u64(*value).u64(*mask);
        }),
        Action::WriteMetadata { value, mask } => std(w, 2, |w| {
            w.zeros(4).u64(*value).u64(*mask);
        }),
        // Version 1.0 has no such thing; to look up again in that table comes closest.
        Action::GotoTable(t) if v10 => nx(w, 14, |w| {
            w.u16(OfPort::IN_PORT.0).u8(*t);
        }),
        Action::GotoTable(t) => u8_action(w, 1, *t),
    }
}

fn put_output(w: &mut Writer, port: OfPort, max_len: u16, v: Version) {
    std(w, 0, |w| {
        match v {
            Version::V10 => w.u16(port.0).u16(max_len),
            _ => w.u32(port.to_wire32()).u16(max_len).zeros(6),
        };
    });
}

fn push_if_needed(w: &mut Writer, push: bool, v: Version, known: &mut Known) {
    if v > Version::V10 && push && !known.has_vlan {
        u16_action(w, 17, 0x8100);
    }
    known.has_vlan = true;
}

fn put_port(
    w: &mut Writer,
    v: Version,
    known: &Known,
    old: u16,
    [tcp, udp, sctp]: [Field; 3],
    port: u16,
) {
    let field = match known.proto {
        ip::TCP => Some(tcp),
        ip::UDP => Some(udp),
        ip::SCTP => Some(sctp),
        _ => None,
    };
    match field.filter(|_| v >= Version::V12) {
        Some(f) => put_set_field(w, f, v, port.into()),
        None => u16_action(w, old, port),
    }
}

fn ofs_nbits(s: Subfield) -> u16 {
    s.ofs << 6 | (s.n_bits - 1)
}

fn put_output_reg(w: &mut Writer, src: Subfield, max_len: u16, form2: bool) {
    match nxm::nxm_header(src.field).filter(|_| !form2) {
        Some(header) => nx(w, 15, |w| {
            w.u16(ofs_nbits(src)).u32(header).u16(max_len).zeros(6);
        }),
        None => nx(w, 32, |w| {
            let start = w.len();
            w.u16(ofs_nbits(src)).u16(max_len);
            nxm::put_header(w, src.field, None, false);
            w.zeros(14 - (w.len() - start));
        }),
    }
}

fn put_stack(w: &mut Writer, subtype: u16, s: Subfield) {
    nx(w, subtype, |w| {
        let start = w.len();
        w.u16(s.ofs);
        nxm::put_header(w, s.field, None, false);
        w.u16(s.n_bits);
        w.zeros(14 - (w.len() - start));
    });
}

fn put_move(w: &mut Writer, src: Subfield, dst: Subfield, onf: bool, v: Version) {
    let headers = |w: &mut Writer, v: Option<Version>| {
        nxm::put_header(w, src.field, v, false);
        nxm::put_header(w, dst.field, v, false);
    };
    match v {
        Version::V15 => std(w, 28, |w| {
            w.u16(dst.n_bits).u16(src.ofs).u16(dst.ofs).zeros(2);
            headers(w, Some(v));
        }),
        Version::V13 if onf => {
            let start = w.len();
            w.u16(0xffff).u16(0).u32(ONF_VENDOR).u16(3200).zeros(2);
            w.u16(dst.n_bits).u16(src.ofs).u16(dst.ofs).zeros(2);
            headers(w, Some(v));
            w.pad8(start).set_len(start, 2);
        }
        _ => nx(w, 6, |w| {
            w.u16(dst.n_bits).u16(src.ofs).u16(dst.ofs);
            headers(w, None);
        }),
    }
}

/// `load`: at most 64 bits of a field that has an NXM header.
fn reg_load(w: &mut Writer, dst: Subfield, value: u64) {
    let header = nxm::nxm_header(dst.field).unwrap_or(0);
    nx(w, 7, |w| {
        w.u16(ofs_nbits(dst)).u32(header).u64(value);
    });
}

/// The runs of bits set in `mask`, each at most 64 long, from the lowest.
pub(crate) fn segments(field: Field, mask: u128) -> Vec<Subfield> {
    let mask = mask & ones(field.info().bits);
    let mut out = Vec::new();
    let mut ofs = 0;
    while ofs < 128 && mask >> ofs != 0 {
        ofs += (mask >> ofs).trailing_zeros();
        let n = (mask >> ofs).trailing_ones().min(64);
        out.push(Subfield { field, ofs: ofs as u16, n_bits: n as u16 });
        ofs += n;
    }
    out
}

fn put_loads(w: &mut Writer, field: Field, value: u128, mask: u128, load2: bool) {
    if load2 || nxm::nxm_header(field).is_none() {
        return nx(w, 33, |w| nxm::put_entry(w, field, None, value, mask));
    }
    for s in segments(field, mask) {
        reg_load(w, s, ((value >> s.ofs) & ones(s.n_bits)) as u64);
    }
}

fn put_value(
    w: &mut Writer,
    field: Field,
    value: u128,
    mask: u128,
    form: SetForm,
    v: Version,
    known: &mut Known,
) {
    let whole = mask == field.ones();
    if v >= Version::V15 || (v >= Version::V12 && form == SetForm::SetField && whole) {
        std(w, 25, |w| nxm::put_entry(w, field, Some(v), value, mask));
    } else if form != SetForm::SetField || v >= Version::V12 {
        put_loads(w, field, value, mask, form == SetForm::Load2);
    } else {
        put_legacy(w, field, value, mask, v, known);
    }
    if field == Field::VlanTci {
        known.has_vlan = value & 0x1000 != 0;
    }
}

/// `set_field` as 1.0 and 1.1 can say it.
fn put_legacy(
    w: &mut Writer,
    field: Field,
    value: u128,
    mask: u128,
    v: Version,
    known: &mut Known,
) {
    let (v8, v16, v32) = (value as u8, value as u16, value as u32);
    let vid = v16 & VlanTag::VID_MASK;
    let pcp = (v16 >> VlanTag::PCP_SHIFT) as u8;
    let plain = match field {
        Field::VlanTci if v16 & VlanTag::CFI == 0 => Action::StripVlan { pop: true },
        Field::VlanTci => {
            push_if_needed(w, true, v, known);
            u16_action(w, 1, vid);
            return u8_action(w, 2, pcp);
        }
        Field::VlanVid => return u16_action(w, 1, vid),
        Field::VlanPcp => return u8_action(w, 2, v8),
        Field::EthSrc => Action::SetEthSrc(wire::EthAddr::from_u64(value as u64)),
        Field::EthDst => Action::SetEthDst(wire::EthAddr::from_u64(value as u64)),
        Field::Ipv4Src => Action::SetIpv4Src(v32.to_be_bytes()),
        Field::Ipv4Dst => Action::SetIpv4Dst(v32.to_be_bytes()),
        Field::IpDscp => Action::SetIpDscp(v8),
        Field::IpDscpShifted => Action::SetIpDscp(v8 << 2),
        Field::IpEcn => Action::SetIpEcn(v8),
        Field::TcpSrc | Field::UdpSrc => Action::SetTpSrc(v16),
        Field::TcpDst | Field::UdpDst => Action::SetTpDst(v16),
        _ => return put_loads(w, field, value, mask, false),
    };
    put(w, &plain, v, known);
}

fn put_controller(w: &mut Writer, c: &Controller) {
    let plain = c.userdata.is_empty() && !c.pause && c.meter.is_none() && !c.extended;
    if plain {
        return nx(w, 20, |w| {
            w.u16(c.max_len).u16(c.id).u8(c.reason.0).zeros(1);
        });
    }
    nx(w, 37, |w| {
        w.zeros(6);
        if c.max_len != 0xffff {
            prop::put(w, 0, |w| {
                w.u16(c.max_len);
            });
        }
        if c.id != 0 {
            prop::put(w, 1, |w| {
                w.u16(c.id);
            });
        }
        if c.reason != PacketInReason::ACTION {
            prop::put(w, 2, |w| {
                w.u8(c.reason.0);
            });
        }
        if !c.userdata.is_empty() {
            prop::put(w, 3, |w| {
                w.bytes(&c.userdata);
            });
        }
        if c.pause {
            prop::put(w, 4, |_| {});
        }
        if let Some(meter) = c.meter {
            prop::put(w, 5, |w| {
                w.u32(meter);
            });
        }
    });
}
