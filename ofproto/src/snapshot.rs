//! The snapshot of bridges and ports that translation works on: immutable, replaced with each
//! configuration.

use std::sync::Arc;

use datapath::PortNo;
use foldhash::HashMap;

use crate::bridge_state::{BridgeState, BundleState, PatchCounters};
use crate::config::{BondHandle, BridgeConfig, BundleConfig, IfaceConfig, IfaceKind, OfPort};
use crate::ids::BundleId;
use crate::mirror::Mirrors;
use crate::vlan::PortVlan;

pub(crate) struct Bridge {
    pub(crate) name: String,
    pub(crate) datapath_type: String,
    pub(crate) forward_bpdu: bool,
    pub(crate) bundles: Vec<Bundle>,
    pub(crate) mirrors: Mirrors,
    by_id: HashMap<BundleId, usize>,
    /// Bundle and interface.
    by_of_port: HashMap<OfPort, (usize, usize)>,
    pub(crate) state: Arc<BridgeState>,
}

pub(crate) struct Bundle {
    pub(crate) name: String,
    pub(crate) vlan: PortVlan,
    pub(crate) protected: bool,
    pub(crate) lacp: bool,
    pub(crate) bond: Option<Arc<BondHandle>>,
    pub(crate) ifaces: Vec<IfaceConfig>,
    pub(crate) state: Arc<BundleState>,
    /// By interface: of those that are patch ports.
    pub(crate) patches: Vec<Option<Patch>>,
}

/// Where a patch port leads.
pub(crate) struct Patch {
    /// Nothing when the peer does not exist or does not name this port in turn.
    pub(crate) peer: Option<Place>,
    pub(crate) counters: Arc<PatchCounters>,
}

/// An interface, by index in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bridge: usize,
    pub(crate) bundle: usize,
    pub(crate) iface: usize,
}

/// All bridges, as they are configured now.
pub(crate) struct Snapshot {
    /// Grows by one with each configuration.
    pub(crate) generation: u64,
    /// VLAN tags looked at.
    pub(crate) vlan_limit: usize,
    /// Ordered by name.
    pub(crate) bridges: Vec<Bridge>,
    by_port: HashMap<PortNo, Place>,
    /// Bridge and bundle.
    by_recirc: HashMap<u32, (usize, usize)>,
}

impl Snapshot {
    pub(crate) fn empty() -> Snapshot {
        Snapshot::new(0, 0, Vec::new())
    }

    /// Resolves ports, patch peers and recirculation identities. A port number or an identity
    /// that is claimed twice belongs to the first.
    pub(crate) fn new(generation: u64, vlan_limit: u8, mut bridges: Vec<Bridge>) -> Snapshot {
        let mut by_port: HashMap<PortNo, Place> = HashMap::default();
        let mut by_recirc: HashMap<u32, (usize, usize)> = HashMap::default();
        let mut patches: HashMap<String, (Place, String)> = HashMap::default();
        for (b, bridge) in bridges.iter().enumerate() {
            for (n, bundle) in bridge.bundles.iter().enumerate() {
                if let Some(bond) = bundle.bond.as_ref().filter(|bond| bond.recirc_id != 0) {
                    by_recirc.entry(bond.recirc_id).or_insert((b, n));
                }
                for (i, iface) in bundle.ifaces.iter().enumerate() {
                    let place = Place { bridge: b, bundle: n, iface: i };
                    match &iface.kind {
                        IfaceKind::Datapath(port) => {
                            by_port.entry(*port).or_insert(place);
                        }
                        IfaceKind::Patch { peer } => {
                            patches
                                .entry(iface.name.clone())
                                .or_insert_with(|| (place, peer.clone()));
                        }
                    }
                }
            }
        }
        for bundle in bridges.iter_mut().flat_map(|b| &mut b.bundles) {
            for (iface, patch) in bundle.ifaces.iter().zip(&mut bundle.patches) {
                if let (IfaceKind::Patch { peer }, Some(patch)) = (&iface.kind, patch) {
                    patch.peer = patches
                        .get(peer)
                        .filter(|(_, back)| *back == iface.name && *peer != iface.name)
                        .map(|(p, _)| *p);
                }
            }
        }
        let vlan_limit = if vlan_limit == 0 { 2 } else { usize::from(vlan_limit.min(2)) };
        Snapshot { generation, vlan_limit, bridges, by_port, by_recirc }
    }

    pub(crate) fn port(&self, port: PortNo) -> Option<Place> {
        self.by_port.get(&port).copied()
    }

    /// Bridge and bundle of the bond that sends packets round with this identity.
    pub(crate) fn recirc_place(&self, id: u32) -> Option<(usize, usize)> {
        self.by_recirc.get(&id).copied()
    }

    pub(crate) fn iface(&self, p: Place) -> &IfaceConfig {
        &self.bridges[p.bridge].bundles[p.bundle].ifaces[p.iface]
    }

    /// The datapath's number; nothing for a patch port.
    pub(crate) fn datapath_port(&self, p: Place) -> Option<PortNo> {
        match self.iface(p).kind {
            IfaceKind::Datapath(port) => Some(port),
            IfaceKind::Patch { .. } => None,
        }
    }

    /// The bridge of the bond that sends packets round with this identity.
    pub(crate) fn recirc_bridge(&self, id: u32) -> Option<usize> {
        self.by_recirc.get(&id).map(|(bridge, _)| *bridge)
    }

    pub(crate) fn bridge(&self, name: &str) -> Option<&Bridge> {
        self.bridges.iter().find(|b| b.name == name)
    }
}

impl Bridge {
    pub(crate) fn new(
        c: &BridgeConfig,
        state: Arc<BridgeState>,
        bundles: Vec<Bundle>,
        mirrors: Mirrors,
    ) -> Bridge {
        Bridge {
            name: c.name.clone(),
            datapath_type: c.datapath_type.clone(),
            forward_bpdu: c.forward_bpdu,
            by_of_port: of_ports(&bundles),
            by_id: bundles.iter().enumerate().map(|(n, b)| (b.state.id, n)).collect(),
            bundles,
            mirrors,
            state,
        }
    }

    /// Bundle and interface of an OpenFlow port.
    pub(crate) fn of_port(&self, port: OfPort) -> Option<(usize, usize)> {
        self.by_of_port.get(&port).copied()
    }

    /// The bundle that a MAC entry names; nothing when it is gone.
    pub(crate) fn bundle_by_id(&self, id: BundleId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }
}

/// A number that is there twice belongs to the first.
fn of_ports(bundles: &[Bundle]) -> HashMap<OfPort, (usize, usize)> {
    let mut ports = HashMap::default();
    for (n, bundle) in bundles.iter().enumerate() {
        for (i, iface) in bundle.ifaces.iter().enumerate() {
            ports.entry(iface.of_port).or_insert((n, i));
        }
    }
    ports
}

impl Bundle {
    pub(crate) fn new(
        c: &BundleConfig,
        state: Arc<BundleState>,
        patches: Vec<Option<Arc<PatchCounters>>>,
    ) -> Bundle {
        Bundle {
            name: c.name.clone(),
            vlan: PortVlan::new(&c.settings),
            protected: c.settings.protected,
            lacp: c.lacp,
            bond: c.bond.clone(),
            ifaces: c.ifaces.clone(),
            state,
            patches: patches
                .into_iter()
                .map(|counters| Some(Patch { peer: None, counters: counters? }))
                .collect(),
        }
    }

    /// What is known of an interface that is a patch port.
    pub(crate) fn patch_of(&self, iface: usize) -> Option<&Patch> {
        self.patches.get(iface)?.as_ref()
    }
}
