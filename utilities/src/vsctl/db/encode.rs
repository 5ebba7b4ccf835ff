//! Operations of a transaction as JSON, and the server's answer to them (RFC 7047, sections 4.1.3
//! and 5.2).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ovsdb::value::push_json_string;
use ovsdb::{Atom, DatabaseSchema, Datum, Uuid};
use serde_json::Value;

use super::replica::Rows;
use super::row::RowId;

/// The operations to send, and what to look for in the answer.
#[derive(Debug)]
pub struct Request {
    /// The parameters of `transact`.
    pub params: String,
    /// Stand-ins of inserted rows by the place of their operation.
    inserts: BTreeMap<usize, Uuid>,
    /// Place of the operation that reads the incremented column.
    increment: Option<usize>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done {
        /// Real UUIDs by stand-in.
        inserted: BTreeMap<Uuid, Uuid>,
        /// The incremented column's new value.
        incremented: Option<i64>,
    },
    /// What it relied on has changed meanwhile.
    TryAgain,
    /// It is refused; the server's error as JSON.
    Refused(String),
}

/// Writes operations as JSON.
#[derive(Debug)]
pub(super) struct Encoder<'a> {
    schema: &'a DatabaseSchema,
    /// Rows whose UUID the server will choose.
    stand_ins: BTreeSet<Uuid>,
    /// What is written so far.
    pub(super) operations: Vec<String>,
}

/// The `uuid-name` of a row that is inserted.
fn row_name(uuid: Uuid) -> String {
    format!("row{}", uuid.to_string().replace('-', "_"))
}

impl<'a> Encoder<'a> {
    pub(super) fn new(schema: &'a DatabaseSchema, stand_ins: BTreeSet<Uuid>) -> Encoder<'a> {
        Encoder { schema, stand_ins, operations: Vec::new() }
    }

    fn push_atom(&self, out: &mut String, atom: &Atom) {
        match atom {
            Atom::Uuid(uuid) if self.stand_ins.contains(uuid) => {
                Atom::NamedUuid(row_name(*uuid)).push_json(out);
            }
            atom => atom.push_json(out),
        }
    }

    fn push_map<'m>(&self, out: &mut String, pairs: impl Iterator<Item = (&'m Atom, &'m Atom)>) {
        out.push_str("[\"map\",[");
        for (at, (key, value)) in pairs.enumerate() {
            out.push_str(if at > 0 { ",[" } else { "[" });
            self.push_atom(out, key);
            out.push(',');
            self.push_atom(out, value);
            out.push(']');
        }
        out.push_str("]]");
    }

