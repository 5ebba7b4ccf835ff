//! The methods of monitors.

use std::sync::Arc;

use ovsdb::jsonrpc;

use crate::error::{Error, Result};
use crate::json::Json;
use crate::monitor::{Version, change_conditions, condition_change, parse};
use crate::server::session::{Chunk, Item};
use crate::server::{Server, SessionId};
use ovsdb::Uuid;

/// The notification that carries updates, around their rows.
fn notification(version: Version, monitor: &str, rows: Chunk) -> [Item; 3] {
    let method = match version {
        Version::V1 => "update",
        Version::V2 => "update2",
        Version::V3 => "update3",
    };
    let mut head = format!("{{\"id\":null,\"method\":\"{method}\",\"params\":[{monitor},");
    if version == Version::V3 {
        head.push_str(&format!("\"{}\",", Uuid::ZERO));
    }
    [
        Item::Bytes(Chunk::Own(head.into_bytes())),
        Item::Bytes(rows),
        Item::Bytes(Chunk::Own(b"]}".to_vec())),
    ]
}

impl Server {
    /// Queues the updates that a session has not seen.
    pub(super) fn flush_monitors(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut sent = false;
        for (name, (database, monitor)) in &session.monitors {
            let Some(hosted) = self.databases.get_mut(database) else { continue };
            let schema = hosted.database.schema();
            let Some(rows) = hosted.monitors.next_update(*monitor, schema) else { continue };
            let version = session.versions.get(monitor).copied().unwrap_or(Version::V1);
            session.queue.extend(notification(version, name, Chunk::Shared(rows)));
            sent = true;
        }
        if sent {
            self.ready.insert(id);
        }
    }

    /// `monitor`, `monitor_cond` and `monitor_cond_since`.
    pub(super) fn monitor(
        &mut self,
        id: SessionId,
        (name, request): (&str, &str),
        version: Version,
        params: &Json<'_>,
    ) -> Result<()> {
        let elements = params.as_array().unwrap_or_default();
        let wrong = match version {
            Version::V1 => elements.len() < 3,
            Version::V2 => elements.len() != 3,
            Version::V3 => elements.len() != 4,
        };
        if wrong {
            return Err(Error::syntax(params, "invalid parameters"));
        }
        let monitor = elements[1].to_text();
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if elements[2].as_object().is_none() {
            return Err(Error::syntax(&elements[2], "monitor-requests must be object"));
        }
        if session.monitors.contains_key(&monitor) {
            return Err(Error::syntax(&elements[1], "duplicate monitor ID"));
        }
        let Some(hosted) = self.databases.get_mut(name) else { return Ok(()) };
        let schema = Arc::clone(hosted.database.schema());
        let form = version.form();
        let spec = parse(&schema, &elements[2], form)?;
        // Transactions of a standalone database have no identifiers that outlive a connection, so
        // `last-txn-id` is checked for its form only: every client gets all rows, and is told that
        // its transaction was not found (ovsdb-server(7), section 4.1.15).
        if let Some(last) = elements.get(3).filter(|_| version == Version::V3) {
            let Some(text) = last.as_str() else {
                return Err(Error::syntax(last, "last-txn-id must be string"));
            };
            if Uuid::parse_bytes(text.as_bytes()).is_none() {
                return Err(Error::syntax(last, "last-txn-id must be UUID format."));
            }
        }
        let key = hosted.monitors.add(spec, form);
        hosted.owners.insert(key, id);
        let rows = Chunk::Shared(hosted.monitors.initial(key, &schema, hosted.database.tables()));
        session.monitors.insert(monitor, (name.to_owned(), key));
        session.versions.insert(key, version);
        let mut head = format!("{{\"error\":null,\"id\":{request},\"result\":");
        if version == Version::V3 {
            head.push_str(&format!("[false,\"{}\",", Uuid::ZERO));
        }
        let tail: &[u8] = if version == Version::V3 { b"]}" } else { b"}" };
        self.flush_monitors(id);
        self.send(id, Item::Bytes(Chunk::Own(head.into_bytes())));
        self.send(id, Item::Bytes(rows));
        self.send(id, Item::Bytes(Chunk::Own(tail.to_vec())));
        Ok(())
    }

    /// `monitor_cond_change`.
    pub(super) fn monitor_cond_change(&mut self, id: SessionId, params: &Json<'_>) -> Result<()> {
        let Some([old, new, requests]) = params.as_array() else {
            return Err(Error::syntax(params, "invalid parameters"));
        };
        // The next update has rows as they are now; the changes up to now go first.
        self.flush_monitors(id);
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let (old_name, new_name) = (old.to_text(), new.to_text());
        let Some((database, key)) = session.monitors.get(&old_name).cloned() else {
            return Err(Error::syntax(old, "unknown monitor session"));
        };
        if old_name != new_name && session.monitors.contains_key(&new_name) {
            return Err(Error::syntax(new, "duplicate monitor ID"));
        }
        let Some(hosted) = self.databases.get_mut(&database) else { return Ok(()) };
        let schema = Arc::clone(hosted.database.schema());
        let Some(before) = hosted.monitors.spec(key).cloned() else { return Ok(()) };
        let after = change_conditions(&schema, &before, requests)?;
        session.monitors.remove(&old_name);
        session.monitors.insert(new_name.clone(), (database, key));
        let version = session.versions.get(&key).copied().unwrap_or(Version::V1);
        // One that was made by `monitor` has no conditions that could change.
        if version == Version::V1 {
            return Ok(());
        }
        let rows = condition_change(&schema, &before, &after, hosted.database.tables());
        hosted.monitors.set_spec(key, after);
        if let Some(rows) = rows {
            for item in notification(version, &new_name, Chunk::Own(rows)) {
                self.send(id, item);
            }
        }
        Ok(())
    }

    /// `monitor_cancel`; false if there is no such monitor.
    pub(super) fn monitor_cancel(&mut self, id: SessionId, monitor: &Json<'_>) -> bool {
        // The updates up to now are told still.
        self.flush_monitors(id);
        let session = self.sessions.get_mut(&id);
        let found = session.and_then(|session| {
            let (database, key) = session.monitors.remove(&monitor.to_text())?;
            session.versions.remove(&key);
            Some((database, key))
        });
        let Some((database, key)) = found else { return false };
        if let Some(hosted) = self.databases.get_mut(&database) {
            hosted.monitors.remove(key);
            hosted.owners.remove(&key);
        }
        true
    }

    /// Ends everything that depends on a database that is removed or gets another schema.
    pub(super) fn leave_database(&mut self, name: &str) {
        let Some(hosted) = self.databases.get_mut(name) else { return };
        let owners = std::mem::take(&mut hosted.owners);
        for (key, owner) in owners {
            self.flush_monitors(owner);
            if let Some(hosted) = self.databases.get_mut(name) {
                hosted.monitors.remove(key);
            }
            let Some(session) = self.sessions.get_mut(&owner) else { continue };
            session.versions.remove(&key);
            let known =
                session.monitors.iter().find(|(_, known)| known.0 == name && known.1 == key);
            let Some(monitor) = known.map(|(monitor, _)| monitor.clone()) else { continue };
            session.monitors.remove(&monitor);
            if session.change_aware {
                let mut out = Vec::new();
                jsonrpc::push_notification(&mut out, "monitor_canceled", &format!("[{monitor}]"));
                self.send(owner, Item::Bytes(Chunk::Own(out)));
            }
        }
        self.cancel_background(name);
        self.cancel_triggers(|database, _| database == name);
    }
}
