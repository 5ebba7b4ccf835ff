//! What `Controller` rows say.

use std::collections::BTreeMap;

use openflow::msg::Role;
use ovsdb_client::Txn;
use ovsdb_client::rows::{Controller, Tables};
use wire::Time;

use super::OpenFlow;
use super::reconnect::Reconnect;
use crate::config::Desired;

impl OpenFlow {
    /// Writes `is_connected`, `role` and `status` of every controller that we call; of listeners
    /// they are empty.
    pub fn write_status(&self, txn: &mut Txn, tables: &Tables, desired: &Desired, now: Time) {
        for bridge in &desired.bridges {
            let connections = self.bridges.get(&bridge.name);
            for want in &bridge.openflow.controllers {
                let Some(old) = tables.controllers.get(&want.uuid) else { continue };
                let report = connections.and_then(|c| c.report(&want.target));
                let new = match report {
                    Some((life, role)) => Controller {
                        is_connected: life.is_connected(),
                        role: shown(role).map(str::to_owned),
                        status: pairs(life, now),
                        ..old.clone()
                    },
                    None => Controller {
                        is_connected: false,
                        role: None,
                        status: BTreeMap::new(),
                        ..old.clone()
                    },
                };
                txn.update(want.uuid, old, &new);
            }
        }
    }
}

/// The database's words, which are older than the protocol's present ones.
fn shown(role: Role) -> Option<&'static str> {
    match role {
        Role::Equal => Some("other"),
        Role::Primary => Some("master"),
        Role::Secondary => Some("slave"),
        Role::NoChange => None,
    }
}

fn pairs(life: &Reconnect, now: Time) -> BTreeMap<String, String> {
    let ago = |t: Option<Time>| t.map(|t| now.since(t).as_secs().to_string());
    [
        ("last_error", life.last_error().map(str::to_owned)),
        ("state", Some(life.state().name().to_owned())),
        ("sec_since_connect", ago(life.last_connected())),
        ("sec_since_disconnect", ago(life.last_disconnected())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}
