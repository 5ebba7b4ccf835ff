//! Matches, actions and commands at random, and which version can say them.

use proptest::prelude::*;
use wire::EthAddr;

use crate::action::{Action, Controller, PacketInReason, SetForm};
use crate::field::{Field, Match, Subfield};
use crate::msg::{FlowFlags, FlowMod, FlowModCommand};
use crate::ofport::OfPort;
use crate::version::{Protocol, Version};

pub(super) fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(super::protocols())
}

pub(super) fn in_port(port: OfPort) -> Match {
    let mut m = Match::default();
    m.set(Field::InPort, port.0.into());
    m.set_ethernet();
    m
}

/// Fields that a match is put together from, besides types and tags.
fn fields() -> Vec<Field> {
    Field::all()
        .filter(|f| {
            !f.info().headers.is_empty()
                && !matches!(
                    f,
                    Field::EthType
                        | Field::VlanTci
                        | Field::VlanVid
                        | Field::VlanPcp
                        | Field::IpProto
                        | Field::InPort
                        | Field::PacketType
                        | Field::IpDscp
                        | Field::Icmpv6Type
                        | Field::Icmpv6Code
                )
        })
        .collect()
}

pub(super) fn matching() -> impl Strategy<Value = Match> {
    let types = prop::sample::select(vec![0u16, 0x800, 0x86dd, 0x806, 0x8847, 0x88cc]);
    let protos =
        prop::sample::select(vec![None, Some(1u8), Some(6), Some(17), Some(58), Some(132)]);
    let one = (prop::sample::select(fields()), any::<u128>(), any::<u128>(), any::<bool>());
    let rest = prop::collection::vec(one, 0..6);
    (types, protos, 0..6u8, any::<u16>(), any::<bool>(), rest).prop_map(
        |(typ, proto, tag, tci, nd, rest)| {
            let mut m = Match::default();
            if typ != 0 {
                m.set(Field::EthType, typ.into());
            }
            match tag {
                1 => m.set(Field::DlVlan, 0xffff),
                2 => m.set(Field::VlanVid, u128::from(tci & 0xfff | 0x1000)),
                3 => m.set_masked(Field::VlanVid, 0x1000, 0x1000),
                4 => m.set(Field::VlanPcp, u128::from(tci & 7)),
                5 => {
                    m.set(Field::VlanVid, u128::from(tci & 0xfff | 0x1000));
                    m.set(Field::VlanPcp, u128::from(tci >> 13));
                }
                _ => {}
            }
            if let Some(p) = proto.filter(|_| Field::IpProto.prereq_ok(&m.value)) {
                m.set(Field::IpProto, p.into());
            }
            if Field::Icmpv6Type.prereq_ok(&m.value) && nd {
                m.set(Field::Icmpv6Type, 135);
                m.set(Field::Icmpv6Code, 0);
            }
            for (f, value, mask, whole) in rest {
                let value = match f {
                    Field::InPortOxm | Field::ActsetOutput => value & 0xfe,
                    Field::ArpOp | Field::CtState => value & 0xff,
                    // A later fragment has no ports.
                    Field::IpFrag => value & 1,
                    _ => value & f.ones(),
                };
                if !f.prereq_ok(&m.value) || !m.is_wild(f) {
                    continue;
                }
                let mask = if f == Field::CtState { mask & 0xff } else { mask };
                if whole || !f.info().maskable {
                    m.set(f, value);
                } else {
                    m.set_masked(f, value & mask, mask);
                }
            }
            m
        },
    )
}

