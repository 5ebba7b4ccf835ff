//! The flow tables at one moment, as packets are looked up in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use openflow::Fields;

use super::classifier::Classifier;
use super::packed::PackedFlow;
use super::rule::Rule;

/// How many tables a bridge has, the switch's own included.
pub const N_TABLES: u8 = 255;

/// The switch's own table: controllers can read it but not write it.
pub const INTERNAL_TABLE: u8 = 254;

/// What becomes of a packet that no rule of a table matches (OpenFlow 1.1 and 1.2 can say it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableMiss {
    /// As the controllers' versions have it: to those before 1.3, dropped without one.
    #[default]
    Default,
    /// To controllers.
    Controller,
    /// On in the next table.
    Continue,
    /// Dropped.
    Drop,
}

/// How many packets were looked up in a table.
#[derive(Debug, Default)]
pub struct TableCounters {
    matched: AtomicU64,
    missed: AtomicU64,
}

impl TableCounters {
    /// Puts down packets for which a rule was found, or none.
    pub fn add(&self, found: bool, packets: u64) {
        let c = if found { &self.matched } else { &self.missed };
        c.fetch_add(packets, Relaxed);
    }

    /// Packets that were looked up.
    pub fn lookups(&self) -> u64 {
        self.matched.load(Relaxed) + self.missed.load(Relaxed)
    }

    /// Packets for which a rule was found.
    pub fn matches(&self) -> u64 {
        self.matched.load(Relaxed)
    }
}

/// All tables of a bridge at one moment.
#[derive(Clone, Debug)]
pub struct TablesSnapshot {
    pub(super) generation: u64,
    pub(super) tables: Box<[FlowTable]>,
}

#[derive(Clone, Debug)]
pub(super) struct FlowTable {
    pub(super) rules: Arc<Classifier>,
    pub(super) counters: Arc<TableCounters>,
    pub(super) miss: TableMiss,
}

impl Default for FlowTable {
    fn default() -> FlowTable {
        FlowTable {
            rules: Arc::new(Classifier::default()),
            counters: Arc::new(TableCounters::default()),
            miss: TableMiss::Default,
        }
    }
}

impl TablesSnapshot {
    /// Tables without rules.
    pub fn empty() -> TablesSnapshot {
        let tables = (0..N_TABLES).map(|_| FlowTable::default()).collect();
        TablesSnapshot { generation: 0, tables }
    }

    /// Differs after any change that can matter to a packet.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The rule of `table` with the highest priority that matches `flow`. The bits of `wc` are
    /// set that decided it: a packet that agrees with `flow` in them meets the same rule.
    pub fn lookup(&self, table: u8, flow: &Fields, wc: &mut Fields) -> Option<&Arc<Rule>> {
        self.lookup_parts(table, flow, wc).0
    }

    /// As [`TablesSnapshot::lookup`], with the rules of the conjunction that led to what was found.
    pub fn lookup_parts(
        &self,
        table: u8,
        flow: &Fields,
        wc: &mut Fields,
    ) -> (Option<&Arc<Rule>>, Vec<&Arc<Rule>>) {
        let mut parts = Vec::new();
        let table = self.tables.get(usize::from(table)).filter(|t| !t.rules.is_empty());
        let found = table.and_then(|t| {
            let mut mask = PackedFlow::of(wc);
            let found = t.rules.lookup(flow, &mut mask, &mut parts);
            *wc = mask.fields();
            found
        });
        (found, parts)
    }

    /// The number of rules in `table`.
    pub fn count(&self, table: u8) -> usize {
        self.tables.get(usize::from(table)).map_or(0, |t| t.rules.len())
    }

    /// Where the packets of `table` are counted.
    pub fn counters(&self, table: u8) -> Option<&Arc<TableCounters>> {
        self.tables.get(usize::from(table)).map(|t| &t.counters)
    }

    /// What becomes of packets that no rule of `table` matches; dropped if there is no such table.
    pub fn miss(&self, table: u8) -> TableMiss {
        self.tables.get(usize::from(table)).map_or(TableMiss::Drop, |t| t.miss)
    }

    /// All rules of `table`, those a lookup tries first first.
    pub fn rules(&self, table: u8) -> Vec<&Arc<Rule>> {
        self.tables.get(usize::from(table)).map_or_else(Vec::new, |t| t.rules.rules())
    }
}
