//! What translation remembers of a flow, for the revalidator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use datapath::FlowStats;
use smallvec::SmallVec;
use wire::Time;

use crate::bridge_state::{BundleState, PatchCounters};
use crate::config::BondHandle;
use crate::counter::Counter;
use crate::mac_table::MacEntry;
use crate::tables::{RuleStats, TableCounters};
use crate::translate::RecircNode;

/// The bits of a TCP header that end a connection (RFC 9293).
const TCP_FIN: u16 = 1;
const TCP_RST: u16 = 4;

/// Whom the packets of a flow are put down to.
#[derive(Clone)]
pub(crate) enum StatsTarget {
    /// A rule of a flow table.
    Rule(Arc<RuleStats>),
    /// A look into a table, and whether it found a rule.
    Table(Arc<TableCounters>, bool),
    /// The rule of one bucket of a bond.
    Bucket(Arc<BundleState>, u8),
    /// A copy to a mirror.
    Mirror(Arc<Counter>),
    /// Out of a patch port.
    PatchTx(Arc<PatchCounters>),
    /// Into a patch port.
    PatchRx(Arc<PatchCounters>),
}

impl StatsTarget {
    pub(crate) fn add(&self, packets: u64, bytes: u64, used: Time) {
        match self {
            StatsTarget::Rule(r) => r.add(packets, bytes, used),
            StatsTarget::Table(t, found) => t.add(*found, packets),
            StatsTarget::Mirror(c) => c.add(packets, bytes),
            StatsTarget::Bucket(b, n) => {
                if let Some(c) = b.buckets.get(usize::from(*n)) {
                    c.add(packets, bytes);
                }
            }
            StatsTarget::PatchTx(p) => p.tx.add(packets, bytes),
            StatsTarget::PatchRx(p) => p.rx.add(packets, bytes),
        }
    }
}

/// What a translation rested on, and what follows from the flow being used.
#[derive(Clone, Default)]
pub(crate) struct Dependencies {
    pub(crate) snapshot: u64,
    pub(crate) macs: u64,
    /// The count of changes of flow tables.
    pub(crate) tables: u64,
    /// The bonds asked, with the generation of their answer.
    pub(crate) bonds: SmallVec<[(Arc<BondHandle>, u64); 2]>,
    /// Addresses that are heard of while the flow is used.
    pub(crate) learned: SmallVec<[Arc<MacEntry>; 1]>,
    pub(crate) stats_targets: SmallVec<[StatsTarget; 2]>,
    /// Rules whose time-outs get shorter when a connection ends: seconds idle, and altogether.
    pub(crate) fin: SmallVec<[(Arc<RuleStats>, u16, u16); 0]>,
    /// Identities that the actions name: they live as long as the flow does.
    pub(crate) frozen: SmallVec<[Arc<RecircNode>; 0]>,
    /// An address that is not in its table would have been learned, had a packet passed.
    pub(crate) unlearned: bool,
}

impl Dependencies {
    /// Puts packets down to all whom they concern.
    pub(crate) fn attribute(&self, packets: u64, bytes: u64, used: Time, tcp_flags: u16) {
        for c in &self.stats_targets {
            c.add(packets, bytes, used);
        }
        if tcp_flags & (TCP_FIN | TCP_RST) != 0 {
            for (rule, idle, hard) in &self.fin {
                rule.reduce_timeouts(*idle, *hard);
            }
        }
    }
}

/// The notes of one flow.
pub(crate) struct XlateCache {
    pub(crate) deps: Dependencies,
    /// What the revalidator has already put down, of the flow's own counters.
    packets: AtomicU64,
    bytes: AtomicU64,
    /// When the flow had last been used, in nanoseconds, when it was last put down; 0: never.
    used: AtomicU64,
}

impl XlateCache {
    pub(crate) fn new(deps: Dependencies) -> XlateCache {
        let zero = || AtomicU64::new(0);
        XlateCache { deps, packets: zero(), bytes: zero(), used: zero() }
    }

    /// The notes of the same flow after it was translated again.
    pub(crate) fn again(&self, deps: Dependencies) -> XlateCache {
        XlateCache {
            deps,
            packets: AtomicU64::new(self.packets.load(Relaxed)),
            bytes: AtomicU64::new(self.bytes.load(Relaxed)),
            used: AtomicU64::new(self.used.load(Relaxed)),
        }
    }

    /// Puts down what the flow carried since last time; returns its packets.
    pub(crate) fn push(&self, now: FlowStats) -> u64 {
        let used = now.used.unwrap_or_default();
        self.used.store(used.as_nanos(), Relaxed);
        let packets = now.packets.saturating_sub(self.packets.swap(now.packets, Relaxed));
        let bytes = now.bytes.saturating_sub(self.bytes.swap(now.bytes, Relaxed));
        if packets != 0 || bytes != 0 {
            self.deps.attribute(packets, bytes, used, now.tcp_flags);
        }
        packets
    }

    /// When the flow had last been used as of the last [`XlateCache::push`]; nothing if it had not.
    pub(crate) fn used(&self) -> Option<Time> {
        match self.used.load(Relaxed) {
            0 => None,
            ns => Some(Time::from_nanos(ns)),
        }
    }

    /// Whether a bond has said something new since.
    pub(crate) fn bonds_changed(&self) -> bool {
        self.deps.bonds.iter().any(|(b, generation)| b.forwarding.load().generation != *generation)
    }
}
