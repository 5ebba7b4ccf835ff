//! Records as transactions: rows straight from the bytes, without a tree between them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ovsdb::schema::AtomicType;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::error::{Error, Result};
use crate::json::{Json, number};
use crate::schema::{Base, Schema, TableSchema, Type};
use crate::value::{Atom, Datum};
use ovsdb::Uuid;

/// A row of a record.
#[derive(Debug)]
pub struct RowRecord {
    /// The table's number.
    pub table: usize,
    /// The row.
    pub id: Uuid,
    /// Its columns, among the record's; `None` if it is deleted.
    pub cells: Option<Range<usize>>,
}

/// A transaction as it is in the file: nothing but its form is checked.
#[derive(Debug, Default)]
pub struct TxnRecord {
    /// Columns of rows that exist hold differences.
    pub is_diff: bool,
    /// Milliseconds since 1970.
    pub date: Option<i64>,
    /// Rows, in the order of the file.
    pub rows: Vec<RowRecord>,
    /// Columns by number, with their values.
    pub cells: Vec<(usize, Datum)>,
}

/// Reads a record.
///
/// # Errors
///
/// `syntax error`, also for tables and columns that the schema does not have.
pub fn decode(schema: &Schema, bytes: &[u8]) -> Result<TxnRecord> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = RecordSeed { schema, record: TxnRecord::default() };
    let record = seed.deserialize(&mut deserializer).and_then(|record| {
        deserializer.end()?;
        Ok(record)
    });
    record.map_err(|error| {
        let text = error.to_string();
        // As the reference puts it; a record may be long, so only its beginning is shown.
        let unknown = text.split_once("No table named ").and_then(|(_, rest)| rest.split_once('.'));
        match unknown {
            None => Error::new("syntax error", text),
            Some((name, _)) => Error {
                syntax: Some(
                    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).trim_end().to_owned(),
                ),
                ..Error::new("unknown table", format!("No table named {name}."))
            },
        }
    })
}

struct RecordSeed<'s> {
    schema: &'s Schema,
    record: TxnRecord,
}

/// A string that is looked at and not kept.
struct Text<F>(F);

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> DeserializeSeed<'de> for Text<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Text<F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Members of a record.
enum Member {
    Table(usize),
    Date,
    IsDiff,
    Comment,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = TxnRecord;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TxnRecord, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = TxnRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transaction")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<TxnRecord, A::Error> {
        let schema = self.schema;
        let member = |name: &str| match (schema.table(name), name) {
            (Some(table), _) => Ok(Member::Table(table)),
            (None, "_date") => Ok(Member::Date),
            (None, "_is_diff") => Ok(Member::IsDiff),
            (None, "_comment") => Ok(Member::Comment),
            (None, name) => Err(format!("No table named {name}.")),
        };
        while let Some(member) = map.next_key_seed(Text(member))? {
            match member {
                Member::Table(table) => {
                    let record = &mut self.record;
                    map.next_value_seed(TableSeed {
                        schema: &schema.tables[table],
                        table,
                        record,
                    })?;
                }
                Member::Date => self.record.date = Some(map.next_value()?),
                Member::IsDiff => self.record.is_diff = map.next_value()?,
                Member::Comment => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self.record)
    }
}

struct TableSeed<'s> {
    schema: &'s TableSchema,
    table: usize,
    record: &'s mut TxnRecord,
}

impl<'de> DeserializeSeed<'de> for TableSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TableSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows by UUID")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let id = |text: &str| {
            Uuid::parse_bytes(text.as_bytes())
                .ok_or_else(|| format!("\"{text}\" is not a valid UUID"))
        };
        while let Some(id) = map.next_key_seed(Text(id))? {
            let cells = &mut self.record.cells;
            let cells = map.next_value_seed(RowSeed { schema: self.schema, cells })?;
            self.record.rows.push(RowRecord { table: self.table, id, cells });
        }
        Ok(())
    }
}

struct RowSeed<'s> {
    schema: &'s TableSchema,
    cells: &'s mut Vec<(usize, Datum)>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Option<Range<usize>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Option<Range<usize>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let begin = self.cells.len();
        let schema = self.schema;
        let column = |name: &str| {
            let known = schema.column(name);
            known.ok_or_else(|| format!("No column {name} in table {}.", schema.name))
        };
        while let Some(column) = map.next_key_seed(Text(column))? {
            let datum = map.next_value_seed(DatumSeed { ty: &schema.columns[column].ty })?;
            self.cells.push((column, datum));
        }
        Ok(Some(begin..self.cells.len()))
    }
}

/// A value of a column, of any number of elements.
struct DatumSeed<'s> {
    ty: &'s Type,
}

impl<'de> DeserializeSeed<'de> for DatumSeed<'_> {
    type Value = Datum;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl DatumSeed<'_> {
    fn one<E: serde::de::Error>(&self, atom: Result<Atom, E>) -> Result<Datum, E> {
        if self.ty.is_map() {
            return Err(E::custom("expected [\"map\", <array>]"));
        }
        atom.map(Datum::One)
    }
}

