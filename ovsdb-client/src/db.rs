//! The replica: the rows as last seen, and what changed since someone looked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use ovsdb::Uuid;
use serde::Deserializer;
use serde::de::{self, Deserialize, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::Class;
use crate::rows::{Row, Table, TableVisitor, Tables};

/// The replica of the database. Reads go through [`Tables`]: `db.bridges`, `db.ports`.
#[derive(Debug, Default)]
pub struct Db {
    tables: Tables,
    changes: BTreeMap<(Table, Uuid), Change>,
    seqno: u64,
    config_seqno: u64,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Inserted,
    /// Some columns have other values.
    Modified,
    /// It is gone.
    Deleted,
}

/// What happened to a row since the last [`crate::Session::take_changes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: ChangeKind,
    /// True if it touches a `config` column; rows that came or went always do.
    pub config: bool,
}

/// A value from the server that its column does not take. The column keeps what it had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} row {uuid}, column {column}: value {value}: {reason}", table.name())]
pub struct BadValue {
    /// The row's table.
    pub table: Table,
    /// The row.
    pub uuid: Uuid,
    /// The column.
    pub column: String,
    /// Its value as JSON, cut to 128 characters.
    pub value: String,
    /// What is accepted.
    pub reason: String,
}

/// How the server writes its updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `update`: the old and the new row (RFC 7047, section 4.1.6).
    Whole,
    /// `update2`, `update3`: the new row or the difference (`ovsdb-server(7)`).
    Difference,
}

impl Deref for Db {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.tables
    }
}

impl Db {
    /// Raised by every update that changed something.
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// Raised by every update that changed a `config` column, or made or removed a row: what the
    /// switch itself writes does not raise it.
    pub fn config_seqno(&self) -> u64 {
        self.config_seqno
    }

    pub(crate) fn take_changes(&mut self) -> BTreeMap<(Table, Uuid), Change> {
        std::mem::take(&mut self.changes)
    }

    /// Applies `<table-updates>`.
    ///
    /// # Errors
    ///
    /// The text is of another form. Part of it may be applied: the replica must be fetched anew.
    pub(crate) fn apply(
        &mut self,
        json: &RawValue,
        format: Format,
        bad: &mut Vec<BadValue>,
    ) -> Result<(), serde_json::Error> {
        let seed = TablesSeed { db: self, format, bad };
        let mut parser = serde_json::Deserializer::from_str(json.get());
        seed.deserialize(&mut parser)
    }

    /// Applies the parameters of an update notification: the monitor's id, the transaction's id in
    /// an `update3`, the tables. Gives back the transaction's id.
    pub(crate) fn apply_notification(
        &mut self,
        params: &RawValue,
        format: Format,
        with_txn: bool,
        bad: &mut Vec<BadValue>,
    ) -> Result<Uuid, serde_json::Error> {
        let visitor =
            NotificationVisitor { with_txn, tables: TablesSeed { db: self, format, bad } };
        serde_json::Deserializer::from_str(params.get()).deserialize_seq(visitor)
    }

    /// Takes a whole new content, as a difference from what there is.
    pub(crate) fn replace(
        &mut self,
        json: &RawValue,
        format: Format,
        bad: &mut Vec<BadValue>,
    ) -> Result<(), serde_json::Error> {
        let mut fresh = Db::default();
        fresh.apply(json, format, bad)?;
        for &table in Table::ALL {
            table.visit(Adopt { db: self, fresh: &mut fresh.tables });
        }
        Ok(())
    }

    /// Puts a whole row in place, if it differs.
    fn put<R: Row>(&mut self, uuid: Uuid, row: R) {
        let rows = R::rows_mut(&mut self.tables);
        let (kind, config) = match rows.get(&uuid) {
            None => (ChangeKind::Inserted, true),
            Some(old) if *old == row => return,
            Some(old) => {
                let config =
                    old.changed(&row).iter().any(|(column, _)| column.class == Class::Config);
                (ChangeKind::Modified, config)
            }
        };
        rows.insert(uuid, row);
        self.log(R::TABLE, uuid, kind, config);
    }

    fn delete<R: Row>(&mut self, uuid: Uuid) {
        if R::rows_mut(&mut self.tables).remove(&uuid).is_some() {
            self.log(R::TABLE, uuid, ChangeKind::Deleted, true);
        }
    }

