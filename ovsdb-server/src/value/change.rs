//! Differences of values, and the operators of `mutate` (RFC 7047, section 5.1 `<mutation>`).

use std::cmp::Ordering;
use std::sync::Arc;

use ovsdb::schema::AtomicType;

use crate::error::{Error, Result};
use crate::json::Json;
use crate::schema::{Base, Column, Type};
use crate::txn::Edit;
use crate::value::{Atom, Datum, Symbols};

impl Datum {
    /// What `apply_diff` turns `self` into `new` by: for sets and maps the elements that come or
    /// go, for anything else the new value.
    #[must_use]
    pub fn diff(&self, new: &Datum, ty: &Type) -> Datum {
        if !ty.is_composite() {
            return new.clone();
        }
        if ty.is_map() {
            return Datum::from_sorted_map(merge(
                self.pairs(),
                new.pairs(),
                |(a, _), (b, _)| a.cmp(b),
                |old, new| if old.1 == new.1 { None } else { Some(new) },
            ));
        }
        Datum::from_sorted_set(merge(self.elements(), new.elements(), Atom::cmp, |_, _| None))
    }

    /// The value that `diff` was made for. The number of elements is not checked.
    #[must_use]
    pub fn apply_diff(&self, diff: &Datum, ty: &Type) -> Datum {
        // The difference of the old value and the difference is the new value.
        self.diff(diff, ty)
    }

    /// Adds the elements that are missing; keys that are there keep their values.
    #[must_use]
    pub fn union(&self, other: &Datum) -> Datum {
        match (self, other) {
            (_, Datum::Empty) => self.clone(),
            (Datum::Empty, _) => other.clone(),
            (_, Datum::Map(pairs)) => Datum::from_sorted_map(merge(
                self.pairs(),
                pairs,
                |(a, _), (b, _)| a.cmp(b),
                |old, _| Some(old),
            )),
            (_, Datum::One(_) | Datum::Set(_)) => Datum::from_sorted_set(merge(
                self.elements(),
                other.elements(),
                Atom::cmp,
                |old, _| Some(old),
            )),
        }
    }

    /// Removes elements. From a map, `other` is pairs to remove, or keys.
    #[must_use]
    pub fn subtract(&self, other: &Datum) -> Datum {
        match (self, other) {
            (_, Datum::Empty) | (Datum::Empty, _) => self.clone(),
            (Datum::Map(pairs), _) => {
                let keys = other.elements();
                let kept = pairs.iter().filter(|(key, value)| {
                    keys.binary_search(key).is_err() && other.value_of(key) != Some(value)
                });
                Datum::from_sorted_map(kept.cloned().collect())
            }
            (Datum::One(_) | Datum::Set(_), _) => {
                let gone = other.elements();
                let kept = self.elements().iter().filter(|atom| gone.binary_search(atom).is_err());
                Datum::from_sorted_set(kept.cloned().collect())
            }
        }
    }

    /// Keeps the elements that a test accepts.
    #[must_use]
    pub fn retain(
        &self,
        mut element: impl FnMut(&Atom) -> bool,
        mut pair: impl FnMut(&Atom, &Atom) -> bool,
    ) -> Datum {
        match self {
            Datum::Map(pairs) => Datum::from_sorted_map(
                pairs.iter().filter(|(key, value)| pair(key, value)).cloned().collect(),
            ),
            other => Datum::from_sorted_set(
                other.elements().iter().filter(|atom| element(atom)).cloned().collect(),
            ),
        }
    }
}

