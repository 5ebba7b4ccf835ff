//! All commands with their grammar.

use super::{
    Before, Context, Done, attach, bond, bridge, change, controller, database, lookup, manager,
    port, reset, show, ssl, zone,
};
use crate::vsctl::grammar::command::{Command, Syntax};

/// A command: what it looks like, what it looks at, what it does.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its grammar.
    pub syntax: Syntax,
    /// Says which columns it needs.
    pub before: fn(&mut Before<'_, '_>, &Command) -> Done,
    /// Does it.
    pub run: fn(&mut Context<'_, '_>, &Command) -> Done,
}

const fn entry(
    name: &'static str,
    (least, most): (usize, usize),
    arguments: &'static str,
    options: &'static str,
    writes: bool,
    before: fn(&mut Before<'_, '_>, &Command) -> Done,
    run: fn(&mut Context<'_, '_>, &Command) -> Done,
) -> Entry {
    Entry { syntax: Syntax { name, least, most, arguments, options, writes }, before, run }
}

const RW: bool = true;
const RO: bool = false;
const ANY: usize = usize::MAX;

/// All commands.
pub static COMMANDS: &[Entry] = &[
    entry("init", (0, 0), "", "", RW, nothing_before, nothing),
    entry("show", (0, 0), "", "--filter=", RO, show::before, show::show),
    entry("emer-reset", (0, 0), "", "", RW, reset::before, reset::reset),
    // Bridges.
    entry(
        "add-br",
        (1, 3),
        "NEW-BRIDGE [PARENT] [NEW-VLAN]",
        "--may-exist",
        RW,
        lookup::before,
        bridge::add,
    ),
    entry("del-br", (1, 1), "BRIDGE", "--if-exists", RW, bridge::before_delete, bridge::delete),
    entry("list-br", (0, 0), "", "--real,--fake", RO, lookup::before, bridge::list),
    entry("br-exists", (1, 1), "BRIDGE", "", RO, lookup::before, bridge::exists),
    entry("br-to-vlan", (1, 1), "BRIDGE", "", RO, lookup::before, bridge::to_vlan),
    entry("br-to-parent", (1, 1), "BRIDGE", "", RO, lookup::before, bridge::to_parent),
    entry(
        "br-set-external-id",
        (2, 3),
        "BRIDGE KEY [VALUE]",
        "",
        RW,
        bridge::before_external_id,
        bridge::set_external_id,
    ),
    entry(
        "br-get-external-id",
        (1, 2),
        "BRIDGE [KEY]",
        "",
        RO,
        bridge::before_external_id,
        bridge::get_external_id,
    ),
    // Ports and bonds.
    entry("list-ports", (1, 1), "BRIDGE", "", RO, lookup::before, port::list),
    entry(
        "add-port",
        (2, ANY),
        "BRIDGE NEW-PORT [COLUMN[:KEY]=VALUE]...",
        "--may-exist",
        RW,
        port::before_add,
        port::add,
    ),
    entry(
        "del-port",
        (1, 2),
        "[BRIDGE] PORT|IFACE",
        "--if-exists,--with-iface",
        RW,
        lookup::before,
        port::delete,
    ),
    entry("port-to-br", (1, 1), "PORT", "", RO, lookup::before, port::to_bridge),
    entry(
        "add-bond",
        (4, ANY),
        "BRIDGE BOND IFACE... [COLUMN[:KEY]=VALUE]...",
        "--may-exist,--fake-iface",
        RW,
        port::before_add,
        bond::add,
    ),
    entry(
        "add-bond-iface",
        (2, 2),
        "BOND IFACE",
        "--may-exist",
        RW,
        lookup::before,
        bond::add_interface,
    ),
    entry(
        "del-bond-iface",
        (1, 2),
        "[BOND] IFACE",
        "--if-exists",
        RW,
        lookup::before,
        bond::delete_interface,
    ),
    entry("list-ifaces", (1, 1), "BRIDGE", "", RO, lookup::before, port::list_interfaces),
    entry("iface-to-br", (1, 1), "IFACE", "", RO, lookup::before, port::interface_to_bridge),
    // Controllers, managers, TLS.
    entry("get-controller", (1, 1), "BRIDGE", "", RO, controller::before, controller::get),
    entry("del-controller", (1, 1), "BRIDGE", "", RW, controller::before, controller::delete),
    entry(
        "set-controller",
        (1, ANY),
        "BRIDGE TARGET...",
        "--inactivity-probe=",
        RW,
        controller::before,
        controller::set,
    ),
    entry("get-fail-mode", (1, 1), "BRIDGE", "", RO, lookup::before, controller::get_fail_mode),
    entry("del-fail-mode", (1, 1), "BRIDGE", "", RW, lookup::before, controller::delete_fail_mode),
    entry(
        "set-fail-mode",
        (2, 2),
        "BRIDGE MODE",
        "",
        RW,
        lookup::before,
        controller::set_fail_mode,
    ),
    entry("get-manager", (0, 0), "", "", RO, manager::before, manager::get),
    entry("del-manager", (0, 0), "", "", RW, manager::before, manager::delete),
    entry(
        "set-manager",
        (1, ANY),
        "TARGET...",
        "--inactivity-probe=",
        RW,
        manager::before,
        manager::set,
    ),
    entry("get-ssl", (0, 0), "", "", RO, ssl::before, ssl::get),
    entry("del-ssl", (0, 0), "", "", RW, ssl::before, ssl::delete),
    entry(
        "set-ssl",
        (3, 3),
        "PRIVATE-KEY CERTIFICATE CA-CERT",
        "--bootstrap",
        RW,
        ssl::before,
        ssl::set,
    ),
    // Auto-attach.
    entry("add-aa-mapping", (3, 3), "BRIDGE ARG ARG", "", RW, attach::before, attach::add),
    entry("del-aa-mapping", (3, 3), "BRIDGE ARG ARG", "", RW, attach::before, attach::delete),
    entry("get-aa-mapping", (1, 1), "BRIDGE", "", RO, attach::before, attach::get),
    // Connection tracking and datapaths.
    entry(
        "add-zone-tp",
        (3, ANY),
        "ARG ARG ARG...",
        "--may-exist",
        RW,
        zone::before,
        zone::add_policy,
    ),
    entry("del-zone-tp", (2, 2), "ARG ARG", "--if-exists", RW, zone::before, zone::delete_policy),
    entry("list-zone-tp", (1, 1), "ARG", "", RO, zone::before, zone::list_policies),
    entry("list-dp-cap", (1, 1), "ARG", "", RO, zone::before, zone::list_capabilities),
    entry("set-zone-limit", (3, 3), "ARG ARG ARG", "", RW, zone::before, zone::set_limit),
    entry("del-zone-limit", (2, 2), "ARG ARG", "--if-exists", RW, zone::before, zone::delete_limit),
    entry("list-zone-limits", (1, 1), "ARG", "", RO, zone::before, zone::list_limits),
    // Any table.
    entry("comment", (0, ANY), "[ARG]...", "", RO, nothing_before, nothing),
    entry(
        "get",
        (2, ANY),
        "TABLE RECORD [COLUMN[:KEY]]...",
        "--if-exists,--id=",
        RO,
        database::before_get,
        database::get,
    ),
    entry(
        "list",
        (1, ANY),
        "TABLE [RECORD]...",
        "--if-exists,--columns=",
        RO,
        database::before_list,
        database::list,
    ),
    entry(
        "find",
        (1, ANY),
        "TABLE [COLUMN[:KEY]=VALUE]...",
        "--columns=",
        RO,
        database::before_find,
        database::find,
    ),
    entry(
        "set",
        (3, ANY),
        "TABLE RECORD COLUMN[:KEY]=VALUE...",
        "--if-exists",
        RW,
        database::before_operands,
        change::set,
    ),
    entry(
        "add",
        (4, ANY),
        "TABLE RECORD COLUMN [KEY=]VALUE...",
        "--if-exists",
        RW,
        change::before_column,
        change::add,
    ),
    entry(
        "remove",
        (4, ANY),
        "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...",
        "--if-exists",
        RW,
        change::before_column,
        change::remove,
    ),
    entry(
        "clear",
        (3, ANY),
        "TABLE RECORD COLUMN...",
        "--if-exists",
        RW,
        change::before_clear,
        change::clear,
    ),
    entry(
        "create",
        (2, ANY),
        "TABLE COLUMN[:KEY]=VALUE...",
        "--id=",
        RW,
        change::before_create,
        change::create,
    ),
    entry(
        "destroy",
        (1, ANY),
        "TABLE [RECORD]...",
        "--if-exists,--all",
        RW,
        change::before_destroy,
        change::destroy,
    ),
    entry(
        "wait-until",
        (2, ANY),
        "TABLE RECORD [COLUMN[:KEY]=VALUE]...",
        "",
        RO,
        database::before_operands,
        database::wait_until,
    ),
];

fn nothing_before(_: &mut Before<'_, '_>, _: &Command) -> Done {
    Ok(())
}

fn nothing(_: &mut Context<'_, '_>, _: &Command) -> Done {
    Ok(())
}