/// Whether the protocol has a form for all of the match.
pub(super) fn expressible(m: &Match, p: Protocol) -> bool {
    let no_tag = m.mask.key.vlan[0].tci == 0xffff && m.value.key.vlan[0].tci == 0;
    if p.version >= Version::V12 {
        // "No tag" reads back without the priority's bits, which OXM cannot name then.
        return !no_tag;
    }
    if p.nxm {
        return true;
    }
    // The fixed matches: put into them and looked at what is left.
    let k = &m.mask.key;
    let mut left = *m;
    let fixed = [Field::InPort, Field::EthType, Field::VlanTci, Field::IpProto];
    for f in fixed {
        left.set_masked(f, 0, 0);
    }
    if m.value.key.eth_type != 0x86dd {
        left.set_masked(Field::IpDscp, 0, 0);
        if m.value.key.eth_type == 0x800 && matches!(m.value.key.nw_proto, 6 | 17 | 132 | 1) {
            for f in [Field::TcpSrc, Field::TcpDst] {
                let exact = matches!(m.mask.get(f), 0 | 0xffff);
                if exact {
                    left.set_masked(f, 0, 0);
                }
            }
        }
    } else if k.nw_proto != 0 && p.version == Version::V11 {
        return false;
    }
    if p.version == Version::V10 {
        for (f, on) in [
            (Field::EthSrc, k.eth_src == EthAddr::BROADCAST),
            (Field::EthDst, k.eth_dst == EthAddr::BROADCAST),
        ] {
            if on {
                left.set_masked(f, 0, 0);
            }
        }
        // A tag of any kind has no form.
        if k.vlan[0].tci == 0x1000 {
            return false;
        }
    } else {
        for f in [Field::EthSrc, Field::EthDst, Field::Metadata, Field::MplsLabel, Field::MplsTc] {
            left.set_masked(f, 0, 0);
        }
    }
    let prefix = |mask: u128| {
        let mask = mask as u32;
        mask.leading_ones() + mask.trailing_zeros() == 32
    };
    if matches!(m.value.key.eth_type, 0x800 | 0x806) {
        for f in [Field::Ipv4Src, Field::Ipv4Dst] {
            if p.version == Version::V11 || prefix(m.mask.get(f)) {
                left.set_masked(f, 0, 0);
            }
        }
    }
    left.mask.packet_type = 0;
    // Registers and the like cannot be said at all.
    left == Match::default()
}

fn subfield(writable: bool) -> impl Strategy<Value = Subfield> {
    let all: Vec<Field> = Field::all()
        .filter(|f| {
            let i = f.info();
            !i.headers.is_empty()
                && (i.writable || !writable)
                && !matches!(f, Field::CtMark | Field::CtLabel | Field::VlanVid)
        })
        .collect();
    (prop::sample::select(all), any::<u16>(), any::<u16>()).prop_map(|(field, a, b)| {
        let bits = field.info().bits;
        let ofs = a % bits;
        Subfield { field, ofs, n_bits: 1 + b % (bits - ofs).min(64) }
    })
}

fn load() -> impl Strategy<Value = Action> {
    let short = subfield(true)
        .prop_filter("has a 32-bit header", |s| crate::codec::nxm::nxm_header(s.field).is_some());
    (short, any::<u64>())
        .prop_map(|(dst, v)| Action::SetField {
            field: dst.field,
            value: u128::from(v) << dst.ofs & dst.mask(),
            mask: dst.mask(),
            form: SetForm::Load,
        })
        // OpenFlow 1.5 sends it as a set_field, whose value must be one that the field can have.
        .prop_filter("the field can have it", |a| match a {
            Action::SetField { field, value, .. } => field.value_ok(*value),
            _ => true,
        })
}

fn set_field() -> impl Strategy<Value = Action> {
    let all: Vec<Field> = Field::all()
        .filter(|f| {
            let i = f.info();
            !i.headers.is_empty()
                && i.writable
                && !matches!(
                    f,
                    Field::InPort
                        | Field::InPortOxm
                        | Field::IpDscp
                        | Field::CtMark
                        | Field::CtLabel
                )
        })
        .collect();
    (prop::sample::select(all), any::<u128>()).prop_map(|(field, v)| {
        let value = match field {
            Field::VlanVid => v & 0xfff | 0x1000,
            Field::ArpOp => v & 0xff,
            _ => v & field.ones(),
        };
        Action::SetField { field, value, mask: field.ones(), form: SetForm::SetField }
    })
}

