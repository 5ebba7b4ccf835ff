//! How often messages about a port are logged.

use std::time::Duration;

use bond::{BondStatus, Notice, Topic};
use wire::Time;

use crate::modules::{BOND, LACP};
use runtime::log::{Level, RateLimit};

/// Between a message about a member that was dropped and the line that says what holds.
const SUMMARY: Duration = Duration::from_secs(12);

/// How often each topic of one port may be logged. The rates are those of Open vSwitch, where all
/// bonds share them and `enabled` and `disabled` have none.
///
/// A message that is dropped may be the last one about a member. So that the log does not end with
/// what is not true any more, a line with the state of all members follows.
pub(crate) struct LogLimits {
    link: RateLimit,
    member: RateLimit,
    active: RateLimit,
    probe: RateLimit,
    pdu: RateLimit,
    stranger: RateLimit,
    loopback: RateLimit,
    /// When the state of all members is to be logged, because messages about it were dropped.
    summary: Option<Time>,
}

impl Default for LogLimits {
    fn default() -> LogLimits {
        LogLimits {
            link: RateLimit::new(5, 20),
            member: RateLimit::new(5, 20),
            active: RateLimit::new(5, 20),
            probe: RateLimit::new(5, 20),
            pdu: RateLimit::new(1, 5),
            stranger: RateLimit::new(1, 5),
            loopback: RateLimit::new(1, 10),
            summary: None,
        }
    }
}

impl LogLimits {
    /// Logs what an engine of `port` reports, unless its topic was logged too often.
    pub(crate) fn log(&mut self, now: Time, port: &str, notice: &Notice) {
        let module = if notice.module == "lacp" { &LACP } else { &BOND };
        let level = match notice.level {
            bond::Level::Err => Level::Err,
            bond::Level::Warn => Level::Warn,
            bond::Level::Info => Level::Info,
            bond::Level::Dbg => Level::Dbg,
        };
        let (limit, state) = match notice.topic {
            Topic::Link => (Some(&self.link), true),
            Topic::Member => (Some(&self.member), true),
            Topic::Active => (Some(&self.active), true),
            Topic::Probe => (Some(&self.probe), true),
            Topic::Pdu => (Some(&self.pdu), false),
            Topic::OtherSystem => (Some(&self.stranger), false),
            Topic::Loopback => (Some(&self.loopback), false),
            // Once in a rebalancing interval at most; sessions are logged where they run.
            Topic::Rebalance | Topic::Monitor => (None, false),
        };
        if !module.enabled(level) {
            return;
        }
        if limit.is_some_and(|l| l.should_drop(module, level)) {
            if state {
                self.summary.get_or_insert(now + SUMMARY);
            }
            return;
        }
        match &notice.member {
            Some(member) => runtime::log_at!(
                *module, level, "{}", notice.text; "bond" => port, "member" => member
            ),
            None => runtime::log_at!(*module, level, "{}", notice.text; "bond" => port),
        }
    }

    /// When the state of all members is to be logged.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.summary
    }

    /// Whether the state of all members is to be logged now.
    pub(crate) fn take_summary(&mut self, now: Time) -> bool {
        self.summary.take_if(|t| *t <= now).is_some()
    }
}

/// One line with the state of all members.
pub(crate) fn summary(status: &BondStatus) -> String {
    let state = |enabled| if enabled { "enabled" } else { "disabled" };
    let members: Vec<String> =
        status.members.iter().map(|m| format!("{} {}", m.name, state(m.enabled))).collect();
    let active = status.members.iter().find(|m| m.active).map_or("none", |m| &m.name);
    format!(
        "bond {}: messages were dropped; now the active member is {active}, members: {}",
        status.name,
        members.join(", ")
    )
}
