//! Conjunctive matches: rules that are each one part of a flow's match.
//!
//! A packet that meets a rule of each clause of a conjunction goes on as if the conjunction's
//! number were its `conj_id` (ovs-actions(7), "The conjunction action").

use std::collections::BTreeMap;
use std::sync::Arc;

use openflow::Action;

use crate::tables::rule::Rule;

/// The parts of conjunctions that one rule stands for.
#[derive(Debug)]
pub(super) struct Clauses {
    list: Vec<Clause>,
    /// The fewest clauses that one of the conjunctions has.
    fewest: usize,
}

#[derive(Debug)]
struct Clause {
    id: u32,
    clause: u8,
    of: u8,
}

impl Clauses {
    /// Nothing for a rule with other actions.
    pub(super) fn of(rule: &Rule) -> Option<Arc<Clauses>> {
        let list: Vec<Clause> = rule
            .actions
            .iter()
            .filter_map(|a| match a {
                Action::Conjunction { id, clause, n_clauses } => {
                    Some(Clause { id: *id, clause: *clause, of: *n_clauses })
                }
                _ => None,
            })
            .collect();
        let fewest = list.iter().map(|c| usize::from(c.of)).min()?;
        Some(Arc::new(Clauses { list, fewest }))
    }

    /// Which clause of a conjunction the rule is a part of; the first if there are more.
    pub(super) fn clause_of(&self, id: u32) -> Option<u8> {
        self.list.iter().find(|c| c.id == id).map(|c| c.clause)
    }
}

/// Which clauses of which conjunctions were met so far.
#[derive(Default)]
pub(super) struct Met(BTreeMap<u32, u64>);

impl Met {
    /// Adds the clauses of one rule, out of `parts` rules that there are. The number of a
    /// conjunction that is complete with it.
    pub(super) fn add(&mut self, clauses: &Clauses, parts: usize) -> Option<u32> {
        if parts < clauses.fewest {
            return None;
        }
        for c in clauses.list.iter().filter(|c| usize::from(c.of) <= parts) {
            // Clauses that the conjunction does not have count as met.
            let beyond = u64::MAX.checked_shl(c.of.into()).unwrap_or(0);
            let met = self.0.entry(c.id).or_insert(beyond);
            *met |= 1u64.checked_shl(c.clause.into()).unwrap_or(0);
            if *met == u64::MAX {
                return Some(c.id);
            }
        }
        None
    }
}
