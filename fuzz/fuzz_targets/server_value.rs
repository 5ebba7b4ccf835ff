//! A schema and values of its columns, as the server reads them: a value that is taken obeys its
//! type, prints as one that is taken again and is equal, and differs from another by a difference
//! that makes the one from the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb_server::RowIds;
use ovsdb_server::json::Json;
use ovsdb_server::schema::{Schema, Type};
use ovsdb_server::value::{Datum, Symbols};

fn value(ty: &Type, json: &Json<'_>) -> Option<Datum> {
    let mut ids = RowIds::seeded(1);
    let mut symbols = Symbols::new(&mut ids);
    let datum = Datum::from_json(ty, json, Some(&mut symbols)).ok()?;
    datum.check(ty).expect("what is taken obeys its type");
    let text = datum.to_json(ty);
    let again = Json::parse(&text).expect("we print JSON");
    assert_eq!(Datum::from_json(ty, &again, None).as_ref(), Ok(&datum), "{text}");
    Some(datum)
}

fuzz_target!(|text: &str| {
    // A column's type, then values.
    let mut lines = text.split('\n');
    let column = lines.next().unwrap_or_default();
    let schema = format!(
        r#"{{"name":"db","version":"1.0.0","tables":{{"T":{{"columns":{{"c":{{"type":{column}}}}}}}}}}}"#
    );
    let Ok(schema) = Schema::parse(&schema) else { return };
    let Some(ty) = schema.tables.first().and_then(|t| Some(&t.columns[t.column("c")?].ty)) else {
        return;
    };
    let values: Vec<Datum> =
        lines.take(4).filter_map(|line| value(ty, &Json::parse(line).ok()?)).collect();
    for old in &values {
        for new in &values {
            let diff = old.diff(new, ty);
            assert_eq!(&old.apply_diff(&diff, ty), new, "{old:?} {diff:?}");
        }
    }
});
