//! Peer notification, after a bond has moved traffic to another member.
//!
//! Switches beyond a bond without LACP have learned the bridge's stations on the link that last
//! carried their packets. When traffic moves to another member, packets from these stations make
//! them learn that one. What is sent for an address depends on what is known of it:
//!
//! | address | where it is from | packets |
//! |---|---|---|
//! | of a station on another port | the MAC table, with its VLAN | RARP |
//! | of the station behind an interface | `external_ids:attached-mac`, in the port's VLAN | RARP |
//! | of an internal port, or of a VLAN device on one | the host | RARP, and one ARP announcement or neighbour advertisement for each IP address |
//!
//! The packets do not pass the bridge's flows. They leave by the bond's table at once, with the
//! tags that its port gives their VLAN, or not at all where it does not carry it. So they are sent
//! in the same way for a bridge that forwards by flows of a controller only; such a bridge learns
//! nothing, and the last two rows are all there is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bond::{NotifyPackets, OutputRule};
use datapath::{Action, Datapath, Execute, Packet, PortNo};
use wire::EthAddr;
use wire::advert::unsolicited_advertisement;
use wire::arp::{gratuitous_arp, learning_packet};
use wire::hash::hash_mac;

use crate::bridge_state::BridgeState;
use crate::config::BondHandle;
use crate::ids::BundleId;
use crate::mac_table::MacRow;
use crate::ofproto::{Ofproto, QueryError};
use crate::snapshot::{Bundle, Snapshot};
use crate::vlan::{PortVlan, Tags};

/// Addresses, or ports, handled between two batches of packets: some tens of microseconds.
const SLICE: usize = 64;

/// The host's addresses on one of its devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// The VLAN of a VLAN device on top of the internal port; 0 = the port itself.
    pub vlan: u16,
    /// The device's hardware address.
    pub mac: EthAddr,
    /// The host forwards IPv6 packets that arrive on the device.
    pub router: bool,
    /// The addresses that are in use.
    pub addresses: Vec<IpAddr>,
}

/// What is to be announced.
#[derive(Clone, Debug, Default)]
pub struct Announcement {
    /// By which packets.
    pub packets: NotifyPackets,
    /// The host's addresses, by the index of the internal port's device.
    pub hosts: Arc<BTreeMap<u32, Vec<HostAddresses>>>,
}

/// One round over a bridge, slice by slice.
struct Round {
    datapath: Arc<dyn Datapath>,
    snapshot: Arc<Snapshot>,
    /// The bridge in the snapshot.
    bridge: usize,
    state: Arc<BridgeState>,
    bundle: BundleId,
    bond: Arc<BondHandle>,
    vlan: PortVlan,
    what: Announcement,
    /// Addresses and VLANs for which a RARP was sent.
    sent: BTreeSet<(EthAddr, u16)>,
}

/// Where a round goes on.
enum Step {
    /// The bridge's ports, from this one on.
    Port(usize),
    /// The MAC table, from this place on.
    Learned(usize),
}

impl Ofproto {
    /// Announces addresses by packets out of the bond `bundle`, in each VLAN that the bond carries.
    /// Returns at once; the datapath sends a few at a time, between packets, each by the member
    /// that carries its address then.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`] also when the bridge has no such bond. [`QueryError::Busy`]
    /// when the datapath has too many of the kind to do: this never waits.
    pub fn notify_peers(
        &self,
        bridge: &str,
        bundle: &str,
        what: Announcement,
    ) -> Result<(), QueryError> {
        let Some(datapath) = self.datapath() else { return Err(QueryError::Busy) };
        let snapshot = self.snapshot.load_full();
        let round = round(snapshot, datapath.clone(), bridge, bundle, what)
            .ok_or(QueryError::NoSuchBridge)?;
        let from = match round.what.packets.configured {
            true => Step::Port(0),
            false => Step::Learned(0),
        };
        match datapath.run_urgent(Box::new(move || round.go_on(from))) {
            true => Ok(()),
            false => Err(QueryError::Busy),
        }
    }
}

fn round(
    snapshot: Arc<Snapshot>,
    datapath: Arc<dyn Datapath>,
    bridge: &str,
    bundle: &str,
    what: Announcement,
) -> Option<Round> {
    let index = snapshot.bridges.iter().position(|b| b.name == bridge)?;
    let bridge = &snapshot.bridges[index];
    let bundle = bridge.bundles.iter().find(|b| b.name == bundle)?;
    Some(Round {
        datapath,
        bridge: index,
        state: bridge.state.clone(),
        bundle: bundle.state.id,
        bond: bundle.bond.clone()?,
        vlan: bundle.vlan.clone(),
        what,
        sent: BTreeSet::new(),
        snapshot,
    })
}

