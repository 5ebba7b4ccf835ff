//! Port and interface commands.

use ovsdb::{Atom, Datum};

use super::lines::push_sorted;
use super::{Before, Context, Done, Stop, change, database, lookup};
use crate::vsctl::grammar::command::Command;

pub(super) fn list(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(1);
    let bridge = ctx.bridge(name)?;
    ctx.verify(bridge.row, "ports");
    push_sorted(&mut ctx.out, bridge.ports.into_iter().filter(|port| port != name));
    Ok(())
}

pub(super) fn list_interfaces(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(1);
    let bridge = ctx.bridge(name)?;
    ctx.verify_ports();
    let all = ctx.topology();
    let interfaces: Vec<String> = (bridge.ports.iter())
        .filter_map(|port| all.ports.get(port))
        .flat_map(|port| port.interfaces.iter().filter(|interface| *interface != name).cloned())
        .collect();
    push_sorted(&mut ctx.out, interfaces.into_iter());
    Ok(())
}

pub(super) fn to_bridge(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let port = ctx.port(command.arg(1))?;
    ctx.out.push_str(&format!("{}\n", port.bridge));
    Ok(())
}

pub(super) fn interface_to_bridge(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (_, bridge) = ctx.interface(command.arg(1))?;
    ctx.out.push_str(&format!("{bridge}\n"));
    Ok(())
}

/// The columns that settings read, besides the usual. An error in one is reported when the command
/// runs: names that are in use or missing come first, and `--may-exist` may leave the settings out.
pub(super) fn before_add(before: &mut Before<'_, '_>, command: &Command) -> Done {
    lookup::want(before.wants);
    for setting in command.args_from(3).iter().skip_while(|argument| !argument.contains('=')) {
        if database::want_operand(before, "Port", setting).is_err() {
            break;
        }
    }
    Ok(())
}

pub(super) fn add(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let interfaces = [command.arg(2).to_owned()];
    add_port(ctx, command, &interfaces, command.args_from(3), false)
}

/// `add-port` and `add-bond`.
pub(super) fn add_port(
    ctx: &mut Context<'_, '_>,
    command: &Command,
    interfaces: &[String],
    settings: &[String],
    fake_interface: bool,
) -> Done {
    let (bridge_name, name) = (command.arg(1), command.arg(2));
    if name.is_empty() {
        return Stop::fatal("port name must not be empty string");
    }
    if interfaces.iter().any(String::is_empty) {
        return Stop::fatal("interface name must not be empty string");
    }
    if command.has("--may-exist")
        && let Some(port) = ctx.find_port(name)
    {
        let line = command.to_line();
        if port.bridge != bridge_name {
            let actual = port.bridge;
            return Stop::fatal(format!(
                "\"{line}\" but {name} is actually attached to bridge {actual}"
            ));
        }
        let mut want = interfaces.to_vec();
        let mut have = port.interfaces;
        want.sort_unstable();
        have.sort_unstable();
        if want != have {
            let have = have.join(", ");
            return Stop::fatal(format!("\"{line}\" but {name} actually has interface(s) {have}"));
        }
        return Ok(());
    }
    ctx.check_free(name, &format!("cannot create a port named {name}"))?;
    for interface in interfaces {
        ctx.check_free(interface, &format!("cannot create an interface named {interface}"))?;
    }
    let bridge = ctx.bridge(bridge_name)?;
    let mut rows = Vec::new();
    for interface in interfaces {
        let row = ctx.insert("Interface")?;
        ctx.set_text(row, "name", interface)?;
        ctx.new_interfaces.push(row.uuid);
        rows.push((interface.clone(), row));
    }
    let port = ctx.insert("Port")?;
    ctx.set_text(port, "name", name)?;
    let uuids: Vec<_> = rows.iter().map(|(_, row)| row.uuid).collect();
    ctx.set_refs(port, "interfaces", &uuids)?;
    ctx.set(port, "bond_fake_iface", Datum::scalar(Atom::Boolean(fake_interface)))?;
    if bridge.parent.is_some() {
        ctx.set(port, "tag", Datum::scalar(Atom::Integer(bridge.vlan)))?;
    }
    let table = ctx.table_named("Port")?;
    for setting in settings {
        change::set_column(ctx, table, port, setting, false)?;
    }
    ctx.add_ref(bridge.row, "ports", port.uuid)?;
    let tag = ctx.integer(port, "tag");
    let real = bridge.parent.unwrap_or_else(|| bridge_name.to_owned());
    ctx.topology().add_port(&real, name, port, tag, rows);
    Ok(())
}

/// Deletes a port with its interfaces.
pub(super) fn delete_named(ctx: &mut Context<'_, '_>, name: &str) -> Done {
    let all = ctx.topology();
    let Some(port) = all.ports.get(name).cloned() else {
        return Stop::fatal(format!("no port named {name}"));
    };
    let bridge = all.bridges.get(&port.bridge).map(|bridge| bridge.row);
    let interfaces: Vec<_> = (port.interfaces.iter())
        .filter_map(|interface| all.interfaces.get(interface).map(|interface| interface.row))
        .collect();
    if let Some(bridge) = bridge {
        ctx.remove_ref(bridge, "ports", port.row.uuid)?;
    }
    for interface in interfaces {
        ctx.txn.delete(interface);
    }
    ctx.txn.delete(port.row);
    Ok(())
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let must_exist = !command.has("--if-exists");
    let target = command.arg(command.count());
    if ctx.find_bridge(target).is_some() {
        if must_exist {
            return Stop::fatal(format!(
                "cannot delete port {target} because it is the local port for bridge {target} \
                 (deleting this port requires deleting the entire bridge)"
            ));
        }
        return Ok(());
    }
    let mut name = target.to_owned();
    let mut port = ctx.find_port(target);
    if port.is_none()
        && command.has("--with-iface")
        && let Some((interface, _)) = ctx.find_interface(target)
    {
        port = ctx.topology().ports.get(&interface.port).cloned();
        name = interface.port;
    }
    let Some(port) = port else {
        return match (must_exist, command.has("--with-iface")) {
            (false, _) => Ok(()),
            (true, true) => Stop::fatal(format!("no port or interface named {target}")),
            (true, false) => ctx.port(target).map(drop),
        };
    };
    if command.count() == 2 {
        let bridge = command.arg(1);
        ctx.bridge(bridge)?;
        if port.bridge != bridge {
            let own = ctx.topology().bridges.get(&port.bridge);
            let child = own.is_some_and(|own| own.parent.as_deref() == Some(bridge));
            let note = match child {
                true => format!(" (although its child bridge {} does)", port.bridge),
                false => String::new(),
            };
            return Stop::fatal(format!("bridge {bridge} does not have a port {target}{note}"));
        }
    }
    delete_named(ctx, &name)?;
    ctx.forget_topology();
    Ok(())
}
