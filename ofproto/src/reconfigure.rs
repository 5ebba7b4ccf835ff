//! From a configuration to the snapshot that translation works on.
//!
//! Bridges and ports that were there before keep their state: MAC tables, flow tables, counters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datapath::Job;
use serde::Serialize;
use wire::Time;

use crate::bridge_state::{BridgeState, BundleState, PatchCounters};
use crate::config::{BridgeConfig, BundleConfig, FailMode, IfaceKind, OfprotoConfig};
use crate::counter::{Count, Counter};
use crate::datapath_link::DatapathLink;
use crate::ids::BundleId;
use crate::mac_sweep::MacSweep;
use crate::mac_table::MacTable;
use crate::mirror::{self, Mirrors};
use crate::snapshot::{Bridge, Bundle, Snapshot};
use crate::tables::normal_flow;
use crate::vlan::PortVlan;

/// What a new configuration changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfigChange {
    /// Names of bridges that were not there before.
    pub bridges_added: Vec<String>,
    /// Names of bridges that are gone.
    pub bridges_removed: Vec<String>,
    /// Bridge and port whose addresses were forgotten, because the port is gone or has other
    /// VLANs.
    pub flushed: Vec<(String, String)>,
}

/// What is kept from one configuration to the next.
#[derive(Default)]
pub(crate) struct ConfigState {
    generation: u64,
    last_bundle: u64,
    bridges: BTreeMap<String, KnownBridge>,
    patches: BTreeMap<String, Arc<PatchCounters>>,
}

struct KnownBridge {
    state: Arc<BridgeState>,
    bundles: BTreeMap<String, KnownBundle>,
    mirrors: mirror::KnownMirrors,
}

struct KnownBundle {
    state: Arc<BundleState>,
    vlan: PortVlan,
    protected: bool,
}

/// What comes of a new configuration.
pub(crate) struct Rebuilt {
    pub(crate) snapshot: Snapshot,
    pub(crate) change: ConfigChange,
    /// To be run on a datapath thread in this order, once packets see the snapshot.
    pub(crate) jobs: Vec<Job>,
}

impl ConfigState {
    /// Takes over a configuration. `new_macs` makes the MAC table of a new bridge.
    pub(crate) fn rebuild(
        &mut self,
        now: Time,
        config: &OfprotoConfig,
        link: &Arc<DatapathLink>,
        new_macs: &dyn Fn() -> MacTable,
    ) -> Rebuilt {
        let mut change = ConfigChange::default();
        let mut jobs: Vec<Job> = Vec::new();
        let mut old = std::mem::take(&mut self.bridges);
        let old_patches = std::mem::take(&mut self.patches);
        let mut bridges = Vec::with_capacity(config.bridges.len());
        let mut removed_bundles: Vec<(Arc<BridgeState>, BundleId)> = Vec::new();
        let mut configs: Vec<&BridgeConfig> = config.bridges.iter().collect();
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        configs.dedup_by(|b, a| a.name == b.name);
        for c in configs {
            let known = old.remove(&c.name);
            if known.is_none() {
                change.bridges_added.push(c.name.clone());
            }
            let KnownBridge { state, bundles: old_bundles, mut mirrors } =
                known.unwrap_or_else(|| KnownBridge {
                    state: new_bridge(now, c, new_macs()),
                    bundles: BTreeMap::new(),
                    mirrors: mirror::KnownMirrors::default(),
                });
            let mut gone = Vec::new();
            let (bundles, known) = self.bundles(now, c, old_bundles, &old_patches, &mut gone);
            let removed = gone.iter().filter(|(name, _)| !known.contains_key(name));
            removed_bundles.extend(removed.map(|(_, id)| (state.clone(), *id)));
            let names: Vec<&str> = bundles.iter().map(|b| b.name.as_str()).collect();
            let resolved_mirrors = Mirrors::new(&c.mirrors, &names, &mut mirrors);
            let known = KnownBridge { state: state.clone(), bundles: known, mirrors };
            self.bridges.insert(c.name.clone(), known);
            change.flushed.extend(gone.iter().map(|(name, _)| (c.name.clone(), name.clone())));
            let (aging, max) = (c.mac_aging, c.mac_table_size);
            let (flood_vlans, s) = (c.flood_vlans.clone(), state.clone());
            let link = link.clone();
            jobs.push(Box::new(move || {
                let (learned, bundles) = {
                    let mut macs = s.macs.lock();
                    let flood_changed = macs.configure(aging, max, &flood_vlans);
                    let bundles = macs.sweep_bundles(gone.iter().map(|(_, id)| *id));
                    (flood_changed.then(|| macs.sweep_learned()), bundles)
                };
                let bundles = (!gone.is_empty()).then_some(bundles);
                for sweep in learned.into_iter().chain(bundles) {
                    MacSweep::new(&link, &s, sweep).run_slice();
                }
            }));
            bridges.push(Bridge::new(c, state, bundles, resolved_mirrors));
        }
        for bridge in old.values() {
            let bundles = bridge.bundles.values();
            removed_bundles.extend(bundles.map(|b| (bridge.state.clone(), b.state.id)));
        }
        change.bridges_removed = old.into_keys().collect();
        if bridges.len() > 1 {
            let all: Vec<Arc<BridgeState>> = bridges.iter().map(|b| b.state.clone()).collect();
            for (home, removed) in by_bridge(removed_bundles) {
                let link = link.clone();
                let mut others = all.clone();
                others.retain(|b| !Arc::ptr_eq(b, &home));
                // Before the addresses themselves go.
                jobs.insert(
                    0,
                    Box::new(move || {
                        let sweep = home.macs.lock().sweep_bundles(removed.iter().copied());
                        MacSweep::new(&link, &home, sweep).also_in(others, removed).run_slice();
                    }),
                );
            }
        }
        self.generation += 1;
        let snapshot = Snapshot::new(self.generation, config.vlan_limit, bridges);
        Rebuilt { snapshot, change, jobs }
    }

