//! Values for `ovs-appctl`: each prints Open vSwitch's text and serializes to JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use bond::OutputRule;
use openflow::text::{self, NoNames};
use serde::{Serialize, Serializer};
use wire::{EthAddr, Time};

use crate::config::{IfaceKind, OfPort};
use crate::counter::Count;
use crate::ids::BundleId;
use crate::mac_sweep::SLICE;
use crate::mac_table::{MacRow, MacStats};
use crate::ofproto::{Ofproto, QueryError};
use crate::revalidate::RevalidatorStatus;
use crate::snapshot::{Bridge, Snapshot};
use crate::tables::{INTERNAL_TABLE, Rule};

/// `fdb/show`: one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FdbRow {
    /// The first OpenFlow port of the bundle.
    #[serde(serialize_with = "number")]
    pub port: OfPort,
    /// The VLAN, 0 to 4095.
    pub vlan: u16,
    /// The station's address.
    pub mac: EthAddr,
    /// Since when it was not heard of.
    #[serde(flatten)]
    pub age: Age,
}

fn number<S: Serializer>(p: &OfPort, s: S) -> Result<S::Ok, S::Error> {
    // As Open vSwitch writes it to JSON; 65534 for the bridge's own.
    s.serialize_u32(p.0.into())
}

/// How old a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Age {
    /// Whole seconds since the address was last heard of.
    Seconds {
        /// Whole seconds.
        age: u64,
    },
    /// Set by hand.
    Static {
        #[serde(rename = "static")]
        /// Always true.
        fixed: bool,
    },
}

/// `fdb/show`: the table of each bridge asked for, least recently used first. In JSON an object
/// by bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbShow(pub Vec<FdbTable>);

/// One bridge's part of `fdb/show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbTable {
    /// The bridge's name.
    pub bridge: String,
    /// Its addresses, least recently used first.
    pub rows: Vec<FdbRow>,
}

impl Serialize for FdbShow {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let map: BTreeMap<&str, &[FdbRow]> =
            self.0.iter().map(|t| (t.bridge.as_str(), t.rows.as_slice())).collect();
        map.serialize(s)
    }
}

impl Display for FdbShow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            writeln!(f, " Port  VLAN  MAC                Age")?;
            return one.rows.iter().try_for_each(|r| writeln!(f, "{r}"));
        }
        let width = self.0.iter().map(|t| t.bridge.len()).max().unwrap_or(0).max(6) + 1;
        writeln!(f, " {:width$} Port  VLAN  MAC                Age", "Bridge")?;
        for t in &self.0 {
            if t.rows.is_empty() {
                writeln!(f, " {}", t.bridge)?;
            }
            for (n, r) in t.rows.iter().enumerate() {
                writeln!(f, " {:width$}{r}", if n == 0 { t.bridge.as_str() } else { "" })?;
            }
        }
        Ok(())
    }
}

impl Display for FdbRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}  {:>4}  {}  ", self.port, self.vlan, self.mac)?;
        match self.age {
            Age::Seconds { age } => write!(f, "{age:>3}"),
            Age::Static { .. } => write!(f, "static"),
        }
    }
}

/// `fdb/stats-show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FdbStats {
    /// The bridge's name.
    pub bridge: String,
    /// Addresses in the table, static ones included.
    pub current: usize,
    /// How many there may be.
    pub max: usize,
    /// How many are static.
    #[serde(rename = "static")]
    pub fixed: usize,
    /// What the table has done since the statistics were cleared.
    #[serde(flatten)]
    pub totals: MacStats,
}

impl Display for FdbStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Statistics for bridge \"{}\":", self.bridge)?;
        writeln!(f, "  Current/maximum MAC entries in the table: {}/{}", self.current, self.max)?;
        for (what, n) in [
            ("Current static MAC entries in the table ", self.fixed as u64),
            ("Total number of learned MAC entries     ", self.totals.learned),
            ("Total number of expired MAC entries     ", self.totals.expired),
            ("Total number of evicted MAC entries     ", self.totals.evicted),
            ("Total number of port moved MAC entries  ", self.totals.moved),
        ] {
            writeln!(f, "  {what}: {n}")?;
        }
        Ok(())
    }
}