impl Round {
    fn go_on(mut self, from: Step) {
        let next = match from {
            Step::Port(from) => Some(self.ports(from)),
            Step::Learned(from) => self.learned(from),
        };
        if let Some(next) = next {
            let datapath = self.datapath.clone();
            datapath.run(Box::new(move || self.go_on(next)));
        }
    }

    /// What is known of ports without learning.
    fn ports(&mut self, from: usize) -> Step {
        let snapshot = self.snapshot.clone();
        let bundles = &snapshot.bridges[self.bridge].bundles;
        let end = bundles.len().min(from + SLICE);
        let own = self.bundle;
        for bundle in bundles[from..end].iter().filter(|b| b.state.id != own) {
            self.port(bundle);
        }
        if end < bundles.len() { Step::Port(end) } else { Step::Learned(0) }
    }

    fn port(&mut self, port: &Bundle) {
        let hosts = self.what.hosts.clone();
        for iface in &port.ifaces {
            if let Some(mac) = iface.attached_mac
                && let Some(inside) = port.vlan.ingress_own(0)
                // The station has moved to the other side of the bond.
                && self.state.macs.lock().lookup(mac, inside.outer().vid) != Some(self.bundle)
            {
                self.announce(mac, &inside, &[], false);
            }
            let devices = iface.host_device.and_then(|ifindex| hosts.get(&ifindex));
            for host in devices.into_iter().flatten() {
                if let Some(inside) = port.vlan.ingress_own(host.vlan) {
                    self.announce(host.mac, &inside, &host.addresses, host.router);
                }
            }
        }
    }

    /// All packets for one hardware address. `inside` are its packets' tags inside the bridge.
    fn announce(&mut self, mac: EthAddr, inside: &Tags, addresses: &[IpAddr], router: bool) {
        if !self.vlan.includes(inside) {
            return;
        }
        let NotifyPackets { rarp, arp, nd, .. } = self.what.packets;
        let tags = self.vlan.egress(inside, 0);
        if rarp && self.sent.insert((mac, inside.outer().vid)) {
            self.send(mac, &tags, &learning_packet(mac));
        }
        for address in addresses {
            match address {
                IpAddr::V4(ip) if arp => {
                    self.send(mac, &tags, &gratuitous_arp(mac, ip.octets()));
                }
                IpAddr::V6(ip) if nd => {
                    self.send(mac, &tags, &unsolicited_advertisement(mac, *ip, router));
                }
                IpAddr::V4(_) | IpAddr::V6(_) => {}
            }
        }
    }

    /// Learned addresses: no IP address is known of them.
    fn learned(&mut self, from: usize) -> Option<Step> {
        if !self.what.packets.rarp {
            return None;
        }
        let (rows, next) = self.state.macs.lock().slice(from, SLICE);
        let others = |r: &&MacRow| r.bundle != self.bundle && !self.sent.contains(&(r.mac, r.vlan));
        for row in rows.iter().filter(others) {
            if let Some(tags) = self.vlan.egress_own(row.vlan) {
                self.send(row.mac, &tags, &learning_packet(row.mac));
            }
        }
        next.map(Step::Learned)
    }

    /// Sends an untagged frame of `mac` with these tags, by the member that carries it now.
    fn send(&self, mac: EthAddr, tags: &Tags, frame: &[u8]) {
        let table = self.bond.table;
        let bucket = |bucket| Action::OutputBucket { table, bucket };
        let output = match self.bond.forwarding.load().output {
            OutputRule::Slb { basis } => bucket(hash_mac(mac, tags.outer().vid, basis) as u8),
            OutputRule::Select { recirc_id, .. } => Action::LbOutput { table, id: recirc_id },
            OutputRule::Drop
            | OutputRule::Active
            | OutputRule::Recirc { .. }
            | OutputRule::LbOutput { .. } => bucket(0),
        };
        let mut actions = Vec::new();
        Tags::default().convert(tags, &mut actions);
        actions.push(output);
        self.datapath.execute(Execute {
            packet: Packet::new(frame),
            in_port: PortNo::NONE,
            actions,
        });
    }
}
