//! `emer-reset`: back to a state that works without anybody's help.

use ovsdb::{Atom, Datum};

use super::{Before, Context, Done};
use crate::vsctl::grammar::command::Command;

const BRIDGE: &[&str] = &[
    "controller",
    "fail_mode",
    "mirrors",
    "netflow",
    "sflow",
    "ipfix",
    "flood_vlans",
    "other_config",
];

/// Tables that are emptied.
const TABLES: &[&str] = &[
    "Mirror",
    "Controller",
    "Manager",
    "NetFlow",
    "SSL",
    "sFlow",
    "IPFIX",
    "Flow_Sample_Collector_Set",
];

const POLICING: &[&str] = &["ingress_policing_rate", "ingress_policing_burst"];

pub(super) fn before(before: &mut Before<'_, '_>, _: &Command) -> Done {
    let wants = &mut *before.wants;
    wants.columns("Open_vSwitch", &["manager_options", "ssl"]);
    wants.columns("Bridge", BRIDGE);
    wants.column("Port", "other_config");
    wants.columns("Interface", POLICING);
    TABLES.iter().for_each(|table| wants.table(table));
    Ok(())
}

pub(super) fn reset(ctx: &mut Context<'_, '_>, _: &Command) -> Done {
    ctx.clear(ctx.root, "manager_options")?;
    ctx.clear(ctx.root, "ssl")?;
    for bridge in ctx.txn.rows("Bridge") {
        let mut kept = ctx.map(bridge, "other_config");
        // The bridge keeps its MAC address.
        kept.retain(|key, _| *key == Atom::String("hwaddr".to_owned()));
        for column in BRIDGE.iter().filter(|column| **column != "other_config") {
            ctx.clear(bridge, column)?;
        }
        ctx.set(bridge, "other_config", Datum::Map(kept))?;
    }
    for port in ctx.txn.rows("Port") {
        ctx.clear(port, "other_config")?;
    }
    for interface in ctx.txn.rows("Interface") {
        for column in POLICING {
            ctx.set(interface, column, Datum::scalar(Atom::Integer(0)))?;
        }
    }
    for table in TABLES {
        for row in ctx.txn.rows(table) {
            ctx.txn.delete(row);
        }
    }
    ctx.forget_topology();
    Ok(())
}
