//! Statistics of tables and flows, as OpenFlow requests them.

use openflow::OfError;
use openflow::msg::{Aggregate, FlowStats, FlowStatsRequest, TableStats};
use wire::Time;

use super::changes::duration;
use super::control::FlowTables;
use super::flow_mod::Criteria;
use super::rule::Rule;
use super::{INTERNAL_TABLE, TablesSnapshot};

/// Whole seconds, as far as 16 bits go.
fn age(now: Time, since: Time) -> u32 {
    now.since(since).as_secs().min(0xffff) as u32
}

impl Rule {
    /// The rule with its statistics at `now`.
    pub fn flow_stats(&self, now: Time) -> FlowStats {
        let (duration_sec, duration_nsec) = duration(now.since(self.created));
        FlowStats {
            matching: self.matching(),
            cookie: self.cookie,
            table_id: self.table,
            priority: self.priority as u16,
            duration_sec,
            duration_nsec,
            idle_timeout: self.idle_timeout(),
            hard_timeout: self.hard_timeout(),
            idle_age: Some(age(now, self.stats.used())),
            hard_age: Some(age(now, self.modified)),
            packets: self.stats.packets(),
            bytes: self.stats.bytes(),
            importance: self.importance,
            flags: self.flags,
            actions: self.actions.to_vec(),
        }
    }
}

impl FlowTables {
    fn asked(&self, r: &FlowStatsRequest) -> Result<Vec<&std::sync::Arc<Rule>>, OfError> {
        self.collect(&Criteria {
            table: r.table_id,
            matching: &r.matching,
            strict: None,
            cookie: r.cookie,
            cookie_mask: r.cookie_mask,
            out_port: r.out_port,
            out_group: r.out_group,
        })
    }

    /// The flows that a request asks for, in a stable order.
    ///
    /// # Errors
    ///
    /// `BrcBadTableId` for a table that does not exist.
    pub fn flow_stats(&self, now: Time, r: &FlowStatsRequest) -> Result<Vec<FlowStats>, OfError> {
        Ok(self.asked(r)?.into_iter().map(|rule| rule.flow_stats(now)).collect())
    }

    /// The sums over the rules that a request means.
    ///
    /// # Errors
    ///
    /// `BrcBadTableId` for a table that does not exist.
    pub fn aggregate(&self, r: &FlowStatsRequest) -> Result<Aggregate, OfError> {
        let mut sum = Aggregate::default();
        for rule in self.asked(r)? {
            sum.packets += rule.stats.packets();
            sum.bytes += rule.stats.bytes();
            sum.flows += 1;
        }
        Ok(sum)
    }

    /// The statistics of each table that controllers see. `wildcards` and `supported` are left
    /// out: they belong to the version.
    pub fn table_stats(&self) -> Vec<TableStats> {
        let seen = self.tables[..usize::from(INTERNAL_TABLE)].iter().enumerate();
        seen.map(|(i, t)| TableStats {
            table_id: i as u8,
            name: self.table_name(i as u8).to_owned(),
            wildcards: 0,
            supported: Vec::new(),
            max_entries: self.max_entries(i as u8),
            active: t.rules.len().saturating_sub(self.states[i].hidden) as u32,
            lookups: t.counters.lookups(),
            matched: t.counters.matches(),
        })
        .collect()
    }
}

impl TablesSnapshot {
    /// Every rule of every table, hidden ones too.
    pub fn all_rules(&self) -> impl Iterator<Item = &std::sync::Arc<Rule>> {
        (0..=INTERNAL_TABLE).flat_map(|t| self.rules(t))
    }
}
