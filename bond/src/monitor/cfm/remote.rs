//! A remote maintenance point.

use wire::Time;

/// Somebody else of our maintenance association.
#[derive(Debug)]
pub(super) struct RemotePoint {
    /// Heard since the last check.
    pub(super) heard: bool,
    /// Fit for traffic.
    pub(super) opup: bool,
    pub(super) seq: u32,
    /// Good messages since the health was worked out.
    pub(super) good: u32,
    pub(super) last_rx: Time,
}
