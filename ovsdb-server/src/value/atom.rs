//! Single values.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::sync::Arc;

use ovsdb::schema::AtomicType;
use ovsdb::value::{push_json_real, push_json_string};

use crate::error::{Error, Result};
use crate::schema::Base;
use ovsdb::Uuid;

/// A single value. Ordered within its type.
///
/// Not [`ovsdb::Atom`]: rows and monitors share strings, and no value of a row is a named UUID, which
/// only a transaction's JSON has.
#[derive(Debug, Clone)]
pub enum Atom {
    /// 64-bit signed integer.
    Integer(i64),
    /// Finite 64-bit floating point; never negative zero.
    Real(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// UTF-8 text.
    String(Arc<str>),
    /// A row's identifier.
    Uuid(Uuid),
}

impl Atom {
    /// The value a column of this type has when nothing is given (RFC 7047, section 5.2.1).
    pub fn default_of(kind: AtomicType) -> Atom {
        match kind {
            AtomicType::Integer => Atom::Integer(0),
            AtomicType::Real => Atom::Real(0.0),
            AtomicType::Boolean => Atom::Boolean(false),
            AtomicType::String => Atom::String(Arc::from("")),
            AtomicType::Uuid => Atom::Uuid(Uuid::ZERO),
        }
    }

    /// True for that value.
    pub fn is_default(&self) -> bool {
        match self {
            Atom::Integer(value) => *value == 0,
            Atom::Real(value) => *value == 0.0,
            Atom::Boolean(value) => !value,
            Atom::String(text) => text.is_empty(),
            Atom::Uuid(id) => *id == Uuid::ZERO,
        }
    }

    /// From the values of schemas.
    pub fn from_wire(atom: &ovsdb::Atom) -> Atom {
        match atom {
            ovsdb::Atom::Integer(value) => Atom::Integer(*value),
            ovsdb::Atom::Real(value) => Atom::Real(*value),
            ovsdb::Atom::Boolean(value) => Atom::Boolean(*value),
            ovsdb::Atom::String(text) => Atom::String(Arc::from(text.as_str())),
            ovsdb::Atom::Uuid(uuid) => Atom::Uuid(*uuid),
            // A schema has no rows to name.
            ovsdb::Atom::NamedUuid(_) => Atom::Uuid(Uuid::ZERO),
        }
    }

    /// The identifier, if it is one.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Atom::Uuid(id) => Some(*id),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Atom::Integer(_) => 0,
            Atom::Real(_) => 1,
            Atom::Boolean(_) => 2,
            Atom::String(_) => 3,
            Atom::Uuid(_) => 4,
        }
    }

    /// Appends the value as JSON.
    pub fn push(&self, out: &mut Vec<u8>) {
        match self {
            // Writing to a vector does not fail.
            Atom::Integer(value) => drop(write!(out, "{value}")),
            Atom::Real(value) => {
                let mut text = String::new();
                push_json_real(&mut text, *value);
                out.extend_from_slice(text.as_bytes());
            }
            Atom::Boolean(true) => out.extend_from_slice(b"true"),
            Atom::Boolean(false) => out.extend_from_slice(b"false"),
            Atom::String(text) => push_string(out, text),
            Atom::Uuid(id) => {
                out.extend_from_slice(b"[\"uuid\",\"");
                id.push(out);
                out.extend_from_slice(b"\"]");
            }
        }
    }

    /// The value as the reference writes it in error texts: as in JSON, but without quotes where a
    /// shell would need none.
    pub fn plain_text(&self) -> String {
        match self {
            Atom::String(text) => {
                let mut bytes = text.bytes();
                let word = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
                    && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
                if word
                    && !matches!(&**text, "true" | "false")
                    && Uuid::parse_bytes(text.as_bytes()).is_none()
                {
                    return text.to_string();
                }
                let mut out = String::new();
                push_json_string(&mut out, text);
                out
            }
            Atom::Uuid(id) => id.to_string(),
            Atom::Integer(_) | Atom::Real(_) | Atom::Boolean(_) => {
                let mut out = Vec::new();
                self.push(&mut out);
                String::from_utf8_lossy(&out).into_owned()
            }
        }
    }

    /// Checks the constraints of a type. References are looked at when a transaction ends.
    ///
    /// # Errors
    ///
    /// A `constraint violation` that says what is accepted.
    pub fn check(&self, base: &Base) -> Result<()> {
        if let Some(values) = &base.enumeration
            && values.binary_search(self).is_err()
        {
            let accepted: Vec<String> = values.iter().map(Atom::plain_text).collect();
            return Err(Error::constraint(format!(
                "{} is not one of the allowed values ([{}])",
                self.plain_text(),
                accepted.join(", ")
            )));
        }
        match self {
            Atom::Integer(value) => {
                let (min, max) = base.integers;
                let has = (min != i64::MIN, max != i64::MAX);
                range(value, &min, &max, has, || value.to_string(), i64::to_string)
            }
            Atom::Real(value) => {
                let (min, max) = base.reals;
                let has = (min != f64::MIN, max != f64::MAX);
                range(value, &min, &max, has, || real(value), real)
            }
            Atom::String(text) if base.lengths != (0, u64::MAX) => {
                let length = text.chars().count() as u64;
                let (min, max) = base.lengths;
                if length < min {
                    Err(Error::constraint(format!(
                        "\"{text}\" length {length} is less than minimum allowed length {min}"
                    )))
                } else if length > max {
                    Err(Error::constraint(format!(
                        "\"{text}\" length {length} is greater than maximum allowed length {max}"
                    )))
                } else {
                    Ok(())
                }
            }
            Atom::Boolean(_) | Atom::String(_) | Atom::Uuid(_) => Ok(()),
        }
    }
}

fn real(value: &f64) -> String {
    let mut out = String::new();
    push_json_real(&mut out, *value);
    out
}

fn range<T: PartialOrd>(
    value: &T,
    min: &T,
    max: &T,
    (has_min, has_max): (bool, bool),
    text: impl Fn() -> String,
    show: impl Fn(&T) -> String,
) -> Result<()> {
    if value >= min && value <= max {
        return Ok(());
    }
    let (value, min, max) = (text(), show(min), show(max));
    Err(Error::constraint(match (has_min, has_max) {
        (true, true) => format!("{value} is not in the valid range {min} to {max} (inclusive)"),
        (true, false) => format!("{value} is less than minimum allowed value {min}"),
        (false, _) => format!("{value} is greater than maximum allowed value {max}"),
    }))
}

/// Appends text as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "{written:?}");
}

impl Ord for Atom {
    fn cmp(&self, other: &Atom) -> Ordering {
        match (self, other) {
            (Atom::Integer(a), Atom::Integer(b)) => a.cmp(b),
            (Atom::Real(a), Atom::Real(b)) => a.total_cmp(b),
            (Atom::Boolean(a), Atom::Boolean(b)) => a.cmp(b),
            (Atom::String(a), Atom::String(b)) => {
                if Arc::ptr_eq(a, b) {
                    Ordering::Equal
                } else {
                    a.cmp(b)
                }
            }
            (Atom::Uuid(a), Atom::Uuid(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Atom) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Atom) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

impl Hash for Atom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Atom::Integer(value) => value.hash(state),
            Atom::Real(value) => value.to_bits().hash(state),
            Atom::Boolean(value) => value.hash(state),
            Atom::String(text) => text.hash(state),
            Atom::Uuid(id) => id.hash(state),
        }
    }
}
