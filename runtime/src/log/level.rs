//! Severities and destinations.

use std::fmt;

/// How grave a message is; `Off` only as a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing: a threshold only.
    Off = 0,
    /// The process ends, or cannot do its work.
    Emer = 1,
    /// Something failed that a user asked for.
    Err = 2,
    /// Something unexpected that does not keep the program from its work.
    Warn = 3,
    /// What an operator wants to see in normal operation.
    Info = 4,
    /// For finding faults.
    Dbg = 5,
}

impl Level {
    pub(super) const ALL: [Level; 6] =
        [Level::Off, Level::Emer, Level::Err, Level::Warn, Level::Info, Level::Dbg];

    /// Any case.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|l| l.name().eq_ignore_ascii_case(name))
    }

    /// `OFF`, `EMER`, `ERR`, `WARN`, `INFO` or `DBG`.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Off => "OFF",
            Level::Emer => "EMER",
            Level::Err => "ERR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Dbg => "DBG",
        }
    }

    pub(super) const fn from_u8(v: u8) -> Level {
        match v {
            0 => Level::Off,
            1 => Level::Emer,
            2 => Level::Err,
            3 => Level::Warn,
            4 => Level::Info,
            _ => Level::Dbg,
        }
    }

    /// The severity in syslog's numbers (RFC 5424 table 2).
    pub(super) const fn syslog(self) -> u8 {
        match self {
            Level::Off | Level::Emer => 1,
            Level::Err => 3,
            Level::Warn => 4,
            Level::Info => 5,
            Level::Dbg => 7,
        }
    }

    pub(super) const fn from_slog(l: slog::Level) -> Level {
        match l {
            slog::Level::Critical => Level::Emer,
            slog::Level::Error => Level::Err,
            slog::Level::Warning => Level::Warn,
            slog::Level::Info => Level::Info,
            slog::Level::Debug | slog::Level::Trace => Level::Dbg,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where lines go. The order is that of `vlog/list-pattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Destination {
    /// syslog(3), or where `--syslog-method` sends.
    Syslog = 0,
    /// Standard error.
    Console = 1,
    /// The file of `--log-file`.
    File = 2,
}

impl Destination {
    pub(super) const ALL: [Destination; 3] =
        [Destination::Syslog, Destination::Console, Destination::File];

    /// Any case.
    pub fn from_name(name: &str) -> Option<Destination> {
        Destination::ALL.into_iter().find(|d| d.name().eq_ignore_ascii_case(name))
    }

    /// `SYSLOG`, `CONSOLE` or `FILE`.
    pub const fn name(self) -> &'static str {
        match self {
            Destination::Syslog => "SYSLOG",
            Destination::Console => "CONSOLE",
            Destination::File => "FILE",
        }
    }
}
