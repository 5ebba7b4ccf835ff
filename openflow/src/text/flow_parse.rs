//! Flows from text.

use wire::{EtherType, ip};

use super::Names;
use super::value::{self, parse_field, parse_subfield, print_value};
use super::{NoNames, TextError, parse_instructions, parse_port, parse_table, scan};
use crate::action_check::{Limits, check};
use crate::field::{Field, Fields, Match, Subfield, ones};
use crate::msg::{FlowFlags, FlowMod, FlowModCommand, GROUP_ANY};
use crate::ofport::OfPort;
use crate::version::Version;

/// What a text is for, which decides what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowText {
    /// A command to change flows.
    Command(FlowModCommand),
    /// The text begins with the command; without one it adds.
    WithCommand,
    /// Which flows to look at: a match, `table`, `out_port`, `cookie=V/M`.
    Filter,
}

/// Short names for types of packets.
const PROTOCOLS: [(&str, u16, u8); 17] = [
    ("ip", EtherType::IPV4, 0),
    ("ipv4", EtherType::IPV4, 0),
    ("ip4", EtherType::IPV4, 0),
    ("arp", EtherType::ARP, 0),
    ("icmp", EtherType::IPV4, ip::ICMP),
    ("tcp", EtherType::IPV4, ip::TCP),
    ("udp", EtherType::IPV4, ip::UDP),
    ("sctp", EtherType::IPV4, ip::SCTP),
    ("ipv6", EtherType::IPV6, 0),
    ("ip6", EtherType::IPV6, 0),
    ("icmp6", EtherType::IPV6, ip::ICMPV6),
    ("tcp6", EtherType::IPV6, ip::TCP),
    ("udp6", EtherType::IPV6, ip::UDP),
    ("sctp6", EtherType::IPV6, ip::SCTP),
    ("rarp", EtherType::RARP, 0),
    ("mpls", 0x8847, 0),
    ("mplsm", 0x8848, 0),
];

fn protocol(name: &str) -> Option<(u16, u8)> {
    PROTOCOLS.iter().find(|(n, _, _)| *n == name).map(|(_, t, p)| (*t, *p))
}

/// Reads a flow, as `ovs-ofctl add-flow` and its like take it.
pub fn parse_flow(s: &str, text: FlowText, names: &dyn Names) -> Result<FlowMod, TextError> {
    let (command, s) = match text {
        FlowText::Command(c) => (c, s),
        FlowText::Filter => (FlowModCommand::Delete, s),
        FlowText::WithCommand => leading_command(s),
    };
    let mut p = Parser {
        names,
        text,
        flow: FlowMod::new(command),
        // A modification leaves the cookie unless one is given.
        adds: !command.is_delete(),
    };
    if matches!(command, FlowModCommand::Modify | FlowModCommand::ModifyStrict) {
        p.flow.new_cookie = u64::MAX;
    }
    let (mut items, actions) = if p.adds { split_actions(s)? } else { (s, "") };
    while let Some((key, v)) = scan::key_value(&mut items) {
        p.item(key, v)?;
    }
    let mut f = p.flow;
    let modifies = matches!(command, FlowModCommand::Modify | FlowModCommand::ModifyStrict);
    if modifies && f.cookie_mask == 0 && f.new_cookie == u64::MAX {
        f.new_cookie = 0;
    }
    if p.adds {
        f.actions = parse_instructions(actions, names)?;
        let limits = Limits { table: f.table_id, ..Limits::NONE };
        if let Err(e) = check(&f.actions, &f.matching, Version::V10, limits) {
            return TextError::new(format!("actions are invalid with specified match ({e})"));
        }
    }
    Ok(f)
}

fn leading_command(s: &str) -> (FlowModCommand, &str) {
    let s = s.trim_start();
    let len = s.find([',', ' ', '\t', '\r', '\n']).unwrap_or(s.len());
    let word = &s[..len];
    let commands = [
        ("add", FlowModCommand::Add),
        ("delete", FlowModCommand::Delete),
        ("delete_strict", FlowModCommand::DeleteStrict),
        ("modify", FlowModCommand::Modify),
        ("modify_strict", FlowModCommand::ModifyStrict),
    ];
    match commands.iter().find(|(name, _)| !word.is_empty() && name.starts_with(word)) {
        Some((_, c)) => (*c, &s[len..]),
        None => (FlowModCommand::Add, s),
    }
}

