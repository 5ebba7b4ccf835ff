//! Columns: their Rust types, decoded from JSON text without an intermediate tree.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use ovsdb::Uuid;
use ovsdb::declare::{Takes, Typed};

pub use crate::atom::{AtomValue, ValueError};
use crate::decode::{decode_map, decode_set};

/// The side that a column belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The operator writes it, the switch obeys.
    Config,
    /// The switch writes it.
    Status,
}

/// What is known of a column before any server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnInfo {
    /// The name in the schema.
    pub name: &'static str,
    /// The side that writes it.
    pub class: Class,
    /// What it takes, by its Rust type.
    pub takes: Takes,
    /// Only servers of later versions have it; its absence is not reported.
    pub later: bool,
}

/// A column of row type `R` with values of type `T`, so that a write is checked by the compiler.
pub struct Column<R, T> {
    /// Name, class and type.
    pub info: ColumnInfo,
    /// Reads the column from a row.
    pub get: fn(&R) -> &T,
    row: PhantomData<fn(R) -> T>,
}

impl<R, T> Column<R, T> {
    pub(crate) const fn new(info: ColumnInfo, get: fn(&R) -> &T) -> Column<R, T> {
        Column { info, get, row: PhantomData }
    }
}

impl<R, T> Clone for Column<R, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, T> Copy for Column<R, T> {}

impl<R, T> fmt::Debug for Column<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

/// The Rust type of a column.
pub trait ColumnValue: Typed + Clone + Default + PartialEq + fmt::Debug + Send + 'static {
    /// From JSON text as RFC 7047 (section 5.1 `<value>`) writes it.
    fn decode(json: &str) -> Result<Self, ValueError>;
    /// Applies a difference: a set's is the elements that came or went; a map's the pairs that
    /// came, changed (with the new value) or went (with the old); any other column's the new value
    /// (`ovsdb-server(7)`, "Update2").
    fn apply(&mut self, json: &str) -> Result<(), ValueError> {
        *self = Self::decode(json)?;
        Ok(())
    }
    /// Appends the value as JSON.
    fn encode(&self, out: &mut String);
}

macro_rules! scalar_columns {
    ($($ty:ty)*) => { $(
        impl ColumnValue for $ty {
            fn decode(json: &str) -> Result<$ty, ValueError> {
                let mut values = decode_set::<$ty>(json)?;
                if values.len() != 1 {
                    return Err(wrong_number(values.len(), "exactly one"));
                }
                Ok(values.remove(0))
            }
            fn encode(&self, out: &mut String) {
                AtomValue::encode(self, out);
            }
        }
    )* };
}
scalar_columns!(i64 bool String Uuid);

impl<T: AtomValue> ColumnValue for Option<T> {
    fn decode(json: &str) -> Result<Option<T>, ValueError> {
        let mut values = decode_set::<T>(json)?;
        if values.len() > 1 {
            return Err(wrong_number(values.len(), "at most one"));
        }
        Ok(values.pop())
    }
    fn encode(&self, out: &mut String) {
        match self {
            Some(value) => value.encode(out),
            None => out.push_str(r#"["set",[]]"#),
        }
    }
}

impl<T: AtomValue> ColumnValue for Vec<T> {
    fn decode(json: &str) -> Result<Vec<T>, ValueError> {
        let mut values = decode_set::<T>(json)?;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }
    fn apply(&mut self, json: &str) -> Result<(), ValueError> {
        let toggled = Self::decode(json)?;
        // Both are sorted and without duplicates: their union without what is in both.
        let mut merged = Vec::with_capacity(self.len() + toggled.len());
        let mut old = std::mem::take(self).into_iter().peekable();
        let mut new = toggled.into_iter().peekable();
        loop {
            match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if a == b => {
                    old.next();
                    new.next();
                }
                (Some(a), Some(b)) if a < b => merged.extend(old.next()),
                (_, Some(_)) => merged.extend(new.next()),
                (Some(_), None) => merged.extend(old.next()),
                (None, None) => break,
            }
        }
        *self = merged;
        Ok(())
    }
    fn encode(&self, out: &mut String) {
        out.push_str(r#"["set",["#);
        for (at, value) in self.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            value.encode(out);
        }
        out.push_str("]]");
    }
}

