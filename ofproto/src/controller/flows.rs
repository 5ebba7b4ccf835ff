//! Flows: changing, asking, expiring.

use openflow::msg::{Aggregate, Body, FlowMod, FlowStats, FlowStatsRequest};
use openflow::{OfError, OfPort, Version};
use wire::Time;

use super::async_config::AsyncKind;
use super::types::{Class, ConnId, LogLevel, SwitchOps};
use super::{Agent, Conn, Request};
use crate::tables::{FlowTables, InternalFlow, Requester, RuleChanges};

impl Request<'_> {
    pub(super) fn requester(&self) -> Requester {
        Requester { conn: Some((self.conn, self.xid)), version: self.version }
    }
}

impl Agent {
    /// Works on the bridge's flow tables; packets see all of it at once.
    pub(super) fn with_tables<R>(
        &self,
        ops: &dyn SwitchOps,
        work: impl FnOnce(&mut FlowTables) -> R,
    ) -> Result<R, OfError> {
        // The bridge goes with its connections; a message may still be in between.
        ops.ofproto().with_flow_table(&self.bridge, work).map_err(|_| OfError::BrcEperm)
    }

    /// The same, but packets see it only with the next [`Agent::publish_tables`]: one new snapshot
    /// for many commands.
    fn with_tables_unseen<R>(
        &mut self,
        ops: &dyn SwitchOps,
        work: impl FnOnce(&mut FlowTables) -> R,
    ) -> Result<R, OfError> {
        let state = ops.ofproto().bridge_state(&self.bridge).map_err(|_| OfError::BrcEperm)?;
        self.unseen = true;
        let mut tables = state.flow_table.lock();
        Ok(work(&mut tables))
    }

    /// Lets packets see all changes of flows so far.
    pub(super) fn publish_tables(&mut self, ops: &dyn SwitchOps) {
        if std::mem::take(&mut self.unseen) {
            // The bridge is gone when this fails, and so are its packets.
            let _ = self.with_tables(ops, |_| ());
        }
    }

    pub(super) fn flow_mod(&mut self, r: &Request<'_>, m: &FlowMod) -> Result<(), OfError> {
        self.not_secondary(r)?;
        let who = r.requester();
        let changes = self.with_tables_unseen(r.ops, |t| t.flow_mod(r.now, m, &who))??;
        self.conn(r)?.flow_log.count(r.now, m.command);
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
            let ids: Vec<ConnId> = self
                .conns
                .iter()
                .filter(|(_, c)| c.wants(AsyncKind::FlowRemoved, reason))
                .map(|(id, _)| *id)
                .collect();
            for id in ids {
                let nxm = self
                    .conns
                    .get(&id)
                    .is_some_and(|c| c.protocol.version == Version::V10 && c.protocol.nxm);
                let body = openflow::msg::FlowRemoved { nxm, ..removed.clone() };
                // They count as answers, so that a controller that does not read them cannot go
                // on adding flows.
                self.send(id, Class::Reply, 0, Body::FlowRemoved(body));
            }
        }
    }

    /// Takes out what is over; when to look again.
    pub(super) fn expire_flows(&mut self, now: Time, ops: &dyn SwitchOps) -> Option<Time> {
        let (changes, next) = self.with_tables(ops, |t| t.expire(now)).ok()?;
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
        let Ok((cleared, added)) = self.with_tables(ops, work) else { return };
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
        let flows: Vec<FlowStats> = self.with_tables(r.ops, |t| t.flow_stats(r.now, q))??;
        self.reply(r, Body::FlowStatsReply { nxm: q.nxm, flows });
        Ok(())
    }

    pub(super) fn aggregate(
        &mut self,
        r: &Request<'_>,
        q: &FlowStatsRequest,
    ) -> Result<(), OfError> {
        let stats: Aggregate = self.with_tables(r.ops, |t| t.aggregate(q))??;
        self.reply(r, Body::AggregateReply { nxm: q.nxm, stats });
        Ok(())
    }

    /// The last word on a connection's changes.
    pub(super) fn report_flow_mods(&mut self, now: Time, c: &mut Conn) {
        if let Some(text) = c.flow_log.report(now) {
            let text = format!("{}: {text}", c.settings.name);
            self.log(LogLevel::Info, "connmgr", text, None);
        }
    }
}
