//! Commands that read any table: `get`, `list`, `find`, `wait-until`.

use std::io::IsTerminal;

use ovsdb::{Atom, Datum};

use super::{Before, Context, Done, Stop, record};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;
use crate::vsctl::grammar::words::{self, Column, Table};
use crate::vsctl::grammar::{operand, text, value};
use crate::vsctl::output::{self, Heading};

/// True for the name of a row's own identifier.
fn is_uuid_name(typed: &str) -> bool {
    typed.eq_ignore_ascii_case("_uuid") || typed.eq_ignore_ascii_case("-uuid")
}

/// The table of a command's first argument; finding its rows is wanted.
pub(super) fn want_table<'s>(before: &mut Before<'_, 's>, typed: &str) -> Result<Table<'s>, Stop> {
    let table = words::table(before.schema, typed)?;
    record::want(before.wants, table);
    Ok(table)
}

/// The column that an operand begins with is wanted.
pub(super) fn want_operand(before: &mut Before<'_, '_>, table: &str, typed: &str) -> Done {
    let table = words::table(before.schema, table)?;
    let column = operand::column(typed, table)?;
    before.wants.column(table.name, column.name);
    Ok(())
}

/// `TABLE RECORD OPERAND...`.
pub(super) fn before_operands(before: &mut Before<'_, '_>, command: &Command) -> Done {
    let table = want_table(before, command.arg(1))?;
    command.args_from(3).iter().try_for_each(|typed| want_operand(before, table.name, typed))
}

pub(super) fn before_get(before: &mut Before<'_, '_>, command: &Command) -> Done {
    if !command.has("--id") && command.count() <= 2 && std::io::stdout().is_terminal() {
        before.console.warn(
            "db_ctl_base",
            "\"get\" command without row arguments or \"--id\" is possibly erroneous",
        );
    }
    let table = want_table(before, command.arg(1))?;
    for typed in command.args_from(3).iter().filter(|typed| !is_uuid_name(typed)) {
        want_operand(before, table.name, typed)?;
    }
    Ok(())
}

pub(super) fn get(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let must_exist = !command.has("--if-exists");
    let id = command.option("--id");
    if id.is_some() && !must_exist {
        return Stop::fatal("--if-exists and --id may not be specified together");
    }
    let table = ctx.table_named(command.arg(1))?;
    let typed_row = command.arg(2);
    let Some(row) = ctx.maybe_row(table, typed_row, must_exist)? else { return Ok(()) };
    if let Some(id) = id {
        let (symbol, new) = ctx.symbols.define(id)?;
        if !new {
            return Stop::fatal(format!(
                "row id \"{id}\" specified on \"get\" command was used before it was defined"
            ));
        }
        symbol.uuid = row.uuid;
        // The row is there already and stays.
        symbol.strong = true;
    }
    for typed in command.args_from(3) {
        if is_uuid_name(typed) {
            ctx.out.push_str(&format!("{}\n", row.uuid));
            continue;
        }
        let operand = operand::name(typed, table)?;
        let column = operand.column;
        ctx.txn.verify(row, column.name);
        let kind = &column.schema.column_type;
        let Some(typed_key) = operand.key else {
            let value = text::datum(&ctx.txn.read(row, column.name), kind);
            ctx.out.push_str(&value);
            ctx.out.push('\n');
            continue;
        };
        if kind.value.is_none() {
            let name = column.name;
            return Stop::fatal(format!("cannot specify key to get for non-map column {name}"));
        }
        let key = value::atom(&kind.key, &typed_key, &mut ctx.symbols)?;
        let found = match &*ctx.txn.read(row, column.name) {
            Datum::Map(map) => map.get(&key).cloned(),
            Datum::Set(_) => None,
        };
        match found {
            Some(value) => text::push_atom(&mut ctx.out, &value),
            None if must_exist => {
                return Stop::fatal(format!(
                    "no key \"{typed_key}\" in {} record \"{typed_row}\" column {}",
                    table.name, column.name
                ));
            }
            None => {}
        }
        ctx.out.push('\n');
    }
    Ok(())
}

/// The columns of `--columns`, or all of them; `None` is the row's own identifier.
fn columns<'s>(table: Table<'s>, typed: Option<&str>) -> Result<Vec<Option<Column<'s>>>, Stop> {
    let Some(typed) = typed else {
        let all = table.schema.columns.iter();
        let all = all.map(|(name, schema)| Some(Column { table, name, schema }));
        return Ok(std::iter::once(None).chain(all).collect());
    };
    let names = typed.split([',', ' ']).filter(|name| !name.is_empty());
    let columns = names.map(|name| {
        if name.eq_ignore_ascii_case("_uuid") { Ok(None) } else { table.column(name).map(Some) }
    });
    let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
    if columns.is_empty() {
        return Stop::fatal("must specify at least one column name");
    }
    Ok(columns)
}

fn want_columns<'s>(before: &mut Before<'_, 's>, command: &Command) -> Result<Table<'s>, Stop> {
    let table = want_table(before, command.arg(1))?;
    for column in columns(table, command.option("--columns"))?.into_iter().flatten() {
        before.wants.column(table.name, column.name);
    }
    Ok(table)
}

pub(super) fn before_list(before: &mut Before<'_, '_>, command: &Command) -> Done {
    want_columns(before, command).map(drop)
}

pub(super) fn before_find(before: &mut Before<'_, '_>, command: &Command) -> Done {
    let table = want_columns(before, command)?;
    command.args_from(2).iter().try_for_each(|typed| want_operand(before, table.name, typed))
}

fn table_of<'s>(
    ctx: &Context<'s, '_>,
    rows: &[RowId<'s>],
    columns: &[Option<Column<'s>>],
) -> output::Table {
    let headings = columns.iter().map(|column| match column {
        None => Heading::uuid(),
        Some(column) => {
            Heading { name: column.name.to_owned(), kind: column.schema.column_type.clone() }
        }
    });
    let mut table = output::Table::new(headings.collect());
    for row in rows {
        let cells = columns.iter().map(|column| match column {
            None => Datum::scalar(Atom::Uuid(row.uuid)),
            Some(column) => ctx.txn.read(*row, column.name).into_owned(),
        });
        table.push(cells.collect());
    }
    table
}

pub(super) fn list(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let columns = columns(table, command.option("--columns"))?;
    let must_exist = !command.has("--if-exists");
    let mut rows = Vec::new();
    for typed in command.args_from(2) {
        rows.extend(ctx.maybe_row(table, typed, must_exist)?);
    }
    if command.count() < 2 {
        rows = ctx.txn.rows(table.name);
    }
    ctx.table = Some(table_of(ctx, &rows, &columns));
    Ok(())
}

pub(super) fn find(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let columns = columns(table, command.option("--columns"))?;
    let mut rows = Vec::new();
    for row in ctx.txn.rows(table.name) {
        let mut all = true;
        for condition in command.args_from(2) {
            all = all && ctx.meets(table, row, condition)?;
        }
        if all {
            rows.push(row);
        }
    }
    ctx.table = Some(table_of(ctx, &rows, &columns));
    Ok(())
}

pub(super) fn wait_until(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let Some(row) = ctx.find_row(table, command.arg(2))? else { return Err(Stop::Wait) };
    for condition in command.args_from(3) {
        if !ctx.meets(table, row, condition)? {
            return Err(Stop::Wait);
        }
    }
    Ok(())
}
