//! What every daemon's `main` does around its own loop.

use std::env::ArgsOs;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use crate::cli::{Dirs, Parsed, UsageError};
use crate::daemon::{Signal, Signals};
use crate::log::{self, Level, Module};
use crate::log_at;

/// How a daemon ends: by this signal, if one asked for it, or with an error.
pub type End = Result<Option<i32>, Box<dyn Error>>;

/// A daemon.
pub struct Program<O> {
    /// What it is called in logs, pidfiles and control sockets.
    pub name: &'static str,
    /// Where it logs what ends it.
    pub log: &'static Module,
    /// Registers the modules that log.
    pub modules: fn(),
    /// Reads the command line.
    pub parse: fn(ArgsOs, &Dirs) -> Result<Parsed<O>, UsageError>,
    /// Runs until asked to stop.
    pub run: fn(&O, &Dirs) -> End,
}

impl<O> Program<O> {
    /// The whole of `main`.
    pub fn main(self) -> ExitCode {
        log::init(self.name);
        (self.modules)();
        crate::panic::install_hook();
        let dirs = Dirs::from_env();
        let options = match (self.parse)(std::env::args_os(), &dirs) {
            Ok(Parsed::Run(options)) => options,
            Ok(Parsed::Print(text)) => {
                // A reader that has gone wants no more.
                let _ = std::io::stdout().write_all(text.as_bytes());
                return ExitCode::SUCCESS;
            }
            Err(error) => return self.fail(&error),
        };
        match (self.run)(&options, &dirs) {
            Ok(None) => ExitCode::SUCCESS,
            Ok(Some(signal)) => Signals::die_of(signal),
            Err(error) => self.fail(&*error),
        }
    }

    /// What upstream does with a fatal error: a line to the terminal behind what was logged before,
    /// and status 1. The log's other destinations get it too.
    fn fail(&self, error: &dyn std::fmt::Display) -> ExitCode {
        let error = posix::text(error);
        log::flush();
        // Without a terminal the log has it.
        let _ = writeln!(std::io::stderr(), "{}: {error}", self.name);
        log::console_off();
        log_at!(*self.log, Level::Emer, "{error}");
        log::flush();
        ExitCode::FAILURE
    }
}

/// The signal to stop by, if one came. The log file is opened again where a signal asks for that.
pub fn take_signals(signals: &mut Signals, log: &'static Module) -> Option<i32> {
    let mut killed = None;
    for signal in signals.take() {
        match signal {
            Signal::Exit(number) => killed = Some(number),
            Signal::ReopenLog => {
                if let Some(Err(error)) = log::reopen_file() {
                    crate::err!(*log, "cannot reopen the log file ({error})");
                }
            }
        }
    }
    killed
}
