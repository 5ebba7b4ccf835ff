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
//! runtime::info!(LOG, "{name}: link state down");
//! runtime::warn_rl!(LOG, RL, "{name}: {why}");
//! ```
//!
//! Macros: `emer!`, `err!`, `warn!`, `info!`, `dbg!`, and with `_rl` the rate-limited ones. A
//! disabled message costs one relaxed load; its arguments are not evaluated. Any thread may log;
//! the line shows the thread's name as `module(thread)`, except the main thread's, and a number
//! that counts the thread's own lines.
//!
//! ```text
//! caller --slog record--> Drain: format --bounded queue--> writer thread --> file, console, syslog
//! ```
//!
//! Until [`start_writer`] (which must come after the last fork) lines are written at once. From
//! then on a caller never waits for a disk: when the queue is full the line is dropped and the
//! number of lost ones logged. [`flush`] waits for the queue; `EMER` messages and panics do so by
//! themselves.
//!
//! Other code may log through [`slog_root`]: the record's tag is the module's name.

mod control;
mod drain;
mod level;
mod limit;
mod macros;
mod module;
mod pattern;
mod sink;
mod syslog;

pub use control::{
    ReopenError, commands, levels, patterns, set_all, set_from_spec, set_rate_limits,
};
pub use drain::{set_subprogram, slog_root};
pub use level::{Destination, Level};
pub use limit::RateLimit;
pub use module::{Module, register};
pub use sink::{
    change_owner, close_file, dropped, file_name, flush, init, program, reopen_file, set_file,
    set_syslog_method, set_syslog_target, start_writer,
};
pub use syslog::SyslogError;

/// Turns the console destination off for all modules (after `--detach`).
pub fn console_off() {
    control::set_levels(None, Some(Destination::Console), Level::Off);
}
