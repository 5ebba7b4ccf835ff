//! Bridge commands.

use ovsdb::{Atom, Datum};

use super::lines::push_sorted;
use super::{Before, Context, Done, Stop, lookup};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;

pub(super) fn add(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(1);
    if name.is_empty() {
        return Stop::fatal("bridge name must not be empty string");
    }
    let parent = match command.count() {
        1 => None,
        3 => match leading_number(command.arg(3)) {
            vlan @ 0..=4095 => Some((command.arg(2), vlan)),
            _ => return Stop::fatal("add-br: vlan must be between 0 and 4095"),
        },
        _ => return Stop::fatal("'add-br' command takes exactly 1 or 3 arguments"),
    };
    if command.has("--may-exist")
        && let Some(bridge) = ctx.find_bridge(name)
    {
        let (asked, problem) = match (parent, &bridge.parent) {
            (None, None) => return Ok(()),
            (None, Some(_)) => {
                (name.to_owned(), format!("is a VLAN bridge for VLAN {}", bridge.vlan))
            }
            (Some((parent, vlan)), own) => {
                let problem = match own {
                    None => "is not a VLAN bridge".to_owned(),
                    Some(own) if own != parent => format!("has the wrong parent {own}"),
                    Some(_) if bridge.vlan != vlan => {
                        format!("is a VLAN bridge for the wrong VLAN {}", bridge.vlan)
                    }
                    Some(_) => return Ok(()),
                };
                (format!("{name} {parent} {vlan}"), problem)
            }
        };
        return Stop::fatal(format!("\"--may-exist add-br {asked}\" but {name} {problem}"));
    }
    ctx.check_free(name, &format!("cannot create a bridge named {name}"))?;
    let parent = match parent {
        None => None,
        Some((parent, vlan)) => {
            let Some(bridge) = ctx.find_bridge(parent) else {
                return Stop::fatal(format!("parent bridge {parent} does not exist"));
            };
            if bridge.parent.is_some() {
                return Stop::fatal("cannot create bridge with fake bridge as parent");
            }
            if let Some(other) = ctx.topology().vlan_bridge(parent, vlan) {
                return Stop::fatal(format!(
                    "bridge {parent} already has a child VLAN bridge {other} on VLAN {vlan}"
                ));
            }
            Some((bridge.row, vlan))
        }
    };
    let interface = ctx.insert("Interface")?;
    ctx.set_text(interface, "name", name)?;
    ctx.set_text(interface, "type", "internal")?;
    let port = ctx.insert("Port")?;
    ctx.set_text(port, "name", name)?;
    ctx.set_refs(port, "interfaces", &[interface.uuid])?;
    match parent {
        None => {
            let bridge = ctx.insert("Bridge")?;
            ctx.set_text(bridge, "name", name)?;
            ctx.set_refs(bridge, "ports", &[port.uuid])?;
            ctx.add_ref(ctx.root, "bridges", bridge.uuid)?;
        }
        Some((bridge, vlan)) => {
            ctx.set(port, "fake_bridge", Datum::scalar(Atom::Boolean(true)))?;
            ctx.set(port, "tag", Datum::scalar(Atom::Integer(vlan)))?;
            ctx.add_ref(bridge, "ports", port.uuid)?;
        }
    }
    ctx.new_interfaces.push(interface.uuid);
    ctx.forget_topology();
    Ok(())
}

