//! The operations of a transaction (RFC 7047, section 5.2).

use std::collections::HashSet;
use std::sync::Arc;

use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::json::Json;
use crate::parser::{Kind, Members};
use crate::schema::{COL_UUID, COL_VERSION, TableSchema};
use crate::table::Row;
use crate::txn::execute::{Execution as Run, Stop};
use crate::value::{Atom, Datum, Mutator, MutatorArgument, Symbols};
use ovsdb::Uuid;

/// Where an operation's result goes, as JSON.
type Out = Vec<u8>;
type Done = std::result::Result<(), Stop>;

/// The column of this name.
fn column_named(table: &TableSchema, name: &str, json: &Json<'_>) -> Result<usize> {
    table.column(name).ok_or_else(|| {
        let details = format!("No column {name} in table {}.", table.name);
        Error::tagged(json, "unknown column", details)
    })
}

/// Refuses a column that does not change; `verb` is what was to be done with it.
fn check_mutable(table: &TableSchema, column: usize, verb: &str, json: &Json<'_>) -> Result<()> {
    let known = &table.columns[column];
    if known.mutable {
        return Ok(());
    }
    let details = format!("Cannot {verb} immutable column {} in table {}.", known.name, table.name);
    Err(Error::tagged(json, "constraint violation", details))
}

/// The columns of a row's JSON with their values, in order.
fn row_from_json(
    table: &TableSchema,
    json: &Json<'_>,
    symbols: &mut Symbols<'_>,
) -> Result<Vec<(usize, Datum)>> {
    let Some(members) = json.as_object() else {
        return Err(Error::syntax(json, "row must be JSON object"));
    };
    let mut columns = Vec::with_capacity(members.len());
    for (name, value) in members {
        let column = column_named(table, name, json)?;
        let datum = Datum::from_json(&table.columns[column].ty, value, Some(&mut *symbols))?;
        columns.push((column, datum));
    }
    Ok(columns)
}

/// A row with these values and defaults elsewhere.
fn with_defaults(table: &TableSchema, columns: Vec<(usize, Datum)>) -> Row {
    let mut row = table.default_row.clone();
    let fields = Arc::make_mut(&mut row);
    for (column, datum) in columns {
        fields[column] = datum;
    }
    row
}

/// The columns that a JSON array names; all of them if there is no array.
fn columns_from_json(table: &TableSchema, json: Option<&Json<'_>>) -> Result<Vec<usize>> {
    let Some(json) = json else { return Ok((0..table.columns.len()).collect()) };
    let distinct = || Error::syntax(json, "array of distinct column names expected");
    let mut columns = Vec::new();
    for element in json.as_array().ok_or_else(distinct)? {
        let name = element.as_str().ok_or_else(distinct)?;
        let Some(column) = table.column(name) else {
            return Err(Error::syntax(json, format!("{name} is not a valid column name")));
        };
        if columns.contains(&column) {
            return Err(distinct());
        }
        columns.push(column);
    }
    Ok(columns)
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(format!("{{\"count\":{count}}}").as_bytes());
}

fn condition(run: &mut Run<'_, '_>, table: usize, json: Option<&Json<'_>>) -> Result<Condition> {
    let schema = &run.txn.schema.tables[table];
    Condition::from_json(schema, json.unwrap_or(&Json::Null), Some(&mut run.symbols))
}

/// The rows that meet `where`. `columns` of them are read or written too.
fn matching(
    run: &mut Run<'_, '_>,
    table: usize,
    json: Option<&Json<'_>>,
    columns: &[usize],
) -> Result<Vec<Uuid>> {
    let condition = condition(run, table, json)?;
    Ok(matching_condition(run, table, &condition, columns))
}

fn matching_condition(
    run: &mut Run<'_, '_>,
    table: usize,
    condition: &Condition,
    columns: &[usize],
) -> Vec<Uuid> {
    run.txn.settle(table, |column| condition.reads(column) || columns.contains(&column));
    run.txn.matching(table, condition)
}

