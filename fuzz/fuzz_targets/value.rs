//! A column type and a value of it, both as JSON: a value that is taken prints as one that is
//! taken again and is equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb::Datum;
use ovsdb::schema::{ColumnType, DatabaseSchema};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let _ = DatabaseSchema::parse(text);
    let Ok(Value::Array(parts)) = serde_json::from_str::<Value>(text) else { return };
    let [kind, value, ..] = &parts[..] else { return };
    let Ok(column) = ColumnType::from_json(kind) else { return };
    if let Ok(datum) = Datum::from_json(&column, value) {
        let printed = datum.to_json();
        let json = serde_json::from_str(&printed).expect("we print JSON");
        assert_eq!(Datum::from_json_unchecked(&column, &json).as_ref(), Ok(&datum), "{printed}");
    }
});
