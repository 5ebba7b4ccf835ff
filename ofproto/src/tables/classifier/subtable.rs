//! The rules that look at the same bits.

use std::sync::Arc;

use smallvec::SmallVec;

use super::conjunction::Clauses;
use super::persistent::Map;
use super::trie::{self, Trie};
use super::tries::{Tries, TriesAsked};
use crate::tables::packed::{PORTS, PackedFlow, PackedMask, SEGMENTS, WORDS};
use crate::tables::rule::Rule;

/// The two transport ports within their word.
const PORT_BITS: u64 = 0xffff_ffff;

/// A rule in its place.
#[derive(Clone, Debug)]
pub(super) struct RuleEntry {
    pub(super) rule: Arc<Rule>,
    /// The conjunctions that it is a part of; nothing for a rule that stands for itself.
    pub(super) clauses: Option<Arc<Clauses>>,
}

/// All rules with one mask. Those with the same match stand together.
#[derive(Clone, Debug)]
pub(super) struct Subtable {
    pub(super) mask: Arc<PackedMask>,
    /// Highest of any rule's.
    pub(super) max_priority: i32,
    /// How many rules have it.
    at_max: usize,
    /// The words of the mask by segment, those without any left out: ends in `mask.at`.
    stages: SmallVec<[usize; 4]>,
    /// For each stage but the last: how many rows have the values that hash so up to it.
    indices: SmallVec<[Map<u32>; 3]>,
    /// For each trie of the table, the length of the prefix that the mask has.
    prefixes: SmallVec<[u32; 4]>,
    /// Prefixes of source and destination port together, and up to which bit they go; 0: the
    /// mask does not look at ports.
    ports: Trie,
    ports_len: u32,
    /// By the hash of their values: rules, highest priority first.
    rows: Map<Row>,
    len: usize,
}

/// Rules whose values have the same hash: of one match, but for collisions.
type Row = SmallVec<[RuleEntry; 1]>;

/// Goes on with the hash `h` over the next word (foldhash's mixing).
fn mix(h: u64, word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let wide = u128::from(h ^ word) * u128::from(ODD) + u128::from(word);
    (wide >> 64) as u64 ^ (wide as u64).rotate_left(23)
}

const START: u64 = 0x243f_6a88_85a3_08d3;

/// What follows from a rule having been put in or taken out.
pub(super) struct RowChange {
    /// The one that was in its place, or was taken out.
    pub(super) old: Option<Arc<Rule>>,
    /// Its row came or went.
    pub(super) row_changed: bool,
}

