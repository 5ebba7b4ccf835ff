//! Values: atoms, and sets and maps of them (RFC 7047, sections 3.1 and 5.1).
//!
//! These are the values of a server and of tools that work with any schema. A client that knows
//! its tables decodes into Rust types and never builds them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use crate::schema::{AtomicType, BaseType, ColumnType};
use crate::uuid::Uuid;

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

    /// Checks the constraints of a type: enumeration, range, length. A reference is not looked up.
    ///
    /// # Errors
    ///
    /// [`ValueError::Constraint`] that names the value and what is accepted.
    pub fn check(&self, base: &BaseType) -> Result<(), ValueError> {
        base.check(self).map_err(ValueError::Constraint)
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

/// What one column of one row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// A set; a scalar is a set of one.
    Set(BTreeSet<Atom>),
    /// A map.
    Map(BTreeMap<Atom, Atom>),
}

impl Datum {
    /// A set of one.
    pub fn scalar(atom: Atom) -> Datum {
        Datum::Set(BTreeSet::from([atom]))
    }

    /// The value of a column when nothing is given: empty if that is allowed, else the type's own.
    pub fn default_of(column: &ColumnType) -> Datum {
        let key = || Atom::default_of(column.key.kind);
        match (&column.value, column.min) {
            (None, 0) => Datum::Set(BTreeSet::new()),
            (None, _) => Datum::scalar(key()),
            (Some(_), 0) => Datum::Map(BTreeMap::new()),
            (Some(value), _) => Datum::Map(BTreeMap::from([(key(), Atom::default_of(value.kind))])),
        }
    }

    /// How many atoms or pairs.
    pub fn len(&self) -> usize {
        match self {
            Datum::Set(set) => set.len(),
            Datum::Map(map) => map.len(),
        }
    }

    /// True if it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From JSON, by the column's type; the number of elements and every constraint is checked.
    ///
    /// # Errors
    ///
    /// [`ValueError`]: another form, a duplicate, too many or too few, or out of range.
    pub fn from_json(column: &ColumnType, json: &Value) -> Result<Datum, ValueError> {
        let datum = Datum::from_json_unchecked(column, json)?;
        column.check(&datum)?;
        Ok(datum)
    }

    /// The same without the constraints: only form, types and duplicates are checked.
    ///
    /// # Errors
    ///
    /// [`ValueError`]: another form or a duplicate.
    pub fn from_json_unchecked(column: &ColumnType, json: &Value) -> Result<Datum, ValueError> {
        let tagged = match json {
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(tag), Value::Array(inner)] => Some((tag.as_str(), inner)),
                _ => None,
            },
            _ => None,
        };
        match (&column.value, tagged) {
            (None, Some(("set", atoms))) => {
                let mut set = BTreeSet::new();
                for atom in atoms {
                    if !set.insert(Atom::from_json(column.key.kind, atom)?) {
                        return Err(ValueError::Constraint(format!("set has duplicate {atom}")));
                    }
                }
                Ok(Datum::Set(set))
            }
            (None, _) => Ok(Datum::scalar(Atom::from_json(column.key.kind, json)?)),
            (Some(value), Some(("map", pairs))) => {
                let mut map = BTreeMap::new();
                for pair in pairs {
                    let Some([k, v]) = pair.as_array().map(Vec::as_slice) else {
                        return Err(syntax(pair, "a pair [key, value]"));
                    };
                    let key = Atom::from_json(column.key.kind, k)?;
                    if map.insert(key, Atom::from_json(value.kind, v)?).is_some() {
                        return Err(ValueError::Constraint(format!("map has duplicate key {k}")));
                    }
                }
                Ok(Datum::Map(map))
            }
            (Some(_), _) => Err(syntax(json, r#"["map", [[key, value], ...]]"#)),
        }
    }

    /// Appends the value as JSON: a set of one as its bare atom, as upstream does.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Datum::Set(set) if set.len() == 1 => {
                set.iter().for_each(|atom| atom.push_json(out));
            }
            Datum::Set(set) => {
                out.push_str(r#"["set",["#);
                for (at, atom) in set.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    atom.push_json(out);
                }
                out.push_str("]]");
            }
            Datum::Map(map) => {
                out.push_str(r#"["map",["#);
                for (at, (key, value)) in map.iter().enumerate() {
                    out.push_str(if at > 0 { ",[" } else { "[" });
                    key.push_json(out);
                    out.push(',');
                    value.push_json(out);
                    out.push(']');
                }
                out.push_str("]]");
            }
        }
    }

    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.push_json(&mut out);
        out
    }
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

