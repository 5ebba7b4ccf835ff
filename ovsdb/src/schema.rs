//! Database schemas (RFC 7047, section 3.2): what `.ovsschema` files and `get_schema` hold.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use crate::atom::AtomicType;
use crate::atom::is_identifier;
pub use crate::types::{BaseType, ColumnType, RefType};
use crate::value::Datum;

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSchema {
    /// What it takes.
    pub column_type: ColumnType,
    /// Not kept on disk.
    pub ephemeral: bool,
    /// May change after the row is inserted.
    pub mutable: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSchema {
    /// By name, without `_uuid` and `_version`.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// Most rows; `u32::MAX` means no bound.
    pub max_rows: u32,
    /// Rows stay without being referred to.
    pub is_root: bool,
    /// Sets of columns whose values together are unique.
    pub indexes: Vec<Vec<String>>,
}

/// A database's schema.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseSchema {
    /// The database's name.
    pub name: String,
    /// `x.y.z`.
    pub version: String,
    /// Checksum of the file, if it has one.
    pub cksum: Option<String>,
    /// By name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// A schema that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema: {place}: {problem}")]
pub struct SchemaError {
    /// Where: `table Bridge, column name`.
    pub place: String,
    /// What is wrong, and what is accepted.
    pub problem: String,
}

fn error<T>(problem: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError { place: String::new(), problem: problem.into() })
}

fn within<T>(place: &str, result: Result<T, SchemaError>) -> Result<T, SchemaError> {
    result.map_err(|inner| SchemaError {
        place: if inner.place.is_empty() {
            place.to_owned()
        } else {
            format!("{place}, {}", inner.place)
        },
        problem: inner.problem,
    })
}

fn object(json: &Value) -> Result<&Map<String, Value>, SchemaError> {
    match json {
        Value::Object(map) => Ok(map),
        _ => error("an object is accepted here"),
    }
}

