//! Actions read from Open vSwitch's notation, such as
//! `set(ipv4(src=10.0.0.1)),push_vlan(vid=5,pcp=0),2`.
//!
//! The opposite of `actions`.

use wire::{EtherType, FlowKey, FlowMask, VlanTag};

use super::parse::Parser;
use super::scan::{DELIMITERS, ParseError, number, parentheses};
use crate::action::{Action, Layer, Notes, SetHeader, ToController, UserspaceReason};
use crate::port::PortNo;

/// Reads a list of actions; `drop` and nothing at all are the empty list. `port` finds a port by
/// name, where one is given instead of a number.
///
/// # Errors
///
/// Where the text cannot be read, or asks for what this datapath does not do.
pub fn actions(
    text: &str,
    port: &dyn Fn(&str) -> Option<PortNo>,
) -> Result<Vec<Action>, ParseError> {
    list(text, port, 0)
}

/// Lists within lists; Open vSwitch nests no deeper either.
const DEEPEST: usize = 32;

fn list(
    text: &str,
    port: &dyn Fn(&str) -> Option<PortNo>,
    depth: usize,
) -> Result<Vec<Action>, ParseError> {
    if depth > DEEPEST {
        return Err(ParseError::Unsupported(format!("actions nested more than {DEEPEST} deep")));
    }
    let mut out = Vec::new();
    let mut rest = text.trim_matches(DELIMITERS);
    if rest.eq_ignore_ascii_case("drop") {
        return Ok(out);
    }
    while !rest.is_empty() {
        let (action, after) = one(rest, port, depth)?;
        out.push(action);
        rest = after.trim_start_matches(DELIMITERS);
    }
    Ok(out)
}

fn one<'a>(
    text: &'a str,
    port: &dyn Fn(&str) -> Option<PortNo>,
    depth: usize,
) -> Result<(Action, &'a str), ParseError> {
    let syntax = || ParseError::Syntax(text.to_owned());
    let end = text.find(['(', ',', ' ', '\t', '\r', '\n']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !rest.starts_with('(') {
        let output = || number(name).map(PortNo).or_else(|| port(name));
        let action = match name {
            "pop_vlan" => Action::PopVlan,
            "drop" => Action::Drop(0),
            _ => Action::Output(output().ok_or_else(syntax)?),
        };
        return Ok((action, rest));
    }
    let (body, rest) = parentheses(rest).ok_or_else(syntax)?;
    let action = match name {
        "trunc" => Action::Trunc(number(body).ok_or_else(syntax)?),
        "recirc" => Action::Recirc(number(body).ok_or_else(syntax)?),
        "clone" => Action::Clone(list(body, port, depth + 1)?.into()),
        "push_vlan" => push_vlan(body).ok_or_else(syntax)?,
        "set" => Action::Set(Box::new(set(body, port)?)),
        "hash" => {
            let basis = body.strip_prefix("l4(").and_then(|b| b.strip_suffix(')'));
            Action::HashL4 { basis: basis.and_then(number).ok_or_else(syntax)? }
        }
        "userspace" => userspace(body).ok_or_else(syntax)?,
        "lb_output" | "sample" | "meter" | "ct" | "check_pkt_len" | "push_mpls" | "pop_mpls"
        | "add_mpls" | "push_eth" | "push_nsh" | "tnl_push" | "tnl_pop" | "psample" | "dec_ttl" => {
            return Err(ParseError::Unsupported(format!("{name}({body})")));
        }
        _ => return Err(syntax()),
    };
    Ok((action, rest))
}

/// `name=value` pairs of what stands between parentheses, all numbers.
fn numbers(body: &str) -> Option<Vec<(&str, u64)>> {
    let pair = |part: &'_ str| -> Option<(usize, u64)> {
        let at = part.find('=')?;
        Some((at, number(&part[at + 1..])?))
    };
    body.split(',').map(|part| pair(part).map(|(at, n)| (&part[..at], n))).collect()
}

