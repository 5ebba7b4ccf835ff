//! `is_connected`, `role` and `status` of `Controller` rows.

use std::collections::BTreeMap;
use std::time::Duration;

use connmgr::{ConnectionManager, ControllerStatus};
use openflow::msg::Role;
use ovsdb_client::Txn;
use ovsdb_client::rows::{Controller, Tables};
use wire::Time;

use config::Desired;

/// Writes the status of every controller that the switch connects to; that of a listener is empty.
pub fn write(
    txn: &mut Txn,
    tables: &Tables,
    desired: &Desired,
    connections: &ConnectionManager,
    now: Time,
) {
    for bridge in &desired.bridges {
        for want in &bridge.openflow.controllers {
            let Some(old) = tables.controllers.get(&want.uuid) else { continue };
            let status = connections.controller_status(&bridge.name, &want.config.target, now);
            let new = Controller {
                is_connected: status.as_ref().is_some_and(|s| s.is_connected),
                role: status.as_ref().and_then(|s| role(s.role)).map(str::to_owned),
                status: status.map(pairs).unwrap_or_default(),
                ..old.clone()
            };
            txn.update(want.uuid, old, &new);
        }
    }
}

/// The role in the schema's words, which are those of OpenFlow before version 1.6.
fn role(role: Role) -> Option<&'static str> {
    match role {
        Role::Equal => Some("other"),
        Role::Primary => Some("master"),
        Role::Secondary => Some("slave"),
        Role::NoChange => None,
    }
}

fn pairs(s: ControllerStatus) -> BTreeMap<String, String> {
    let seconds = |t: Option<Duration>| t.map(|t| t.as_secs().to_string());
    [
        ("last_error", s.last_error),
        ("state", Some(s.state.to_owned())),
        ("sec_since_connect", seconds(s.since_connect)),
        ("sec_since_disconnect", seconds(s.since_disconnect)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}
