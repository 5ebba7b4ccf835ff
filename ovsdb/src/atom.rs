//! Atoms and their types (RFC 7047, sections 3.2 `<atomic-type>` and 5.1 `<atom>`).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;

use serde_json::Value;

use crate::uuid::Uuid;

/// The types of single values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AtomicType {
    /// 64-bit signed integer.
    Integer,
    /// 64-bit floating point.
    Real,
    /// `true` or `false`.
    Boolean,
    /// UTF-8 text.
    String,
    /// A row's identifier.
    Uuid,
}

impl AtomicType {
    /// All of them.
    pub const ALL: &'static [AtomicType] = &[
        AtomicType::Integer,
        AtomicType::Real,
        AtomicType::Boolean,
        AtomicType::String,
        AtomicType::Uuid,
    ];

    /// The name in a schema.
    pub const fn name(self) -> &'static str {
        match self {
            AtomicType::Integer => "integer",
            AtomicType::Real => "real",
            AtomicType::Boolean => "boolean",
            AtomicType::String => "string",
            AtomicType::Uuid => "uuid",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<AtomicType> {
        AtomicType::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A single value. Ordered by type, then by value, so that every set and map has one order.
#[derive(Debug, Clone)]
pub enum Atom {
    /// 64-bit signed integer.
    Integer(i64),
    /// Finite 64-bit floating point; never negative zero.
    Real(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// UTF-8 text.
    String(String),
    /// A row's identifier.
    Uuid(Uuid),
    /// A row that the same transaction inserts (`uuid-name`). Only in transactions.
    NamedUuid(String),
}

/// A value that is not what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The JSON has another form.
    #[error("{found} where {accepted} is accepted")]
    Syntax {
        /// The JSON, cut to 64 characters.
        found: String,
        /// What would do.
        accepted: String,
    },
    /// The form is right, but a constraint of the column's type is not met.
    #[error("constraint violation: {0}")]
    Constraint(String),
}

pub(crate) fn syntax(found: &Value, accepted: impl Into<String>) -> ValueError {
    let mut text = found.to_string();
    if text.chars().count() > 64 {
        text = text.chars().take(61).collect::<String>() + "...";
    }
    ValueError::Syntax { found: text, accepted: accepted.into() }
}

impl Atom {
    /// The type it has.
    pub fn kind(&self) -> AtomicType {
        match self {
            Atom::Integer(_) => AtomicType::Integer,
            Atom::Real(_) => AtomicType::Real,
            Atom::Boolean(_) => AtomicType::Boolean,
            Atom::String(_) => AtomicType::String,
            Atom::Uuid(_) | Atom::NamedUuid(_) => AtomicType::Uuid,
        }
    }

    /// The value a column of this type has when nothing is given (RFC 7047, section 5.2.1).
    pub fn default_of(kind: AtomicType) -> Atom {
        match kind {
            AtomicType::Integer => Atom::Integer(0),
            AtomicType::Real => Atom::Real(0.0),
            AtomicType::Boolean => Atom::Boolean(false),
            AtomicType::String => Atom::String(String::new()),
            AtomicType::Uuid => Atom::Uuid(Uuid::ZERO),
        }
    }

    /// From JSON, by type.
    ///
    /// # Errors
    ///
    /// [`ValueError::Syntax`] if the JSON is of another type.
    pub fn from_json(kind: AtomicType, json: &Value) -> Result<Atom, ValueError> {
        let atom = match (kind, json) {
            (AtomicType::Integer, Value::Number(_)) => integer_of(json).map(Atom::Integer),
            (AtomicType::Real, Value::Number(number)) => {
                // Adding zero turns -0.0 into 0.0.
                number.as_f64().filter(|real| real.is_finite()).map(|real| Atom::Real(real + 0.0))
            }
            (AtomicType::Boolean, Value::Bool(value)) => Some(Atom::Boolean(*value)),
            (AtomicType::String, Value::String(text)) => Some(Atom::String(text.clone())),
            (AtomicType::Uuid, Value::Array(pair)) => match pair.as_slice() {
                [Value::String(tag), Value::String(text)] if tag == "uuid" => {
                    text.parse().ok().map(Atom::Uuid)
                }
                [Value::String(tag), Value::String(name)] if tag == "named-uuid" => {
                    is_identifier(name).then(|| Atom::NamedUuid(name.clone()))
                }
                _ => None,
            },
            (
                AtomicType::Integer
                | AtomicType::Real
                | AtomicType::Boolean
                | AtomicType::String
                | AtomicType::Uuid,
                _,
            ) => None,
        };
        atom.ok_or_else(|| match kind {
            AtomicType::Uuid => syntax(json, r#"["uuid", UUID] or ["named-uuid", NAME]"#),
            other => syntax(json, format!("a value of type {}", other.name())),
        })
    }

    /// Appends the value as JSON.
    pub fn push_json(&self, out: &mut String) {
        let _ = match self {
            Atom::Integer(value) => write!(out, "{value}"),
            Atom::Real(value) => {
                push_json_real(out, *value);
                Ok(())
            }
            Atom::Boolean(value) => write!(out, "{value}"),
            Atom::String(text) => {
                push_json_string(out, text);
                Ok(())
            }
            Atom::Uuid(uuid) => write!(out, r#"["uuid","{uuid}"]"#),
            Atom::NamedUuid(name) => write!(out, r#"["named-uuid","{name}"]"#),
        };
    }
}

/// The integer a JSON number stands for: `1e2` and `100.0` are integers, as in upstream's parser.
fn integer_of(json: &Value) -> Option<i64> {
    json.as_i64().or_else(|| {
        let real = json.as_f64().filter(|_| !json.is_u64())?;
        // 2^63 is exact as f64; anything at or above does not fit.
        (real.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&real))
            .then_some(real as i64)
    })
}

impl Ord for Atom {
    fn cmp(&self, other: &Atom) -> Ordering {
        fn rank(atom: &Atom) -> u8 {
            match atom {
                Atom::Integer(_) => 0,
                Atom::Real(_) => 1,
                Atom::Boolean(_) => 2,
                Atom::String(_) => 3,
                Atom::Uuid(_) => 4,
                Atom::NamedUuid(_) => 5,
            }
        }
        match (self, other) {
            (Atom::Integer(a), Atom::Integer(b)) => a.cmp(b),
            (Atom::Real(a), Atom::Real(b)) => a.total_cmp(b),
            (Atom::Boolean(a), Atom::Boolean(b)) => a.cmp(b),
            (Atom::String(a), Atom::String(b)) => a.cmp(b),
            (Atom::Uuid(a), Atom::Uuid(b)) => a.cmp(b),
            (Atom::NamedUuid(a), Atom::NamedUuid(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
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

/// Appends a set as JSON: a set of one as its bare atom, as upstream does.
pub(crate) fn push_json_set(out: &mut String, set: &BTreeSet<Atom>) {
    if let (1, Some(atom)) = (set.len(), set.first()) {
        return atom.push_json(out);
    }
    out.push_str(r#"["set",["#);
    for (at, atom) in set.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        atom.push_json(out);
    }
    out.push_str("]]");
}

/// Appends a real with 15 significant digits in the shorter of the plain and the exponent form,
/// as C's `%.15g` and so upstream prints it.
pub fn push_json_real(out: &mut String, real: f64) {
    let scientific = format!("{real:.14e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        // Not finite: JSON has no such number; `Atom::from_json` lets none in.
        out.push_str("null");
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) {
        let plain = format!("{real:.*}", (14 - exponent) as usize);
        out.push_str(without_trailing_zeros(&plain));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let mantissa = without_trailing_zeros(mantissa);
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
}

fn without_trailing_zeros(digits: &str) -> &str {
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.')
}

/// True for what RFC 7047 calls `<id>`: a letter or `_`, then letters, digits and `_`.
pub fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Appends `text` as a JSON string, with the escapes of upstream's: those of one letter where JSON
/// has them, `\u` and four lower-case digits for other control characters.
pub fn push_json_string(out: &mut String, text: &str) {
    /// serde_json writes whole characters.
    struct Utf8<'a>(&'a mut String);

    impl io::Write for Utf8<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push_str(str::from_utf8(bytes).map_err(io::Error::other)?);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let written = serde_json::to_writer(Utf8(out), text);
    debug_assert!(written.is_ok(), "{written:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_have_upstreams_escapes() {
        let text: String =
            (0..=0xa0_u8).map(char::from).chain("\u{20ac}\u{1f600}".chars()).collect();
        let mut out = String::new();
        push_json_string(&mut out, &text);
        let mut expected = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => expected.push_str("\\\""),
                '\\' => expected.push_str("\\\\"),
                '\n' => expected.push_str("\\n"),
                '\r' => expected.push_str("\\r"),
                '\t' => expected.push_str("\\t"),
                '\u{8}' => expected.push_str("\\b"),
                '\u{c}' => expected.push_str("\\f"),
                c if c < ' ' => expected.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => expected.push(c),
            }
        }
        expected.push('"');
        assert_eq!(out, expected);
    }
}
