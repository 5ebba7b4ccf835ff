//! What ofproto and the links thread are told of the wanted state, with the numbers filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bond::monitor::probe::ProbeConfig;
use bond::{BondConfig, LacpConfig, LacpMemberConfig, MemberConfig};
use ofproto::config::ProbeMatch;
use ofproto::{BridgeConfig, BundleConfig, IfaceConfig, IfaceKind, OfprotoConfig};

use super::device::Attached;
use super::{RunningBridge, Switch};
use crate::compat::dummy;
use config::{Desired, DeviceKind, WantIface, WantPort};
use links::{LinkDevice, LinkMember, LinkPort, LinkPortKind, WatchedLink};
use wire::EthAddr;

impl Switch {
    /// The interfaces of a port that work.
    fn working<'a>(
        &'a self,
        port: &'a WantPort,
    ) -> impl Iterator<Item = (&'a WantIface, &'a Attached)> {
        port.ifaces.iter().filter_map(|i| Some((i, self.attached.get(&i.name)?)))
    }

    pub(super) fn switch_config(&self, desired: &Desired) -> OfprotoConfig {
        let mut bridges = Vec::new();
        for bridge in &desired.bridges {
            let Some(running) = self.bridges.get(&bridge.name) else { continue };
            let bundles = bridge
                .ports
                .iter()
                .map(|port| self.bundle(port))
                .filter(|b| !b.ifaces.is_empty())
                .collect();
            bridges.push(BridgeConfig {
                name: bridge.name.clone(),
                datapath_type: bridge.datapath_type.clone(),
                mac: running.mac,
                datapath_id: running.datapath_id,
                fail_mode: bridge.fail_mode,
                mac_aging: bridge.mac_aging,
                mac_table_size: bridge.mac_table_size,
                forward_bpdu: bridge.forward_bpdu,
                flood_vlans: bridge.flood_vlans.clone(),
                bundles,
                mirrors: bridge.mirrors.iter().filter_map(|m| m.config.clone()).collect(),
            });
        }
        OfprotoConfig { vlan_limit: desired.switch.vlan_limit, bridges }
    }

    /// Hardware addresses of the host's own stations. They may be behind any port by way of patch
    /// ports.
    fn own_stations(&self) -> BTreeSet<EthAddr> {
        let internal = |a: &&Attached| match a.kind {
            DeviceKind::Internal => true,
            DeviceKind::System
            | DeviceKind::Tap
            | DeviceKind::Patch { .. }
            | DeviceKind::Dummy { .. }
            | DeviceKind::Unknown(_) => false,
        };
        let ports = self.attached.values().filter(internal).map(|a| a.link.mac);
        ports.chain(self.bridges.values().map(|b| b.mac)).collect()
    }

    /// The probes of a port's bond, if they are on.
    fn probes(&self, port: &WantPort) -> Option<ProbeConfig> {
        let probe = &port.bond.as_ref()?.config.probe;
        probe.is_on().then(|| ProbeConfig { taken: self.own_stations(), ..probe.clone() })
    }

    fn bundle(&self, port: &WantPort) -> BundleConfig {
        let probes = self.probes(port);
        let asks_from = |a: &Attached| Some(probes.as_ref()?.asker(a.link.mac));
        let siblings: Vec<EthAddr> =
            self.working(port).filter_map(|(_, a)| Some(asks_from(a)?.mac)).collect();
        let probe_match = |a: &Attached| {
            let probes = probes.as_ref()?;
            Some(Arc::new(ProbeMatch {
                asker: asks_from(a)?,
                targets: probes.targets.clone(),
                vid: probes.vid.unwrap_or(0),
                siblings: siblings.clone(),
            }))
        };
        let ifaces = self
            .working(port)
            .map(|(want, a)| IfaceConfig {
                name: want.name.clone(),
                of_port: a.of_port,
                member: port.bond.is_some().then_some(a.member),
                mac: a.link.mac,
                kind: match (&want.kind, a.port_no) {
                    (DeviceKind::Patch { peer }, _) => IfaceKind::Patch { peer: peer.clone() },
                    (_, Some(port_no)) => IfaceKind::Datapath(port_no),
                    // Not a patch port and without a number: leads nowhere.
                    (_, None) => IfaceKind::Patch { peer: String::new() },
                },
                type_name: want.kind.name().to_owned(),
                shown: match &want.kind {
                    DeviceKind::Patch { peer } => {
                        BTreeMap::from([("peer".to_owned(), peer.clone())])
                    }
                    DeviceKind::Dummy { class } => dummy::shown(class, want),
                    DeviceKind::System
                    | DeviceKind::Internal
                    | DeviceKind::Tap
                    | DeviceKind::Unknown(_) => BTreeMap::new(),
                },
                bfd: want.bfd.as_ref().map(|b| b.own()),
                cfm: want.cfm.as_ref().map(|c| c.destination()),
                attached_mac: want.attached_mac,
                host_device: match &want.kind {
                    DeviceKind::Internal => a.ifindex(),
                    DeviceKind::System
                    | DeviceKind::Tap
                    | DeviceKind::Patch { .. }
                    | DeviceKind::Dummy { .. }
                    | DeviceKind::Unknown(_) => None,
                },
                probe: probe_match(a),
            })
            .collect();
        BundleConfig {
            name: port.name.clone(),
            settings: port.bundle.clone(),
            ifaces,
            bond: port.bond.as_ref().and_then(|_| self.bond_handle(&port.name)).cloned(),
            lacp: port.lacp.is_some(),
        }
    }

    /// Bonds, and single interfaces with LACP, that have at least one working interface.
    pub(super) fn link_ports(&self, desired: &Desired) -> Vec<LinkPort> {
        let mut ports = Vec::new();
        for bridge in &desired.bridges {
            let Some(running) = self.bridges.get(&bridge.name) else { continue };
            for port in &bridge.ports {
                ports.extend(self.link_port(&bridge.name, running, port));
            }
        }
        ports
    }

    /// The patch port at the other end, if that names this one in turn.
    fn peer(&self, want: &WantIface) -> Option<String> {
        let DeviceKind::Patch { peer } = &want.kind else { return None };
        match &self.attached.get(peer)?.kind {
            DeviceKind::Patch { peer: back } if *back == want.name => Some(peer.clone()),
            DeviceKind::Patch { .. }
            | DeviceKind::System
            | DeviceKind::Internal
            | DeviceKind::Tap
            | DeviceKind::Dummy { .. }
            | DeviceKind::Unknown(_) => None,
        }
    }

    /// Interfaces with health checks, in bonds or not.
    pub(super) fn watched_links(&self, desired: &Desired) -> Vec<WatchedLink> {
        let ports = desired.bridges.iter().flat_map(|b| &b.ports);
        ports
            .flat_map(|port| self.working(port))
            .filter(|(want, _)| want.bfd.is_some() || want.cfm.is_some())
            .map(|(want, a)| WatchedLink {
                name: want.name.clone(),
                mac: a.link.mac,
                // What the switch sends to the host by a tap is not what a socket on it would.
                ifindex: a.ifindex().filter(|_| want.kind == DeviceKind::System),
                port_no: a.port_no,
                peer: self.peer(want),
                bfd: want.bfd.clone(),
                cfm: want.cfm.clone(),
            })
            .collect()
    }

    fn link_port(
        &self,
        bridge: &str,
        running: &RunningBridge,
        port: &WantPort,
    ) -> Option<LinkPort> {
        let working: Vec<(&WantIface, &Attached)> = self.working(port).collect();
        let (first, _) = working.first()?;
        let lacp = port.lacp.clone().map(|l| {
            let own = if l.system_id.is_zero() { running.mac } else { l.system_id };
            LacpConfig { system_id: own, ..l }
        });
        let (kind, detect) = match (&port.bond, lacp) {
            (Some(bond), lacp) => {
                let handle = self.bond_handle(&port.name)?.clone();
                let mut config = bond_config(&bond.config, lacp, handle.recirc_id, &working);
                config.probe = self.probes(port).unwrap_or_default();
                config.bridge_mac = running.mac;
                (LinkPortKind::Bond { config: Box::new(config), handle }, bond.detect)
            }
            (None, Some(lacp)) => {
                let member = member_lacp(first, working[0].1);
                (LinkPortKind::Single { lacp, member }, Default::default())
            }
            (None, None) => return None,
        };
        Some(LinkPort {
            name: port.name.clone(),
            bridge: bridge.to_owned(),
            kind,
            detect,
            members: working
                .iter()
                .map(|(want, a)| LinkMember {
                    id: a.member,
                    name: want.name.clone(),
                    mac: a.link.mac,
                    device: match (&a.dummy, a.ifindex()) {
                        (Some(dummy), _) => LinkDevice::Dummy(dummy.clone()),
                        (None, Some(ifindex)) => LinkDevice::Kernel { ifindex },
                        (None, None) => LinkDevice::Patch { peer: self.peer(want) },
                    },
                    port_no: a.port_no,
                    on_wire: want.kind == DeviceKind::System,
                })
                .collect(),
        })
    }
}

/// An interface's LACP; its port number is by default the OpenFlow port number, as in Open vSwitch.
fn member_lacp(want: &WantIface, attached: &Attached) -> LacpMemberConfig {
    let lacp = want.member.lacp;
    let port_id = if lacp.port_id == 0 { attached.of_port.0 } else { lacp.port_id };
    LacpMemberConfig { port_id, ..lacp }
}

/// A bond's configuration with what depends on devices filled in.
fn bond_config(
    row: &BondConfig,
    lacp: Option<LacpConfig>,
    recirc_id: u32,
    working: &[(&WantIface, &Attached)],
) -> BondConfig {
    let member = |(want, a): &(&WantIface, &Attached)| MemberConfig {
        id: a.member,
        name: want.name.clone(),
        mac: a.link.mac,
        priority: want.member.priority,
        lacp: member_lacp(want, a),
    };
    let members = working.iter().map(member).collect();
    BondConfig { lacp, recirc_id, members, ..row.clone() }
}
