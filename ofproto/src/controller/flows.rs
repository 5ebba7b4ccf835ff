//! Flows: changing, asking, expiring.

use openflow::msg::{Aggregate, Body, FlowMod, FlowStats, FlowStatsRequest};
use openflow::{OfError, OfPort};
use wire::Time;

use super::agent::Agent;
use super::async_config::AsyncKind;
use super::request::Request;
use super::types::{Class, SwitchOps};
use crate::tables::{FlowTables, InternalFlow, RuleChanges};

impl Agent {
    pub(super) fn flow_mod(&mut self, r: &Request<'_>, m: &FlowMod) -> Result<(), OfError> {
        self.conns.not_secondary(r)?;
        let who = r.requester();
        let changes = self.tables.with_unseen(r.ops, |t| t.flow_mod(r.now, m, &who))??;
        self.conns.of(r)?.flow_log.count(r.now, m.command);
        self.report(r.now, &changes);
        self.flush_monitors(r.ops);
        Ok(())
    }

    /// Tells controllers and monitors what happened to flows.
    pub(super) fn report(&mut self, now: Time, changes: &RuleChanges) {
        self.report_to_monitors(changes);
        for status in &changes.status {
            self.send_table_status(*status);
        }
        for removed in changes.flow_removed(now) {
            let reason = removed.reason.wire();
            for id in self.conns.ids(|_, c| c.wants(AsyncKind::FlowRemoved, reason)) {
                let nxm = self.conns.get(id).is_some_and(|c| c.shows_nxm());
                let body = openflow::msg::FlowRemoved { nxm, ..removed.clone() };
                // They count as answers, so that a controller that does not read them cannot go
                // on adding flows.
                self.conns.send(id, Class::Reply, 0, Body::FlowRemoved(body));
            }
        }
    }

    /// Takes out what is over; when to look again.
    pub(super) fn expire_flows(&mut self, now: Time, ops: &dyn SwitchOps) -> Option<Time> {
        let (changes, next) = self.tables.with(ops, |t| t.expire(now)).ok()?;
        if !changes.is_empty() {
            self.report(now, &changes);
            self.flush_monitors(ops);
        }
        next
    }

    /// Removes all flows, as a change of the set of controllers does. With `normal` the flow that
    /// makes a learning switch is put in their place.
    pub fn flush(&mut self, now: Time, normal: bool, ops: &dyn SwitchOps) {
        let flow = InternalFlow {
            table: 0,
            matching: openflow::Match::default(),
            priority: 0,
            actions: vec![openflow::Action::output(OfPort::NORMAL)],
            hidden: false,
        };
        let work = |t: &mut FlowTables| {
            let cleared = t.clear();
            (cleared, normal.then(|| t.add_internal(now, flow)))
        };
        let Ok((cleared, added)) = self.tables.with(ops, work) else { return };
        self.report(now, &cleared);
        if let Some(added) = added {
            self.report(now, &added);
        }
        self.flush_monitors(ops);
    }

    pub(super) fn flow_stats(
        &mut self,
        r: &Request<'_>,
        q: &FlowStatsRequest,
    ) -> Result<(), OfError> {
        let flows: Vec<FlowStats> = self.tables.with(r.ops, |t| t.flow_stats(r.now, q))??;
        self.conns.reply(r, Body::FlowStatsReply { nxm: q.nxm, flows });
        Ok(())
    }

    pub(super) fn aggregate(
        &mut self,
        r: &Request<'_>,
        q: &FlowStatsRequest,
    ) -> Result<(), OfError> {
        let stats: Aggregate = self.tables.with(r.ops, |t| t.aggregate(q))??;
        self.conns.reply(r, Body::AggregateReply { nxm: q.nxm, stats });
        Ok(())
    }
}
