//! Transactions (RFC 7047, section 5.2), built from typed columns.

use std::collections::BTreeMap;

use ovsdb::Uuid;
use ovsdb::value::push_json_string;
use serde::Deserialize;

use crate::atom::AtomValue;
use crate::column::{Column, ColumnValue};
use crate::reference::{STAND_IN_MASK, push_reference, stand_in};
use crate::rows::{Row, Table, Tables};

/// Names a transaction until its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub(crate) u64);

/// Operations that are done together or not at all.
///
/// Columns of the same row are gathered into one operation. Columns that the server's schema lacks
/// are left out when the transaction is sent.
///
/// ```
/// use ovsdb_client::{Bridge, Interface, OpenVSwitch, Port, Txn, Uuid};
/// # let (root, bridge) = (Uuid::from_random(1), Uuid::from_random(2));
/// // A bond of two on an existing bridge.
/// let mut txn = Txn::new();
/// txn.comment("add bond0");
/// let members: Vec<Uuid> = ["eth0", "eth1"]
///     .iter()
///     .map(|name| {
///         let interface = txn.insert::<Interface>();
///         txn.set(interface, Interface::COL.name, &name.to_string());
///         interface
///     })
///     .collect();
/// let port = txn.insert::<Port>();
/// txn.set(port, Port::COL.name, &"bond0".to_owned());
/// txn.set(port, Port::COL.interfaces, &members);
/// txn.set(port, Port::COL.bond_mode, &Some("active-backup".to_owned()));
/// txn.add(bridge, Bridge::COL.ports, &[port]);
/// txn.increment(root, OpenVSwitch::COL.next_cfg, 1);
/// // `session.transact(txn)`, or `client.transact(&txn)`.
/// ```
#[derive(Debug, Clone, Default)]
pub struct Txn {
    ops: Vec<Op>,
    /// Where columns of a row go that is already being written.
    writes: BTreeMap<(Table, Uuid), usize>,
    inserted: u32,
    comments: Vec<String>,
}

#[derive(Debug, Clone)]
struct Op {
    table: Table,
    uuid: Uuid,
    kind: OpKind,
}

#[derive(Debug, Clone)]
enum OpKind {
    Insert(Vec<(&'static str, String)>),
    Update(Vec<(&'static str, String)>),
    Mutate { column: &'static str, mutator: &'static str, json: String },
    Wait { column: &'static str, json: String },
    Delete,
}

impl OpKind {
    const fn name(&self) -> &'static str {
        match self {
            OpKind::Insert(_) => "insert",
            OpKind::Update(_) => "update",
            OpKind::Mutate { .. } => "mutate",
            OpKind::Wait { .. } => "wait",
            OpKind::Delete => "delete",
        }
    }
}

/// What an operation was, to say it when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpInfo {
    /// `update`, `insert`, `mutate`, `wait`, `delete`, `assert` or `comment`.
    pub op: &'static str,
    /// Its table, if it has one.
    pub table: Option<Table>,
    /// Its row; a stand-in for a row that is inserted.
    pub uuid: Uuid,
    /// The columns it touches.
    pub columns: Vec<&'static str>,
}

impl std::fmt::Display for OpInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.op)?;
        if let Some(table) = self.table {
            write!(f, " of {} row {}", table.name(), self.uuid)?;
        }
        if !self.columns.is_empty() {
            write!(f, " ({})", self.columns.join(", "))?;
        }
        Ok(())
    }
}

/// Why a transaction was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// The server refused one operation.
    #[error("{operation}: {error}{}", details.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
    Operation {
        /// Which.
        operation: OpInfo,
        /// The server's word: `constraint violation`, `timed out`, `not owner` and the like.
        error: String,
        /// The server's explanation.
        details: Option<String>,
    },
    /// Every operation was good, but together they are not.
    #[error("commit: {error}{}", details.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
    Commit {
        /// The server's word: `referential integrity violation` and the like.
        error: String,
        /// The server's explanation.
        details: Option<String>,
    },
    /// The server refused the request as a whole.
    #[error("the server refused the transaction: {0}")]
    Refused(String),
    /// The session's lock is not held.
    #[error("the lock is not held")]
    NotLocked,
    /// There is no connection, or it broke before the answer came: it may be done or not.
    #[error("not connected to the database")]
    Disconnected,
    /// The answer cannot be understood.
    #[error("bad answer: {0}")]
    BadReply(String),
}

