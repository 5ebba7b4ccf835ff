//! What the rows ask for and this switch does not do: said, never passed over in silence.

use ovsdb_client::rows::{Bridge, Controller, Interface, Port};

use super::warning::Warning;

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

pub(super) fn bridge(row: &Bridge, warnings: &mut Vec<Warning>) {
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
    ] {
        if let Some(first) = rows.first() {
            warn(warnings, of, column, first.to_string(), what);
        }
    }
}

pub(super) fn port(row: &Port, warnings: &mut Vec<Warning>) {
    if let Some(qos) = row.qos {
        warn(warnings, ("port", &row.name), "qos", qos.to_string(), "quality of service is");
    }
}

pub(super) fn controller(row: &Controller, warnings: &mut Vec<Warning>) {
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

pub(super) fn interface(row: &Interface, warnings: &mut Vec<Warning>) {
    for (rate, column) in [
        (row.ingress_policing_rate, "ingress_policing_rate"),
        (row.ingress_policing_kpkts_rate, "ingress_policing_kpkts_rate"),
    ] {
        if rate != 0 {
            warn(warnings, ("interface", &row.name), column, rate.to_string(), "policing is");
        }
    }
}
