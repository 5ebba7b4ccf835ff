//! The list of all options, for documentation.

use crate::bond::{BOND, LACP};
use crate::bridge::BRIDGE;
use crate::controller::{CONTROLLER, OPENFLOW};
use crate::iface::INTERFACE;
use crate::monitor::{BFD, CFM};
use crate::option::{Form, Opt};
use crate::port::PORT;
use crate::switch::OPEN_VSWITCH;

/// One option, as documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Table and column, for example `Port.other_config`.
    pub column: &'static str,
    /// The key.
    pub key: &'static str,
    /// Accepted values with their unit.
    pub accepted: String,
    /// The value without the key; empty = none.
    pub default: String,
    /// The bond modes in which it has an effect; empty = it does not depend on the mode.
    pub modes: Vec<&'static str>,
    /// What it does.
    pub about: &'static str,
}

/// Every option of every column.
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    add(&mut all, "Open_vSwitch.other_config", OPEN_VSWITCH);
    add(&mut all, "Bridge.other_config", BRIDGE);
    add(&mut all, "Bridge.other_config", OPENFLOW);
    add(&mut all, "Controller.other_config", CONTROLLER);
    add(&mut all, "Port.other_config", BOND);
    add(&mut all, "Port.other_config", LACP);
    add(&mut all, "Port.other_config", PORT);
    add(&mut all, "Interface.other_config", INTERFACE);
    add(&mut all, "Interface.other_config", CFM);
    add(&mut all, "Interface.bfd", BFD);
    all
}

fn add<T>(all: &mut Vec<Entry>, column: &'static str, table: &[Opt<T>]) {
    all.extend(table.iter().map(|o| {
        let (accepted, default) = match &o.form {
            Form::Flag(_) => ("true, false".to_owned(), "false".to_owned()),
            Form::Number(range, _) => {
                let unit = match range.unit {
                    "" => String::new(),
                    unit => format!(" ({unit})"),
                };
                (format!("{}{unit}", range.accepted()), range.default.to_string())
            }
            Form::Word { words, .. } => (words.join(", "), words[0].to_owned()),
            Form::Mac(_) => ("an address".to_owned(), String::new()),
            Form::Text(form, _) => ((*form).to_owned(), String::new()),
        };
        let modes = o.modes.iter().map(|m| m.as_str()).collect();
        Entry { column, key: o.key, accepted, default, modes, about: o.about }
    }));
}

/// All options as tables in Markdown, one for each column of the database.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Options\n\nThe keys of the database's columns that this switch reads. This file is \
         made from the tables in the crate `config`.\n",
    );
    let mut column = "";
    for e in entries() {
        if e.column != column {
            column = e.column;
            out += &format!("\n## {column}\n\n| key | accepted | default | bond modes | what |\n");
            out += "|---|---|---|---|---|\n";
        }
        let Entry { key, accepted, default, modes, about, .. } = &e;
        let modes = modes.join(", ");
        out += &format!("| `{key}` | {accepted} | {default} | {modes} | {about} |\n");
    }
    out
}