impl TxnError {
    /// True if the same transaction, built anew from newer contents, may well be done: a value was
    /// not as verified, the cluster was without a leader, the lock or the connection was lost.
    ///
    /// After [`TxnError::Disconnected`] the first one may be done already; the code that builds the next
    /// one from the contents sees that.
    pub fn is_transient(&self) -> bool {
        match self {
            TxnError::Operation { operation, error, .. } => match error.as_str() {
                "timed out" => operation.op == "wait",
                "cluster error" | "not owner" => true,
                _ => false,
            },
            TxnError::Commit { error, .. } => error == "cluster error",
            TxnError::NotLocked | TxnError::Disconnected => true,
            TxnError::Refused(_) | TxnError::BadReply(_) => false,
        }
    }
}

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnReply {
    /// Rows changed by updates, mutations and deletes together.
    pub changed: u64,
    inserted: BTreeMap<Uuid, Uuid>,
}

impl TxnReply {
    /// The UUID that the server gave to a row, by the stand-in from [`Txn::insert`].
    pub fn inserted(&self, stand_in: Uuid) -> Option<Uuid> {
        self.inserted.get(&stand_in).copied()
    }
}

impl Txn {
    /// An empty transaction.
    pub fn new() -> Txn {
        Txn::default()
    }

    /// True if it would do nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Writes one column of a row, given by its UUID or by the stand-in from [`Txn::insert`].
    pub fn set<R: Row, T: ColumnValue>(&mut self, row: Uuid, column: Column<R, T>, value: &T) {
        let mut json = String::new();
        value.encode(&mut json);
        self.set_json(R::TABLE, row, column.info.name, json);
    }

    /// Writes one column if the replica has another value; says whether it does.
    pub fn set_if_changed<R: Row, T: ColumnValue>(
        &mut self,
        tables: &Tables,
        row: Uuid,
        column: Column<R, T>,
        value: &T,
    ) -> bool {
        let same = R::rows(tables).get(&row).is_none_or(|old| (column.get)(old) == value);
        if !same {
            self.set(row, column, value);
        }
        !same
    }

    /// Writes the columns in which `new` differs from `old`; says how many.
    pub fn update<R: Row>(&mut self, row: Uuid, old: &R, new: &R) -> usize {
        let changed = old.changed(new);
        let number = changed.len();
        for (column, json) in changed {
            self.set_json(R::TABLE, row, column.name, json);
        }
        number
    }

    fn set_json(&mut self, table: Table, uuid: Uuid, name: &'static str, json: String) {
        let at = *self.writes.entry((table, uuid)).or_insert_with(|| {
            self.ops.push(Op { table, uuid, kind: OpKind::Update(Vec::new()) });
            self.ops.len() - 1
        });
        if let OpKind::Insert(columns) | OpKind::Update(columns) = &mut self.ops[at].kind {
            columns.retain(|(known, _)| *known != name);
            columns.push((name, json));
        }
    }

    /// Inserts a row with default columns; the UUID given back stands for it in this transaction.
    pub fn insert<R: Row>(&mut self) -> Uuid {
        let uuid = stand_in(self.inserted);
        self.inserted += 1;
        self.writes.insert((R::TABLE, uuid), self.ops.len());
        self.ops.push(Op { table: R::TABLE, uuid, kind: OpKind::Insert(Vec::new()) });
        uuid
    }

    /// Deletes a row of a root table, or one that nothing refers to any more.
    pub fn delete<R: Row>(&mut self, row: Uuid) {
        self.writes.remove(&(R::TABLE, row));
        self.ops.push(Op { table: R::TABLE, uuid: row, kind: OpKind::Delete });
    }

