//! What the server says, and what it means for the replica.

use std::time::Duration;

use ovsdb::{DatabaseSchema, Uuid};
use serde_json::value::RawValue;

use super::{Link, Session, SessionEvent};
use crate::cluster::Cluster;
use crate::connection::{Heard, LinkError, LockState, MonitorMethod, Phase};
use crate::db::Format;
use crate::plan::Plan;
use crate::txn::{TxnError, parse_reply};

impl Session {
    pub(super) fn handle(&mut self, bytes: &[u8], now: Duration) -> Result<(), LinkError> {
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        match connection.hear(bytes)? {
            Heard::Nothing => Ok(()),
            Heard::Update { params, format, with_txn } => {
                // The contents come with `update3` from a server that has `_Server`, nearly always.
                if format == Format::Difference
                    && !with_txn
                    && self.options.cluster != Cluster::Any
                    && connection.server.apply_notification(params).map_err(LinkError::Update)?
                {
                    connection.server.verdict(self.options.cluster, &mut self.newest)?;
                    return Ok(());
                }
                if connection.phase != Phase::Following {
                    return Err(LinkError::Protocol("an update before the contents".to_owned()));
                }
                let before = self.db.seqno();
                let mut bad = Vec::new();
                let txn = self
                    .db
                    .apply_notification(params, format, with_txn, &mut bad)
                    .map_err(|error| LinkError::Update(error.to_string()))?;
                self.last_txn = txn;
                self.events.extend(bad.into_iter().map(SessionEvent::BadValue));
                if self.db.seqno() != before {
                    self.changed();
                }
                Ok(())
            }
            Heard::Lock { name, held } => {
                if self.options.lock.as_deref() == Some(&*name) {
                    let lost = connection.lock == LockState::Held && !held;
                    connection.lock = if held { LockState::Held } else { LockState::Waiting };
                    self.events.extend(held.then_some(SessionEvent::Locked));
                    self.events.extend(lost.then_some(SessionEvent::LockLost));
                }
                Ok(())
            }
            Heard::MonitorCanceled => {
                Err(LinkError::Protocol("the server ended the monitor".to_owned()))
            }
            Heard::Reply { id, result } => self.reply(id, result, now),
        }
    }

    /// One `Changed` stands for all until it is taken.
    fn changed(&mut self) {
        if !self.events.iter().any(|event| matches!(event, SessionEvent::Changed)) {
            self.events.push_back(SessionEvent::Changed);
        }
    }

    fn reply(
        &mut self,
        id: u64,
        result: Result<&RawValue, &RawValue>,
        now: Duration,
    ) -> Result<(), LinkError> {
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        if let Some(infos) = connection.txns.remove(&id) {
            let reply = match result {
                Ok(result) => parse_reply(result.get(), &infos),
                Err(error) => Err(TxnError::Refused(short(error))),
            };
            self.txn_done(id, reply, now);
            return Ok(());
        }
        if connection.lock == (LockState::Asked { id }) {
            let held = match result {
                Ok(result) => {
                    #[derive(serde::Deserialize)]
                    struct Lock {
                        locked: bool,
                    }
                    serde_json::from_str::<Lock>(result.get())
                        .map_err(|error| LinkError::Protocol(format!("lock: {error}")))?
                        .locked
                }
                Err(error) => return Err(LinkError::Protocol(format!("lock: {}", short(error)))),
            };
            connection.lock = if held { LockState::Held } else { LockState::Waiting };
            self.events.push_back(if held { SessionEvent::Locked } else { SessionEvent::LockBusy });
            return Ok(());
        }
        if connection.conditions == Some(id) {
            connection.conditions = None;
            result.map_err(|error| {
                LinkError::Protocol(format!("monitor_cond_change: {}", short(error)))
            })?;
            self.holds = Some(self.asked.clone());
            self.events.push_back(SessionEvent::Filtered);
            self.change_filters();
            return Ok(());
        }
        match connection.phase {
            Phase::Server { id: wanted } if wanted == id => self.server_reply(result),
            Phase::Schema { id: wanted } if wanted == id => self.schema_reply(result),
            Phase::Monitor { id: wanted, method } if wanted == id => {
                self.monitor_reply(method, result)
            }
            // The answer to something that is no longer of interest.
            Phase::Server { .. }
            | Phase::Schema { .. }
            | Phase::Monitor { .. }
            | Phase::Following => Ok(()),
        }
    }

    fn server_reply(&mut self, result: Result<&RawValue, &RawValue>) -> Result<(), LinkError> {
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        // A server that has no `_Server` knows of no clusters either.
        if let Ok(tables) = result {
            connection.server.apply(tables).map_err(LinkError::Update)?;
            connection.server.verdict(self.options.cluster, &mut self.newest)?;
        }
        self.begin();
        Ok(())
    }

