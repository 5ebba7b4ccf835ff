//! Tries of address prefixes: which prefix lengths a table has at all.

use openflow::{Field, Fields};
use smallvec::SmallVec;

use super::trie::{PrefixLookup, Trie};
use crate::tables::packed::{PackedFlow, PackedMask, PrefixField};
use crate::tables::rule::Rule;

/// How many fields of a table can have tries.
pub(crate) const MAX_TRIES: usize = 4;

/// The fields that have tries unless the configuration says otherwise.
pub(crate) const DEFAULT_TRIES: [Field; MAX_TRIES] =
    [Field::Ipv4Dst, Field::Ipv4Src, Field::Ipv6Dst, Field::Ipv6Src];

/// The tries of a table.
#[derive(Clone, Debug)]
pub(super) struct Tries(SmallVec<[(PrefixField, Trie); MAX_TRIES]>);

impl Tries {
    pub(super) fn new(fields: &[Field]) -> Tries {
        let known = fields.iter().filter_map(|f| PrefixField::of(*f));
        Tries(known.take(MAX_TRIES).map(|f| (f, Trie::default())).collect())
    }

    /// The fields that have tries.
    pub(super) fn fields(&self) -> Vec<Field> {
        self.0.iter().map(|(f, _)| f.field).collect()
    }

    /// The length of the prefix that `mask` has in the field of each.
    pub(super) fn lengths(&self, mask: &PackedMask) -> SmallVec<[u32; 4]> {
        self.0.iter().map(|(f, _)| f.length(mask)).collect()
    }

    pub(super) fn each(&mut self, rule: &Rule, lengths: &[u32], change: fn(&mut Trie, u128, u32)) {
        for ((field, trie), len) in self.0.iter_mut().zip(lengths) {
            if *len > 0 {
                change(trie, field.value(&rule.mask.flat(&rule.values)), *len);
            }
        }
    }
}

/// The tries in one lookup: each is asked once at most.
pub(super) struct TriesAsked<'a> {
    tries: &'a Tries,
    fields: &'a Fields,
    flow: &'a PackedFlow,
    answers: [Option<PrefixLookup>; MAX_TRIES],
}

impl<'a> TriesAsked<'a> {
    /// Nothing asked yet.
    pub(super) fn new(
        tries: &'a Tries,
        fields: &'a Fields,
        flow: &'a PackedFlow,
    ) -> TriesAsked<'a> {
        TriesAsked { tries, fields, flow, answers: [None; MAX_TRIES] }
    }

    /// Whether a trie shows that no rule of a subtable agrees with the packet in some words of its
    /// mask. `words` are the indices of these words, `prefixes` the prefix lengths of the
    /// subtable's mask ([`Tries::lengths`]). If so, `wc` gets the bits that show it.
    pub(super) fn rule_out(&mut self, words: &[u8], prefixes: &[u32], wc: &mut PackedFlow) -> bool {
        let tries = self.tries.0.iter().zip(&mut self.answers).zip(prefixes);
        for (((field, trie), answer), len) in tries {
            if *len == 0 || !words.contains(&(field.first_word() as u8)) {
                continue;
            }
            let answer = *answer.get_or_insert_with(|| {
                // A field that the packet does not have says nothing.
                if field.field.prereq_ok(self.fields) {
                    trie.lookup(field.value(self.flow), field.bits)
                } else {
                    PrefixLookup::ANY
                }
            });
            if answer.may_have(*len) {
                continue;
            }
            // No more bits than the subtable itself would have looked at.
            if answer.looked_at <= *len {
                field.look_at(wc, answer.looked_at);
                return true;
            }
            if field.is_looked_at(wc, answer.looked_at) {
                return true;
            }
        }
        false
    }
}
