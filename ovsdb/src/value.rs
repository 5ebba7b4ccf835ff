//! Values: atoms, and sets and maps of them (RFC 7047, sections 3.1 and 5.1).
//!
//! These are the values of a server and of tools that work with any schema. A client that knows
//! its tables decodes into Rust types and never builds them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use crate::atom::{Atom, ValueError, is_identifier, push_json_real, push_json_string};
use crate::atom::{push_json_set, syntax};
use crate::types::ColumnType;

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
        datum.check(column)?;
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

    /// Checks the number of elements, their types and constraints.
    ///
    /// # Errors
    ///
    /// [`ValueError::Constraint`] that says what is accepted.
    pub fn check(&self, column: &ColumnType) -> Result<(), ValueError> {
        let number = self.len() as u64;
        if number < u64::from(column.min) || number > u64::from(column.max) {
            let most = match column.max {
                u32::MAX => "any number".to_owned(),
                max => max.to_string(),
            };
            return Err(ValueError::Constraint(format!(
                "{number} elements where {} to {most} are accepted",
                column.min
            )));
        }
        match (self, &column.value) {
            (Datum::Set(set), None) => set.iter().try_for_each(|atom| column.key.check(atom)),
            (Datum::Map(map), Some(value)) => map.iter().try_for_each(|(k, v)| {
                column.key.check(k)?;
                value.check(v)
            }),
            (Datum::Set(_), Some(_)) => {
                Err(ValueError::Constraint("a set where a map is accepted".to_owned()))
            }
            (Datum::Map(_), None) => {
                Err(ValueError::Constraint("a map where a set is accepted".to_owned()))
            }
        }
    }

    /// Appends the value as JSON: a set of one as its bare atom, as upstream does.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Datum::Set(set) => push_json_set(out, set),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atom::AtomicType;
    use crate::types::BaseType;
    use crate::uuid::Uuid;
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
        fn printed_values_read_back((column, datum) in any_datum()) {
            let text = datum.to_json();
            let json: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(Datum::from_json(&column, &json).unwrap(), datum);
        }
    }
}
