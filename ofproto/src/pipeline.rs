//! The tables that a packet goes through in one bridge.
//!
//! Today a bridge has one rule in table 0 while it stands alone, `priority=0,actions=NORMAL`, and
//! none when it must wait for a controller. OpenFlow's tables take this place.

use crate::config::FailMode;
use crate::snapshot::Bridge;

/// What the rule that matched says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Normal,
    /// No rule: drop.
    Miss,
}

/// Looks the packet up in table 0.
pub(crate) fn lookup(bridge: &Bridge) -> Verdict {
    match bridge.fail_mode {
        FailMode::Standalone => Verdict::Normal,
        FailMode::Secure => Verdict::Miss,
    }
}
