//! The logging macros: `slog`'s behind a look at the module's level. Key-value pairs follow a
//! semicolon. Written out one by one: a macro that is itself made by a macro cannot be named by
//! path inside its own crate.

/// Logs at a level given as the second argument.
#[macro_export]
macro_rules! log_at {
    ($module:expr, $level:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        let level: $crate::log::Level = $level;
        if module.enabled(level) {
            $crate::log_record!(module, level, $($arg)+);
        }
    }};
}

/// As [`log_at!`], at most as often as the limit (the second argument) allows.
#[macro_export]
macro_rules! log_at_rl {
    ($module:expr, $rl:expr, $level:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        let level: $crate::log::Level = $level;
        if module.enabled(level) && !$rl.should_drop(module, level) {
            $crate::log_record!(module, level, $($arg)+);
        }
    }};
}

/// Logs without a look at the level. A record's level is a constant where it is logged, so that a
/// level known at run time chooses between five records.
#[doc(hidden)]
#[macro_export]
macro_rules! log_record {
    ($module:expr, $level:expr, $($arg:tt)+) => {
        match $level {
            $crate::log::Level::Off => {}
            $crate::log::Level::Emer => $crate::log::slog::crit!($module.logger(), $($arg)+),
            $crate::log::Level::Err => $crate::log::slog::error!($module.logger(), $($arg)+),
            $crate::log::Level::Warn => $crate::log::slog::warn!($module.logger(), $($arg)+),
            $crate::log::Level::Info => $crate::log::slog::info!($module.logger(), $($arg)+),
            $crate::log::Level::Dbg => $crate::log::slog::debug!($module.logger(), $($arg)+),
        }
    };
}

/// The daemon cannot go on.
#[macro_export]
macro_rules! emer {
    ($module:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Emer) {
            $crate::log::slog::crit!(module.logger(), $($arg)+);
        }
    }};
}

/// The daemon cannot go on. Rate-limited.
#[macro_export]
macro_rules! emer_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Emer)
            && !$rl.should_drop(module, $crate::log::Level::Emer)
        {
            $crate::log::slog::crit!(module.logger(), $($arg)+);
        }
    }};
}

/// Something that was asked for could not be done.
#[macro_export]
macro_rules! err {
    ($module:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Err) {
            $crate::log::slog::error!(module.logger(), $($arg)+);
        }
    }};
}

/// Something that was asked for could not be done. Rate-limited.
#[macro_export]
macro_rules! err_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Err)
            && !$rl.should_drop(module, $crate::log::Level::Err)
        {
            $crate::log::slog::error!(module.logger(), $($arg)+);
        }
    }};
}

/// Something is wrong, the daemon carries on.
#[macro_export]
macro_rules! warn {
    ($module:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Warn) {
            $crate::log::slog::warn!(module.logger(), $($arg)+);
        }
    }};
}

/// Something is wrong, the daemon carries on. Rate-limited.
#[macro_export]
macro_rules! warn_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Warn)
            && !$rl.should_drop(module, $crate::log::Level::Warn)
        {
            $crate::log::slog::warn!(module.logger(), $($arg)+);
        }
    }};
}

/// Something an operator may want to look back at.
#[macro_export]
macro_rules! info {
    ($module:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Info) {
            $crate::log::slog::info!(module.logger(), $($arg)+);
        }
    }};
}

/// Something an operator may want to look back at. Rate-limited.
#[macro_export]
macro_rules! info_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Info)
            && !$rl.should_drop(module, $crate::log::Level::Info)
        {
            $crate::log::slog::info!(module.logger(), $($arg)+);
        }
    }};
}

/// For developers; off by default.
#[macro_export]
macro_rules! dbg {
    ($module:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Dbg) {
            $crate::log::slog::debug!(module.logger(), $($arg)+);
        }
    }};
}

/// For developers; off by default. Rate-limited.
#[macro_export]
macro_rules! dbg_rl {
    ($module:expr, $rl:expr, $($arg:tt)+) => {{
        let module: &'static $crate::log::Module = &$module;
        if module.enabled($crate::log::Level::Dbg)
            && !$rl.should_drop(module, $crate::log::Level::Dbg)
        {
            $crate::log::slog::debug!(module.logger(), $($arg)+);
        }
    }};
}
