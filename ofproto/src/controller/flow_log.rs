//! How many flows a controller changes, for the log: not each one, but at most once in a while.

use std::time::Duration;

use openflow::msg::FlowModCommand;
use wire::Time;

/// A report comes this long after the first change, and not sooner than this after the last one.
const DELAY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct FlowLog {
    adds: u64,
    deletes: u64,
    modifications: u64,
    first: Time,
    last: Time,
    report: Option<Time>,
    not_before: Time,
}

impl FlowLog {
    pub(super) fn count(&mut self, now: Time, command: FlowModCommand) {
        match command {
            FlowModCommand::Add => self.adds += 1,
            FlowModCommand::Modify | FlowModCommand::ModifyStrict => self.modifications += 1,
            FlowModCommand::Delete | FlowModCommand::DeleteStrict => self.deletes += 1,
        }
        if self.report.is_none() {
            self.first = now;
            let at = (now + DELAY).max(self.not_before);
            self.report = Some(at);
            self.not_before = at + PAUSE;
        }
        self.last = now;
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.report
    }

    /// What to say of the changes so far, if there were any.
    pub(super) fn report(&mut self, now: Time) -> Option<String> {
        self.report = None;
        let total = self.adds + self.deletes + self.modifications;
        if total == 0 {
            return None;
        }
        let ago = now.since(self.first).as_secs();
        let interval = self.last.since(self.first).as_secs();
        let when = match (interval, ago) {
            (i, a) if i == a => format!("in the last {a} s"),
            (0, a) => format!("{a} s ago"),
            (i, a) => format!("in the {i} s starting {a} s ago"),
        };
        let parts =
            [(self.adds, "adds"), (self.deletes, "deletes"), (self.modifications, "modifications")];
        let parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        (self.adds, self.deletes, self.modifications) = (0, 0, 0);
        Some(format!("{total} flow_mods {when} ({})", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_mods_are_logged_in_batches() {
        let t = |s| Time::ZERO + Duration::from_secs(s);
        let mut log = FlowLog::default();
        log.count(t(100), FlowModCommand::Add);
        log.count(t(102), FlowModCommand::DeleteStrict);
        assert_eq!(log.deadline(), Some(t(110)));
        let text = "2 flow_mods in the 2 s starting 10 s ago (1 adds, 1 deletes)";
        assert_eq!(log.report(t(110)).as_deref(), Some(text));
        assert_eq!(log.report(t(110)), None);
        log.count(t(111), FlowModCommand::Modify);
        assert_eq!(log.deadline(), Some(t(170)));
        assert_eq!(
            log.report(t(111)).as_deref(),
            Some("1 flow_mods in the last 0 s (1 modifications)")
        );
    }
}
