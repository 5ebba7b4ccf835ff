//! What to ask of a server: the columns that both its schema and the typed rows have.

use std::collections::BTreeMap;

use ovsdb::DatabaseSchema;

use crate::condition::Filters;
use crate::rows::Table;

/// A table or column that the server's schema lacks, or has with another type. Older servers lack
/// newer columns; they keep their defaults, and writes to them are left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {}: {reason}", table.name(), column.unwrap_or("(whole table)"))]
pub struct SchemaGap {
    /// The table.
    pub table: Table,
    /// The column; `None` if the table is missing.
    pub column: Option<&'static str>,
    /// Missing, or how it differs.
    pub reason: &'static str,
}

/// The columns to follow, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    columns: BTreeMap<Table, Vec<&'static str>>,
}

impl Plan {
    pub(crate) fn new(schema: &DatabaseSchema, tables: &[Table]) -> (Plan, Vec<SchemaGap>) {
        let mut plan = Plan::default();
        let mut gaps = Vec::new();
        for &table in tables {
            let Some(known) = schema.tables.get(table.name()) else {
                gaps.push(SchemaGap { table, column: None, reason: "not in the server's schema" });
                continue;
            };
            let mut columns = Vec::new();
            for info in table.columns() {
                let mut gap =
                    |reason| gaps.push(SchemaGap { table, column: Some(info.name), reason });
                match known.columns.get(info.name) {
                    None if info.later => {}
                    None => gap("not in the server's schema"),
                    Some(column) if !info.takes.fits(&column.column_type) => {
                        gap("of another type in the server's schema");
                    }
                    Some(_) => columns.push(info.name),
                }
            }
            plan.columns.insert(table, columns);
        }
        (plan, gaps)
    }

    /// True if the server has the column as the typed row expects it.
    pub(crate) fn has(&self, table: Table, column: &str) -> bool {
        self.columns.get(&table).is_some_and(|columns| columns.contains(&column))
    }

    /// `{table: {"columns": […]}}`, which every monitor method takes.
    pub(crate) fn monitor_requests(&self) -> String {
        self.requests(None)
    }

    /// The same with the rows to follow, for the methods that take conditions.
    pub(crate) fn conditional_requests(&self, filters: &Filters) -> String {
        self.requests(Some(filters))
    }

    fn requests(&self, filters: Option<&Filters>) -> String {
        let mut out = String::from("{");
        for (at, (table, columns)) in self.columns.iter().enumerate() {
            out.push_str(if at > 0 { ",\"" } else { "\"" });
            out.push_str(table.name());
            out.push_str(r#"":[{"columns":[""#);
            out.push_str(&columns.join("\",\""));
            out.push_str("\"]");
            if let Some(filters) = filters {
                out.push_str(r#","where":"#);
                out.push_str(&filters.clauses(*table, |column| columns.contains(&column)));
            }
            out.push_str("}]");
        }
        out.push('}');
        out
    }

    /// `{table: [{"where": […]}]}`, what `monitor_cond_change` takes.
    pub(crate) fn condition_changes(&self, filters: &Filters) -> String {
        let mut out = String::from("{");
        for (at, (table, columns)) in self.columns.iter().enumerate() {
            let clauses = filters.clauses(*table, |column| columns.contains(&column));
            let comma = if at > 0 { "," } else { "" };
            out.push_str(&format!(r#"{comma}"{}":[{{"where":{clauses}}}]"#, table.name()));
        }
        out.push('}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_an_older_server_lacks_are_left_out() {
        let schema = DatabaseSchema::parse(
            r#"{"name":"Open_vSwitch","version":"7.0.0","tables":{"Port":{"columns":{
                "name":{"type":"string"},
                "tag":{"type":"string"},
                "trunks":{"type":{"key":"integer","min":0,"max":1}}}}}}"#,
        )
        .unwrap();
        let (plan, gaps) = Plan::new(&schema, &[Table::Port, Table::Mirror]);
        assert_eq!(plan.monitor_requests(), r#"{"Port":[{"columns":["name"]}]}"#);
        assert!(plan.has(Table::Port, "name") && !plan.has(Table::Port, "tag"));
        let says = |table, column| {
            gaps.iter().find(|gap| gap.table == table && gap.column == column).map(|gap| gap.reason)
        };
        assert_eq!(says(Table::Port, Some("tag")), Some("of another type in the server's schema"));
        assert_eq!(
            says(Table::Port, Some("trunks")),
            Some("of another type in the server's schema")
        );
        assert_eq!(says(Table::Port, Some("lacp")), Some("not in the server's schema"));
        assert_eq!(says(Table::Mirror, None), Some("not in the server's schema"));
    }
}
