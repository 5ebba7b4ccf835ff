//! The counters of `lacp/show-stats`.

use serde::Serialize;

/// Counters of one member since it was added. They wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// LACPDUs sent.
    pub tx_pdus: u32,
    /// Slow Protocols frames received, of any kind.
    pub rx_pdus: u32,
    /// Received frames that are neither LACPDUs nor marker PDUs.
    pub rx_bad_pdus: u32,
    /// Marker PDUs received (IEEE 802.1AX-2014 clause 6.5), questions and answers.
    pub rx_marker_pdus: u32,
    /// Marker Response PDUs sent.
    pub tx_marker_responses: u32,
    /// LACPDUs of other systems received while the partner was current; ignored.
    pub rx_stranger_pdus: u32,
    /// Transitions from current to expired.
    pub link_expired: u32,
    /// Transitions from expired to defaulted.
    pub link_defaulted: u32,
    /// Changes of the carrier.
    pub carrier_changed: u32,
}
