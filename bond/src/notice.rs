//! What the engine has to say, typed; the driver logs it.

use serde::Serialize;

/// How loud a notice is, as Open vSwitch's log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Err,
    Warn,
    Info,
    Dbg,
}

/// The log module that a notice belongs to (`bond` or `lacp`), its level and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub module: &'static str,
    pub level: Level,
    pub text: String,
}
