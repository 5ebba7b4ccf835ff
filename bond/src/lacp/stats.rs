//! The counters of `lacp/show-stats`.

use serde::Serialize;

/// What has been seen on one member since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub tx_pdus: u32,
    pub rx_pdus: u32,
    pub rx_bad_pdus: u32,
    pub rx_marker_pdus: u32,
    /// PDUs of systems that were not the partner, while there was one.
    pub rx_stranger_pdus: u32,
    pub link_expired: u32,
    pub link_defaulted: u32,
    pub carrier_changed: u32,
}
