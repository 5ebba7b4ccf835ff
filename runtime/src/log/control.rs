//! `-v` and the `vlog/*` commands.

use std::fmt::Write;

use super::level::{Destination, Level};
use super::module::{self, Module, VLOG};
use super::{pattern, sink, syslog};
use crate::unixctl::{Commands, Reply};

/// Sets the level of one module, or all, for one destination, or all.
pub(super) fn set_levels(module: Option<&Module>, to: Option<Destination>, level: Level) {
    match module {
        Some(m) => m.set_level(to, level),
        None => module::all().into_iter().for_each(|m| m.set_level(to, level)),
    }
}

/// `-v` without a value, `vlog/set` without arguments: everything to `DBG`.
pub fn set_all() {
    set_levels(None, None, Level::Dbg);
}

/// `-vSPEC`, `vlog/set SPEC`: words separated by space, comma or colon, at most one module, one
/// destination and one level (`DBG` if none), or `PATTERN:DESTINATION:PATTERN`, or
/// `FACILITY:NAME`. The error is upstream's text.
pub fn set_from_spec(spec: &str) -> Result<(), String> {
    const SEPARATORS: [char; 4] = [' ', ',', ':', '\t'];
    let next = |s: &str| -> Option<(String, String)> {
        let s = s.trim_start_matches(SEPARATORS);
        if s.is_empty() {
            return None;
        }
        let (word, rest) = s.split_once(SEPARATORS).unwrap_or((s, ""));
        Some((word.to_owned(), rest.to_owned()))
    };
    let is_any = |w: &str| w.eq_ignore_ascii_case("any");
    match next(spec) {
        Some((word, rest)) if word.eq_ignore_ascii_case("pattern") => {
            let (word, text) = next(&rest).ok_or("missing destination")?;
            let to = if is_any(&word) {
                None
            } else {
                let d = Destination::from_name(&word);
                Some(d.ok_or_else(|| format!("unknown destination \"{word}\""))?)
            };
            for d in Destination::ALL {
                if to.is_none_or(|t| t == d) {
                    pattern::set(d, text.clone());
                }
            }
            return Ok(());
        }
        Some((word, rest)) if word.eq_ignore_ascii_case("facility") => {
            return if syslog::set_facility(&rest) {
                Ok(())
            } else {
                Err("invalid facility".into())
            };
        }
        _ => {}
    }
    let (mut to, mut level, mut module) = (None, None, None);
    let mut rest = spec.to_owned();
    while let Some((word, after)) = next(&rest) {
        rest = after;
        if is_any(&word) {
            continue;
        }
        if let Some(d) = Destination::from_name(&word) {
            once(&mut to, d, "destinations")?;
        } else if let Some(l) = Level::from_name(&word) {
            once(&mut level, l, "levels")?;
        } else if let Some(m) = module::find(&word) {
            once(&mut module, m, "modules")?;
        } else {
            return Err(format!("no destination, level, or module \"{word}\""));
        }
    }
    set_levels(module, to, level.unwrap_or(Level::Dbg));
    Ok(())
}

fn once<T>(slot: &mut Option<T>, value: T, what: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("cannot specify multiple {what}")),
    }
}

/// The text of `vlog/list`.
pub fn levels() -> String {
    let mut s = String::from(
        "                 console    syslog    file\n                 -------    ------    ------\n",
    );
    for m in module::all() {
        let [console, syslog, file] =
            [Destination::Console, Destination::Syslog, Destination::File].map(|d| m.level(d));
        let limited = if m.honors_rate_limits() { "" } else { "    (rate limiting disabled)" };
        let _ = writeln!(
            s,
            "{:<16}  {console:>4}       {syslog:>4}       {file:>4}{limited}",
            m.name()
        );
    }
    s
}

/// The text of `vlog/list-pattern`.
pub fn patterns() -> String {
    let mut s = String::from(
        "         prefix                            format\n         ------                            ------\n",
    );
    for d in Destination::ALL {
        let prefix = if d == Destination::Syslog { sink::syslog_prefix() } else { "none" };
        let _ = pattern::with(d, |p| writeln!(s, "{:<7}  {prefix:<32}  {p}", d.name()));
    }
    s
}

/// `vlog/enable-rate-limit`, `vlog/disable-rate-limit`: for the modules named, or all. Stops at
/// the first unknown name.
pub fn set_rate_limits(names: &[String], honor: bool) -> Result<(), &'static str> {
    let all = || module::all().into_iter().for_each(|m| m.set_honor_rate_limits(honor));
    if names.is_empty() {
        all();
    }
    for n in names {
        if n.eq_ignore_ascii_case("any") {
            all();
        } else {
            module::find(n).ok_or("unknown module")?.set_honor_rate_limits(honor);
        }
    }
    Ok(())
}

/// Why `vlog/reopen` failed; upstream's text.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// There is no `--log-file`.
    #[error("Logging to file not configured")]
    NoFile,
    /// The file cannot be opened; the system's text.
    #[error("{0}")]
    Open(String),
}

fn reopen() -> Result<(), ReopenError> {
    match sink::reopen_file() {
        None => Err(ReopenError::NoFile),
        Some(Err(e)) => Err(ReopenError::Open(posix::text(&e))),
        Some(Ok(())) => Ok(()),
    }
}

fn reply<E: std::fmt::Display>(result: Result<(), E>) -> Reply {
    match result {
        Ok(()) => Reply::Text(String::new()),
        Err(e) => Reply::Error(e.to_string()),
    }
}

/// Registers the `vlog/*` commands.
pub fn commands<C>(to: &mut Commands<C>) {
    const MANY: usize = usize::MAX;
    to.register("vlog/set", "{spec | PATTERN:destination:pattern}", 0, MANY, |_, req| {
        if req.args.is_empty() {
            set_all();
        }
        reply(req.args.iter().try_for_each(|spec| set_from_spec(spec)))
    });
    to.register("vlog/list", "", 0, 0, |_, _| Reply::Text(levels()));
    to.register("vlog/list-pattern", "", 0, 0, |_, _| Reply::Text(patterns()));
    to.register("vlog/enable-rate-limit", "[module]...", 0, MANY, |_, req| {
        reply(set_rate_limits(req.args, true))
    });
    to.register("vlog/disable-rate-limit", "[module]...", 0, MANY, |_, req| {
        reply(set_rate_limits(req.args, false))
    });
    to.register("vlog/reopen", "", 0, 0, |_, _| reply(reopen()));
    to.register("vlog/close", "", 0, 0, |_, _| {
        sink::close_file();
        Reply::Text(String::new())
    });
    to.register_hidden("vlog/message", 1, 1, |_, req| {
        crate::info!(VLOG, "user-message: {}", req.args[0]);
        Reply::Text(String::new())
    });
}
