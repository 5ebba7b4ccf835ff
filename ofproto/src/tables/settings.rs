//! How each table is configured: by rows of `Flow_Table`, and by controllers' table_mod.

use std::collections::BTreeMap;
use std::sync::Arc;

use openflow::msg::{FlowRemovedReason, TableDesc, TableMod, TableStatus, Vacancy, table_config};
use openflow::{Field, OfError, Subfield, Version};

use super::classifier::DEFAULT_TRIES;
use super::control::{FlowTables, RuleChanges};
use super::rule::Rule;
use super::{INTERNAL_TABLE, TableMiss};

/// Flows that a table takes unless its row says less; what controllers are told.
pub const MAX_FLOWS: u32 = 1_000_000;

/// How a table evicts (OpenFlow 1.4 clause 7.3.4.1): for reasons of its own, by importance and by
/// what is left of the time-out.
const EVICTION_FLAGS: u32 = 7;

/// What a row of `Flow_Table` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// Shown to controllers, who can set one where there is none.
    pub name: Option<String>,
    /// `flow_limit`: a full table takes no more flows, or evicts some.
    pub flow_limit: Option<u32>,
    /// `overflow_policy=evict`.
    pub evict: bool,
    /// `groups`: flows that differ in these belong to different groups, the largest of which
    /// loses one. Only with `evict`.
    pub groups: Vec<Subfield>,
    /// `prefixes`: addresses whose prefixes are looked up; at most four.
    pub prefixes: Vec<Field>,
}

impl Default for TableSettings {
    fn default() -> TableSettings {
        TableSettings {
            name: None,
            flow_limit: None,
            evict: false,
            groups: Vec::new(),
            prefixes: DEFAULT_TRIES.to_vec(),
        }
    }
}

/// Who gave a table its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum NamedBy {
    #[default]
    Nobody,
    Controller,
    Row,
}

/// What the control side keeps of each table.
#[derive(Clone, Debug)]
pub(super) struct TableState {
    name: String,
    named_by: NamedBy,
    pub(super) flow_limit: Option<u32>,
    evict_by_row: bool,
    evict_by_controller: bool,
    groups: Vec<Subfield>,
    prefixes: Vec<Field>,
    vacancy: Vacancy,
    /// Which change of the vacancy is told next: that it went down or up.
    vacancy_event: Option<VacancyEvent>,
    /// Rules that controllers do not see.
    pub(super) hidden: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VacancyEvent {
    Down,
    Up,
}

impl VacancyEvent {
    /// The event that is told after this one.
    fn other(self) -> VacancyEvent {
        match self {
            VacancyEvent::Down => VacancyEvent::Up,
            VacancyEvent::Up => VacancyEvent::Down,
        }
    }

    /// `OFPTR_VACANCY_DOWN` and `OFPTR_VACANCY_UP`.
    fn reason(self) -> u8 {
        match self {
            VacancyEvent::Down => 3,
            VacancyEvent::Up => 4,
        }
    }
}

impl Default for TableState {
    fn default() -> TableState {
        TableState {
            name: String::new(),
            named_by: NamedBy::Nobody,
            flow_limit: None,
            evict_by_row: false,
            evict_by_controller: false,
            groups: Vec::new(),
            prefixes: DEFAULT_TRIES.to_vec(),
            vacancy: Vacancy::default(),
            vacancy_event: None,
            hidden: 0,
        }
    }
}

impl TableState {
    /// What percentage of the table is free; all of it where there is no limit.
    fn vacant(&self, flows: usize) -> u8 {
        match self.flow_limit {
            None | Some(0) => 100,
            Some(limit) => {
                let left = u64::from(limit).saturating_sub(flows as u64);
                (left * 100 / u64::from(limit)) as u8
            }
        }
    }
}

impl FlowTables {
    fn state(&self, table: u8) -> Option<&TableState> {
        self.states.get(usize::from(table))
    }

    /// The name that controllers see; may be empty.
    pub fn table_name(&self, table: u8) -> &str {
        self.state(table).map_or("", |s| &s.name)
    }

    /// How many flows controllers are told that a table takes.
    pub fn max_entries(&self, table: u8) -> u32 {
        self.state(table).and_then(|s| s.flow_limit).map_or(MAX_FLOWS, |l| l.min(MAX_FLOWS))
    }

    pub fn miss(&self, table: u8) -> TableMiss {
        self.tables.get(usize::from(table)).map_or(TableMiss::Drop, |t| t.miss)
    }

    /// Whether a controller can give a table this name: not another than its row gives.
    pub fn may_name(&self, table: u8, name: &str) -> bool {
        let name = cut(name);
        self.state(table)
            .is_some_and(|s| s.named_by < NamedBy::Row || s.name.is_empty() || s.name == name)
    }

