//! The status of a controller, for the `Controller` table.

use std::time::Duration;

use openflow::msg::Role;
use wire::Time;

use stream::reconnect::Reconnect;

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

impl ControllerStatus {
    pub(crate) fn new(reconnect: &Reconnect, role: Role, now: Time) -> ControllerStatus {
        let ago = |t: Option<Time>| t.map(|t| now.since(t));
        ControllerStatus {
            is_connected: reconnect.is_connected(),
            role,
            state: reconnect.state().name(),
            last_error: reconnect.last_error().map(str::to_owned),
            since_connect: ago(reconnect.last_connected()),
            since_disconnect: ago(reconnect.last_disconnected()),
        }
    }
}