/// The number that a text begins with, 0 if with none, as `atoi(3)`.
pub(super) fn leading_number(text: &str) -> i64 {
    let digits = text.trim_start_matches(['-', '+']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let sign = text.len() - digits.len();
    if sign > 1 { 0 } else { text[..sign + end].parse().unwrap_or(0) }
}

pub(super) fn before_delete(before: &mut Before<'_, '_>, _: &Command) -> Done {
    lookup::want(before.wants);
    before.wants.column("Flow_Sample_Collector_Set", "bridge");
    Ok(())
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(1);
    if command.has("--if-exists") && ctx.find_bridge(name).is_none() {
        return Ok(());
    }
    ctx.bridge(name)?;
    delete_named(ctx, name)?;
    ctx.forget_topology();
    Ok(())
}

/// Deletes a bridge with its VLAN bridges, its ports and what samples its flows.
fn delete_named(ctx: &mut Context<'_, '_>, name: &str) -> Done {
    let bridge = ctx.bridge(name)?;
    for child in ctx.topology().children(name) {
        delete_named(ctx, &child)?;
    }
    for port in &bridge.ports {
        super::port::delete_named(ctx, port)?;
    }
    if bridge.parent.is_none() {
        for set in ctx.txn.rows("Flow_Sample_Collector_Set") {
            if ctx.refs(set, "bridge").contains(&bridge.row.uuid) {
                ctx.txn.delete(set);
            }
        }
        ctx.txn.delete(bridge.row);
        ctx.remove_ref(ctx.root, "bridges", bridge.row.uuid)?;
    }
    Ok(())
}

pub(super) fn list(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (real, fake) = (command.has("--real"), command.has("--fake"));
    let both = real == fake;
    let bridges = ctx.topology().bridges.clone();
    let names = bridges.into_iter().filter(|(_, bridge)| both || bridge.parent.is_some() == fake);
    push_sorted(&mut ctx.out, names.map(|(name, _)| name));
    Ok(())
}

pub(super) fn exists(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    match ctx.find_bridge(command.arg(1)) {
        Some(_) => Ok(()),
        None => Err(Stop::Exit(2)),
    }
}

pub(super) fn to_vlan(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let bridge = ctx.bridge(command.arg(1))?;
    ctx.out.push_str(&format!("{}\n", bridge.vlan));
    Ok(())
}

pub(super) fn to_parent(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(1);
    let bridge = ctx.bridge(name)?;
    ctx.out.push_str(bridge.parent.as_deref().unwrap_or(name));
    ctx.out.push('\n');
    Ok(())
}

pub(super) fn before_external_id(before: &mut Before<'_, '_>, _: &Command) -> Done {
    lookup::want(before.wants);
    before.wants.column("Bridge", "external_ids");
    before.wants.column("Port", "external_ids");
    Ok(())
}

/// Where a bridge's external ids are kept, and what their keys begin with.
fn external_ids<'s>(
    ctx: &mut Context<'s, '_>,
    name: &str,
) -> Result<(RowId<'s>, &'static str), Stop> {
    let bridge = ctx.bridge(name)?;
    let found = match bridge.parent {
        None => (bridge.row, ""),
        Some(_) => match ctx.topology().ports.get(name) {
            Some(port) => (port.row, "fake-bridge-"),
            None => return Stop::fatal(format!("no port named {name}")),
        },
    };
    ctx.verify(found.0, "external_ids");
    Ok(found)
}

pub(super) fn set_external_id(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (row, prefix) = external_ids(ctx, command.arg(1))?;
    let key = Atom::String(format!("{prefix}{}", command.arg(2)));
    let mut ids = ctx.map(row, "external_ids");
    match command.args_from(3) {
        [] => ids.remove(&key),
        [value, ..] => ids.insert(key, Atom::String(value.clone())),
    };
    ctx.set(row, "external_ids", Datum::Map(ids))
}

pub(super) fn get_external_id(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (row, prefix) = external_ids(ctx, command.arg(1))?;
    let wanted = command.args_from(2).first();
    for pair in ctx.map(row, "external_ids") {
        let (Atom::String(key), Atom::String(value)) = pair else { continue };
        let Some(key) = key.strip_prefix(prefix) else { continue };
        match wanted {
            None => ctx.out.push_str(&format!("{key}={value}\n")),
            Some(wanted) if wanted == key => ctx.out.push_str(&format!("{value}\n")),
            Some(_) => {}
        }
    }
    Ok(())
}
