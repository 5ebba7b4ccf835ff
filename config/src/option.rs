//! Options as data: one row for each key of a column.
//!
//! A row of a table says what the value looks like, its range, unit and default, what it does,
//! since when there is such an option, and where it goes in the configuration. Parsing
//! ([`crate::section`]), warnings, the known keys and the reference ([`crate::reference`]) follow
//! from it; from the reference, `docs/options.md`, `ovs-appctl options/list` and the completion of
//! `ovs-vsctl`.
//!
//! Source of keys, ranges and defaults: ovs-vswitchd.conf.db(5), and the running program where the
//! two differ.

use std::time::Duration;

use bond::Mode;
use wire::EthAddr;

/// [`Opt::since`] of an option that Open vSwitch has too, with the same meaning.
pub(crate) const OVS: &str = "Open vSwitch";

/// The largest time that an option takes, in milliseconds: 24 days, the range of 32 bits.
pub(crate) const MAX_MS: i64 = i32::MAX as i64;

/// What is used in place of a number that is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// The default.
    Default,
    /// The lower end of the range for a number below it, otherwise the default.
    Raise,
    /// The nearer end of the range.
    Clamp,
}

/// Accepted numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) default: i64,
    /// 0 is accepted too.
    pub(crate) zero: bool,
    pub(crate) outside: Outside,
    /// Unit; empty = none.
    pub(crate) unit: &'static str,
    /// What a special value or the order means, for example `0 = off`; empty = nothing.
    pub(crate) note: &'static str,
}

/// `min` to `max`.
pub(crate) const fn range(min: i64, max: i64, default: i64, unit: &'static str) -> Range {
    Range { min, max, default, zero: false, outside: Outside::Default, unit, note: "" }
}

impl Range {
    /// 0 is accepted too.
    pub(crate) const fn or_zero(self) -> Range {
        Range { zero: true, ..self }
    }

    pub(crate) const fn outside(self, outside: Outside) -> Range {
        Range { outside, ..self }
    }

    pub(crate) const fn note(self, note: &'static str) -> Range {
        Range { note, ..self }
    }

    /// For example `0 or 1000 to 2147483647 (ms, 0 = off)`.
    pub(crate) fn accepted(&self) -> String {
        let Range { min, max, unit, note, .. } = self;
        let zero = if self.zero { "0 or " } else { "" };
        let comma = if unit.is_empty() || note.is_empty() { "" } else { ", " };
        match (*unit, *note) {
            ("", "") => format!("{zero}{min} to {max}"),
            _ => format!("{zero}{min} to {max} ({unit}{comma}{note})"),
        }
    }
}

/// Why a text cannot be used, and what is done instead; the warning's advice.
pub(crate) type Refusal = String;

/// How a value is read, and where it goes.
pub(crate) enum Form<T> {
    /// `true` or `false`, in any case; `false` by default.
    Flag(fn(&mut T, bool)),
    /// A whole number, decimal or `0x` hexadecimal.
    Number(Range, fn(&mut T, i64)),
    /// One of these words, the first by default.
    Word { words: &'static [&'static str], any_case: bool, set: fn(&mut T, &'static str) },
    /// `xx:xx:xx:xx:xx:xx`; not called without one.
    Mac(fn(&mut T, EthAddr)),
    /// A text in the form that is named; not called without one.
    Text(&'static str, fn(&mut T, &str) -> Result<(), Refusal>),
}

/// One key of a column that is part of the configuration `T`.
pub(crate) struct Opt<T> {
    pub(crate) key: &'static str,
    /// What it does, as a phrase.
    pub(crate) about: &'static str,
    pub(crate) form: Form<T>,
    /// The bond modes in which it has an effect; empty = it does not depend on the mode.
    pub(crate) modes: &'static [Mode],
    /// [`OVS`], or the version of this program that was the first to have it. Every row says it.
    pub(crate) since: &'static str,
    /// Open vSwitch's warning about a bad value, from the row's name and the value.
    pub(crate) text: Option<fn(&str, &str) -> String>,
}

impl<T> Opt<T> {
    const fn new(key: &'static str, about: &'static str, form: Form<T>) -> Opt<T> {
        Opt { key, about, form, modes: &[], since: "", text: None }
    }

    pub(crate) const fn flag(
        key: &'static str,
        about: &'static str,
        set: fn(&mut T, bool),
    ) -> Opt<T> {
        Opt::new(key, about, Form::Flag(set))
    }

    pub(crate) const fn number(
        key: &'static str,
        about: &'static str,
        range: Range,
        set: fn(&mut T, i64),
    ) -> Opt<T> {
        Opt::new(key, about, Form::Number(range, set))
    }

    /// `words` are compared with their case.
    pub(crate) const fn word(
        key: &'static str,
        about: &'static str,
        words: &'static [&'static str],
        set: fn(&mut T, &'static str),
    ) -> Opt<T> {
        Opt::new(key, about, Form::Word { words, any_case: false, set })
    }

    /// `words` are compared without their case.
    pub(crate) const fn word_any_case(
        key: &'static str,
        about: &'static str,
        words: &'static [&'static str],
        set: fn(&mut T, &'static str),
    ) -> Opt<T> {
        Opt::new(key, about, Form::Word { words, any_case: true, set })
    }

    pub(crate) const fn mac(
        key: &'static str,
        about: &'static str,
        set: fn(&mut T, EthAddr),
    ) -> Opt<T> {
        Opt::new(key, about, Form::Mac(set))
    }

    /// `form` names the form of the text.
    pub(crate) const fn text(
        key: &'static str,
        about: &'static str,
        form: &'static str,
        set: fn(&mut T, &str) -> Result<(), Refusal>,
    ) -> Opt<T> {
        Opt::new(key, about, Form::Text(form, set))
    }

    /// It has an effect in these modes of a bond only.
    pub(crate) const fn modes(self, modes: &'static [Mode]) -> Opt<T> {
        let Opt { key, about, form, since, text, .. } = self;
        Opt { key, about, form, modes, since, text }
    }

    /// [`OVS`], or the version of this program that was the first to have it.
    pub(crate) const fn since(self, since: &'static str) -> Opt<T> {
        let Opt { key, about, form, modes, text, .. } = self;
        Opt { key, about, form, modes, since, text }
    }

    /// Open vSwitch's warning about a bad value.
    pub(crate) const fn warned_as(self, text: fn(&str, &str) -> String) -> Opt<T> {
        let Opt { key, about, form, modes, since, .. } = self;
        Opt { key, about, form, modes, since, text: Some(text) }
    }
}

/// The keys of a table.
pub(crate) fn keys<T>(table: &[Opt<T>]) -> Vec<&'static str> {
    table.iter().map(|o| o.key).collect()
}

/// Milliseconds of an option or column; a negative number is 0.
pub(crate) fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}

/// A whole number, decimal or `0x` hexadecimal.
pub(crate) fn parse_number(text: &str) -> Option<i64> {
    let t = text.trim();
    match t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => t.parse().ok(),
    }
}