/// Why an address could not be set or removed by hand; the text is Open vSwitch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FdbError {
    /// The bridge could not be asked.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The bridge has no such port.
    #[error("software error, odp port is present but no ofp port")]
    NoSuchPort,
    /// There is no such static address.
    #[error("could not find static mac entry\n")]
    NoSuchEntry,
}

/// `dpif/show`: one datapath type and its bridges. In JSON all numbers are text, as in Open
/// vSwitch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DpifShow {
    /// `system@ovs-system` and so on.
    #[serde(skip)]
    pub name: String,
    /// Packets of the datapath by whether a flow was there.
    pub stats: HitMiss,
    /// The bridges of this datapath type, by name.
    #[serde(serialize_with = "bridges_by_name")]
    pub bridges: Vec<DpifBridge>,
}

/// Packets by whether a flow of the datapath was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HitMiss {
    /// Packets that hit a flow.
    #[serde(serialize_with = "as_text")]
    pub hit: u64,
    /// Packets that missed.
    #[serde(serialize_with = "as_text")]
    pub missed: u64,
}

fn as_text<S: Serializer>(n: &impl Display, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(n)
}

/// One bridge of `dpif/show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpifBridge {
    /// Its name.
    pub name: String,
    /// Ordered by name.
    pub ports: Vec<DpifPort>,
}

/// One port of `dpif/show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DpifPort {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// The OpenFlow port number.
    #[serde(serialize_with = "number_as_text")]
    pub ofport: OfPort,
    /// The datapath's number; none for a patch port.
    #[serde(serialize_with = "number_or_none")]
    pub port_no: Option<u32>,
    /// `Interface.type`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Settings that are shown with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

fn number_as_text<S: Serializer>(p: &OfPort, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&p.0)
}

fn number_or_none<S: Serializer>(p: &Option<u32>, s: S) -> Result<S::Ok, S::Error> {
    match p {
        Some(n) => s.serialize_str(&n.to_string()),
        None => s.serialize_str("none"),
    }
}

fn bridges_by_name<S: Serializer>(bridges: &[DpifBridge], s: S) -> Result<S::Ok, S::Error> {
    let map: BTreeMap<&str, BTreeMap<&str, &DpifPort>> = bridges
        .iter()
        .map(|b| (b.name.as_str(), b.ports.iter().map(|p| (p.name.as_str(), p)).collect()))
        .collect();
    map.serialize(s)
}

impl Display for DpifShow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: hit:{} missed:{}", self.name, self.stats.hit, self.stats.missed)?;
        for b in &self.bridges {
            writeln!(f, "  {}:", b.name)?;
            for p in &b.ports {
                write!(f, "    {} {}/", p.name, p.ofport.0)?;
                match p.port_no {
                    Some(n) => write!(f, "{n}: ({}", p.type_name)?,
                    None => write!(f, "none: ({}", p.type_name)?,
                }
                for (n, (k, v)) in p.config.iter().enumerate() {
                    write!(f, "{} {k}={v}", if n == 0 { ':' } else { ',' })?;
                }
                writeln!(f, ")")?;
            }
        }
        Ok(())
    }
}

/// `upcall/show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpcallShow {
    /// The datapath's name.
    #[serde(skip)]
    pub name: String,
    /// What the revalidator has done.
    #[serde(flatten)]
    pub status: RevalidatorStatus,
}

impl Display for UpcallShow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let s = &self.status;
        writeln!(f, "{}:", self.name)?;
        writeln!(
            f,
            "  flows         : (current {}) (avg {}) (max {}) (limit {})",
            s.flows, s.avg_flows, s.max_flows, s.flow_limit
        )?;
        writeln!(f, "  dump duration : {}ms", s.dump_duration_ms)?;
        writeln!(f, "  ufid enabled : true\n")?;
        writeln!(f, "  1: (keys {})", s.flows)
    }
}

