//! Rows of `Mirror`.

use std::collections::BTreeSet;

use ofproto::config::{MirrorConfig, MirrorOutput};
use ofproto::mirror::MAX_MIRRORS;
use openflow::text::{self, Names};
use openflow::{Field, Match, OfPort};
use ovsdb::Uuid;
use ovsdb_client::rows::{Bridge, Mirror, Tables};

use crate::columns;
use crate::warning::{Severity, Warning};

/// A mirror as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantMirror {
    /// The row.
    pub uuid: Uuid,
    /// Nothing if the row cannot be used.
    pub config: Option<MirrorConfig>,
    /// What is wrong with the row: Open vSwitch's levels and texts.
    pub complaints: Vec<(Severity, String)>,
}

/// The mirrors of a bridge, by UUID.
pub(crate) fn want(tables: &Tables, row: &Bridge, warnings: &mut Vec<Warning>) -> Vec<WantMirror> {
    let rows = row.mirrors.iter().filter_map(|u| Some((*u, tables.mirrors.get(u)?)));
    let mut mirrors: Vec<WantMirror> = rows
        .map(|(uuid, mirror)| {
            let mut complaints = Vec::new();
            let config = config(tables, row, uuid, mirror, &mut complaints, warnings);
            WantMirror { uuid, config, complaints }
        })
        .collect();
    for beyond in mirrors.iter_mut().filter(|m| m.config.is_some()).skip(MAX_MIRRORS) {
        if let Some(config) = beyond.config.take() {
            let name = &config.name;
            let text =
                format!("maximum of {MAX_MIRRORS} port mirrors reached, cannot create {name}");
            beyond.complaints.push((Severity::Warn, text));
            let text = format!("bridge {}: mirror {name} configuration is invalid", row.name);
            beyond.complaints.push((Severity::Err, text));
        }
    }
    mirrors
}

fn config(
    tables: &Tables,
    bridge: &Bridge,
    uuid: Uuid,
    row: &Mirror,
    complaints: &mut Vec<(Severity, String)>,
    warnings: &mut Vec<Warning>,
) -> Option<MirrorConfig> {
    let of = format!("bridge {}: mirror {}", bridge.name, row.name);
    let ports: BTreeSet<Uuid> = bridge.ports.iter().copied().collect();
    let name = |port: &Uuid| tables.ports.get(port).map(|p| p.name.clone());
    let vlan = row.output_vlan.and_then(|v| u16::try_from(v).ok()).filter(|v| *v <= 4095);
    let output = match (&row.output_port, vlan) {
        (Some(port), vlan) => {
            let Some(name) = name(port).filter(|_| ports.contains(port)) else {
                complaints.push((Severity::Err, format!("{of} outputs to port not on bridge")));
                return None;
            };
            if vlan.is_some() {
                let text = "specifies both output port and output vlan; ignoring output vlan";
                complaints.push((Severity::Err, format!("{of} {text}")));
            }
            MirrorOutput::Port(name)
        }
        (None, Some(vlan)) => MirrorOutput::Vlan(vlan),
        (None, None) => {
            complaints.push((Severity::Err, format!("{of} does not specify output; ignoring")));
            return None;
        }
    };
    let mut select = |wanted: &[Uuid]| -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for port in wanted {
            let Some(name) = name(port) else { continue };
            if ports.contains(port) {
                found.insert(name);
            } else {
                let text = format!("{of} cannot match on nonexistent port {name}");
                complaints.push((Severity::Warn, text));
            }
        }
        found
    };
    let (sources, destinations) = if row.select_all {
        (select(&bridge.ports), select(&bridge.ports))
    } else {
        (select(&row.select_src_port), select(&row.select_dst_port))
    };
    let filter = match row.filter.as_deref() {
        None | Some("") => None,
        Some(text) => match filter(text) {
            Ok(filter) => Some(Box::new(filter)),
            Err(text) => {
                complaints.push((Severity::Warn, text));
                complaints.push((Severity::Err, format!("{of} configuration is invalid")));
                return None;
            }
        },
    };
    let vlans = columns::vlan_set("mirror", &row.name, "select_vlan", &row.select_vlan, warnings);
    Some(MirrorConfig {
        id: uuid.as_u128(),
        name: row.name.clone(),
        sources,
        destinations,
        vlans,
        filter,
        output,
        snaplen: row.snaplen.and_then(|n| u16::try_from(n).ok()).unwrap_or(0),
    })
}

/// Every name is that of a port: which one does not matter, since none is accepted.
struct AnyPort;

impl Names for AnyPort {
    fn port_number(&self, _: &str) -> Option<OfPort> {
        Some(OfPort(1))
    }
}

/// The port is what the selection is for: a filter that names one would select twice.
fn filter(text: &str) -> Result<Match, String> {
    match text::parse_exact_match(text, &AnyPort) {
        Err(e) => Err(format!("filter is invalid: {e}")),
        Ok(m) if m.is_wild(Field::InPort) => Ok(m),
        Ok(_) => Err("filter is invalid due to in_port field.".to_owned()),
    }
}