    /// What a patch port carried, by interface name: received and sent.
    pub(crate) fn patch_counts(&self, iface: &str) -> Option<(Count, Count)> {
        self.patches.get(iface).map(|p| (p.rx.get(), p.tx.get()))
    }

    /// What a mirror has copied, by its identity.
    pub(crate) fn mirror_count(&self, id: u128) -> Option<Count> {
        self.bridges.values().find_map(|b| b.mirrors.counter(id)).map(|c| c.get())
    }

    /// The bundles of one bridge, with the state of those that were there before. `gone` gets
    /// those whose addresses are to be forgotten.
    fn bundles(
        &mut self,
        now: Time,
        c: &BridgeConfig,
        mut old: BTreeMap<String, KnownBundle>,
        old_patches: &BTreeMap<String, Arc<PatchCounters>>,
        gone: &mut Vec<(String, BundleId)>,
    ) -> (Vec<Bundle>, BTreeMap<String, KnownBundle>) {
        let mut known = BTreeMap::new();
        let mut bundles: Vec<Bundle> = Vec::with_capacity(c.bundles.len());
        for b in &c.bundles {
            if known.contains_key(&b.name) {
                // The database has no two ports of one name; the first would be meant.
                continue;
            }
            let vlan = PortVlan::new(&b.settings);
            let state = match old.remove(&b.name) {
                Some(k) => {
                    if k.vlan != vlan || k.protected != b.settings.protected {
                        gone.push((b.name.clone(), k.state.id));
                    }
                    if k.state.buckets.is_empty() && b.bond.is_some() {
                        new_state(k.state.id, k.state.created, b)
                    } else {
                        k.state
                    }
                }
                None => {
                    self.last_bundle += 1;
                    new_state(BundleId(self.last_bundle), now, b)
                }
            };
            let patches = b.ifaces.iter().map(|i| match &i.kind {
                IfaceKind::Datapath(_) => None,
                IfaceKind::Patch { .. } => {
                    let counters = old_patches.get(&i.name).cloned().unwrap_or_default();
                    Some(self.patches.entry(i.name.clone()).or_insert(counters).clone())
                }
            });
            let patches = patches.collect();
            let entry = KnownBundle { state: state.clone(), vlan, protected: b.settings.protected };
            known.insert(b.name.clone(), entry);
            bundles.push(Bundle::new(b, state, patches));
        }
        gone.extend(old.into_iter().map(|(name, k)| (name, k.state.id)));
        (bundles, known)
    }
}

fn new_bridge(now: Time, c: &BridgeConfig, mut macs: MacTable) -> Arc<BridgeState> {
    // Nothing has been learned that would have to be forgotten.
    let _ = macs.configure(c.mac_aging, c.mac_table_size, &c.flood_vlans);
    let state = BridgeState::new(now, macs);
    if c.fail_mode == FailMode::Standalone {
        // It forwards from the first packet on. The agent of the bridge's OpenFlow connections
        // removes the flow when there is a controller.
        let mut table = state.flow_table.lock();
        table.add_internal(now, normal_flow());
        if let Some(tables) = table.publish() {
            state.tables.store(tables);
        }
    }
    Arc::new(state)
}

/// Ports that are gone, by the bridge that they were on.
fn by_bridge(
    removed: Vec<(Arc<BridgeState>, BundleId)>,
) -> Vec<(Arc<BridgeState>, BTreeSet<BundleId>)> {
    let mut found: Vec<(Arc<BridgeState>, BTreeSet<BundleId>)> = Vec::new();
    for (home, id) in removed {
        match found.iter_mut().find(|(b, _)| Arc::ptr_eq(b, &home)) {
            Some((_, ids)) => {
                ids.insert(id);
            }
            None => found.push((home, BTreeSet::from([id]))),
        }
    }
    found
}

fn new_state(id: BundleId, created: Time, b: &BundleConfig) -> Arc<BundleState> {
    let buckets = if b.bond.is_some() { bond::BUCKETS } else { 0 };
    let buckets = (0..buckets).map(|_| Counter::default()).collect();
    Arc::new(BundleState { id, created, buckets })
}
