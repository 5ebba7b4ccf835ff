//! Flow monitors: controllers that are told of every change of flows that they watch.

use std::collections::BTreeMap;

use openflow::msg::{Body, FlowMonitorRequest, FlowUpdate, MonitorCommand, monitor_flags};
use openflow::{OfError, Version};

use super::conn::Conn;
use super::types::{Class, ConnId, SwitchOps};
use super::{Agent, Request};
use crate::tables::{RuleChanges, RuleEvent};

/// News that may wait for the socket: beyond that a connection is told nothing but of removals,
/// until all of it has been taken.
const MAX_WAITING: usize = 128 * 1024;

/// What a connection watches.
#[derive(Default)]
pub(super) struct Monitors {
    requests: BTreeMap<u32, FlowMonitorRequest>,
    /// Where the flow tables stood when the connection could not be told more.
    paused: Option<u64>,
    /// To be sent together, with what the same command changed.
    updates: Vec<FlowUpdate>,
    /// One of them stands for all that the receiver did itself.
    abbreviated: bool,
}

impl Monitors {
    /// Puts down a change, if it concerns the connection. `own`: the number of its message that
    /// asked for it.
    fn note(&mut self, event: &RuleEvent, own: Option<u32>) {
        if let Some(paused) = self.paused {
            // What came after the pause is told when it ends, if it is still there.
            let known = event.rule().added_at <= paused;
            if !(matches!(event, RuleEvent::Removed { .. }) && known) {
                return;
            }
        }
        let wanted = self.requests.values().filter(|q| event.wanted(q));
        let flags = wanted.fold(0, |all, q| all | q.flags);
        if flags == 0 {
            return;
        }
        if self.updates.is_empty() {
            self.abbreviated = false;
        }
        match own {
            Some(xid) if flags & monitor_flags::OWN == 0 && self.paused.is_none() => {
                if !self.abbreviated {
                    self.updates.push(FlowUpdate::Abbreviated { xid });
                    self.abbreviated = true;
                }
            }
            _ => self.updates.push(event.update(flags & monitor_flags::ACTIONS != 0)),
        }
    }
}

impl Agent {
    /// Puts down for each connection what it watches of some changes.
    pub(super) fn report_to_monitors(&mut self, changes: &RuleChanges) {
        for (id, c) in &mut self.conns {
            if c.monitors.requests.is_empty() {
                continue;
            }
            let own = changes.by.filter(|(by, _)| by == id).map(|(_, xid)| xid);
            for event in &changes.events {
                c.monitors.note(event, own);
            }
        }
    }

    /// Sends what was put down, and pauses who does not keep up.
    pub(super) fn flush_monitors(&mut self, ops: &dyn SwitchOps) {
        let ids: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, c)| !c.monitors.updates.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(c) = self.conns.get_mut(&id) else { continue };
            let updates = std::mem::take(&mut c.monitors.updates);
            self.send(id, Class::Monitor, 0, Body::FlowMonitorReply(updates));
            let full = |c: &Conn| {
                c.monitors.paused.is_none() && c.backlog(Class::Monitor).octets > MAX_WAITING
            };
            if self.conns.get(&id).is_some_and(full) {
                let Ok(now) = self.with_tables(ops, |t| t.sequence()) else { continue };
                if let Some(c) = self.conns.get_mut(&id) {
                    c.monitors.paused = Some(now);
                }
                self.send_pause(id, Class::Monitor, true);
            }
        }
    }

    fn send_pause(&mut self, id: ConnId, class: Class, paused: bool) {
        let new = self.conns.get(&id).is_some_and(|c| c.protocol.version >= Version::V14);
        let body = match (new, paused) {
            (false, true) => Body::FlowMonitorPaused,
            (false, false) => Body::FlowMonitorResumed,
            (true, true) => Body::FlowMonitorReply(vec![FlowUpdate::Paused]),
            (true, false) => Body::FlowMonitorReply(vec![FlowUpdate::Resumed]),
        };
        self.send(id, class, 0, body);
    }

    /// Goes on with connections that have taken all they were sent: they are told what came or
    /// changed meanwhile.
    pub(super) fn resume_monitors(&mut self, ops: &dyn SwitchOps) {
        let ready = |c: &Conn| c.backlog(Class::Monitor).frames == 0;
        let paused: Vec<(ConnId, u64)> = self
            .conns
            .iter()
            .filter(|(_, c)| ready(c))
            .filter_map(|(id, c)| Some((*id, c.monitors.paused?)))
            .collect();
        for (id, since) in paused {
            let Some(c) = self.conns.get(&id) else { continue };
            let requests: Vec<FlowMonitorRequest> = c.monitors.requests.values().cloned().collect();
            let missed = self.with_tables(ops, |t| t.monitored(&requests, Some(since)));
            let Ok(missed) = missed else { continue };
            if !missed.is_empty() {
                self.send(id, Class::Reply, 0, Body::FlowMonitorReply(missed));
            }
            self.send_pause(id, Class::Reply, false);
            if let Some(c) = self.conns.get_mut(&id) {
                c.monitors.paused = None;
            }
        }
    }

    pub(super) fn flow_monitors(
        &mut self,
        r: &Request<'_>,
        requests: Vec<FlowMonitorRequest>,
    ) -> Result<(), OfError> {
        let monitors = &mut self.conn(r)?.monitors;
        let mut new: Vec<FlowMonitorRequest> = Vec::new();
        for q in requests {
            if let Err(e) = monitors.command(&q, &mut new) {
                for made in &new {
                    monitors.requests.remove(&made.id);
                }
                return Err(e);
            }
        }
        let there = self.with_tables(r.ops, |t| t.monitored(&new, None))?;
        self.reply(r, Body::FlowMonitorReply(there));
        Ok(())
    }

    pub(super) fn flow_monitor_cancel(&mut self, r: &Request<'_>, id: u32) -> Result<(), OfError> {
        let gone = self.conn(r)?.monitors.requests.remove(&id);
        gone.map(|_| ()).ok_or(OfError::MofcUnknownMonitor)
    }
}

impl Monitors {
    /// Carries out one request; `new` gets a monitor that begins with it.
    fn command(
        &mut self,
        q: &FlowMonitorRequest,
        new: &mut Vec<FlowMonitorRequest>,
    ) -> Result<(), OfError> {
        let known = self.requests.contains_key(&q.id);
        match (q.command, known) {
            (MonitorCommand::Add, true) => return Err(OfError::MofcMonitorExists),
            (MonitorCommand::Modify | MonitorCommand::Delete, false) => {
                return Err(OfError::MofcUnknownMonitor);
            }
            (MonitorCommand::Delete, true) => {
                self.requests.remove(&q.id);
                return Ok(());
            }
            (MonitorCommand::Add, false) | (MonitorCommand::Modify, true) => {}
        }
        self.requests.insert(q.id, q.clone());
        new.push(q.clone());
        Ok(())
    }
}
