//! A remote maintenance point.

use wire::Time;

/// Another maintenance point of our maintenance association.
#[derive(Debug)]
pub(super) struct RemotePoint {
    /// A message was received since the last check.
    pub(super) heard: bool,
    /// Its operational state is up.
    pub(super) opup: bool,
    pub(super) seq: u32,
    /// Messages without a fault since the last computation of the health.
    pub(super) good: u32,
    pub(super) last_rx: Time,
}