/// Appends `text` as a JSON string.
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(json: &str) -> ColumnType {
        ColumnType::from_json(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn datum(column: &ColumnType, json: &str) -> Result<Datum, ValueError> {
        Datum::from_json(column, &serde_json::from_str(json).unwrap())
    }

    #[test]
    fn numbers_read_and_print_as_upstream_does() {
        let integer = column(r#""integer""#);
        for (json, value) in [("1e2", 100), ("100.0", 100), ("-9223372036854775808", i64::MIN)] {
            assert_eq!(datum(&integer, json).unwrap(), Datum::scalar(Atom::Integer(value)));
        }
        for bad in ["1.5", "9223372036854775808", "1e30", "true", "\"1\""] {
            assert!(datum(&integer, bad).is_err(), "{bad}");
        }
        // What `printf("%.15g")` prints.
        for (real, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (-2.5e-7, "-2.5e-07"),
            (1e15, "1e+15"),
            (123456789012345.0, "123456789012345"),
            (0.0001, "0.0001"),
            (1.0 / 3.0, "0.333333333333333"),
            (1e23, "1e+23"),
        ] {
            let mut out = String::new();
            push_json_real(&mut out, real);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn sets_maps_and_references() {
        let set = column(r#"{"key":"integer","min":0,"max":3}"#);
        assert_eq!(datum(&set, r#"["set",[3,1]]"#).unwrap().to_json(), r#"["set",[1,3]]"#);
        assert_eq!(datum(&set, r#"["set",[7]]"#).unwrap().to_json(), "7");
        assert!(datum(&set, r#"["set",[1,1]]"#).is_err());
        assert!(datum(&set, r#"["set",[1,2,3,4]]"#).is_err());
        let map = column(r#"{"key":"string","value":"boolean","min":0,"max":"unlimited"}"#);
        let text = r#"["map",[["a",true],["b",false]]]"#;
        assert_eq!(datum(&map, text).unwrap().to_json(), text);
        assert!(datum(&map, r#"["map",[["a",true],["a",true]]]"#).is_err());
        assert!(datum(&map, r#""a""#).is_err());
        let uuid = column(r#""uuid""#);
        for text in [r#"["uuid","00000000-0000-0000-0000-000000000007"]"#, r#"["named-uuid","n1"]"#]
        {
            assert_eq!(datum(&uuid, text).unwrap().to_json(), text);
        }
        assert!(datum(&uuid, r#"["named-uuid","1n"]"#).is_err());
        assert!(datum(&uuid, r#"["uuid","zzz"]"#).is_err());
    }

    #[test]
    fn defaults_are_empty_or_zero() {
        assert_eq!(Datum::default_of(&column(r#""string""#)).to_json(), r#""""#);
        let optional = column(r#"{"key":"string","min":0,"max":1}"#);
        assert_eq!(Datum::default_of(&optional).to_json(), r#"["set",[]]"#);
    }

    fn any_atom(kind: AtomicType) -> BoxedStrategy<Atom> {
        match kind {
            AtomicType::Integer => any::<i64>().prop_map(Atom::Integer).boxed(),
            // Fifteen digits survive printing; more do not, by upstream's format.
            AtomicType::Real => (-999_999_999i64..999_999_999, -20i32..20)
                .prop_map(|(n, e)| Atom::Real(format!("{n}e{e}").parse::<f64>().unwrap() + 0.0))
                .boxed(),
            AtomicType::Boolean => any::<bool>().prop_map(Atom::Boolean).boxed(),
            AtomicType::String => any::<String>().prop_map(Atom::String).boxed(),
            AtomicType::Uuid => any::<u128>().prop_map(|b| Atom::Uuid(Uuid::from_u128(b))).boxed(),
        }
    }

    fn any_datum() -> impl Strategy<Value = (ColumnType, Datum)> {
        let kinds = prop::sample::select(AtomicType::ALL);
        (kinds.clone(), prop::option::of(kinds)).prop_flat_map(|(key, value)| {
            let keys = any_atom(key);
            let datum = match value {
                None => prop::collection::btree_set(keys, 0..6).prop_map(Datum::Set).boxed(),
                Some(value) => prop::collection::btree_map(keys, any_atom(value), 0..6)
                    .prop_map(Datum::Map)
                    .boxed(),
            };
            let column = ColumnType {
                key: BaseType::plain(key),
                value: value.map(BaseType::plain),
                min: 0,
                max: u32::MAX,
            };
            (Just(column), datum)
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back((column, datum) in any_datum()) {
            let text = datum.to_json();
            let json: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(Datum::from_json(&column, &json).unwrap(), datum);
        }
    }
}