impl<K: AtomValue, V: AtomValue> ColumnValue for BTreeMap<K, V> {
    fn decode(json: &str) -> Result<BTreeMap<K, V>, ValueError> {
        let mut map = BTreeMap::new();
        decode_map(json, |key, value| {
            map.insert(key, value);
        })?;
        Ok(map)
    }
    fn apply(&mut self, json: &str) -> Result<(), ValueError> {
        for (key, value) in Self::decode(json)? {
            if self.get(&key) == Some(&value) {
                self.remove(&key);
            } else {
                self.insert(key, value);
            }
        }
        Ok(())
    }
    fn encode(&self, out: &mut String) {
        out.push_str(r#"["map",["#);
        for (at, (key, value)) in self.iter().enumerate() {
            out.push_str(if at > 0 { ",[" } else { "[" });
            key.encode(out);
            out.push(',');
            value.encode(out);
            out.push(']');
        }
        out.push_str("]]");
    }
}

fn wrong_number(found: usize, accepted: &str) -> ValueError {
    ValueError { reason: format!("{found} values where {accepted} is accepted") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded<T: ColumnValue>(value: &T) -> String {
        let mut out = String::new();
        value.encode(&mut out);
        out
    }

    #[test]
    fn every_shape_decodes_and_encodes() {
        let uuid = Uuid::from_u128(7);
        let uuid_json = format!(r#"["uuid","{uuid}"]"#);
        assert_eq!(i64::decode("7"), Ok(7));
        assert_eq!(i64::decode("1e2"), Ok(100));
        assert_eq!(i64::decode(r#"["set",[7]]"#), Ok(7));
        assert_eq!(bool::decode("true"), Ok(true));
        assert_eq!(String::decode(r#""a\n\u00e9""#), Ok("a\né".to_owned()));
        assert_eq!(Uuid::decode(&uuid_json), Ok(uuid));
        assert_eq!(Option::<Uuid>::decode(&uuid_json), Ok(Some(uuid)));
        assert_eq!(Option::<i64>::decode(r#"["set",[]]"#), Ok(None));
        assert_eq!(Vec::<Uuid>::decode(&uuid_json), Ok(vec![uuid]));
        assert_eq!(Vec::<i64>::decode(r#"["set",[3,1,3]]"#), Ok(vec![1, 3]));
        let map = BTreeMap::<String, i64>::decode(r#"["map",[["b",2],["a",1]]]"#).unwrap();
        assert_eq!(encoded(&map), r#"["map",[["a",1],["b",2]]]"#);
        assert_eq!(encoded(&vec![uuid]), format!(r#"["set",[{uuid_json}]]"#));
        assert_eq!(encoded(&None::<bool>), r#"["set",[]]"#);
        assert_eq!(encoded(&"q\"\u{1}".to_owned()), r#""q\"\u0001""#);
    }

    #[test]
    fn differences_apply() {
        let mut set = vec![1, 3, 5];
        set.apply(r#"["set",[3,4,9]]"#).unwrap();
        assert_eq!(set, [1, 4, 5, 9]);
        set.apply("1").unwrap();
        assert_eq!(set, [4, 5, 9]);
        let mut map = BTreeMap::from([("gone".to_owned(), 1), ("kept".to_owned(), 2)]);
        map.apply(r#"["map",[["gone",1],["kept",3],["new",4]]]"#).unwrap();
        assert_eq!(map, BTreeMap::from([("kept".to_owned(), 3), ("new".to_owned(), 4)]));
        let mut option = Some(1);
        option.apply(r#"["set",[]]"#).unwrap();
        assert_eq!(option, None);
    }

    #[test]
    fn wrong_values_are_named() {
        for (json, says) in [
            (r#""x""#, "a string where a value of type integer is accepted"),
            ("1.5", "1.5 where a value of type integer is accepted"),
            ("9223372036854775808", "9223372036854775808 where"),
            (r#"["set",[1,2]]"#, "2 values where exactly one"),
            (r#"["map",[]]"#, "an array where"),
            ("[]", "an array where"),
            ("1 2", "trailing characters"),
        ] {
            let reason = i64::decode(json).unwrap_err().reason;
            assert!(reason.contains(says), "{json}: {reason}");
        }
        assert!(BTreeMap::<String, String>::decode(r#"["map",[["a"]]]"#).is_err());
        assert!(BTreeMap::<String, String>::decode(r#"["map",[["a","b","c"]]]"#).is_err());
        assert!(Vec::<Uuid>::decode(r#"["uuid","nonsense"]"#).is_err());
        assert!(Vec::<Uuid>::decode(r#"["named-uuid","x"]"#).is_err());
    }

    proptest! {
        #[test]
        fn a_difference_leads_from_the_old_to_the_new(
            old in prop::collection::btree_map("[a-c]{0,2}", any::<i64>(), 0..8),
            new in prop::collection::btree_map("[a-c]{0,2}", any::<i64>(), 0..8),
        ) {
            // As `ovsdb-server(7)` defines it: pairs of one side only, and the new value of others.
            let mut pairs: BTreeMap<String, i64> =
                old.iter().filter(|(key, _)| !new.contains_key(*key)).map(|(k, v)| (k.clone(), *v)).collect();
            pairs.extend(new.iter().filter(|(k, v)| old.get(*k) != Some(v)).map(|(k, v)| (k.clone(), *v)));
            let mut map = old.clone();
            map.apply(&encoded(&pairs)).unwrap();
            prop_assert_eq!(&map, &new);

            let (old_keys, new_keys): (Vec<String>, Vec<String>) =
                (old.into_keys().collect(), new.into_keys().collect());
            let differ = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|key| !b.contains(key)).cloned().collect()
            };
            let toggled = [differ(&old_keys, &new_keys), differ(&new_keys, &old_keys)].concat();
            let mut set = old_keys;
            set.apply(&encoded(&toggled)).unwrap();
            prop_assert_eq!(set, new_keys);
        }

        #[test]
        fn encoded_values_decode(map in prop::collection::btree_map("\\PC{0,6}", "\\PC{0,6}", 0..5),
            text in "[\\[\\]\"a-z0-9,. {}:-]{0,24}",
        ) {
            prop_assert_eq!(BTreeMap::decode(&encoded(&map)).unwrap(), map);
            // Any text at all: an error or a value, never a panic.
            let _ = BTreeMap::<String, i64>::decode(&text);
            let _ = Vec::<Uuid>::decode(&text);
        }
    }
}
