//! Elements that `mutate` puts into large sets and maps, or takes out of them, one at a time.
//!
//! A value is a sorted array, so that each change of one costs its length. The changes of a large
//! value are collected here, and go into it when the transaction reads the column or ends: a
//! transaction that adds 100,000 ports to a bridge costs 100,000 times the logarithm.

use std::collections::BTreeMap;

use crate::value::{Atom, Datum};

/// Values with fewer elements are changed directly.
const MANY_CHANGES: usize = 64;

/// An element of a set or a key of a map as it is to be.
#[derive(Debug, Clone)]
enum Element {
    Gone,
    /// With its value, if it is a key.
    There(Option<Atom>),
}

/// Changes of one column of one row that are not in its value yet.
#[derive(Debug, Default)]
pub(super) struct Edits {
    elements: BTreeMap<Atom, Element>,
    /// Elements that come less those that go.
    growth: i64,
}

/// What is done with elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Those that are missing are added; keys that are there keep their values.
    Insert,
    /// Those that are there are removed; of a map, keys or pairs.
    Delete,
}

impl Edits {
    /// True if changes of this value are to be collected: it is large, and few elements change.
    pub(super) fn worthwhile(value: &Datum, argument: &Datum) -> bool {
        value.len() >= MANY_CHANGES && argument.len() <= value.len() / 8
    }

    /// Elements of the value with the changes.
    pub(super) fn len(&self, value: &Datum) -> u64 {
        (value.len() as u64).saturating_add_signed(self.growth)
    }

    /// Whether an element or key is there, and what a key has.
    fn present(&self, value: &Datum, key: &Atom) -> Option<Option<Atom>> {
        match (self.elements.get(key), value) {
            (Some(Element::Gone), _) => None,
            (Some(Element::There(held)), _) => Some(held.clone()),
            (None, Datum::Map(_)) => value.value_of(key).map(|held| Some(held.clone())),
            (None, _) => value.elements().binary_search(key).ok().map(|_| None),
        }
    }

    /// Notes a change of a value by the elements of another.
    pub(super) fn note(&mut self, value: &Datum, edit: Edit, argument: &Datum) {
        let pairs = argument.pairs().iter().map(|(key, held)| (key, Some(held)));
        for (key, held) in argument.elements().iter().map(|key| (key, None)).chain(pairs) {
            let present = self.present(value, key);
            match edit {
                Edit::Insert if present.is_none() => {
                    self.elements.insert(key.clone(), Element::There(held.cloned()));
                    self.growth += 1;
                }
                Edit::Delete
                    if present.is_some_and(|known| held.is_none() || known.as_ref() == held) =>
                {
                    self.elements.insert(key.clone(), Element::Gone);
                    self.growth -= 1;
                }
                Edit::Insert | Edit::Delete => {}
            }
        }
    }

    /// The value with the changes.
    pub(super) fn apply(self, value: &Datum) -> Datum {
        let mut out =
            Out { map: matches!(value, Datum::Map(_)), set: Vec::new(), pairs: Vec::new() };
        let mut old = value
            .elements()
            .iter()
            .map(|key| (key, None))
            .chain(value.pairs().iter().map(|(key, held)| (key, Some(held))))
            .peekable();
        for (key, element) in self.elements {
            while let Some((known, held)) = old.next_if(|(known, _)| **known < key) {
                out.push(known.clone(), held.cloned());
            }
            old.next_if(|(known, _)| **known == key);
            if let Element::There(held) = element {
                out.push(key, held);
            }
        }
        for (known, held) in old {
            out.push(known.clone(), held.cloned());
        }
        if out.map { Datum::from_sorted_map(out.pairs) } else { Datum::from_sorted_set(out.set) }
    }
}

/// A set or a map that is being made.
struct Out {
    map: bool,
    set: Vec<Atom>,
    pairs: Vec<(Atom, Atom)>,
}

impl Out {
    fn push(&mut self, key: Atom, held: Option<Atom>) {
        match held {
            Some(held) => self.pairs.push((key, held)),
            None => self.set.push(key),
        }
    }
}
