//! Looking a packet up in the tables of its bridge.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use openflow::action::{Controller, PacketInReason};
use openflow::msg::config;
use openflow::{Action as OfAction, OfPort};
use wire::key::FRAG_ANY;

use crate::tables::{INTERNAL_TABLE, N_TABLES, TableMiss};
use crate::trace::NodeKind;
use crate::xlate_cache::StatsTarget;

use super::Failure;
use super::context::{CurrentRule, MAX_DEPTH, MAX_RESUBMITS, MAX_SIZE, Translator};
use std::sync::Arc;

use crate::tables::Rule;

/// What a lookup ends in.
pub(super) enum TableLookup {
    Rule(Arc<Rule>),
    /// No rule, and a controller wants to know.
    PacketIn,
    /// No rule.
    Nothing,
    /// IP fragments are dropped here.
    Fragment,
}

/// What is done with a packet that no rule matches and that a controller wants.
static PACKET_IN: LazyLock<[OfAction; 1]> = LazyLock::new(|| {
    [OfAction::Controller(Controller {
        reason: PacketInReason::IMPLICIT_MISS,
        ..Controller::default()
    })]
});

/// Octets of stack that one level of nesting never needs, and what is added when less is left.
const STACK_LEFT: usize = 128 << 10;
const STACK_MORE: usize = 2 << 20;

/// One level further in. Tables in ascending order may nest thousands deep, more than a thread's
/// stack holds.
pub(super) fn deeper<R>(go: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(STACK_LEFT, STACK_MORE, go)
}

/// `OFPC_FRAG_*` (OpenFlow 1.3.5, 7.3.2), and Nicira's fourth.
const FRAG_NORMAL: u8 = 0;
const FRAG_NX_MATCH: u8 = 3;

/// How a table's rules are to be carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RunOn {
    /// On the packet itself.
    Packet,
    /// On a copy: the packet entered another bridge.
    Copy,
}

