//! Bond commands.

use super::{Context, Done, Stop, port};
use crate::vsctl::grammar::command::Command;

pub(super) fn add(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let rest = command.args_from(3);
    let number = rest.iter().position(|argument| argument.contains('=')).unwrap_or(rest.len());
    if number < 2 {
        return Stop::fatal(format!(
            "add-bond requires at least 2 interfaces, but only {number} were specified"
        ));
    }
    let (interfaces, settings) = rest.split_at(number);
    port::add_port(ctx, command, interfaces, settings, command.has("--fake-iface"))
}

pub(super) fn add_interface(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let (bond, name) = (command.arg(1), command.arg(2));
    let port = ctx.port(bond)?;
    if command.has("--may-exist")
        && let Some((interface, _)) = ctx.find_interface(name)
    {
        if interface.port == bond {
            return Ok(());
        }
        let (line, actual) = (command.to_line(), interface.port);
        return Stop::fatal(format!("\"{line}\" but {name} is actually attached to port {actual}"));
    }
    ctx.check_free(name, &format!("cannot create an interface named {name}"))?;
    let interface = ctx.insert("Interface")?;
    ctx.set_text(interface, "name", name)?;
    ctx.add_ref(port.row, "interfaces", interface.uuid)?;
    ctx.new_interfaces.push(interface.uuid);
    ctx.forget_topology();
    Ok(())
}

pub(super) fn delete_interface(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(command.count());
    if command.has("--if-exists") && ctx.find_interface(name).is_none() {
        return Ok(());
    }
    let (interface, _) = ctx.interface(name)?;
    if command.count() == 2 {
        let bond = command.arg(1);
        ctx.port(bond)?;
        if interface.port != bond {
            return Stop::fatal(format!("port {bond} does not have an interface {name}"));
        }
    }
    let Some(port) = ctx.topology().ports.get(&interface.port).cloned() else {
        return Stop::fatal(format!("no port named {}", interface.port));
    };
    if port.interfaces.len() < 2 {
        let bond = interface.port;
        return Stop::fatal(format!("cannot delete last interface from port {bond}"));
    }
    ctx.remove_ref(port.row, "interfaces", interface.row.uuid)?;
    ctx.txn.delete(interface.row);
    ctx.forget_topology();
    Ok(())
}
