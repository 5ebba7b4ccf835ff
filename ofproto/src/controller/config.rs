//! The configuration of a controller or listener, as its owner reads it from the database.

use std::time::Duration;

/// Times of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `Controller.max_backoff`: the longest wait between two attempts to connect; at least one
    /// second.
    pub max_backoff: Duration,
    /// Silence before an echo request is sent; `None`: none is sent.
    pub probe: Option<Duration>,
}

/// One controller that a bridge connects to, or one listener for controllers (Open vSwitch:
/// `struct ofproto_controller`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// `Controller.target`, for example `tcp:127.0.0.1:6653` or `ptcp:`.
    pub target: String,
    /// `Controller.type` is `primary`: the peer receives asynchronous messages, and `fail_mode`
    /// depends on it.
    pub primary: bool,
    /// Reconnection and probes.
    pub timing: Timing,
    /// `Controller.inactivity_probe` as the row has it. `fail_mode=standalone` takes effect after
    /// three times this interval. It can be shorter than [`Timing::probe`], which is at least five
    /// seconds.
    pub probe: Duration,
    /// `Controller.connection_mode` is not `out-of-band`: in-band control keeps the path to it open.
    pub in_band: bool,
    /// `Controller.enable_async_messages`.
    pub async_messages: bool,
    /// `Controller.controller_rate_limit`, packets per second; 0: no limit.
    pub rate_limit: u32,
    /// `Controller.controller_burst_limit`, packets.
    pub burst_limit: u32,
    /// `Controller.other_config:controller-queue-size`, packets; 1 to 512.
    pub queue_size: usize,
    /// `Controller.other_config:dscp`, 0 to 63.
    pub dscp: u8,
}