impl<'de> Visitor<'de> for DatumSeed<'_> {
    type Value = Datum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ty.english())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Datum, E> {
        self.one(AtomSeed { base: &self.ty.key }.visit_bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Datum, E> {
        self.one(AtomSeed { base: &self.ty.key }.visit_i64(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Datum, E> {
        self.one(AtomSeed { base: &self.ty.key }.visit_u64(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Datum, E> {
        self.one(AtomSeed { base: &self.ty.key }.visit_f64(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Datum, E> {
        self.one(AtomSeed { base: &self.ty.key }.visit_str(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Datum, A::Error> {
        let datum = match (&self.ty.value, tag(&mut seq)?) {
            (None, Tag::Uuid) => Datum::One(AtomSeed { base: &self.ty.key }.uuid(&mut seq)?),
            (None, Tag::Set) => {
                let mut atoms: Vec<Atom> = Vec::new();
                inner(&mut seq, AtomSeed { base: &self.ty.key }, &mut atoms)?;
                atoms.sort_unstable();
                if atoms.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(A::Error::custom("set contains duplicate"));
                }
                Datum::from_sorted_set(atoms)
            }
            (Some(value), Tag::Map) => {
                let mut pairs: Vec<(Atom, Atom)> = Vec::new();
                inner(&mut seq, PairSeed { key: &self.ty.key, value }, &mut pairs)?;
                pairs.sort_unstable();
                if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                    return Err(A::Error::custom("map contains duplicate key"));
                }
                Datum::from_sorted_map(pairs)
            }
            (Some(_), Tag::Set | Tag::Uuid) => {
                return Err(A::Error::custom("expected [\"map\", <array>]"));
            }
            (None, Tag::Map) => return Err(A::Error::custom("expected [\"set\", <array>]")),
        };
        ended(&mut seq)?;
        Ok(datum)
    }
}

enum Tag {
    Set,
    Map,
    Uuid,
}

fn tag<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Tag, A::Error> {
    let tag = seq.next_element_seed(Text(|text: &str| match text {
        "set" => Ok(Tag::Set),
        "map" => Ok(Tag::Map),
        "uuid" => Ok(Tag::Uuid),
        other => Err(format!("\"{other}\" where \"set\", \"map\" or \"uuid\" is expected")),
    }))?;
    tag.ok_or_else(|| A::Error::custom("an empty array where a value is expected"))
}

fn ended<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<(), A::Error> {
    match seq.next_element::<IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(A::Error::custom("expected 2-element array")),
    }
}

/// The elements of the array that is the next element.
fn inner<'de, A: SeqAccess<'de>, S: DeserializeSeed<'de> + Copy>(
    seq: &mut A,
    seed: S,
    out: &mut Vec<S::Value>,
) -> Result<(), A::Error> {
    match seq.next_element_seed(ListSeed { seed, out })? {
        Some(()) => Ok(()),
        None => Err(A::Error::custom("expected 2-element array")),
    }
}

struct ListSeed<'o, S, T> {
    seed: S,
    out: &'o mut Vec<T>,
}

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for ListSeed<'_, S, S::Value> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for ListSeed<'_, S, S::Value> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element_seed(self.seed)? {
            self.out.push(element);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct PairSeed<'s> {
    key: &'s Base,
    value: &'s Base,
}

impl<'de> DeserializeSeed<'de> for PairSeed<'_> {
    type Value = (Atom, Atom);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PairSeed<'_> {
    type Value = (Atom, Atom);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let key = seq.next_element_seed(AtomSeed { base: self.key })?;
        let value = seq.next_element_seed(AtomSeed { base: self.value })?;
        ended(&mut seq)?;
        key.zip(value).ok_or_else(|| A::Error::custom("expected 2-element array"))
    }
}

#[derive(Clone, Copy)]
struct AtomSeed<'s> {
    base: &'s Base,
}

impl AtomSeed<'_> {
    fn expected<T, E: serde::de::Error>(self) -> Result<T, E> {
        Err(E::custom(format_args!("expected {}", self.base.kind.name())))
    }

    /// The identifier behind its tag.
    fn uuid<'de, A: SeqAccess<'de>>(self, seq: &mut A) -> Result<Atom, A::Error> {
        if self.base.kind != AtomicType::Uuid {
            return self.expected();
        }
        let id = seq.next_element_seed(Text(|text: &str| {
            Uuid::parse_bytes(text.as_bytes())
                .ok_or_else(|| format!("\"{text}\" is not a valid UUID"))
        }))?;
        id.map(Atom::Uuid).ok_or_else(|| A::Error::custom("expected [\"uuid\", <string>]"))
    }
}

impl<'de> DeserializeSeed<'de> for AtomSeed<'_> {
    type Value = Atom;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Atom, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtomSeed<'_> {
    type Value = Atom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.kind.name())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Atom, E> {
        match self.base.kind {
            AtomicType::Boolean => Ok(Atom::Boolean(value)),
            _ => self.expected(),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Atom, E> {
        match self.base.kind {
            AtomicType::Integer => Ok(Atom::Integer(value)),
            AtomicType::Real => Ok(Atom::Real(value as f64)),
            _ => self.expected(),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Atom, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Atom, E> {
        match number(value) {
            Json::Integer(value) => self.visit_i64(value),
            _ if self.base.kind == AtomicType::Real => Ok(Atom::Real(value)),
            _ => self.expected(),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Atom, E> {
        match self.base.kind {
            AtomicType::String => Ok(Atom::String(Arc::from(text))),
            _ => self.expected(),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Atom, A::Error> {
        match tag(&mut seq)? {
            Tag::Uuid => {
                let atom = self.uuid(&mut seq)?;
                ended(&mut seq)?;
                Ok(atom)
            }
            Tag::Set | Tag::Map => self.expected(),
        }
    }
}
