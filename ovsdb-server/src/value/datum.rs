//! What one column of one row holds.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::schema::Type;
use crate::value::Atom;

/// The value of a column. There is one way to write each value, so equal values are equal.
#[derive(Debug, Clone, Default)]
pub enum Datum {
    /// An empty set or map.
    #[default]
    Empty,
    /// A set of one, so a scalar too.
    One(Atom),
    /// A set of two or more, in order.
    Set(Arc<[Atom]>),
    /// A map of one or more, in the order of its keys.
    Map(Arc<[(Atom, Atom)]>),
}

impl Datum {
    /// A set of atoms that are in order and distinct.
    pub(crate) fn from_sorted_set(mut atoms: Vec<Atom>) -> Datum {
        debug_assert!(atoms.is_sorted());
        match atoms.len() {
            0 => Datum::Empty,
            1 => atoms.pop().map_or(Datum::Empty, Datum::One),
            _ => Datum::Set(atoms.into()),
        }
    }

    /// A map of pairs that are in order of distinct keys.
    pub(crate) fn from_sorted_map(pairs: Vec<(Atom, Atom)>) -> Datum {
        if pairs.is_empty() { Datum::Empty } else { Datum::Map(pairs.into()) }
    }

    /// The value of a column when nothing is given.
    pub fn default_of(ty: &Type) -> Datum {
        match (&ty.value, ty.min) {
            (_, 0) => Datum::Empty,
            (None, _) => Datum::One(Atom::default_of(ty.key.kind)),
            (Some(value), _) => Datum::Map(Arc::from([(
                Atom::default_of(ty.key.kind),
                Atom::default_of(value.kind),
            )])),
        }
    }

    /// True for that value.
    pub fn is_default(&self, ty: &Type) -> bool {
        match self {
            Datum::Empty => ty.min == 0,
            Datum::One(atom) => ty.min == 1 && atom.is_default(),
            Datum::Set(_) => false,
            Datum::Map(pairs) => match &**pairs {
                [(key, value)] => ty.min == 1 && key.is_default() && value.is_default(),
                _ => false,
            },
        }
    }

    /// How many atoms or pairs.
    pub fn len(&self) -> usize {
        match self {
            Datum::Empty => 0,
            Datum::One(_) => 1,
            Datum::Set(atoms) => atoms.len(),
            Datum::Map(pairs) => pairs.len(),
        }
    }

