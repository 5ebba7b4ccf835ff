//! Removal of MAC addresses after a change of configuration, in slices between packets.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bridge_state::BridgeState;
use crate::datapath_link::DatapathLink;
use crate::ids::BundleId;
use crate::mac_table::Sweep;

/// Slots of a MAC table that are looked at between two batches of packets: about 10 µs when none
/// is in use, some tens of µs when all are.
pub(crate) const SLICE: usize = 512;

/// A sweep over the MAC table of one bridge.
pub(crate) struct MacSweep {
    link: Arc<DatapathLink>,
    home: Arc<BridgeState>,
    sweep: Sweep,
    /// Bundles that were removed. Other bridges are likely to have learned the stations behind
    /// them too, over patch ports or cables, so these entries go from `others` as well.
    removed: BTreeSet<BundleId>,
    /// The other bridges; empty when no bundle was removed.
    others: Vec<Arc<BridgeState>>,
}

impl MacSweep {
    /// A sweep of the table of `home` alone.
    pub(crate) fn new(link: &Arc<DatapathLink>, home: &Arc<BridgeState>, sweep: Sweep) -> MacSweep {
        let (link, home) = (link.clone(), home.clone());
        MacSweep { link, home, sweep, removed: BTreeSet::new(), others: Vec::new() }
    }

    /// Also removes the addresses of the `removed` bundles from the tables of `others`.
    pub(crate) fn also_in(
        self,
        others: Vec<Arc<BridgeState>>,
        removed: BTreeSet<BundleId>,
    ) -> MacSweep {
        MacSweep { others, removed, ..self }
    }

    /// Looks at one slice and queues a job for the next. To be called on a datapath thread.
    pub(crate) fn run_slice(mut self) {
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
        if more {
            let link = self.link.clone();
            link.run(Box::new(move || self.run_slice()));
        }
    }
}
