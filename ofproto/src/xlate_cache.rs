//! What a translation leaves for the revalidator: what it depends on, and where its packets count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use datapath::FlowStats;
use smallvec::SmallVec;
use wire::Time;

use crate::bridge_state::{BundleState, PatchCounters};
use crate::config::BondHandle;
use crate::counter::Counter;
use crate::mac_table::MacEntry;
use crate::recirc::RecircNode;
use crate::tables::{RuleStats, TableCounters};

/// The bits of a TCP header that end a connection (RFC 9293).
const TCP_FIN: u16 = 1;
const TCP_RST: u16 = 4;

/// A statistic that the packets of a flow count in.
#[derive(Clone)]
pub(crate) enum StatsTarget {
    /// A rule of a flow table.
    Rule(Arc<RuleStats>),
    /// A lookup in a flow table, and whether it found a rule.
    Table(Arc<TableCounters>, bool),
    /// The post-recirculation rule of one bucket of a bond.
    Bucket(Box<BucketTarget>),
    /// A copy to a mirror.
    Mirror(Arc<Counter>),
    /// Sent out of a patch port.
    PatchTx(Arc<PatchCounters>),
    /// Received on a patch port.
    PatchRx(Arc<PatchCounters>),
}

/// The post-recirculation rule of one bucket of a bond; while that has no member, the rule that
/// drops.
#[derive(Clone)]
pub(crate) struct BucketTarget {
    pub(crate) bundle: Arc<BundleState>,
    pub(crate) bond: Arc<BondHandle>,
    pub(crate) bucket: u8,
    pub(crate) no_member: Arc<RuleStats>,
}

impl BucketTarget {
    fn add(&self, packets: u64, bytes: u64, used: Time) {
        let n = usize::from(self.bucket);
        if self.bond.forwarding.load().buckets[n].is_none() {
            self.no_member.add(packets, bytes, used);
        } else if let Some(c) = self.bundle.buckets.get(n) {
            c.add(packets, bytes);
        }
    }
}

impl StatsTarget {
    /// Adds packets, the last of which came at `used`.
    fn add(&self, packets: u64, bytes: u64, used: Time) {
        match self {
            StatsTarget::Rule(r) => r.add(packets, bytes, used),
            StatsTarget::Table(t, found) => t.add(*found, packets),
            StatsTarget::Mirror(c) => c.add(packets, bytes),
            StatsTarget::Bucket(b) => b.add(packets, bytes, used),
            StatsTarget::PatchTx(p) => p.tx.add(packets, bytes),
            StatsTarget::PatchRx(p) => p.rx.add(packets, bytes),
        }
    }
}

/// What a translation depends on, and what follows from its flow being used.
#[derive(Clone, Default)]
pub(crate) struct Dependencies {
    /// The generation of the configuration.
    snapshot: u64,
    /// The counts of changes of the MAC tables and of the flow tables.
    macs: u64,
    tables: u64,
    /// The bonds asked, with the generation of their answer.
    bonds: SmallVec<[(Arc<BondHandle>, u64); 2]>,
    /// MAC entries that are in use while the flow is.
    learned: SmallVec<[Arc<MacEntry>; 1]>,
    stats_targets: SmallVec<[StatsTarget; 2]>,
    /// Rules whose time-outs get shorter when a connection ends: seconds idle, and altogether.
    fin: SmallVec<[(Arc<RuleStats>, u16, u16); 0]>,
    /// Recirculation identities that the actions name: they live as long as the flow does.
    frozen: SmallVec<[Arc<RecircNode>; 0]>,
    /// An address that is not in its table would have been learned, had a packet passed.
    unlearned: bool,
}

impl Dependencies {
    /// Those of a translation that has just begun, with the generation of the configuration and the
    /// counts of changes of MAC tables and flow tables.
    pub(crate) fn new(snapshot: u64, macs: u64, tables: u64) -> Dependencies {
        Dependencies { snapshot, macs, tables, ..Dependencies::default() }
    }