    /// True if it holds nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Datum::Empty)
    }

    /// How many atoms, keys and values both.
    pub fn atoms(&self) -> usize {
        match self {
            Datum::Map(pairs) => 2 * pairs.len(),
            other => other.len(),
        }
    }

    /// The elements of a set; none of a map.
    pub fn elements(&self) -> &[Atom] {
        match self {
            Datum::Empty | Datum::Map(_) => &[],
            Datum::One(atom) => std::slice::from_ref(atom),
            Datum::Set(atoms) => atoms,
        }
    }

    /// The pairs of a map; none of a set.
    pub fn pairs(&self) -> &[(Atom, Atom)] {
        match self {
            Datum::Map(pairs) => pairs,
            Datum::Empty | Datum::One(_) | Datum::Set(_) => &[],
        }
    }

    /// The only atom, if it is a set of one.
    pub fn single(&self) -> Option<&Atom> {
        match self {
            Datum::One(atom) => Some(atom),
            _ => None,
        }
    }

    /// The text, if it is a single string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Datum::One(Atom::String(text)) => Some(text),
            _ => None,
        }
    }

    /// True if both are the same value without looking inside.
    fn same(&self, other: &Datum) -> bool {
        match (self, other) {
            (Datum::Empty, Datum::Empty) => true,
            (Datum::Set(a), Datum::Set(b)) => Arc::ptr_eq(a, b),
            (Datum::Map(a), Datum::Map(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Checks number and constraints.
    ///
    /// # Errors
    ///
    /// A `constraint violation` that says what is accepted.
    pub fn check(&self, ty: &Type) -> Result<()> {
        let number = self.len() as u64;
        if number < u64::from(ty.min) || number > u64::from(ty.max) {
            return Err(Error::constraint(format!("{number} elements in {}", ty.english())));
        }
        self.check_atoms(ty)
    }

    /// Checks the constraints of the single values.
    ///
    /// # Errors
    ///
    /// A `constraint violation` that says what is accepted.
    pub fn check_atoms(&self, ty: &Type) -> Result<()> {
        self.elements().iter().try_for_each(|atom| atom.check(&ty.key))?;
        if let Some(value_type) = &ty.value {
            for (key, value) in self.pairs() {
                key.check(&ty.key)?;
                value.check(value_type)?;
            }
        }
        Ok(())
    }

    /// Appends the value as JSON: a set of one as its bare atom.
    pub fn push(&self, ty: &Type, out: &mut Vec<u8>) {
        match self {
            Datum::Empty if ty.is_map() => out.extend_from_slice(b"[\"map\",[]]"),
            Datum::Empty => out.extend_from_slice(b"[\"set\",[]]"),
            Datum::One(atom) => atom.push(out),
            Datum::Set(atoms) => {
                out.extend_from_slice(b"[\"set\",[");
                for (at, atom) in atoms.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    atom.push(out);
                }
                out.extend_from_slice(b"]]");
            }
            Datum::Map(pairs) => {
                out.extend_from_slice(b"[\"map\",[");
                for (at, (key, value)) in pairs.iter().enumerate() {
                    out.extend_from_slice(if at > 0 { b",[" } else { b"[" });
                    key.push(out);
                    out.push(b',');
                    value.push(out);
                    out.push(b']');
                }
                out.extend_from_slice(b"]]");
            }
        }
    }

    /// The value as JSON text.
    pub fn to_json(&self, ty: &Type) -> String {
        let mut out = Vec::new();
        self.push(ty, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// The value as the reference writes it in error texts.
    pub fn plain_text(&self, ty: &Type) -> String {
        let parts: Vec<String> = match self {
            Datum::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| format!("{}={}", key.plain_text(), value.plain_text()))
                .collect(),
            other => other.elements().iter().map(Atom::plain_text).collect(),
        };
        let text = parts.join(", ");
        match (ty.max > 1 || self.is_empty(), ty.is_map()) {
            (false, _) => text,
            (true, true) => format!("{{{text}}}"),
            (true, false) => format!("[{text}]"),
        }
    }

    /// True if every element of this one is in the other.
    pub fn is_within(&self, other: &Datum) -> bool {
        if self.len() > other.len() {
            return false;
        }
        self.elements().iter().all(|atom| other.elements().binary_search(atom).is_ok())
            && self.pairs().iter().all(|(key, value)| other.value_of(key) == Some(value))
    }

    /// True if no element of this one is in the other.
    pub fn is_apart_from(&self, other: &Datum) -> bool {
        self.elements().iter().all(|atom| other.elements().binary_search(atom).is_err())
            && self.pairs().iter().all(|(key, value)| other.value_of(key) != Some(value))
    }

    /// What a map holds under a key.
    pub fn value_of(&self, key: &Atom) -> Option<&Atom> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(&pairs[at].1)
    }
}

impl Ord for Datum {
    /// By number of elements, then keys, then values: the order of the reference's `sort`.
    fn cmp(&self, other: &Datum) -> Ordering {
        if self.same(other) {
            return Ordering::Equal;
        }
        let keys = |pairs: &[(Atom, Atom)], others: &[(Atom, Atom)]| {
            pairs.iter().map(|(key, _)| key).cmp(others.iter().map(|(key, _)| key))
        };
        let values = |pairs: &[(Atom, Atom)], others: &[(Atom, Atom)]| {
            pairs.iter().map(|(_, value)| value).cmp(others.iter().map(|(_, value)| value))
        };
        let (a, b) = (self.pairs(), other.pairs());
        self.len()
            .cmp(&other.len())
            .then_with(|| self.elements().cmp(other.elements()))
            .then_with(|| keys(a, b))
            .then_with(|| values(a, b))
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Datum) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Datum) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Datum {}

impl Hash for Datum {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.elements().hash(state);
        self.pairs().hash(state);
    }
}
