//! `show`: bridges, ports and interfaces as a tree.

use std::collections::BTreeMap;

use ovsdb::Datum;

use super::{Before, Context, Done, Stop};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;
use crate::vsctl::grammar::{text, words};

/// How rows of a table are shown.
struct Shown {
    table: &'static str,
    /// The column that names a row; without one its identifier is printed.
    name: Option<&'static str>,
    /// Columns that are printed below it: those that refer to other rows as their rows, others if
    /// they are not at their default.
    columns: &'static [&'static str],
}

const SHOWN: &[Shown] = &[
    Shown {
        table: "Open_vSwitch",
        name: None,
        columns: &["manager_options", "bridges", "ovs_version"],
    },
    Shown {
        table: "Bridge",
        name: Some("name"),
        columns: &["controller", "fail_mode", "datapath_type", "ports"],
    },
    Shown { table: "Port", name: Some("name"), columns: &["tag", "trunks", "interfaces"] },
    Shown {
        table: "Interface",
        name: Some("name"),
        columns: &["type", "options", "error", "bfd_status"],
    },
    Shown { table: "Controller", name: Some("target"), columns: &["is_connected"] },
    Shown { table: "Manager", name: Some("target"), columns: &["is_connected"] },
];

fn shown(table: &str) -> Option<&'static Shown> {
    SHOWN.iter().find(|shown| shown.table == table)
}

pub(super) fn before(before: &mut Before<'_, '_>, _: &Command) -> Done {
    for shown in SHOWN {
        before.wants.table(shown.table);
        before.wants.columns(shown.table, shown.columns);
        before.wants.columns(shown.table, shown.name.as_slice());
    }
    Ok(())
}

/// Words by table: a row of the table is shown only if one of them is in its text.
type Filters = BTreeMap<String, Vec<String>>;

/// `WORD`, `TABLE(WORD|WORD)`, with commas between.
fn filters(ctx: &Context<'_, '_>, typed: &str) -> Result<Filters, Stop> {
    let mut filters = Filters::new();
    for item in typed.split(',').filter(|item| !item.is_empty()) {
        let (table, values) = match item.split_once('(') {
            None => ("Open_vSwitch", item),
            Some((table, rest)) => match rest.strip_suffix(')') {
                Some(values) => (words::table(ctx.txn.schema(), table)?.name, values),
                None => return Stop::fatal("Malformed filter: missing closing ')'"),
            },
        };
        let words = values.split('|').filter(|word| !word.is_empty()).map(str::to_lowercase);
        filters.entry(table.to_owned()).or_default().extend(words);
    }
    Ok(filters)
}

pub(super) fn show(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let filters = filters(ctx, command.option("--filter").unwrap_or_default())?;
    let mut out = String::new();
    for row in ctx.txn.rows("Open_vSwitch") {
        push_row(ctx, &mut out, row, &mut Vec::new(), &filters);
    }
    ctx.out.push_str(&out);
    Ok(())
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n(' ', 4 * level));
}

/// Prints a row and what is below it. `above` are the tables of the rows it is below.
fn push_row<'s>(
    ctx: &Context<'s, '_>,
    out: &mut String,
    row: RowId<'s>,
    above: &mut Vec<&'s str>,
    filters: &Filters,
) {
    let begin = out.len();
    let level = above.len();
    let Some(shown) = shown(row.table) else { return };
    let Some(table) = ctx.txn.schema().tables.get(row.table) else { return };
    indent(out, level);
    match shown.name.and_then(|name| Some((name, table.columns.get(name)?))) {
        Some((name, column)) => {
            let name = text::datum(&ctx.txn.read(row, name), &column.column_type);
            out.push_str(&format!("{} {name}\n", shown.table));
        }
        None => out.push_str(&format!("{}\n", row.uuid)),
    }
    if above.contains(&row.table) {
        return;
    }
    above.push(row.table);
    for name in shown.columns {
        let Some(column) = table.columns.get(*name) else { continue };
        let kind = &column.column_type;
        if let Some((target, _)) = &kind.key.refers_to
            && let Some(target) = self::shown(target)
        {
            for uuid in ctx.refs(row, name) {
                let below = RowId { table: target.table, uuid };
                if ctx.txn.exists(below) {
                    push_row(ctx, out, below, above, filters);
                }
            }
            continue;
        }
        let datum = ctx.txn.read(row, name);
        if *datum != Datum::default_of(kind) {
            indent(out, level + 1);
            out.push_str(&format!("{name}: {}\n", text::datum(&datum, kind)));
        }
    }
    above.pop();
    if let Some(words) = filters.get(row.table) {
        let text = out[begin..].to_lowercase();
        if !words.iter().any(|word| text.contains(word)) {
            out.truncate(begin);
        }
    }
}
