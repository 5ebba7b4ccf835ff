//! A transaction being built: commands read through it, so that each sees what those before it
//! did (RFC 7047, section 5.2).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ovsdb::value::push_json_string;
use ovsdb::{Atom, DatabaseSchema, Datum, Uuid};

use super::encode::{Encoder, Request};
use super::replica::Rows;
use super::row::RowId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// `chosen` if the user chose the UUID; otherwise the server will.
    Inserted {
        chosen: bool,
    },
    Deleted,
}

#[derive(Debug)]
struct Change<'s> {
    fate: Fate,
    written: BTreeMap<&'s str, Datum>,
    /// Keys of maps, put without looking at the rest of the map.
    put: BTreeMap<&'s str, BTreeMap<Atom, Atom>>,
    verified: BTreeSet<&'s str>,
}

impl Change<'_> {
    fn new(fate: Fate) -> Self {
        Change { fate, written: BTreeMap::new(), put: BTreeMap::new(), verified: BTreeSet::new() }
    }
}

/// A transaction over the rows of a replica.
#[derive(Debug)]
pub struct Txn<'s> {
    schema: &'s DatabaseSchema,
    rows: &'s Rows,
    changes: BTreeMap<RowId<'s>, Change<'s>>,
    increment: Option<(RowId<'s>, &'static str)>,
    comment: String,
    dry_run: bool,
}

