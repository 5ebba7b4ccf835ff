//! `memory/show`: the number of objects of each kind that takes memory.

use ovsdb_client::rows::{Table, Tables};

use super::forwarding::Forwarding;
use super::openflow::OpenFlow;
use super::status_writer::StatusWriter;
use crate::commands::Context;

/// The kinds of which there are any, in the order in which they are printed.
pub(super) fn usage(
    db: &Tables,
    forwarding: &Forwarding,
    openflow: &OpenFlow,
    writer: &StatusWriter,
    context: &Context,
) -> Vec<(String, u64)> {
    let count = |n: usize| n as u64;
    let cells = Table::ALL.iter().map(|t| db.uuids(*t).len() * t.columns().len()).sum();
    let mut usage = vec![
        ("ports", count(forwarding.switch.attached.len())),
        ("ofconns", openflow.connections.usage().0),
        ("rules", count(context.ofproto.rule_count())),
        // The packet thread, which also translates, and the revalidator thread.
        ("handlers", 1),
        ("revalidators", 1),
        ("udpif keys", context.datapath.stats().flows),
        ("idl-cells-Open_vSwitch", count(cells)),
        ("idl-outstanding-txns-Open_vSwitch", count(writer.in_flight())),
    ];
    usage.retain(|(_, n)| *n > 0);
    usage.into_iter().map(|(name, n)| (name.to_owned(), n)).collect()
}