/// The default priority of flows, which is not shown.
const DEFAULT_PRIORITY: u16 = 0x8000;

/// `bridge/dump-flows`: one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// Its table; 254 for the switch's own.
    pub table: u8,
    /// Whole seconds.
    pub duration: u64,
    /// What it has counted.
    #[serde(flatten)]
    pub count: Count,
    /// Beyond 65535 or below 0 for the switch's own.
    pub priority: i32,
    /// Matches, as Open vSwitch writes them.
    #[serde(rename = "match")]
    pub matches: String,
    /// Its actions, as Open vSwitch writes them.
    pub actions: String,
}

impl Display for RuleRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.table != 0 {
            write!(f, "table_id={}, ", self.table)?;
        }
        write!(
            f,
            "duration={}s, n_packets={}, n_bytes={}, ",
            self.duration, self.count.packets, self.count.bytes
        )?;
        if self.priority != i32::from(DEFAULT_PRIORITY) {
            write!(f, "priority={}", self.priority)?;
            if !self.matches.is_empty() {
                f.write_str(",")?;
            }
        }
        f.write_str(&self.matches)?;
        write!(f, ",actions={}", self.actions)
    }
}

/// `bridge/dump-flows`: all rules of a bridge, the hidden ones included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RuleDump(pub Vec<RuleRow>);

impl Display for RuleDump {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|r| writeln!(f, "{r}"))
    }
}

impl Ofproto {
    /// `ofproto/list`: the bridges' names in order.
    pub fn list(&self) -> Vec<String> {
        self.snapshot.load().bridges.iter().map(|b| b.name.clone()).collect()
    }

    /// `fdb/show BRIDGE...`; all bridges when none is named.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`] when one of them does not exist.
    pub fn fdb_show(&self, now: Time, bridges: &[&str]) -> Result<FdbShow, QueryError> {
        let all = self.list();
        let names: Vec<&str> = if bridges.is_empty() {
            all.iter().map(String::as_str).collect()
        } else {
            bridges.to_vec()
        };
        let tables = names.iter().map(|name| {
            let rows = self.mac_rows(name)?;
            let snap = self.snapshot.load();
            let bridge = snap.bridge(name).ok_or(QueryError::NoSuchBridge)?;
            let rows = rows.iter().filter_map(|r| fdb_row(now, bridge, r)).collect();
            Ok(FdbTable { bridge: (*name).to_owned(), rows })
        });
        Ok(FdbShow(tables.collect::<Result<_, QueryError>>()?))
    }