    fn log(&mut self, table: Table, uuid: Uuid, kind: ChangeKind, config: bool) {
        self.seqno += 1;
        self.config_seqno += u64::from(config);
        let key = (table, uuid);
        let Some(earlier) = self.changes.get(&key).copied() else {
            self.changes.insert(key, Change { kind, config });
            return;
        };
        let kind = match (earlier.kind, kind) {
            (ChangeKind::Inserted, ChangeKind::Deleted) => {
                self.changes.remove(&key);
                return;
            }
            (ChangeKind::Inserted, ChangeKind::Inserted | ChangeKind::Modified) => {
                ChangeKind::Inserted
            }
            (ChangeKind::Modified | ChangeKind::Deleted, ChangeKind::Deleted) => {
                ChangeKind::Deleted
            }
            (
                ChangeKind::Modified | ChangeKind::Deleted,
                ChangeKind::Modified | ChangeKind::Inserted,
            ) => ChangeKind::Modified,
        };
        self.changes.insert(key, Change { kind, config: config || earlier.config });
    }
}

/// Moves a fresh table over an old one.
struct Adopt<'a> {
    db: &'a mut Db,
    fresh: &'a mut Tables,
}

impl TableVisitor for Adopt<'_> {
    type Output = ();

    fn visit<R: Row>(self) {
        let fresh = std::mem::take(R::rows_mut(self.fresh));
        let gone: Vec<Uuid> = R::rows(&self.db.tables)
            .keys()
            .filter(|uuid| !fresh.contains_key(uuid))
            .copied()
            .collect();
        for uuid in gone {
            self.db.delete::<R>(uuid);
        }
        for (uuid, row) in fresh {
            self.db.put(uuid, row);
        }
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'a>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// `[monitor, txn?, tables]`.
struct NotificationVisitor<'a> {
    with_txn: bool,
    tables: TablesSeed<'a>,
}

impl<'de> Visitor<'de> for NotificationVisitor<'_> {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the parameters of an update")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Uuid, A::Error> {
        let short = || de::Error::custom("an update with too few parameters");
        seq.next_element::<IgnoredAny>()?.ok_or_else(short)?;
        let txn = if self.with_txn { seq.next_element()?.ok_or_else(short)? } else { Uuid::ZERO };
        seq.next_element_seed(self.tables)?.ok_or_else(short)?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(txn)
    }
}

/// `{table: {uuid: update}}`.
struct TablesSeed<'a> {
    db: &'a mut Db,
    format: Format,
    bad: &'a mut Vec<BadValue>,
}

impl<'de> DeserializeSeed<'de> for TablesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TablesSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("updates by table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let Some(table) = Table::from_name(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let rows = TablesSeed { db: self.db, format: self.format, bad: self.bad };
            table.visit(OneTable { map: &mut map, rows, lifetime: PhantomData })?;
        }
        Ok(())
    }
}

/// Reads a table's updates with the row type that belongs to it.
struct OneTable<'m, 'a, 'de, A> {
    map: &'m mut A,
    rows: TablesSeed<'a>,
    lifetime: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> TableVisitor for OneTable<'_, '_, 'de, A> {
    type Output = Result<(), A::Error>;

    fn visit<R: Row>(self) -> Result<(), A::Error> {
        self.map.next_value_seed(RowsSeed::<R> { to: self.rows, row: PhantomData })
    }
}

/// `{uuid: update}`.
struct RowsSeed<'a, R> {
    to: TablesSeed<'a>,
    row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowsSeed<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowsSeed<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("updates by row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(uuid) = map.next_key::<Uuid>()? {
            let to = TablesSeed { db: self.to.db, format: self.to.format, bad: self.to.bad };
            map.next_value_seed(UpdateSeed::<R> { to, uuid, row: PhantomData })?;
        }
        Ok(())
    }
}

/// One row's update.
struct UpdateSeed<'a, R> {
    to: TablesSeed<'a>,
    uuid: Uuid,
    row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for UpdateSeed<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for UpdateSeed<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row's update")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let UpdateSeed { to: TablesSeed { db, format, bad }, uuid, .. } = self;
        let mut whole: Option<R> = None;
        let mut deleted = false;
        while let Some(Name(member)) = map.next_key()? {
            match (format, &*member) {
                (Format::Difference, "initial" | "insert") | (Format::Whole, "new") => {
                    let mut row = R::default();
                    map.next_value_seed(ColumnsSeed { row: &mut row, uuid, diff: false, bad })?;
                    whole = Some(row);
                }
                (Format::Difference, "modify") => {
                    let Some(row) = R::rows_mut(&mut db.tables).get_mut(&uuid) else {
                        let text = format!("{} row {uuid} is unknown", R::TABLE.name());
                        return Err(de::Error::custom(text));
                    };
                    let config = map.next_value_seed(ColumnsSeed { row, uuid, diff: true, bad })?;
                    db.log(R::TABLE, uuid, ChangeKind::Modified, config);
                }
                (Format::Difference, "delete") | (Format::Whole, "old") => {
                    map.next_value::<IgnoredAny>()?;
                    deleted = true;
                }
                (Format::Difference | Format::Whole, _) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match whole {
            Some(row) => db.put(uuid, row),
            None if deleted => db.delete::<R>(uuid),
            None => {}
        }
        Ok(())
    }
}