/// A member that a converter takes; `None` when it is absent.
fn member<T>(
    map: &Map<String, Value>,
    name: &str,
    accepted: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, SchemaError> {
    match map.get(name) {
        None => Ok(None),
        Some(value) => match convert(value) {
            Some(value) => Ok(Some(value)),
            None => error(format!("\"{name}\" is {value}, accepted is {accepted}")),
        },
    }
}

fn range<T: PartialOrd>(low: T, high: T, what: &str) -> Result<(T, T), SchemaError> {
    if low > high {
        return error(format!("min{what} exceeds max{what}"));
    }
    Ok((low, high))
}

impl BaseType {
    /// From a schema's JSON (RFC 7047, section 3.2 `<base-type>`).
    ///
    /// # Errors
    ///
    /// [`SchemaError`] that says what is accepted.
    pub fn from_json(json: &Value) -> Result<BaseType, SchemaError> {
        let kind_of = |json: &Value| json.as_str().and_then(AtomicType::from_name);
        let names = "\"integer\", \"real\", \"boolean\", \"string\" or \"uuid\"";
        if let Some(kind) = kind_of(json) {
            return Ok(BaseType::plain(kind));
        }
        let Value::Object(map) = json else {
            return error(format!("type {json}, accepted is {names} or an object"));
        };
        let Some(kind) = member(map, "type", names, kind_of)? else {
            return error("no \"type\"");
        };
        let mut base = BaseType::plain(kind);
        if let Some(values) = map.get("enum") {
            let any = ColumnType { key: BaseType::plain(kind), value: None, min: 1, max: u32::MAX };
            match Datum::from_json(&any, values) {
                Ok(Datum::Set(set)) => base.enumeration = Some(set),
                Ok(Datum::Map(_)) => return error("\"enum\" is a map, accepted is a set"),
                Err(reason) => return error(format!("\"enum\": {reason}")),
            }
        }
        let integer = |name| member(map, name, "an integer", Value::as_i64);
        let real = |name| member(map, name, "a number", Value::as_f64);
        let length = |name| member(map, name, "an integer from 0", Value::as_u64);
        base.integers = range(
            integer("minInteger")?.unwrap_or(i64::MIN),
            integer("maxInteger")?.unwrap_or(i64::MAX),
            "Integer",
        )?;
        base.reals = range(
            real("minReal")?.unwrap_or(f64::MIN),
            real("maxReal")?.unwrap_or(f64::MAX),
            "Real",
        )?;
        base.lengths = range(
            length("minLength")?.unwrap_or(0),
            length("maxLength")?.unwrap_or(u64::MAX),
            "Length",
        )?;
        let table = member(map, "refTable", "a table's name", |json| {
            json.as_str().filter(|name| is_identifier(name)).map(str::to_owned)
        })?;
        let how = member(map, "refType", "\"strong\" or \"weak\"", |json| match json.as_str() {
            Some("strong") => Some(RefType::Strong),
            Some("weak") => Some(RefType::Weak),
            _ => None,
        })?;
        base.refers_to = table.map(|table| (table, how.unwrap_or(RefType::Strong)));
        Ok(base)
    }
}

impl ColumnType {
    /// From a schema's JSON (RFC 7047, section 3.2 `<type>`).
    ///
    /// # Errors
    ///
    /// [`SchemaError`] that says what is accepted.
    pub fn from_json(json: &Value) -> Result<ColumnType, SchemaError> {
        let Value::Object(map) = json else {
            return Ok(ColumnType { key: BaseType::from_json(json)?, value: None, min: 1, max: 1 });
        };
        let Some(key) = map.get("key") else { return error("a type without \"key\"") };
        let key = within("key", BaseType::from_json(key))?;
        let value = match map.get("value") {
            None => None,
            Some(value) => Some(within("value", BaseType::from_json(value))?),
        };
        let small = |json: &Value| json.as_u64().and_then(|n| u32::try_from(n).ok());
        let min = member(map, "min", "0 or 1", |json| small(json).filter(|min| *min <= 1))?;
        let max = member(map, "max", "an integer from 1, or \"unlimited\"", |json| {
            if json == "unlimited" { Some(u32::MAX) } else { small(json).filter(|max| *max >= 1) }
        })?;
        Ok(ColumnType { key, value, min: min.unwrap_or(1), max: max.unwrap_or(1) })
    }
}

impl ColumnSchema {
    fn from_json(json: &Value) -> Result<ColumnSchema, SchemaError> {
        let map = object(json)?;
        let Some(column_type) = map.get("type") else { return error("no \"type\"") };
        let flag = |name| member(map, name, "true or false", Value::as_bool);
        Ok(ColumnSchema {
            column_type: ColumnType::from_json(column_type)?,
            ephemeral: flag("ephemeral")?.unwrap_or(false),
            mutable: flag("mutable")?.unwrap_or(true),
        })
    }
}

impl TableSchema {
    fn from_json(json: &Value) -> Result<TableSchema, SchemaError> {
        let map = object(json)?;
        let Some(columns_json) = map.get("columns") else { return error("no \"columns\"") };
        let mut columns = BTreeMap::new();
        for (name, column) in object(columns_json)? {
            let place = format!("column {name}");
            // A leading underscore is kept for the server's own columns.
            if !is_identifier(name) || name.starts_with('_') {
                return within(&place, error("not a column's name"));
            }
            columns.insert(name.clone(), within(&place, ColumnSchema::from_json(column))?);
        }
        let max_rows = member(map, "maxRows", "an integer from 1", |json| {
            json.as_u64().filter(|n| *n >= 1).and_then(|n| u32::try_from(n).ok())
        })?;
        let strings = |json: &Value| -> Option<Vec<String>> {
            json.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let indexes = member(map, "indexes", "an array of arrays of columns", |json| {
            json.as_array()?.iter().map(strings).collect::<Option<Vec<_>>>()
        })?
        .unwrap_or_default();
        for name in indexes.iter().flatten() {
            if !columns.contains_key(name) {
                return error(format!("\"indexes\" names \"{name}\", which is not a column"));
            }
        }
        Ok(TableSchema {
            columns,
            max_rows: max_rows.unwrap_or(u32::MAX),
            is_root: member(map, "isRoot", "true or false", Value::as_bool)?.unwrap_or(false),
            indexes,
        })
    }
}

impl DatabaseSchema {
    /// From the text of an `.ovsschema` file or of a `get_schema` result.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] with the place and what is accepted there.
    pub fn parse(text: &str) -> Result<DatabaseSchema, SchemaError> {
        match serde_json::from_str(text) {
            Ok(json) => DatabaseSchema::from_json(&json),
            Err(reason) => within("JSON", error(reason.to_string())),
        }
    }

    /// From JSON.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] with the place and what is accepted there.
    pub fn from_json(json: &Value) -> Result<DatabaseSchema, SchemaError> {
        within("database", DatabaseSchema::from_json_inner(json))
    }

    fn from_json_inner(json: &Value) -> Result<DatabaseSchema, SchemaError> {
        let map = object(json)?;
        let text = |name| member(map, name, "a string", |json| json.as_str().map(str::to_owned));
        let name = text("name")?.unwrap_or_default();
        if !is_identifier(&name) {
            return error(format!("\"{name}\" is not a database's name"));
        }
        let Some(tables_json) = map.get("tables") else { return error("no \"tables\"") };
        let mut tables = BTreeMap::new();
        for (name, table) in object(tables_json)? {
            let place = format!("table {name}");
            if !is_identifier(name) || name.starts_with('_') {
                return within(&place, error("not a table's name"));
            }
            tables.insert(name.clone(), within(&place, TableSchema::from_json(table))?);
        }
        let schema = DatabaseSchema {
            name,
            version: text("version")?.unwrap_or_default(),
            cksum: text("cksum")?,
            tables,
        };
        schema.check_references()?;
        Ok(schema)
    }

    fn check_references(&self) -> Result<(), SchemaError> {
        for (table, table_schema) in &self.tables {
            for (column, schema) in &table_schema.columns {
                let column_type = &schema.column_type;
                for base in
                    [Some(&column_type.key), column_type.value.as_ref()].into_iter().flatten()
                {
                    if let Some((target, _)) = &base.refers_to
                        && !self.tables.contains_key(target)
                    {
                        let place = format!("table {table}, column {column}");
                        return within(&place, error(format!("refers to unknown table {target}")));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ValueError;

    const SMALL: &str = r#"{"name":"db","version":"1.0.0","tables":{
        "Root":{"isRoot":true,"maxRows":1,"indexes":[["name"]],"columns":{
            "name":{"type":"string","mutable":false},
            "mode":{"type":{"key":{"type":"string","enum":["set",["a","b"]]},"min":0,"max":1}},
            "vlan":{"type":{"key":{"type":"integer","minInteger":0,"maxInteger":4095}}},
            "short":{"type":{"key":{"type":"string","minLength":1,"maxLength":2}}},
            "leaf":{"type":{"key":{"type":"uuid","refTable":"Leaf","refType":"weak"},"min":0,"max":"unlimited"},"ephemeral":true}}},
        "Leaf":{"columns":{"n":{"type":{"key":"string","value":"integer","min":0,"max":2}}}}}}"#;

    fn check(column: &str, json: &str) -> Result<Datum, ValueError> {
        let schema = DatabaseSchema::parse(SMALL).unwrap();
        let column = &schema.tables["Root"].columns[column];
        Datum::from_json(&column.column_type, &serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_schema_parses() {
        let schema = DatabaseSchema::parse(SMALL).unwrap();
        let root = &schema.tables["Root"];
        assert!(root.is_root && root.max_rows == 1);
        assert!(!root.columns["name"].mutable && root.columns["leaf"].ephemeral);
        assert_eq!(
            root.columns["leaf"].column_type.key.refers_to,
            Some(("Leaf".to_owned(), RefType::Weak))
        );
        assert_eq!(schema.tables["Leaf"].max_rows, u32::MAX);
    }

    #[test]
    fn constraints_are_named() {
        assert!(check("mode", r#""a""#).is_ok());
        let says = |column, json, part: &str| {
            let text = check(column, json).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        };
        says("mode", r#""c""#, r#""c" is not one of the allowed values ["set",["a","b"]]"#);
        says("vlan", "4096", "4096 is not in the valid range 0 to 4095");
        says("vlan", r#"["set",[]]"#, "0 elements where 1 to 1");
        says("short", r#""abc""#, "3 characters where 1 to 2");
        says("name", "7", "7 where a value of type string");
    }

    #[test]
    fn bad_schemas_name_the_place() {
        for (from, to, says) in [
            (
                "\"maxInteger\":4095",
                "\"maxInteger\":-1",
                "table Root, column vlan, key: minInteger",
            ),
            ("\"refTable\":\"Leaf\"", "\"refTable\":\"Gone\"", "unknown table Gone"),
            ("[[\"name\"]]", "[[\"nam\"]]", "names \"nam\""),
            ("\"max\":2", "\"max\":0", "\"max\" is 0"),
            ("\"weak\"", "\"soft\"", "\"strong\" or \"weak\""),
            ("\"db\"", "\"1db\"", "not a database's name"),
            ("\"string\",\"mutable\"", "\"text\",\"mutable\"", "column name"),
            ("}}}}}}", "", "JSON"),
        ] {
            assert!(SMALL.contains(from), "{from}");
            let text = DatabaseSchema::parse(&SMALL.replace(from, to)).unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }
}
