//! What is counted and logged of links.

use bond::Notice;
use netdev::link::LinkInfo;

use crate::log::{Level, RateLimit};
use crate::modules::{BOND, LACP};

/// How often the carrier has changed from one report to the next. The kernel reports ordinary
/// devices once a second at most, but counts every change.
pub(super) fn resets(before: &LinkInfo, now: &LinkInfo) -> u64 {
    let counted = now.carrier_changes.saturating_sub(before.carrier_changes);
    u64::from(counted).max(u64::from(before.carrier != now.carrier))
}

/// What packets from the network may write into the log: as monitors, 20 lines a minute.
static STRANGERS: RateLimit = RateLimit::new(20, 20);

pub(super) fn log(notice: &Notice) {
    let module = if notice.module == "lacp" { &LACP } else { &BOND };
    let level = match notice.level {
        bond::Level::Err => Level::Err,
        bond::Level::Warn => Level::Warn,
        bond::Level::Info => Level::Info,
        bond::Level::Dbg => Level::Dbg,
    };
    match notice.level {
        // A stranger's packets cause these.
        bond::Level::Err | bond::Level::Warn => {
            crate::log_at_rl!(module, STRANGERS, level, "{}", notice.text);
        }
        bond::Level::Info | bond::Level::Dbg => crate::log_at!(module, level, "{}", notice.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_the_carrier_counts() {
        let at =
            |carrier, carrier_changes| LinkInfo { carrier, carrier_changes, ..LinkInfo::default() };
        assert_eq!(resets(&at(true, 4), &at(true, 4)), 0);
        assert_eq!(resets(&at(true, 4), &at(false, 5)), 1);
        // A flap that the kernel told of once.
        assert_eq!(resets(&at(true, 4), &at(true, 6)), 2);
        // A driver that does not count.
        assert_eq!(resets(&at(true, 0), &at(false, 0)), 1);
        assert_eq!(resets(&at(true, 9), &at(true, 1)), 0);
    }
}