fn controller() -> impl Strategy<Value = Action> {
    (any::<u16>(), any::<u16>(), 0..3u8, any::<bool>(), prop::collection::vec(any::<u8>(), 0..5))
        .prop_map(|(max_len, id, reason, extended, data)| {
            Action::Controller(Controller {
                max_len,
                id,
                reason: PacketInReason(reason),
                userdata: if extended { data } else { Vec::new() },
                pause: extended && id & 1 == 1,
                meter: (extended && id & 2 == 2).then_some(5),
                extended,
            })
        })
}

fn simple() -> impl Strategy<Value = Action> {
    let mac = any::<[u8; 6]>().prop_map(EthAddr);
    prop_oneof![
        (0..0xff00u16, any::<u16>())
            .prop_map(|(p, max_len)| Action::Output { port: OfPort(p), max_len }),
        Just(Action::output(OfPort::CONTROLLER)),
        Just(Action::output(OfPort::NORMAL)),
        (0..0xff00u16, any::<u32>())
            .prop_map(|(p, queue)| Action::Enqueue { port: OfPort(p), queue }),
        any::<u32>().prop_map(Action::Group),
        (0..4096u16, any::<bool>()).prop_map(|(vid, push)| Action::SetVlanVid { vid, push }),
        (0..8u8, any::<bool>()).prop_map(|(pcp, push)| Action::SetVlanPcp { pcp, push }),
        any::<bool>().prop_map(|pop| Action::StripVlan { pop }),
        Just(Action::PushVlan(0x88a8)),
        mac.clone().prop_map(Action::SetEthSrc),
        mac.prop_map(Action::SetEthDst),
        any::<[u8; 4]>().prop_map(Action::SetIpv4Src),
        any::<[u8; 4]>().prop_map(Action::SetIpv4Dst),
        (0..64u8).prop_map(|d| Action::SetIpDscp(d << 2)),
        (0..4u8).prop_map(Action::SetIpEcn),
        any::<u8>().prop_map(Action::SetIpTtl),
        any::<u16>().prop_map(Action::SetTpSrc),
        any::<u16>().prop_map(Action::SetTpDst),
        Just(Action::DecTtl(None)),
        prop::collection::vec(any::<u16>(), 1..6).prop_map(|ids| Action::DecTtl(Some(ids))),
        (0..1u32 << 20).prop_map(Action::SetMplsLabel),
        (0..8u8).prop_map(Action::SetMplsTc),
        any::<u8>().prop_map(Action::SetMplsTtl),
        Just(Action::DecMplsTtl),
        Just(Action::PushMpls(0x8847)),
        Just(Action::PopMpls(0x800)),
    ]
}

fn nicira() -> impl Strategy<Value = Action> {
    prop_oneof![
        (subfield(false), any::<u16>(), any::<bool>()).prop_map(|(src, max_len, form2)| {
            let form2 = form2 || crate::codec::nxm::nxm_header(src.field).is_none();
            Action::OutputReg { src, max_len, form2 }
        }),
        (any::<u16>(), 14..u32::MAX)
            .prop_map(|(p, max_len)| Action::OutputTrunc { port: OfPort(p), max_len }),
        controller(),
        load(),
        set_field(),
        (subfield(false), subfield(true)).prop_map(|(mut src, mut dst)| {
            src.n_bits = src.n_bits.min(dst.n_bits);
            dst.n_bits = src.n_bits;
            Action::Move { src, dst, onf: false }
        }),
        subfield(false).prop_map(Action::Push),
        subfield(true).prop_map(Action::Pop),
        (any::<u64>(), any::<bool>()).prop_map(|(id, wide)| {
            let id = if wide { id } else { id & 0xffff_ffff };
            Action::SetTunnel { id, wide }
        }),
        any::<u32>().prop_map(Action::SetQueue),
        Just(Action::PopQueue),
        (any::<u16>(), any::<u16>()).prop_map(|(idle, hard)| Action::FinTimeout { idle, hard }),
        any::<u16>().prop_map(|p| Action::Resubmit {
            in_port: OfPort(p),
            table: 255,
            ct: false,
            short: true
        }),
        (any::<u16>(), any::<u8>(), any::<bool>()).prop_map(|(p, table, ct)| Action::Resubmit {
            in_port: OfPort(p),
            table,
            ct,
            short: false
        }),
        prop::collection::vec(any::<u8>(), 6..7).prop_map(Action::Note),
        Just(Action::Exit),
        Just(Action::CtClear),
        Just(Action::DebugRecirc),
        Just(Action::DebugSlow),
    ]
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    let leaf = prop_oneof![simple(), nicira()];
    leaf.prop_recursive(3, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Action::Clone))
}

