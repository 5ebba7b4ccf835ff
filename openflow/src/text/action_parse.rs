//! Actions from text.

use wire::{EthAddr, EtherType};

use super::value::{self, parse_field, parse_subfield, print_value, take_subfield};
use super::{Names, TextError, parse_port, parse_table, scan};
use crate::action::{Action, Controller, PacketInReason, SetForm, Within, verify};
use crate::field::{Field, ones};
use crate::ofport::OfPort;
use crate::version::Version;

/// How deep `clone` and `write_actions` may be nested.
const MAX_DEPTH: u32 = 32;

/// Reads actions: `output:1,mod_dl_src:…`; an empty text and `drop` mean none.
pub fn parse_actions(s: &str, names: &dyn Names) -> Result<Vec<Action>, TextError> {
    list(s, names, Within::List, 0)
}

/// Reads actions and instructions: `write_metadata:1,goto_table:2`.
pub fn parse_instructions(s: &str, names: &dyn Names) -> Result<Vec<Action>, TextError> {
    list(s, names, Within::Flow, 0)
}

fn list(
    mut s: &str,
    names: &dyn Names,
    within: Within,
    depth: u32,
) -> Result<Vec<Action>, TextError> {
    if depth > MAX_DEPTH {
        return TextError::new("Action nested too deeply");
    }
    let mut out = Vec::new();
    let mut drop = false;
    while let Some((key, arg)) = scan::key_value(&mut s) {
        let lower = key.to_ascii_lowercase();
        match lower.as_str() {
            "drop" => drop = true,
            "apply_actions" => return TextError::new("apply_actions is the default instruction"),
            "clone" => out.push(Action::Clone(list(arg, names, Within::Clone, depth + 1)?)),
            "write_actions" => {
                let set = list(arg, names, Within::WriteActions, depth + 1)?;
                out.push(Action::WriteActions(set));
            }
            _ => match one(&lower, arg, names)? {
                Some(a) => out.push(a),
                None => match parse_port(key, names) {
                    Some(port) => out.push(Action::Output { port, max_len: 0 }),
                    None => return TextError::new(format!("unknown action {key}")),
                },
            },
        }
    }
    if drop && !out.is_empty() {
        return TextError::new(
            "\"drop\" must not be accompanied by any other action or instruction",
        );
    }
    verify(&out, Version::V11, within).map_err(|e| TextError(e.text))?;
    Ok(out)
}

