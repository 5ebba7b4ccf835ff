//! Finds the rule that a packet meets: tuple space search, one hash table for each mask.

use std::sync::Arc;

use hashbrown::HashMap;

use super::flat::{Flat, FlatMask};
use super::rule::Rule;

/// The rules of one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classifier {
    /// Highest priority first; the older first among equals.
    subtables: Vec<Arc<Subtable>>,
    len: usize,
}

/// The rules with one mask.
#[derive(Clone, Debug)]
struct Subtable {
    mask: Arc<FlatMask>,
    max_priority: i32,
    /// Rules with the same match stand together, highest priority first.
    rules: HashMap<Box<[u64]>, Vec<Arc<Rule>>, foldhash::fast::FixedState>,
}

impl Classifier {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The mask to give to a new rule: the one of its subtable if there is one.
    pub(crate) fn shared_mask(&self, mask: FlatMask) -> Arc<FlatMask> {
        match self.subtables.iter().find(|s| *s.mask == mask) {
            Some(s) => s.mask.clone(),
            None => Arc::new(mask),
        }
    }

    /// The rule with just this match and priority.
    pub(crate) fn find(
        &self,
        mask: &FlatMask,
        values: &[u64],
        priority: i32,
    ) -> Option<&Arc<Rule>> {
        let s = self.subtables.iter().find(|s| *s.mask == *mask)?;
        s.rules.get(values)?.iter().find(|r| r.priority == priority)
    }

    /// Adds a rule in the place of the one with the same match and priority, which is returned.
    pub(crate) fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let i = match self.subtables.iter().position(|s| *s.mask == *rule.mask) {
            Some(i) => i,
            None => {
                self.subtables.push(Arc::new(Subtable {
                    mask: rule.mask.clone(),
                    max_priority: rule.priority,
                    rules: HashMap::default(),
                }));
                self.subtables.len() - 1
            }
        };
        let s = Arc::make_mut(&mut self.subtables[i]);
        let same = s.rules.entry(rule.values.clone()).or_default();
        let at = same.partition_point(|r| r.priority > rule.priority);
        let old = match same.get_mut(at) {
            Some(r) if r.priority == rule.priority => Some(std::mem::replace(r, rule)),
            _ => {
                same.insert(at, rule);
                self.len += 1;
                None
            }
        };
        s.find_max();
        self.sort();
        old
    }

    /// Takes a rule out; nothing if there is none with its match and priority.
    pub(crate) fn remove(&mut self, rule: &Rule) -> Option<Arc<Rule>> {
        let i = self.subtables.iter().position(|s| *s.mask == *rule.mask)?;
        let s = Arc::make_mut(&mut self.subtables[i]);
        let same = s.rules.get_mut(&rule.values)?;
        let at = same.iter().position(|r| r.priority == rule.priority)?;
        let old = same.remove(at);
        if same.is_empty() {
            s.rules.remove(&rule.values);
        }
        if s.rules.is_empty() {
            self.subtables.remove(i);
        } else {
            s.find_max();
            self.sort();
        }
        self.len -= 1;
        Some(old)
    }

    fn sort(&mut self) {
        self.subtables.sort_by_key(|s| std::cmp::Reverse(s.max_priority));
    }

    pub(crate) fn lookup(&self, flow: &Flat, wc: &mut Flat) -> Option<&Arc<Rule>> {
        let mut best: Option<&Arc<Rule>> = None;
        for s in &self.subtables {
            if best.is_some_and(|b| b.priority >= s.max_priority) {
                break;
            }
            for (at, bits) in s.mask.iter() {
                wc.0[at] |= bits;
            }
            let Some(found) = s.rules.get(&s.mask.values(flow)).and_then(|same| same.first())
            else {
                continue;
            };
            if best.is_none_or(|b| found.priority > b.priority) {
                best = Some(found);
            }
        }
        best
    }

    /// All rules: by subtable, and in it the order in which they came.
    pub(crate) fn rules(&self) -> Vec<&Arc<Rule>> {
        let mut all = Vec::with_capacity(self.len);
        for s in &self.subtables {
            let mut of: Vec<_> = s.rules.values().flatten().collect();
            of.sort_unstable_by_key(|r| r.order);
            all.extend(of);
        }
        all
    }
}

impl Subtable {
    fn find_max(&mut self) {
        let all = self.rules.values().filter_map(|same| same.first());
        self.max_priority = all.map(|r| r.priority).max().unwrap_or(i32::MIN);
    }
}
