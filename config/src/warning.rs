//! What is wrong with a row, said so that it can be mended.

use std::fmt::{self, Write as _};

/// How a [`Warning`] is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Open vSwitch logs an error.
    Err,
    /// A value that is not used as written.
    #[default]
    Warn,
    /// With `--enable-dummy` only; see the module `compat`.
    Info,
}

/// One thing in the database that is not used as written. Never stops anything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Warning {
    /// The table, in lower case as log lines have it: `bridge`, `port`, `interface`.
    pub table: &'static str,
    /// The row's name.
    pub row: String,
    /// The column.
    pub column: String,
    /// The key, in a column of keys and values.
    pub key: Option<String>,
    /// The value as it is in the database.
    pub value: String,
    /// What would be accepted, or what is done instead.
    pub advice: String,
    /// The level at which it is logged.
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