/// What stands before `actions=` and after it.
fn split_actions(s: &str) -> Result<(&str, &str), TextError> {
    let at = s.find("action").ok_or_else(|| TextError("must specify an action".to_owned()))?;
    match s[at..].split_once('=') {
        Some((_, actions)) => Ok((&s[..at], actions)),
        None => TextError::new("must specify an action"),
    }
}

struct Parser<'a> {
    names: &'a dyn Names,
    text: FlowText,
    flow: FlowMod,
    adds: bool,
}

impl Parser<'_> {
    fn item(&mut self, key: &str, v: &str) -> Result<(), TextError> {
        if match_item(&mut self.flow.matching, key, v, self.names)? || self.flag(key) {
            return Ok(());
        }
        if v.is_empty() {
            return TextError::new(format!("field {key} missing value"));
        }
        let command = self.flow.command;
        let priority = self.adds || command == FlowModCommand::DeleteStrict;
        let f = &mut self.flow;
        match key {
            "table" => {
                f.table_id = parse_table(v, self.names)
                    .ok_or_else(|| TextError(format!("unknown table \"{v}\"")))?;
            }
            "out_port" if !self.adds => {
                f.out_port = parse_port(v, self.names)
                    .ok_or_else(|| TextError(format!("{v} is not a valid OpenFlow port")))?;
            }
            "out_group" if !self.adds => {
                let group = match v.to_ascii_lowercase().as_str() {
                    "any" => Some(GROUP_ANY),
                    _ => scan::number(v).and_then(|n| u32::try_from(n).ok()),
                };
                f.out_group =
                    group.ok_or_else(|| TextError(format!("{v} is not a valid OpenFlow group")))?;
            }
            "priority" if priority => f.priority = scan::u16(v, key)?,
            "idle_timeout" if self.adds => f.idle_timeout = scan::u16(v, key)?,
            "hard_timeout" if self.adds => f.hard_timeout = scan::u16(v, key)?,
            "importance" if command == FlowModCommand::Add => f.importance = scan::u16(v, key)?,
            "cookie" => return self.cookie(v),
            // So that the output of a dump can be read back.
            "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age" => {}
            _ => return TextError::new(format!("unknown keyword {key}")),
        }
        Ok(())
    }

    /// True if the word is a flag.
    fn flag(&mut self, key: &str) -> bool {
        if matches!(key, "no_readonly_table" | "allow_hidden_fields") {
            return true;
        }
        let found = FlowFlags::NAMES.iter().find(|(_, name)| self.adds && *name == key);
        if let Some((flag, _)) = found {
            self.flow.flags = self.flow.flags.with(*flag);
        }
        found.is_some()
    }

    fn cookie(&mut self, v: &str) -> Result<(), TextError> {
        let f = &mut self.flow;
        if let Some((value, mask)) = v.split_once('/') {
            if f.command == FlowModCommand::Add && self.text != FlowText::Filter {
                return TextError::new("flow additions cannot use a cookie mask");
            }
            f.cookie = scan::u64(value)?;
            f.cookie_mask = scan::u64(mask)?;
        } else if !self.adds {
            return TextError::new(format!(
                "cannot set cookie (to match on a cookie, specify a mask, e.g. cookie={v}/-1)"
            ));
        } else {
            f.new_cookie = scan::u64(v)?;
            f.modify_cookie = true;
        }
        Ok(())
    }
}

/// Puts one item into a match; false if it is not about a field.
fn match_item(m: &mut Match, key: &str, v: &str, names: &dyn Names) -> Result<bool, TextError> {
    if let Some((typ, proto)) = protocol(key) {
        m.set(Field::EthType, typ.into());
        if proto != 0 {
            m.set(Field::IpProto, proto.into());
        }
        return Ok(true);
    }
    if key == "eth" {
        m.mask.packet_type = u32::MAX;
        m.value.packet_type = 0;
        return Ok(true);
    }
    if let Some(field) = Field::from_name(key) {
        // A field without a value is only asked to exist.
        let (value, mask) = match v {
            "" => (0, 0),
            v => parse_field(field, v, names)?,
        };
        m.set_masked(field, value & mask, mask);
        if field == Field::DlVlan && mask != 0 && value == 0xffff {
            m.set(field, value);
        }
        if field.info().prereq != crate::field::Prereq::None {
            m.set_ethernet();
        }
        return Ok(true);
    }
    if key.contains('[') {
        subfield_item(m, parse_subfield(key)?, key, v)?;
        return Ok(true);
    }
    Ok(false)
}

