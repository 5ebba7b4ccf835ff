//! How each table is configured: by rows of `Flow_Table`, and by controllers' table_mod.

use std::collections::BTreeMap;
use std::sync::Arc;

use openflow::msg::{FlowRemovedReason, TableDesc, TableMod, TableStatus};
use openflow::{OfError, Version};

use super::changes::RuleChanges;
use super::control::FlowTables;
use super::rule::Rule;
use super::snapshot::{INTERNAL_TABLE, TableMiss};
use super::state::{EVICTION_FLAGS, MAX_FLOWS, TableSettings, TableState};

impl FlowTables {
    fn state(&self, table: u8) -> Option<&TableState> {
        self.states.get(usize::from(table))
    }

    /// The name that controllers see; may be empty.
    pub fn table_name(&self, table: u8) -> &str {
        self.state(table).map_or("", TableState::name)
    }

    /// The size of a table that controllers are told.
    pub fn max_entries(&self, table: u8) -> u32 {
        self.state(table).and_then(TableState::flow_limit).map_or(MAX_FLOWS, |l| l.min(MAX_FLOWS))
    }

    /// What becomes of packets that no rule of `table` matches; dropped if there is no such table.
    pub fn miss(&self, table: u8) -> TableMiss {
        self.tables.get(usize::from(table)).map_or(TableMiss::Drop, |t| t.miss)
    }

    /// Whether a controller can give a table this name: not another than its row gives.
    pub fn may_name(&self, table: u8, name: &str) -> bool {
        self.state(table).is_some_and(|s| s.may_name(name))
    }

    /// A controller names a table.
    pub fn set_name(&mut self, table: u8, name: &str) {
        if let Some(s) = self.states.get_mut(usize::from(table)) {
            s.set_name(name);
        }
    }

    /// Takes over what a row says of a table; the default where there is no row. Flows beyond
    /// a new limit are evicted if they may be.
    pub fn configure_table(&mut self, table: u8, c: &TableSettings) -> RuleChanges {
        let i = usize::from(table);
        let Some(s) = self.states.get_mut(i) else { return RuleChanges::default() };
        s.configure_name(c.name.as_deref());
        if table == INTERNAL_TABLE {
            return RuleChanges::default();
        }
        if s.configure(c) {
            self.set_tries(i, &c.prefixes);
        }
        let mut evicted = Vec::new();
        let over =
            self.count(table).saturating_sub(c.flow_limit.map_or(usize::MAX, |l| l as usize));
        for _ in 0..over {
            let Some(rule) = self.choose_to_evict(table, &evicted) else { break };
            evicted.push(rule);
        }
        self.delete(evicted, FlowRemovedReason::Eviction)
    }

    /// Carries out a controller's command (OpenFlow 1.1 clause A.3.4.3, 1.4 clause 7.3.4.1).
    ///
    /// # Errors
    ///
    /// `TmfcBadConfig` for other eviction flags than this switch has, `TmfcEperm` for its own table.
    pub fn table_mod(&mut self, m: &TableMod, version: Version) -> Result<(), OfError> {
        if m.eviction.is_some_and(|flags| flags != EVICTION_FLAGS) {
            return Err(OfError::TmfcBadConfig);
        }
        let tables = match m.table_id {
            255 => 0..INTERNAL_TABLE,
            INTERNAL_TABLE => return Err(OfError::TmfcEperm),
            t => t..t + 1,
        };
        for table in tables {
            self.change_table(table, m, version);
        }
        Ok(())
    }

    fn change_table(&mut self, table: u8, m: &TableMod, version: Version) {
        let flows = self.count(table);
        let i = usize::from(table);
        match version {
            Version::V11 | Version::V12 => {
                let miss = match m.config & 3 {
                    1 => TableMiss::Continue,
                    2 => TableMiss::Drop,
                    _ => TableMiss::Controller,
                };
                self.set_miss(i, miss);
            }
            Version::V10 | Version::V13 => {}
            Version::V14 | Version::V15 => {
                self.states[i].table_mod(m, flows);
            }
        }
    }

    /// The description that OpenFlow 1.4 and later have of a table; nothing if there is none.
    pub fn table_desc(&self, table: u8) -> Option<TableDesc> {
        Some(self.state(table)?.desc(table, self.count(table)))
    }

    /// The notice to send after the number of flows in a table changed, if one is due.
    pub(super) fn vacancy_status(&mut self, table: u8) -> Option<TableStatus> {
        let flows = self.count(table);
        self.states.get_mut(usize::from(table))?.vacancy_status(table, flows)
    }

    /// Whether one more flow would be too many.
    pub(super) fn is_full(&self, table: u8) -> bool {
        let limit = self.state(table).and_then(TableState::flow_limit);
        limit.is_some_and(|l| self.count(table) >= l as usize)
    }

    /// The flow to evict from a full table: of the largest group the least important one, and of
    /// those the one that would go soonest by itself. Flows without time-out stay. `but`: flows
    /// that are chosen already.
    pub(super) fn choose_to_evict(&self, table: u8, but: &[Arc<Rule>]) -> Option<Arc<Rule>> {
        let s = self.state(table)?;
        if !s.evicts() {
            return None;
        }
        let mut groups: BTreeMap<Vec<Option<u128>>, Vec<&Arc<Rule>>> = BTreeMap::new();
        for rule in self.expirable.values().filter(|r| r.table == table) {
            if rule.expires().is_some() && !but.iter().any(|b| b.order == rule.order) {
                groups.entry(s.group(rule)).or_default().push(rule);
            }
        }
        // Of groups of one size the one with the oldest flow.
        let size = |rules: &Vec<&Arc<Rule>>| {
            (rules.len(), std::cmp::Reverse(rules.iter().map(|r| r.order).min()))
        };
        let largest = groups.into_values().max_by_key(size)?;
        let soonest = |r: &&Arc<Rule>| (r.importance, r.expires(), r.order);
        largest.into_iter().min_by_key(soonest).cloned()
    }
}
