//! Messages of engines.

use bond::Notice;

use super::Thread;
use crate::log_limits::{LogLimits, summary};
use crate::modules::BOND;

impl Thread {
    pub(super) fn log(&mut self, port: &str, notice: &Notice) {
        let now = self.now();
        match self.ports.get_mut(port) {
            Some(found) => found.limits.log(now, port, notice),
            // The last words of a port that is gone.
            None => LogLimits::default().log(now, port, notice),
        }
    }

    /// Logs what holds where messages about it were dropped.
    pub(super) fn summarize(&mut self) {
        let now = self.now();
        for port in self.ports.values_mut() {
            if port.limits.take_summary(now)
                && let Some(view) = port.bond_view(now)
            {
                runtime::info!(BOND, "{}", summary(&view.status); "bond" => &view.status.name);
            }
        }
    }
}
