//! What is wrong with a row, said so that it can be mended.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use wire::EthAddr;

use crate::options::{Form, Opt, nearest};

/// How a [`Warning`] is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Open vSwitch logs an error.
    Err,
    #[default]
    Warn,
    /// Open vSwitch accepts the value without a word, and it may be meant as it is.
    Info,
}

/// One thing in the database that is not used as written. Never stops anything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Warning {
    /// The table, in lower case as log lines have it: `bridge`, `port`, `interface`.
    pub table: &'static str,
    /// The row's name.
    pub row: String,
    pub column: String,
    pub key: Option<String>,
    pub value: String,
    /// What would be accepted, or what is done instead.
    pub advice: String,
    pub severity: Severity,
    /// Open vSwitch's text for the same fault, which replaces the columns in the log.
    pub text: Option<String>,
}

impl Warning {
    /// Of a column as a whole, as a warning.
    pub fn of_column(
        (table, row): (&'static str, &str),
        column: &str,
        value: impl Into<String>,
        advice: impl Into<String>,
    ) -> Warning {
        Warning {
            table,
            row: row.to_owned(),
            column: column.to_owned(),
            key: None,
            value: value.into(),
            advice: advice.into(),
            severity: Severity::Warn,
            text: None,
        }
    }

    /// The same with Open vSwitch's text for it, to which the advice is added in parentheses.
    #[must_use]
    pub fn said(self, severity: Severity, text: impl Into<String>) -> Warning {
        Warning { severity, text: Some(text.into()), ..self }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning { table, row, column, key, value, advice, severity: _, text } = self;
        if let Some(text) = text {
            write!(f, "{}", OneLine(text))?;
            return if advice.is_empty() { Ok(()) } else { write!(f, " ({advice})") };
        }
        write!(f, "{table} {}: {column}", OneLine(row))?;
        if let Some(key) = key {
            write!(f, ":{}", OneLine(key))?;
        }
        write!(f, "={}: {advice}", OneLine(value))
    }
}

/// Text from outside as part of a log line: what would end the line or steer a terminal is
/// escaped, and no more is shown than a person reads.
struct OneLine<'a>(&'a str);

/// Characters of a value that a warning shows.
const SHOWN: usize = 200;

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(SHOWN) {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        if self.0.chars().nth(SHOWN).is_some() { f.write_str("...") } else { Ok(()) }
    }
}

/// The value cannot be used; a warning says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unusable;

/// Reads one `other_config` column by its table of options and collects what is wrong with it.
pub(crate) struct Section<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
    pub(crate) map: &'a BTreeMap<String, String>,
    pub(crate) warnings: &'a mut Vec<Warning>,
}

