//! Lookups in flow tables, and the rules that they lead to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openflow::OfPort;
use openflow::msg::config;

use crate::tables::{INTERNAL_TABLE, N_TABLES, Rule, TableMiss};
use crate::trace::NodeKind;
use crate::xlate_cache::StatsTarget;

use super::context::Translator;
use super::options::{OnMiss, RunOn, TableVisit, deeper};
use super::position::CurrentRule;

/// What a lookup ends in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A rule that matches.
    Rule,
    /// No rule, and a controller wants to know.
    PacketIn,
    /// No rule.
    Nothing,
    /// IP fragments are dropped here.
    Fragment,
}

/// What a lookup ends in, the rule that is carried out, and the rules of the conjunction that led
/// there.
pub(super) struct TableLookup {
    outcome: Outcome,
    rule: Arc<Rule>,
    conjunction: Vec<Arc<Rule>>,
}

impl TableLookup {
    fn current_rule(&self) -> CurrentRule {
        match self.outcome {
            Outcome::Rule => CurrentRule::Rule(self.rule.clone()),
            Outcome::PacketIn | Outcome::Nothing | Outcome::Fragment => CurrentRule::Internal,
        }
    }
}

/// `OFPC_FRAG_*` (OpenFlow 1.3.5, 7.3.2), and Nicira's fourth.
const FRAG_NORMAL: u8 = 0;
const FRAG_NX_MATCH: u8 = 3;

/// The priority that is not shown in a match.
const DEFAULT_PRIORITY: u16 = 0x8000;