fn push_vlan(body: &str) -> Option<Action> {
    let (mut tpid, mut vid, mut pcp, mut cfi) = (EtherType::VLAN, None, None, 1);
    for (name, n) in numbers(body)? {
        match name {
            "tpid" => tpid = u16::try_from(n).ok()?,
            "vid" => vid = Some(u16::try_from(n).ok().filter(|v| *v <= VlanTag::VID_MASK)?),
            "pcp" => pcp = Some(u16::try_from(n).ok().filter(|v| *v <= 7)?),
            "cfi" => cfi = u16::from(n != 0),
            _ => return None,
        }
    }
    Some(Action::PushVlan { tpid, tci: vid? | (pcp? << VlanTag::PCP_SHIFT) | (cfi * VlanTag::CFI) })
}

fn set(body: &str, port: &dyn Fn(&str) -> Option<PortNo>) -> Result<SetHeader, ParseError> {
    let name = body.split('(').next().unwrap_or_default();
    let layer = match name {
        "skb_priority" => Layer::SkbPriority,
        "skb_mark" => Layer::SkbMark,
        "eth" => Layer::Eth,
        "ipv4" => Layer::Ipv4,
        "ipv6" => Layer::Ipv6,
        "tcp" => Layer::Tcp,
        "udp" => Layer::Udp,
        "sctp" => Layer::Sctp,
        "icmp" => Layer::Icmp,
        "icmpv6" => Layer::Icmpv6,
        "arp" => Layer::Arp,
        "nd" => Layer::Nd,
        _ => return Err(ParseError::Unsupported(format!("set({body})"))),
    };
    let mut p = Parser::new(port);
    p.attributes(body)?;
    let (value, mask) = p.done();
    // A header that cannot change besides what is named.
    let settable = FlowMask { nw_frag: 0, ..mask };
    let settable = match layer {
        Layer::Ipv4 | Layer::Ipv6 => FlowMask { nw_proto: 0, ..settable },
        _ => settable,
    };
    if settable != mask {
        return Err(ParseError::Unsupported(format!("set({body})")));
    }
    let value = FlowKey { eth_type: 0, ..value }.masked(&mask);
    Ok(SetHeader { layer, value, mask: FlowMask { eth_type: 0, ..mask } })
}

