//! The root of all loggers.

use std::sync::{LazyLock, OnceLock};

use slog::{Logger, o};

/// The program's name and the logger of which those of the modules are children.
static ROOT: OnceLock<(String, Logger)> = OnceLock::new();
/// Takes what is logged before [`set`].
static DISCARD: LazyLock<Logger> = LazyLock::new(|| Logger::root(slog::Discard, o!()));

/// Names the program and sets the root. Only the first call counts.
pub(super) fn set(program: &str, root: Logger) {
    let _ = ROOT.set((program.to_owned(), root));
}

/// The root logger, for code that knows slog only. A record belongs to the module that its key
/// `module` names. Before [`init`](super::init) it discards.
pub fn root() -> &'static Logger {
    ROOT.get().map_or(&*DISCARD, |(_, root)| root)
}

/// Whether [`set`] was called.
pub(super) fn is_set() -> bool {
    ROOT.get().is_some()
}

/// The name that [`init`](super::init) was given.
pub fn program() -> &'static str {
    ROOT.get().map_or("braid", |(program, _)| program)
}
