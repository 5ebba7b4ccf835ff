//! The certificates that the switch uses.

use ovsdb::{Atom, Datum};

use super::{Before, Context, Done};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;

const COLUMNS: [&str; 4] = ["private_key", "certificate", "ca_cert", "bootstrap_ca_cert"];

pub(super) fn before(before: &mut Before<'_, '_>, command: &Command) -> Done {
    before.wants.column("Open_vSwitch", "ssl");
    before.wants.table("SSL");
    if command.syntax.name == "get-ssl" {
        before.wants.columns("SSL", &COLUMNS);
    }
    Ok(())
}

fn current<'s>(ctx: &mut Context<'s, '_>) -> Option<RowId<'s>> {
    ctx.verify(ctx.root, "ssl");
    let uuid = ctx.refs(ctx.root, "ssl").first().copied()?;
    Some(RowId { table: "SSL", uuid }).filter(|row| ctx.txn.exists(*row))
}

pub(super) fn get(ctx: &mut Context<'_, '_>, _: &Command) -> Done {
    let Some(row) = current(ctx) else { return Ok(()) };
    COLUMNS.iter().for_each(|column| ctx.verify(row, column));
    let text = format!(
        "Private key: {}\nCertificate: {}\nCA Certificate: {}\nBootstrap: {}\n",
        ctx.text(row, "private_key"),
        ctx.text(row, "certificate"),
        ctx.text(row, "ca_cert"),
        ctx.flag(row, "bootstrap_ca_cert"),
    );
    ctx.out.push_str(&text);
    Ok(())
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, _: &Command) -> Done {
    match current(ctx) {
        None => Ok(()),
        Some(row) => {
            ctx.txn.delete(row);
            ctx.clear(ctx.root, "ssl")
        }
    }
}

pub(super) fn set(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    if let Some(row) = current(ctx) {
        ctx.txn.delete(row);
    }
    let row = ctx.insert("SSL")?;
    ctx.set_text(row, "private_key", command.arg(1))?;
    ctx.set_text(row, "certificate", command.arg(2))?;
    ctx.set_text(row, "ca_cert", command.arg(3))?;
    let bootstrap = Datum::scalar(Atom::Boolean(command.has("--bootstrap")));
    ctx.set(row, "bootstrap_ca_cert", bootstrap)?;
    ctx.set_refs(ctx.root, "ssl", &[row.uuid])
}
