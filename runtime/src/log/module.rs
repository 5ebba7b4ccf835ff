//! Modules: the names that messages carry and levels are set for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::RwLock;
use slog::{Logger, o};

use super::level::{Destination, Level};
use super::root;

/// Everything registered, sorted by name.
static MODULES: RwLock<Vec<&'static Module>> = RwLock::new(Vec::new());

/// Whether a log file is open. Without one the file's levels do not count.
static FILE_OPEN: AtomicBool = AtomicBool::new(false);

/// The module of what the log says about itself.
pub(super) static VLOG: Module = Module::new("vlog");

/// The module of messages that name none, or one that is not registered.
pub(super) static OTHER: Module = Module::new("util");

/// A source of messages; a `static` in the code that logs.
pub struct Module {
    name: &'static str,
    /// By `Destination`.
    levels: [AtomicU8; 3],
    /// The most verbose level that goes anywhere.
    threshold: AtomicU8,
    honor_rate_limits: AtomicBool,
    logger: OnceLock<Logger>,
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
            logger: OnceLock::new(),
        }
    }

    /// The name in `vlog/list` and in log lines.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// False if a message of this level would go nowhere.
    #[inline]
    pub fn enabled(&self, level: Level) -> bool {
        self.threshold.load(Ordering::Relaxed) >= level as u8
    }

    /// The module's logger: a child of [`root`](super::root()) with the pair `module`. The macros
    /// ask [`Module::enabled`] first.
    #[cold]
    pub fn logger(&self) -> &Logger {
        if root::is_set() {
            self.logger.get_or_init(|| root::root().new(o!("module" => self.name)))
        } else {
            root::root()
        }
    }

    /// The most verbose level that goes to this destination.
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
            if d != Destination::File || file_open() {
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
    let mut all = MODULES.write();
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
    MODULES.read().clone()
}

/// The module of that name (any case).
pub(super) fn find(name: &str) -> Option<&'static Module> {
    MODULES.read().iter().find(|m| m.name.eq_ignore_ascii_case(name)).copied()
}

/// The module of exactly this name, or the one registered as `util`, for messages of other code.
pub(super) fn of_record(name: Option<&str>) -> Option<&'static Module> {
    let all = MODULES.read();
    let at = |name: &str| all.binary_search_by(|m| m.name.cmp(name)).ok().map(|at| all[at]);
    name.and_then(at).or_else(|| at(OTHER.name))
}

pub(super) fn file_open() -> bool {
    FILE_OPEN.load(Ordering::Relaxed)
}

/// Says whether a log file is open.
pub(super) fn set_file_open(open: bool) {
    FILE_OPEN.store(open, Ordering::Relaxed);
    all().into_iter().for_each(Module::update_threshold);
}
