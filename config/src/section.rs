//! Reading one column of keys and values by its table of options.

use std::collections::BTreeMap;

use crate::inert::{self, Inert};
use crate::option::{Form, Opt, Outside, Range, parse_number};
use crate::warning::{Severity, Warning};

/// One column of one row that maps keys to values, and the warnings about it.
pub(crate) struct Section<'a> {
    /// The table, in lower case.
    pub(crate) table: &'static str,
    /// The row's name.
    pub(crate) row: &'a str,
    pub(crate) column: &'static str,
    pub(crate) map: &'a BTreeMap<String, String>,
    pub(crate) warnings: &'a mut Vec<Warning>,
}

impl<'a> Section<'a> {
    /// The column `other_config`.
    pub(crate) fn other_config(
        table: &'static str,
        row: &'a str,
        map: &'a BTreeMap<String, String>,
        warnings: &'a mut Vec<Warning>,
    ) -> Section<'a> {
        Section { table, row, column: "other_config", map, warnings }
    }

    /// Sets each option of the table: to its value, or to its default where the key is absent or
    /// its value is not accepted, which is warned of.
    pub(crate) fn read<T>(&mut self, options: &[Opt<T>], into: &mut T) {
        for option in options {
            self.read_one(option, into);
        }
    }

    fn read_one<T>(&mut self, option: &Opt<T>, into: &mut T) {
        let value = self.map.get(option.key).map(String::as_str);
        match &option.form {
            Form::Flag(set) => {
                let is = |word| value.is_some_and(|v| v.eq_ignore_ascii_case(word));
                set(into, is("true"));
                if value.is_some() && !is("true") && !is("false") {
                    self.bad(option, "accepted are true and false", "false");
                }
            }
            Form::Number(range, set) => {
                let (used, accepted) = value.map_or((range.default, true), |v| number(range, v));
                set(into, used);
                if !accepted {
                    let accepted = format!("accepted is a number, {}", range.accepted());
                    self.bad(option, &accepted, &used.to_string());
                }
            }
            Form::Word { words, any_case, set } => {
                let same = |w: &&&str| match value {
                    Some(v) if *any_case => w.eq_ignore_ascii_case(v),
                    Some(v) => **w == v,
                    None => true,
                };
                let found = words.iter().find(same);
                set(into, found.unwrap_or(&words[0]));
                if found.is_none() {
                    self.bad(option, &format!("accepted are {}", words.join(", ")), words[0]);
                }
            }
            Form::Mac(set) => match value.map(str::parse) {
                None => {}
                Some(Ok(mac)) => set(into, mac),
                Some(Err(_)) => {
                    self.bad(option, "accepted is an address, xx:xx:xx:xx:xx:xx", "");
                }
            },
            Form::Text(_, set) => {
                if let Some(Err(advice)) = value.map(|v| set(into, v)) {
                    self.bad(option, &advice, "");
                }
            }
        }
    }

    /// A value that is not accepted; `used` is what is used instead, empty if that is nothing.
    fn bad<T>(&mut self, option: &Opt<T>, accepted: &str, used: &str) {
        let value = self.map.get(option.key).map_or("", String::as_str);
        let text = option.text.map(|text| text(self.row, value));
        let advice = match (&text, used) {
            // Open vSwitch's texts say what is used.
            (Some(_), _) | (None, "") => accepted.to_owned(),
            (None, used) => format!("{accepted}; using {used}"),
        };
        self.push(option.key, advice, Severity::Warn, text);
    }

    /// Adds a warning about a value that was read and still cannot be used.
    pub(crate) fn warn(&mut self, key: &str, advice: impl Into<String>) {
        self.push(key, advice.into(), Severity::Warn, None);
    }

    /// Adds a warning in Open vSwitch's words, to which `advice` is added unless it is empty.
    pub(crate) fn warn_as(&mut self, key: &str, severity: Severity, text: String, advice: &str) {
        self.push(key, advice.to_owned(), severity, Some(text));
    }

    fn push(&mut self, key: &str, advice: String, severity: Severity, text: Option<String>) {
        let value = self.map.get(key).cloned().unwrap_or_default();
        let of = (self.table, self.row);
        let column = Warning::of_column(of, self.column, value, advice);
        self.warnings.push(Warning { key: Some(key.to_owned()), severity, text, ..column });
    }

    /// Warns of keys that have no effect: those that Open vSwitch uses and this switch does not,
    /// unless the value asks for nothing, and those that are not known. `known` are the keys of the
    /// column's options; `foreign` those that other programs keep there.
    pub(crate) fn check_keys(
        &mut self,
        known: &[Vec<&'static str>],
        unused: &'static [Inert],
        foreign: &'static [&'static str],
    ) {
        for (key, value) in self.map {
            if known.iter().any(|keys| keys.contains(&key.as_str()))
                || foreign.contains(&key.as_str())
            {
                continue;
            }
            if let Some(inert) = unused.iter().find(|i| i.key == *key) {
                if !inert.asks_for_nothing(value) {
                    self.warn(key, format!("known to {}, has no effect here", inert.known_to));
                }
                continue;
            }
            let all = known.iter().flatten().copied();
            let all = all.chain(unused.iter().map(|i| i.key)).chain(foreign.iter().copied());
            match inert::nearest(all, key) {
                Some(near) => self.warn(key, format!("unknown key; did you mean {near}?")),
                None => self.warn(key, "unknown key; it has no effect"),
            }
        }
    }
}

/// The number to use, and whether it is the one in `text`.
fn number(range: &Range, text: &str) -> (i64, bool) {
    let Range { min, max, default, zero, outside, .. } = *range;
    match (parse_number(text), outside) {
        (Some(n), _) if (min..=max).contains(&n) || (zero && n == 0) => (n, true),
        (Some(n), Outside::Raise | Outside::Clamp) if n < min => (min, false),
        (Some(n), Outside::Clamp) if n > max => (max, false),
        _ => (default, false),
    }
}
