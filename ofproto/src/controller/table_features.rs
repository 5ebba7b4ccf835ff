//! The features of tables in 1.3 and later (1.3 clause 7.3.5.5): properties with lists of
//! instructions, actions, tables and fields. All tables can the same; controllers can give them
//! names, and that is all they can change.

use std::collections::BTreeSet;

use openflow::msg::{Body, TableFeatures};
use openflow::{Field, OfError, Version, codec};

use super::agent::Agent;
use super::request::Request;
use super::session::VISIBLE_TABLES;
use super::types::LogLevel;
use crate::tables::FlowTables;

/// Types of properties; the odd number after each is for the flow that a miss meets.
mod property {
    pub(super) const INSTRUCTIONS: u16 = 0;
    pub(super) const NEXT_TABLES: u16 = 2;
    pub(super) const WRITE_ACTIONS: u16 = 4;
    pub(super) const APPLY_ACTIONS: u16 = 6;
    pub(super) const MATCH: u16 = 8;
    pub(super) const WILDCARDS: u16 = 10;
    pub(super) const WRITE_SETFIELD: u16 = 12;
    pub(super) const APPLY_SETFIELD: u16 = 14;
}

/// Commands of 1.5; before, a request replaces.
const REPLACE: u8 = 0;
const MODIFY: u8 = 1;

/// Instructions as bits of their numbers. The last table has nowhere to go to.
pub(super) fn instructions(version: Version, last: bool) -> u32 {
    const GOTO: u32 = 1 << 1;
    const COMMON: u32 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5;
    const METER: u32 = 1 << 6;
    let goto = if last { 0 } else { GOTO };
    let meter = if matches!(version, Version::V13 | Version::V14) { METER } else { 0 };
    goto | COMMON | meter
}

/// Actions as bits of their numbers.
pub(super) fn actions(version: Version) -> u32 {
    match version {
        Version::V10 => 0xfff,
        // Without the two that copy a time to live.
        Version::V11 => 0x1ff_ffff & !(0b11 << 11),
        // Without what "set field" took over.
        _ => 1 | 0x3ff_8000,
    }
}

/// Which fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldSet {
    Matchable,
    Writable,
}

impl FieldSet {
    /// Those that messages can name.
    pub(super) fn all(self) -> impl Iterator<Item = Field> {
        Field::all().filter(move |f| match self {
            FieldSet::Matchable => true,
            FieldSet::Writable => f.info().writable,
        })
    }

    /// Their headers; `masked`: with the mask bit where they can have one.
    fn headers(self, version: Version, masked: bool) -> Vec<u8> {
        let header = |f: Field| codec::field_header(f, version, masked && f.info().maskable);
        self.all().filter_map(header).flatten().collect()
    }
}

/// A list of numbers, each with its length, from bits.
fn list(bits: u32) -> Vec<u8> {
    let set = (0..32u16).filter(|n| bits & 1 << n != 0);
    set.flat_map(|n| [n.to_be_bytes(), 4u16.to_be_bytes()]).flatten().collect()
}

/// Everything that a table can.
fn properties(version: Version, table: u8) -> Vec<(u16, Vec<u8>)> {
    use property::*;
    let last = table + 1 == VISIBLE_TABLES;
    let mut out = Vec::new();
    for miss in 0..2 {
        out.push((INSTRUCTIONS + miss, list(instructions(version, last))));
        out.push((NEXT_TABLES + miss, (table + 1..VISIBLE_TABLES).collect()));
        out.push((WRITE_ACTIONS + miss, list(actions(version))));
        out.push((WRITE_SETFIELD + miss, FieldSet::Writable.headers(version, false)));
        out.push((APPLY_ACTIONS + miss, list(actions(version))));
        out.push((APPLY_SETFIELD + miss, FieldSet::Writable.headers(version, false)));
    }
    out.push((MATCH, FieldSet::Matchable.headers(version, true)));
    out.push((WILDCARDS, FieldSet::Matchable.headers(version, false)));
    out
}