/// Walks two sorted lists; elements of only one of them are kept, `both` decides about pairs.
fn merge<'a, T: Clone>(
    old: &'a [T],
    new: &'a [T],
    order: impl Fn(&T, &T) -> Ordering,
    both: impl Fn(&'a T, &'a T) -> Option<&'a T>,
) -> Vec<T> {
    let mut out = Vec::new();
    let (mut a, mut b) = (0, 0);
    while a < old.len() && b < new.len() {
        match order(&old[a], &new[b]) {
            Ordering::Less => {
                out.push(old[a].clone());
                a += 1;
            }
            Ordering::Greater => {
                out.push(new[b].clone());
                b += 1;
            }
            Ordering::Equal => {
                out.extend(both(&old[a], &new[b]).cloned());
                a += 1;
                b += 1;
            }
        }
    }
    out.extend_from_slice(&old[a..]);
    out.extend_from_slice(&new[b..]);
    out
}

/// The operators of `mutate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutator {
    /// `+=`.
    Add,
    /// `-=`.
    Subtract,
    /// `*=`.
    Multiply,
    /// `/=`.
    Divide,
    /// `%=`, of integers only.
    Modulo,
    /// `insert`.
    Insert,
    /// `delete`.
    Delete,
}

impl Mutator {
    const ALL: [(&'static str, Mutator); 7] = [
        ("+=", Mutator::Add),
        ("-=", Mutator::Subtract),
        ("*=", Mutator::Multiply),
        ("/=", Mutator::Divide),
        ("%=", Mutator::Modulo),
        ("insert", Mutator::Insert),
        ("delete", Mutator::Delete),
    ];

    /// The operator of this name.
    ///
    /// # Errors
    ///
    /// `unknown mutator`.
    pub fn from_name(name: &str) -> Result<Mutator> {
        let found = Mutator::ALL.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, mutator)| *mutator)
            .ok_or_else(|| Error::new("unknown mutator", format!("No mutator named {name}.")))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Mutator::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// An operator with its argument, checked against a column.
#[derive(Debug, Clone)]
pub struct MutatorArgument {
    mutator: Mutator,
    argument: Datum,
}

impl MutatorArgument {
    /// From JSON. `whole` is the mutation, for errors.
    ///
    /// # Errors
    ///
    /// If the operator does not apply to the column or the argument does not fit.
    pub fn from_json(
        column: &Column,
        mutator: Mutator,
        whole: &Json<'_>,
        argument: &Json<'_>,
        symbols: &mut Symbols<'_>,
    ) -> Result<MutatorArgument> {
        let ty = &column.ty;
        let mismatch = || {
            Error::syntax(
                whole,
                format!(
                    "Type mismatch: \"{}\" operator may not be applied to column {} of type {}.",
                    mutator.name(),
                    column.name,
                    ty.english()
                ),
            )
        };
        let argument = match mutator {
            Mutator::Add
            | Mutator::Subtract
            | Mutator::Multiply
            | Mutator::Divide
            | Mutator::Modulo => {
                let kind = ty.key.kind;
                let fits = match kind {
                    AtomicType::Integer => true,
                    AtomicType::Real => mutator != Mutator::Modulo,
                    AtomicType::Boolean | AtomicType::String | AtomicType::Uuid => false,
                };
                if ty.is_map() || !fits {
                    return Err(mismatch());
                }
                let number = Type { key: Base::plain(kind), value: None, min: 1, max: 1 };
                Datum::from_json(&number, argument, Some(symbols))?
            }
            Mutator::Insert | Mutator::Delete => {
                if ty.is_scalar() {
                    return Err(mismatch());
                }
                let mut relaxed = Type { min: 0, ..ty.clone() };
                if mutator == Mutator::Delete {
                    relaxed.max = u32::MAX;
                }
                match Datum::from_json(&relaxed, argument, Some(symbols)) {
                    Ok(argument) => argument,
                    // From a map, keys may be given without their values.
                    Err(_) if ty.is_map() && mutator == Mutator::Delete => {
                        relaxed.value = None;
                        Datum::from_json(&relaxed, argument, Some(symbols))?
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(MutatorArgument { mutator, argument })
    }

    /// What becomes of a column's value.
    ///
    /// # Errors
    ///
    /// `domain error`, `range error` or `constraint violation`.
    pub fn apply(&self, value: &Datum, ty: &Type) -> Result<Datum> {
        let result = match self.mutator {
            Mutator::Insert => value.union(&self.argument),
            Mutator::Delete => value.subtract(&self.argument),
            Mutator::Add
            | Mutator::Subtract
            | Mutator::Multiply
            | Mutator::Divide
            | Mutator::Modulo => return self.calculate(value, ty),
        };
        self.check_number(result.len() as u64, ty)?;
        Ok(result)
    }

    /// Checks how many elements there are afterwards.
    ///
    /// # Errors
    ///
    /// `constraint violation`.
    pub fn check_number(&self, n: u64, ty: &Type) -> Result<()> {
        if n < u64::from(ty.min) || n > u64::from(ty.max) {
            return Err(Error::constraint(format!(
                "Attempted to store {n} elements in {}.",
                ty.english()
            )));
        }
        Ok(())
    }

    /// The elements that it inserts or deletes; `None` if it calculates.
    pub(crate) fn edit(&self) -> Option<(Edit, &Datum)> {
        match self.mutator {
            Mutator::Insert => Some((Edit::Insert, &self.argument)),
            Mutator::Delete => Some((Edit::Delete, &self.argument)),
            Mutator::Add
            | Mutator::Subtract
            | Mutator::Multiply
            | Mutator::Divide
            | Mutator::Modulo => None,
        }
    }

    fn calculate(&self, value: &Datum, ty: &Type) -> Result<Datum> {
        let Some(argument) = self.argument.single() else { return Ok(value.clone()) };
        let mut atoms = Vec::with_capacity(value.len());
        for atom in value.elements() {
            let atom = match (atom, argument) {
                (Atom::Integer(a), Atom::Integer(b)) => Atom::Integer(self.integer(*a, *b)?),
                (Atom::Real(a), Atom::Real(b)) => Atom::Real(self.real(*a, *b)?),
                _ => atom.clone(),
            };
            atoms.push(atom);
        }
        for atom in &atoms {
            atom.check(&ty.key)?;
        }
        atoms.sort_unstable();
        if atoms.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::constraint(format!(
                "Result of \"{}\" operation contains duplicates.",
                self.mutator.name()
            )));
        }
        Ok(Datum::from_sorted_set(atoms))
    }

    fn out_of_range(&self) -> Error {
        Error::new(
            "range error",
            format!("Result of \"{}\" operation is out of range.", self.mutator.name()),
        )
    }

    fn integer(&self, a: i64, b: i64) -> Result<i64> {
        let divides = matches!(self.mutator, Mutator::Divide | Mutator::Modulo);
        if divides && b == 0 {
            return Err(Error::new("domain error", "Division by zero."));
        }
        let result = match self.mutator {
            Mutator::Add => a.checked_add(b),
            Mutator::Subtract => a.checked_sub(b),
            Mutator::Multiply => a.checked_mul(b),
            Mutator::Divide => a.checked_div(b),
            Mutator::Modulo => a.checked_rem(b),
            Mutator::Insert | Mutator::Delete => Some(a),
        };
        result.ok_or_else(|| self.out_of_range())
    }

    fn real(&self, a: f64, b: f64) -> Result<f64> {
        if self.mutator == Mutator::Divide && b == 0.0 {
            return Err(Error::new("domain error", "Division by zero."));
        }
        let result = match self.mutator {
            Mutator::Add => a + b,
            Mutator::Subtract => a - b,
            Mutator::Multiply => a * b,
            Mutator::Divide => a / b,
            // Refused for reals when the argument was read.
            Mutator::Modulo | Mutator::Insert | Mutator::Delete => a,
        };
        if !result.is_finite() {
            return Err(self.out_of_range());
        }
        // There is only one zero.
        Ok(if result == 0.0 { 0.0 } else { result })
    }
}

impl From<&str> for Atom {
    fn from(text: &str) -> Atom {
        Atom::String(Arc::from(text))
    }
}
