//! What monitors ask for (RFC 7047, section 4.1.5 `<monitor-request>`; `ovsdb-server(7)`).

use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::json::Json;
use crate::monitor::Form;
use crate::parser::{Kind, Members};
use crate::schema::{COL_UUID, Schema, TableSchema};
use crate::txn::RowChange;
use crate::value::Datum;

/// Kinds of changes, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Select(u8);

impl Select {
    /// Rows that are there at first.
    pub const INITIAL: Select = Select(1);
    /// Rows that come.
    pub const INSERT: Select = Select(2);
    /// Rows that go.
    pub const DELETE: Select = Select(4);
    /// Rows that change.
    pub const MODIFY: Select = Select(8);

    /// True if it has one of these kinds.
    pub fn has(self, kind: Select) -> bool {
        self.0 & kind.0 != 0
    }

    fn add(&mut self, other: Select) {
        self.0 |= other.0;
    }
}

/// What is asked of one table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// The table's number.
    pub table: usize,
    /// Kinds of changes of any of its columns.
    pub select: Select,
    /// Columns, in order, each with its kinds of changes.
    pub columns: Vec<(usize, Select)>,
    /// The rows wanted.
    pub condition: Condition,
}

/// What a monitor asks for: tables in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The tables.
    pub tables: Vec<TableSpec>,
}

impl TableSpec {
    /// True if a column that is asked for differs.
    pub fn differs(&self, old: &[Datum], new: &[Datum]) -> bool {
        self.columns.iter().any(|(column, _)| old[*column] != new[*column])
    }

    fn concerns(&self, change: &RowChange) -> bool {
        match (&change.old, &change.new) {
            (Some(old), Some(new)) => {
                // A condition makes rows come and go by columns that are not monitored.
                let conditional = !self.condition.is_true();
                let came = || self.condition.lets_through(old) != self.condition.lets_through(new);
                self.differs(old, new) || conditional && came()
            }
            (None, Some(new)) => {
                self.select.has(Select::INSERT) && self.condition.lets_through(new)
            }
            (Some(old), None) => {
                self.select.has(Select::DELETE) && self.condition.lets_through(old)
            }
            (None, None) => false,
        }
    }
}

impl Spec {
    /// What is asked of a table.
    pub fn table(&self, table: usize) -> Option<&TableSpec> {
        let at = self.tables.binary_search_by_key(&table, |spec| spec.table).ok()?;
        Some(&self.tables[at])
    }

    /// True if there may be something to tell of one of these changes.
    pub fn concerns(&self, changes: &[RowChange]) -> bool {
        changes
            .iter()
            .any(|change| self.table(change.table).is_some_and(|spec| spec.concerns(change)))
    }
}

/// Reads the requests of a monitor: an object of tables.
///
/// # Errors
///
/// `syntax error`: an unknown table or column, a column twice, another form.
pub fn parse(schema: &Schema, json: &Json<'_>, form: Form) -> Result<Spec> {
    let Some(requests) = json.as_object() else {
        return Err(Error::syntax(json, "monitor-requests must be object"));
    };
    let mut spec = Spec::default();
    for (name, request) in requests {
        let Some(table) = schema.table(name) else {
            return Err(Error::new("syntax error", format!("no table named {name}")));
        };
        let (select, condition) = (Select::default(), Condition::default());
        let mut parsed = TableSpec { table, select, columns: Vec::new(), condition };
        match request {
            Json::Array(requests) => requests
                .iter()
                .try_for_each(|request| parse_table(schema, &mut parsed, request, form))?,
            request => parse_table(schema, &mut parsed, request, form)?,
        }
        parsed.columns.sort_by_key(|(column, _)| *column);
        spec.tables.push(parsed);
    }
    spec.tables.sort_by_key(|spec| spec.table);
    Ok(spec)
}

fn parse_select(table: &TableSchema, json: Option<&Json<'_>>) -> Result<Select> {
    let mut select = Select::default();
    let all = [
        ("initial", Select::INITIAL),
        ("insert", Select::INSERT),
        ("delete", Select::DELETE),
        ("modify", Select::MODIFY),
    ];
    let Some(json) = json else {
        all.iter().for_each(|(_, kind)| select.add(*kind));
        return Ok(select);
    };
    let what = || format!("table {} select", table.name);
    let members = Members::new(json, &what);
    for (name, kind) in all {
        if members.optional(name, Kind::Boolean) != Some(&Json::Bool(false)) {
            select.add(kind);
        }
    }
    members.finish()?;
    Ok(select)
}

fn parse_table(schema: &Schema, spec: &mut TableSpec, json: &Json<'_>, form: Form) -> Result<()> {
    let table = &schema.tables[spec.table];
    let what = || format!("table {}", table.name);
    let members = Members::new(json, &what);
    let condition = match form {
        Form::Whole => None,
        Form::Difference => members.optional("where", Kind::Array),
    };
    let columns = members.optional("columns", Kind::Array);
    let select = members.optional("select", Kind::Object);
    members.finish()?;
    let select = parse_select(table, select)?;
    spec.select.add(select);
    let mut add = |column: usize| {
        if spec.columns.iter().any(|(known, _)| *known == column) {
            let name = &table.columns[column].name;
            let details = format!("column {name} mentioned more than once");
            return Err(Error::syntax(columns.unwrap_or(json), details));
        }
        spec.columns.push((column, select));
        Ok(())
    };
    match columns {
        None => (0..table.columns.len()).filter(|at| *at != COL_UUID).try_for_each(&mut add)?,
        Some(columns) => {
            for element in columns.as_array().unwrap_or_default() {
                let Some(name) = element.as_str() else {
                    return Err(Error::syntax(columns, "array of column names expected"));
                };
                let Some(column) = table.column(name) else {
                    let details = format!("{name} is not a valid column name");
                    return Err(Error::syntax(columns, details));
                };
                add(column)?;
            }
        }
    }
    if let Some(condition) = condition {
        spec.condition = Condition::from_json(table, condition, None)?;
    }
    Ok(())
}

/// Reads the requests of `monitor_cond_change`; gives what the monitor asks for from then on.
///
/// # Errors
///
/// `syntax error`: a table that the monitor does not have, another form.
pub fn change_conditions(schema: &Schema, spec: &Spec, json: &Json<'_>) -> Result<Spec> {
    let Some(requests) = json.as_object() else {
        return Err(Error::new("syntax error", "monitor-cond-change-requests must be object"));
    };
    let mut changed = spec.clone();
    for (name, request) in requests {
        let Some(table) = schema.table(name) else {
            return Err(Error::new("syntax error", format!("no table named {name}")));
        };
        let Some(spec) = changed.tables.iter_mut().find(|spec| spec.table == table) else {
            let details = format!("no table named {name} in monitor session");
            return Err(Error::new("syntax error", details));
        };
        let Some(requests) = request.as_array() else {
            let details = format!("table {name} no monitor-cond-change JSON array");
            return Err(Error::new("syntax error", details));
        };
        for request in requests {
            let what = || format!("table {name}");
            let members = Members::new(request, &what);
            let columns = members.optional("columns", Kind::Array);
            let condition = members.optional("where", Kind::Array);
            members.finish()?;
            if columns.is_some() {
                return Err(Error::syntax(request, "changing columns is unsupported"));
            }
            let condition = condition.unwrap_or(&Json::Null);
            spec.condition = Condition::from_json(&schema.tables[table], condition, None)?;
        }
    }
    Ok(changed)
}