fn userspace(body: &str) -> Option<Action> {
    let rest = match body.strip_prefix("pid=") {
        Some(pid) => pid.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(',')?,
        None => return None,
    };
    let inner = |name| rest.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(reason) = inner("slow_path") {
        let reason = UserspaceReason::ALL.into_iter().find(|r| r.name() == reason)?;
        return Some(Action::Userspace(reason));
    }
    let mut what = ToController {
        reason: 0,
        max_len: 0,
        controller_id: 0,
        cookie: 0,
        table: 0,
        dont_send: false,
        continuation: false,
        recirc_id: 0,
        userdata: Vec::new(),
        notes: Notes::new(()),
    };
    for (name, n) in numbers(inner("controller")?)? {
        match name {
            "reason" => what.reason = u8::try_from(n).ok()?,
            "dont_send" => what.dont_send = n != 0,
            "continuation" => what.continuation = n != 0,
            "recirc_id" => what.recirc_id = u32::try_from(n).ok()?,
            "rule_cookie" => what.cookie = n,
            "controller_id" => what.controller_id = u16::try_from(n).ok()?,
            "max_len" => what.max_len = u16::try_from(n).ok()?,
            _ => return None,
        }
    }
    Some(Action::Controller(Box::new(what)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FlowHandle;
    use crate::format::{FlowDump, Show};
    use wire::Time;

    fn read(text: &str) -> Result<Vec<Action>, ParseError> {
        actions(text, &|name| (name == "p9").then_some(PortNo(9)))
    }

    fn again(text: &str) -> String {
        let list = read(text).unwrap();
        let f = FlowHandle::new(FlowKey::default(), FlowMask::default(), list, None, Time::ZERO);
        let show = Show { table: &|_| None, names: None, more: true };
        let shown = FlowDump::new(&f, Time::ZERO, show).to_string();
        shown.split_once(", actions:").unwrap().1.to_owned()
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in [
            "drop",
            "1,2,trunc(100),3",
            "set(eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07)),1",
            "set(eth(dst=50:54:00:00:00:07)),1",
            "set(eth(src=01:00:00:00:00:00/01:00:00:00:00:00)),1",
            "set(ipv4(src=1.2.3.4)),set(ipv4(dst=10.0.0.0/255.0.0.0,tos=0x10/0xfc,ttl=63)),1",
            "set(ipv6(src=fe80::1,dst=::1/::ffff,label=0x5,tclass=0x4/0xfc,hlimit=3)),2",
            "set(tcp(src=80,dst=8080)),set(udp(dst=53)),set(sctp(src=1/0xff)),1",
            "set(icmp(type=8,code=0)),set(icmpv6(type=1)),2",
            "set(arp(sip=1.2.3.4,tip=1.2.3.5,op=2,sha=00:00:00:00:00:01,tha=00:00:00:00:00:02)),1",
            "set(nd(target=fe80::9,sll=00:00:00:00:00:01,tll=00:00:00:00:00:02)),1",
            "set(skb_priority(0x7)),set(skb_mark(0x1/0x3)),1",
            "push_vlan(vid=5,pcp=0),push_vlan(tpid=0x88a8,vid=7,pcp=3),pop_vlan,1",
            "clone(set(tcp(dst=1)),3,clone(drop)),4",
            "hash(l4(0)),recirc(0x2)",
            "userspace(pid=0,slow_path(controller)),1",
            "userspace(pid=0,controller(reason=1,dont_send=0,continuation=1,recirc_id=7,\
             rule_cookie=0xabc,controller_id=3,max_len=65535))",
        ] {
            assert_eq!(again(text), text);
        }
        assert_eq!(again("p9, pop_vlan"), "9,pop_vlan");
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, from) in [
            ("1,nonsense", "nonsense"),
            ("trunc(x)", "trunc(x)"),
            ("push_vlan(vid=5000,pcp=1)", "push_vlan(vid=5000,pcp=1)"),
            ("clone(1", "clone(1"),
            ("1,userspace(pid=0)", "userspace(pid=0)"),
            ("userspace(pid=0,slow_path(what))", "userspace(pid=0,slow_path(what))"),
            ("set(eth(dst=1))", "eth(dst=1)"),
        ] {
            assert_eq!(read(text), Err(ParseError::Syntax(from.to_owned())), "{text}");
        }
        let deep = "clone(".repeat(100_000) + &")".repeat(100_000);
        assert!(matches!(read(&deep), Err(ParseError::Unsupported(_))));
        for text in ["ct(commit)", "set(tunnel(tun_id=1))", "set(ipv4(proto=1))", "sample(x)"] {
            assert!(matches!(read(text), Err(ParseError::Unsupported(_))), "{text}");
        }
    }

    /// Text like ours with something changed: an answer, whatever it is.
    #[test]
    fn nothing_panics() {
        use proptest::prelude::*;
        let whole = "set(ipv4(src=1.2.3.4/255.0.0.0,ttl=6)),push_vlan(tpid=0x88a8,vid=7,pcp=3),\
                     clone(trunc(9),set(nd(target=fe80::9)),2),hash(l4(0)),recirc(0x2),\
                     userspace(pid=0,controller(reason=1,rule_cookie=0xabc)),pop_vlan,drop";
        let change = (any::<prop::sample::Index>(), any::<char>(), any::<bool>());
        let text = prop::collection::vec(change, 0..6).prop_map(|changes| {
            let mut text: Vec<char> = whole.chars().collect();
            for (at, c, cut) in changes {
                let at = at.index(text.len().max(1));
                match (cut, text.get_mut(at)) {
                    (true, _) => text.truncate(at),
                    (false, Some(old)) => *old = c,
                    (false, None) => {}
                }
            }
            text.into_iter().collect::<String>()
        });
        proptest!(|(text in text, other in ".{0,60}")| {
            for t in [&text, &other] {
                let _ = read(t);
                let _ = super::super::parse::flow(t, &|_| None);
            }
        });
    }
}