    /// A controller names a table.
    pub fn set_name(&mut self, table: u8, name: &str) {
        let Some(s) = self.states.get_mut(usize::from(table)) else { return };
        if s.named_by <= NamedBy::Controller {
            s.name = cut(name).to_owned();
            s.named_by = NamedBy::Controller;
        }
    }

    /// Takes over what a row says of a table; the default where there is no row. Flows beyond
    /// a new limit are evicted if they may be.
    pub fn configure_table(&mut self, table: u8, c: &TableSettings) -> RuleChanges {
        let i = usize::from(table);
        let Some(s) = self.states.get_mut(i) else { return RuleChanges::default() };
        match &c.name {
            Some(name) => {
                s.name = cut(name).to_owned();
                s.named_by = NamedBy::Row;
            }
            None if s.named_by == NamedBy::Row => {
                s.name.clear();
                s.named_by = NamedBy::Nobody;
            }
            None => {}
        }
        if table == INTERNAL_TABLE {
            return RuleChanges::default();
        }
        s.flow_limit = c.flow_limit;
        s.evict_by_row = c.evict;
        s.groups.clone_from(&c.groups);
        if s.prefixes != c.prefixes {
            s.prefixes.clone_from(&c.prefixes);
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
                let s = &mut self.states[i];
                s.evict_by_controller = m.config & table_config::EVICTION != 0;
                if let Some(v) = m.vacancy {
                    s.vacancy = Vacancy { now: 0, ..v };
                }
                if m.config & table_config::VACANCY_EVENTS == 0 {
                    s.vacancy_event = None;
                } else if s.vacancy_event.is_none() {
                    let filled = s.vacant(flows) < s.vacancy.up;
                    s.vacancy_event =
                        Some(if filled { VacancyEvent::Up } else { VacancyEvent::Down });
                }
            }
        }
    }

    /// What 1.4 and later tell of a table; nothing if there is none.
    pub fn table_desc(&self, table: u8) -> Option<TableDesc> {
        let s = self.state(table)?;
        let evict = if s.evict_by_controller { table_config::EVICTION } else { 0 };
        let vacancy = if s.vacancy_event.is_some() { table_config::VACANCY_EVENTS } else { 0 };
        Some(TableDesc {
            table_id: table,
            config: evict | vacancy,
            eviction: Some(EVICTION_FLAGS),
            vacancy: Some(Vacancy { now: s.vacant(self.count(table)), ..s.vacancy }),
        })
    }

    /// What to tell after the number of flows in a table changed.
    pub(super) fn vacancy_status(&mut self, table: u8) -> Option<TableStatus> {
        let flows = self.count(table);
        let s = self.states.get_mut(usize::from(table))?;
        let awaited = s.vacancy_event?;
        let now = s.vacant(flows);
        let due = match awaited {
            VacancyEvent::Down => now < s.vacancy.down,
            VacancyEvent::Up => now > s.vacancy.up,
        };
        if !due {
            return None;
        }
        let desc = self.table_desc(table)?;
        self.states[usize::from(table)].vacancy_event = Some(awaited.other());
        Some(TableStatus { reason: awaited.reason(), desc })
    }

    /// Whether one more flow would be too many.
    pub(super) fn is_full(&self, table: u8) -> bool {
        let limit = self.state(table).and_then(|s| s.flow_limit);
        limit.is_some_and(|l| self.count(table) >= l as usize)
    }

    /// The flow to evict from a full table: of the largest group the least important one, and of
    /// those the one that would go soonest by itself. Flows without time-out stay. `but`: flows
    /// that are chosen already.
    pub(super) fn choose_to_evict(&self, table: u8, but: &[Arc<Rule>]) -> Option<Arc<Rule>> {
        let s = self.state(table)?;
        if !s.evict_by_row && !s.evict_by_controller {
            return None;
        }
        let mut groups: BTreeMap<Vec<Option<u128>>, Vec<&Arc<Rule>>> = BTreeMap::new();
        for rule in self.expirable.values().filter(|r| r.table == table) {
            if rule.expires().is_some() && !but.iter().any(|b| b.order == rule.order) {
                groups.entry(group(rule, &s.groups)).or_default().push(rule);
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

/// Names are told in 32 octets, the last of which is 0.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(31);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The values that put a rule into its group; nothing for a field that it cannot have.
fn group(rule: &Rule, fields: &[Subfield]) -> Vec<Option<u128>> {
    if fields.is_empty() {
        return Vec::new();
    }
    let value = rule.matching().value;
    let of = |s: &Subfield| s.field.prereq_ok(&value).then(|| s.get(&value));
    fields.iter().map(of).collect()
}
