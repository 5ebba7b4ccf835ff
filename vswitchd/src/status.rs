//! Status and statistics for the database: rows are computed as a whole, and changed columns are
//! sent.

pub mod controllers;

use std::collections::BTreeMap;

use bond::MemberId;
use bond::monitor::bfd::BfdColumn;
use bond::monitor::cfm::{CfmColumns, Faults};
use datapath::Datapath;
use netdev::link::ethtool::{self, DriverInfo};
use netdev::link::{self, LinkSettings};
use ovsdb_client::Txn;
use ovsdb_client::rows::{Bridge, Interface, Mirror, OpenVSwitch, Port, Tables};
use wire::EthAddr;

use crate::apply::{Attached, Switch};
use config::{Desired, Detect, DeviceKind};
use links::{LinkChange, MemberLink, Source, Updates};

/// `Interface.type`s that this switch has, sorted.
pub const IFACE_TYPES: [&str; 4] = ["internal", "patch", "system", "tap"];

/// The latest reports of the links thread, and cached answers of device drivers.
#[derive(Default)]
pub struct Status {
    resets: BTreeMap<String, u64>,
    /// The value of `resets` when the interface was attached, with its member, by name.
    since: BTreeMap<String, (MemberId, u64)>,
    members: BTreeMap<String, MemberLink>,
    active: BTreeMap<String, EthAddr>,
    lacp_current: BTreeMap<String, Option<bool>>,
    lacp_enable: BTreeMap<String, bool>,
    bfd: BTreeMap<String, Option<BfdColumn>>,
    cfm: BTreeMap<String, Option<CfmColumns>>,
    facts: BTreeMap<String, Facts>,
}

/// Answers of ethtool requests; requested again when the link has changed.
#[derive(Clone, Debug, Default)]
struct Facts {
    ifindex: u32,
    settings: Option<LinkSettings>,
    driver: Option<DriverInfo>,
}

impl Status {
    /// Takes in what the links thread says.
    pub fn take(&mut self, updates: &Updates) {
        for (name, news) in &updates.links {
            self.facts.remove(name);
            if let LinkChange::Gone { .. } = news {
                self.resets.remove(name);
            }
        }
        self.resets.extend(updates.resets.iter().map(|(k, v)| (k.clone(), *v)));
        self.members.extend(updates.members.iter().map(|(k, v)| (k.clone(), *v)));
        self.active.extend(updates.active.iter().map(|(k, v)| (k.clone(), *v)));
        self.lacp_current.extend(updates.lacp_current.iter().map(|(k, v)| (k.clone(), *v)));
        if let Some(all) = &updates.lacp_enable {
            self.lacp_enable.clone_from(all);
        }
        self.bfd.extend(updates.bfd.iter().map(|(k, v)| (k.clone(), *v)));
        self.cfm.extend(updates.cfm.iter().map(|(k, v)| (k.clone(), v.clone())));
    }

    /// Writes all status but `cur_cfg`.
    ///
    /// `statistics` are written for an interface that is new or has none; otherwise at intervals.
    pub fn write(
        &mut self,
        txn: &mut Txn,
        tables: &Tables,
        desired: &Desired,
        switch: &Switch,
        datapath: &dyn Datapath,
        ofproto: &ofproto::Ofproto,
    ) {
        self.forget(desired, switch);
        for bridge in &desired.bridges {
            if let (Some(old), Some(running)) =
                (tables.bridges.get(&bridge.uuid), switch.bridges.get(&bridge.name))
            {
                let new = Bridge {
                    datapath_id: Some(format!("{:016x}", running.datapath_id)),
                    datapath_version: "<built-in>".to_owned(),
                    ..old.clone()
                };
                txn.update(bridge.uuid, old, &new);
            }
            for port in &bridge.ports {
                if let (Some(old), Some(mac)) =
                    (tables.ports.get(&port.uuid), self.active.get(&port.name))
                    && port.bond.is_some()
                {
                    let new = Port { bond_active_slave: Some(mac.to_string()), ..old.clone() };
                    txn.update(port.uuid, old, &new);
                }
                let miimon = matches!(&port.bond, Some(b) if b.detect != Detect::Carrier);
                for iface in &port.ifaces {
                    let Some(old) = tables.interfaces.get(&iface.uuid) else { continue };
                    let new = match switch.attached.get(&iface.name) {
                        Some(a) if !a.fake && a.bridge == bridge.name => {
                            let new = old.statistics.is_empty()
                                || self.since.get(&iface.name).is_none_or(|s| s.0 != a.member);
                            let statistics = if new {
                                interface_statistics(&iface.name, a, datapath, ofproto)
                            } else {
                                old.statistics.clone()
                            };
                            Interface {
                                statistics,
                                ..self.interface(old, a, switch, miimon, &bridge.datapath_type)
                            }
                        }
                        Some(_) | None => broken(old, switch.errors.get(&iface.name)),
                    };
                    txn.update(iface.uuid, old, &new);
                }
            }
        }
    }

