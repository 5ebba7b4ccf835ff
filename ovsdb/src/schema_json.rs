//! Schemas as JSON, in the form in which the reference server writes them.

use crate::schema::TableSchema;
use crate::schema::{AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, RefType};
use crate::value::{Datum, push_json_real, push_json_string};

/// An object that is being written.
struct Object<'o> {
    out: &'o mut String,
    empty: bool,
}

impl Object<'_> {
    fn new(out: &mut String) -> Object<'_> {
        out.push('{');
        Object { out, empty: true }
    }

    /// Writes a member's name; its value comes next.
    fn member(&mut self, name: &str) -> &mut String {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(',');
        }
        push_json_string(self.out, name);
        self.out.push(':');
        self.out
    }

    fn text(&mut self, name: &str, text: &str) {
        push_json_string(self.member(name), text);
    }

    fn close(self) {
        self.out.push('}');
    }
}

impl BaseType {
    fn is_plain(&self) -> bool {
        *self == BaseType::plain(self.kind)
    }

    fn push_json(&self, out: &mut String) {
        if self.is_plain() {
            push_json_string(out, self.kind.name());
            return;
        }
        let mut object = Object::new(out);
        if let Some(values) = &self.enumeration {
            Datum::Set(values.clone()).push_json(object.member("enum"));
        }
        let plain = BaseType::plain(self.kind);
        match self.kind {
            AtomicType::Integer => {
                for (name, value, default) in [
                    ("maxInteger", self.integers.1, plain.integers.1),
                    ("minInteger", self.integers.0, plain.integers.0),
                ] {
                    if value != default {
                        object.member(name).push_str(&value.to_string());
                    }
                }
            }
            AtomicType::Real => {
                for (name, value, default) in [
                    ("maxReal", self.reals.1, plain.reals.1),
                    ("minReal", self.reals.0, plain.reals.0),
                ] {
                    if value != default {
                        push_json_real(object.member(name), value);
                    }
                }
            }
            AtomicType::String => {
                for (name, value, default) in [
                    ("maxLength", self.lengths.1, plain.lengths.1),
                    ("minLength", self.lengths.0, plain.lengths.0),
                ] {
                    if value != default {
                        object.member(name).push_str(&value.to_string());
                    }
                }
            }
            AtomicType::Uuid | AtomicType::Boolean => {}
        }
        if let Some((table, how)) = &self.refers_to {
            object.text("refTable", table);
            match how {
                RefType::Strong => {}
                RefType::Weak => object.text("refType", "weak"),
            }
        }
        object.text("type", self.kind.name());
        object.close();
    }
}

impl ColumnType {
    fn push_json(&self, out: &mut String) {
        if self.is_scalar() && self.key.is_plain() {
            return self.key.push_json(out);
        }
        let mut object = Object::new(out);
        self.key.push_json(object.member("key"));
        match self.max {
            1 => {}
            u32::MAX => object.text("max", "unlimited"),
            max => object.member("max").push_str(&max.to_string()),
        }
        if self.min != 1 {
            object.member("min").push_str(&self.min.to_string());
        }
        if let Some(value) = &self.value {
            value.push_json(object.member("value"));
        }
        object.close();
    }
}

impl ColumnSchema {
    fn push_json(&self, out: &mut String) {
        let mut object = Object::new(out);
        if self.ephemeral {
            object.member("ephemeral").push_str("true");
        }
        if !self.mutable {
            object.member("mutable").push_str("false");
        }
        self.column_type.push_json(object.member("type"));
        object.close();
    }
}

impl TableSchema {
    fn push_json(&self, default_is_root: bool, out: &mut String) {
        let mut object = Object::new(out);
        let mut columns = Object::new(object.member("columns"));
        for (name, column) in &self.columns {
            column.push_json(columns.member(name));
        }
        columns.close();
        if !self.indexes.is_empty() {
            let out = object.member("indexes");
            for (at, index) in self.indexes.iter().enumerate() {
                out.push_str(if at == 0 { "[[" } else { ",[" });
                for (at, name) in index.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    push_json_string(out, name);
                }
                out.push(']');
            }
            out.push(']');
        }
        if self.is_root != default_is_root {
            object.member("isRoot").push_str(if self.is_root { "true" } else { "false" });
        }
        if self.max_rows != u32::MAX {
            object.member("maxRows").push_str(&self.max_rows.to_string());
        }
        object.close();
    }
}

impl DatabaseSchema {
    /// The schema as JSON text, members in alphabetical order, nothing that is a default.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let mut object = Object::new(&mut out);
        if let Some(cksum) = self.cksum.as_deref().filter(|cksum| !cksum.is_empty()) {
            object.text("cksum", cksum);
        }
        object.text("name", &self.name);
        // Schemas from before garbage collection had no "isRoot": where every table is one, or no
        // table says so, old readers are given what they know.
        let roots = self.tables.values().filter(|table| table.is_root).count();
        let default_is_root = roots == self.tables.len();
        let mut tables = Object::new(object.member("tables"));
        for (name, table) in &self.tables {
            table.push_json(default_is_root, tables.member(name));
        }
        tables.close();
        if !self.version.is_empty() {
            object.text("version", &self.version);
        }
        object.close();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_schema_reads_back_and_is_minimal() {
        let text = r#"{"cksum":"1 2","name":"db","tables":{
            "A":{"columns":{
              "b":{"ephemeral":true,"mutable":false,"type":{"key":{"enum":["set",["x","y"]],"type":"string"},"max":3,"min":0}},
              "i":{"type":{"key":{"maxInteger":9,"minInteger":-1,"type":"integer"},"value":"boolean","max":"unlimited"}},
              "r":{"type":{"key":{"maxReal":1.5,"type":"real"}}},
              "s":{"type":{"key":{"maxLength":4,"minLength":1,"type":"string"}}},
              "u":{"type":{"key":{"refTable":"A","refType":"weak","type":"uuid"},"max":"unlimited","min":0}}},
             "indexes":[["s"],["i","s"]],"isRoot":true,"maxRows":7},
            "B":{"columns":{"n":{"type":"integer"}}}},"version":"1.0.0"}"#;
        let schema = DatabaseSchema::parse(text).unwrap();
        let written = schema.to_json();
        assert_eq!(DatabaseSchema::parse(&written).unwrap(), schema);
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), json);
    }
}