    /// `fdb/flush [BRIDGE]`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
    pub fn fdb_flush(&self, bridge: Option<&str>) -> Result<&'static str, QueryError> {
        for name in self.one_or_all(bridge) {
            let mut sweep = self.with_macs(&name, |m| m.sweep_learned())?;
            loop {
                let (next, more) = self.with_macs(&name, move |m| {
                    let (_, more) = m.sweep(&mut sweep, SLICE);
                    (sweep, more)
                })?;
                if !more {
                    break;
                }
                sweep = next;
            }
        }
        self.call_revalidator();
        Ok("table successfully flushed")
    }

    /// Rules of all tables of all bridges: hidden ones, those of bonds' buckets and internal ones,
    /// too.
    pub fn rule_count(&self) -> usize {
        let snap = self.snapshot.load();
        let of = |b: &Bridge| {
            let mut bonds = Vec::new();
            bond_rules(Time::ZERO, b, &mut bonds);
            b.state.tables.load().all_rules().count() + bonds.len()
        };
        snap.bridges.iter().map(of).sum()
    }

    /// `fdb/stats-show BRIDGE`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
    pub fn fdb_stats(&self, bridge: &str) -> Result<FdbStats, QueryError> {
        let name = bridge.to_owned();
        self.with_macs(bridge, |m| FdbStats {
            bridge: name,
            current: m.len(),
            max: m.max(),
            fixed: m.fixed(),
            totals: m.stats(),
        })
    }

    /// `fdb/stats-clear [BRIDGE]`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
    pub fn fdb_stats_clear(&self, bridge: Option<&str>) -> Result<&'static str, QueryError> {
        for name in self.one_or_all(bridge) {
            self.with_macs(&name, |m| m.clear_stats())?;
        }
        Ok("statistics successfully cleared")
    }

    /// `fdb/add BRIDGE INTERFACE VLAN MAC`; the reply says what it took the place of.
    ///
    /// # Errors
    ///
    /// When there is no such bridge, or no such interface on it.
    pub fn fdb_add(
        &self,
        now: Time,
        bridge: &str,
        iface: &str,
        vlan: u16,
        mac: EthAddr,
    ) -> Result<String, FdbError> {
        let snap = self.snapshot.load_full();
        let b = snap.bridge(bridge).ok_or(QueryError::NoSuchBridge)?;
        let bundle = b
            .bundles
            .iter()
            .find(|bundle| bundle.ifaces.iter().any(|i| i.name == iface))
            .ok_or(FdbError::NoSuchPort)?;
        let id = bundle.state.id;
        let old = self.with_macs(bridge, move |m| {
            let old = m.row(mac, vlan);
            m.add_fixed(now, mac, vlan, id);
            old
        })?;
        self.call_revalidator();
        Ok(match old.filter(|r| r.bundle != id || !r.fixed) {
            None => String::new(),
            Some(r) => {
                let kind = if r.fixed { "static" } else { "dynamic" };
                let port = port_of(b, r.bundle).map(|p| p.to_string()).unwrap_or_default();
                format!("Overriding already existing {kind} entry on {port}\n")
            }
        })
    }

    /// `fdb/del BRIDGE VLAN MAC`.
    ///
    /// # Errors
    ///
    /// When there is no such bridge, or no such address was set by hand.
    pub fn fdb_del(&self, bridge: &str, vlan: u16, mac: EthAddr) -> Result<(), FdbError> {
        let found = self.with_macs(bridge, move |m| m.del_fixed(mac, vlan))?;
        self.call_revalidator();
        if found { Ok(()) } else { Err(FdbError::NoSuchEntry) }
    }

    /// The addresses of a bridge, least recently used first. They are copied in slices, with packets
    /// between them; addresses that come or go meanwhile may be missing.
    fn mac_rows(&self, bridge: &str) -> Result<Vec<MacRow>, QueryError> {
        let mut rows = BTreeMap::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let (slice, next) = self.with_macs(bridge, move |m| m.slice(at, SLICE))?;
            rows.extend(slice.into_iter().map(|r| ((r.vlan, r.mac), r)));
            from = next;
        }
        let mut rows: Vec<MacRow> = rows.into_values().collect();
        rows.sort_by_key(|r| (r.used, r.vlan, r.mac));
        Ok(rows)
    }

    fn one_or_all(&self, bridge: Option<&str>) -> Vec<String> {
        bridge.map_or_else(|| self.list(), |b| vec![b.to_owned()])
    }

    /// `dpif/show`: one part for each datapath type in use, ordered by name. Its totals are those
    /// of the one datapath behind them all.
    pub fn dpif_show(&self) -> Vec<DpifShow> {
        let total = self.datapath().map(|d| d.stats()).unwrap_or_default();
        let stats = HitMiss { hit: total.hit, missed: total.missed };
        let mut parts: BTreeMap<String, Vec<DpifBridge>> = BTreeMap::new();
        for b in &self.snapshot.load().bridges {
            let t = &b.datapath_type;
            parts.entry(format!("{t}@ovs-{t}")).or_default().push(dpif_bridge(b));
        }
        parts.into_iter().map(|(name, bridges)| DpifShow { name, stats, bridges }).collect()
    }

    /// `bridge/dump-flows BRIDGE`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`] (Open vSwitch says `Unknown bridge` here).
    pub fn dump_rules(&self, now: Time, bridge: &str) -> Result<RuleDump, QueryError> {
        let snap: &Snapshot = &self.snapshot.load();
        let b = snap.bridge(bridge).ok_or(QueryError::NoSuchBridge)?;
        let tables = b.state.tables.load();
        let rows_of = |table: u8| tables.rules(table).into_iter().map(|r| rule_row(now, r));
        let mut rows: Vec<RuleRow> = (0..INTERNAL_TABLE).flat_map(rows_of).collect();
        bond_rules(now, b, &mut rows);
        rows.extend(rows_of(INTERNAL_TABLE));
        Ok(RuleDump(rows))
    }
}