/// One action by its name in lower case; `None` if there is none of that name.
fn one(name: &str, arg: &str, names: &dyn Names) -> Result<Option<Action>, TextError> {
    let mac = || {
        let m: Result<EthAddr, _> = arg.parse();
        m.map_err(|_| TextError(format!("invalid mac address {arg}")))
    };
    let ip = || {
        let a: Result<std::net::Ipv4Addr, _> = arg.parse();
        let bad = |_| TextError(format!("{arg}: could not convert to IP address"));
        a.map(|a| a.octets()).map_err(bad)
    };
    let range = |ok: bool, what: &str| {
        if ok { Ok(()) } else { TextError::new(format!("{arg}: not a valid {what}")) }
    };
    Ok(Some(match name {
        "output" | "output_reg" => output(arg, names)?,
        "controller" => controller(arg)?,
        "enqueue" => {
            let syntax = "\"enqueue\" syntax is \"enqueue:PORT:QUEUE\" or \"enqueue(PORT,QUEUE)\"";
            let Some((p, q)) = arg.split_once([':', 'q', ',']) else {
                return TextError::new(syntax);
            };
            let Some(port) = parse_port(p, names) else {
                return TextError::new(format!("{p}: enqueue to unknown port"));
            };
            Action::Enqueue { port, queue: scan::u32(q)? }
        }
        "group" => Action::Group(scan::u32(arg)?),
        "set_vlan_vid" | "mod_vlan_vid" => {
            let vid = scan::u16(arg, "VLAN VID")?;
            range(vid <= 0xfff, "VLAN VID")?;
            Action::SetVlanVid { vid, push: name == "mod_vlan_vid" }
        }
        "set_vlan_pcp" | "mod_vlan_pcp" => {
            let pcp = scan::u8(arg, "VLAN PCP")?;
            range(pcp <= 7, "VLAN PCP")?;
            Action::SetVlanPcp { pcp, push: name == "mod_vlan_pcp" }
        }
        "strip_vlan" => Action::StripVlan { pop: false },
        "pop_vlan" => Action::StripVlan { pop: true },
        "push_vlan" => {
            let t = scan::u16(arg, "ethertype")?;
            range(matches!(t, EtherType::VLAN | EtherType::VLAN_8021AD), "VLAN ethertype")?;
            Action::PushVlan(t)
        }
        "mod_dl_src" => Action::SetEthSrc(mac()?),
        "mod_dl_dst" => Action::SetEthDst(mac()?),
        "mod_nw_src" => Action::SetIpv4Src(ip()?),
        "mod_nw_dst" => Action::SetIpv4Dst(ip()?),
        "mod_nw_tos" => {
            let tos = scan::u8(arg, "TOS")?;
            range(tos & 3 == 0, "TOS")?;
            Action::SetIpDscp(tos)
        }
        "mod_nw_ecn" => {
            let ecn = scan::u8(arg, "ECN")?;
            range(ecn <= 3, "ECN")?;
            Action::SetIpEcn(ecn)
        }
        "mod_nw_ttl" | "set_nw_ttl" => Action::SetIpTtl(scan::u8(arg, "TTL")?),
        "mod_tp_src" => Action::SetTpSrc(scan::u16(arg, "source port")?),
        "mod_tp_dst" => Action::SetTpDst(scan::u16(arg, "destination port")?),
        "set_field" => set_field(arg, names)?,
        "load" => load(arg)?,
        "move" => move_field(arg)?,
        "push" => Action::Push(stack(arg)?),
        "pop" => Action::Pop(stack(arg)?),
        "dec_ttl" if arg.is_empty() => Action::DecTtl(None),
        "dec_ttl" => dec_ttl(arg)?,
        "set_mpls_label" => {
            let l = scan::u32(arg)?;
            range(l <= 0xf_ffff, "MPLS label")?;
            Action::SetMplsLabel(l)
        }
        "set_mpls_tc" => {
            let tc = scan::u8(arg, "MPLS TC")?;
            range(tc <= 7, "MPLS TC")?;
            Action::SetMplsTc(tc)
        }
        "set_mpls_ttl" => Action::SetMplsTtl(scan::u8(arg, "MPLS TTL")?),
        "dec_mpls_ttl" => Action::DecMplsTtl,
        "push_mpls" => Action::PushMpls(scan::u16(arg, "push_mpls")?),
        "pop_mpls" => Action::PopMpls(scan::u16(arg, "pop_mpls")?),
        "set_tunnel" => Action::SetTunnel { id: scan::u64(arg)?, wide: false },
        "set_tunnel64" => Action::SetTunnel { id: scan::u64(arg)?, wide: true },
        "set_queue" => Action::SetQueue(scan::u32(arg)?),
        "pop_queue" => Action::PopQueue,
        "fin_timeout" => fin_timeout(arg)?,
        "resubmit" => resubmit(arg, names)?,
        "conjunction" => conjunction(arg)?,
        "note" => {
            let (data, rest) = scan::hex_octets(arg);
            if !rest.is_empty() {
                return TextError::new("bad hex digit in `note' argument");
            }
            Action::Note(data)
        }
        "exit" => Action::Exit,
        "ct_clear" => Action::CtClear,
        "debug_recirc" => Action::DebugRecirc,
        "debug_slow" => Action::DebugSlow,
        "meter" => Action::Meter(scan::u32(arg)?),
        "clear_actions" => Action::ClearActions,
        "write_metadata" => {
            let (v, m) = match arg.split_once('/') {
                Some((v, m)) => (v, scan::u64(m)?),
                None => (arg, u64::MAX),
            };
            Action::WriteMetadata { value: scan::u64(v)?, mask: m }
        }
        "goto_table" => match parse_table(arg, names) {
            Some(t) => Action::GotoTable(t),
            None => return TextError::new(format!("unknown table \"{arg}\"")),
        },
        _ => return Ok(None),
    }))
}