    fn mutate<R: Row, T>(
        &mut self,
        uuid: Uuid,
        column: Column<R, T>,
        mutator: &'static str,
        json: String,
    ) {
        let kind = OpKind::Mutate { column: column.info.name, mutator, json };
        self.ops.push(Op { table: R::TABLE, uuid, kind });
    }

    /// Adds elements to a set.
    pub fn add<R: Row, T: AtomValue>(
        &mut self,
        row: Uuid,
        column: Column<R, Vec<T>>,
        elements: &[T],
    ) {
        self.mutate(row, column, "insert", encoded(&elements.to_vec()));
    }

    /// Takes elements out of a set.
    pub fn remove<R: Row, T: AtomValue>(
        &mut self,
        row: Uuid,
        column: Column<R, Vec<T>>,
        elements: &[T],
    ) {
        self.mutate(row, column, "delete", encoded(&elements.to_vec()));
    }

    /// Sets one key of a map, overwriting the value it had.
    pub fn set_key<R: Row, K: AtomValue, V: AtomValue>(
        &mut self,
        row: Uuid,
        column: Column<R, BTreeMap<K, V>>,
        key: &K,
        value: &V,
    ) {
        self.remove_key(row, column, key);
        let pair = BTreeMap::from([(key.clone(), value.clone())]);
        self.mutate(row, column, "insert", encoded(&pair));
    }

    /// Adds keys to a map; one that is there by then keeps its value.
    pub fn add_keys<R: Row, K: AtomValue, V: AtomValue>(
        &mut self,
        row: Uuid,
        column: Column<R, BTreeMap<K, V>>,
        pairs: &BTreeMap<K, V>,
    ) {
        self.mutate(row, column, "insert", encoded(pairs));
    }

    /// Takes one key out of a map.
    pub fn remove_key<R: Row, K: AtomValue, V: AtomValue>(
        &mut self,
        row: Uuid,
        column: Column<R, BTreeMap<K, V>>,
        key: &K,
    ) {
        self.mutate(row, column, "delete", encoded(&vec![key.clone()]));
    }

    /// Adds to an integer.
    pub fn increment<R: Row>(&mut self, row: Uuid, column: Column<R, i64>, by: i64) {
        self.mutate(row, column, "+=", by.to_string());
    }

    /// Lets the transaction fail with `timed out` if the column has another value by now.
    pub fn verify<R: Row, T: ColumnValue>(&mut self, row: Uuid, column: Column<R, T>, value: &T) {
        let kind = OpKind::Wait { column: column.info.name, json: encoded(value) };
        self.ops.push(Op { table: R::TABLE, uuid: row, kind });
    }

