//! OpenFlow controllers and what a bridge does without one.

use ovsdb::{Atom, Datum, Uuid};

use super::bridge::leading_number;
use super::lines::push_sorted;
use super::topology::Bridge;
use super::{Before, Context, Done, Stop, lookup};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;

pub(super) fn before(before: &mut Before<'_, '_>, _: &Command) -> Done {
    lookup::want(before.wants);
    before.wants.columns("Controller", &["target", "inactivity_probe"]);
    Ok(())
}

/// Inserts rows with targets into `Controller` or `Manager`.
pub(super) fn insert_targets(
    ctx: &mut Context<'_, '_>,
    table: &str,
    targets: &[String],
    kinds: &[&str],
    probe: Option<&str>,
) -> Result<Vec<Uuid>, Stop> {
    let mut rows = Vec::new();
    for target in targets {
        if !kinds.iter().any(|kind| target.strip_prefix(kind).is_some_and(|r| r.starts_with(':'))) {
            ctx.console.warn("vsctl", &format!("target type \"{target}\" is possibly erroneous"));
        }
        let row = ctx.insert(table)?;
        ctx.set_text(row, "target", target)?;
        if let Some(probe) = probe {
            let milliseconds = Datum::scalar(Atom::Integer(leading_number(probe)));
            ctx.set(row, "inactivity_probe", milliseconds)?;
        }
        rows.push(row.uuid);
    }
    Ok(rows)
}

/// The rows that a column refers to, with their targets relied on.
pub(super) fn verified_targets<'s>(
    ctx: &mut Context<'s, '_>,
    owner: RowId<'s>,
    column: &str,
    table: &'static str,
) -> Vec<RowId<'s>> {
    ctx.verify(owner, column);
    let rows = ctx.refs(owner, column).into_iter().map(|uuid| RowId { table, uuid });
    let rows: Vec<RowId<'s>> = rows.filter(|row| ctx.txn.exists(*row)).collect();
    for row in &rows {
        ctx.verify(*row, "target");
    }
    rows
}

/// The bridge itself, or of a VLAN bridge its parent.
pub(super) fn real_of<'s>(ctx: &mut Context<'s, '_>, name: &str) -> Result<Bridge<'s>, Stop> {
    let bridge = ctx.bridge(name)?;
    match bridge.parent {
        Some(parent) => ctx.bridge(&parent),
        None => Ok(bridge),
    }
}

pub(super) fn get(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let bridge = real_of(ctx, command.arg(1))?;
    let rows = verified_targets(ctx, bridge.row, "controller", "Controller");
    let targets: Vec<String> = rows.into_iter().map(|row| ctx.text(row, "target")).collect();
    push_sorted(&mut ctx.out, targets.into_iter());
    Ok(())
}

/// Deletes a bridge's controllers; gives the bridge.
fn delete_all<'s>(ctx: &mut Context<'s, '_>, name: &str) -> Result<(Bridge<'s>, bool), Stop> {
    let bridge = ctx.real_bridge(name)?;
    let rows = verified_targets(ctx, bridge.row, "controller", "Controller");
    for row in &rows {
        ctx.txn.delete(*row);
    }
    Ok((bridge, !rows.is_empty()))
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    match delete_all(ctx, command.arg(1))? {
        (bridge, true) => ctx.clear(bridge.row, "controller"),
        (_, false) => Ok(()),
    }
}

pub(super) fn set(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (bridge, _) = delete_all(ctx, command.arg(1))?;
    let kinds = ["unix", "tcp", "ssl", "punix", "ptcp", "pssl"];
    let probe = command.option("--inactivity-probe");
    let rows = insert_targets(ctx, "Controller", command.args_from(2), &kinds, probe)?;
    ctx.set_refs(bridge.row, "controller", &rows)
}

pub(super) fn get_fail_mode(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let bridge = real_of(ctx, command.arg(1))?;
    ctx.verify(bridge.row, "fail_mode");
    let mode = ctx.text(bridge.row, "fail_mode");
    if !mode.is_empty() {
        ctx.out.push_str(&format!("{mode}\n"));
    }
    Ok(())
}

pub(super) fn delete_fail_mode(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let bridge = ctx.real_bridge(command.arg(1))?;
    ctx.clear(bridge.row, "fail_mode")
}

pub(super) fn set_fail_mode(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let bridge = ctx.real_bridge(command.arg(1))?;
    let mode = command.arg(2);
    if !matches!(mode, "standalone" | "secure") {
        return Stop::fatal("fail-mode must be \"standalone\" or \"secure\"");
    }
    ctx.set_text(bridge.row, "fail_mode", mode)
}
