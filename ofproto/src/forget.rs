//! Addresses that go when the configuration changes, a few at a time, between packets.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use crate::mac_table::{BundleId, Sweep};
use crate::ofproto::Ofproto;
use crate::snapshot::BridgeState;

/// Places of a MAC table that are looked at between two batches of packets: about ten microseconds
/// when none is in use, some tens when all are.
pub(crate) const SLICE: usize = 512;

/// One sweep over the table of one bridge, slice by slice.
pub(crate) struct Forget {
    pub(crate) ofproto: Weak<Ofproto>,
    pub(crate) home: Arc<BridgeState>,
    pub(crate) sweep: Sweep,
    /// Ports that are gone. A station behind one is likely to have been seen by other bridges,
    /// over patch ports or cables: they look for it anew, too.
    pub(crate) removed: BTreeSet<BundleId>,
    /// The other bridges, if a port is gone.
    pub(crate) others: Vec<Arc<BridgeState>>,
}

impl Forget {
    /// A sweep that concerns one bridge alone.
    pub(crate) fn here(ofproto: &Weak<Ofproto>, home: &Arc<BridgeState>, sweep: Sweep) -> Forget {
        let (ofproto, home) = (ofproto.clone(), home.clone());
        Forget { ofproto, home, sweep, removed: BTreeSet::new(), others: Vec::new() }
    }

    /// On a datapath thread: one slice, and the rest by further jobs.
    pub(crate) fn go_on(mut self) {
        let slice = (SLICE / (1 + self.others.len())).max(1);
        let (rows, more) = self.home.macs.lock().sweep(&mut self.sweep, slice);
        let gone: Vec<_> = rows.iter().filter(|r| self.removed.contains(&r.bundle)).collect();
        if !gone.is_empty() {
            for other in &self.others {
                let mut macs = other.macs.lock();
                for row in &gone {
                    macs.forget(row.mac, row.vlan);
                }
            }
        }
        if more && let Some(ofproto) = self.ofproto.upgrade() {
            ofproto.run(Box::new(move || self.go_on()));
        }
    }
}