/// The items of a property, so that lists can be held against each other. A field's mask bit is
/// left out: a table that can match some bits of a field can match all.
fn items(typ: u16, body: &[u8]) -> BTreeSet<Vec<u8>> {
    use property::*;
    let mut rest = body;
    let mut out = BTreeSet::new();
    while !rest.is_empty() {
        let len = match typ & !1 {
            NEXT_TABLES => 1,
            MATCH | WILDCARDS | WRITE_SETFIELD | APPLY_SETFIELD if rest.starts_with(&[0xff; 2]) => {
                8
            }
            _ => 4,
        };
        let (item, after) = rest.split_at(len.min(rest.len()));
        let mut item = item.to_vec();
        if let (MATCH | WILDCARDS, [_, _, number, length, ..]) = (typ & !1, item.as_mut_slice()) {
            if *number & 1 != 0 {
                // An experimenter's number counts with the value.
                let vendor = if len == 8 { 4 } else { 0 };
                *length = length.saturating_sub(vendor) / 2 + vendor;
            }
            *number &= !1;
        }
        out.insert(item);
        rest = after;
    }
    out
}

fn features(t: &FlowTables, version: Version, table: u8) -> TableFeatures {
    TableFeatures {
        table_id: table,
        command: 0,
        features: 0,
        name: t.table_name(table).to_owned(),
        metadata_match: u64::MAX,
        metadata_write: u64::MAX,
        capabilities: 0,
        max_entries: t.max_entries(table),
        properties: properties(version, table),
    }
}

impl Agent {
    pub(super) fn table_features(
        &mut self,
        r: &Request<'_>,
        wanted: Vec<TableFeatures>,
    ) -> Result<(), OfError> {
        if !wanted.is_empty() {
            let change = self.tables.with(r.ops, |t| change(t, r.version, &wanted))?;
            if let Err((error, text)) = change {
                self.conns.log(LogLevel::Info, "ofproto", text, Some((1, 5)));
                return Err(error);
            }
        }
        let all = self
            .tables
            .with(r.ops, |t| (0..VISIBLE_TABLES).map(|n| features(t, r.version, n)).collect())?;
        self.conns.reply(r, Body::TableFeaturesReply(all));
        Ok(())
    }
}

/// Changes what a request wants different: the names. The error comes with a text for the log.
fn change(
    t: &mut FlowTables,
    version: Version,
    wanted: &[TableFeatures],
) -> Result<(), (OfError, String)> {
    let fail = |e: OfError, text: String| Err((e, text));
    let command = match (version, wanted.first()) {
        (Version::V15, Some(first)) => first.command,
        _ => REPLACE,
    };
    let mut seen = BTreeSet::new();
    for w in wanted {
        if w.table_id == 255 {
            return fail(OfError::TffcBadTable, "there is no table 255".to_owned());
        }
        if !seen.insert(w.table_id) {
            return fail(OfError::NxTffcDupTable, format!("duplicate table {}", w.table_id));
        }
    }
    if seen.contains(&VISIBLE_TABLES) {
        return fail(OfError::TffcEperm, format!("can't modify hidden table {VISIBLE_TABLES}"));
    }
    match command {
        MODIFY => {}
        REPLACE if seen.len() == usize::from(VISIBLE_TABLES) => {}
        REPLACE => {
            let n = (0..VISIBLE_TABLES).find(|n| !seen.contains(n)).unwrap_or(0);
            return fail(OfError::TffcEperm, format!("can't disable table {n}"));
        }
        _ => return fail(OfError::TffcEperm, "can't enable or disable tables".to_owned()),
    }
    for w in wanted {
        let n = w.table_id;
        if w.max_entries != t.max_entries(n) {
            return fail(OfError::TffcEperm, "can't change max_entries".to_owned());
        }
        if !t.may_name(n, &w.name) {
            let text = format!(
                "can't change name of table {n} to {} because it is already set to {} via OVSDB",
                w.name,
                t.table_name(n)
            );
            return fail(OfError::TffcEperm, text);
        }
        let ours = properties(version, n);
        for (typ, body) in &w.properties {
            let ours = ours.iter().find(|(t, _)| t == typ).map(|(t, b)| items(*t, b));
            if ours.is_some_and(|ours| !items(*typ, body).is_subset(&ours)) {
                let text = format!("can't increase table features for table {n}");
                return fail(OfError::TffcEperm, text);
            }
        }
    }
    for w in wanted {
        t.set_name(w.table_id, &w.name);
    }
    Ok(())
}
