//! The server's own database, `_Server`, whose rows describe the others (`ovsdb-server(5)`).

use std::sync::Arc;

use ovsdb::Uuid;
use ovsdb::declare::{Col, Db, Tab};
use ovsdb::schema::AtomicType;

use crate::database::{TxnContext, TxnOutcome};
use crate::error::{Error, Result};
use crate::json::Json;
use crate::schema::Schema;
use crate::server::{Now, Server};
use crate::value::{Atom, Datum};

/// The schema of `_Server`.
const SERVER: Db = Db {
    name: "_Server",
    version: "1.2.0",
    cksum: "3009684573 744",
    tables: &[Tab::new(
        "Database",
        &[
            Col::of::<String>("name"),
            Col::of::<String>("model").one_of(&["clustered", "relay", "standalone"]),
            Col::of::<bool>("connected"),
            Col::of::<bool>("leader"),
            Col::of::<Option<String>>("schema"),
            Col::of::<Option<Uuid>>("cid"),
            Col::of::<Option<Uuid>>("sid"),
            Col::of::<Option<i64>>("index"),
        ],
    )
    .root()],
};

/// The schema of `_Server`. It is declared above, so it compiles.
pub(super) fn schema() -> Result<Schema> {
    Schema::compile(&SERVER.schema())
}

impl Server {
    /// Runs operations with all rights; gives the results as JSON.
    pub(super) fn run_internal(
        &mut self,
        name: &str,
        operations: &[Json<'_>],
        now: Now,
    ) -> Result<Vec<u8>> {
        let hosted = self.databases.get_mut(name);
        let hosted = hosted.ok_or_else(|| Error::new("unknown database", name.to_owned()))?;
        let context = TxnContext {
            read_only: false,
            internal: true,
            created_ms: now.mono_ms,
            now,
            owns_lock: &|_| false,
        };
        let reply = match hosted.database.transact(operations, &context) {
            TxnOutcome::Reply(reply) => reply,
            TxnOutcome::Blocked { .. } => {
                return Err(Error::new("not supported", "triggers not supported"));
            }
        };
        if let Some(commit) = &reply.commit {
            self.committed(name, commit);
        }
        let mut results = reply.results;
        results.push(b']');
        Ok(results)
    }

    fn change_own(&mut self, operations: &str) {
        // The server's own operations are right, or its tests fail.
        let result = self.transact_internal("_Server", operations, Now::default());
        if let Err(error) = result {
            self.event(true, format!("_Server: {error}"));
        }
    }

    /// Adds a database's row.
    pub(super) fn show_database(&mut self, name: &str) {
        let Some(own) = self.databases.get_mut("_Server") else { return };
        let status = own.database.ids().draw();
        let Some(hosted) = self.databases.get_mut(name) else { return };
        hosted.status = status;
        let column = |text: &str| {
            let schema = crate::schema::Type::scalar(AtomicType::String);
            Datum::One(Atom::String(Arc::from(text))).to_json(&schema)
        };
        let operation = format!(
            "[{{\"op\":\"insert\",\"table\":\"Database\",\"uuid\":\"{status}\",\"row\":{{\
             \"name\":{},\"model\":\"standalone\",\"connected\":true,\"leader\":true,\
             \"schema\":{}}}}}]",
            column(name),
            column(hosted.database.get_schema())
        );
        self.change_own(&operation);
    }

    /// Records a database's new schema.
    pub(super) fn show_schema(&mut self, name: &str) {
        let Some(hosted) = self.databases.get(name) else { return };
        let mut schema = String::new();
        ovsdb::value::push_json_string(&mut schema, hosted.database.get_schema());
        let operation = format!(
            "[{{\"op\":\"update\",\"table\":\"Database\",\
             \"where\":[[\"_uuid\",\"==\",[\"uuid\",\"{}\"]]],\"row\":{{\"schema\":{schema}}}}}]",
            hosted.status
        );
        self.change_own(&operation);
    }

    /// Removes a database's row.
    pub(super) fn hide_database(&mut self, name: &str) {
        let Some(hosted) = self.databases.get(name) else { return };
        let operation = format!(
            "[{{\"op\":\"delete\",\"table\":\"Database\",\
             \"where\":[[\"_uuid\",\"==\",[\"uuid\",\"{}\"]]]}}]",
            hosted.status
        );
        self.change_own(&operation);
    }
}
