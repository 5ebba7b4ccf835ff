//! What is known of a connection to a controller, for the `Controller` table.

use std::time::Duration;

use openflow::msg::Role;
use wire::Time;

use crate::OpenFlow;

/// The status of a controller that the switch connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerStatus {
    /// The peers have agreed on a version.
    pub is_connected: bool,
    /// [`Role::NoChange`] without a connection.
    pub role: Role,
    /// `BACKOFF`, `CONNECTING`, `ACTIVE`, `IDLE` or `DISCONNECTED`.
    pub state: &'static str,
    /// Why the last connection ended or the last attempt failed.
    pub last_error: Option<String>,
    /// Since the last connection began.
    pub since_connect: Option<Duration>,
    /// Since the last connection ended.
    pub since_disconnect: Option<Duration>,
}

impl OpenFlow {
    /// The status of a bridge's controller, by its target; `None` for a listener and for a target
    /// that is not configured.
    pub fn controller_status(
        &self,
        bridge: &str,
        target: &str,
        now: Time,
    ) -> Option<ControllerStatus> {
        let (life, role) = self.bridges.get(bridge)?.report(target)?;
        let ago = |t: Option<Time>| t.map(|t| now.since(t));
        Some(ControllerStatus {
            is_connected: life.is_connected(),
            role,
            state: life.state().name(),
            last_error: life.last_error().map(str::to_owned),
            since_connect: ago(life.last_connected()),
            since_disconnect: ago(life.last_disconnected()),
        })
    }
}
