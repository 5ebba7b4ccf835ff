//! What a server is to the cluster of its database: the `_Server` database (`ovsdb(7)`,
//! `_server.ovsschema`), whose table `Database` has a row for each database served.

use std::collections::BTreeMap;

use ovsdb::Uuid;
use ovsdb::value::push_json_string;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::column::ColumnValue;

/// Which members of a clustered (RAFT) database a session stays with. Standalone databases, and
/// servers too old to tell, are stayed with in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cluster {
    /// Any; the server is not asked.
    Any,
    /// One that is connected to the cluster and has not fallen behind what was seen before.
    Member,
    /// The leader. Its contents are the newest there are, and only its locks keep two clients
    /// apart. Upstream's clients ask for it unless they are told not to.
    #[default]
    Leader,
}

/// Why a server is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It serves other databases.
    #[error("the server does not have the database")]
    NoDatabase,
    /// It joins the cluster, or waits for its source.
    #[error("the server does not have the contents yet")]
    NotReady,
    /// It is cut off from most of the cluster, or from its source.
    #[error("the server is disconnected from its cluster")]
    Disconnected,
    /// Another member is, or none at the moment.
    #[error("the server is not the leader of its cluster")]
    NotLeader,
    /// Its contents are older than what the replica has seen.
    #[error("the server has fallen behind its cluster")]
    Stale,
}

/// The id of the monitor of `_Server`.
pub(crate) const MONITOR: &str = "server";

/// The parameters of the `monitor_cond` request.
pub(crate) fn monitor_request(database: &str) -> String {
    let mut name = String::new();
    push_json_string(&mut name, database);
    format!(
        r#"["_Server","{MONITOR}",{{"Database":[{{"columns":["model","connected","leader","schema","cid","index"],"where":[["name","==",{name}]]}}]}}]"#
    )
}

/// The newest that was seen of a cluster, by the cluster's id.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Newest {
    cluster: Option<Uuid>,
    index: i64,
}

#[derive(Debug, Clone, Default)]
struct DatabaseRow {
    model: String,
    connected: bool,
    leader: bool,
    has_schema: bool,
    cluster: Option<Uuid>,
    index: Option<i64>,
}

/// The rows about our database; there is one at most.
#[derive(Debug, Default)]
pub(crate) struct ServerWatch {
    rows: BTreeMap<Uuid, DatabaseRow>,
}

#[derive(Deserialize)]
struct Tables<'a> {
    #[serde(borrow, default, rename = "Database")]
    database: BTreeMap<Uuid, BTreeMap<String, &'a RawValue>>,
}

impl ServerWatch {
    /// Takes `<table-updates2>`.
    pub(crate) fn apply(&mut self, json: &RawValue) -> Result<(), String> {
        let bad = |error: serde_json::Error| format!("_Server: {error}");
        let tables: Tables<'_> = serde_json::from_str(json.get()).map_err(bad)?;
        for (uuid, update) in tables.database {
            for (kind, columns) in update {
                if kind == "delete" {
                    self.rows.remove(&uuid);
                    continue;
                }
                let columns: BTreeMap<String, &RawValue> =
                    serde_json::from_str(columns.get()).map_err(bad)?;
                let row = self.rows.entry(uuid).or_default();
                for (column, value) in columns {
                    row.set(&column, value.get())
                        .map_err(|error| format!("_Server Database column {column}: {error}"))?;
                }
            }
        }
        Ok(())
    }

