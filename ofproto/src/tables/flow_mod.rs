//! Commands that change flows (OpenFlow 1.0 clause 4.6, 1.5 clause 6.4).

use std::sync::Arc;

use openflow::msg::{FlowFlags, FlowMod, FlowModCommand, FlowRemovedReason, GROUP_ANY};
use openflow::{Action, Match, OfError, OfPort};
use wire::Time;

use super::INTERNAL_TABLE;
use super::changes::{Requester, RuleChanges, RuleEvent};
use super::control::FlowTables;
use super::packed::{PackedFlow, PackedMask};
use super::rule::{Rule, RuleStats};

/// Which rules a request means.
pub(super) struct Criteria<'a> {
    pub(super) table: u8,
    pub(super) matching: &'a Match,
    /// Only the rule with just this match and priority.
    pub(super) strict: Option<i32>,
    pub(super) cookie: u64,
    pub(super) cookie_mask: u64,
    pub(super) out_port: OfPort,
    pub(super) out_group: u32,
}

impl Criteria<'_> {
    /// All but the match.
    fn admits(&self, r: &Rule) -> bool {
        !r.hidden
            && (r.cookie ^ self.cookie) & self.cookie_mask == 0
            && (self.out_port == OfPort::ANY || outputs_to(&r.actions, self.out_port))
            && (self.out_group == GROUP_ANY || uses_group(&r.actions, self.out_group))
    }
}

/// Whether actions send to just this port; flooding does not count.
pub(super) fn outputs_to(actions: &[Action], to: OfPort) -> bool {
    actions.iter().any(|a| match a {
        Action::Output { port, .. }
        | Action::OutputTrunc { port, .. }
        | Action::Enqueue { port, .. } => *port == to,
        Action::Controller(_) => to == OfPort::CONTROLLER,
        Action::WriteActions(inner) | Action::Clone(inner) => outputs_to(inner, to),
        _ => false,
    })
}

/// Whether actions send to this group.
pub(super) fn uses_group(actions: &[Action], group: u32) -> bool {
    actions.iter().any(|a| match a {
        Action::Group(g) => *g == group,
        Action::WriteActions(inner) | Action::Clone(inner) => uses_group(inner, group),
        _ => false,
    })
}

/// What actions name beyond ports must exist; there are no groups and meters.
fn check_exists(actions: &[Action]) -> Result<(), OfError> {
    actions.iter().try_for_each(|a| match a {
        Action::Group(_) => Err(OfError::BacBadOutGroup),
        Action::Meter(_) => Err(OfError::MmfcInvalidMeter),
        Action::WriteActions(inner) | Action::Clone(inner) => check_exists(inner),
        _ => Ok(()),
    })
}

impl FlowTables {
    /// Carries out a command. On an error nothing has changed.
    ///
    /// # Errors
    ///
    /// OpenFlow's error for a command that cannot be carried out; the tables are unchanged then.
    pub fn flow_mod(
        &mut self,
        now: Time,
        fm: &FlowMod,
        who: &Requester,
    ) -> Result<RuleChanges, OfError> {
        let command = fm.command;
        FlowTables::check_table(fm.table_id)?;
        if !command.is_delete() {
            if fm.table_id == INTERNAL_TABLE {
                return Err(OfError::BrcEperm);
            }
            if fm.buffer_id.is_some() {
                return Err(OfError::BrcBufferUnknown);
            }
        }
        let mut changes = match command {
            FlowModCommand::Add => self.add(now, fm)?,
            FlowModCommand::Modify | FlowModCommand::ModifyStrict => self.modify(now, fm)?,
            FlowModCommand::Delete | FlowModCommand::DeleteStrict => {
                let rules = self.chosen(fm)?;
                self.delete(rules, FlowRemovedReason::Delete)
            }
        };
        changes.by = who.conn;
        Ok(changes)
    }

    /// The rules to change or delete.
    fn chosen(&self, fm: &FlowMod) -> Result<Vec<Arc<Rule>>, OfError> {
        let delete = fm.command.is_delete();
        let found = self.collect(&Criteria {
            table: fm.table_id,
            matching: &fm.matching,
            strict: fm.command.is_strict().then_some(fm.priority.into()),
            cookie: fm.cookie,
            cookie_mask: fm.cookie_mask,
            out_port: if delete { fm.out_port } else { OfPort::ANY },
            out_group: if delete { fm.out_group } else { GROUP_ANY },
        })?;
        let (own, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|r| r.table == INTERNAL_TABLE);
        if others.is_empty() && !own.is_empty() {
            return Err(OfError::BrcEperm);
        }
        Ok(others.into_iter().cloned().collect())
    }

    /// The rules that a request means, in the order in which they are shown.
    pub(super) fn collect(&self, c: &Criteria<'_>) -> Result<Vec<&Arc<Rule>>, OfError> {
        FlowTables::check_table(c.table)?;
        let tables = match c.table {
            255 => 0..usize::from(INTERNAL_TABLE),
            t => usize::from(t)..usize::from(t) + 1,
        };
        let mask = PackedMask::of(&c.matching.mask);
        let value = PackedFlow::of(&c.matching.value);
        let values = mask.values(&value);
        let mut found = Vec::new();
        for (i, table) in self.tables.iter().enumerate().take(tables.end).skip(tables.start) {
            match c.strict {
                Some(priority) => found.extend(table.rules.find(&mask, &values, priority)),
                None => found.extend(self.rules_within(i as u8, &mask, &values)),
            }
        }
        found.retain(|r| c.admits(r));
        Ok(found)
    }