pub(super) fn insert(run: &mut Run<'_, '_>, members: &Members<'_, '_>, out: &mut Out) -> Done {
    let table = run.table(members);
    let id_json = members.optional("uuid", Kind::String);
    let name_json = members.optional("uuid-name", Kind::Id);
    let row_json = members.required("row", Kind::Object);
    members.check()?;
    let schema = &run.txn.schema.tables[table];
    let mut id = None;
    if let Some(json) = id_json {
        let given = json.as_str().and_then(|text| Uuid::parse_bytes(text.as_bytes()));
        let given = given.ok_or_else(|| Error::syntax(json, "bad uuid"))?;
        if !run.txn.may_insert(table, given) {
            return Err(Stop::Error(Error::tagged(
                json,
                "duplicate uuid",
                format!(
                    "This UUID would duplicate a UUID already present within the \"{}\" table or \
                     deleted from this table within the same transaction.",
                    schema.name
                ),
            )));
        }
        id = Some(given);
    }
    let id = match name_json.and_then(Json::as_str).zip(name_json) {
        Some((name, json)) => run.symbols.create(name, id).ok_or_else(|| {
            Error::tagged(
                json,
                "duplicate uuid-name",
                "This \"uuid-name\" appeared on an earlier \"insert\" operation.",
            )
        })?,
        None => id.unwrap_or_else(|| run.symbols.draw()),
    };
    let columns = row_from_json(schema, row_json.unwrap_or(&Json::Null), &mut run.symbols)?;
    let mut row = with_defaults(schema, columns);
    // What is not given has its default, which need not meet the constraints.
    for (datum, column) in row.iter().zip(&schema.columns) {
        if datum.len() == 1 {
            datum.check_atoms(&column.ty)?;
        }
    }
    let fields = Arc::make_mut(&mut row);
    fields[COL_UUID] = Datum::One(Atom::Uuid(id));
    fields[COL_VERSION] = Datum::One(Atom::Uuid(run.symbols.draw()));
    run.txn.insert(table, id, row);
    out.extend_from_slice(b"{\"uuid\":");
    Atom::Uuid(id).push(out);
    out.push(b'}');
    Ok(())
}

/// Appends a row's columns as a JSON object.
fn push_row(schema: &TableSchema, row: &[Datum], columns: &[usize], out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(schema.columns[*column].prefix.as_bytes());
        row[*column].push(&schema.columns[*column].ty, out);
    }
    out.push(b'}');
}