impl Subtable {
    pub(super) fn new(mask: Arc<PackedMask>, tries: &Tries) -> Subtable {
        let mut stages: SmallVec<[usize; 4]> = SmallVec::new();
        let mut from = 0;
        for end in SEGMENTS.into_iter().chain([WORDS]) {
            let to = mask.at.partition_point(|at| usize::from(*at) < end);
            if to > from {
                stages.push(to);
            }
            from = to;
        }
        let ports = (mask.word(PORTS) & PORT_BITS) as u32;
        Subtable {
            indices: (1..stages.len()).map(|_| Map::default()).collect(),
            stages,
            prefixes: tries.lengths(&mask),
            ports: Trie::default(),
            ports_len: if ports == 0 { 0 } else { 32 - ports.trailing_zeros() },
            mask,
            max_priority: i32::MIN,
            at_max: 0,
            rows: Map::default(),
            len: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// After the table got other tries.
    pub(super) fn set_tries(&mut self, tries: &Tries) {
        self.prefixes = tries.lengths(&self.mask);
    }

    pub(super) fn prefixes(&self) -> &[u32] {
        &self.prefixes
    }

    /// The hash of a rule's values up to each stage.
    fn hashes(&self, values: &[u64]) -> SmallVec<[u64; 4]> {
        let mut h = START;
        let mut from = 0;
        let stage = |to: &usize| {
            h = values[from..*to].iter().fold(h, |h, w| mix(h, *w));
            from = *to;
            h
        };
        self.stages.iter().map(stage).collect()
    }

    fn row_hash(hashes: &[u64]) -> u64 {
        hashes.last().copied().unwrap_or(START)
    }

    /// Source and destination port of a rule, as far as the mask looks, in the uppermost bits.
    fn port_bits(&self, values: &[u64]) -> u128 {
        // The word of the ports is the last one.
        u128::from(values.last().copied().unwrap_or(0) & PORT_BITS) << 96
    }

    pub(super) fn find(&self, values: &[u64], priority: i32) -> Option<&Arc<Rule>> {
        let row = self.rows.get(Subtable::row_hash(&self.hashes(values)))?;
        row.iter().map(|e| &e.rule).find(|r| r.priority == priority && *r.values == *values)
    }

    /// Puts a rule in, in the place of the one with its match and priority.
    pub(super) fn insert(&mut self, rule: Arc<Rule>) -> RowChange {
        let hashes = self.hashes(&rule.values);
        let row = self.rows.entry(Subtable::row_hash(&hashes), Row::new);
        let row_changed = !row.iter().any(|e| e.rule.values == rule.values);
        let clauses = Clauses::of(&rule);
        let priority = rule.priority;
        let ports = (self.ports_len > 0 && row_changed).then(|| rule.values.clone());
        let same =
            row.iter_mut().find(|e| e.rule.priority == priority && e.rule.values == rule.values);
        if let Some(entry) = same {
            let old = std::mem::replace(entry, RuleEntry { rule, clauses });
            return RowChange { old: Some(old.rule), row_changed: false };
        }
        let at = row.partition_point(|e| e.rule.priority >= priority);
        row.insert(at, RuleEntry { rule, clauses });
        if row_changed {
            for (index, hash) in self.indices.iter_mut().zip(&hashes) {
                *index.entry(*hash, || 0) += 1;
            }
        }
        if let Some(values) = ports {
            self.ports.insert(self.port_bits(&values), self.ports_len);
        }
        self.len += 1;
        if priority > self.max_priority {
            (self.max_priority, self.at_max) = (priority, 1);
        } else if priority == self.max_priority {
            self.at_max += 1;
        }
        RowChange { old: None, row_changed }
    }

    /// Takes out the rule with this one's match and priority.
    pub(super) fn remove(&mut self, rule: &Rule) -> RowChange {
        let nothing = RowChange { old: None, row_changed: false };
        let hashes = self.hashes(&rule.values);
        let hash = Subtable::row_hash(&hashes);
        if self.find(&rule.values, rule.priority).is_none() {
            return nothing;
        }
        let row = self.rows.entry(hash, Row::new);
        let is_it =
            |e: &RuleEntry| e.rule.priority == rule.priority && e.rule.values == rule.values;
        let Some(at) = row.iter().position(is_it) else { return nothing };
        let old = row.remove(at).rule;
        let row_changed = !row.iter().any(|e| e.rule.values == rule.values);
        if row.is_empty() {
            self.rows.remove(hash);
        }
        if row_changed {
            for (index, hash) in self.indices.iter_mut().zip(&hashes) {
                let count = index.entry(*hash, || 0);
                *count -= 1;
                if *count == 0 {
                    index.remove(*hash);
                }
            }
            if self.ports_len > 0 {
                self.ports.remove(self.port_bits(&rule.values), self.ports_len);
            }
        }
        self.len -= 1;
        if rule.priority == self.max_priority {
            self.at_max -= 1;
        }
        RowChange { old: Some(old), row_changed }
    }

    /// Finds the highest priority anew if the last rule that had it is gone. True if it changed.
    pub(super) fn settle(&mut self) -> bool {
        if self.at_max > 0 {
            return false;
        }
        let mut rows = Vec::new();
        self.rows.values(&mut rows);
        let mut max = i32::MIN;
        for entry in rows.into_iter().flatten() {
            if entry.rule.priority > max {
                (max, self.at_max) = (entry.rule.priority, 0);
            }
            if entry.rule.priority == max {
                self.at_max += 1;
            }
        }
        self.max_priority = max;
        true
    }

    /// Whether [`Subtable::settle`] has something to do.
    pub(super) fn is_unsettled(&self) -> bool {
        self.at_max == 0
    }

    /// Its rules, in the order in which they came.
    pub(super) fn rules(&self) -> Vec<&Arc<Rule>> {
        let mut rows = Vec::new();
        self.rows.values(&mut rows);
        let mut rules: Vec<_> = rows.into_iter().flatten().map(|e| &e.rule).collect();
        rules.sort_unstable_by_key(|r| r.order);
        rules
    }

    /// The entry of highest priority that `flow` meets. `wc` gets the bits that were looked at:
    /// stage by stage, no further than the stage whose values no rule has.
    pub(super) fn lookup(
        &self,
        flow: &PackedFlow,
        tries: &mut TriesAsked<'_>,
        wc: &mut PackedFlow,
    ) -> Option<&RuleEntry> {
        let mut h = START;
        let mut from = 0;
        for (i, to) in self.stages.iter().enumerate() {
            if tries.rule_out(&self.mask.at[from..*to], &self.prefixes, wc) {
                self.look_at(0..from, wc);
                return None;
            }
            for n in from..*to {
                h = mix(h, flow.0[usize::from(self.mask.at[n])] & self.mask.bits[n]);
            }
            from = *to;
            if self.indices.get(i).is_some_and(|index| index.get(h).is_none()) {
                self.look_at(0..from, wc);
                return None;
            }
        }
        let found = self.row(h, flow);
        let ports_before = wc.0[PORTS] & PORT_BITS;
        self.look_at(0..from, wc);
        if found.is_none() && self.ports_len > 0 {
            // No rule has these ports: as many of their bits as show it will do.
            let mask = self.mask.word(PORTS) & PORT_BITS;
            let value = u128::from(flow.0[PORTS] & mask) << 96;
            let answer = self.ports.lookup(value, 32);
            let seen = (trie::prefix(answer.looked_at) >> 96) as u64;
            wc.0[PORTS] = (wc.0[PORTS] & !PORT_BITS) | ports_before | (mask & seen);
        }
        found
    }

    /// The entry of highest priority that `flow` meets, all of whose values hash so.
    fn row(&self, hash: u64, flow: &PackedFlow) -> Option<&RuleEntry> {
        let agrees = |e: &&RuleEntry| {
            let values = e.rule.values.iter();
            self.mask.iter().zip(values).all(|((at, bits), v)| flow.0[at] & bits == *v)
        };
        self.rows.get(hash)?.iter().find(agrees)
    }

    /// The entry with the next lower priority and the same match.
    pub(super) fn below(&self, entry: &RuleEntry) -> Option<&RuleEntry> {
        let rule = &entry.rule;
        let row = self.rows.get(Subtable::row_hash(&self.hashes(&rule.values)))?;
        row.iter().find(|e| e.rule.priority < rule.priority && e.rule.values == rule.values)
    }

    /// Adds the bits of some of the mask's words to `wc`.
    fn look_at(&self, words: std::ops::Range<usize>, wc: &mut PackedFlow) {
        for n in words {
            wc.0[usize::from(self.mask.at[n])] |= self.mask.bits[n];
        }
    }
}
