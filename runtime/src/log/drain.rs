//! The slog drain: a record becomes lines for the destinations that its module's levels allow.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use slog::{Drain, KV, Never, OwnedKVList, Record};

use super::level::{Destination, Level};
use super::module::{self, Module};
use super::sink::{self, Lines};
use super::{control, pattern, syslog};

/// Messages of other code whose tag is no module's name.
pub(super) static OTHER: Module = Module::new("util");

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static ROOT: LazyLock<slog::Logger> = LazyLock::new(|| slog::Logger::root(Lined, slog::o!()));

thread_local! {
    /// Lines that this thread has logged.
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    /// Stands for the thread's name; see `set_subprogram`.
    static SUBPROGRAM: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A logger for code that knows slog only. The tag of a record is its module's name.
pub fn slog_root() -> &'static slog::Logger {
    &ROOT
}

/// Shows the calling thread as `module(name)`; an empty name as `module`. Threads with a name of
/// their own need no call.
pub fn set_subprogram(name: &str) {
    SUBPROGRAM.with_borrow_mut(|s| *s = Some(name.to_owned()));
}

fn with_thread_name<R>(f: impl FnOnce(&str) -> R) -> R {
    SUBPROGRAM.with_borrow(|s| match s {
        Some(name) => f(name),
        None => {
            let thread = std::thread::current();
            match thread.name() {
                None | Some("main") => f(""),
                Some(name) => f(name),
            }
        }
    })
}

/// Logs a message of one of our modules.
pub(super) fn log(module: &'static Module, level: Level, text: fmt::Arguments<'_>) {
    // The module is known by address, so it need not be registered, nor looked up.
    let location = slog::RecordLocation { file: "", line: 0, column: 0, function: "", module: "" };
    let meta =
        slog::RecordStatic { location: &location, tag: module.name(), level: level.to_slog() };
    let record = Record::new(&meta, &text, slog::BorrowedKV(&()));
    write(module, &record, None);
}

struct Lined;

impl Drain for Lined {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let module = module::find(record.tag()).unwrap_or(&OTHER);
        write(module, record, Some(values));
        Ok(())
    }
}

fn write(module: &'static Module, record: &Record<'_>, values: Option<&OwnedKVList>) {
    let level = Level::from_slog(record.level());
    let wants = |d| module.level(d) >= level && (d != Destination::File || sink::has_file());
    let [to_syslog, to_console, to_file] = Destination::ALL.map(wants);
    if !(to_syslog || to_console || to_file) {
        return;
    }
    let mut pairs = Pairs(String::new());
    let _ = record.kv().serialize(record, &mut pairs);
    if let Some(v) = values {
        let _ = v.serialize(record, &mut pairs);
    }
    let text = format!("{}{}", record.msg(), pairs.0);
    let text = posix::without_numbers(&text);
    let number = NUMBER.get().wrapping_add(1);
    NUMBER.set(number);
    let mut lines = Lines::default();
    with_thread_name(|thread| {
        let line = |d: Destination| {
            let mut out = String::with_capacity(160);
            let fields = pattern::Fields {
                program: sink::program(),
                facility: syslog::facility(),
                module: module.name(),
                level,
                thread,
                number,
                uptime_ms: u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX),
                wall: SystemTime::now(),
                text: format_args!("{text}"),
            };
            control::with_pattern(d, |p| pattern::format(p, &fields, &mut out));
            out
        };
        if to_console {
            lines.console = Some(line(Destination::Console) + "\n");
        }
        if to_syslog {
            lines.syslog = Some((level, line(Destination::Syslog)));
        }
        if to_file {
            lines.file = Some(line(Destination::File) + "\n");
        }
    });
    sink::submit(lines);
    if level == Level::Emer {
        sink::flush();
    }
}

/// Key-value pairs of a slog record, as `, key: value` after the text.
struct Pairs(String);

impl slog::Serializer for Pairs {
    fn emit_arguments(&mut self, key: slog::Key, val: &fmt::Arguments<'_>) -> slog::Result {
        use fmt::Write;
        write!(self.0, ", {key}: {val}")?;
        Ok(())
    }
}
