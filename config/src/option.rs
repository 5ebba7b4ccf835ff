//! Options as data: one row for each key of a column.
//!
//! A row of a table says what the value looks like, its range, unit and default, what it does, and
//! where it goes in the configuration. Parsing ([`crate::section`]), warnings, the known keys and
//! the reference ([`crate::reference`]) follow from it.
//!
//! Source of keys, ranges and defaults: ovs-vswitchd.conf.db(5), and the running program where the
//! two differ.

use std::time::Duration;

use bond::Mode;
use wire::EthAddr;

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
    /// Unit, and what a special value means; empty = none.
    pub(crate) unit: &'static str,
}

/// `min` to `max`.
pub(crate) const fn range(min: i64, max: i64, default: i64, unit: &'static str) -> Range {
    Range { min, max, default, zero: false, outside: Outside::Default, unit }
}

impl Range {
    /// 0 is accepted too.
    pub(crate) const fn or_zero(self) -> Range {
        Range { zero: true, ..self }
    }

    pub(crate) const fn outside(self, outside: Outside) -> Range {
        Range { outside, ..self }
    }

    /// For example `0 or 1000 to 2147483647`.
    pub(crate) fn accepted(&self) -> String {
        let Range { min, max, .. } = self;
        if self.zero { format!("0 or {min} to {max}") } else { format!("{min} to {max}") }
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
    /// Open vSwitch's warning about a bad value, from the row's name and the value.
    pub(crate) text: Option<fn(&str, &str) -> String>,
}

impl<T> Opt<T> {
    const fn new(key: &'static str, about: &'static str, form: Form<T>) -> Opt<T> {
        Opt { key, about, form, modes: &[], text: None }
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
        Opt { key: self.key, about: self.about, form: self.form, modes, text: self.text }
    }

    /// Open vSwitch's warning about a bad value.
    pub(crate) const fn warned_as(self, text: fn(&str, &str) -> String) -> Opt<T> {
        let text = Some(text);
        Opt { key: self.key, about: self.about, form: self.form, modes: self.modes, text }
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
