//! A client that blocks: for utilities and tests, one request at a time.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use ovsdb::jsonrpc::MessageError;
use ovsdb::{DatabaseSchema, FrameError};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::TlsSettings;
use crate::caller::{CallError, Caller};
use crate::db::{BadValue, Db, Format};
use crate::plan::{Plan, SchemaGap};
use crate::remote::Remotes;
use crate::rows::Table;
use crate::txn::{Txn, TxnError, TxnReply, parse_reply};
use stream::{Target, TargetError};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error(transparent)]
    Remote(#[from] TargetError),
    /// The connection could not be made.
    #[error("{remote}: {}", posix::text(error))]
    Connect {
        /// Where to.
        remote: Target,
        /// The system's reason.
        error: io::Error,
    },
    /// The connection broke.
    #[error("connection to the database: {}", posix::text(.0))]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no answer to {method} within {} ms", timeout.as_millis())]
    Timeout {
        /// What was asked.
        method: String,
        /// How long it was waited.
        timeout: Duration,
    },
    /// The bytes are not a stream of messages.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A message that is none.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// The server refused the request.
    #[error("{method}: the server answers {error}")]
    Refused {
        /// What was asked.
        method: String,
        /// Its error object.
        error: String,
    },
    /// The answer cannot be understood.
    #[error("{method}: bad answer: {reason}")]
    BadReply {
        /// What was asked.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The transaction was not done.
    #[error(transparent)]
    Txn(#[from] TxnError),
}

/// The contents at one time, as [`Client::snapshot`] gives them.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The rows.
    pub db: Db,
    /// Values that their columns do not take.
    pub bad: Vec<BadValue>,
    /// What the server's schema lacks.
    pub gaps: Vec<SchemaGap>,
}

/// A connection for one request at a time.
///
/// ```no_run
/// use ovsdb_client::{Client, OpenVSwitch, Txn};
///
/// # fn main() -> Result<(), ovsdb_client::ClientError> {
/// let mut client = Client::connect("unix:/run/openvswitch/db.sock")?;
/// let contents = client.snapshot()?.db;
/// if let Some(root) = contents.open_vswitch.keys().next() {
///     let mut txn = Txn::new();
///     let (key, value) = ("system-id".to_owned(), "host-7".to_owned());
///     txn.set_key(*root, OpenVSwitch::COL.external_ids, &key, &value);
///     client.transact(&txn)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    caller: Caller,
    database: String,
    timeout: Duration,
    plan: Option<(Plan, Vec<SchemaGap>)>,
}

impl Client {
    /// Connects to the first of these servers that can be reached ([`Remotes`]) and uses the
    /// database `Open_vSwitch`. Each request may take 10 s; see [`Client::set_timeout`]. Of a
    /// cluster any member will do: it hands transactions on to the leader.
    ///
    /// # Errors
    ///
    /// [`ClientError::Remote`]; [`ClientError::Connect`] with the last server's reason.
    pub fn connect(remotes: &str) -> Result<Client, ClientError> {
        Client::connect_with(remotes, &TlsSettings::default())
    }

    /// The same with the files that `ssl:` servers need.
    ///
    /// # Errors
    ///
    /// As of [`Client::connect`].
    pub fn connect_with(remotes: &str, tls: &TlsSettings) -> Result<Client, ClientError> {
        let remotes: Remotes = remotes.parse()?;
        let timeout = Duration::from_secs(10);
        let mut failed = None;
        for remote in remotes.as_slice() {
            let error = match Caller::open(remote, tls, Some(Instant::now() + timeout)) {
                Ok(caller) => {
                    let database = "Open_vSwitch".to_owned();
                    return Ok(Client { caller, database, timeout, plan: None });
                }
                Err(CallError::Io(error)) => error,
                Err(_) => ErrorKind::TimedOut.into(),
            };
            failed = Some(ClientError::Connect { remote: remote.clone(), error });
        }
        // There is at least one.
        Err(failed.unwrap_or(ClientError::Io(ErrorKind::NotFound.into())))
    }

