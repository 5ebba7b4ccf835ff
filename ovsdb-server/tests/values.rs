//! Values: what is written reads back, and differences lead from one value to the other.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::schema::AtomicType;
use ovsdb_server::json::Json;
use ovsdb_server::log::decode;
use ovsdb_server::schema::{Schema, Type};
use ovsdb_server::value::{Atom, Datum};
use proptest::prelude::*;

const KINDS: [AtomicType; 5] = [
    AtomicType::Integer,
    AtomicType::Real,
    AtomicType::Boolean,
    AtomicType::String,
    AtomicType::Uuid,
];

/// JSON of a single value, from few so that values meet.
fn atom(kind: AtomicType) -> BoxedStrategy<String> {
    match kind {
        AtomicType::Integer => {
            prop_oneof![(-3..3_i64), any::<i64>()].prop_map(|n| n.to_string()).boxed()
        }
        AtomicType::Real => prop_oneof![
            (-3..3_i64).prop_map(|n| n.to_string()),
            (-999_999_i64..999_999, -9..9_i32).prop_map(|(n, e)| format!("{n}e{e}")),
        ]
        .boxed(),
        AtomicType::Boolean => any::<bool>().prop_map(|b| b.to_string()).boxed(),
        AtomicType::String => prop_oneof!["[a-c]{0,2}", "[^\u{0}]*"]
            .prop_map(|text: String| serde_json::to_string(&text).unwrap())
            .boxed(),
        AtomicType::Uuid => (0..6_u8)
            .prop_map(|n| format!("[\"uuid\",\"0000000{n}-89ab-4def-8123-456789abcdef\"]"))
            .boxed(),
    }
}

/// The schema's text of a column, and values for it.
fn column() -> impl Strategy<Value = (String, Vec<String>)> {
    let kind = || prop::sample::select(&KINDS[..]);
    (kind(), prop::option::of(kind())).prop_flat_map(|(key, value)| {
        let ty = match value {
            None => format!(r#"{{"key":"{}","min":0,"max":"unlimited"}}"#, key.name()),
            Some(value) => format!(
                r#"{{"key":"{}","value":"{}","min":0,"max":"unlimited"}}"#,
                key.name(),
                value.name()
            ),
        };
        // Equal values may be written differently, so they are told apart by what they mean.
        let distinct = |texts: Vec<String>| -> Vec<String> {
            let mut seen = BTreeSet::new();
            let canonical = |text: &String| Json::parse(text).unwrap().to_text();
            texts.into_iter().filter(|text| seen.insert(canonical(text))).collect()
        };
        let one = match value {
            None => prop::collection::vec(atom(key), 0..6)
                .prop_map(move |atoms| format!("[\"set\",[{}]]", distinct(atoms).join(",")))
                .boxed(),
            Some(value) => {
                (prop::collection::vec(atom(key), 0..6), prop::collection::vec(atom(value), 6))
                    .prop_map(move |(keys, values)| {
                        let pairs = distinct(keys).into_iter().zip(values);
                        let pairs: Vec<String> = pairs.map(|(k, v)| format!("[{k},{v}]")).collect();
                        format!("[\"map\",[{}]]", pairs.join(","))
                    })
                    .boxed()
            }
        };
        (Just(ty), prop::collection::vec(one, 3))
    })
}

fn schema(ty: &str) -> Schema {
    Schema::parse(&format!(
        r#"{{"name":"db","tables":{{"T":{{"columns":{{"c":{{"type":{ty}}}}}}}}}}}"#
    ))
    .unwrap()
}

fn datum(ty: &Type, text: &str) -> Datum {
    Datum::from_json(ty, &Json::parse(text).unwrap(), None).unwrap()
}

/// A map, or a set whose elements have no values.
fn model(datum: &Datum) -> BTreeMap<Atom, Option<Atom>> {
    let elements = datum.elements().iter().map(|atom| (atom.clone(), None));
    elements.chain(datum.pairs().iter().map(|(k, v)| (k.clone(), Some(v.clone())))).collect()
}

proptest! {
    #[test]
    fn values_read_back_and_change((ty, texts) in column()) {
        let schema = schema(&ty);
        let table = &schema.tables[0];
        let at = table.column("c").unwrap();
        let ty = &table.columns[at].ty;
        let values: Vec<Datum> = texts.iter().map(|text| datum(ty, text)).collect();
        for value in &values {
            let text = value.to_json(ty);
            prop_assert_eq!(&datum(ty, &text), value);
            // From a record of the log, by the other reader.
            let record =
                format!(r#"{{"T":{{"01234567-89ab-4def-8123-456789abcdef":{{"c":{text}}}}}}}"#);
            let record = decode(&schema, record.as_bytes()).unwrap();
            prop_assert_eq!(&record.cells, &vec![(at, value.clone())]);
        }
        for old in &values {
            for new in &values {
                let diff = old.diff(new, ty);
                prop_assert_eq!(&old.apply_diff(&diff, ty), new);
                prop_assert_eq!(diff.is_empty(), old == new);
                let (a, b) = (model(old), model(new));
                let mut union = b.clone();
                union.extend(a.clone());
                prop_assert_eq!(model(&old.union(new)), union);
                let mut rest = a.clone();
                rest.retain(|key, value| b.get(key) != Some(value));
                prop_assert_eq!(model(&old.subtract(new)), rest);
                prop_assert_eq!(old.is_within(new), a.iter().all(|(k, v)| b.get(k) == Some(v)));
                prop_assert_eq!(old.is_apart_from(new), a.iter().all(|(k, v)| b.get(k) != Some(v)));
                prop_assert_eq!(old == new, a == b);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0..200_usize) {
        let schema = schema(r#"{"key":"string","value":"uuid","min":0,"max":"unlimited"}"#);
        let _ = decode(&schema, &bytes);
        let good = r#"{"_date":1,"_is_diff":true,"T":{"01234567-89ab-4def-8123-456789abcdef":{"c":["map",[["a",["uuid","01234567-89ab-4def-8123-456789abcdef"]]]]}}}"#;
        let mut mixed = good.as_bytes()[..cut.min(good.len())].to_vec();
        mixed.extend_from_slice(&bytes);
        let _ = decode(&schema, &mixed);
        if let Ok(text) = std::str::from_utf8(&mixed) {
            let _ = Json::parse(text);
        }
    }
}
