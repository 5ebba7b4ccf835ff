//! Flow tables: counters, configuration.

use openflow::msg::{Body, TableDesc, TableMod, TableStats, TableStatus};
use openflow::{Field, OfError, Version};

use super::agent::Agent;
use super::async_config::AsyncKind;
use super::request::Request;
use super::session::VISIBLE_TABLES;
use super::table_features::{self as features, FieldSet};
use super::types::Class;
use crate::tables::{FlowTables, TableMiss};

/// Bits of 1.0's wildcards: those of the two addresses count how many bits are ignored.
const WILDCARDS_10: u32 = (1 << 22) - 1;

impl Agent {
    pub(super) fn table_mod(&mut self, r: &Request<'_>, m: &TableMod) -> Result<(), OfError> {
        self.conns.not_secondary(r)?;
        self.tables.with(r.ops, |t| t.table_mod(m, r.version))?
    }

    pub(super) fn table_stats(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let all = self.tables.with(r.ops, |t| {
            let mut all = t.table_stats();
            for s in &mut all {
                describe(t, s, r.version);
            }
            all
        })?;
        self.conns.reply(r, Body::TableStatsReply(all));
        Ok(())
    }

    pub(super) fn table_desc(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let all = |t: &mut FlowTables| -> Vec<TableDesc> {
            (0..VISIBLE_TABLES).filter_map(|n| t.table_desc(n)).map(told).collect()
        };
        let all = self.tables.with(r.ops, all)?;
        self.conns.reply(r, Body::TableDescReply(all));
        Ok(())
    }

    /// A table fills up or has room again.
    pub(super) fn send_table_status(&mut self, status: TableStatus) {
        let status = TableStatus { desc: told(status.desc), ..status };
        let wanted = self.conns.ids(|_, c| {
            c.wants(AsyncKind::TableStatus, status.reason) && c.version() >= Version::V14
        });
        for id in wanted {
            self.conns.send(id, Class::Other, 0, Body::TableStatus(status));
        }
    }
}

/// Thresholds are only sent while vacancy events are enabled.
fn told(d: TableDesc) -> TableDesc {
    let on = d.config & openflow::msg::table_config::VACANCY_EVENTS != 0;
    TableDesc { vacancy: d.vacancy.filter(|_| on), ..d }
}

/// Adds what a table can to its counters, as the version says it.
fn describe(t: &FlowTables, s: &mut TableStats, version: Version) {
    s.name = t.table_name(s.table_id).to_owned();
    s.max_entries = t.max_entries(s.table_id);
    let miss = match t.miss(s.table_id) {
        TableMiss::Default | TableMiss::Controller => 0u32,
        TableMiss::Continue => 1,
        TableMiss::Drop => 2,
    };
    let last = s.table_id + 1 == VISIBLE_TABLES;
    let instructions = features::instructions(version, last);
    let actions = features::actions(version);
    match version {
        Version::V10 => s.wildcards = WILDCARDS_10,
        Version::V11 => {
            // Fields that can be wild, that can be matched; the standard's 16 without the type.
            let fields = 0xfbff;
            let words = [fields, fields, instructions, actions, actions, miss];
            s.supported = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        }
        Version::V12 => {
            let matching = oxm_bits(FieldSet::Matchable, version);
            let setting = oxm_bits(FieldSet::Writable, version);
            let mut out = Vec::new();
            for word in [matching, matching] {
                out.extend(word.to_be_bytes());
            }
            for word in [actions, actions] {
                out.extend(word.to_be_bytes());
            }
            for word in [setting, setting, u64::MAX, u64::MAX] {
                out.extend(word.to_be_bytes());
            }
            for word in [instructions, miss] {
                out.extend(word.to_be_bytes());
            }
            s.supported = out;
        }
        Version::V13 | Version::V14 | Version::V15 => {}
    }
}

/// Fields of the standard's own class as bits.
fn oxm_bits(which: FieldSet, version: Version) -> u64 {
    const OPENFLOW_BASIC: u16 = 0x8000;
    let number = |f: Field| {
        let header = openflow::codec::field_header(f, version, false)?;
        let [c0, c1, n, _] = *header.first_chunk::<4>()?;
        let number = n >> 1;
        (u16::from_be_bytes([c0, c1]) == OPENFLOW_BASIC && number < 64).then_some(number)
    };
    which.all().filter_map(number).fold(0, |bits, n| bits | 1 << n)
}
