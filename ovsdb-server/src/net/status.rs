//! What the server writes into rows that describe remotes: `is_connected` and `status`.

use std::collections::BTreeMap;

use ovsdb::value::push_json_string;
use wire::Time;

use super::DbColumn;
use super::remote::{Link, RemoteStatus, State};
use super::service::{STATUS_INTERVAL, Service};
use crate::lock::Holding;
use crate::schema::COL_UUID;
use crate::value::{Atom, Datum};

impl Service {
    /// When [`Service::write_status`] has something to do; `u64::MAX` = never.
    pub(super) fn status_deadline(&self) -> u64 {
        match self.configured.keys().any(|name| name.starts_with("db:")) {
            true => self.status_due,
            false => u64::MAX,
        }
    }

    /// Brings the rows that describe remotes up to date.
    pub(super) fn write_status(&mut self, now: u64) {
        if now < self.status_deadline() {
            return;
        }
        self.status_due = now + STATUS_INTERVAL;
        let mut operations: BTreeMap<String, String> = BTreeMap::new();
        for name in self.configured.keys() {
            let Ok(column) = name.parse::<DbColumn>() else { continue };
            let Ok(found) = column.find(&self.engine) else { continue };
            for row in found.rows() {
                let Some(target) = row.text("target") else { continue };
                let status = self.remote_status(target, now);
                let connected = row.get("is_connected");
                let shown = row.get("status");
                let same = connected.is_none_or(|value| is_flag(value, status.is_connected))
                    && shown.is_none_or(|value| is_map(value, &status.status));
                let Some(Atom::Uuid(id)) = row.get("_uuid").and_then(Datum::single) else {
                    continue;
                };
                if same {
                    continue;
                }
                debug_assert_eq!(row.schema.columns[COL_UUID].name, "_uuid");
                let mut values = Vec::new();
                if connected.is_some() {
                    values.push(format!("\"is_connected\":{}", status.is_connected));
                }
                if shown.is_some() {
                    values.push(format!("\"status\":{}", map(&status.status)));
                }
                let text = operations.entry(column.database.clone()).or_default();
                text.push_str(",{\"op\":\"update\",\"table\":");
                push_json_string(text, &row.schema.name);
                text.push_str(&format!(
                    ",\"where\":[[\"_uuid\",\"==\",[\"uuid\",\"{id}\"]]],\"row\":{{{}}}}}",
                    values.join(",")
                ));
            }
        }
        for (database, text) in operations {
            let mut params = String::from("[");
            push_json_string(&mut params, &database);
            params.push_str(&text);
            params.push(']');
            self.ask_engine("transact", &params);
        }
    }

    /// How a remote is.
    pub fn remote_status(&self, name: &str, now: u64) -> RemoteStatus {
        let Some(remote) = self.remotes.get(name) else { return RemoteStatus::default() };
        let mut status = Vec::new();
        let mut is_connected = false;
        match &remote.state {
            State::Closed { .. } => {}
            State::Listening { port, clients, .. } => {
                is_connected = !clients.is_empty();
                if clients.len() > 1 {
                    status.push(("n_connections", clients.len().to_string()));
                }
                if let Some(port) = port {
                    status.push(("bound_port", port.to_string()));
                }
            }
            State::Connecting { reconnect, link } => {
                is_connected = reconnect.is_connected();
                status.push(("state", reconnect.state().name().to_owned()));
                let session = match link {
                    Link::Open { slot } if is_connected => self.session_of(*slot),
                    Link::Open { .. } | Link::Lookup { .. } | Link::None => None,
                };
                let mut locks: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
                for (name, holding) in
                    session.into_iter().flat_map(|session| self.engine.locks_of(session))
                {
                    let key = match holding {
                        Holding::Owned => "locks_held",
                        Holding::Waiting => "locks_waiting",
                        Holding::Lost => "locks_lost",
                    };
                    locks.entry(key).or_default().push(name);
                }
                status.extend(locks.into_iter().map(|(key, names)| (key, names.join(" "))));
            }
        }
        if let Some(reconnect) = remote.reconnect() {
            let ago = |then| Time::from_millis(now).since(then).as_secs().to_string();
            let (begun, ended) = (reconnect.last_connected(), reconnect.last_disconnected());
            status.extend(begun.map(|then| ("sec_since_connect", ago(then))));
            status.extend(ended.map(|then| ("sec_since_disconnect", ago(then))));
            status.extend(reconnect.last_error().map(|error| ("last_error", error.to_owned())));
        }
        status.sort();
        RemoteStatus { is_connected, status }
    }
}

fn is_flag(value: &Datum, flag: bool) -> bool {
    matches!(value.single(), Some(Atom::Boolean(value)) if *value == flag)
}

fn is_map(value: &Datum, pairs: &[(&str, String)]) -> bool {
    let is = |atom: &Atom, text: &str| matches!(atom, Atom::String(known) if &**known == text);
    value.len() == pairs.len()
        && value
            .pairs()
            .iter()
            .zip(pairs)
            .all(|((key, value), (name, text))| is(key, name) && is(value, text))
}

fn map(pairs: &[(&str, String)]) -> String {
    let mut out = String::from("[\"map\",[");
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push('[');
        push_json_string(&mut out, name);
        out.push(',');
        push_json_string(&mut out, value);
        out.push(']');
    }
    out.push_str("]]");
    out
}
