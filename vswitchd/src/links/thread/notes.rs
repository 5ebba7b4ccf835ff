//! What engines have to say for the log.

use bond::Notice;

use crate::log::{Level, RateLimit};
use crate::modules::{BOND, LACP};

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
