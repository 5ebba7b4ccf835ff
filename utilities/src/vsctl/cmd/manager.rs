//! OVSDB managers: where the database server connects to or listens.

use super::controller::{insert_targets, verified_targets};
use super::lines::push_unique;
use super::{Before, Context, Done};
use crate::vsctl::grammar::command::Command;

pub(super) fn before(before: &mut Before<'_, '_>, _: &Command) -> Done {
    before.wants.column("Open_vSwitch", "manager_options");
    before.wants.columns("Manager", &["target", "inactivity_probe"]);
    Ok(())
}

pub(super) fn get(ctx: &mut Context<'_, '_>, _: &Command) -> Done {
    let rows = verified_targets(ctx, ctx.root, "manager_options", "Manager");
    let targets: Vec<String> = rows.into_iter().map(|row| ctx.text(row, "target")).collect();
    push_unique(&mut ctx.out, targets.into_iter());
    Ok(())
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, _: &Command) -> Done {
    for row in verified_targets(ctx, ctx.root, "manager_options", "Manager") {
        ctx.txn.delete(row);
    }
    ctx.clear(ctx.root, "manager_options")
}

pub(super) fn set(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    delete(ctx, command)?;
    let kinds = ["unix", "tcp", "ssl", "punix", "ptcp", "pssl"];
    let probe = command.option("--inactivity-probe");
    let rows = insert_targets(ctx, "Manager", command.args_from(1), &kinds, probe)?;
    ctx.set_refs(ctx.root, "manager_options", &rows)
}
