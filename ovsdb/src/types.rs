//! Types of columns with their constraints (RFC 7047, section 3.2 `<base-type>` and `<type>`).

use std::collections::BTreeSet;

use crate::atom::{Atom, AtomicType, ValueError, push_json_set};

/// What keeps a referenced row alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefType {
    /// The row cannot be deleted while it is referred to.
    Strong,
    /// The reference vanishes with the row.
    Weak,
}

/// A single value's type with its constraints.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseType {
    /// Its type.
    pub kind: AtomicType,
    /// The only values accepted, if there is such a list.
    pub enumeration: Option<BTreeSet<Atom>>,
    /// Smallest and largest integer.
    pub integers: (i64, i64),
    /// Smallest and largest real.
    pub reals: (f64, f64),
    /// Shortest and longest text in characters.
    pub lengths: (u64, u64),
    /// The table whose rows a UUID refers to, and how.
    pub refers_to: Option<(String, RefType)>,
}

/// What a column takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnType {
    /// A set's elements or a map's keys.
    pub key: BaseType,
    /// A map's values.
    pub value: Option<BaseType>,
    /// Fewest elements: 0 or 1.
    pub min: u32,
    /// Most elements, at least 1; `u32::MAX` means no bound.
    pub max: u32,
}

impl BaseType {
    /// A type without constraints.
    pub fn plain(kind: AtomicType) -> BaseType {
        BaseType {
            kind,
            enumeration: None,
            integers: (i64::MIN, i64::MAX),
            reals: (f64::MIN, f64::MAX),
            lengths: (0, u64::MAX),
            refers_to: None,
        }
    }

    /// Checks the constraints: enumeration, range, length. A reference is not looked up.
    ///
    /// # Errors
    ///
    /// [`ValueError::Constraint`] that names the value and what is accepted.
    pub fn check(&self, atom: &Atom) -> Result<(), ValueError> {
        self.check_constraints(atom).map_err(ValueError::Constraint)
    }

    fn check_constraints(&self, atom: &Atom) -> Result<(), String> {
        if atom.kind() != self.kind {
            return Err(format!("{} where {} is accepted", atom.kind().name(), self.kind.name()));
        }
        if let Some(values) = &self.enumeration
            && !values.contains(atom)
        {
            let mut text = String::new();
            atom.push_json(&mut text);
            let mut accepted = String::new();
            push_json_set(&mut accepted, values);
            return Err(format!("{text} is not one of the allowed values {accepted}"));
        }
        let out_of = |value: String, low: String, high: String| {
            Err(format!("{value} is not in the valid range {low} to {high}"))
        };
        match atom {
            Atom::Integer(value) if *value < self.integers.0 || *value > self.integers.1 => {
                out_of(value.to_string(), self.integers.0.to_string(), self.integers.1.to_string())
            }
            Atom::Real(value) if *value < self.reals.0 || *value > self.reals.1 => {
                out_of(value.to_string(), self.reals.0.to_string(), self.reals.1.to_string())
            }
            Atom::String(text) => {
                let length = text.chars().count() as u64;
                if length < self.lengths.0 || length > self.lengths.1 {
                    return Err(format!(
                        "a text of {length} characters where {} to {} are accepted",
                        self.lengths.0, self.lengths.1
                    ));
                }
                Ok(())
            }
            Atom::Integer(_)
            | Atom::Real(_)
            | Atom::Boolean(_)
            | Atom::Uuid(_)
            | Atom::NamedUuid(_) => Ok(()),
        }
    }
}

impl ColumnType {
    /// Exactly one value, no map.
    pub fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max == 1
    }

    /// None or one value, no map.
    pub fn is_optional_scalar(&self) -> bool {
        self.value.is_none() && self.min == 0 && self.max == 1
    }
}