fn subfield_item(m: &mut Match, s: Subfield, key: &str, v: &str) -> Result<(), TextError> {
    let bad = |_| TextError(format!("{key}: cannot parse integer value: {v}"));
    let bits = value::integer(v, s.field, "value").map_err(bad)?;
    if bits & !ones(s.n_bits) != 0 {
        let shown = print_value(s.field, bits, s.field.ones(), &NoNames);
        return TextError::new(format!("{key}: value {shown} does not fit into {} bits", s.n_bits));
    }
    let (value, mask) = m.get(s.field);
    m.set_masked(s.field, value & !s.mask() | bits << s.ofs, mask | s.mask());
    Ok(())
}

/// Reads a match alone.
pub fn parse_match(mut s: &str, names: &dyn Names) -> Result<Match, TextError> {
    let mut m = Match::default();
    while let Some((key, v)) = scan::key_value(&mut s) {
        if !match_item(&mut m, key, v, names)? {
            return TextError::new(format!("unknown keyword {key}"));
        }
    }
    Ok(m)
}

/// Reads one packet's fields, as `ofproto/trace` takes them: `in_port=1,tcp,nw_src=10.0.0.1`.
/// The port is [`OfPort::NONE`] if none is given.
pub fn parse_exact_flow(s: &str, names: &dyn Names) -> Result<Fields, TextError> {
    let (mut f, _) = exact(s, names)?;
    if f.in_port == OfPort(0) {
        f.in_port = OfPort::NONE;
    }
    // The fields say what is in a tag, not of which type it is.
    for tag in f.key.vlan.iter_mut().filter(|t| t.is_present() && t.tpid == 0) {
        tag.tpid = EtherType::VLAN;
    }
    Ok(f)
}

/// Reads the same as a match of the fields that are named, as a mirror's filter is written.
pub fn parse_exact_match(s: &str, names: &dyn Names) -> Result<Match, TextError> {
    let (f, named) = exact(s, names)?;
    let mut m = Match::default();
    for field in named {
        m.set(field, f.get(field));
    }
    Ok(m)
}

/// The fields and which of them were named.
fn exact(s: &str, names: &dyn Names) -> Result<(Fields, Vec<Field>), TextError> {
    let mut f = Fields::default();
    let mut named = Vec::new();
    let mut rest = s;
    let mut has_port = false;
    while let Some((key, v)) = scan::key_value(&mut rest) {
        if let Some((typ, proto)) = protocol(key) {
            if f.key.eth_type != 0 {
                return TextError::new(format!("{s}: Ethernet type set multiple times"));
            }
            f.key.eth_type = typ;
            named.push(Field::EthType);
            if proto != 0 {
                if f.key.nw_proto != 0 {
                    return TextError::new(format!("{s}: network protocol set multiple times"));
                }
                f.key.nw_proto = proto;
                named.push(Field::IpProto);
            }
            continue;
        }
        let Some(field) = Field::from_name(key) else {
            return TextError::new(format!("{s}: unknown field {key}"));
        };
        if !field.prereq_ok(&f) {
            return TextError::new(format!("{s}: prerequisites not met for setting {key}"));
        }
        let is_port = matches!(field, Field::InPort | Field::InPortOxm);
        if (!is_port && is_set(field, &f)) || (is_port && has_port) {
            return TextError::new(format!("{s}: field {key} set multiple times"));
        }
        has_port |= is_port;
        let wild =
            || TextError(format!("{s}: bad value for {key} ({v}: wildcards not allowed here)"));
        let (value, mask) = parse_field(field, v, names)
            .map_err(|e| TextError(format!("{s}: bad value for {key} ({e})")))?;
        if mask != field.ones() {
            return Err(wild());
        }
        f.set(field, value);
        named.push(field);
    }
    Ok((f, named))
}

fn is_set(field: Field, f: &Fields) -> bool {
    match field {
        Field::ActsetOutput => f.actset_output != OfPort(0),
        _ => f.get(field) != 0,
    }
}
