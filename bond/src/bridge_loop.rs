//! A bridging loop between two ports of the same bridge.
//!
//! Two bonds that lead to the same network form a loop: a broadcast that one sends is received by
//! the other and flooded back, without end. `bond-loop-protect` holds one of them down.

use std::time::Duration;

use wire::Time;

/// How long a loop is remembered after its last detection. While the bond is held down, no packet
/// can show whether the loop still exists. After this time the bond is enabled again; its first
/// broadcast shows a remaining loop at once.
pub(crate) const HOLD: Duration = Duration::from_secs(300);

/// A detected loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BridgeLoop {
    /// Name of the other port.
    pub(crate) with: String,
    /// When the loop is forgotten unless it is detected again.
    pub(crate) until: Time,
}
