//! Times in whole milliseconds, as Open vSwitch counts and prints them.

use std::time::Duration;

use wire::Time;

/// Whole milliseconds of `d`, rounded down.
pub(crate) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds from `now` to `until`, negative if `until` has passed. Both times are rounded down
/// to milliseconds before the subtraction, as Open vSwitch's millisecond clock does.
pub(crate) fn whole_ms(now: Time, until: Time) -> i64 {
    let ms = |t: Time| i64::try_from(t.as_millis()).unwrap_or(i64::MAX);
    ms(until) - ms(now)
}