pub(super) fn select(run: &mut Run<'_, '_>, members: &Members<'_, '_>, out: &mut Out) -> Done {
    let table = run.table(members);
    let where_json = members.required("where", Kind::Array);
    let columns_json = members.optional("columns", Kind::Array);
    let sort_json = members.optional("sort", Kind::Array);
    members.check()?;
    let condition = condition(run, table, where_json)?;
    let schema = &run.txn.schema.tables[table];
    let columns = columns_from_json(schema, columns_json)?;
    let sort = columns_from_json(schema, sort_json)?;

    let read: Vec<usize> = columns.iter().chain(&sort).copied().collect();
    let found = matching_condition(run, table, &condition, &read);
    let schema = &run.txn.schema.tables[table];
    let rows = found.into_iter().filter_map(|id| run.txn.get(table, id));
    let mut rows: Vec<&Row> = rows.collect();
    if !columns.contains(&COL_UUID) {
        let mut seen: HashSet<Vec<&Datum>> = HashSet::new();
        rows.retain(|row| seen.insert(columns.iter().map(|column| &row[*column]).collect()));
    }
    rows.sort_by(|a, b| {
        let keys =
            |row: &'_ Row| sort.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
        match sort.first() {
            // All columns: the first is `_uuid`, which no two rows share.
            Some(&COL_UUID) => a[COL_UUID].cmp(&b[COL_UUID]),
            _ => keys(a).cmp(&keys(b)),
        }
    });
    out.extend_from_slice(b"{\"rows\":[");
    for (at, row) in rows.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_row(schema, row, &columns, out);
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

pub(super) fn update(run: &mut Run<'_, '_>, members: &Members<'_, '_>, out: &mut Out) -> Done {
    let table = run.table(members);
    let where_json = members.required("where", Kind::Array);
    let row_json = members.required("row", Kind::Object);
    members.check()?;
    let schema = &run.txn.schema.tables[table];
    let columns = row_from_json(schema, row_json.unwrap_or(&Json::Null), &mut run.symbols)?;
    for (column, _) in &columns {
        check_mutable(schema, *column, "update", members.json())?;
    }
    let written: Vec<usize> = columns.iter().map(|(column, _)| *column).collect();
    let found = matching(run, table, where_json, &written)?;
    for id in &found {
        let same = run
            .txn
            .get(table, *id)
            .is_none_or(|row| columns.iter().all(|(column, datum)| row[*column] == *datum));
        if !same && let Some(fields) = run.txn.modify(table, *id) {
            for (column, datum) in &columns {
                fields[*column] = datum.clone();
            }
        }
    }
    push_count(out, found.len());
    Ok(())
}

pub(super) fn mutate(run: &mut Run<'_, '_>, members: &Members<'_, '_>, out: &mut Out) -> Done {
    let table = run.table(members);
    let where_json = members.required("where", Kind::Array);
    let mutations_json = members.required("mutations", Kind::Array);
    members.check()?;
    let schema = &run.txn.schema.tables[table];
    let mut mutations = Vec::new();
    for json in mutations_json.and_then(Json::as_array).unwrap_or_default() {
        let Some([Json::String(column), Json::String(mutator), argument]) = json.as_array() else {
            return Err(Stop::Error(Error::syntax(json, "Parse error in mutation.")));
        };
        let at = column_named(schema, column, json)?;
        check_mutable(schema, at, "mutate", json)?;
        let mutator = Mutator::from_name(mutator)?;
        let symbols = &mut run.symbols;
        let argument =
            MutatorArgument::from_json(&schema.columns[at], mutator, json, argument, symbols)?;
        mutations.push((at, argument));
    }
    let calculated = mutations.iter().filter(|(_, mutation)| mutation.edit().is_none());
    let read: Vec<usize> = calculated.map(|(column, _)| *column).collect();
    let found = matching(run, table, where_json, &read)?;
    for id in &found {
        for (column, mutation) in &mutations {
            let ty = &schema.columns[*column].ty;
            if let Some((edit, argument)) = mutation.edit()
                && let Some(number) = run.txn.edit((table, *id), *column, edit, argument)
            {
                mutation.check_number(number, ty)?;
                continue;
            }
            let Some(fields) = run.txn.modify(table, *id) else { continue };
            fields[*column] = mutation.apply(&fields[*column], ty)?;
        }
    }
    push_count(out, found.len());
    Ok(())
}

pub(super) fn delete(run: &mut Run<'_, '_>, members: &Members<'_, '_>, out: &mut Out) -> Done {
    let where_json = members.required("where", Kind::Array);
    let table = run.table(members);
    members.check()?;
    let found = matching(run, table, where_json, &[])?;
    for id in &found {
        run.txn.delete(table, *id);
    }
    push_count(out, found.len());
    Ok(())
}

pub(super) fn wait(run: &mut Run<'_, '_>, members: &Members<'_, '_>, _out: &mut Out) -> Done {
    let timeout_json = members.optional("timeout", Kind::Integer);
    let where_json = members.required("where", Kind::Array);
    let columns_json = members.optional("columns", Kind::Array);
    let until_json = members.required("until", Kind::String);
    let rows_json = members.required("rows", Kind::Array);
    let table = run.table(members);
    members.check()?;
    let condition = condition(run, table, where_json)?;
    let schema = &run.txn.schema.tables[table];
    let columns = columns_from_json(schema, columns_json)?;
    let mut timeout = None;
    if let Some(json) = timeout_json {
        let Json::Integer(value) = json else { return Ok(()) };
        let value = u64::try_from(*value)
            .map_err(|_| Error::syntax(json, "timeout must be nonnegative"))?;
        run.timeout_ms = Some(run.timeout_ms.map_or(value, |known| known.min(value)));
        timeout = Some(value);
    }
    let until = until_json.unwrap_or(&Json::Null);
    let wanted = match until.as_str() {
        Some("==") => true,
        Some("!=") => false,
        _ => return Err(Stop::Error(Error::syntax(until, "\"until\" must be \"==\" or \"!=\""))),
    };
    let picked =
        |row: &Row| -> Vec<Datum> { columns.iter().map(|column| row[*column].clone()).collect() };
    let mut expected = HashSet::new();
    for json in rows_json.and_then(Json::as_array).unwrap_or_default() {
        let given = row_from_json(schema, json, &mut run.symbols)?;
        expected.insert(picked(&with_defaults(schema, given)));
    }
    let found = matching_condition(run, table, &condition, &columns);
    let rows = found.into_iter().filter_map(|id| run.txn.get(table, id));
    let actual: HashSet<Vec<Datum>> = rows.map(picked).collect();
    if (actual == expected) == wanted {
        return Ok(());
    }
    let elapsed = run.elapsed_ms;
    Err(match timeout {
        Some(timeout) if elapsed >= timeout && elapsed == 0 => {
            Stop::Error(Error::new("timed out", "\"where\" clause test failed"))
        }
        Some(timeout) if elapsed >= timeout => {
            Stop::Error(Error::new("timed out", format!("\"wait\" timed out after {elapsed} ms")))
        }
        Some(_) | None => Stop::Blocked,
    })
}

pub(super) fn commit(run: &mut Run<'_, '_>, members: &Members<'_, '_>, _out: &mut Out) -> Done {
    if let Some(Json::Bool(true)) = members.required("durable", Kind::Boolean) {
        run.durable = true;
    }
    Ok(())
}

pub(super) fn abort(_run: &mut Run<'_, '_>, _members: &Members<'_, '_>, _out: &mut Out) -> Done {
    Err(Stop::Error(Error::new("aborted", "aborted by request")))
}

pub(super) fn comment(run: &mut Run<'_, '_>, members: &Members<'_, '_>, _out: &mut Out) -> Done {
    if let Some(text) = members.required("comment", Kind::String).and_then(Json::as_str) {
        if !run.comment.is_empty() {
            run.comment.push('\n');
        }
        run.comment.push_str(text);
    }
    Ok(())
}

pub(super) fn assert(run: &mut Run<'_, '_>, members: &Members<'_, '_>, _out: &mut Out) -> Done {
    let Some(lock) = members.required("lock", Kind::Id).and_then(Json::as_str) else {
        return Ok(());
    };
    if (run.owns_lock)(lock) {
        return Ok(());
    }
    Err(Stop::Error(Error::new("not owner", format!("Asserted lock {lock} not held."))))
}
