//! What the rows ask for and this switch does not do: said, never passed over in silence.

use ovsdb::Uuid;
use ovsdb_client::rows::{Bridge, Controller, Interface, OpenVSwitch, Port, Tables};

use crate::warning::Warning;

/// A column of a row, what it holds, and what that would have done.
fn warn(
    warnings: &mut Vec<Warning>,
    (table, row): (&'static str, &str),
    column: &str,
    value: String,
    what: &str,
) {
    let advice = format!("{what} not supported; it has no effect");
    warnings.push(Warning::of_column((table, row), column, value, advice));
}

/// The database's root.
pub(crate) fn root(tables: &Tables, row: &OpenVSwitch, warnings: &mut Vec<Warning>) {
    // A row without zones is where other programs look for what the datapath can do.
    let zones = |uuid| tables.datapaths.get(uuid).is_some_and(|d| !d.ct_zones.is_empty());
    for (name, _) in row.datapaths.iter().filter(|(_, uuid)| zones(*uuid)) {
        warn(warnings, ("open_vswitch", "."), "datapaths", name.clone(), "connection tracking is");
    }
}

pub(crate) fn bridge(tables: &Tables, uuid: Uuid, row: &Bridge, warnings: &mut Vec<Warning>) {
    let of = ("bridge", row.name.as_str());
    for (on, column, what) in [
        // The danger is a loop that nobody breaks.
        (row.stp_enable, "stp_enable", "the spanning tree protocol is"),
        (row.rstp_enable, "rstp_enable", "the rapid spanning tree protocol is"),
        (row.mcast_snooping_enable, "mcast_snooping_enable", "multicast snooping is"),
    ] {
        if on {
            warn(warnings, of, column, "true".to_owned(), what);
        }
    }
    for (rows, column, what) in [
        (row.netflow.as_slice(), "netflow", "NetFlow is"),
        (row.sflow.as_slice(), "sflow", "sFlow is"),
        (row.ipfix.as_slice(), "ipfix", "IPFIX is"),
        (row.auto_attach.as_slice(), "auto_attach", "auto-attach is"),
    ] {
        if let Some(first) = rows.first() {
            warn(warnings, of, column, first.to_string(), what);
        }
    }
    // These rows name the bridge, not the bridge them.
    for set in tables.flow_sample_collector_sets.values().filter(|set| set.bridge == uuid) {
        let id = set.id.to_string();
        warn(warnings, of, "Flow_Sample_Collector_Set", id, "flow sampling is");
    }
}

/// A port's shaper, and what its queues would do besides.
pub(crate) fn port(tables: &Tables, row: &Port, warnings: &mut Vec<Warning>) {
    let (of, Some(uuid)) = (("port", row.name.as_str()), row.qos) else { return };
    let Some(qos) = tables.qos.get(&uuid) else { return };
    // This type leaves the device as it is, in Open vSwitch too.
    if qos.r#type == "linux-noop" {
        return;
    }
    let shown = match qos.r#type.as_str() {
        "" => uuid.to_string(),
        named => format!("{uuid} ({named})"),
    };
    warn(warnings, of, "qos", shown, "quality of service is");
    for (number, queue) in qos.queues.iter().filter_map(|(n, q)| Some((n, tables.queues.get(q)?))) {
        if let Some(dscp) = queue.dscp {
            let shown = format!("{dscp} (queue {number})");
            warn(warnings, of, "qos: dscp", shown, "marking what a queue sends is");
        }
    }
}

pub(crate) fn controller(row: &Controller, warnings: &mut Vec<Warning>) {
    let of = ("controller", row.target.as_str());
    for (value, column) in [
        (&row.local_ip, "local_ip"),
        (&row.local_netmask, "local_netmask"),
        (&row.local_gateway, "local_gateway"),
    ] {
        if let Some(value) = value {
            warn(warnings, of, column, value.clone(), "to configure the bridge's own port is");
        }
    }
}

pub(crate) fn interface(row: &Interface, warnings: &mut Vec<Warning>) {
    // The other keys say nothing without this one.
    if let Some(value) = row.lldp.get("enable").filter(|v| v.eq_ignore_ascii_case("true")) {
        warn(warnings, ("interface", &row.name), "lldp:enable", value.clone(), "LLDP is");
    }
    for (rate, column) in [
        (row.ingress_policing_rate, "ingress_policing_rate"),
        (row.ingress_policing_kpkts_rate, "ingress_policing_kpkts_rate"),
    ] {
        if rate != 0 {
            warn(warnings, ("interface", &row.name), column, rate.to_string(), "policing is");
        }
    }
}
