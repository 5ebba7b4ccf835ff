//! Changes of flow tables: the requester, and the rules that changed.

use std::sync::Arc;
use std::time::Duration;

use openflow::msg::{FlowFlags, FlowRemoved, FlowRemovedReason, TableStatus};
use openflow::{Action, Match, OfPort, Version};
use wire::Time;

use super::rule::Rule;
use crate::ids::ConnId;

/// The requester of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The connection and the number of its message; nothing for the switch itself.
    pub conn: Option<(ConnId, u32)>,
    /// The version spoken; which decides how strictly actions are held against the match.
    pub version: Version,
}

impl Requester {
    /// The switch itself.
    pub const INTERNAL: Requester = Requester { conn: None, version: Version::V10 };
}

/// What happened to a rule.
#[derive(Clone, Debug)]
pub enum RuleEvent {
    /// It is new, or replaced one of the same match whose actions are `old_actions` if they
    /// differ.
    Added {
        /// The rule now.
        rule: Arc<Rule>,
        /// The actions before, if they were others.
        old_actions: Option<Arc<[Action]>>,
    },
    /// Its actions or its cookie changed.
    Modified {
        /// The rule now.
        rule: Arc<Rule>,
        /// The actions before, if they were others.
        old_actions: Option<Arc<[Action]>>,
    },
    /// It is gone.
    Removed {
        /// The rule as it was.
        rule: Arc<Rule>,
        /// Why.
        reason: FlowRemovedReason,
    },
}

impl RuleEvent {
    /// The rule that it happened to.
    pub fn rule(&self) -> &Arc<Rule> {
        match self {
            RuleEvent::Added { rule, .. }
            | RuleEvent::Modified { rule, .. }
            | RuleEvent::Removed { rule, .. } => rule,
        }
    }
}

/// What one command or time-out changed, in order.
#[derive(Clone, Debug, Default)]
pub struct RuleChanges {
    /// The connection that asked for it, and the transaction of its message.
    pub by: Option<(ConnId, u32)>,
    /// What happened to rules, in order.
    pub events: Vec<RuleEvent>,
    /// Tables that filled up or emptied beyond what controllers set.
    pub status: Vec<TableStatus>,
}

impl RuleChanges {
    pub(super) fn one(event: RuleEvent) -> RuleChanges {
        RuleChanges { events: vec![event], ..RuleChanges::default() }
    }

    /// Adds what happened after it.
    pub fn extend(&mut self, later: RuleChanges) {
        self.events.extend(later.events);
        self.status.extend(later.status);
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.status.is_empty()
    }

    /// The notices for controllers that want to know of rules that are gone.
    pub fn flow_removed(&self, now: Time) -> impl Iterator<Item = FlowRemoved> {
        self.events.iter().filter_map(move |e| match e {
            RuleEvent::Removed { rule, reason }
                if rule.flags.has(FlowFlags::SEND_FLOW_REM) && !rule.hidden =>
            {
                let (duration_sec, duration_nsec) = duration(now.since(rule.created));
                Some(FlowRemoved {
                    nxm: false,
                    matching: rule.matching(),
                    cookie: rule.cookie,
                    priority: rule.priority as u16,
                    reason: *reason,
                    table_id: rule.table,
                    duration_sec,
                    duration_nsec,
                    idle_timeout: rule.idle_timeout(),
                    hard_timeout: rule.hard_timeout(),
                    packets: rule.stats.packets(),
                    bytes: rule.stats.bytes(),
                })
            }
            _ => None,
        })
    }
}

/// Seconds and nanoseconds, in whole milliseconds as Open vSwitch reports them.
pub(super) fn duration(d: Duration) -> (u32, u32) {
    let sec = u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    (sec, d.subsec_millis() * 1_000_000)
}

/// A rule that the switch makes for itself.
#[derive(Clone, Debug)]
pub struct InternalFlow {
    /// Its table; [`INTERNAL_TABLE`](super::INTERNAL_TABLE) at most.
    pub table: u8,
    /// What it matches.
    pub matching: Match,
    /// Beyond 65535 no controller can change it.
    pub priority: i32,
    /// What is done with packets that match.
    pub actions: Vec<Action>,
    /// Never shown to controllers.
    pub hidden: bool,
}

/// The flow that makes a bridge a learning switch.
pub(crate) fn normal_flow() -> InternalFlow {
    InternalFlow {
        table: 0,
        matching: Match::default(),
        priority: 0,
        actions: vec![Action::output(OfPort::NORMAL)],
        hidden: false,
    }
}