    /// Removes the reports about interfaces and ports that no longer exist.
    fn forget(&mut self, desired: &Desired, switch: &Switch) {
        self.since.retain(|name, _| switch.attached.contains_key(name));
        self.facts.retain(|name, _| switch.attached.contains_key(name));
        self.lacp_current.retain(|name, _| switch.attached.contains_key(name));
        self.members.retain(|name, _| switch.attached.contains_key(name));
        self.bfd.retain(|name, _| switch.attached.contains_key(name));
        self.cfm.retain(|name, _| switch.attached.contains_key(name));
        let ports: std::collections::BTreeSet<&str> =
            desired.bridges.iter().flat_map(|b| &b.ports).map(|p| p.name.as_str()).collect();
        self.active.retain(|name, _| ports.contains(name.as_str()));
    }

    fn interface(
        &mut self,
        old: &Interface,
        a: &Attached,
        switch: &Switch,
        miimon: bool,
        datapath_type: &str,
    ) -> Interface {
        let name = &old.name;
        let member = self.members.get(name).copied();
        let kernel = a.ifindex().is_some();
        let dummy_up = a.dummy.as_ref().is_none_or(|d| d.admin_up() && d.carrier());
        let carrier = a.link.admin_up && a.link.carrier && dummy_up;
        let up = member.filter(|_| miimon).map_or(carrier, |m| m.up);
        let facts = self.facts(a);
        let mut status = BTreeMap::new();
        if let Some(d) = &facts.driver {
            status.insert("driver_name".to_owned(), d.driver.clone());
            status.insert("driver_version".to_owned(), d.version.clone());
            status.insert("firmware_version".to_owned(), d.firmware.clone());
        }
        if let Some(m) = member.filter(|_| miimon) {
            status.insert("link_state_source".to_owned(), source(m.source).to_owned());
        }
        let settings = facts.settings.unwrap_or_default();
        let checks = Interface {
            bfd_status: bfd_status(self.bfd.get(name).copied().flatten()),
            ..cfm_columns(old, self.cfm.get(name).and_then(Option::as_ref))
        };
        Interface {
            ofport: Some(i64::from(a.of_port.0)),
            error: patch_error(name, a, switch, datapath_type),
            admin_state: Some(up_down(a.link.admin_up)),
            link_state: Some(up_down(up)),
            link_resets: Some(self.link_resets(name, a)),
            link_speed: (settings.speed_mbps != 0).then(|| settings.speed_mbps as i64 * 1_000_000),
            duplex: settings.full_duplex.map(|full| if full { "full" } else { "half" }.to_owned()),
            mtu: (a.link.mtu != 0).then_some(i64::from(a.link.mtu)),
            mac_in_use: Some(a.link.mac.to_string()),
            ifindex: Some(i64::from(if kernel { a.link.ifindex } else { 0 })),
            lacp_current: self.lacp_current.get(name).copied().flatten(),
            status,
            ..checks
        }
    }

    /// The number of carrier changes since the interface was attached.
    fn link_resets(&mut self, name: &str, a: &Attached) -> i64 {
        let all = self.resets.get(name).copied().unwrap_or(0);
        let since = self.since.entry(name.to_owned()).or_insert((a.member, all));
        if since.0 != a.member || since.1 > all {
            *since = (a.member, all);
        }
        (all - since.1) as i64
    }

    /// The link settings of an interface's device; the default for one that is no kernel device.
    pub fn settings(&mut self, a: &Attached) -> LinkSettings {
        self.facts(a).settings.unwrap_or_default()
    }

