//! The slog drain: a record becomes a line for each destination that its module's levels allow.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Instant, SystemTime};

use slog::{Drain, KV, Key, Never, OwnedKVList, Record, Serializer};

use super::level::{Destination, Level};
use super::module;
use super::pattern::Fields;
use super::sink::{self, Lines};
use super::{json, pattern, root, syslog};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static FORMAT: AtomicU8 = AtomicU8::new(Format::Text as u8);

thread_local! {
    /// Lines that this thread has logged.
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    /// Stands for the thread's name; see `set_subprogram`.
    static SUBPROGRAM: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// How lines for the console and the file are written. Lines for syslog are always text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// As the destination's pattern says (`vlog/list-pattern`).
    #[default]
    Text,
    /// A JSON object a line, with all key-value pairs.
    Json,
}

impl Format {
    /// `text` or `json`.
    pub fn from_name(name: &str) -> Option<Format> {
        match name {
            "text" => Some(Format::Text),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Sets the form of lines from now on.
pub fn set_format(format: Format) {
    FORMAT.store(format as u8, Ordering::Relaxed);
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

/// Finds the value of `module` among a logger's pairs.
#[derive(Default)]
struct ModuleName(Option<String>);

impl Serializer for ModuleName {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        if key == "module" {
            self.0 = Some(value.to_string());
        }
        Ok(())
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        if key == "module" {
            self.0 = Some(value.to_owned());
        }
        Ok(())
    }
}

/// Formats in the thread that logs, whose name and count the line shows.
pub(super) struct VlogDrain;

impl Drain for VlogDrain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let mut name = ModuleName::default();
        // The serializer has no error.
        let _ = values.serialize(record, &mut name);
        let Some(module) = module::of_record(name.0.as_deref()) else { return Ok(()) };
        let level = Level::from_slog(record.level());
        let wants = |d| module.level(d) >= level && (d != Destination::File || module::file_open());
        let [to_syslog, to_console, to_file] = Destination::ALL.map(wants);
        if !(to_syslog || to_console || to_file) {
            return Ok(());
        }
        let text = record.msg().to_string();
        let text = posix::without_numbers(&text);
        let number = NUMBER.get().wrapping_add(1);
        NUMBER.set(number);
        let json = FORMAT.load(Ordering::Relaxed) == Format::Json as u8;
        let mut lines = Lines::default();
        with_thread_name(|thread| {
            let fields = Fields {
                program: root::program(),
                facility: syslog::facility(),
                module: name.0.as_deref().unwrap_or(module.name()),
                level,
                thread,
                number,
                uptime_ms: u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX),
                wall: SystemTime::now(),
                text: format_args!("{text}"),
            };
            let line = |d: Destination| {
                let mut out = String::with_capacity(160);
                if json && d != Destination::Syslog {
                    json::format(&fields, &text, record, values, &mut out);
                } else {
                    pattern::with(d, |p| pattern::format(p, &fields, &mut out));
                }
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
        Ok(())
    }
}