    fn schema_reply(&mut self, result: Result<&RawValue, &RawValue>) -> Result<(), LinkError> {
        let text = result.map_err(|error| {
            LinkError::Protocol(format!("database {}: {}", self.options.database, short(error)))
        })?;
        let schema = DatabaseSchema::parse(text.get())
            .map_err(|error| LinkError::Protocol(error.to_string()))?;
        let (plan, gaps) = Plan::new(&schema, &self.options.tables);
        self.schema_version = Some(schema.version);
        if plan != self.plan {
            // What newly followed columns hold is not among the changes since then.
            self.last_txn = Uuid::ZERO;
            self.plan = plan;
        }
        self.events.extend(gaps.into_iter().map(SessionEvent::SchemaGap));
        self.monitor(MonitorMethod::Since);
        Ok(())
    }

    fn monitor(&mut self, method: MonitorMethod) {
        let id = self.next_id();
        let mut params = String::from("[");
        ovsdb::value::push_json_string(&mut params, &self.options.database);
        params.push_str(",\"monitor\",");
        match method {
            MonitorMethod::Since | MonitorMethod::Cond => {
                params.push_str(&self.plan.conditional_requests(&self.options.filters));
            }
            MonitorMethod::Plain => params.push_str(&self.plan.monitor_requests()),
        }
        if self.holds.as_ref() != Some(&self.options.filters) {
            // Rows that newly meet the filters are not among the changes since then.
            self.last_txn = Uuid::ZERO;
        }
        self.asked = self.options.filters.clone();
        if method == MonitorMethod::Since {
            params.push_str(&format!(",\"{}\"", self.last_txn));
        }
        params.push(']');
        if let Link::Connected(connection) = &mut self.link {
            connection.request(id, method.name(), &params);
            connection.phase = Phase::Monitor { id, method };
        }
    }

    fn monitor_reply(
        &mut self,
        method: MonitorMethod,
        result: Result<&RawValue, &RawValue>,
    ) -> Result<(), LinkError> {
        let result = match (result, method.older()) {
            (Ok(result), _) => result,
            (Err(error), Some(older)) if error.get().contains("unknown method") => {
                self.last_txn = Uuid::ZERO;
                self.monitor(older);
                return Ok(());
            }
            (Err(error), _) => {
                return Err(LinkError::Protocol(format!("{}: {}", method.name(), short(error))));
            }
        };
        let update = |error: serde_json::Error| LinkError::Update(error.to_string());
        let before = self.db.seqno();
        let mut bad = Vec::new();
        match method {
            MonitorMethod::Since => {
                let (found, last, tables): (bool, Uuid, &RawValue) =
                    serde_json::from_str(result.get()).map_err(update)?;
                if found {
                    self.resumed += 1;
                    self.db.apply(tables, Format::Difference, &mut bad).map_err(update)?;
                } else {
                    self.db.replace(tables, Format::Difference, &mut bad).map_err(update)?;
                }
                self.last_txn = last;
            }
            MonitorMethod::Cond => {
                self.db.replace(result, Format::Difference, &mut bad).map_err(update)?;
            }
            MonitorMethod::Plain => {
                self.db.replace(result, Format::Whole, &mut bad).map_err(update)?;
            }
        }
        if let Link::Connected(connection) = &mut self.link {
            connection.phase = Phase::Following;
            connection.takes_conditions = method != MonitorMethod::Plain;
        }
        self.holds = Some(self.asked.clone());
        self.change_filters();
        self.has_data = true;
        self.events.extend(bad.into_iter().map(SessionEvent::BadValue));
        self.events.push_back(SessionEvent::InitialData);
        if self.db.seqno() != before {
            self.changed();
        }
        Ok(())
    }

    /// Sends the server changed filters, one change at a time.
    pub(super) fn change_filters(&mut self) {
        let id = self.next_id();
        let Link::Connected(connection) = &mut self.link else { return };
        let idle = connection.phase == Phase::Following && connection.conditions.is_none();
        if !idle || self.asked == self.options.filters {
            return;
        }
        self.asked = self.options.filters.clone();
        if !connection.takes_conditions {
            self.holds = Some(self.asked.clone());
            self.events.push_back(SessionEvent::Filtered);
            return;
        }
        // If the connection breaks meanwhile, it is unknown which of them the rows meet.
        self.holds = None;
        let changes = self.plan.condition_changes(&self.asked);
        let params = format!(r#"["monitor","monitor",{changes}]"#);
        connection.request(id, "monitor_cond_change", &params);
        connection.conditions = Some(id);
    }
}

/// An error object as a short text.
fn short(error: &RawValue) -> String {
    error.get().chars().take(256).collect()
}