    /// Counts the flow's packets in `target`.
    pub(crate) fn count(&mut self, target: StatsTarget) {
        self.stats_targets.push(target);
    }

    /// A bond was asked; its answer had this generation.
    pub(crate) fn asked(&mut self, bond: Arc<BondHandle>, generation: u64) {
        self.bonds.push((bond, generation));
    }

    /// The flow's packets keep a MAC entry in use.
    pub(crate) fn learned(&mut self, entry: Arc<MacEntry>) {
        self.learned.push(entry);
    }

    /// A packet would have added a MAC entry, but none was there.
    pub(crate) fn missed_learning(&mut self) {
        self.unlearned = true;
    }

    /// The time-outs of a rule get shorter when the flow's connection ends: seconds idle, and
    /// altogether.
    pub(crate) fn shorten_at_fin(&mut self, rule: Arc<RuleStats>, idle: u16, hard: u16) {
        self.fin.push((rule, idle, hard));
    }

    /// Keeps a recirculation identity alive.
    pub(crate) fn hold(&mut self, node: Arc<RecircNode>) {
        self.frozen.push(node);
    }

    /// Whether MAC tables have changed `macs` times, as they had before the translation.
    pub(crate) fn macs_are(&self, macs: u64) -> bool {
        self.macs == macs
    }

    /// Whether a flow with these dependencies, which had `packets` packets since it was looked at
    /// last, still is what a translation would give, given the numbers of [`Dependencies::new`] as
    /// they are now. Bonds are looked at by [`Dependencies::bonds_changed`].
    pub(crate) fn are_current(&self, snapshot: u64, macs: u64, tables: u64, packets: u64) -> bool {
        self.snapshot == snapshot
            && self.tables == tables
            && self.macs == macs
            && !(self.unlearned && packets > 0)
    }

    /// Whether a bond that was asked has published another table since.
    pub(crate) fn bonds_changed(&self) -> bool {
        self.bonds.iter().any(|(b, generation)| b.forwarding.load().generation != *generation)
    }

    /// The stations behind the flow were heard of.
    pub(crate) fn touch_learned(&self, used: Time) {
        for entry in &self.learned {
            entry.touch(used);
        }
    }

    /// Adds packets to all statistics of the flow. `tcp_flags`: those that any of them had.
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

/// What the revalidator keeps with a flow.
pub(crate) struct XlateCache {
    deps: Dependencies,
    /// The part of the flow's own counters that is in the statistics already.
    packets: AtomicU64,
    bytes: AtomicU64,
    /// When the flow had last been used at the last [`XlateCache::push`], in nanoseconds; 0: never.
    used: AtomicU64,
}

impl XlateCache {
    /// Of a new flow, without packets.
    pub(crate) fn new(deps: Dependencies) -> XlateCache {
        let zero = || AtomicU64::new(0);
        XlateCache { deps, packets: zero(), bytes: zero(), used: zero() }
    }

    /// What the translation depends on.
    pub(crate) fn deps(&self) -> &Dependencies {
        &self.deps
    }

    /// Of the same flow after it was translated again.
    pub(crate) fn with_deps(&self, deps: Dependencies) -> XlateCache {
        XlateCache {
            deps,
            packets: AtomicU64::new(self.packets.load(Relaxed)),
            bytes: AtomicU64::new(self.bytes.load(Relaxed)),
            used: AtomicU64::new(self.used.load(Relaxed)),
        }
    }

    /// Adds what the flow carried since the last call to the statistics; returns its packets.
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

    /// When the flow had last been used as of the last [`XlateCache::push`]; `None`: never.
    pub(crate) fn used(&self) -> Option<Time> {
        match self.used.load(Relaxed) {
            0 => None,
            ns => Some(Time::from_nanos(ns)),
        }
    }
}
