//! The list of all options, for documentation, `ovs-appctl options/list` and completion.

use serde_json::{Map, Value, json};

use crate::aggregation::{AGGREGATION, MIN_LINKS};
use crate::bond::{BOND, LACP};
use crate::bridge::BRIDGE;
use crate::controller::{CONTROLLER, OPENFLOW};
use crate::iface::INTERFACE;
use crate::inert;
use crate::monitor::{BFD, CFM};
use crate::notify::NOTIFY;
use crate::option::{Form, OVS, Opt};
use crate::policy::POLICY;
use crate::port::PORT;
use crate::probe::PROBE;
use crate::proc_dir::PROC_DIR;
use crate::switch::OPEN_VSWITCH;

/// What values an option takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
        /// Whether 0 is accepted though it is below `min`.
        zero: bool,
        /// The unit; empty = none.
        unit: &'static str,
        /// What a special value or the order means; empty = nothing.
        note: &'static str,
    },
    /// One of these words.
    Words(&'static [&'static str]),
    /// An Ethernet address, `xx:xx:xx:xx:xx:xx`.
    Address,
    /// A text of this form.
    Text(&'static str),
}

/// One option, as documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The table, for example `Port`.
    pub table: &'static str,
    /// The column, for example `other_config`.
    pub column: &'static str,
    /// The key.
    pub key: &'static str,
    /// Accepted values.
    pub values: Values,
    /// `values` as a phrase, for example `0 or 1000 to 2147483647 (ms, 0 = off)`.
    pub accepted: String,
    /// The value without the key; empty = none.
    pub default: String,
    /// The bond modes in which it has an effect; empty = it does not depend on the mode.
    pub modes: Vec<&'static str>,
    /// `Open vSwitch` for an option that Open vSwitch has too, otherwise the version of Braid that
    /// was the first to have it.
    pub since: &'static str,
    /// What it does.
    pub about: &'static str,
}

impl Entry {
    /// For example `Port.other_config:bond-primary`.
    pub fn name(&self) -> String {
        format!("{}.{}:{}", self.table, self.column, self.key)
    }

    /// For people: `Open vSwitch`, or `Braid 0.1.0`.
    pub fn origin(&self) -> String {
        if self.since == OVS { OVS.to_owned() } else { format!("Braid {}", self.since) }
    }

    /// As an object: `table`, `column`, `key`, `type` (`boolean`, `integer`, `word`, `address` or
    /// `text`), what belongs to the type (`minimum`, `maximum`, `zero`, `unit`, `note`; `words`;
    /// `form`), `default` or null, `modes`, `since`, `description`.
    pub fn to_json(&self) -> Value {
        let Entry { table, column, key, values, default, modes, about, .. } = self;
        let (kind, more) = match values {
            Values::Flag => ("boolean", json!({})),
            Values::Number { min, max, zero, unit, note } => {
                let mut more =
                    json!({ "minimum": min, "maximum": max, "zero": *zero || *min <= 0 });
                for (name, text) in [("unit", unit), ("note", note)] {
                    if !text.is_empty() {
                        more[name] = json!(text);
                    }
                }
                ("integer", more)
            }
            Values::Words(words) => ("word", json!({ "words": words })),
            Values::Address => ("address", json!({})),
            Values::Text(form) => ("text", json!({ "form": form })),
        };
        let default = match (values, default.as_str()) {
            (_, "") => Value::Null,
            (Values::Flag, text) => json!(text == "true"),
            (Values::Number { .. }, text) => json!(text.parse::<i64>().ok()),
            (Values::Words(_) | Values::Address | Values::Text(_), text) => json!(text),
        };
        let mut all = Map::new();
        for (name, value) in [("table", table), ("column", column), ("key", key), ("type", &kind)] {
            all.insert(name.to_owned(), json!(value));
        }
        if let Value::Object(more) = more {
            all.extend(more);
        }
        all.insert("default".to_owned(), default);
        all.insert("modes".to_owned(), json!(modes));
        all.insert("since".to_owned(), json!(self.origin()));
        all.insert("description".to_owned(), json!(about));
        Value::Object(all)
    }
}

