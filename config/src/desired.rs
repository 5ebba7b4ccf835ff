//! The whole switch.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ovsdb_client::rows::Tables;

use crate::bridge::{self, WantBridge};
use crate::claims::{self, Claims};
use crate::compat;
use crate::controller;
use crate::iface::DummyPolicy;
use crate::switch::{SwitchOptions, bond_proc_dir, switch_options};
use crate::unsupported;
use crate::warning::{Severity, Warning};

/// The whole switch as the database wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// By name; names are unique.
    pub bridges: Vec<WantBridge>,
    /// `Open_vSwitch.other_config`.
    pub switch: SwitchOptions,
    /// `bond-proc-dir`: where a file is kept for each bond; `None` = nowhere.
    pub bond_proc_dir: Option<PathBuf>,
    /// The files for `ssl:` of the `SSL` row, which count more than the command line's.
    pub tls: Option<tls::Settings>,
    /// Sorted, without repetition.
    pub warnings: Vec<Warning>,
}

/// Works out what the rows ask for. Never fails: what cannot be used becomes a warning.
pub fn desired(tables: &Tables, dummy: DummyPolicy) -> Desired {
    desired_after(tables, dummy, &Desired::default())
}

/// As [`desired`], where `before` is what runs: an interface that two ports name stays with the
/// one that has it.
pub fn desired_after(tables: &Tables, dummy: DummyPolicy, before: &Desired) -> Desired {
    let mut warnings = Vec::new();
    let Some(root) = tables.open_vswitch.values().next() else {
        return Desired::default();
    };
    let switch = switch_options(root, &mut warnings);
    let bond_proc_dir = bond_proc_dir(root, &mut warnings);
    unsupported::root(tables, root, &mut warnings);
    let mut bridges: BTreeMap<&str, WantBridge> = BTreeMap::new();
    let ports = before.bridges.iter().flat_map(|b| &b.ports);
    let had = ports.flat_map(|p| p.ifaces.iter().map(|i| (i.uuid, p.uuid)));
    let mut used = Claims { owners: claims::owners(tables, root, had), ..Claims::default() };
    for (uuid, row) in root.bridges.iter().filter_map(|u| Some((u, tables.bridges.get(u)?))) {
        let refuse = |column: &str, value: &str, advice: &str| {
            Warning::of_column(("bridge", &row.name), column, value, advice)
        };
        let datapath_type = row.datapath_type.as_str();
        if row.name.contains(['/', '\\']) {
            let text = format!("ignoring bridge with invalid name \"{}\"", row.name);
            let refused = refuse("name", &row.name, "a slash is not accepted in it");
            warnings.push(refused.said(Severity::Warn, text));
        } else if bridges.contains_key(row.name.as_str()) {
            let text = format!("bridge {} specified twice", row.name);
            warnings.push(refuse("name", &row.name, "").said(Severity::Warn, text));
        } else if !bridge::has_datapath(datapath_type, dummy) {
            let advice = "accepted datapath types are system and netdev";
            let refused = refuse("datapath_type", datapath_type, "");
            let name = &row.name;
            let text = format!("could not create datapath {name} of unknown type {datapath_type}");
            warnings.push(refused.said(Severity::Warn, text));
            let refused = refuse("datapath_type", datapath_type, advice);
            let text =
                format!("failed to create bridge {name}: Address family not supported by protocol");
            warnings.push(refused.said(Severity::Err, text));
        } else {
            let bridge = bridge::want(tables, *uuid, row, dummy, &mut used, &mut warnings);
            bridges.insert(&row.name, bridge);
        }
    }
    compat::lower(dummy, &mut warnings);
    warnings.sort();
    warnings.dedup();
    let tls = controller::tls(tables, root);
    Desired { bridges: bridges.into_values().collect(), switch, bond_proc_dir, tls, warnings }
}
