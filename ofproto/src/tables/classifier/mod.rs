//! Finds the rule that a packet meets: tuple space search (Srinivasan et al., "Packet
//! Classification using Tuple Space Search"), one subtable for each mask.
//!
//! A lookup also returns the bits that decided it. Few bits make a megaflow that covers many
//! packets. They are the bits that Open vSwitch's classifier returns, since dumps show them:
//!
//! - Subtables are tried from the highest priority down, until what is found beats the rest.
//! - Within a subtable the segments are looked at one after the other; what comes after a segment
//!   that no rule agrees with is not looked at.
//! - Tries of address prefixes tell which prefix lengths are possible at all, and so spare whole
//!   subtables; a trie of the ports in each subtable does the same for ports.

mod conjunction;
mod persistent;
mod subtable;
#[cfg(test)]
mod tests;
mod trie;
mod tries;

use std::sync::Arc;

use openflow::{Field, Fields};

use self::conjunction::Met;
use self::subtable::{RuleEntry, Subtable};
use self::trie::Trie;
pub(crate) use self::tries::DEFAULT_TRIES;
use self::tries::{Tries, TriesAsked};
use super::packed::{PackedFlow, PackedMask};
use super::rule::Rule;

/// The rules of one table. A copy shares what stays the same.
#[derive(Clone, Debug)]
pub(crate) struct Classifier {
    /// Highest priority first; see [`Classifier::settle`].
    subtables: Vec<Arc<Subtable>>,
    tries: Tries,
    len: usize,
}

impl Default for Classifier {
    fn default() -> Classifier {
        Classifier { subtables: Vec::new(), tries: Tries::new(&DEFAULT_TRIES), len: 0 }
    }
}

impl Classifier {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn subtable(&self, mask: &PackedMask) -> Option<usize> {
        self.subtables.iter().position(|s| *s.mask == *mask)
    }

    /// The mask to give to a new rule: the one of its subtable if there is one.
    pub(crate) fn shared_mask(&self, mask: PackedMask) -> Arc<PackedMask> {
        match self.subtable(&mask) {
            Some(i) => self.subtables[i].mask.clone(),
            None => Arc::new(mask),
        }
    }

    /// Makes tries for these fields, at most four; others than addresses are left out.
    pub(crate) fn set_tries(&mut self, fields: &[Field]) {
        self.tries = Tries::new(fields);
        for s in &mut self.subtables {
            Arc::make_mut(s).set_tries(&self.tries);
            let mut last: Option<&[u64]> = None;
            let mut rules = s.rules();
            rules.sort_by(|a, b| a.values.cmp(&b.values));
            for rule in rules {
                // Rules with the same match count once.
                if last.replace(&rule.values) != Some(&*rule.values) {
                    self.tries.each(rule, s.prefixes(), Trie::insert);
                }
            }
        }
    }

    /// The rule with just this match and priority.
    pub(crate) fn find(
        &self,
        mask: &PackedMask,
        values: &[u64],
        priority: i32,
    ) -> Option<&Arc<Rule>> {
        self.subtables[self.subtable(mask)?].find(values, priority)
    }