    /// Whether an interface with a carrier may carry traffic: LACP lets it, and of BFD and CFM at
    /// least one, where there is any.
    pub fn may_enable(&self, name: &str) -> bool {
        let bfd = self.bfd.get(name).copied().flatten().map(|b| b.is_forwarding());
        let cfm = self.cfm.get(name).and_then(Option::as_ref);
        let cfm = cfm.map(|c| c.faults == Faults::NONE && c.remote_opup != Some(false));
        let healthy = (bfd.is_none() && cfm.is_none()) || bfd == Some(true) || cfm == Some(true);
        healthy && self.lacp_enable.get(name).copied().unwrap_or(true)
    }

    fn facts(&mut self, a: &Attached) -> Facts {
        let Some(ifindex) = a.ifindex() else { return Facts::default() };
        let name = &a.link.name;
        match self.facts.get(name) {
            Some(f) if f.ifindex == ifindex => f.clone(),
            Some(_) | None => {
                let facts = Facts {
                    ifindex,
                    settings: ethtool::settings(name).ok(),
                    driver: ethtool::driver_info(name).ok(),
                };
                self.facts.insert(name.clone(), facts.clone());
                facts
            }
        }
    }
}

/// Writes the `Open_vSwitch` row: the configuration in force and the switch's capabilities.
pub fn write_root(txn: &mut Txn, tables: &Tables, version: &str, schema: Option<&str>) {
    let Some((uuid, old)) = tables.open_vswitch.iter().next() else { return };
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let (system, system_version) = os_release();
    // `ovs-ctl` writes these four columns; values that are present are kept.
    let or = |old: &Option<String>, new: Option<String>| old.clone().or(new);
    let new = OpenVSwitch {
        cur_cfg: old.next_cfg,
        datapath_types: names(&["netdev", "system"]),
        iface_types: names(&IFACE_TYPES),
        dpdk_initialized: false,
        dpdk_version: Some("none".to_owned()),
        ovs_version: or(&old.ovs_version, Some(version.to_owned())),
        db_version: or(&old.db_version, schema.map(str::to_owned)),
        system_type: or(&old.system_type, system),
        system_version: or(&old.system_version, system_version),
        ..old.clone()
    };
    txn.update(*uuid, old, &new);
}

/// Writes `statistics` of every interface and mirror.
pub fn write_statistics(
    txn: &mut Txn,
    tables: &Tables,
    desired: &Desired,
    switch: &Switch,
    datapath: &dyn Datapath,
    ofproto: &ofproto::Ofproto,
) {
    for mirror in desired.bridges.iter().flat_map(|b| &b.mirrors) {
        let Some(old) = tables.mirrors.get(&mirror.uuid) else { continue };
        let statistics = match ofproto.mirror_count(mirror.uuid.as_u128()) {
            Some(tx) => counters(&[("tx_packets", tx.packets), ("tx_bytes", tx.bytes)]),
            None => BTreeMap::new(),
        };
        txn.update(mirror.uuid, old, &Mirror { statistics, ..old.clone() });
    }
    for (name, a) in switch.attached.iter().filter(|(_, a)| !a.fake) {
        let Some(old) = tables.interfaces.get(&a.uuid) else { continue };
        let statistics = interface_statistics(name, a, datapath, ofproto);
        txn.update(a.uuid, old, &Interface { statistics, ..old.clone() });
    }
}

/// The present `statistics` of an interface.
fn interface_statistics(
    name: &str,
    a: &Attached,
    datapath: &dyn Datapath,
    ofproto: &ofproto::Ofproto,
) -> BTreeMap<String, i64> {
    match a.kind {
        DeviceKind::System => kernel_counters(name, false),
        // The kernel counts a tap's packets in the host's direction.
        DeviceKind::Internal | DeviceKind::Tap if a.ifindex().is_some() => {
            kernel_counters(name, true)
        }
        DeviceKind::Patch { .. } => {
            let (rx, tx) = ofproto.patch_counts(name).unwrap_or_default();
            four(rx.packets, rx.bytes, tx.packets, tx.bytes)
        }
        // Also a tap in another network namespace.
        DeviceKind::Internal
        | DeviceKind::Tap
        | DeviceKind::Dummy { .. }
        | DeviceKind::Unknown(_) => {
            let c = a.port_no.and_then(|p| datapath.port_counters(p)).unwrap_or_default();
            four(c.rx_packets, c.rx_bytes, c.tx_packets, c.tx_bytes)
        }
    }
}

fn four(rx_packets: u64, rx_bytes: u64, tx_packets: u64, tx_bytes: u64) -> BTreeMap<String, i64> {
    counters(&[
        ("rx_packets", rx_packets),
        ("rx_bytes", rx_bytes),
        ("tx_packets", tx_packets),
        ("tx_bytes", tx_bytes),
    ])
}

