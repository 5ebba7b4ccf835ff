//! Which rows a session follows (`ovsdb-server(7)`, `monitor_cond`).

use std::collections::BTreeMap;

use ovsdb::condition::Function;

use crate::column::{Column, ColumnValue};
use crate::rows::{Row, Table};

/// The rows of a table that are to be followed: those that meet any of its clauses.
///
/// ```
/// use ovsdb_client::{Function, Port, RowFilter};
///
/// // Two ports by name.
/// let filter = RowFilter::<Port>::none()
///     .or(Port::COL.name, Function::Equal, &"bond0".to_owned())
///     .or(Port::COL.name, Function::Equal, &"bond1".to_owned());
/// # let _ = filter;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFilter<R> {
    clauses: Where,
    row: std::marker::PhantomData<fn() -> R>,
}

impl<R: Row> RowFilter<R> {
    /// Every row: what is followed where no filter is set.
    pub fn all() -> RowFilter<R> {
        RowFilter { clauses: Where::All, row: std::marker::PhantomData }
    }

    /// No row; also the start of a list of clauses.
    pub fn none() -> RowFilter<R> {
        RowFilter { clauses: Where::Any(Vec::new()), row: std::marker::PhantomData }
    }

    /// Also the rows of which this is true. The orders (`<` and the like) are for numbers,
    /// [`Function::Includes`] and [`Function::Excludes`] for sets and maps. If the server's schema
    /// lacks the column, no row meets the clause.
    #[must_use]
    pub fn or<T: ColumnValue>(
        mut self,
        column: Column<R, T>,
        function: Function,
        value: &T,
    ) -> RowFilter<R> {
        if let Where::Any(clauses) = &mut self.clauses {
            let mut json = String::new();
            value.encode(&mut json);
            let name = column.info.name;
            let text = format!(r#"["{name}","{}",{json}]"#, function.name());
            clauses.push((name, text));
        }
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Where {
    All,
    /// Columns and clauses as JSON.
    Any(Vec<(&'static str, String)>),
}

/// The filters of tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    tables: BTreeMap<Table, Where>,
}

impl Filters {
    /// Follows these rows of the table only.
    pub fn set<R: Row>(&mut self, filter: RowFilter<R>) {
        match filter.clauses {
            Where::All => self.tables.remove(&R::TABLE),
            clauses => self.tables.insert(R::TABLE, clauses),
        };
    }

    /// The `where` of a table; `has` says whether the server knows a column.
    pub(crate) fn clauses(&self, table: Table, has: impl Fn(&str) -> bool) -> String {
        match self.tables.get(&table) {
            None | Some(Where::All) => "[true]".to_owned(),
            Some(Where::Any(clauses)) => {
                let known: Vec<&str> = clauses
                    .iter()
                    .filter(|(column, _)| has(column))
                    .map(|(_, text)| text.as_str())
                    .collect();
                match known.is_empty() {
                    true => "[false]".to_owned(),
                    false => format!("[{}]", known.join(",")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Interface, Port};

    #[test]
    fn filters_become_clauses() {
        let mut filters = Filters::default();
        filters.set(
            RowFilter::<Port>::none()
                .or(Port::COL.name, Function::Equal, &"a\"b".to_owned())
                .or(Port::COL.trunks, Function::Includes, &vec![3, 4])
                .or(Port::COL.tag, Function::GreaterOrEqual, &Some(7)),
        );
        let has = |column: &str| column != "tag";
        assert_eq!(
            filters.clauses(Table::Port, has),
            r#"[["name","==","a\"b"],["trunks","includes",["set",[3,4]]]]"#
        );
        assert_eq!(filters.clauses(Table::Interface, has), "[true]");
        filters.set(RowFilter::<Interface>::none());
        assert_eq!(filters.clauses(Table::Interface, has), "[false]");
        filters.set(RowFilter::<Interface>::all());
        filters.set(RowFilter::<Port>::all().or(Port::COL.tag, Function::Equal, &None));
        assert_eq!(filters, Filters::default());
    }
}