/// Every option of every column.
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    add(&mut all, ("Open_vSwitch", "other_config"), OPEN_VSWITCH);
    add(&mut all, ("Open_vSwitch", "other_config"), PROC_DIR);
    add(&mut all, ("Bridge", "other_config"), BRIDGE);
    add(&mut all, ("Bridge", "other_config"), OPENFLOW);
    add(&mut all, ("Controller", "other_config"), CONTROLLER);
    add(&mut all, ("Port", "other_config"), BOND);
    add(&mut all, ("Port", "other_config"), POLICY);
    add(&mut all, ("Port", "other_config"), MIN_LINKS);
    add(&mut all, ("Port", "other_config"), NOTIFY);
    add(&mut all, ("Port", "other_config"), PROBE);
    add(&mut all, ("Port", "other_config"), LACP);
    add(&mut all, ("Port", "other_config"), AGGREGATION);
    add(&mut all, ("Port", "other_config"), PORT);
    add(&mut all, ("Interface", "other_config"), INTERFACE);
    add(&mut all, ("Interface", "other_config"), CFM);
    add(&mut all, ("Interface", "bfd"), BFD);
    all
}

/// The options of a table (`Port`), of a column (`Port.other_config`), or with a key
/// (`bond-primary`, also with its column before it, as `other_config:bond-primary`); case does not
/// matter.
///
/// # Errors
///
/// There is none; the text names the nearest key.
pub fn find(name: &str) -> Result<Vec<Entry>, String> {
    let is = |text: &str| text.eq_ignore_ascii_case(name);
    let mut all = entries();
    let nearest = inert::nearest(all.iter().map(|e| e.key), name);
    all.retain(|e| {
        let Entry { table, column, key, .. } = e;
        is(table)
            || is(&format!("{table}.{column}"))
            || is(key)
            || is(&format!("{column}:{key}"))
            || is(&e.name())
    });
    if !all.is_empty() {
        return Ok(all);
    }
    let hint = nearest.map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(format!("{}: no such table, column or option{hint}", name.escape_debug()))
}

fn add<T>(all: &mut Vec<Entry>, (table, column): (&'static str, &'static str), rows: &[Opt<T>]) {
    all.extend(rows.iter().map(|o| {
        let (values, accepted, default) = match &o.form {
            Form::Flag(_) => (Values::Flag, "true, false".to_owned(), "false".to_owned()),
            Form::Number(range, _) => {
                let (min, max) = (range.min, range.max);
                let (zero, unit, note) = (range.zero, range.unit, range.note);
                let values = Values::Number { min, max, zero, unit, note };
                (values, range.accepted(), range.default.to_string())
            }
            Form::Word { words, .. } => {
                (Values::Words(words), words.join(", "), words[0].to_owned())
            }
            Form::Mac(_) => (Values::Address, "an address".to_owned(), String::new()),
            Form::Text(form, _) => (Values::Text(form), (*form).to_owned(), String::new()),
        };
        let modes = o.modes.iter().map(|m| m.as_str()).collect();
        let Opt { key, since, about, .. } = *o;
        Entry { table, column, key, values, accepted, default, modes, since, about }
    }));
}

/// All options as tables in Markdown, one for each column of the database.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Options\n\nThe keys of the database's columns that this switch reads. This file is \
         made from the tables in the crate `config`; `ovs-appctl options/list` prints those of \
         a running daemon.\n",
    );
    let mut section = ("", "");
    for e in entries() {
        if (e.table, e.column) != section {
            section = (e.table, e.column);
            out += &format!("\n## {}.{}\n\n", e.table, e.column);
            out += "| key | accepted | default | bond modes | since | what |\n";
            out += "|---|---|---|---|---|---|\n";
        }
        let (modes, since) = (e.modes.join(", "), e.origin());
        let Entry { key, accepted, default, about, .. } = &e;
        out += &format!("| `{key}` | {accepted} | {default} | {modes} | {since} | {about} |\n");
    }
    out
}