/// Whether the version has this very action, so that it reads back as it was.
pub(super) fn native(a: &Action, v: Version) -> bool {
    let (v10, v11) = (v == Version::V10, v == Version::V11);
    let old = v10 || v11;
    match a {
        Action::SetVlanVid { push, .. } | Action::SetVlanPcp { push, .. } => {
            (v10 && *push) || (v11 && !push)
        }
        Action::StripVlan { pop } => v10 != *pop,
        Action::PushVlan(_) | Action::SetIpTtl(_) => !v10,
        Action::SetIpEcn(_) => v11,
        Action::SetEthSrc(_)
        | Action::SetEthDst(_)
        | Action::SetIpv4Src(_)
        | Action::SetIpv4Dst(_)
        | Action::SetIpDscp(_)
        | Action::SetMplsLabel(_)
        | Action::SetMplsTc(_)
        | Action::SetTunnel { .. } => old,
        Action::Enqueue { .. } => v10,
        Action::SetField { form, .. } => match form {
            SetForm::SetField => !old,
            // In 1.5 both are one.
            SetForm::Load | SetForm::Load2 => v < Version::V15,
        },
        Action::Move { onf, .. } => *onf == (v == Version::V15),
        Action::Clone(inner) => inner.iter().all(|a| native(a, v)),
        _ => true,
    }
}

pub(super) fn flow_mod() -> impl Strategy<Value = FlowMod> {
    let commands = prop::sample::select(vec![
        FlowModCommand::Add,
        FlowModCommand::Modify,
        FlowModCommand::ModifyStrict,
        FlowModCommand::Delete,
        FlowModCommand::DeleteStrict,
    ]);
    // Actions that go with any match.
    let plain = prop::sample::select(vec![
        Action::output(OfPort(1)),
        Action::output(OfPort::NORMAL),
        Action::SetEthSrc(EthAddr([2; 6])),
        Action::Resubmit { in_port: OfPort::IN_PORT, table: 4, ct: false, short: false },
        Action::Note(vec![1; 6]),
    ]);
    let numbers = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u64>(), any::<u64>(), 0..32u16);
    (commands, matching(), prop::collection::vec(plain, 0..4), numbers, 0..254u8, any::<bool>())
        .prop_map(|(command, matching, actions, n, table_id, goto)| {
            let (idle_timeout, hard_timeout, priority, cookie, mask, flags) = n;
            let add = command == FlowModCommand::Add;
            let mut f = FlowMod {
                matching,
                priority,
                cookie: if add { 0 } else { cookie & mask },
                cookie_mask: if add { 0 } else { mask },
                new_cookie: if add { cookie } else { u64::MAX },
                table_id,
                idle_timeout,
                hard_timeout,
                flags: FlowFlags(flags),
                actions,
                ..FlowMod::new(command)
            };
            if goto {
                f.actions.push(Action::WriteMetadata { value: 1, mask: 3 });
                f.actions.push(Action::GotoTable(table_id + 1));
            }
            f
        })
}
