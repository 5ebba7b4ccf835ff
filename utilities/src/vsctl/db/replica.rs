//! Rows of any table, as a monitor reports them (RFC 7047, section 4.1.5).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ovsdb::{DatabaseSchema, Datum, Uuid};
use serde::Deserialize;
use serde_json::Value;

/// Which columns of which tables commands look at.
#[derive(Debug, Clone, Default)]
pub struct Wants(BTreeMap<String, BTreeSet<String>>);

impl Wants {
    /// The rows of a table, even if none of its columns is wanted.
    pub fn table(&mut self, table: &str) {
        self.0.entry(table.to_owned()).or_default();
    }

    /// A column.
    pub fn column(&mut self, table: &str, column: &str) {
        self.0.entry(table.to_owned()).or_default().insert(column.to_owned());
    }

    /// Several columns.
    pub fn columns(&mut self, table: &str, columns: &[&str]) {
        for column in columns {
            self.column(table, column);
        }
    }

    /// The parameters of `monitor`, without what the server's schema lacks.
    pub fn monitor(&self, schema: &DatabaseSchema, id: &str) -> String {
        let mut tables = serde_json::Map::new();
        for (table, columns) in &self.0 {
            let Some(known) = schema.tables.get(table) else { continue };
            let columns: Vec<&String> =
                columns.iter().filter(|column| known.columns.contains_key(*column)).collect();
            tables.insert(table.clone(), serde_json::json!({ "columns": columns }));
        }
        serde_json::json!([schema.name, id, tables]).to_string()
    }
}

/// A row's columns by name; those that are not wanted are missing.
pub type Columns = BTreeMap<String, Datum>;

/// The rows of the wanted tables as the server last reported them.
#[derive(Debug, Default)]
pub struct Rows(BTreeMap<String, BTreeMap<Uuid, Columns>>);

#[derive(Deserialize)]
struct RowUpdate<'a> {
    #[serde(borrow, default)]
    new: Option<BTreeMap<Cow<'a, str>, Value>>,
}

impl Rows {
    /// The rows of a table.
    pub fn table(&self, table: &str) -> impl Iterator<Item = Uuid> + '_ {
        self.0.get(table).into_iter().flat_map(|rows| rows.keys().copied())
    }

    /// A row.
    pub fn row(&self, table: &str, uuid: Uuid) -> Option<&Columns> {
        self.0.get(table)?.get(&uuid)
    }

    /// Takes up `<table-updates>` in JSON.
    ///
    /// # Errors
    ///
    /// What in it is not as the schema says.
    pub fn apply(&mut self, schema: &DatabaseSchema, json: &str) -> Result<(), String> {
        let updates: BTreeMap<Cow<'_, str>, BTreeMap<Uuid, RowUpdate<'_>>> =
            serde_json::from_str(json).map_err(|error| format!("table updates: {error}"))?;
        for (table, rows) in updates {
            let Some(known) = schema.tables.get(table.as_ref()) else {
                return Err(format!("table updates: unknown table {table}"));
            };
            let own = self.0.entry(table.clone().into_owned()).or_default();
            for (uuid, update) in rows {
                let Some(new) = update.new else {
                    own.remove(&uuid);
                    continue;
                };
                let row = own.entry(uuid).or_default();
                for (name, value) in new {
                    let Some(column) = known.columns.get(name.as_ref()) else {
                        return Err(format!("table updates: unknown column {table}.{name}"));
                    };
                    let datum = Datum::from_json_unchecked(&column.column_type, &value)
                        .map_err(|error| format!("{table} {uuid} {name}: {error}"))?;
                    row.insert(name.into_owned(), datum);
                }
            }
        }
        Ok(())
    }

    /// Takes up the parameters of an `update` notification.
    ///
    /// # Errors
    ///
    /// As [`Rows::apply`].
    pub fn apply_notification(
        &mut self,
        schema: &DatabaseSchema,
        json: &str,
    ) -> Result<(), String> {
        let (_, updates): (serde::de::IgnoredAny, &serde_json::value::RawValue) =
            serde_json::from_str(json).map_err(|error| format!("update: {error}"))?;
        self.apply(schema, updates.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_followed() {
        let schema = DatabaseSchema::parse(
            r#"{"name":"db","version":"1.0.0","tables":{"T":{"columns":{"a":{"type":"integer"},
                "b":{"type":"string"}}}}}"#,
        )
        .unwrap();
        let mut wants = Wants::default();
        wants.columns("T", &["a", "gone"]);
        wants.table("Gone");
        assert_eq!(wants.monitor(&schema, "m"), r#"["db","m",{"T":{"columns":["a"]}}]"#);
        let uuid = Uuid::from_u128(7);
        let mut rows = Rows::default();
        rows.apply(&schema, &format!(r#"{{"T":{{"{uuid}":{{"new":{{"a":1}}}}}}}}"#)).unwrap();
        let changed = format!(r#"["m",{{"T":{{"{uuid}":{{"old":{{"a":1}},"new":{{"a":2}}}}}}}}]"#);
        rows.apply_notification(&schema, &changed).unwrap();
        assert_eq!(rows.row("T", uuid).unwrap()["a"].to_json(), "2");
        for bad in [r#"{"U":{}}"#, "[]", "{"] {
            assert!(rows.apply(&schema, bad).is_err(), "{bad}");
        }
        let bad = format!(r#"{{"T":{{"{uuid}":{{"new":{{"a":"x"}}}}}}}}"#);
        assert!(rows.apply(&schema, &bad).unwrap_err().contains(" a: "));
        rows.apply(&schema, &format!(r#"{{"T":{{"{uuid}":{{"old":{{"a":2}}}}}}}}"#)).unwrap();
        assert_eq!(rows.table("T").count(), 0);
    }
}
