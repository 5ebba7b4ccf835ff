//! Modules: the names that messages carry and levels are set for.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;

use super::drain;
use super::level::{Destination, Level};
use super::sink;

/// Everything registered, sorted by name.
static MODULES: Mutex<Vec<&'static Module>> = Mutex::new(Vec::new());

/// A source of messages; a `static` in the code that logs.
pub struct Module {
    name: &'static str,
    /// By `Destination`.
    levels: [AtomicU8; 3],
    /// The most verbose level that goes anywhere.
    threshold: AtomicU8,
    honor_rate_limits: AtomicBool,
}

impl Module {
    /// A module that logs `INFO` and above everywhere.
    pub const fn new(name: &'static str) -> Module {
        const INFO: u8 = Level::Info as u8;
        Module {
            name,
            levels: [AtomicU8::new(INFO), AtomicU8::new(INFO), AtomicU8::new(INFO)],
            threshold: AtomicU8::new(INFO),
            honor_rate_limits: AtomicBool::new(true),
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// False if a message of this level would go nowhere.
    #[inline]
    pub fn enabled(&self, level: Level) -> bool {
        self.threshold.load(Ordering::Relaxed) >= level as u8
    }

    /// Logs. The macros ask [`Module::enabled`] first.
    #[cold]
    pub fn write(&'static self, level: Level, text: fmt::Arguments<'_>) {
        drain::log(self, level, text);
    }

    pub fn level(&self, to: Destination) -> Level {
        Level::from_u8(self.levels[to as usize].load(Ordering::Relaxed))
    }

    pub(super) fn set_level(&self, to: Option<Destination>, level: Level) {
        for d in Destination::ALL {
            if to.is_none_or(|t| t == d) {
                self.levels[d as usize].store(level as u8, Ordering::Relaxed);
            }
        }
        self.update_threshold();
    }

    pub(super) fn update_threshold(&self) {
        let mut max = Level::Off;
        for d in Destination::ALL {
            if d != Destination::File || sink::has_file() {
                max = max.max(self.level(d));
            }
        }
        self.threshold.store(max as u8, Ordering::Relaxed);
    }

    pub(super) fn honors_rate_limits(&self) -> bool {
        self.honor_rate_limits.load(Ordering::Relaxed)
    }

    pub(super) fn set_honor_rate_limits(&self, honor: bool) {
        self.honor_rate_limits.store(honor, Ordering::Relaxed);
    }
}

/// Makes modules known by name to `-v`, `vlog/set` and `vlog/list`. A second registration of a
/// module does nothing.
pub fn register(modules: &[&'static Module]) {
    let mut all = MODULES.lock();
    for &m in modules {
        if !all.iter().any(|k| std::ptr::eq(*k, m)) {
            let at = all.partition_point(|k| k.name <= m.name);
            all.insert(at, m);
            m.update_threshold();
        }
    }
}

/// All modules, by name.
pub(super) fn all() -> Vec<&'static Module> {
    MODULES.lock().clone()
}

/// The module of that name (any case).
pub(super) fn find(name: &str) -> Option<&'static Module> {
    MODULES.lock().iter().find(|m| m.name.eq_ignore_ascii_case(name)).copied()
}
