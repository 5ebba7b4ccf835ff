//! Flows as lines of text.

use std::fmt::Write;

use super::match_print::print_match;
use super::{Names, print_actions, print_duration, print_port, print_table};
use crate::msg::{FlowFlags, FlowMod, FlowModCommand, FlowStats};
use crate::ofport::OfPort;
use crate::version::Version;

/// A counter; `?` if it is not known.
fn count(n: u64) -> String {
    if n == u64::MAX { "?".to_owned() } else { n.to_string() }
}

fn flags(out: &mut String, flags: FlowFlags) {
    for (flag, name) in FlowFlags::NAMES {
        if flags.has(flag) {
            let _ = write!(out, "{name} ");
        }
    }
}

/// A line of `ovs-ofctl dump-flows`, without the space in front; without `stats` only what makes
/// the flow (`--no-stats`).
pub fn print_flow_stats(f: &FlowStats, names: &dyn Names, stats: bool) -> String {
    let mut out = String::new();
    if stats || f.cookie != 0 {
        let _ = write!(out, "cookie=0x{:x}, ", f.cookie);
    }
    if stats {
        let _ = write!(out, "duration={}, ", print_duration(f.duration_sec, f.duration_nsec));
    }
    if stats || f.table_id != 0 || names.table_name(f.table_id).is_some() {
        let _ = write!(out, "table={}, ", print_table(f.table_id, names));
    }
    if stats {
        let _ = write!(out, "n_packets={}, n_bytes={}, ", count(f.packets), count(f.bytes));
    }
    for (name, v) in [("idle_timeout", f.idle_timeout), ("hard_timeout", f.hard_timeout)] {
        if v != 0 {
            let _ = write!(out, "{name}={v}, ");
        }
    }
    flags(&mut out, f.flags);
    if f.importance != 0 {
        let _ = write!(out, "importance={}, ", f.importance);
    }
    if let Some(age) = f.idle_age.filter(|_| stats) {
        let _ = write!(out, "idle_age={age}, ");
    }
    if let Some(age) = f.hard_age.filter(|a| stats && *a != f.duration_sec) {
        let _ = write!(out, "hard_age={age}, ");
    }
    let m = print_match(&f.matching, f.priority, names);
    if !m.is_empty() {
        let _ = write!(out, "{m} ");
    }
    let _ = write!(out, "actions={}", print_actions(&f.actions, names));
    out
}

/// A command as messages are shown: what follows `OFPT_FLOW_MOD (…): `.
pub fn print_flow_mod(f: &FlowMod, version: Version, names: &dyn Names) -> String {
    let mut out = match f.command {
        FlowModCommand::Add => "ADD",
        FlowModCommand::Modify => "MOD",
        FlowModCommand::ModifyStrict => "MOD_STRICT",
        FlowModCommand::Delete => "DEL",
        FlowModCommand::DeleteStrict => "DEL_STRICT",
    }
    .to_owned();
    if f.table_id != 0 || names.table_name(f.table_id).is_some() {
        let _ = write!(out, " table:{}", print_table(f.table_id, names));
    }
    out.push(' ');
    let m = print_match(&f.matching, f.priority, names);
    if !m.is_empty() {
        let _ = write!(out, "{m} ");
    }
    if f.new_cookie != 0 && f.new_cookie != u64::MAX {
        let _ = write!(out, "cookie:0x{:x} ", f.new_cookie);
    }
    if f.cookie_mask != 0 {
        let _ = write!(out, "cookie:0x{:x}/0x{:x} ", f.cookie, f.cookie_mask);
    }
    for (name, v) in
        [("idle", f.idle_timeout), ("hard", f.hard_timeout), ("importance", f.importance)]
    {
        if v != 0 {
            let _ = write!(out, "{name}:{v} ");
        }
    }
    if let Some(id) = f.buffer_id {
        let _ = write!(out, "buf:0x{id:x} ");
    }
    if f.out_port != OfPort::ANY {
        let _ = write!(out, "out_port:{} ", print_port(f.out_port, names));
    }
    // Before 1.2 there is no such flag to show.
    let shown =
        if version < Version::V12 { f.flags.without(FlowFlags::RESET_COUNTS) } else { f.flags };
    flags(&mut out, shown);
    let _ = write!(out, "actions={}", print_actions(&f.actions, names));
    out
}
