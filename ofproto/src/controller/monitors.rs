//! Flow monitors: updates to controllers about every change of the flows that they watch.

use openflow::msg::{Body, FlowMonitorRequest, FlowUpdate};
use openflow::{OfError, Version};

use super::agent::Agent;
use super::conn::Conn;
use super::request::Request;
use super::types::{Class, ConnId, SwitchOps};
use crate::tables::RuleChanges;

/// Octets of updates that may wait for the socket. Beyond that only removals are sent, until the
/// socket has taken all.
const MAX_WAITING: usize = 128 * 1024;

impl Agent {
    /// Adds the changes to the updates of each connection that watches them.
    pub(super) fn report_to_monitors(&mut self, changes: &RuleChanges) {
        for (id, c) in self.conns.iter_mut() {
            if c.monitors.is_empty() {
                continue;
            }
            let own = changes.by.filter(|(by, _)| *by == id).map(|(_, xid)| xid);
            for event in &changes.events {
                c.monitors.note(event, own);
            }
        }
    }

    /// Sends the updates, and pauses connections that do not keep up.
    pub(super) fn flush_monitors(&mut self, ops: &dyn SwitchOps) {
        for id in self.conns.ids(|_, c| c.monitors.has_updates()) {
            let Some(c) = self.conns.get_mut(id) else { continue };
            let updates = c.monitors.take_updates();
            self.conns.send(id, Class::Monitor, 0, Body::FlowMonitorReply(updates));
            let full = |c: &Conn| {
                c.monitors.paused().is_none() && c.backlog(Class::Monitor).octets > MAX_WAITING
            };
            if self.conns.get(id).is_some_and(full) {
                let Ok(now) = self.tables.with(ops, |t| t.sequence()) else { continue };
                if let Some(c) = self.conns.get_mut(id) {
                    c.monitors.pause(now);
                }
                self.send_pause(id, Class::Monitor, true);
            }
        }
    }

    fn send_pause(&mut self, id: ConnId, class: Class, paused: bool) {
        let new = self.conns.get(id).is_some_and(|c| c.version() >= Version::V14);
        let body = match (new, paused) {
            (false, true) => Body::FlowMonitorPaused,
            (false, false) => Body::FlowMonitorResumed,
            (true, true) => Body::FlowMonitorReply(vec![FlowUpdate::Paused]),
            (true, false) => Body::FlowMonitorReply(vec![FlowUpdate::Resumed]),
        };
        self.conns.send(id, class, 0, body);
    }

    /// Resumes connections whose sockets have taken all updates: they are sent what was added or
    /// changed meanwhile.
    pub(super) fn resume_monitors(&mut self, ops: &dyn SwitchOps) {
        let ready = |c: &Conn| c.backlog(Class::Monitor).frames == 0;
        let paused: Vec<(ConnId, u64)> = self
            .conns
            .iter()
            .filter(|(_, c)| ready(c))
            .filter_map(|(id, c)| Some((id, c.monitors.paused()?)))
            .collect();
        for (id, since) in paused {
            let Some(c) = self.conns.get(id) else { continue };
            let requests = c.monitors.requests();
            let missed = self.tables.with(ops, |t| t.monitored(&requests, Some(since)));
            let Ok(missed) = missed else { continue };
            if !missed.is_empty() {
                self.conns.send(id, Class::Reply, 0, Body::FlowMonitorReply(missed));
            }
            self.send_pause(id, Class::Reply, false);
            if let Some(c) = self.conns.get_mut(id) {
                c.monitors.resume();
            }
        }
    }

    pub(super) fn flow_monitors(
        &mut self,
        r: &Request<'_>,
        requests: Vec<FlowMonitorRequest>,
    ) -> Result<(), OfError> {
        let new = self.conns.of(r)?.monitors.change(&requests)?;
        let there = self.tables.with(r.ops, |t| t.monitored(&new, None))?;
        self.conns.reply(r, Body::FlowMonitorReply(there));
        Ok(())
    }

    pub(super) fn flow_monitor_cancel(&mut self, r: &Request<'_>, id: u32) -> Result<(), OfError> {
        let gone = self.conns.of(r)?.monitors.cancel(id);
        gone.then_some(()).ok_or(OfError::MofcUnknownMonitor)
    }
}