fn counters(list: &[(&str, u64)]) -> BTreeMap<String, i64> {
    let whole = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
    list.iter().map(|(k, v)| ((*k).to_owned(), whole(*v))).collect()
}

fn kernel_counters(name: &str, other_side: bool) -> BTreeMap<String, i64> {
    let Ok(s) = link::stats(name) else { return BTreeMap::new() };
    let (rx, tx) = (
        [s.rx_packets, s.rx_bytes, s.rx_dropped, s.rx_errors],
        [s.tx_packets, s.tx_bytes, s.tx_dropped, s.tx_errors],
    );
    let (rx, tx) = if other_side { (tx, rx) } else { (rx, tx) };
    counters(&[
        ("rx_packets", rx[0]),
        ("rx_bytes", rx[1]),
        ("rx_dropped", rx[2]),
        ("rx_errors", rx[3]),
        ("tx_packets", tx[0]),
        ("tx_bytes", tx[1]),
        ("tx_dropped", tx[2]),
        ("tx_errors", tx[3]),
        ("collisions", s.collisions),
        ("rx_crc_err", s.rx_crc_err),
        ("rx_frame_err", s.rx_frame_err),
        ("rx_missed_errors", s.rx_missed_errors),
        ("rx_multicast_packets", s.multicast),
        ("rx_over_err", s.rx_over_err),
    ])
}

fn bfd_status(column: Option<BfdColumn>) -> BTreeMap<String, String> {
    let pairs = column.map(|c| c.pairs()).into_iter().flatten();
    pairs.map(|(k, v)| (k.to_owned(), v)).collect()
}

/// The row with the `cfm_*` columns as they should be; empty without CFM.
fn cfm_columns(old: &Interface, now: Option<&CfmColumns>) -> Interface {
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Interface {
        cfm_fault: now.map(|c| c.faults != Faults::NONE),
        cfm_fault_status: now.map_or_else(Vec::new, |c| {
            let mut names: Vec<String> = c.faults.names().iter().map(|n| (*n).to_owned()).collect();
            names.sort();
            names
        }),
        cfm_flap_count: now.map(|c| whole(c.flap_count)),
        cfm_health: now.and_then(|c| c.health).map(i64::from),
        // The column is signed and extended identifiers are unsigned: the 64 bits are kept, as in
        // Open vSwitch.
        cfm_remote_mpids: now.map_or_else(Vec::new, |c| {
            let mut all: Vec<i64> = c.remote_mpids.iter().map(|m| *m as i64).collect();
            all.sort_unstable();
            all
        }),
        cfm_remote_opstate: now.and_then(|c| c.remote_opup).map(up_down),
        ..old.clone()
    }
}

/// The row of an interface that cannot be used: the error, and no status.
fn broken(old: &Interface, error: Option<&String>) -> Interface {
    Interface {
        ofport: Some(-1),
        error: error.cloned(),
        status: BTreeMap::new(),
        admin_state: None,
        duplex: None,
        link_speed: None,
        link_state: None,
        mac_in_use: None,
        mtu: None,
        lacp_current: None,
        statistics: BTreeMap::new(),
        ifindex: None,
        bfd_status: BTreeMap::new(),
        ..cfm_columns(old, None)
    }
}

/// A patch port whose peer is missing, or is not a patch port that names it.
fn patch_error(name: &str, a: &Attached, switch: &Switch, datapath_type: &str) -> Option<String> {
    let DeviceKind::Patch { peer } = &a.kind else { return None };
    let back = switch.attached.get(peer).map(|p| &p.kind);
    match back {
        Some(DeviceKind::Patch { peer: back }) if back == name => None,
        Some(_) | None => {
            Some(format!("No usable peer '{peer}' exists in '{datapath_type}' datapath."))
        }
    }
}

fn up_down(up: bool) -> String {
    if up { "up" } else { "down" }.to_owned()
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Carrier => "carrier",
        Source::Mii => "mii",
        Source::Ethtool => "ethtool",
        Source::CarrierInstead => "carrier-instead",
        Source::Virtual => "virtual",
    }
}

/// `ID` and `VERSION_ID` of os-release(5).
fn os_release() -> (Option<String>, Option<String>) {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |key: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned()).filter(|v| !v.is_empty())
    };
    (field("ID"), field("VERSION_ID"))
}