impl Section<'_> {
    fn get(&self, opt: &Opt) -> Option<&str> {
        self.map.get(opt.name).map(String::as_str)
    }

    fn warn(&mut self, key: &str, advice: String) {
        self.push(key, advice, Severity::Warn, None);
    }

    fn push(&mut self, key: &str, advice: String, severity: Severity, text: Option<String>) {
        let value = self.map.get(key).cloned().unwrap_or_default();
        let of = (self.table, self.row);
        let column = Warning::of_column(of, "other_config", value, advice);
        self.warnings.push(Warning { key: Some(key.to_owned()), severity, text, ..column });
    }

    /// `true` only if the value says so, in any case.
    pub(crate) fn flag(&mut self, opt: &Opt) -> bool {
        let (is, known) = match self.get(opt) {
            None => return false,
            Some(v) => (v.eq_ignore_ascii_case("true"), v.eq_ignore_ascii_case("false")),
        };
        if !is && !known {
            self.warn(opt.name, "accepted are true and false; using false".to_owned());
        }
        is
    }

    /// The number, or the default where it is absent or out of range.
    pub(crate) fn number(&mut self, opt: &Opt) -> i64 {
        self.number_with(opt, false, false)
    }

    /// As [`Section::number`], but a value below the range becomes the range's lower end.
    pub(crate) fn number_raised(&mut self, opt: &Opt) -> i64 {
        self.number_with(opt, true, false)
    }

    /// As [`Section::number`], but the nearer end of the range is used instead of the default.
    pub(crate) fn number_clamped(&mut self, opt: &Opt) -> i64 {
        self.number_with(opt, true, true)
    }

    fn number_with(&mut self, opt: &Opt, raise: bool, lower: bool) -> i64 {
        let Form::Number { min, max, default, zero } = opt.form else { return 0 };
        let Some(text) = self.get(opt) else { return default };
        let unit = if opt.unit.is_empty() { String::new() } else { format!(" ({})", opt.unit) };
        let range = if zero { format!("0 or {min} to {max}") } else { format!("{min} to {max}") };
        let used = match parse_number(text) {
            Some(n) if (min..=max).contains(&n) || (zero && n == 0) => return n,
            Some(n) if raise && n < min => min,
            Some(n) if lower && n > max => max,
            _ => default,
        };
        self.warn(opt.name, format!("accepted is a number, {range}{unit}; using {used}"));
        used
    }

    /// One of the option's words, the first by default. `fold` compares without case.
    pub(crate) fn word(&mut self, opt: &Opt, fold: bool) -> &'static str {
        self.word_with(opt, fold, |words| {
            (format!("accepted are {}; using {}", words.join(", "), words[0]), None)
        })
    }

    /// As [`Section::word`], case-sensitive; `text` makes Open vSwitch's message of the value.
    pub(crate) fn word_as(&mut self, opt: &Opt, text: impl Fn(&str) -> String) -> &'static str {
        let said = self.get(opt).map(text);
        self.word_with(opt, false, |words| (format!("accepted are {}", words.join(", ")), said))
    }

    fn word_with(
        &mut self,
        opt: &Opt,
        fold: bool,
        complaint: impl FnOnce(&[&str]) -> (String, Option<String>),
    ) -> &'static str {
        let Form::Word(words) = opt.form else { return "" };
        let Some(text) = self.get(opt) else { return words[0] };
        let same = |w: &&&str| if fold { w.eq_ignore_ascii_case(text) } else { **w == text };
        let found = words.iter().find(same).copied();
        found.unwrap_or_else(|| {
            let (advice, text) = complaint(words);
            self.push(opt.name, advice, Severity::Warn, text);
            words[0]
        })
    }

    pub(crate) fn text(&self, opt: &Opt) -> Option<String> {
        self.get(opt).map(str::to_owned)
    }

    /// An address; `Err` when there is one that cannot be used (a warning has been made).
    pub(crate) fn mac(&mut self, opt: &Opt) -> Result<Option<EthAddr>, Unusable> {
        match self.get(opt).map(str::parse) {
            None => Ok(None),
            Some(Ok(mac)) => Ok(Some(mac)),
            Some(Err(_)) => {
                self.warn(opt.name, "accepted is an address, xx:xx:xx:xx:xx:xx".to_owned());
                Err(Unusable)
            }
        }
    }

    /// As [`Section::mac`]; `text` makes Open vSwitch's message of the value.
    pub(crate) fn mac_as(
        &mut self,
        opt: &Opt,
        text: impl Fn(&str) -> String,
    ) -> Result<Option<EthAddr>, Unusable> {
        let (from, said) = (self.warnings.len(), self.get(opt).map(text));
        let mac = self.mac(opt);
        for warning in &mut self.warnings[from..] {
            warning.text.clone_from(&said);
        }
        mac
    }

    /// Adds a warning about a value that parsed and still cannot be used.
    pub(crate) fn refuse(&mut self, opt: &Opt, why: &str) {
        self.warn(opt.name, why.to_owned());
    }

    /// The same in Open vSwitch's words, to which `why` is added unless it is empty.
    pub(crate) fn refuse_as(&mut self, opt: &Opt, severity: Severity, text: String, why: &str) {
        self.push(opt.name, why.to_owned(), severity, Some(text));
    }

    /// Says that a value is not used as written where Open vSwitch is silent and the value may
    /// still be meant: information, not a warning.
    pub(crate) fn note(&mut self, opt: &Opt, why: &str) {
        self.push(opt.name, why.to_owned(), Severity::Info, None);
    }

    /// Makes the warnings that this section has had since `from` information.
    pub(crate) fn quieten(&mut self, from: usize) {
        for warning in &mut self.warnings[from..] {
            warning.severity = Severity::Info;
        }
    }

    /// Warns of keys that have no effect: those that Open vSwitch uses and this switch does not,
    /// unless the value asks for nothing, and those that are not known but resemble a known one.
    /// A key of the root row that resembles none is information.
    pub(crate) fn keys(&mut self, table: &'static [Opt]) {
        for key in self.map.keys() {
            match table.iter().find(|o| o.name == *key).map(|o| o.form) {
                Some(Form::Inert(harmless)) => {
                    let value = self.map.get(key).map_or("", |v| v.trim());
                    if !harmless.iter().any(|h| h.eq_ignore_ascii_case(value)) {
                        self.warn(key, "known to Open vSwitch, has no effect here".to_owned());
                    }
                }
                Some(_) => {}
                None => match nearest(table, key) {
                    Some(near) => self.warn(key, format!("unknown key; did you mean {near}?")),
                    None if key.starts_with("bond-") || key.starts_with("lacp-") => {
                        self.warn(key, "unknown key; it has no effect".to_owned());
                    }
                    // Of the other tables' rows it may be a note of the program that wrote it.
                    None if self.table == "open_vswitch" => {
                        let advice = "unknown key; it has no effect".to_owned();
                        self.push(key, advice, Severity::Info, None);
                    }
                    None => {}
                },
            }
        }
    }
}

/// A whole number, decimal or `0x` hexadecimal.
pub(crate) fn parse_number(text: &str) -> Option<i64> {
    let t = text.trim();
    match t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => t.parse().ok(),
    }
}
