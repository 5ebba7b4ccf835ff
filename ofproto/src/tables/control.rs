//! The control side of a bridge's flow tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openflow::msg::{FlowFlags, FlowRemovedReason};
use openflow::{Field, Match, OfError};
use wire::Time;

use super::changes::{InternalFlow, RuleChanges, RuleEvent};
use super::packed::{PackedFlow, PackedMask};
use super::rule::{Rule, RuleStats};
use super::snapshot::{FlowTable, INTERNAL_TABLE, N_TABLES, TableMiss, TablesSnapshot};
use super::state::TableState;

/// The flow tables of one bridge, to change. A copy shares the rules.
#[derive(Clone, Debug)]
pub struct FlowTables {
    pub(super) tables: Vec<FlowTable>,
    pub(super) states: Vec<TableState>,
    /// Counts rules that came into the tables.
    pub(super) order: u64,
    generation: u64,
    changed: bool,
    /// Rules that have a time-out or can get one, oldest first.
    pub(super) expirable: BTreeMap<u64, Arc<Rule>>,
}

impl Default for FlowTables {
    fn default() -> FlowTables {
        FlowTables::new()
    }
}

impl FlowTables {
    /// Tables without rules.
    pub fn new() -> FlowTables {
        FlowTables {
            tables: (0..N_TABLES).map(|_| FlowTable::default()).collect(),
            states: vec![TableState::default(); N_TABLES.into()],
            order: 0,
            generation: 0,
            changed: false,
            expirable: BTreeMap::new(),
        }
    }

    /// Puts back what the tables were, as a copy kept it. What was published meanwhile counts as
    /// changed.
    pub fn restore(&mut self, before: FlowTables) {
        let (generation, order) = (self.generation, self.order);
        *self = FlowTables { generation, order, changed: true, ..before };
    }

    /// The number of rules in `table`.
    pub fn count(&self, table: u8) -> usize {
        self.tables.get(usize::from(table)).map_or(0, |t| t.rules.len())
    }

