//! Logging, in the shape and with the controls of Open vSwitch's `vlog`.
//!
//! ```no_run
//! use runtime::log::{self, Module, RateLimit};
//!
//! static LOG: Module = Module::new("bond");
//! static RL: RateLimit = RateLimit::new(5, 1); // 5 a minute, bursts of 1.
//!
//! log::register(&[&LOG]); // Early in main, so that `vlog/list` and `-v` know the name.
//! let (name, why) = ("bond0", "carrier lost");
//! runtime::info!(LOG, "{name}: link state down"; "bond" => name);
//! runtime::warn_rl!(LOG, RL, "{name}: {why}");
//! ```
//!
//! What follows the semicolon are `slog`'s key-value pairs. `--log-format=json` shows them; the
//! text for people names what it is about by itself.
//!
//! Macros: `emer!`, `err!`, `warn!`, `info!`, `dbg!`, and with `_rl` the rate-limited ones. A
//! disabled message costs one relaxed load; its arguments are not evaluated. Any thread may log;
//! the line shows the thread's name as `module(thread)`, except the main thread's, and a number
//! that counts the thread's own lines.
//!
//! ```text
//! caller --slog record--> VlogDrain: format --bounded queue--> writer thread --> file, console, syslog
//! ```
//!
//! Until [`start_writer`] (which must come after the last fork) lines are written at once. From
//! then on a caller never waits for a disk: when the queue is full the line is dropped and counted,
//! and the writer logs the number of dropped lines when there is room again. [`flush`] waits for
//! the queue; `EMER` messages and panics do so by themselves.
//!
//! Every [`Module`] has a `slog` logger, a child of [`root`]. Code that knows `slog` only logs
//! through a child of its own with the pair `module`.

mod control;
mod drain;
mod json;
mod level;
mod limit;
mod macros;
mod module;
mod pattern;
mod root;
mod sink;
mod syslog;

pub use control::{
    ReopenError, commands, levels, patterns, set_all, set_from_spec, set_rate_limits,
};
pub use drain::{Format, set_format, set_subprogram};
pub use level::{Destination, Level};
pub use limit::RateLimit;
pub use module::{Module, register};
pub use root::{program, root};
pub use sink::{
    change_owner, close_file, dropped, file_name, flush, reopen_file, set_file, set_syslog_method,
    set_syslog_target, start_writer,
};
#[doc(hidden)]
pub use slog;
pub use syslog::SyslogError;

/// Turns the console destination off for all modules (after `--detach`).
pub fn console_off() {
    control::set_levels(None, Some(Destination::Console), Level::Off);
}

/// Names the program, as lines for syslog show it, and connects the loggers. The first call of a
/// program; what is logged before is lost.
pub fn init(program: &str) {
    root::set(program, slog::Logger::root(drain::VlogDrain, slog::o!()));
    register(&[&module::VLOG, &module::OTHER]);
}
