//! What may come next on the command line, for shells.
//!
//! A shell asks with `ovs-vsctl --complete -- WORD...`: the words after the program's name, the last
//! of which is incomplete. Commands, their options and the meaning of their arguments come from
//! [`COMMANDS`], tables and columns from the schema, keys and words of `other_config` and `bfd` from
//! the daemon's table of options ([`config::reference`]), names of rows from the database.

mod arguments;
mod names;
mod scripts;

use std::collections::BTreeSet;

use config::reference::{Entry, Values, entries};
use ovsdb::schema::ColumnSchema;
use ovsdb::{Atom, AtomicType, DatabaseSchema};

use super::cmd::{COMMANDS, ROW_NAMES};
use super::global::{GLOBAL, default_db};
use super::grammar::command::{Syntax, all_options};
use super::grammar::getopt::{Opt, Options, Takes};
use super::grammar::words::{Table, table};
use arguments::Kind;
use names::Source;

pub(super) use scripts::script;

/// What may stand in the place of the last word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// The whole word. After one that ends with `=`, `:` or `.`, the word goes on.
    text: String,
    /// What it means; empty = nothing is known.
    about: String,
}

impl Candidate {
    fn plain(text: impl Into<String>) -> Candidate {
        Candidate { text: text.into(), about: String::new() }
    }
}

/// The answer to `--complete`: a line for each candidate, with a tab and its meaning after it if that
/// is known. `words` are those after the program's name.
pub(super) fn answer(words: &[String]) -> String {
    let known = known_options();
    let database = words
        .split_last()
        .and_then(|(_, before)| database_of(before, &known))
        .unwrap_or_else(default_db);
    let mut out = String::new();
    for Candidate { text, about } in candidates(words, &mut names::Live::new(database)) {
        // A name with a control character cannot be one line.
        if text.contains(char::is_control) {
            continue;
        }
        out += &text;
        if !about.is_empty() {
            out = out + "\t" + &about;
        }
        out.push('\n');
    }
    out
}

fn known_options() -> Vec<Opt> {
    let commands: Vec<&'static Syntax> = COMMANDS.iter().map(|entry| &entry.syntax).collect();
    GLOBAL.iter().copied().chain(all_options(&commands)).collect()
}

/// The argument of `--db`.
fn database_of(words: &[String], known: &[Opt]) -> Option<String> {
    let mut reader = Options::new(words, known);
    let mut database = None;
    while let Some(Ok(given)) = reader.next_option() {
        if given.name == "db" {
            database = given.argument;
        }
    }
    database
}

/// All candidates, sorted.
fn candidates(words: &[String], source: &mut dyn Source) -> BTreeSet<Candidate> {
    let Some((last, before)) = words.split_last() else { return BTreeSet::new() };
    let mut all = possible(last, before, source);
    all.retain(|candidate| candidate.text.starts_with(last.as_str()));
    all
}

/// Candidates, among them some that do not begin with `last`.
fn possible(last: &str, before: &[String], source: &mut dyn Source) -> BTreeSet<Candidate> {
    let known = known_options();
    let mut reader = Options::new(before, &known);
    // Options of the first command.
    let mut local = Vec::new();
    while let Some(given) = reader.next_option() {
        // If the option before `last` lacks its argument, or something is wrong, the shell's own
        // completion of files will do.
        let Ok(given) = given else { return BTreeSet::new() };
        if GLOBAL.iter().all(|opt| opt.name != given.name) {
            local.push(format!("--{}", given.name));
        }
    }
    let rest = reader.rest();
    let after_dashes = before.len() > rest.len() && before[before.len() - rest.len() - 1] == "--";
    let segment = rest.rsplit(|word| word == "--").next().unwrap_or_default();
    let first = segment.len() == rest.len();
    let options = segment.iter().take_while(|word| word.starts_with('-')).count();
    let Some(name) = segment.get(options) else {
        // The program's options come before everything.
        let globals = if first && !after_dashes { GLOBAL } else { &[] };
        local.truncate(if first { local.len() } else { 0 });
        local.extend(segment[..options].iter().cloned());
        return commands_and_options(last, globals, &local);
    };
    let Some(entry) = COMMANDS.iter().find(|entry| entry.syntax.name == name) else {
        return BTreeSet::new();
    };
    let arguments = &segment[options + 1..];
    let place = Place { schema: ovsdb::vswitch::DATABASE.schema(), arguments, last, name, source };
    place.candidates(&entry.syntax)
}