    /// Takes the parameters of an `update2`; false if they are of another monitor.
    pub(crate) fn apply_notification(&mut self, params: &RawValue) -> Result<bool, String> {
        let parts: Vec<&RawValue> =
            serde_json::from_str(params.get()).map_err(|error| error.to_string())?;
        match parts.as_slice() {
            [id, tables, ..] if id.get().trim_matches('"') == MONITOR => {
                self.apply(tables).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Whether to stay. `newest` is what other servers of the cluster had, and learns.
    pub(crate) fn verdict(&self, wanted: Cluster, newest: &mut Newest) -> Result<(), Unfit> {
        let Some(row) = self.rows.values().next() else { return Err(Unfit::NoDatabase) };
        if !row.has_schema {
            return Err(Unfit::NotReady);
        }
        let clustered = match row.model.as_str() {
            "clustered" => true,
            "relay" => false,
            _ => return Ok(()),
        };
        if !row.connected {
            return Err(Unfit::Disconnected);
        }
        if wanted == Cluster::Leader && !(clustered && row.leader) {
            return Err(Unfit::NotLeader);
        }
        let index = row.index.unwrap_or(0);
        if newest.cluster != row.cluster {
            *newest = Newest { cluster: row.cluster, index };
        }
        if index < newest.index {
            return Err(Unfit::Stale);
        }
        newest.index = index;
        Ok(())
    }
}

impl DatabaseRow {
    /// In a difference too, columns of at most one value come with their new value.
    fn set(&mut self, column: &str, json: &str) -> Result<(), String> {
        fn decode<T: ColumnValue>(json: &str) -> Result<T, String> {
            T::decode(json).map_err(|error| error.reason)
        }
        match column {
            "model" => self.model = decode(json)?,
            "connected" => self.connected = decode(json)?,
            "leader" => self.leader = decode(json)?,
            "schema" => self.has_schema = decode::<Option<String>>(json)?.is_some(),
            "cid" => self.cluster = decode(json)?,
            "index" => self.index = decode(json)?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-4000-8000-000000000001";

    fn apply(watch: &mut ServerWatch, update: &str) {
        let text = format!(r#"["server",{{"Database":{{"{ID}":{update}}}}}]"#);
        let json: Box<RawValue> = serde_json::from_str(&text).unwrap();
        assert!(watch.apply_notification(&json).unwrap());
    }

    #[test]
    fn cluster_member_is_accepted_by_its_server_row() {
        let (mut watch, mut newest) = (ServerWatch::default(), Newest::default());
        let verdict = |watch: &ServerWatch, newest: &mut Newest| {
            [Cluster::Member, Cluster::Leader].map(|wanted| watch.verdict(wanted, newest))
        };
        assert_eq!(verdict(&watch, &mut newest), [Err(Unfit::NoDatabase); 2]);
        apply(
            &mut watch,
            r#"{"initial":{"model":"clustered","connected":false,"leader":false,
                "schema":["set",[]],"cid":["set",[]],"index":["set",[]]}}"#,
        );
        assert_eq!(verdict(&watch, &mut newest), [Err(Unfit::NotReady); 2]);
        apply(&mut watch, r#"{"modify":{"schema":"{}"}}"#);
        assert_eq!(verdict(&watch, &mut newest), [Err(Unfit::Disconnected); 2]);
        apply(&mut watch, &format!(r#"{{"modify":{{"connected":true,"cid":["uuid","{ID}"]}}}}"#));
        assert_eq!(verdict(&watch, &mut newest), [Ok(()), Err(Unfit::NotLeader)]);
        apply(&mut watch, r#"{"modify":{"leader":true,"index":9}}"#);
        assert_eq!(verdict(&watch, &mut newest), [Ok(()); 2]);
        apply(&mut watch, r#"{"modify":{"index":8}}"#);
        assert_eq!(verdict(&watch, &mut newest), [Err(Unfit::Stale); 2]);
        // Another cluster counts anew.
        apply(&mut watch, r#"{"modify":{"cid":["set",[]]}}"#);
        assert_eq!(verdict(&watch, &mut newest), [Ok(()); 2]);
        apply(&mut watch, r#"{"delete":null}"#);
        assert_eq!(verdict(&watch, &mut newest), [Err(Unfit::NoDatabase); 2]);
    }

    #[test]
    fn standalone_database_is_always_accepted() {
        let mut watch = ServerWatch::default();
        apply(
            &mut watch,
            r#"{"insert":{"model":"standalone","connected":true,"leader":true,"schema":"{}"}}"#,
        );
        assert_eq!(watch.verdict(Cluster::Leader, &mut Newest::default()), Ok(()));
    }

    #[test]
    fn malformed_server_row_is_an_error() {
        let json = |text: &str| serde_json::from_str::<Box<RawValue>>(text).unwrap();
        let mut watch = ServerWatch::default();
        for bad in [
            r#"["server",7]"#,
            r#"["server",{"Database":{"x":{}}}]"#,
            &format!(r#"["server",{{"Database":{{"{ID}":{{"modify":{{"leader":7}}}}}}}}]"#),
        ] {
            assert!(watch.apply_notification(&json(bad)).is_err(), "{bad}");
        }
        assert_eq!(watch.apply_notification(&json(r#"["monitor",{}]"#)), Ok(false));
    }
}