    /// A rule as a command describes it.
    fn make(&mut self, now: Time, fm: &FlowMod, table: u8) -> Rule {
        let (mask, values) = self.place(table, &fm.matching);
        self.order += 1;
        Rule {
            mask,
            values,
            priority: fm.priority.into(),
            table,
            cookie: fm.new_cookie,
            actions: fm.actions.clone().into(),
            idle: fm.idle_timeout,
            hard: fm.hard_timeout,
            importance: fm.importance,
            flags: fm.flags,
            created: now,
            modified: now,
            hidden: false,
            stats: Arc::new(RuleStats::new(now)),
            order: self.order,
            added_at: self.order,
            changed_at: self.order,
        }
    }

    fn add(&mut self, now: Time, fm: &FlowMod) -> Result<RuleChanges, OfError> {
        check_exists(&fm.actions)?;
        let table = if fm.table_id == 255 { 0 } else { fm.table_id };
        let new = self.make(now, fm, table);
        let rules = &self.tables[usize::from(table)].rules;
        let old = rules.find(&new.mask, &new.values, new.priority).cloned();
        match old {
            Some(old) => {
                let event = self.replace(fm, new, &old, true);
                Ok(RuleChanges { events: event.into_iter().collect(), ..RuleChanges::default() })
            }
            None => {
                if fm.flags.has(FlowFlags::CHECK_OVERLAP) && rules.overlaps(&new) {
                    return Err(OfError::FmfcOverlap);
                }
                let mut changes = RuleChanges::default();
                if self.is_full(table) {
                    let rule = self.choose_to_evict(table, &[]).ok_or(OfError::FmfcTableFull)?;
                    self.take(&rule);
                    let reason = FlowRemovedReason::Eviction;
                    changes.events.push(RuleEvent::Removed { rule, reason });
                }
                let rule = Arc::new(new);
                self.put(rule.clone());
                changes.events.push(RuleEvent::Added { rule, old_actions: None });
                changes.status.extend(self.vacancy_status(table));
                Ok(changes)
            }
        }
    }

    fn modify(&mut self, now: Time, fm: &FlowMod) -> Result<RuleChanges, OfError> {
        let old = self.chosen(fm)?;
        if old.is_empty() {
            let may_add = fm.new_cookie != u64::MAX && fm.cookie_mask == 0;
            return if may_add { self.add(now, fm) } else { Ok(RuleChanges::default()) };
        }
        check_exists(&fm.actions)?;
        let mut changes = RuleChanges::default();
        for old in old {
            let mut new = self.make(now, fm, old.table);
            new.mask = old.mask.clone();
            new.values = old.values.clone();
            new.priority = old.priority;
            changes.events.extend(self.replace(fm, new, &old, fm.modify_cookie));
        }
        Ok(changes)
    }

    /// Puts `new` in the place of `old`, with what a command leaves as it was.
    fn replace(
        &mut self,
        fm: &FlowMod,
        mut new: Rule,
        old: &Arc<Rule>,
        new_cookie: bool,
    ) -> Option<RuleEvent> {
        let add = fm.command == FlowModCommand::Add;
        if !add {
            new.idle = old.idle_timeout();
            new.hard = old.hard_timeout();
            new.importance = old.importance;
            new.flags = old.flags;
            new.created = old.created;
        }
        if !new_cookie || new.cookie == u64::MAX {
            new.cookie = old.cookie;
        }
        new.stats = if fm.flags.has(FlowFlags::RESET_COUNTS) {
            // Packets start from zero, but not the time since the last one.
            Arc::new(RuleStats::new(old.stats.used()))
        } else {
            old.stats.clone()
        };
        new.stats.restore_timeouts();
        let old_actions = (new.actions != old.actions).then(|| old.actions.clone());
        let told = add || old_actions.is_some() || new.cookie != old.cookie;
        if !add {
            new.added_at = old.added_at;
        }
        if !told {
            new.changed_at = old.changed_at;
        }
        let rule = Arc::new(new);
        self.put(rule.clone());
        told.then_some(if add {
            RuleEvent::Added { rule, old_actions }
        } else {
            RuleEvent::Modified { rule, old_actions }
        })
    }
}

impl Rule {
    /// Whether it matches no packet that `mask` and `values` do not match.
    pub(super) fn is_within(&self, mask: &PackedMask, values: &[u64]) -> bool {
        let mut own = self.mask.iter().zip(self.values.iter()).peekable();
        mask.iter().zip(values).all(|((at, bits), value)| {
            while own.next_if(|((a, _), _)| *a < at).is_some() {}
            own.next_if(|((a, _), _)| *a == at)
                .is_some_and(|((_, b), v)| b & bits == bits && v & bits == *value)
        })
    }

    /// Whether there can be a packet that both match.
    pub(super) fn overlaps(&self, other: &Rule) -> bool {
        let mut own = self.mask.iter().zip(self.values.iter()).peekable();
        other.mask.iter().zip(other.values.iter()).all(|((at, bits), value)| {
            while own.next_if(|((a, _), _)| *a < at).is_some() {}
            own.next_if(|((a, _), _)| *a == at)
                .is_none_or(|((_, b), v)| (v ^ value) & b & bits == 0)
        })
    }
}