/// Where a command's name is expected: its options, and commands that have those given.
fn commands_and_options(last: &str, globals: &[Opt], given: &[String]) -> BTreeSet<Candidate> {
    let given: Vec<&str> = given.iter().map(|o| o.split('=').next().unwrap_or(o)).collect();
    let fits = |syntax: &&Syntax| {
        given.iter().all(|given| syntax.options().any(|option| option.name == *given))
    };
    let fitting = COMMANDS.iter().map(|entry| &entry.syntax).filter(fits);
    if !last.starts_with('-') {
        return fitting.map(|syntax| command(syntax.name)).collect();
    }
    let dashed = |name: &str, takes: Takes| {
        Candidate::plain(format!("{name}{}", if takes == Takes::Argument { "=" } else { "" }))
    };
    let own = fitting.flat_map(Syntax::options).map(|option| dashed(option.name, option.takes));
    let globals = globals.iter().map(|opt| {
        let about = super::help::option_text(opt.name).unwrap_or_default().to_owned();
        Candidate { about, ..dashed(&format!("--{}", opt.name), opt.takes) }
    });
    own.chain(globals).collect()
}

fn command(name: &str) -> Candidate {
    let about = super::help::command_text(name).unwrap_or_default().to_owned();
    Candidate { text: name.to_owned(), about }
}

/// An argument that is being typed.
struct Place<'a> {
    schema: DatabaseSchema,
    /// Those before it.
    arguments: &'a [String],
    last: &'a str,
    /// The command.
    name: &'a str,
    source: &'a mut dyn Source,
}

/// What is done with columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// They are named, with a key or without.
    Name,
    /// They are given values.
    Set,
    /// They are compared with values.
    Compare,
}

impl Place<'_> {
    fn candidates(mut self, syntax: &Syntax) -> BTreeSet<Candidate> {
        let mut all = BTreeSet::new();
        for kind in arguments::next(syntax.arguments, self.arguments) {
            all.extend(self.of_kind(kind));
        }
        all
    }

    fn of_kind(&mut self, kind: Kind) -> Vec<Candidate> {
        let plain = |names: Vec<String>| names.into_iter().map(Candidate::plain).collect();
        match kind {
            Kind::Table => plain(self.schema.tables.keys().cloned().collect()),
            Kind::Record => plain(self.records()),
            Kind::Bridge => plain(self.source.column("Bridge", "name")),
            Kind::Port => plain(self.source.column("Port", "name")),
            // What is to become a member is a device of the host.
            Kind::Interface if self.name.starts_with("add-") => plain(self.source.devices()),
            Kind::Interface => plain(self.source.column("Interface", "name")),
            Kind::NewPort => plain(self.source.devices()),
            Kind::FailMode => plain(vec!["secure".to_owned(), "standalone".to_owned()]),
            Kind::ColumnName => self.column(Use::Name),
            Kind::Setting if matches!(self.name, "find" | "wait-until") => {
                self.column(Use::Compare)
            }
            Kind::Setting => self.column(Use::Set),
            Kind::Value => self.values_of_column(),
            Kind::Other => Vec::new(),
        }
    }

    /// The table of the command's arguments.
    fn table(&self) -> Option<&str> {
        match self.name {
            "add-port" | "add-bond" => Some("Port"),
            _ => self.arguments.first().map(String::as_str),
        }
    }

    fn records(&mut self) -> Vec<String> {
        let Some(found) = self.table().and_then(|typed| table(&self.schema, typed).ok()) else {
            return Vec::new();
        };
        if found.schema.max_rows == 1 {
            return vec![".".to_owned()];
        }
        match ROW_NAMES.iter().find(|way| way.table == found.name) {
            Some(way) => self.source.column(way.name.0, way.name.1),
            None => self.source.column(found.name, "_uuid"),
        }
    }

    /// `COLUMN`, `COLUMN:KEY`, and with it `=VALUE`.
    fn column(&mut self, what: Use) -> Vec<Candidate> {
        let Some(found) = self.table().and_then(|typed| table(&self.schema, typed).ok()) else {
            return Vec::new();
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let end = self.last.find(|c| !is_word(c)).unwrap_or(self.last.len());
        let (typed, rest) = self.last.split_at(end);
        if rest.is_empty() {
            return columns(found, what);
        }
        let Ok(column) = found.column(typed) else { return Vec::new() };
        let (table, column, schema) =
            (found.name.to_owned(), column.name.to_owned(), column.schema.clone());
        match rest.strip_prefix(':') {
            Some(after) => match after.split_once('=') {
                Some((key, value)) if what != Use::Name => {
                    let values = self.values_of_key(&table, &column, key, value);
                    after_prefix(&format!("{typed}:{key}="), values)
                }
                Some(_) => Vec::new(),
                None => after_prefix(&format!("{typed}:"), self.keys(&table, &column, what)),
            },
            None => match rest.strip_prefix('=') {
                Some(value) if what != Use::Name && schema.column_type.value.is_none() => {
                    after_prefix(&format!("{typed}="), elements(&schema, value))
                }
                _ => Vec::new(),
            },
        }
    }

    /// Keys of a map: those that the row has where they are read or removed, otherwise those that the
    /// daemon reads.
    fn keys(&mut self, table: &str, column: &str, what: Use) -> Vec<Candidate> {
        let options = entries();
        let about = |key: &str| {
            let option =
                options.iter().find(|e| (e.table, e.column, e.key) == (table, column, key));
            option.map_or(String::new(), describe)
        };
        let end = if what == Use::Name { "" } else { "=" };
        if what == Use::Name
            && let Some(record) = self.arguments.get(1)
        {
            let name = ROW_NAMES.iter().find(|way| way.table == table && way.via.is_none());
            let keys = self.source.keys(table, name.map(|way| way.name.1), record, column);
            if !keys.is_empty() {
                let known = keys.into_iter();
                return known.map(|key| Candidate { about: about(&key), text: key }).collect();
            }
        }
        let of_column = options.iter().filter(|e| (e.table, e.column) == (table, column));
        of_column
            .map(|e| Candidate { text: format!("{}{end}", e.key), about: describe(e) })
            .collect()
    }

    fn values_of_key(
        &mut self,
        table: &str,
        column: &str,
        key: &str,
        typed: &str,
    ) -> Vec<Candidate> {
        let option =
            entries().into_iter().find(|e| (e.table, e.column, e.key) == (table, column, key));
        let words: Vec<String> = match option.as_ref().map(|e| &e.values) {
            Some(Values::Flag) => vec!["true".to_owned(), "false".to_owned()],
            Some(Values::Words(words)) => words.iter().map(|word| (*word).to_owned()).collect(),
            Some(Values::Text(form)) if form.contains("interface") => {
                self.source.column("Interface", "name")
            }
            // Any value is possible. The default shows what one looks like.
            Some(Values::Number { .. }) if typed.is_empty() => {
                option.iter().map(|e| e.default.clone()).collect()
            }
            Some(Values::Number { .. } | Values::Address | Values::Text(_)) | None => Vec::new(),
        };
        let default = option.map_or(String::new(), |e| e.default);
        let about = |word: &str| if word == default { "the default" } else { "" }.to_owned();
        words.into_iter().map(|word| Candidate { about: about(&word), text: word }).collect()
    }

    /// `add` and `remove`: elements of the column named before.
    fn values_of_column(&mut self) -> Vec<Candidate> {
        let found = self.table().and_then(|typed| table(&self.schema, typed).ok());
        let column = self.arguments.get(2).and_then(|typed| found?.column(typed).ok());
        let Some(column) = column else { return Vec::new() };
        let (table, name, schema) =
            (column.table.name.to_owned(), column.name.to_owned(), column.schema.clone());
        if schema.column_type.value.is_none() {
            return elements(&schema, self.last);
        }
        match self.last.split_once('=') {
            Some((key, value)) => {
                let values = self.values_of_key(&table, &name, key, value);
                after_prefix(&format!("{key}="), values)
            }
            None => {
                let what = if self.name == "remove" { Use::Name } else { Use::Set };
                self.keys(&table, &name, what)
            }
        }
    }
}