    /// The value of a column in the replica, verified: the transaction fails with `timed out` if it
    /// is another one by the time the server does it. `None` if there is no such row.
    pub fn read<'t, R: Row, T: ColumnValue>(
        &mut self,
        tables: &'t Tables,
        row: Uuid,
        column: Column<R, T>,
    ) -> Option<&'t T> {
        let value = (column.get)(R::rows(tables).get(&row)?);
        self.verify(row, column, value);
        Some(value)
    }

    /// Adds a comment to the database's log.
    pub fn comment(&mut self, text: &str) {
        self.comments.push(text.to_owned());
    }

    /// The parameters of the `transact` request, and what each operation is. `has` says whether the
    /// server knows a column.
    pub(crate) fn encode(
        &self,
        database: &str,
        lock: Option<&str>,
        has: impl Fn(Table, &str) -> bool,
    ) -> (String, Vec<OpInfo>) {
        let mut out = String::from("[");
        push_json_string(&mut out, database);
        let mut infos = Vec::new();
        let bare = |op| OpInfo { op, table: None, uuid: Uuid::ZERO, columns: Vec::new() };
        if let Some(lock) = lock {
            out.push_str(r#",{"op":"assert","lock":"#);
            push_json_string(&mut out, lock);
            out.push('}');
            infos.push(bare("assert"));
        }
        for op in &self.ops {
            if let Some(columns) = op.push_json(&mut out, &has) {
                let table = Some(op.table);
                infos.push(OpInfo { op: op.kind.name(), table, uuid: op.uuid, columns });
            }
        }
        for comment in &self.comments {
            out.push_str(r#",{"op":"comment","comment":"#);
            push_json_string(&mut out, comment);
            out.push('}');
            infos.push(bare("comment"));
        }
        out.push(']');
        (out, infos)
    }
}

fn encoded<T: ColumnValue>(value: &T) -> String {
    let mut out = String::new();
    value.encode(&mut out);
    out
}

impl Op {
    /// Appends `,{…}` and gives the columns; nothing if no column of it is known to the server.
    fn push_json(
        &self,
        out: &mut String,
        has: &impl Fn(Table, &str) -> bool,
    ) -> Option<Vec<&'static str>> {
        use std::fmt::Write;
        let columns: Vec<&'static str> = match &self.kind {
            OpKind::Insert(columns) | OpKind::Update(columns) => {
                columns.iter().map(|(name, _)| *name).filter(|name| has(self.table, name)).collect()
            }
            OpKind::Mutate { column, .. } | OpKind::Wait { column, .. } => {
                if !has(self.table, column) {
                    return None;
                }
                vec![column]
            }
            OpKind::Delete => Vec::new(),
        };
        if columns.is_empty() && matches!(self.kind, OpKind::Update(_)) {
            return None;
        }
        let _ = write!(out, r#",{{"op":"{}","table":"{}""#, self.kind.name(), self.table.name());
        if !matches!(self.kind, OpKind::Insert(_)) {
            out.push_str(r#","where":[["_uuid","==","#);
            push_reference(out, self.uuid);
            out.push_str("]]");
        }
        match &self.kind {
            OpKind::Insert(values) | OpKind::Update(values) => {
                if matches!(self.kind, OpKind::Insert(_)) {
                    let number = self.uuid.as_u128() & !STAND_IN_MASK;
                    let _ = write!(out, r#","uuid-name":"row{number}""#);
                }
                out.push_str(r#","row":{"#);
                let known = values.iter().filter(|(name, _)| columns.contains(name));
                for (at, (name, json)) in known.enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    let _ = write!(out, r#"{comma}"{name}":{json}"#);
                }
                out.push_str("}}");
            }
            OpKind::Mutate { column, mutator, json } => {
                let _ = write!(out, r#","mutations":[["{column}","{mutator}",{json}]]}}"#);
            }
            OpKind::Wait { column, json } => {
                let _ = write!(
                    out,
                    r#","timeout":0,"until":"==","columns":["{column}"],"rows":[{{"{column}":{json}}}]}}"#
                );
            }
            OpKind::Delete => out.push('}'),
        }
        Some(columns)
    }
}

#[derive(Deserialize, Default)]
struct OpResult {
    #[serde(default)]
    count: u64,
    #[serde(default)]
    uuid: Option<(String, Uuid)>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    details: Option<String>,
}

/// Reads the result of a `transact` request whose operations were `infos`.
pub(crate) fn parse_reply(result: &str, infos: &[OpInfo]) -> Result<TxnReply, TxnError> {
    let results: Vec<Option<OpResult>> =
        serde_json::from_str(result).map_err(|error| TxnError::BadReply(error.to_string()))?;
    let mut reply = TxnReply::default();
    let number = results.len();
    for (at, result) in results.into_iter().enumerate() {
        // A null stands for an operation after one that failed.
        let result = result.unwrap_or_default();
        if let Some(error) = result.error {
            let details = result.details;
            return Err(match infos.get(at) {
                Some(info) => TxnError::Operation { operation: info.clone(), error, details },
                None => TxnError::Commit { error, details },
            });
        }
        reply.changed += result.count;
        if let (Some((_, uuid)), Some(info)) = (result.uuid, infos.get(at)) {
            reply.inserted.insert(info.uuid, uuid);
        }
    }
    if number < infos.len() {
        let text = format!("{number} results for {} operations", infos.len());
        return Err(TxnError::BadReply(text));
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Bridge, Interface, Port};

    #[test]
    fn a_transaction_encodes() {
        let row = Uuid::from_random(5);
        let mut txn = Txn::new();
        txn.set(row, Interface::COL.link_state, &Some("up".to_owned()));
        txn.set(row, Interface::COL.mtu, &Some(1500));
        txn.set(row, Interface::COL.link_state, &None);
        let port = txn.insert::<Port>();
        txn.set(port, Port::COL.name, &"p\"0".to_owned());
        txn.set(port, Port::COL.protected, &true);
        txn.add(row, Bridge::COL.ports, &[port]);
        txn.verify(row, Interface::COL.mtu, &Some(9));
        txn.set_key(row, Port::COL.other_config, &"k".to_owned(), &"v".to_owned());
        txn.delete::<Port>(row);
        txn.comment("why");
        let (text, infos) = txn.encode("db", Some("lock"), |_, column| column != "protected");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let me = format!(r#"[["_uuid","==",["uuid","{row}"]]]"#);
        let expected = format!(
            r#"["db",{{"op":"assert","lock":"lock"}},
            {{"op":"update","table":"Interface","where":{me},"row":{{"mtu":1500,"link_state":["set",[]]}}}},
            {{"op":"insert","table":"Port","uuid-name":"row0","row":{{"name":"p\"0"}}}},
            {{"op":"mutate","table":"Bridge","where":{me},"mutations":[["ports","insert",["set",[["named-uuid","row0"]]]]]}},
            {{"op":"wait","table":"Interface","where":{me},"timeout":0,"until":"==","columns":["mtu"],"rows":[{{"mtu":9}}]}},
            {{"op":"mutate","table":"Port","where":{me},"mutations":[["other_config","delete",["set",["k"]]]]}},
            {{"op":"mutate","table":"Port","where":{me},"mutations":[["other_config","insert",["map",[["k","v"]]]]]}},
            {{"op":"delete","table":"Port","where":{me}}},
            {{"op":"comment","comment":"why"}}]"#
        );
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(&expected).unwrap());
        assert_eq!(infos.len(), 9);
        assert_eq!(
            infos[1].to_string(),
            format!("update of Interface row {row} (mtu, link_state)")
        );
    }

    #[test]
    fn error_in_a_reply_names_the_operation() {
        let info = |op| OpInfo { op, table: None, uuid: stand_in(3), columns: vec!["c"] };
        let given = Uuid::from_u128(77);
        let ok = format!(r#"[{{"count":2}},{{"uuid":["uuid","{given}"]}}]"#);
        let reply = parse_reply(&ok, &[info("update"), info("insert")]).unwrap();
        assert_eq!((reply.changed, reply.inserted(stand_in(3))), (2, Some(given)));
        let bad = r#"[{},{"error":"constraint violation","details":"d"},null]"#;
        let infos = [info("assert"), info("update"), info("delete")];
        let error = parse_reply(bad, &infos).unwrap_err();
        assert_eq!(error.to_string(), "update (c): constraint violation: d");
        let error = parse_reply(r#"[{},{"error":"aborted"}]"#, &infos[..1]).unwrap_err();
        assert_eq!(error.to_string(), "commit: aborted");
        assert!(parse_reply("[]", &infos).is_err());
        assert!(parse_reply("{}", &infos).is_err());
        assert!(parse_reply("[7]", &infos).is_err());
    }

    #[test]
    fn only_changed_columns_are_written() {
        let old = Interface { mtu: Some(1500), ..Interface::default() };
        let new = Interface { mtu: Some(9000), ..Interface::default() };
        let mut txn = Txn::new();
        assert_eq!(txn.update(Uuid::ZERO, &old, &old), 0);
        assert!(txn.is_empty());
        assert_eq!(txn.update(Uuid::ZERO, &old, &new), 1);
        let (text, _) = txn.encode("db", None, |_, _| true);
        assert!(text.ends_with(r#""row":{"mtu":9000}}]"#), "{text}");
        let mut tables = Tables::default();
        tables.interfaces.insert(Uuid::ZERO, old);
        assert!(!txn.set_if_changed(&tables, Uuid::ZERO, Interface::COL.mtu, &Some(1500)));
        assert!(txn.set_if_changed(&tables, Uuid::ZERO, Interface::COL.mtu, &None));
    }
}