    /// Most time that one request may take.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout.max(Duration::from_millis(1));
    }

    /// Sends a request and waits for its result. `params` must be JSON.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the connection broke, time ran out, or the server refused. After anything
    /// but [`ClientError::Refused`] the client is of no more use.
    pub fn call(&mut self, method: &str, params: &str) -> Result<Box<RawValue>, ClientError> {
        self.caller.set_deadline(Some(Instant::now() + self.timeout));
        let answer = self.caller.call(method, params).map_err(|error| match error {
            CallError::Io(error) => ClientError::Io(error),
            CallError::Frame(error) => ClientError::Frame(error),
            CallError::Message(error) => ClientError::Message(error),
            CallError::Deadline => {
                ClientError::Timeout { method: method.to_owned(), timeout: self.timeout }
            }
        })?;
        // Of the monitor that a snapshot is made with.
        self.caller.take_updates();
        answer.map_err(|error| ClientError::Refused {
            method: method.to_owned(),
            error: error.get().to_owned(),
        })
    }

    /// Runs operations written as JSON objects, and gives their results.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a refused operation is [`ClientError::Refused`] with its error object.
    pub fn transact_json(&mut self, operations: &[Value]) -> Result<Vec<Value>, ClientError> {
        let mut params = vec![Value::String(self.database.clone())];
        params.extend_from_slice(operations);
        let result = self.call("transact", &Value::Array(params).to_string())?;
        let results: Vec<Value> = decode("transact", &result)?;
        match results.iter().find(|result| result.get("error").is_some()) {
            Some(error) => Err(ClientError::Refused {
                method: "transact".to_owned(),
                error: error.to_string(),
            }),
            None => Ok(results),
        }
    }

    /// The rows of any table, as JSON objects.
    ///
    /// # Errors
    ///
    /// [`ClientError`], for instance if there is no such table.
    pub fn list(&mut self, table: &str) -> Result<Vec<BTreeMap<String, Value>>, ClientError> {
        let select = serde_json::json!({"op": "select", "table": table, "where": []});
        #[derive(serde::Deserialize)]
        struct Selected {
            rows: Vec<BTreeMap<String, Value>>,
        }
        let result = self.transact_json(&[select])?.into_iter().next().unwrap_or_default();
        serde_json::from_value::<Selected>(result).map(|selected| selected.rows).map_err(|error| {
            ClientError::BadReply { method: "select".to_owned(), reason: error.to_string() }
        })
    }

    /// Runs a typed transaction.
    ///
    /// # Errors
    ///
    /// [`ClientError::Txn`] if the server refused it, with the operation and its columns.
    pub fn transact(&mut self, txn: &Txn) -> Result<TxnReply, ClientError> {
        let (plan, _) = self.plan()?;
        let (params, infos) = txn.encode(&self.database, None, |table, c| plan.has(table, c));
        let result = self.call("transact", &params)?;
        Ok(parse_reply(result.get(), &infos)?)
    }

    /// Builds a transaction from the contents and does it; if it fails because the contents were
    /// other ones by then ([`TxnError::is_transient`]), builds it anew from the new contents. What
    /// `build` relies on it should read with [`Txn::read`]; an empty transaction says that there
    /// is nothing to do.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; the last [`ClientError::Txn`] if it is not done within the time of
    /// [`Client::set_timeout`].
    pub fn retry(&mut self, mut build: impl FnMut(&Db) -> Txn) -> Result<TxnReply, ClientError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let txn = build(&self.snapshot()?.db);
            if txn.is_empty() {
                return Ok(TxnReply::default());
            }
            match self.transact(&txn) {
                Err(ClientError::Txn(error))
                    if error.is_transient() && Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    /// The whole contents as typed rows.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn snapshot(&mut self) -> Result<Snapshot, ClientError> {
        let (plan, gaps) = self.plan()?;
        let mut database = String::new();
        ovsdb::value::push_json_string(&mut database, &self.database);
        let params = format!("[{database},\"snapshot\",{}]", plan.monitor_requests());
        let result = self.call("monitor", &params)?;
        self.call("monitor_cancel", r#"["snapshot"]"#)?;
        let mut snapshot = Snapshot { gaps, ..Snapshot::default() };
        snapshot.db.apply(&result, Format::Whole, &mut snapshot.bad).map_err(|error| {
            ClientError::BadReply { method: "monitor".to_owned(), reason: error.to_string() }
        })?;
        Ok(snapshot)
    }

    /// What the server has, asked for once.
    fn plan(&mut self) -> Result<(Plan, Vec<SchemaGap>), ClientError> {
        if let Some(known) = &self.plan {
            return Ok(known.clone());
        }
        let mut database = String::new();
        ovsdb::value::push_json_string(&mut database, &self.database);
        let result = self.call("get_schema", &format!("[{database}]"))?;
        let schema = DatabaseSchema::parse(result.get()).map_err(|error| {
            ClientError::BadReply { method: "get_schema".to_owned(), reason: error.to_string() }
        })?;
        Ok(self.plan.insert(Plan::new(&schema, Table::ALL)).clone())
    }
}

fn decode<T: serde::de::DeserializeOwned>(method: &str, json: &RawValue) -> Result<T, ClientError> {
    serde_json::from_str(json.get()).map_err(|error| ClientError::BadReply {
        method: method.to_owned(),
        reason: error.to_string(),
    })
}