    fn push_datum(&self, out: &mut String, datum: &Datum) {
        match datum {
            Datum::Set(set) => {
                out.push_str("[\"set\",[");
                for (at, atom) in set.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.push_atom(out, atom);
                }
                out.push_str("]]");
            }
            Datum::Map(map) => self.push_map(out, map.iter()),
        }
    }

    /// An operation on one row; `more` is the rest of the object after `where`.
    pub(super) fn operation(&mut self, op: &str, row: RowId<'_>, more: &str) {
        let mut uuid = String::new();
        self.push_atom(&mut uuid, &Atom::Uuid(row.uuid));
        self.operations.push(format!(
            "{{\"op\":\"{op}\",\"table\":\"{}\",\"where\":[[\"_uuid\",\"==\",{uuid}]]{more}}}",
            row.table
        ));
    }

    fn push_row(&self, out: &mut String, columns: &BTreeMap<&str, Datum>) {
        out.push('{');
        for (at, (column, datum)) in columns.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_json_string(out, column);
            out.push(':');
            self.push_datum(out, datum);
        }
        out.push('}');
    }

    pub(super) fn wait(&mut self, row: RowId<'_>, columns: &BTreeSet<&str>, rows: &Rows) {
        let Some(stored) = rows.row(row.table, row.uuid) else { return };
        let values: BTreeMap<&str, Datum> = columns
            .iter()
            .filter_map(|column| Some((*column, stored.get(*column)?.clone())))
            .collect();
        let names: Vec<String> = values.keys().map(|column| format!("\"{column}\"")).collect();
        let mut more =
            format!(",\"timeout\":0,\"columns\":[{}],\"until\":\"==\",\"rows\":[", names.join(","));
        self.push_row(&mut more, &values);
        self.operation("wait", row, &(more + "]"));
    }

    pub(super) fn insert(&mut self, row: RowId<'_>, chosen: bool, written: &BTreeMap<&str, Datum>) {
        let name = if chosen {
            format!("\"uuid\":\"{}\"", row.uuid)
        } else {
            format!("\"uuid-name\":\"{}\"", row_name(row.uuid))
        };
        let table = self.schema.tables.get(row.table);
        let mut columns = written.clone();
        columns.retain(|column, datum| {
            let known = table.and_then(|table| table.columns.get(*column));
            known.is_none_or(|known| *datum != Datum::default_of(&known.column_type))
        });
        let mut operation =
            format!("{{\"op\":\"insert\",\"table\":\"{}\",{name},\"row\":", row.table);
        self.push_row(&mut operation, &columns);
        self.operations.push(operation + "}");
    }

    pub(super) fn update(&mut self, row: RowId<'_>, written: &BTreeMap<&str, Datum>) {
        let mut more = ",\"row\":".to_owned();
        self.push_row(&mut more, written);
        self.operation("update", row, &more);
    }

    /// Puts keys of maps; false if they all are there already.
    pub(super) fn mutate(
        &mut self,
        row: RowId<'_>,
        put: &BTreeMap<&str, BTreeMap<Atom, Atom>>,
        rows: &Rows,
    ) -> bool {
        let stored = rows.row(row.table, row.uuid);
        let mut mutations = Vec::new();
        for (column, pairs) in put {
            let old = match stored.and_then(|row| row.get(*column)) {
                Some(Datum::Map(map)) => Cow::Borrowed(map),
                Some(Datum::Set(_)) | None => Cow::Owned(BTreeMap::new()),
            };
            let changed: BTreeMap<&Atom, &Atom> =
                pairs.iter().filter(|(key, value)| old.get(key) != Some(value)).collect();
            let replaced: BTreeSet<Atom> =
                changed.keys().filter(|key| old.contains_key(key)).map(|k| (*k).clone()).collect();
            if !replaced.is_empty() {
                let mut mutation = format!("[\"{column}\",\"delete\",");
                self.push_datum(&mut mutation, &Datum::Set(replaced));
                mutations.push(mutation + "]");
            }
            if !changed.is_empty() {
                let mut mutation = format!("[\"{column}\",\"insert\",");
                self.push_map(&mut mutation, changed.into_iter());
                mutations.push(mutation + "]");
            }
        }
        if mutations.is_empty() {
            return false;
        }
        self.operation("mutate", row, &format!(",\"mutations\":[{}]", mutations.join(",")));
        true
    }
}

impl Request {
    pub(super) fn new(
        params: String,
        inserts: BTreeMap<usize, Uuid>,
        increment: Option<usize>,
    ) -> Request {
        Request { params, inserts, increment }
    }

    /// Reads the server's answer.
    pub fn outcome(&self, answer: Result<&str, &str>) -> Outcome {
        let results: Vec<Value> = match answer {
            // The database is being converted or moved.
            Err("\"canceled\"") => return Outcome::TryAgain,
            Err(error) => return Outcome::Refused(error.to_owned()),
            Ok(text) => match serde_json::from_str(text) {
                Ok(results) => results,
                Err(_) => return Outcome::Refused(text.to_owned()),
            },
        };
        let (mut refused, mut again) = (None, false);
        for result in &results {
            match result.get("error").map(|error| error.as_str()) {
                None if result.is_null() => again = true,
                None => {}
                Some(Some("timed out" | "unknown database")) => again = true,
                Some(Some("aborted")) => {}
                Some(_) => refused = refused.or_else(|| Some(result.to_string())),
            }
        }
        if let Some(error) = refused {
            return Outcome::Refused(error);
        }
        if again {
            return Outcome::TryAgain;
        }
        let inserted = self.inserts.iter().filter_map(|(at, stand_in)| {
            let real = results.get(*at)?.get("uuid")?.get(1)?.as_str()?;
            Some((*stand_in, real.parse().ok()?))
        });
        let incremented = self.increment.and_then(|at| {
            let row = results.get(at)?.get("rows")?.get(0)?.as_object()?;
            row.values().next()?.as_i64()
        });
        Outcome::Done { inserted: inserted.collect(), incremented }
    }
}
