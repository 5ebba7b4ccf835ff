//! The rules of the switch's own table: what becomes of packets that no rule matches.
//!
//! They are rules like others, so that they count packets, but hidden from controllers. The
//! translation does not look them up; it takes the rule that its lookup ended in.

use std::sync::Arc;

use openflow::action::{Controller, PacketInReason};
use openflow::{Action, Field, Match};
use wire::Time;

use super::changes::InternalFlow;
use super::control::FlowTables;
use super::rule::Rule;
use super::snapshot::INTERNAL_TABLE;

/// The rules, by what they are for.
#[derive(Clone, Debug)]
pub(crate) struct InternalRules {
    /// Recirculated packets of a bond whose bucket has no member.
    pub(crate) no_member: Arc<Rule>,
    /// Packets that no rule matches and that controllers get.
    pub(crate) packet_in: Arc<Rule>,
    /// Packets that no rule matches and that controllers do not get.
    pub(crate) drop: Arc<Rule>,
    /// IP fragments, where these are dropped.
    pub(crate) drop_fragments: Arc<Rule>,
}

impl InternalRules {
    /// Adds the rules to the tables of a new bridge. Priorities and matches are Open vSwitch's.
    pub(crate) fn install(tables: &mut FlowTables, now: Time) -> InternalRules {
        let mut add = |priority: i32, field: Field, value: u128, actions: Vec<Action>| {
            let mut matching = Match::default();
            matching.set(field, value);
            let table = INTERNAL_TABLE;
            let flow = InternalFlow { table, matching, priority, actions, hidden: true };
            tables.add_internal_rule(now, flow)
        };
        let packet_in =
            Controller { reason: PacketInReason::IMPLICIT_MISS, ..Controller::default() };
        InternalRules {
            no_member: add(2, Field::RecircId, 0, Vec::new()),
            packet_in: add(0, Field::Reg(0), 1, vec![Action::Controller(packet_in)]),
            drop: add(0, Field::Reg(0), 2, Vec::new()),
            drop_fragments: add(0, Field::Reg(0), 3, Vec::new()),
        }
    }
}
