//! What is wrong with a row, said so that it can be mended.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use wire::EthAddr;

use super::options::{Form, Opt, nearest};

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
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning { table, row, column, key, value, advice } = self;
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
pub struct Unusable;

/// Reads one `other_config` column by its table of options and collects what is wrong with it.
pub struct Section<'a> {
    pub table: &'static str,
    pub row: &'a str,
    pub map: &'a BTreeMap<String, String>,
    pub warnings: &'a mut Vec<Warning>,
}

impl Section<'_> {
    fn get(&self, opt: &Opt) -> Option<&str> {
        self.map.get(opt.name).map(String::as_str)
    }

    fn warn(&mut self, key: &str, advice: String) {
        self.warnings.push(Warning {
            table: self.table,
            row: self.row.to_owned(),
            column: "other_config".to_owned(),
            key: Some(key.to_owned()),
            value: self.map.get(key).cloned().unwrap_or_default(),
            advice,
        });
    }

    /// `true` only if the value says so, in any case.
    pub fn flag(&mut self, opt: &Opt) -> bool {
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
    pub fn number(&mut self, opt: &Opt) -> i64 {
        self.number_with(opt, false, false)
    }

    /// As [`Section::number`], but a value below the range becomes the range's lower end.
    pub fn number_raised(&mut self, opt: &Opt) -> i64 {
        self.number_with(opt, true, false)
    }

    /// As [`Section::number`], but the nearer end of the range is used instead of the default.
    pub fn number_clamped(&mut self, opt: &Opt) -> i64 {
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
    pub fn word(&mut self, opt: &Opt, fold: bool) -> &'static str {
        let Form::Word(words) = opt.form else { return "" };
        let Some(text) = self.get(opt) else { return words[0] };
        let found = words
            .iter()
            .find(|w| if fold { w.eq_ignore_ascii_case(text) } else { **w == text })
            .copied();
        found.unwrap_or_else(|| {
            self.warn(opt.name, format!("accepted are {}; using {}", words.join(", "), words[0]));
            words[0]
        })
    }

    pub fn text(&self, opt: &Opt) -> Option<String> {
        self.get(opt).map(str::to_owned)
    }

    /// An address; `Err` when there is one that cannot be used (a warning has been made).
    pub fn mac(&mut self, opt: &Opt) -> Result<Option<EthAddr>, Unusable> {
        match self.get(opt).map(str::parse) {
            None => Ok(None),
            Some(Ok(mac)) => Ok(Some(mac)),
            Some(Err(_)) => {
                self.warn(opt.name, "accepted is an address, xx:xx:xx:xx:xx:xx".to_owned());
                Err(Unusable)
            }
        }
    }

    /// Adds a warning about a value that parsed and still cannot be used.
    pub fn refuse(&mut self, opt: &Opt, why: &str) {
        self.warn(opt.name, why.to_owned());
    }

    /// Warns of keys that nobody knows and that look like one of ours: misspelt, or with our
    /// prefix. Other keys belong to whoever wrote them.
    pub fn unknown(&mut self, table: &'static [Opt]) {
        let unknown: Vec<&String> =
            self.map.keys().filter(|k| table.iter().all(|o| o.name != **k)).collect();
        for key in unknown {
            match nearest(table, key) {
                Some(near) => self.warn(key, format!("unknown key; did you mean {near}?")),
                None if key.starts_with("bond-") || key.starts_with("lacp-") => {
                    self.warn(key, "unknown key; it has no effect".to_owned());
                }
                None => {}
            }
        }
    }
}

/// A whole number, decimal or `0x` hexadecimal.
pub fn parse_number(text: &str) -> Option<i64> {
    let t = text.trim();
    match t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => t.parse().ok(),
    }
}
