//! Actions.

use super::value::{hex, print_subfield, print_value};
use super::{Names, print_port, print_table};
use crate::action::{Action, Controller, PacketInReason, SetForm};
use crate::codec::segments;
use crate::field::ones;
use crate::ofport::OfPort;

/// A list of actions as `ovs-ofctl` shows it; `drop` for an empty one.
pub fn print_actions(actions: &[Action], names: &dyn Names) -> String {
    if actions.is_empty() {
        return "drop".to_owned();
    }
    let all: Vec<String> = actions.iter().map(|a| print(a, names)).collect();
    all.join(",")
}

fn octets(data: &[u8]) -> String {
    let all: Vec<String> = data.iter().map(|o| format!("{o:02x}")).collect();
    all.join(".")
}

fn print(a: &Action, names: &dyn Names) -> String {
    let port = |p: OfPort| print_port(p, names);
    match a {
        Action::Output { port: p, max_len } => {
            let word = if p.is_physical() { "output:" } else { "" };
            let len = if *p == OfPort::CONTROLLER { format!(":{max_len}") } else { String::new() };
            format!("{word}{}{len}", port(*p))
        }
        Action::OutputReg { src, .. } => format!("output:{}", print_subfield(*src)),
        Action::OutputTrunc { port: p, max_len } => {
            format!("output(port={},max_len={max_len})", port(*p))
        }
        Action::Controller(c) => controller(c),
        Action::Enqueue { port: p, queue } => format!("enqueue:{}:{queue}", port(*p)),
        Action::Group(id) => format!("group:{id}"),
        Action::SetField { field, value, mask, form: SetForm::Load } => {
            let one = |s: crate::field::Subfield| {
                let v = (value >> s.ofs) & ones(s.n_bits);
                format!("load:{}->{}", hex(v), print_subfield(s))
            };
            let all: Vec<String> = segments(*field, *mask).into_iter().map(one).collect();
            all.join(",")
        }
        Action::SetField { field, value, mask, .. } => {
            let v = print_value(*field, *value, *mask, names);
            format!("set_field:{v}->{}", field.info().name)
        }
        Action::SetVlanVid { vid, push: true } => format!("mod_vlan_vid:{vid}"),
        Action::SetVlanVid { vid, push: false } => format!("set_vlan_vid:{vid}"),
        Action::SetVlanPcp { pcp, push: true } => format!("mod_vlan_pcp:{pcp}"),
        Action::SetVlanPcp { pcp, push: false } => format!("set_vlan_pcp:{pcp}"),
        Action::StripVlan { pop: true } => "pop_vlan".to_owned(),
        Action::StripVlan { pop: false } => "strip_vlan".to_owned(),
        Action::PushVlan(t) => format!("push_vlan:{}", hex(*t)),
        Action::SetEthSrc(mac) => format!("mod_dl_src:{mac}"),
        Action::SetEthDst(mac) => format!("mod_dl_dst:{mac}"),
        Action::SetIpv4Src(ip) => format!("mod_nw_src:{}", std::net::Ipv4Addr::from(*ip)),
        Action::SetIpv4Dst(ip) => format!("mod_nw_dst:{}", std::net::Ipv4Addr::from(*ip)),
        Action::SetIpDscp(tos) => format!("mod_nw_tos:{tos}"),
        Action::SetIpEcn(ecn) => format!("mod_nw_ecn:{ecn}"),
        Action::SetIpTtl(ttl) => format!("mod_nw_ttl:{ttl}"),
        Action::SetTpSrc(p) => format!("mod_tp_src:{p}"),
        Action::SetTpDst(p) => format!("mod_tp_dst:{p}"),
        Action::Move { src, dst, .. } => {
            format!("move:{}->{}", print_subfield(*src), print_subfield(*dst))
        }
        Action::Push(s) => format!("push:{}", print_subfield(*s)),
        Action::Pop(s) => format!("pop:{}", print_subfield(*s)),
        Action::DecTtl(None) => "dec_ttl".to_owned(),
        Action::DecTtl(Some(ids)) => {
            let ids: Vec<String> = ids.iter().map(u16::to_string).collect();
            format!("dec_ttl({})", ids.join(","))
        }
        Action::SetMplsLabel(l) => format!("set_mpls_label({l})"),
        Action::SetMplsTc(tc) => format!("set_mpls_tc({tc})"),
        Action::SetMplsTtl(ttl) => format!("set_mpls_ttl({ttl})"),
        Action::PushMpls(t) => format!("push_mpls:0x{t:04x}"),
        Action::PopMpls(t) => format!("pop_mpls:0x{t:04x}"),
        Action::SetTunnel { id, wide } => {
            let wide = if *wide || *id > u64::from(u32::MAX) { "64" } else { "" };
            format!("set_tunnel{wide}:{}", hex(*id))
        }
        Action::SetQueue(q) => format!("set_queue:{q}"),
        Action::FinTimeout { idle, hard } => {
            let part = |name: &str, v: u16| (v != 0).then(|| format!("{name}_timeout={v}"));
            let parts: Vec<String> =
                [part("idle", *idle), part("hard", *hard)].into_iter().flatten().collect();
            format!("fin_timeout({})", parts.join(","))
        }
        Action::Resubmit { in_port, table: 255, .. } if *in_port != OfPort::IN_PORT => {
            format!("resubmit:{}", port(*in_port))
        }
        Action::Resubmit { in_port, table, ct, .. } => {
            let p = if *in_port == OfPort::IN_PORT { String::new() } else { port(*in_port) };
            let t = if *table == 255 { String::new() } else { print_table(*table, names) };
            let ct = if *ct { ",ct" } else { "" };
            format!("resubmit({p},{t}{ct})")
        }
        Action::Conjunction { id, clause, n_clauses } => {
            format!("conjunction({id},{}/{n_clauses})", u16::from(*clause) + 1)
        }
        Action::Note(data) => format!("note:{}", octets(data)),
        Action::Clone(inner) => format!("clone({})", print_actions(inner, names)),
        Action::Meter(id) => format!("meter:{id}"),
        Action::WriteActions(set) => format!("write_actions({})", print_actions(set, names)),
        Action::WriteMetadata { value, mask: u64::MAX } => {
            format!("write_metadata:{}", hex(*value))
        }
        Action::WriteMetadata { value, mask } => {
            format!("write_metadata:{}/{}", hex(*value), hex(*mask))
        }
        Action::GotoTable(t) => format!("goto_table:{}", print_table(*t, names)),
        Action::DecMplsTtl
        | Action::PopQueue
        | Action::Exit
        | Action::CtClear
        | Action::DebugRecirc
        | Action::DebugSlow
        | Action::ClearActions => a.name().to_owned(),
    }
}

fn controller(c: &Controller) -> String {
    let plain = c.reason == PacketInReason::ACTION
        && c.id == 0
        && c.userdata.is_empty()
        && !c.pause
        && c.meter.is_none();
    if plain {
        return format!("CONTROLLER:{}", c.max_len);
    }
    let mut parts = Vec::new();
    if c.reason != PacketInReason::ACTION {
        parts.push(format!("reason={}", c.reason));
    }
    if c.max_len != 0xffff {
        parts.push(format!("max_len={}", c.max_len));
    }
    if c.id != 0 {
        parts.push(format!("id={}", c.id));
    }
    if !c.userdata.is_empty() {
        parts.push(format!("userdata={}", octets(&c.userdata)));
    }
    if c.pause {
        parts.push("pause".to_owned());
    }
    if let Some(meter) = c.meter {
        parts.push(format!("meter_id={meter}"));
    }
    format!("controller({})", parts.join(","))
}
