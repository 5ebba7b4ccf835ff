//! Updates for flow monitors: which changes concern a monitor, and what stood or changed in the
//! tables when it starts or goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use openflow::OfPort;
use openflow::msg::{FlowMonitorRequest, FlowUpdate, FlowUpdateEvent, GROUP_ANY, monitor_flags};

use super::INTERNAL_TABLE;
use super::changes::RuleEvent;
use super::control::FlowTables;
use super::flow_mod::{outputs_to, uses_group};
use super::packed::{PackedFlow, PackedMask};
use super::rule::Rule;

impl RuleEvent {
    /// Whether a monitor wants to know.
    pub fn wanted(&self, by: &FlowMonitorRequest) -> bool {
        let (flag, rule, old_actions) = match self {
            RuleEvent::Added { rule, old_actions } => {
                (monitor_flags::ADD, rule, old_actions.as_ref())
            }
            RuleEvent::Modified { rule, old_actions } => {
                (monitor_flags::MODIFY, rule, old_actions.as_ref())
            }
            RuleEvent::Removed { rule, .. } => (monitor_flags::DELETE, rule, None),
        };
        let mask = PackedMask::of(&by.matching.mask);
        let values = mask.values(&PackedFlow::of(&by.matching.value));
        !rule.hidden
            && by.flags & flag != 0
            && (by.table_id == 255 || by.table_id == rule.table)
            && (sends_to(rule, by) || old_actions.is_some_and(|a| outputs_to(a, by.out_port)))
            && in_group(rule, by)
            && rule.is_within(&mask, &values)
    }

    /// The update for the change, with or without the rule's actions.
    pub fn update(&self, with_actions: bool) -> FlowUpdate {
        let event = match self {
            RuleEvent::Added { .. } => FlowUpdateEvent::Added,
            RuleEvent::Modified { .. } => FlowUpdateEvent::Modified,
            RuleEvent::Removed { reason, .. } => FlowUpdateEvent::Deleted(*reason),
        };
        self.rule().update(event, with_actions)
    }
}

fn sends_to(rule: &Rule, by: &FlowMonitorRequest) -> bool {
    by.out_port == OfPort::ANY || outputs_to(&rule.actions, by.out_port)
}

fn in_group(rule: &Rule, by: &FlowMonitorRequest) -> bool {
    by.out_group == GROUP_ANY || uses_group(&rule.actions, by.out_group)
}

impl Rule {
    fn update(&self, event: FlowUpdateEvent, with_actions: bool) -> FlowUpdate {
        FlowUpdate::Full {
            event,
            table_id: self.table,
            priority: self.priority as u16,
            idle_timeout: self.idle_timeout(),
            hard_timeout: self.hard_timeout(),
            cookie: self.cookie,
            matching: self.matching(),
            actions: if with_actions { self.actions.to_vec() } else { Vec::new() },
        }
    }

    /// The update for a monitor that was paused at the sequence number `since`, if one is due.
    fn changed_since(&self, since: u64, by: &FlowMonitorRequest) -> Option<FlowUpdateEvent> {
        let (event, flags) = if self.added_at > since {
            (FlowUpdateEvent::Added, monitor_flags::ADD | monitor_flags::MODIFY)
        } else if self.changed_at > since {
            (FlowUpdateEvent::Modified, monitor_flags::MODIFY)
        } else {
            return None;
        };
        (by.flags & flags != 0).then_some(event)
    }
}

impl FlowTables {
    /// Where the tables stand: greater after every change. For [`FlowTables::monitored`].
    pub fn sequence(&self) -> u64 {
        self.order
    }

    /// The rules that monitors look at, each once: for monitors that start those that there are,
    /// for monitors that heard nothing after [`FlowTables::sequence`] was `since` those that came
    /// or changed.
    pub fn monitored(&self, by: &[FlowMonitorRequest], since: Option<u64>) -> Vec<FlowUpdate> {
        let mut found: Vec<(&Arc<Rule>, FlowUpdateEvent, bool)> = Vec::new();
        let mut places: BTreeMap<u64, usize> = BTreeMap::new();
        for m in by {
            if since.is_none() && m.flags & monitor_flags::INITIAL == 0 {
                continue;
            }
            let mask = PackedMask::of(&m.matching.mask);
            let values = mask.values(&PackedFlow::of(&m.matching.value));
            let tables = match m.table_id {
                255 => 0..INTERNAL_TABLE,
                t => t..t + 1,
            };
            let rules = tables.flat_map(|t| self.rules_within(t, &mask, &values));
            for rule in rules.filter(|r| !r.hidden && sends_to(r, m) && in_group(r, m)) {
                let event = match since {
                    None => Some(FlowUpdateEvent::Initial),
                    Some(since) => rule.changed_since(since, m),
                };
                let Some(event) = event else { continue };
                let actions = m.flags & monitor_flags::ACTIONS != 0;
                let at = *places.entry(rule.order).or_insert(found.len());
                match found.get_mut(at) {
                    Some((_, _, with)) => *with |= actions,
                    None => found.push((rule, event, actions)),
                }
            }
        }
        found.into_iter().map(|(rule, event, actions)| rule.update(event, actions)).collect()
    }
}