    /// Adds a rule in the place of the one with the same match and priority, which is returned.
    pub(crate) fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let i = self.subtable(&rule.mask).unwrap_or_else(|| {
            let new = Subtable::new(rule.mask.clone(), &self.tries);
            self.subtables.push(Arc::new(new));
            self.subtables.len() - 1
        });
        let s = Arc::make_mut(&mut self.subtables[i]);
        let max = s.max_priority;
        let done = s.insert(rule.clone());
        if done.row_changed {
            self.tries.each(&rule, s.prefixes(), Trie::insert);
        }
        if s.max_priority != max {
            self.sort();
        }
        if done.old.is_none() {
            self.len += 1;
        }
        done.old
    }

    /// Takes a rule out; nothing if there is none with its match and priority.
    pub(crate) fn remove(&mut self, rule: &Rule) -> Option<Arc<Rule>> {
        let i = self.subtable(&rule.mask)?;
        let s = Arc::make_mut(&mut self.subtables[i]);
        let done = s.remove(rule);
        if done.row_changed {
            self.tries.each(rule, s.prefixes(), Trie::remove);
        }
        let old = done.old?;
        self.len -= 1;
        if s.is_empty() {
            // The order among equals after that is upstream's.
            self.subtables.swap_remove(i);
            self.sort();
        }
        Some(old)
    }

    /// One for the same fields without rules.
    pub(crate) fn emptied(&self) -> Classifier {
        let fields: Vec<Field> = self.tries.fields();
        Classifier { subtables: Vec::new(), tries: Tries::new(&fields), len: 0 }
    }

    /// Brings the subtables into order after rules were taken out. To be called before lookups.
    pub(crate) fn settle(&mut self) {
        let mut changed = false;
        for s in self.subtables.iter_mut().filter(|s| s.is_unsettled()) {
            changed |= Arc::make_mut(s).settle();
        }
        if changed {
            self.sort();
        }
    }

    /// Whether [`Classifier::settle`] has something to do.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.subtables.iter().any(|s| s.is_unsettled())
    }

    fn sort(&mut self) {
        self.subtables.sort_by_key(|s| std::cmp::Reverse(s.max_priority));
    }

    /// The rule of highest priority that `fields` meet; `wc` gets the bits that decided it, and
    /// `parts` the rules of the conjunction that led to it, by clause.
    pub(crate) fn lookup<'a>(
        &'a self,
        fields: &Fields,
        wc: &mut PackedFlow,
        parts: &mut Vec<&'a Arc<Rule>>,
    ) -> Option<&'a Arc<Rule>> {
        self.search(fields, wc, Some(parts))
    }

    /// Without `parts` conjunctions do not count.
    fn search<'a>(
        &'a self,
        fields: &Fields,
        wc: &mut PackedFlow,
        parts: Option<&mut Vec<&'a Arc<Rule>>>,
    ) -> Option<&'a Arc<Rule>> {
        let flow = PackedFlow::of(fields);
        let mut tries = TriesAsked::new(&self.tries, fields, &flow);
        // The best rule that stands for itself, and parts of conjunctions.
        let mut hard: Option<&RuleEntry> = None;
        let mut soft: Vec<(&Subtable, &RuleEntry)> = Vec::new();
        for s in &self.subtables {
            if hard.is_some_and(|h| h.rule.priority >= s.max_priority) {
                break;
            }
            let Some(found) = s.lookup(&flow, &mut tries, wc) else { continue };
            if hard.is_some_and(|h| h.rule.priority >= found.rule.priority) {
                continue;
            }
            if found.clauses.is_none() {
                hard = Some(found);
            } else if parts.is_some() {
                soft.push((s, found));
            }
        }
        match parts {
            Some(parts) if !soft.is_empty() => self.conjunction(fields, soft, hard, wc, parts),
            _ => hard.map(|h| &h.rule),
        }
    }

    /// Whether parts of conjunctions come together to one that beats `hard`.
    fn conjunction<'a>(
        &'a self,
        fields: &Fields,
        mut soft: Vec<(&'a Subtable, &'a RuleEntry)>,
        mut hard: Option<&'a RuleEntry>,
        wc: &mut PackedFlow,
        parts: &mut Vec<&'a Arc<Rule>>,
    ) -> Option<&'a Arc<Rule>> {
        loop {
            soft.retain(|(_, e)| hard.is_none_or(|h| e.rule.priority > h.rule.priority));
            let Some(top) = soft.iter().map(|(_, e)| e.rule.priority).max() else {
                return hard.map(|h| &h.rule);
            };
            let (first, mut rest): (Vec<_>, Vec<_>) =
                soft.into_iter().partition(|(_, e)| e.rule.priority == top);
            let mut met = Met::default();
            for (_, entry) in &first {
                let Some(clauses) = &entry.clauses else { continue };
                if let Some(conj_id) = met.add(clauses, first.len())
                    && let Some(rule) = self.search(&Fields { conj_id, ..*fields }, wc, None)
                {
                    let clause = |e: &RuleEntry| e.clauses.as_ref()?.clause_of(conj_id);
                    let mut of: Vec<_> =
                        first.iter().filter_map(|(_, e)| Some((clause(e)?, &e.rule))).collect();
                    of.sort_by_key(|(clause, _)| *clause);
                    parts.extend(of.into_iter().map(|(_, rule)| rule));
                    return Some(rule);
                }
            }
            // None is complete: next come rules with the same match and a lower priority.
            for (s, entry) in first {
                let Some(below) = s.below(entry) else { continue };
                if below.clauses.is_some() {
                    rest.push((s, below));
                } else if hard.is_none_or(|h| below.rule.priority > h.rule.priority) {
                    hard = Some(below);
                }
            }
            soft = rest;
        }
    }

    /// All rules: by subtable, and in it the order in which they came.
    pub(crate) fn rules(&self) -> Vec<&Arc<Rule>> {
        self.subtables.iter().flat_map(|s| s.rules()).collect()
    }

    /// The rules that match no packet that `mask` and `values` do not match, in the same order.
    pub(crate) fn rules_within(&self, mask: &PackedMask, values: &[u64]) -> Vec<&Arc<Rule>> {
        let able = self.subtables.iter().filter(|s| s.mask.covers(mask));
        able.flat_map(|s| s.rules()).filter(|r| r.is_within(mask, values)).collect()
    }

    /// Whether there is a rule of the same priority with which `rule` shares packets.
    pub(crate) fn overlaps(&self, rule: &Rule) -> bool {
        let able = self.subtables.iter().filter(|s| s.max_priority >= rule.priority);
        able.flat_map(|s| s.rules()).any(|r| r.priority == rule.priority && r.overlaps(rule))
    }
}