    /// The snapshot to look packets up in, if anything changed since the last one.
    pub fn publish(&mut self) -> Option<Arc<TablesSnapshot>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.generation += 1;
        for table in self.tables.iter_mut().filter(|t| t.rules.is_unsettled()) {
            Arc::make_mut(&mut table.rules).settle();
        }
        Some(Arc::new(self.snapshot()))
    }

    pub(crate) fn snapshot(&self) -> TablesSnapshot {
        TablesSnapshot { generation: self.generation, tables: self.tables.clone().into() }
    }

    /// Adds a rule of the switch's own; one with the same match and priority gives way to it.
    pub fn add_internal(&mut self, now: Time, flow: InternalFlow) -> RuleChanges {
        let (rule, old) = self.put_internal(now, flow);
        let old_actions = old.filter(|o| o.actions != rule.actions).map(|o| o.actions.clone());
        RuleChanges::one(RuleEvent::Added { rule, old_actions })
    }

    /// As [`FlowTables::add_internal`]; the rule.
    pub(super) fn add_internal_rule(&mut self, now: Time, flow: InternalFlow) -> Arc<Rule> {
        self.put_internal(now, flow).0
    }

    fn put_internal(&mut self, now: Time, flow: InternalFlow) -> (Arc<Rule>, Option<Arc<Rule>>) {
        let i = usize::from(flow.table.min(INTERNAL_TABLE));
        let (mask, values) = self.place(flow.table, &flow.matching);
        self.order += 1;
        let old = self.tables[i].rules.find(&mask, &values, flow.priority).cloned();
        let rule = Arc::new(Rule {
            mask,
            values,
            priority: flow.priority,
            table: i as u8,
            cookie: 0,
            actions: flow.actions.into(),
            idle: 0,
            hard: 0,
            importance: 0,
            flags: FlowFlags::default(),
            created: now,
            modified: now,
            hidden: flow.hidden,
            stats: Arc::new(RuleStats::new(now)),
            order: self.order,
            added_at: self.order,
            changed_at: self.order,
        });
        self.put(rule.clone());
        (rule, old)
    }

    /// Takes out a rule of the switch's own.
    pub fn remove_internal(&mut self, table: u8, matching: &Match, priority: i32) -> RuleChanges {
        let (mask, values) = self.place(table, matching);
        let table = &self.tables[usize::from(table.min(INTERNAL_TABLE))];
        let found = table.rules.find(&mask, &values, priority).cloned();
        self.delete(found.into_iter().collect(), FlowRemovedReason::Delete)
    }

    /// Takes out every rule but those of the switch's own table.
    pub fn clear(&mut self) -> RuleChanges {
        let of = |t: &FlowTable| t.rules.rules().into_iter().cloned().collect::<Vec<_>>();
        let all = self.tables[..usize::from(INTERNAL_TABLE)].iter().flat_map(of).collect();
        self.delete(all, FlowRemovedReason::Delete)
    }

    /// Where a rule with this match stands in `table`.
    pub(super) fn place(&self, table: u8, m: &Match) -> (Arc<PackedMask>, Box<[u64]>) {
        let mask = PackedMask::of(&m.mask);
        let mask = self.tables[usize::from(table.min(INTERNAL_TABLE))].rules.shared_mask(mask);
        let values = mask.values(&PackedFlow::of(&m.value));
        (mask, values)
    }

    /// Puts a rule in, in the place of one with the same match and priority.
    pub(super) fn put(&mut self, rule: Arc<Rule>) {
        self.changed = true;
        if rule.idle != 0 || rule.hard != 0 || rule.may_shorten() {
            self.expirable.insert(rule.order, rule.clone());
        }
        let i = usize::from(rule.table);
        self.states[i].hidden += usize::from(rule.hidden);
        if let Some(old) = Arc::make_mut(&mut self.tables[i].rules).insert(rule) {
            self.expirable.remove(&old.order);
            self.states[i].hidden -= usize::from(old.hidden);
        }
    }

    /// Takes a rule out; nothing is reported.
    pub(super) fn take(&mut self, rule: &Rule) {
        self.changed = true;
        self.expirable.remove(&rule.order);
        let i = usize::from(rule.table);
        if Arc::make_mut(&mut self.tables[i].rules).remove(rule).is_some() {
            self.states[i].hidden -= usize::from(rule.hidden);
        }
    }

    /// Takes rules out.
    pub(super) fn delete(
        &mut self,
        rules: Vec<Arc<Rule>>,
        reason: FlowRemovedReason,
    ) -> RuleChanges {
        let mut gone = [0; N_TABLES as usize];
        rules.iter().for_each(|rule| gone[usize::from(rule.table)] += 1);
        // A table that loses all its rules is emptied at once, which takes less time.
        let emptied = |i: usize, t: &FlowTable| gone[i] > 0 && gone[i] == t.rules.len();
        let emptied: Vec<bool> =
            self.tables.iter().enumerate().map(|(i, t)| emptied(i, t)).collect();
        for i in (0..emptied.len()).filter(|i| emptied[*i]) {
            self.changed = true;
            self.tables[i].rules = Arc::new(self.tables[i].rules.emptied());
            self.states[i].hidden = 0;
        }
        for rule in &rules {
            if emptied[usize::from(rule.table)] {
                self.expirable.remove(&rule.order);
            } else {
                self.take(rule);
            }
        }
        let mut changes = RuleChanges::default();
        for rule in rules {
            changes.status.extend(self.vacancy_status(rule.table));
            changes.events.push(RuleEvent::Removed { rule, reason });
        }
        changes
    }

    /// The rules of `table` that match no packet that `mask` and `values` do not match.
    pub(super) fn rules_within(
        &self,
        table: u8,
        mask: &PackedMask,
        values: &[u64],
    ) -> Vec<&Arc<Rule>> {
        let table = self.tables.get(usize::from(table));
        table.map_or_else(Vec::new, |t| t.rules.rules_within(mask, values))
    }

    /// Looks up prefixes of these fields in a table.
    pub(super) fn set_tries(&mut self, table: usize, fields: &[Field]) {
        Arc::make_mut(&mut self.tables[table].rules).set_tries(fields);
        self.changed = true;
    }

    pub(super) fn set_miss(&mut self, table: usize, miss: TableMiss) {
        let t = &mut self.tables[table];
        self.changed |= t.miss != miss;
        t.miss = miss;
    }

    /// Takes out the rules whose time-out has passed. Also returns when to call it again; `None` if no
    /// rule has a time-out.
    pub fn expire(&mut self, now: Time) -> (RuleChanges, Option<Time>) {
        let mut next: Option<Time> = None;
        let (mut hard, mut idle) = (Vec::new(), Vec::new());
        for rule in self.expirable.values() {
            let over = |end: Option<Time>| end.is_some_and(|t| now > t);
            if over(rule.hard_end()) {
                hard.push(rule.clone());
            } else if over(rule.idle_end()) {
                idle.push(rule.clone());
            } else {
                // A rule goes when its time lies behind, so look one step later.
                let look = rule.expires().map(|t| t + Duration::from_millis(1));
                // Packets can shorten the time of some at any moment.
                let soon = rule.may_shorten().then(|| now + Duration::from_secs(1));
                next = [next, look, soon].into_iter().flatten().min();
            }
        }
        let mut changes = self.delete(hard, FlowRemovedReason::HardTimeout);
        changes.extend(self.delete(idle, FlowRemovedReason::IdleTimeout));
        (changes, next)
    }

    /// Whether a table of this number can be asked for.
    pub(super) fn check_table(table: u8) -> Result<(), OfError> {
        // 255 stands for all, and every number below it is a table.
        if table == 255 || table < N_TABLES { Ok(()) } else { Err(OfError::BrcBadTableId) }
    }
}
