//! The state of bridges and bundles that configurations share.
//!
//! A [`Snapshot`](crate::snapshot::Snapshot) is replaced with each configuration; it refers to
//! these, which stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wire::Time;

use crate::config::OfPort;
use crate::counter::Counter;
use crate::ids::BundleId;
use crate::mac_table::MacTable;
use crate::tables::{FlowTables, InternalRules, TablesSnapshot};

/// What stays of a bridge across configurations.
pub(crate) struct BridgeState {
    /// Invariant: locked only by datapath threads and the revalidator.
    pub(crate) macs: Mutex<MacTable>,
    /// What becomes of packets that no rule matches.
    pub(crate) internal: InternalRules,
    /// What packets are looked up in.
    pub(crate) tables: ArcSwap<TablesSnapshot>,
    /// Invariant: locked by the control side only.
    pub(crate) flow_table: Mutex<FlowTables>,
    /// `OFPPC_*` bits of the ports that have some.
    pub(crate) port_config: ArcSwap<BTreeMap<OfPort, u32>>,
    /// Some controller of OpenFlow 1.2 or older wants the packets that no rule matches.
    pub(crate) packet_in_on_miss: AtomicBool,
    /// `OFPC_FRAG_*`: what is done with IP fragments.
    pub(crate) frag: AtomicU8,
}

impl BridgeState {
    pub(crate) fn new(created: Time, macs: MacTable) -> BridgeState {
        let mut flow_table = FlowTables::new();
        let internal = InternalRules::install(&mut flow_table, created);
        let tables = flow_table.publish().unwrap_or_else(|| Arc::new(flow_table.snapshot()));
        BridgeState {
            internal,
            macs: Mutex::new(macs),
            tables: ArcSwap::new(tables),
            flow_table: Mutex::new(flow_table),
            port_config: ArcSwap::default(),
            packet_in_on_miss: AtomicBool::new(false),
            frag: AtomicU8::new(0),
        }
    }
}

/// What stays of a bundle across configurations.
pub(crate) struct BundleState {
    pub(crate) id: BundleId,
    pub(crate) created: Time,
    /// Of the post-recirculation rules, by bucket. Empty for a port that is no bond.
    pub(crate) buckets: Box<[Counter]>,
}

/// What a patch port carried; kept across configurations by interface name.
#[derive(Debug, Default)]
pub(crate) struct PatchCounters {
    pub(crate) rx: Counter,
    pub(crate) tx: Counter,
}
