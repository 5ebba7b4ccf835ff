//! Names of tables and columns: in any case, `-` or `_`, abbreviated; and the nearest known word.

use ovsdb::DatabaseSchema;
use ovsdb::schema::{ColumnSchema, TableSchema};

/// A table of the server's schema.
#[derive(Debug, Clone, Copy)]
pub struct Table<'s> {
    /// Its name.
    pub name: &'s str,
    /// What it has.
    pub schema: &'s TableSchema,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column<'s> {
    /// Its table.
    pub table: Table<'s>,
    /// Its name.
    pub name: &'s str,
    /// What it takes.
    pub schema: &'s ColumnSchema,
}

/// A name that is not known, or that is known for several things.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NameError {
    /// What is wrong.
    pub text: String,
    /// The nearest known name, if there is one near enough.
    pub nearest: Option<String>,
}

fn folded(byte: u8) -> u8 {
    match byte {
        b'-' => b'_',
        byte => byte.to_ascii_lowercase(),
    }
}

/// How well what was typed matches a name: exactly, exactly but for case and dashes, or as an
/// abbreviation. 0 if not at all.
fn score(name: &str, typed: &str) -> usize {
    if name == typed {
        return usize::MAX;
    }
    let same =
        name.bytes().zip(typed.bytes()).take_while(|(a, b)| folded(*a) == folded(*b)).count();
    match (same == name.len(), same == typed.len()) {
        (true, true) => usize::MAX - 1,
        (false, true) => same,
        (_, false) => 0,
    }
}

/// The names that match best.
fn best<'n>(names: impl Iterator<Item = &'n String>, typed: &str) -> Vec<&'n str> {
    let mut best = 0;
    let mut matches = Vec::new();
    for name in names {
        let score = score(name, typed);
        if score == 0 || score < best {
            continue;
        }
        if score > best {
            matches.clear();
            best = score;
        }
        matches.push(name.as_str());
    }
    matches
}

/// The table that was meant.
///
/// # Errors
///
/// [`NameError`] if there is none or several.
pub fn table<'s>(schema: &'s DatabaseSchema, typed: &str) -> Result<Table<'s>, NameError> {
    let matches = best(schema.tables.keys(), typed);
    if let [name] = matches[..]
        && let Some(found) = schema.tables.get(name)
    {
        return Ok(Table { name, schema: found });
    }
    Err(if matches.is_empty() {
        NameError {
            text: format!("unknown table \"{typed}\""),
            nearest: nearest(typed, schema.tables.keys().map(String::as_str)),
        }
    } else {
        let names = matches.join(", ");
        NameError {
            text: format!("\"{typed}\" matches multiple table names: {names}"),
            nearest: None,
        }
    })
}

impl<'s> Table<'s> {
    /// The column that was meant.
    ///
    /// # Errors
    ///
    /// [`NameError`] if there is none or several.
    pub fn column(self, typed: &str) -> Result<Column<'s>, NameError> {
        let matches = best(self.schema.columns.keys(), typed);
        if let [name] = matches[..]
            && let Some(found) = self.schema.columns.get(name)
        {
            return Ok(Column { table: self, name, schema: found });
        }
        let table = self.name;
        Err(if matches.is_empty() {
            NameError {
                text: format!("{table} does not contain a column whose name matches \"{typed}\""),
                nearest: nearest(typed, self.schema.columns.keys().map(String::as_str)),
            }
        } else {
            let names = matches.join(", ");
            NameError {
                text: format!(
                    "{table} contains more than one column whose name matches \"{typed}\": {names}"
                ),
                nearest: None,
            }
        })
    }
}

/// The known word nearest to what was typed: at most one edit in three letters away.
pub fn nearest<'n>(typed: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let most = typed.chars().count() / 3;
    known
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name.to_owned())
}

/// Insertions, deletions and replacements from one word to the other, case and dashes aside.
fn distance(a: &str, b: &str) -> usize {
    let fold = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    strsim::levenshtein(&fold(a), &fold(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> DatabaseSchema {
        DatabaseSchema::parse(
            r#"{"name":"db","version":"1.0.0","tables":{
                "CT_Zone":{"columns":{}}, "Controller":{"columns":{}},
                "Bridge":{"columns":{"name":{"type":"string"},"datapath_id":{"type":"string"},
                    "datapath_type":{"type":"string"},"other_config":{"type":"string"}}}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn abbreviations() {
        let schema = schema();
        assert_eq!(table(&schema, "b").unwrap().name, "Bridge");
        assert_eq!(table(&schema, "ct-zone").unwrap().name, "CT_Zone");
        assert_eq!(
            table(&schema, "c").unwrap_err().text,
            "\"c\" matches multiple table names: CT_Zone, Controller"
        );
        assert_eq!(table(&schema, "bridges").unwrap_err().nearest.as_deref(), Some("Bridge"));
        assert_eq!(table(&schema, "interx").unwrap_err().text, "unknown table \"interx\"");
        let bridge = table(&schema, "Bridge").unwrap();
        assert_eq!(bridge.column("other-config").unwrap().name, "other_config");
        assert_eq!(bridge.column("NAME").unwrap().name, "name");
        assert_eq!(
            bridge.column("d").unwrap_err().text,
            "Bridge contains more than one column whose name matches \"d\": datapath_id, datapath_type"
        );
        assert_eq!(
            bridge.column("otherconfig").unwrap_err().nearest.as_deref(),
            Some("other_config")
        );
    }
}
