//! The logging macros. Written out one by one: a macro that is itself made by a macro cannot be
//! named by path inside its own crate.

/// Logs at a level given as the second argument.
#[macro_export]
macro_rules! log_at {
    ($module:expr, $level:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        let level = $level;
        if module.enabled(level) {
            module.write(level, format_args!($($arg)+));
        }
    }};
}

/// As [`log_at!`], at most as often as the limit (the second argument) allows.
#[macro_export]
macro_rules! log_at_rl {
    ($module:expr, $rl:expr, $level:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        let level = $level;
        if module.enabled(level) && !$rl.should_drop(module, level) {
            module.write(level, format_args!($($arg)+));
        }
    }};
}

/// The daemon cannot go on.
#[macro_export]
macro_rules! emer {
    ($module:expr, $($arg:tt)+) => {
        $crate::log_at!($module, $crate::log::Level::Emer, $($arg)+)
    };
}

/// The daemon cannot go on. Rate-limited.
#[macro_export]
macro_rules! emer_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {
        $crate::log_at_rl!($module, $rl, $crate::log::Level::Emer, $($arg)+)
    };
}

/// Something that was asked for could not be done.
#[macro_export]
macro_rules! err {
    ($module:expr, $($arg:tt)+) => {
        $crate::log_at!($module, $crate::log::Level::Err, $($arg)+)
    };
}

/// Something that was asked for could not be done. Rate-limited.
#[macro_export]
macro_rules! err_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {
        $crate::log_at_rl!($module, $rl, $crate::log::Level::Err, $($arg)+)
    };
}

/// Something is wrong, the daemon carries on.
#[macro_export]
macro_rules! warn {
    ($module:expr, $($arg:tt)+) => {
        $crate::log_at!($module, $crate::log::Level::Warn, $($arg)+)
    };
}

/// Something is wrong, the daemon carries on. Rate-limited.
#[macro_export]
macro_rules! warn_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {
        $crate::log_at_rl!($module, $rl, $crate::log::Level::Warn, $($arg)+)
    };
}

/// Something an operator may want to look back at.
#[macro_export]
macro_rules! info {
    ($module:expr, $($arg:tt)+) => {
        $crate::log_at!($module, $crate::log::Level::Info, $($arg)+)
    };
}

/// Something an operator may want to look back at. Rate-limited.
#[macro_export]
macro_rules! info_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {
        $crate::log_at_rl!($module, $rl, $crate::log::Level::Info, $($arg)+)
    };
}

/// For developers; off by default.
#[macro_export]
macro_rules! dbg {
    ($module:expr, $($arg:tt)+) => {
        $crate::log_at!($module, $crate::log::Level::Dbg, $($arg)+)
    };
}

/// For developers; off by default. Rate-limited.
#[macro_export]
macro_rules! dbg_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {
        $crate::log_at_rl!($module, $rl, $crate::log::Level::Dbg, $($arg)+)
    };
}