impl Translator<'_> {
    /// Looks the packet up in the current table, and in the tables after it where a table says so,
    /// as if it had come in by `in_port`. The position is then the table where the search ended,
    /// and lookup and rule are counted.
    pub(super) fn find(&mut self, in_port: OfPort, on_miss: OnMiss) -> TableLookup {
        let mut conjunction = Vec::new();
        let found = self.search(in_port, on_miss, &mut conjunction);
        let internal = &self.here().state.internal;
        let (outcome, rule) = match found {
            Ok(rule) => (Outcome::Rule, rule),
            Err(outcome) => {
                let rule = match outcome {
                    Outcome::PacketIn => &internal.packet_in,
                    Outcome::Rule | Outcome::Nothing => &internal.drop,
                    Outcome::Fragment => &internal.drop_fragments,
                };
                (outcome, rule.clone())
            }
        };
        self.deps.count(StatsTarget::Rule(rule.stats.clone()));
        TableLookup { outcome, rule, conjunction }
    }

    fn search(
        &mut self,
        in_port: OfPort,
        on_miss: OnMiss,
        conjunction: &mut Vec<Arc<Rule>>,
    ) -> Result<Arc<Rule>, Outcome> {
        let mut flow = *self.flow.fields();
        if self.flow.is_fragment() {
            match self.here().state.frag.load(Ordering::Relaxed) {
                FRAG_NX_MATCH => {}
                // Transport ports count as not being there.
                FRAG_NORMAL => (flow.key.tp_src, flow.key.tp_dst) = (0, 0),
                _ => {
                    self.count(self.at.table(), true);
                    return Err(Outcome::Fragment);
                }
            }
        }
        flow.in_port = in_port;
        let tables = self.at.tables().clone();
        let mut miss = TableMiss::Continue;
        let mut next = self.at.table();
        while next < N_TABLES {
            self.at.set_table(next);
            let (rule, parts) =
                self.flow.examine_fields(|_, wc| tables.lookup_parts(next, &flow, wc));
            *conjunction = parts.into_iter().cloned().collect();
            self.count(next, rule.is_some());
            if let Some(rule) = rule {
                return Ok(rule.clone());
            }
            if on_miss == OnMiss::Stop {
                return Err(Outcome::Nothing);
            }
            miss = tables.miss(next);
            if miss != TableMiss::Continue {
                break;
            }
            next += 1;
            if next == INTERNAL_TABLE {
                next += 1;
            }
        }
        let wanted = on_miss == OnMiss::PacketIn
            && match miss {
                TableMiss::Continue | TableMiss::Controller => {
                    let port = self.flow.in_port();
                    self.at.place(port).is_some()
                        && self.at.port_config(port) & config::NO_PACKET_IN == 0
                }
                TableMiss::Default => self.here().state.packet_in_on_miss.load(Ordering::Relaxed),
                TableMiss::Drop => false,
            };
        Err(if wanted { Outcome::PacketIn } else { Outcome::Nothing })
    }

    /// Counts a lookup.
    fn count(&mut self, table: u8, found: bool) {
        if let Some(c) = self.at.tables().counters(table) {
            let target = StatsTarget::Table(c.clone(), found);
            self.deps.count(target);
        }
    }

    /// Adds the rule to the trace; what follows comes under it.
    pub(super) fn enter_table(&mut self, found: &TableLookup, table: u8) {
        if !self.trace.is_on() {
            return;
        }
        let text = match found.outcome {
            Outcome::PacketIn => "No match, and a \"packet-in\" is called for.".to_owned(),
            Outcome::Nothing => "No match.".to_owned(),
            Outcome::Fragment => {
                "Packets are IP fragments and the fragment handling mode is \"drop\".".to_owned()
            }
            Outcome::Rule => {
                let rule = &found.rule;
                let m = rule.matching();
                let mut text =
                    self.with_names(|n| openflow::text::print_match(&m, DEFAULT_PRIORITY, n));
                if !text.is_empty() {
                    text += ", ";
                }
                text += &format!("priority {}", rule.priority);
                if rule.cookie != 0 {
                    text += &format!(", cookie {:#x}", rule.cookie);
                }
                text
            }
        };
        self.trace.enter(NodeKind::Table, || format!("{table:2}. {text}"));
        for part in &found.conjunction {
            let (m, priority) = (part.matching(), part.priority as u16);
            let text = self.with_names(|n| openflow::text::print_match(&m, priority, n));
            self.note(NodeKind::Detail, format!("conj. {text}"));
        }
    }

    /// Carries out the first rule of a translation.
    pub(super) fn run_first(&mut self, found: &TableLookup) {
        self.at.enter_rule(found.current_rule());
        self.run(&found.rule.actions, true);
    }

    /// Looks the packet up in a table and carries out what is found.
    pub(super) fn visit_table(&mut self, v: TableVisit) {
        if let Err(e) = self.limits.check(self.out.size(), self.stack.size()) {
            self.error(e.text());
            match e.failure() {
                Some(f) => self.progress.fail(f),
                None => self.progress.exit(),
            }
            return;
        }
        let old_table = self.at.set_table(v.table);
        let found = self.find(v.in_port, v.on_miss);
        let traced = self.trace.depth();
        self.enter_table(&found, v.table);
        let level = self.limits.enter(v.table <= old_table);
        let rule = self.at.enter_rule(found.current_rule());
        deeper(|| match v.run_on {
            RunOn::Packet => self.run(&found.rule.actions, v.last),
            RunOn::Copy => self.run_copy(&found.rule.actions, v.last),
        });
        self.at.leave_rule(rule);
        self.limits.leave(level);
        self.trace.leave_to(traced);
        self.at.set_table(old_table);
    }

    /// `resubmit`.
    pub(super) fn resubmit(&mut self, in_port: OfPort, table: u8, ct: bool, last: bool) {
        if ct {
            // There is no connection tracking here, so no packet is tracked.
            self.error("resubmit(ct) with non-tracked or non-IP packet!");
            return;
        }
        let internal = matches!(self.at.rule(), Some(CurrentRule::Internal));
        self.visit_table(TableVisit {
            table: if table == 255 { self.at.table() } else { table },
            in_port: if in_port == OfPort::IN_PORT { self.flow.in_port() } else { in_port },
            on_miss: if internal { OnMiss::PacketIn } else { OnMiss::Stop },
            last,
            run_on: RunOn::Packet,
        });
    }
}