fn output(arg: &str, names: &dyn Names) -> Result<Action, TextError> {
    if arg.contains("port") && arg.contains("max_len") {
        return output_trunc(arg, names);
    }
    if let Some(port) = parse_port(arg, names) {
        return Ok(Action::output(port));
    }
    match parse_subfield(arg) {
        Ok(src) => Ok(Action::OutputReg { src, max_len: 0xffff, form2: false }),
        Err(_) => TextError::new(format!("{arg}: output to unknown port")),
    }
}

fn output_trunc(mut arg: &str, names: &dyn Names) -> Result<Action, TextError> {
    let (mut port, mut max_len) = (OfPort(0), 0);
    while let Some((key, v)) = scan::key_value(&mut arg) {
        match key {
            "port" => {
                port = parse_port(v, names)
                    .ok_or_else(|| TextError(format!("output to unknown truncate port: {v}")))?;
                let ok = port <= OfPort::MAX || matches!(port, OfPort::LOCAL | OfPort::IN_PORT);
                if !ok {
                    return TextError::new(format!("output to unsupported truncate port: {v}"));
                }
            }
            "max_len" => {
                max_len = scan::u32(v)?;
                if max_len < 14 {
                    return TextError::new(format!(
                        "max_len {max_len} is less than the minimum value 14"
                    ));
                }
            }
            _ => return TextError::new(format!("invalid key '{key}' in output_trunc argument")),
        }
    }
    Ok(Action::OutputTrunc { port, max_len })
}

fn controller(mut arg: &str) -> Result<Action, TextError> {
    let mut c = Controller::default();
    if !arg.is_empty() && arg.bytes().all(|b| b.is_ascii_digit()) {
        c.max_len = scan::u16(arg, "max_len")?;
    } else {
        while let Some((key, v)) = scan::key_value(&mut arg) {
            match key {
                "reason" => {
                    c.reason = PacketInReason::from_name(v)
                        .ok_or_else(|| TextError(format!("unknown reason \"{v}\"")))?;
                }
                "max_len" => c.max_len = scan::u16(v, "max_len")?,
                "id" => c.id = scan::u16(v, "id")?,
                "userdata" => {
                    let (data, rest) = scan::hex_octets(v);
                    if !rest.is_empty() {
                        return TextError::new("bad hex digit in `controller' action `userdata'");
                    }
                    c.userdata = data;
                    c.extended = true;
                }
                "pause" => c.pause = true,
                "meter_id" => c.meter = Some(scan::u32(v)?).filter(|m| *m != 0),
                _ => {
                    return TextError::new(format!(
                        "unknown key \"{key}\" parsing controller action"
                    ));
                }
            }
        }
    }
    let plain = c == Controller { max_len: c.max_len, ..Controller::default() };
    c.extended |= c.pause || c.meter.is_some();
    Ok(if plain {
        Action::Output { port: OfPort::CONTROLLER, max_len: c.max_len }
    } else {
        Action::Controller(c)
    })
}

/// `VALUE->DESTINATION`.
fn arrow(arg: &str) -> Result<(&str, &str), TextError> {
    match arg.split_once("->") {
        None => TextError::new(format!("{arg}: missing `->'")),
        Some((_, "")) => TextError::new(format!("{arg}: missing field name following `->'")),
        Some(parts) => Ok(parts),
    }
}

fn set_field(arg: &str, names: &dyn Names) -> Result<Action, TextError> {
    let (text, key) = arrow(arg)?;
    let Some(field) = Field::from_name(key) else {
        return TextError::new(format!("{key} is not a valid OXM field name"));
    };
    if !field.info().writable {
        return TextError::new(format!("{key} is read-only"));
    }
    let (value, mask) = parse_field(field, text, names)?;
    if !field.value_ok(value) {
        return TextError::new(format!("{text} is not a valid value for field {key}"));
    }
    Ok(Action::SetField { field, value: value & mask, mask, form: SetForm::SetField })
}

fn load(arg: &str) -> Result<Action, TextError> {
    let (text, key) = arrow(arg)?;
    let dst = parse_subfield(key)?;
    let bad = |_| TextError(format!("{arg}: cannot parse integer value"));
    let v = value::integer(text, dst.field, "value").map_err(bad)?;
    if v & !ones(dst.n_bits) != 0 {
        let shown = print_value(dst.field, v, dst.field.ones(), &super::NoNames);
        return TextError::new(format!(
            "{arg}: value {shown} does not fit into {} bits",
            dst.n_bits
        ));
    }
    let field = dst.field;
    if dst.check_dst().is_err() {
        return TextError::new(format!("{} is read-only", field.info().name));
    }
    Ok(Action::SetField { field, value: v << dst.ofs, mask: dst.mask(), form: SetForm::Load })
}