impl<'s> Txn<'s> {
    /// A transaction without operations.
    pub fn new(schema: &'s DatabaseSchema, rows: &'s Rows) -> Txn<'s> {
        Txn {
            schema,
            rows,
            changes: BTreeMap::new(),
            increment: None,
            comment: String::new(),
            dry_run: false,
        }
    }

    /// The server's schema.
    pub fn schema(&self) -> &'s DatabaseSchema {
        self.schema
    }

    /// Do everything but the commit.
    pub fn set_dry_run(&mut self) {
        self.dry_run = true;
    }

    /// A line for the server's log.
    pub fn set_comment(&mut self, comment: String) {
        self.comment = comment;
    }

    /// Adds one to a column if the transaction changes anything.
    pub fn set_increment(&mut self, row: RowId<'s>, column: &'static str) {
        self.increment = Some((row, column));
    }

    /// The rows of a table, by UUID.
    pub fn rows(&self, table: &'s str) -> Vec<RowId<'s>> {
        let mut rows: BTreeSet<Uuid> = self.rows.table(table).collect();
        let from = RowId { table, uuid: Uuid::ZERO };
        for (row, change) in self.changes.range(from..).take_while(|(row, _)| row.table == table) {
            match change.fate {
                Fate::Deleted => rows.remove(&row.uuid),
                Fate::Inserted { .. } => rows.insert(row.uuid),
                Fate::Kept => true,
            };
        }
        rows.into_iter().map(|uuid| RowId { table, uuid }).collect()
    }

    /// True if the row is there and not deleted.
    pub fn exists(&self, row: RowId<'_>) -> bool {
        match self.change(row).map(|change| change.fate) {
            Some(Fate::Deleted) => false,
            Some(Fate::Inserted { .. }) => true,
            Some(Fate::Kept) | None => self.rows.row(row.table, row.uuid).is_some(),
        }
    }

    /// True for a row that this transaction inserts.
    pub fn is_new(&self, row: RowId<'_>) -> bool {
        self.change(row).is_some_and(|change| matches!(change.fate, Fate::Inserted { .. }))
    }

    fn change<'a>(&'a self, row: RowId<'a>) -> Option<&'a Change<'s>>
    where
        's: 'a,
    {
        let changes: &'a BTreeMap<RowId<'a>, Change<'s>> = &self.changes;
        changes.get(&row)
    }

    fn change_mut(&mut self, row: RowId<'s>) -> &mut Change<'s> {
        self.changes.entry(row).or_insert_with(|| Change::new(Fate::Kept))
    }

    /// What a column holds, with this transaction's writes. A column that the schema lacks or that
    /// nobody wanted is empty.
    pub fn read(&self, row: RowId<'s>, column: &str) -> Cow<'_, Datum> {
        let written = self.changes.get(&row).and_then(|change| change.written.get(column));
        let stored = || self.rows.row(row.table, row.uuid).and_then(|row| row.get(column));
        if let Some(datum) = written.or_else(stored) {
            return Cow::Borrowed(datum);
        }
        let known = self.schema.tables.get(row.table).and_then(|table| table.columns.get(column));
        Cow::Owned(match known {
            Some(known) => Datum::default_of(&known.column_type),
            None => Datum::Set(BTreeSet::new()),
        })
    }

    /// Makes the transaction depend on a column's value as it was read.
    pub fn verify(&mut self, row: RowId<'s>, column: &'s str) {
        if self.is_new(row) || self.rows.row(row.table, row.uuid).is_none() {
            return;
        }
        let change = self.change_mut(row);
        if !change.written.contains_key(column) {
            change.verified.insert(column);
        }
    }

    /// Writes a column.
    pub fn write(&mut self, row: RowId<'s>, column: &'s str, datum: Datum) {
        let change = self.change_mut(row);
        change.put.remove(column);
        change.written.insert(column, datum);
    }

    /// True if a column of this row was written, or the row is new: its value is known.
    pub fn is_written(&self, row: RowId<'s>, column: &str) -> bool {
        self.is_new(row)
            || self.changes.get(&row).is_some_and(|change| change.written.contains_key(column))
    }

    /// Puts a key of a map, whatever the other keys are. What is read does not show it: for the
    /// last command only.
    pub fn put(&mut self, row: RowId<'s>, column: &'s str, key: Atom, value: Atom) {
        self.change_mut(row).put.entry(column).or_default().insert(key, value);
    }

    /// Inserts a row. Without a UUID of the user's it has a stand-in, which must be fresh.
    pub fn insert(&mut self, table: &'s str, uuid: Uuid, chosen: bool) -> RowId<'s> {
        let row = RowId { table, uuid };
        self.changes.insert(row, Change::new(Fate::Inserted { chosen }));
        row
    }

    /// Deletes a row.
    pub fn delete(&mut self, row: RowId<'s>) {
        if self.is_new(row) {
            self.changes.remove(&row);
        } else {
            let change = self.change_mut(row);
            change.fate = Fate::Deleted;
            change.written.clear();
            change.put.clear();
        }
    }

    /// The operations; `None` if nothing changes.
    pub fn encode(&self) -> Option<Request> {
        let stand_ins: BTreeSet<Uuid> = self
            .changes
            .iter()
            .filter(|(_, change)| change.fate == Fate::Inserted { chosen: false })
            .map(|(row, _)| row.uuid)
            .collect();
        let mut out = Encoder::new(self.schema, stand_ins);
        let mut inserts = BTreeMap::new();
        let mut any = false;
        for (row, change) in self.changes.iter().filter(|(_, change)| !change.verified.is_empty()) {
            out.wait(*row, &change.verified, self.rows);
        }
        self.expect_empty_singletons(&mut out);
        for (row, change) in &self.changes {
            match change.fate {
                // The server collects rows that nothing refers to; only those of root tables stay.
                Fate::Deleted => {
                    if self.schema.tables.get(row.table).is_some_and(|table| table.is_root) {
                        out.operation("delete", *row, "");
                        any = true;
                    }
                }
                Fate::Inserted { chosen } => {
                    inserts.insert(out.operations.len(), row.uuid);
                    out.insert(*row, chosen, &change.written);
                    any = true;
                }
                Fate::Kept => {
                    if !change.written.is_empty() {
                        out.update(*row, &change.written);
                        any |= change.written.iter().any(|(column, datum)| {
                            self.stored(*row, column).as_deref() != Some(datum)
                        });
                    }
                    any |= out.mutate(*row, &change.put, self.rows);
                }
            }
        }
        if !any {
            return None;
        }
        let mut increment = None;
        if let Some((row, column)) = self.increment {
            let by = format!(",\"mutations\":[[\"{column}\",\"+=\",1]]");
            out.operation("mutate", row, &by);
            increment = Some(out.operations.len());
            out.operation("select", row, &format!(",\"columns\":[\"{column}\"]"));
        }
        if !self.comment.is_empty() {
            let mut operation = "{\"op\":\"comment\",\"comment\":".to_owned();
            push_json_string(&mut operation, &self.comment);
            out.operations.push(operation + "}");
        }
        if self.dry_run {
            out.operations.push("{\"op\":\"abort\"}".to_owned());
        }
        let mut params = String::from("[");
        push_json_string(&mut params, &self.schema.name);
        for operation in &out.operations {
            params.push(',');
            params.push_str(operation);
        }
        params.push(']');
        Some(Request::new(params, inserts, increment))
    }

    fn stored(&self, row: RowId<'s>, column: &str) -> Option<Cow<'_, Datum>> {
        self.rows.row(row.table, row.uuid)?.get(column).map(Cow::Borrowed)
    }

    /// A first row of a table for one row: if somebody else inserts it too, this is to be tried
    /// again rather than refused.
    fn expect_empty_singletons(&self, out: &mut Encoder<'_>) {
        for (name, table) in &self.schema.tables {
            if !(table.is_root && table.max_rows == 1) {
                continue;
            }
            if self.rows.table(name).next().is_none() && self.rows(name).len() == 1 {
                out.operations.push(format!(
                    "{{\"op\":\"wait\",\"table\":\"{name}\",\"timeout\":0,\"where\":[],\
                     \"until\":\"==\",\"rows\":[]}}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::Outcome;
    use super::*;
    use serde_json::Value;

    fn schema() -> DatabaseSchema {
        DatabaseSchema::parse(
            r#"{"name":"db","version":"1.0.0","tables":{
                "Root":{"isRoot":true,"maxRows":1,"columns":{"n":{"type":"integer"},
                    "leaves":{"type":{"key":{"type":"uuid","refTable":"Leaf"},"min":0,"max":"unlimited"}},
                    "ids":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}},
                "Leaf":{"columns":{"name":{"type":"string"}}}}}"#,
        )
        .unwrap()
    }

    fn text(text: &str) -> Atom {
        Atom::String(text.to_owned())
    }

    const ROOT: RowId<'static> = RowId { table: "Root", uuid: Uuid::from_u128(1) };
    const LEAF: RowId<'static> = RowId { table: "Leaf", uuid: Uuid::from_u128(2) };

    fn rows(schema: &DatabaseSchema) -> Rows {
        let mut rows = Rows::default();
        let (root, leaf) = (ROOT.uuid, LEAF.uuid);
        let json = format!(
            r#"{{"Root":{{"{root}":{{"new":{{"n":1,"leaves":["uuid","{leaf}"],"ids":["map",[["a","1"]]]}}}}}},
                "Leaf":{{"{leaf}":{{"new":{{"name":"x"}}}}}}}}"#
        );
        rows.apply(schema, &json).unwrap();
        rows
    }

    #[test]
    fn reads_see_writes() {
        let schema = schema();
        let rows = rows(&schema);
        let mut txn = Txn::new(&schema, &rows);
        let new = txn.insert("Leaf", Uuid::from_u128(3), false);
        txn.write(new, "name", Datum::scalar(text("y")));
        assert_eq!(txn.rows("Leaf"), [LEAF, new]);
        assert_eq!(txn.read(new, "name").to_json(), "\"y\"");
        txn.delete(LEAF);
        assert!(!txn.exists(LEAF) && txn.is_new(new));
        txn.delete(new);
        assert!(txn.rows("Leaf").is_empty());
        // Only unreferenced rows outside of the root were deleted: nothing to send.
        assert!(txn.encode().is_none());
    }

    #[test]
    fn operations_and_answers() {
        let schema = schema();
        let rows = rows(&schema);
        let mut txn = Txn::new(&schema, &rows);
        txn.set_increment(ROOT, "n");
        txn.verify(ROOT, "leaves");
        let new = txn.insert("Leaf", Uuid::from_u128(3), false);
        txn.write(new, "name", Datum::scalar(text("y")));
        txn.write(ROOT, "leaves", Datum::scalar(Atom::Uuid(new.uuid)));
        txn.put(ROOT, "ids", text("a"), text("2"));
        let request = txn.encode().unwrap();
        let operations: Vec<Value> = serde_json::from_str(&request.params).unwrap();
        let name = "row00000000_0000_0000_0000_000000000003";
        assert_eq!(operations[0], "db");
        assert_eq!(operations[1]["rows"][0]["leaves"][1][0][1], LEAF.uuid.to_string());
        assert_eq!(operations[2]["uuid-name"], name);
        assert_eq!(operations[3]["row"]["leaves"][1][0][1], name);
        assert_eq!(operations[4]["mutations"][0][2][1][0], "a");
        assert_eq!(operations[6]["op"], "select");
        let answer = format!(
            r#"[{{}},{{"uuid":["uuid","{}"]}},{{}},{{}},{{}},{{"rows":[{{"n":2}}]}}]"#,
            Uuid::from_u128(9)
        );
        let inserted = BTreeMap::from([(new.uuid, Uuid::from_u128(9))]);
        assert_eq!(request.outcome(Ok(&answer)), Outcome::Done { inserted, incremented: Some(2) });
        assert_eq!(request.outcome(Ok(r#"[{"error":"timed out"},null]"#)), Outcome::TryAgain);
        assert_eq!(request.outcome(Err("\"canceled\"")), Outcome::TryAgain);
        let refused = r#"{"details":"d","error":"constraint violation"}"#;
        assert_eq!(
            request.outcome(Ok(&format!("[{{}},{refused},null]"))),
            Outcome::Refused(refused.to_owned())
        );
    }

    #[test]
    fn writing_what_is_there_is_no_change() {
        let schema = schema();
        let rows = rows(&schema);
        let mut txn = Txn::new(&schema, &rows);
        txn.set_increment(ROOT, "n");
        txn.put(ROOT, "ids", text("a"), text("1"));
        txn.write(LEAF, "name", Datum::scalar(text("x")));
        assert!(txn.encode().is_none());
        txn.write(LEAF, "name", Datum::scalar(text("z")));
        assert!(txn.encode().is_some());
        txn.delete(ROOT);
        assert!(txn.encode().unwrap().params.contains("\"delete\""));
    }

    #[test]
    fn a_first_row_is_expected_to_be_the_first() {
        let schema = schema();
        let rows = Rows::default();
        let mut txn = Txn::new(&schema, &rows);
        txn.insert("Root", Uuid::from_u128(3), true);
        let params = txn.encode().unwrap().params;
        assert!(params.contains("\"until\":\"==\",\"rows\":[]"), "{params}");
        assert!(params.contains("\"uuid\":\"00000000"), "{params}");
    }
}