/// `{column: value}`; gives back whether a `config` column was there.
struct ColumnsSeed<'a, R> {
    row: &'a mut R,
    uuid: Uuid,
    diff: bool,
    bad: &'a mut Vec<BadValue>,
}

impl<'de, R: Row> DeserializeSeed<'de> for ColumnsSeed<'_, R> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for ColumnsSeed<'_, R> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut config = false;
        while let Some(Name(column)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            let applied = if self.diff {
                self.row.apply_json(&column, value.get())
            } else {
                self.row.set_json(&column, value.get())
            };
            match applied {
                // `_version`, or a column that was not asked for.
                None => continue,
                Some(Ok(())) => {}
                Some(Err(error)) => self.bad.push(BadValue {
                    table: R::TABLE,
                    uuid: self.uuid,
                    column: column.clone().into_owned(),
                    value: value.get().chars().take(128).collect(),
                    reason: error.reason,
                }),
            }
            config |= self.diff
                && R::COLUMNS.iter().any(|info| info.name == column && info.class == Class::Config);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Port;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    fn apply(db: &mut Db, update: &str) -> Result<Vec<BadValue>, serde_json::Error> {
        let text = format!(r#"{{"Port":{{"{ID}":{update}}},"Other":{{"x":[1]}}}}"#);
        let json: Box<RawValue> = serde_json::from_str(&text).unwrap();
        let mut bad = Vec::new();
        db.apply(&json, Format::Difference, &mut bad).map(|()| bad)
    }

    fn port(db: &Db) -> &Port {
        &db.ports[&ID.parse().unwrap()]
    }

    #[test]
    fn only_the_operators_columns_raise_the_config_seqno() {
        let mut db = Db::default();
        assert_eq!(apply(&mut db, r#"{"insert":{"name":"p0","tag":5}}"#).unwrap(), []);
        assert_eq!((db.seqno(), db.config_seqno()), (1, 1));
        apply(&mut db, r#"{"modify":{"bond_active_slave":"x"}}"#).unwrap();
        assert_eq!((db.seqno(), db.config_seqno()), (2, 1));
        apply(&mut db, r#"{"modify":{"other_config":["map",[["k","v"]]],"tag":["set",[]]}}"#)
            .unwrap();
        assert_eq!((db.seqno(), db.config_seqno()), (3, 2));
        assert_eq!((port(&db).tag, port(&db).other_config["k"].as_str()), (None, "v"));
        let changes = db.take_changes();
        let change = changes[&(Table::Port, ID.parse().unwrap())];
        assert_eq!(change, Change { kind: ChangeKind::Inserted, config: true });
        apply(&mut db, r#"{"delete":null}"#).unwrap();
        assert!(db.ports.is_empty());
        apply(&mut db, r#"{"insert":{"name":"p1"}}"#).unwrap();
        let change = db.take_changes()[&(Table::Port, ID.parse().unwrap())];
        assert_eq!(change, Change { kind: ChangeKind::Modified, config: true });
    }

    #[test]
    fn bad_value_is_reported_and_the_other_columns_are_applied() {
        let mut db = Db::default();
        let bad = apply(&mut db, r#"{"insert":{"tag":"five","name":"p0","extra":1}}"#).unwrap();
        assert_eq!(port(&db).name, "p0");
        assert_eq!(bad.len(), 1);
        let text = bad[0].to_string();
        assert_eq!(
            text.split(" at line").next().unwrap(),
            format!(
                "Port row {ID}, column tag: value \"five\": \
                 a string where a value of type integer is accepted"
            )
        );
    }

    #[test]
    fn update_that_does_not_fit_the_replica_is_an_error() {
        assert!(apply(&mut Db::default(), r#"{"modify":{"tag":5}}"#).is_err());
        assert!(apply(&mut Db::default(), "7").is_err());
    }

    #[test]
    fn a_whole_content_replaces_as_a_difference() {
        let mut db = Db::default();
        apply(&mut db, r#"{"insert":{"name":"p0"}}"#).unwrap();
        db.take_changes();
        let other = "00000000-0000-0000-0000-000000000002";
        let text = format!(
            r#"{{"Port":{{"{ID}":{{"new":{{"name":"p0"}}}},"{other}":{{"new":{{"name":"p1"}}}}}}}}"#
        );
        let json: Box<RawValue> = serde_json::from_str(&text).unwrap();
        db.replace(&json, Format::Whole, &mut Vec::new()).unwrap();
        assert_eq!(db.take_changes().len(), 1, "only p1 is new");
        let json: Box<RawValue> = serde_json::from_str("{}").unwrap();
        db.replace(&json, Format::Whole, &mut Vec::new()).unwrap();
        assert!(db.ports.is_empty());
        assert!(db.take_changes().values().all(|change| change.kind == ChangeKind::Deleted));
    }
}