fn move_field(arg: &str) -> Result<Action, TextError> {
    let mut rest = arg;
    let src = take_subfield(&mut rest)?;
    let Some(dst) = rest.strip_prefix("->") else {
        return TextError::new(format!("{arg}: missing `->' following source"));
    };
    let dst = parse_subfield(dst)?;
    if src.n_bits != dst.n_bits {
        return TextError::new(format!(
            "{arg}: source field is {} bits wide but destination is {} bits wide",
            src.n_bits, dst.n_bits
        ));
    }
    Ok(Action::Move { src, dst, onf: false })
}

fn stack(arg: &str) -> Result<crate::field::Subfield, TextError> {
    let mut rest = arg;
    let s = take_subfield(&mut rest)?;
    if rest.is_empty() {
        Ok(s)
    } else {
        TextError::new(format!("{rest}: trailing garbage following push or pop"))
    }
}

fn dec_ttl(arg: &str) -> Result<Action, TextError> {
    let words = arg.split([',', ' ']).filter(|w| !w.is_empty());
    let ids: Vec<u16> = words.map(|w| scan::u16(w, "controller id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return TextError::new("dec_ttl_cnt_ids: expected at least one controller id.");
    }
    Ok(Action::DecTtl(Some(ids)))
}

fn fin_timeout(mut arg: &str) -> Result<Action, TextError> {
    let (mut idle, mut hard) = (0, 0);
    while let Some((key, v)) = scan::key_value(&mut arg) {
        match key {
            "idle_timeout" => idle = scan::u16(v, key)?,
            "hard_timeout" => hard = scan::u16(v, key)?,
            _ => return TextError::new(format!("invalid key '{key}' in 'fin_timeout' argument")),
        }
    }
    Ok(Action::FinTimeout { idle, hard })
}

fn resubmit(arg: &str, names: &dyn Names) -> Result<Action, TextError> {
    let mut parts = arg.splitn(3, ',');
    let mut part = || parts.next().filter(|p| !p.is_empty());
    let in_port = match part() {
        Some(p) => parse_port(p, names)
            .ok_or_else(|| TextError(format!("{p}: resubmit to unknown port")))?,
        None => OfPort::IN_PORT,
    };
    let table = match part() {
        Some(t) => parse_table(t, names)
            .ok_or_else(|| TextError(format!("{t}: resubmit to unknown table")))?,
        None => 255,
    };
    let ct = match part() {
        Some("ct") => true,
        Some(other) => return TextError::new(format!("{other}: unknown parameter")),
        None => false,
    };
    if in_port == OfPort::IN_PORT && table == 255 {
        return TextError::new(
            "at least one \"in_port\" or \"table\" must be specified on resubmit",
        );
    }
    Ok(Action::Resubmit { in_port, table, ct, short: false })
}

fn conjunction(arg: &str) -> Result<Action, TextError> {
    let parts = || {
        let (id, rest) = arg.split_once(',')?;
        let (clause, n) = rest.split_once('/')?;
        let id = u32::try_from(scan::number(id.trim())?).ok()?;
        let octet = |s: &str| u8::try_from(scan::number(s.trim())?).ok();
        Some((id, octet(clause)?, octet(n)?))
    };
    let Some((id, clause, n_clauses)) = parts() else {
        return TextError::new("\"conjunction\" syntax is \"conjunction(id,i/n)\"");
    };
    match (clause, n_clauses) {
        (_, 0 | 1) => TextError::new("conjunction must have at least 2 clauses"),
        (_, 65..) => TextError::new("conjunction must have at most 64 clauses"),
        (0, _) => TextError::new("clause index must be positive"),
        (c, n) if c > n => {
            TextError::new("clause index must be less than or equal to number of clauses")
        }
        _ => Ok(Action::Conjunction { id, clause: clause - 1, n_clauses }),
    }
}
