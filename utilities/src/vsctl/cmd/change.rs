//! Commands that change any table: `set`, `add`, `remove`, `clear`, `create`, `destroy`.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::schema::ColumnType;
use ovsdb::{Datum, Uuid};

use super::database::{want_operand, want_table};
use super::symbols::fresh_uuid;
use super::{Before, Context, Done, Stop};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;
use crate::vsctl::grammar::words::{self, Column, Table};
use crate::vsctl::grammar::{operand, value};

fn check_mutable<'s>(ctx: &Context<'s, '_>, row: RowId<'s>, column: Column<'s>) -> Done {
    if column.schema.mutable || ctx.txn.is_new(row) {
        return Ok(());
    }
    Stop::fatal(format!(
        "cannot modify read-only column {} in table {}",
        column.name, column.table.name
    ))
}

/// Sets a column, or a key of a map, by an operand `column[:key]=value`. With `alone`, nothing
/// reads the column afterwards: other keys of the map may change meanwhile.
pub(super) fn set_column<'s>(
    ctx: &mut Context<'s, '_>,
    table: Table<'s>,
    row: RowId<'s>,
    typed: &str,
    alone: bool,
) -> Done {
    let (operand, _, text) = operand::with_value(typed, table, &["="])?;
    let column = operand.column;
    let kind = &column.schema.column_type;
    check_mutable(ctx, row, column)?;
    let Some(typed_key) = operand.key else {
        let datum = value::datum(kind, text, &mut ctx.symbols)?;
        ctx.txn.write(row, column.name, datum);
        return Ok(());
    };
    let Some(value_type) = &kind.value else {
        let name = column.name;
        return Stop::fatal(format!("cannot specify key to set for non-map column {name}"));
    };
    let key = value::atom(&kind.key, &typed_key, &mut ctx.symbols)?;
    let value = value::atom(value_type, text, &mut ctx.symbols)?;
    if alone && !ctx.txn.is_written(row, column.name) {
        ctx.txn.put(row, column.name, key, value);
        return Ok(());
    }
    let mut map = ctx.map(row, column.name);
    map.insert(key, value);
    ctx.txn.verify(row, column.name);
    ctx.txn.write(row, column.name, Datum::Map(map));
    Ok(())
}

pub(super) fn set(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let must_exist = !command.has("--if-exists");
    let Some(row) = ctx.maybe_row(table, command.arg(2), must_exist)? else { return Ok(()) };
    let alone = ctx.last;
    for typed in command.args_from(3) {
        set_column(ctx, table, row, typed, alone)?;
    }
    ctx.forget_topology();
    Ok(())
}

/// `TABLE RECORD COLUMN ...`.
pub(super) fn before_column(before: &mut Before<'_, '_>, command: &Command) -> Done {
    let table = want_table(before, command.arg(1))?;
    let column = table.column(command.arg(3))?;
    before.wants.column(table.name, column.name);
    Ok(())
}

/// The column of `add` and `remove`, and the row if it is there.
fn target<'s>(
    ctx: &mut Context<'s, '_>,
    command: &Command,
) -> Result<Option<(RowId<'s>, Column<'s>)>, Stop> {
    let table = ctx.table_named(command.arg(1))?;
    let column = table.column(command.arg(3))?;
    let must_exist = !command.has("--if-exists");
    let Some(row) = ctx.maybe_row(table, command.arg(2), must_exist)? else { return Ok(None) };
    check_mutable(ctx, row, column)?;
    Ok(Some((row, column)))
}

/// What an element of a column is called.
fn elements(kind: &ColumnType) -> &'static str {
    if kind.value.is_some() { "pairs" } else { "values" }
}

pub(super) fn add(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let Some((row, column)) = target(ctx, command)? else { return Ok(()) };
    let kind = &column.schema.column_type;
    let many = ColumnType { min: 1, max: u32::MAX, ..kind.clone() };
    let mut datum = ctx.txn.read(row, column.name).into_owned();
    for typed in command.args_from(4) {
        match (&mut datum, value::datum(&many, typed, &mut ctx.symbols)?) {
            (Datum::Set(old), Datum::Set(new)) => old.extend(new),
            // A key that is there keeps its value.
            (Datum::Map(old), Datum::Map(new)) => {
                for (key, value) in new {
                    old.entry(key).or_insert(value);
                }
            }
            (Datum::Set(_), Datum::Map(_)) | (Datum::Map(_), Datum::Set(_)) => {}
        }
    }
    if datum.len() as u64 > u64::from(kind.max) {
        return Stop::fatal(format!(
            "\"add\" operation would put {} {} in column {} of table {} but the maximum number is {}",
            datum.len(),
            elements(kind),
            column.name,
            column.table.name,
            kind.max
        ));
    }
    ctx.txn.verify(row, column.name);
    ctx.txn.write(row, column.name, datum);
    ctx.forget_topology();
    Ok(())
}

