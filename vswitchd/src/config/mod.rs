//! From typed rows to the state that the switch should be in, and what is wrong with the rows.
//!
//! Everything here is a pure function of the rows: no device is asked, nothing is touched. What
//! needs a device to be known (hardware addresses, port numbers) is left to `apply`, which
//! compares [`Desired`] with what there is.
//!
//! | file | what |
//! |---|---|
//! | `options` | every key of `other_config`, its range and default, as data |
//! | `warning` | reading a column by that table; what is said of a bad value |
//! | `bridge`, `port`, `bond`, `iface` | one table of the database each |
//! | `monitor` | BFD and CFM of an interface |
//! | `controller` | OpenFlow of a bridge, and its controllers |
//! | `mirror` | mirrors of a bridge |
//! | `flow_table` | settings of OpenFlow tables |
//! | `unsupported` | what this switch does not do |
//! | `mac` | which address a bridge takes |

pub mod bond;
pub mod bridge;
pub mod controller;
pub mod flow_table;
pub mod iface;
pub mod mac;
pub mod mirror;
pub mod monitor;
pub mod options;
pub mod port;
mod unsupported;
pub mod warning;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ovsdb::Uuid;
use ovsdb_client::rows::{OpenVSwitch, Tables};

pub use self::bond::{Detect, WantBond, WantLacp};
pub use self::bridge::WantBridge;
pub use self::controller::{WantController, WantOpenFlow};
pub use self::flow_table::WantTables;
pub use self::iface::{DeviceKind, DummyPolicy, WantIface};
pub use self::mirror::WantMirror;
pub use self::monitor::WantBfd;
pub use self::port::WantPort;
use self::warning::Section;
pub use self::warning::{Severity, Warning};

/// The whole switch as the database wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// By name; names are unique.
    pub bridges: Vec<WantBridge>,
    pub switch: SwitchOptions,
    /// The files for `ssl:` of the `SSL` row, which count more than the command line's.
    pub tls: Option<tls::Settings>,
    /// Sorted, without repetition.
    pub warnings: Vec<Warning>,
}

/// `Open_vSwitch.other_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchOptions {
    /// `stats-update-interval`.
    pub stats_interval: Duration,
    /// `flow-limit`.
    pub flow_limit: usize,
    /// `max-idle`: a flow without traffic goes after this time.
    pub max_idle: Duration,
    /// `max-revalidator`: the longest time between two rounds of the revalidator.
    pub max_revalidator: Duration,
    /// `min-revalidate-pps`: a flow with fewer packets in a second is dropped rather than translated
    /// again while rounds take long; 0 = never.
    pub min_revalidate_pps: u64,
    /// `flow-restore-wait`: at a start nothing is forwarded and no controller is connected while
    /// this is set. Later it has no effect.
    pub flow_restore_wait: bool,
    /// `bundle-idle-timeout`: a bundle of OpenFlow messages that has had none for so long is
    /// discarded.
    pub bundle_idle: Duration,
    /// `vlan-limit`: VLAN tags that are looked at, 1 or 2; 0 = as many as can be.
    pub vlan_limit: u8,
}

impl Default for SwitchOptions {
    fn default() -> SwitchOptions {
        SwitchOptions {
            stats_interval: Duration::from_secs(5),
            flow_limit: 200_000,
            max_idle: Duration::from_secs(10),
            max_revalidator: Duration::from_millis(500),
            min_revalidate_pps: 5,
            flow_restore_wait: false,
            bundle_idle: Duration::from_secs(10),
            vlan_limit: 1,
        }
    }
}

impl SwitchOptions {
    /// What of them concerns the revalidator.
    pub fn revalidator(&self) -> ofproto::RevalidatorOptions {
        ofproto::RevalidatorOptions {
            flow_limit: self.flow_limit,
            max_idle: self.max_idle,
            max_revalidator: self.max_revalidator,
            min_pps: self.min_revalidate_pps,
        }
    }
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
    unsupported::root(tables, root, &mut warnings);
    let mut bridges: BTreeMap<&str, WantBridge> = BTreeMap::new();
    let mut used = Used { owners: owners(tables, root, before), ..Used::default() };
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
    warnings.sort();
    warnings.dedup();
    let tls = controller::tls(tables, root);
    Desired { bridges: bridges.into_values().collect(), switch, tls, warnings }
}

/// Names that a bridge has taken already.
#[derive(Default)]
pub(crate) struct Used {
    pub(crate) interfaces: BTreeSet<String>,
    /// Interfaces' rows that more than one port names, with the port that has each already: a
    /// mistake elsewhere takes nothing away from a port that works.
    pub(crate) owners: BTreeMap<Uuid, Uuid>,
}

/// Which of several ports keeps an interface: the one that had it before, if it still wants it.
fn owners(tables: &Tables, root: &OpenVSwitch, before: &Desired) -> BTreeMap<Uuid, Uuid> {
    let mut claims: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    let bridges = root.bridges.iter().filter_map(|u| tables.bridges.get(u));
    for port in bridges.flat_map(|b| &b.ports) {
        for iface in tables.ports.get(port).into_iter().flat_map(|p| &p.interfaces) {
            claims.entry(*iface).or_default().insert(*port);
        }
    }
    claims.retain(|_, ports| ports.len() > 1);
    let had = before.bridges.iter().flat_map(|b| &b.ports);
    had.flat_map(|p| p.ifaces.iter().map(|i| (i.uuid, p.uuid)))
        .filter(|(iface, port)| claims.get(iface).is_some_and(|c| c.contains(port)))
        .collect()
}

fn switch_options(root: &OpenVSwitch, warnings: &mut Vec<Warning>) -> SwitchOptions {
    let mut s = Section { table: "open_vswitch", row: ".", map: &root.other_config, warnings };
    s.keys(options::OPEN_VSWITCH);
    SwitchOptions {
        stats_interval: millis(s.number_raised(&options::STATS_UPDATE_INTERVAL)),
        flow_limit: s.number(&options::FLOW_LIMIT) as usize,
        max_idle: millis(s.number_raised(&options::MAX_IDLE)),
        max_revalidator: millis(s.number_raised(&options::MAX_REVALIDATOR)),
        min_revalidate_pps: s.number(&options::MIN_REVALIDATE_PPS) as u64,
        flow_restore_wait: s.flag(&options::FLOW_RESTORE_WAIT),
        bundle_idle: bundle_idle(s.number(&options::BUNDLE_IDLE_TIMEOUT)),
        vlan_limit: s.number(&options::VLAN_LIMIT) as u8,
    }
}

/// 0 and the default are the same.
fn bundle_idle(seconds: i64) -> Duration {
    Duration::from_secs(if seconds == 0 { 10 } else { seconds.unsigned_abs() })
}

pub(crate) fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}