fn rule_row(now: Time, rule: &Rule) -> RuleRow {
    RuleRow {
        table: rule.table,
        duration: now.since(rule.created).as_secs(),
        count: Count { packets: rule.stats.packets(), bytes: rule.stats.bytes() },
        priority: rule.priority,
        matches: text::print_match(&rule.matching(), DEFAULT_PRIORITY, &NoNames),
        actions: text::print_actions(&rule.actions, &NoNames),
    }
}

/// The post-recirculation rules of the bridge's bonds, one for each bucket with a member.
fn bond_rules(now: Time, bridge: &Bridge, rows: &mut Vec<RuleRow>) {
    for bundle in &bridge.bundles {
        let Some(bond) = &bundle.bond else { continue };
        let forwarding = bond.forwarding.load();
        let recirc_id = match forwarding.output {
            OutputRule::Recirc { recirc_id, .. } | OutputRule::LbOutput { recirc_id, .. } => {
                recirc_id
            }
            OutputRule::Drop
            | OutputRule::Active
            | OutputRule::Slb { .. }
            | OutputRule::Select { .. } => continue,
        };
        for (bucket, member) in forwarding.buckets.iter().enumerate() {
            let iface = bundle.ifaces.iter().find(|i| member.is_some() && i.member == *member);
            let Some(iface) = iface else { continue };
            let hash = if bucket == 0 { "0".to_owned() } else { format!("{bucket:#x}") };
            rows.push(RuleRow {
                table: INTERNAL_TABLE,
                duration: now.since(bundle.state.created).as_secs(),
                count: bundle.state.buckets.get(bucket).map(|c| c.get()).unwrap_or_default(),
                priority: 20,
                matches: format!("recirc_id={recirc_id:#x},dp_hash={hash}/0xff"),
                actions: format!("output:{}", iface.of_port),
            });
        }
    }
}

fn dpif_bridge(b: &Bridge) -> DpifBridge {
    let mut ports: Vec<DpifPort> = b
        .bundles
        .iter()
        .flat_map(|bundle| &bundle.ifaces)
        .map(|i| DpifPort {
            name: i.name.clone(),
            ofport: i.of_port,
            port_no: match i.kind {
                IfaceKind::Datapath(p) => Some(p.0),
                IfaceKind::Patch { .. } => None,
            },
            type_name: i.type_name.clone(),
            config: i.shown.clone(),
        })
        .collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    DpifBridge { name: b.name.clone(), ports }
}

/// A bundle's first OpenFlow port.
fn port_of(bridge: &Bridge, id: BundleId) -> Option<OfPort> {
    let n = bridge.bundle_by_id(id)?;
    bridge.bundles[n].ifaces.first().map(|i| i.of_port)
}

/// Nothing for an address of a port that has just gone.
fn fdb_row(now: Time, bridge: &Bridge, r: &MacRow) -> Option<FdbRow> {
    let age = if r.fixed {
        Age::Static { fixed: true }
    } else {
        // Whole seconds on both sides, as Open vSwitch counts.
        Age::Seconds { age: (now.as_millis() / 1000).saturating_sub(r.used.as_millis() / 1000) }
    };
    Some(FdbRow { port: port_of(bridge, r.bundle)?, vlan: r.vlan, mac: r.mac, age })
}