impl Translator<'_> {
    /// Looks for the packet's rule in `self.table`, and in the tables after it where a table says
    /// so, as if it had come in by `in_port`. `self.table` is then where the search ended.
    pub(super) fn find(
        &mut self,
        in_port: OfPort,
        may_packet_in: bool,
        honor_miss: bool,
    ) -> TableLookup {
        let fragment = self.flow.key.nw_frag & FRAG_ANY != 0;
        let mut flow = self.flow;
        if fragment {
            match self.here().state.frag.load(Ordering::Relaxed) {
                FRAG_NX_MATCH => {}
                // Transport ports count as not being there.
                FRAG_NORMAL => (flow.key.tp_src, flow.key.tp_dst) = (0, 0),
                _ => {
                    self.count(self.table, true);
                    return TableLookup::Fragment;
                }
            }
        }
        flow.in_port = in_port;
        let tables = self.tables.clone();
        let mut miss = TableMiss::Continue;
        let mut next = self.table;
        while next < N_TABLES {
            self.table = next;
            let (rule, conjunction) = tables.lookup_parts(next, &flow, &mut self.wc);
            let rule = rule.cloned();
            self.conjunction = conjunction.into_iter().cloned().collect();
            self.count(next, rule.is_some());
            if let Some(rule) = rule {
                return TableLookup::Rule(rule);
            }
            if !honor_miss {
                break;
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
        let wanted = may_packet_in
            && match miss {
                TableMiss::Continue | TableMiss::Controller => {
                    let port = self.flow.in_port;
                    self.place(port).is_some() && self.port_config(port) & config::NO_PACKET_IN == 0
                }
                TableMiss::Default => self.here().state.packet_in_on_miss.load(Ordering::Relaxed),
                TableMiss::Drop => false,
            };
        if wanted { TableLookup::PacketIn } else { TableLookup::Nothing }
    }

    /// Puts the look into a table down to its counters.
    fn count(&mut self, table: u8, found: bool) {
        if let Some(c) = self.tables.counters(table) {
            self.deps.stats_targets.push(StatsTarget::Table(c.clone(), found));
        }
    }

    /// Puts the packet down to its rule.
    pub(super) fn credit(&mut self, found: &TableLookup) {
        if let TableLookup::Rule(rule) = found {
            self.deps.stats_targets.push(StatsTarget::Rule(rule.stats.clone()));
        }
    }

    /// Tells of the rule; what follows happens in its table.
    pub(super) fn enter_table(&mut self, found: &TableLookup, table: u8) {
        if !self.is_traced() {
            return;
        }
        let text = match found {
            TableLookup::PacketIn => "No match, and a \"packet-in\" is called for.".to_owned(),
            TableLookup::Nothing => "No match.".to_owned(),
            TableLookup::Fragment => {
                "Packets are IP fragments and the fragment handling mode is \"drop\".".to_owned()
            }
            TableLookup::Rule(rule) => {
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
        self.enter(NodeKind::Table, || format!("{table:2}. {text}"));
        for part in std::mem::take(&mut self.conjunction) {
            let (m, priority) = (part.matching(), part.priority as u16);
            let text = self.with_names(|n| openflow::text::print_match(&m, priority, n));
            self.note(NodeKind::Detail, format!("conj. {text}"));
        }
    }

    /// Carries out the first rule of a translation.
    pub(super) fn run_first(&mut self, found: &TableLookup) {
        match found {
            TableLookup::Rule(rule) => {
                self.rule = Some(CurrentRule::Rule(rule.clone()));
                self.cookie = rule.cookie;
                self.run(&rule.actions, true);
            }
            TableLookup::PacketIn => self.internal(|t| t.run(&*PACKET_IN, true)),
            TableLookup::Nothing | TableLookup::Fragment => self.internal(|t| t.run(&[], true)),
        }
    }

    fn internal(&mut self, run: impl FnOnce(&mut Self)) {
        self.rule = Some(CurrentRule::Internal);
        self.cookie = 0;
        run(self);
    }

    /// Goes through `table` as if the packet had come in by `in_port`.
    pub(super) fn table_action(
        &mut self,
        in_port: OfPort,
        table: u8,
        may_packet_in: bool,
        honor_miss: bool,
        last: bool,
        how: RunOn,
    ) {
        if !self.may_go_on() {
            return;
        }
        let old_table = std::mem::replace(&mut self.table, table);
        let found = self.find(in_port, may_packet_in, honor_miss);
        self.credit(&found);
        let traced = self.trace_depth();
        self.enter_table(&found, table);
        let counts = u32::from(table <= old_table);
        self.resubmits += 1;
        self.depth += counts;
        let (old_rule, old_cookie) = (self.rule.take(), self.cookie);
        let (rule, cookie) = match &found {
            TableLookup::Rule(r) => (CurrentRule::Rule(r.clone()), r.cookie),
            TableLookup::PacketIn | TableLookup::Nothing | TableLookup::Fragment => {
                (CurrentRule::Internal, 0)
            }
        };
        (self.rule, self.cookie) = (Some(rule), cookie);
        let actions: &[OfAction] = match &found {
            TableLookup::Rule(r) => &r.actions,
            TableLookup::PacketIn => &*PACKET_IN,
            TableLookup::Nothing | TableLookup::Fragment => &[],
        };
        deeper(|| match how {
            RunOn::Packet => self.run(actions, last),
            RunOn::Copy => self.run_copy(actions, last),
        });
        (self.rule, self.cookie) = (old_rule, old_cookie);
        self.depth -= counts;
        self.leave_to(traced);
        self.table = old_table;
    }

    /// False when the packet has been through too much already.
    fn may_go_on(&mut self) -> bool {
        if self.depth >= MAX_DEPTH {
            self.error(format!("over max translation depth {MAX_DEPTH}"));
            self.failure = Some(Failure::TooDeep);
        } else if self.resubmits >= MAX_RESUBMITS {
            self.error(format!("over {MAX_RESUBMITS} resubmit actions"));
            self.failure = Some(Failure::TooManyResubmits);
        } else if self.size >= MAX_SIZE {
            self.error("resubmits yielded over 64 kB of actions");
            // What there is so far is done.
            self.exit = true;
        } else if self.stack_size >= MAX_SIZE {
            self.error("resubmits yielded over 64 kB of stack");
            self.failure = Some(Failure::StackTooDeep);
        } else {
            return true;
        }
        false
    }

    /// `resubmit`.
    pub(super) fn resubmit(&mut self, in_port: OfPort, table: u8, ct: bool, last: bool) {
        if ct {
            // There is no connection tracking here, so no packet is tracked.
            self.error("resubmit(ct) with non-tracked or non-IP packet!");
            return;
        }
        let internal = matches!(self.rule, Some(CurrentRule::Internal));
        let in_port = if in_port == OfPort::IN_PORT { self.flow.in_port } else { in_port };
        let table = if table == 255 { self.table } else { table };
        self.table_action(in_port, table, internal, internal, last, RunOn::Packet);
    }
}

/// The priority that is not shown in a match.
const DEFAULT_PRIORITY: u16 = 0x8000;
