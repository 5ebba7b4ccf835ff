//! Learning packets, after a bond has moved traffic to another member.
//!
//! Switches beyond a bond without LACP have learned the bridge's stations on the link that last
//! carried their packets. When traffic moves to another member, one RARP for each address learned
//! on the other ports makes them learn it on that one.

use std::sync::Arc;

use bond::OutputRule;
use datapath::{Action, Datapath, Execute, Packet, PortNo};
use wire::arp::learning_packet;
use wire::hash::hash_mac;

use crate::bridge_state::BridgeState;
use crate::config::BondHandle;
use crate::ids::BundleId;
use crate::mac_table::MacRow;
use crate::ofproto::{Ofproto, QueryError};
use crate::snapshot::Snapshot;
use crate::vlan::{PortVlan, Tags};

/// Addresses handled between two batches of packets: some tens of microseconds.
const SLICE: usize = 64;

/// One round over the table, slice by slice.
struct Round {
    datapath: Arc<dyn Datapath>,
    bridge: Arc<BridgeState>,
    bundle: BundleId,
    bond: Arc<BondHandle>,
    vlan: PortVlan,
}

impl Ofproto {
    /// Sends one learning packet out of the bond `bundle` for each address that its bridge has
    /// learned on another port, in each VLAN that the bond carries. Returns at once; the datapath
    /// sends a few at a time, between packets, each by the member that carries its address then.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`] also when the bridge has no such bond. [`QueryError::Busy`]
    /// when the datapath has too many of the kind to do: this never waits.
    pub fn send_learning_packets(&self, bridge: &str, bundle: &str) -> Result<(), QueryError> {
        let snap = self.snapshot.load();
        let Some(datapath) = self.datapath() else { return Err(QueryError::Busy) };
        let round = round(&snap, &datapath, bridge, bundle).ok_or(QueryError::NoSuchBridge)?;
        match datapath.run_urgent(Box::new(move || round.go_on(0))) {
            true => Ok(()),
            false => Err(QueryError::Busy),
        }
    }
}

fn round(
    snap: &Snapshot,
    datapath: &Arc<dyn Datapath>,
    bridge: &str,
    bundle: &str,
) -> Option<Round> {
    let bridge = snap.bridge(bridge)?;
    let bundle = bridge.bundles.iter().find(|b| b.name == bundle)?;
    Some(Round {
        datapath: datapath.clone(),
        bridge: bridge.state.clone(),
        bundle: bundle.state.id,
        bond: bundle.bond.clone()?,
        vlan: bundle.vlan.clone(),
    })
}

impl Round {
    fn go_on(self, from: usize) {
        let (rows, next) = self.bridge.macs.lock().slice(from, SLICE);
        for row in rows.iter().filter(|r| r.bundle != self.bundle) {
            if let Some(tags) = self.vlan.egress_own(row.vlan) {
                self.send(row, tags);
            }
        }
        if let Some(next) = next {
            let datapath = self.datapath.clone();
            datapath.run(Box::new(move || self.go_on(next)));
        }
    }

    fn send(&self, row: &MacRow, tags: Tags) {
        let table = self.bond.table;
        let bucket = |bucket| Action::OutputBucket { table, bucket };
        let output = match self.bond.forwarding.load().output {
            OutputRule::Slb { basis } => bucket(hash_mac(row.mac, tags.outer().vid, basis) as u8),
            OutputRule::Select { recirc_id, .. } => Action::LbOutput { table, id: recirc_id },
            OutputRule::Drop
            | OutputRule::Active
            | OutputRule::Recirc { .. }
            | OutputRule::LbOutput { .. } => bucket(0),
        };
        let mut actions = Vec::new();
        Tags::default().convert(&tags, &mut actions);
        actions.push(output);
        self.datapath.execute(Execute {
            packet: Packet::new(&learning_packet(row.mac)),
            in_port: PortNo::NONE,
            actions,
        });
    }
}