pub(super) fn remove(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let Some((row, column)) = target(ctx, command)? else { return Ok(()) };
    let kind = &column.schema.column_type;
    let many = ColumnType { min: 1, max: u32::MAX, ..kind.clone() };
    let keys = ColumnType { value: None, ..many.clone() };
    let mut datum = ctx.txn.read(row, column.name).into_owned();
    for typed in command.args_from(4) {
        let mut gone = value::datum(&many, typed, &mut ctx.symbols);
        if gone.is_err() && kind.value.is_some() {
            gone = value::datum(&keys, typed, &mut ctx.symbols);
        }
        match (&mut datum, gone?) {
            (Datum::Set(old), Datum::Set(gone)) => old.retain(|atom| !gone.contains(atom)),
            (Datum::Map(old), Datum::Set(gone)) => old.retain(|key, _| !gone.contains(key)),
            (Datum::Map(old), Datum::Map(gone)) => {
                old.retain(|key, value| gone.get(key) != Some(value));
            }
            (Datum::Set(_), Datum::Map(_)) => {}
        }
    }
    if (datum.len() as u64) < u64::from(kind.min) {
        return Stop::fatal(format!(
            "\"remove\" operation would put {} {} in column {} of table {} but the minimum number \
             is {}",
            datum.len(),
            elements(kind),
            column.name,
            column.table.name,
            kind.min
        ));
    }
    ctx.txn.verify(row, column.name);
    ctx.txn.write(row, column.name, datum);
    ctx.forget_topology();
    Ok(())
}

pub(super) fn before_clear(before: &mut Before<'_, '_>, command: &Command) -> Done {
    let table = want_table(before, command.arg(1))?;
    for typed in command.args_from(3) {
        let column = table.column(typed)?;
        before.wants.column(table.name, column.name);
    }
    Ok(())
}

pub(super) fn clear(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let must_exist = !command.has("--if-exists");
    let Some(row) = ctx.maybe_row(table, command.arg(2), must_exist)? else { return Ok(()) };
    for typed in command.args_from(3) {
        let column = table.column(typed)?;
        check_mutable(ctx, row, column)?;
        let kind = &column.schema.column_type;
        if kind.min > 0 {
            return Stop::fatal(format!(
                "\"clear\" operation cannot be applied to column {} of table {}, which is not \
                 allowed to be empty",
                column.name, table.name
            ));
        }
        let empty = match kind.value {
            None => Datum::Set(BTreeSet::new()),
            Some(_) => Datum::Map(BTreeMap::new()),
        };
        ctx.txn.write(row, column.name, empty);
    }
    ctx.forget_topology();
    Ok(())
}

pub(super) fn before_create(before: &mut Before<'_, '_>, command: &Command) -> Done {
    let table = words::table(before.schema, command.arg(1))?;
    if !command.has("--id") && !table.schema.is_root {
        let name = table.name;
        before.console.warn(
            "db_ctl_base",
            &format!("applying \"create\" command to table {name} without --id option will have no effect"),
        );
    }
    command.args_from(2).iter().try_for_each(|typed| want_operand(before, table.name, typed))
}

pub(super) fn create(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let row = match command.option("--id") {
        None => ctx.txn.insert(table.name, fresh_uuid()?, false),
        Some(id) => match Uuid::parse_bytes(id.as_bytes()) {
            Some(uuid) => ctx.txn.insert(table.name, uuid, true),
            None => {
                let (symbol, _) = ctx.symbols.define(id)?;
                // A row of a root table stays without being referred to.
                symbol.strong |= table.schema.is_root;
                let uuid = symbol.uuid;
                ctx.txn.insert(table.name, uuid, false)
            }
        },
    };
    for typed in command.args_from(2) {
        set_column(ctx, table, row, typed, false)?;
    }
    ctx.created = Some(row.uuid);
    ctx.forget_topology();
    Ok(())
}

pub(super) fn before_destroy(before: &mut Before<'_, '_>, command: &Command) -> Done {
    want_table(before, command.arg(1)).map(drop)
}

pub(super) fn destroy(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let table = ctx.table_named(command.arg(1))?;
    let (all, must_exist) = (command.has("--all"), !command.has("--if-exists"));
    match (all, command.count() > 1) {
        (true, true) => {
            return Stop::fatal("--all and records argument should not be specified together");
        }
        (true, false) if !must_exist => {
            return Stop::fatal("--all and --if-exists should not be specified together");
        }
        (false, false) => {
            ctx.console.warn("db_ctl_base", "either --all or records argument should be specified");
            return Ok(());
        }
        (true, false) => {
            for row in ctx.txn.rows(table.name) {
                ctx.txn.delete(row);
            }
        }
        (false, true) => {
            for typed in command.args_from(2) {
                if let Some(row) = ctx.maybe_row(table, typed, must_exist)? {
                    ctx.txn.delete(row);
                }
            }
        }
    }
    ctx.forget_topology();
    Ok(())
}
