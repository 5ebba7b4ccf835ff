//! The flow monitors of one connection.

use std::collections::BTreeMap;

use openflow::OfError;
use openflow::msg::{FlowMonitorRequest, FlowUpdate, MonitorCommand, monitor_flags};

use crate::tables::RuleEvent;

/// What a connection watches, and the updates that are to be sent.
#[derive(Default)]
pub(super) struct MonitorSet {
    requests: BTreeMap<u32, FlowMonitorRequest>,
    /// The sequence number of the flow tables when updates were paused.
    paused: Option<u64>,
    /// To be sent in one message: the updates of one command.
    updates: Vec<FlowUpdate>,
    /// `updates` has the abbreviation of what the connection itself did.
    abbreviated: bool,
}

impl MonitorSet {
    /// Whether nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// What is watched.
    pub(super) fn requests(&self) -> Vec<FlowMonitorRequest> {
        self.requests.values().cloned().collect()
    }

    /// Adds a change to the updates, if it is watched. `own`: the transaction of the connection
    /// that caused it.
    pub(super) fn note(&mut self, event: &RuleEvent, own: Option<u32>) {
        if let Some(paused) = self.paused {
            // A rule added after the pause is reported when that ends, if it is still there.
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

    /// Whether there are updates to send.
    pub(super) fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// Takes the updates out.
    pub(super) fn take_updates(&mut self) -> Vec<FlowUpdate> {
        std::mem::take(&mut self.updates)
    }

    /// Since which sequence number of the flow tables updates are paused.
    pub(super) fn paused(&self) -> Option<u64> {
        self.paused
    }

    /// From now on only removals are reported.
    pub(super) fn pause(&mut self, sequence: u64) {
        self.paused = Some(sequence);
    }

    /// Ends the pause.
    pub(super) fn resume(&mut self) {
        self.paused = None;
    }

    /// Carries out the requests of one message; returns the monitors that begin with it. When one
    /// fails, those before it that began are removed.
    pub(super) fn change(
        &mut self,
        requests: &[FlowMonitorRequest],
    ) -> Result<Vec<FlowMonitorRequest>, OfError> {
        let mut new: Vec<FlowMonitorRequest> = Vec::new();
        for q in requests {
            if let Err(e) = self.command(q, &mut new) {
                for made in &new {
                    self.requests.remove(&made.id);
                }
                return Err(e);
            }
        }
        Ok(new)
    }

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

    /// Ends one monitor. False: there is none of this number.
    pub(super) fn cancel(&mut self, id: u32) -> bool {
        self.requests.remove(&id).is_some()
    }
}
