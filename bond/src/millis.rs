//! Remaining times as Open vSwitch prints them.

use wire::Time;

/// Milliseconds from `now` to `until`, negative if `until` has passed. Both times are rounded down
/// to milliseconds before the subtraction, as Open vSwitch's millisecond clock does.
pub(crate) fn whole_ms(now: Time, until: Time) -> i64 {
    let ms = |t: Time| i64::try_from(t.as_millis()).unwrap_or(i64::MAX);
    ms(until) - ms(now)
}