/// What an option does, with its range and default.
fn describe(e: &Entry) -> String {
    let default = match e.default.as_str() {
        "" => String::new(),
        default => format!(", default {default}"),
    };
    format!("{} [{}{default}]", e.about, e.accepted)
}

fn after_prefix(prefix: &str, all: Vec<Candidate>) -> Vec<Candidate> {
    let whole = |c: Candidate| Candidate { text: format!("{prefix}{}", c.text), ..c };
    all.into_iter().map(whole).collect()
}

fn columns(of: Table<'_>, what: Use) -> Vec<Candidate> {
    let settable = |schema: &ColumnSchema| schema.mutable && !schema.ephemeral;
    of.schema
        .columns
        .iter()
        .filter(|(_, schema)| what != Use::Set || settable(schema))
        .map(|(name, schema)| match (schema.column_type.value.is_some(), what) {
            (true, Use::Set | Use::Compare) => Candidate::plain(format!("{name}:")),
            (false, Use::Set | Use::Compare) => Candidate::plain(format!("{name}=")),
            (_, Use::Name) => Candidate::plain(name),
        })
        .collect()
}

/// Values of a column that is no map. In a set, `typed` may have others before a comma.
fn elements(schema: &ColumnSchema, typed: &str) -> Vec<Candidate> {
    let base = &schema.column_type.key;
    let words: Vec<String> = match (&base.enumeration, base.kind) {
        (Some(all), _) => all
            .iter()
            .filter_map(|atom| match atom {
                Atom::String(word) => Some(word.clone()),
                _ => None,
            })
            .collect(),
        (None, AtomicType::Boolean) => vec!["true".to_owned(), "false".to_owned()],
        (None, _) => Vec::new(),
    };
    let others = typed.rfind(',').map_or("", |comma| &typed[..=comma]);
    let others = if schema.column_type.max > 1 { others } else { "" };
    after_prefix(others, words.into_iter().map(Candidate::plain).collect())
}

#[cfg(test)]
mod tests;
