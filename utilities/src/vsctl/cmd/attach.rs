//! Auto-attach mappings of service identifiers to VLANs. The switch itself has no auto-attach;
//! the columns are kept for those who read them.

use std::collections::BTreeMap;

use ovsdb::{Atom, Datum};

use super::controller::real_of;
use super::{Before, Context, Done, Stop, lookup};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;

pub(super) fn before(before: &mut Before<'_, '_>, _: &Command) -> Done {
    lookup::want(before.wants);
    before.wants.column("Bridge", "auto_attach");
    before.wants.column("AutoAttach", "mappings");
    Ok(())
}

fn number(text: &str) -> Result<i64, Stop> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().or_else(|_| Stop::fatal(format!("Invalid argument {text}")))
}

fn attached<'s>(ctx: &Context<'s, '_>, bridge: RowId<'s>) -> Option<RowId<'s>> {
    let uuid = ctx.refs(bridge, "auto_attach").first().copied()?;
    Some(RowId { table: "AutoAttach", uuid }).filter(|row| ctx.txn.exists(*row))
}

pub(super) fn add(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (service, vlan) = (number(command.arg(2))?, number(command.arg(3))?);
    let bridge = real_of(ctx, command.arg(1))?;
    let row = match attached(ctx, bridge.row) {
        Some(row) => row,
        None => {
            let row = ctx.insert("AutoAttach")?;
            ctx.set_refs(bridge.row, "auto_attach", &[row.uuid])?;
            row
        }
    };
    let mut mappings = ctx.map(row, "mappings");
    mappings.insert(Atom::Integer(service), Atom::Integer(vlan));
    ctx.set(row, "mappings", Datum::Map(mappings))
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (service, vlan) = (number(command.arg(2))?, number(command.arg(3))?);
    let bridge = real_of(ctx, command.arg(1))?;
    let Some(row) = attached(ctx, bridge.row) else { return Ok(()) };
    let mut mappings: BTreeMap<Atom, Atom> = ctx.map(row, "mappings");
    if mappings.get(&Atom::Integer(service)) == Some(&Atom::Integer(vlan)) {
        mappings.remove(&Atom::Integer(service));
        ctx.set(row, "mappings", Datum::Map(mappings))?;
    }
    Ok(())
}

pub(super) fn get(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let bridge = real_of(ctx, command.arg(1))?;
    ctx.verify(bridge.row, "auto_attach");
    let Some(row) = attached(ctx, bridge.row) else { return Ok(()) };
    ctx.verify(row, "mappings");
    for pair in ctx.map(row, "mappings") {
        if let (Atom::Integer(service), Atom::Integer(vlan)) = pair {
            ctx.out.push_str(&format!("{service} {vlan}\n"));
        }
    }
    Ok(())
}
