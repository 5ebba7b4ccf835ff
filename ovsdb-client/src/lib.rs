//! An OVSDB client: session, monitor, typed rows, transactions.
//!
//! - [`Session`] follows a database without blocking and keeps a typed replica ([`Db`]); it goes
//!   from server to server of a cluster, probes, waits and resumes by itself;
//! - [`RowFilter`] follows only some rows of a table;
//! - [`Client`] does one blocking request at a time, and [`Caller`] the same for code that
//!   knows the schema itself;
//! - [`Txn`] is a transaction of typed columns for either; [`Session::retry`] and [`Client::retry`]
//!   repeat one that others got in the way of;
//! - [`rows`] has the tables of the `Open_vSwitch` schema.
//!
//! Servers are named like everywhere in Open vSwitch: `unix:PATH`, `tcp:HOST[:PORT]`,
//! `ssl:HOST[:PORT]` ([`TlsSettings`] has the keys), several with commas between them. With
//! `punix:PATH`, `ptcp:[PORT][:IP]` and `pssl:[PORT][:IP]` the server connects to the client. Where HOST
//! is a name, it is resolved on a thread.
//!
//! # Reading and writing safely
//!
//! Another client may write between a read of the replica and the transaction.
//! [`Txn::read`] gives a value and makes the transaction fail if it is another one by the time the
//! server does it; the `retry` functions then build the transaction anew from the new contents:
//!
//! ```no_run
//! use ovsdb_client::{Client, Port, Txn};
//!
//! # fn main() -> Result<(), ovsdb_client::ClientError> {
//! let mut client = Client::connect("unix:/run/openvswitch/db.sock")?;
//! // Adds 10 ms to the updelay of bond0, even if another client does so at the same time.
//! client.retry(|db| {
//!     let mut txn = Txn::new();
//!     let port = db.ports.iter().find(|(_, port)| port.name == "bond0").map(|(uuid, _)| *uuid);
//!     if let Some(port) = port {
//!         let old = *txn.read(db, port, Port::COL.bond_updelay).unwrap_or(&0);
//!         txn.set(port, Port::COL.bond_updelay, &(old + 10));
//!     }
//!     txn
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! The examples `watch_bonds` and `create_bond` are whole programs.

#![warn(missing_docs)]

mod atom;
mod caller;
mod client;
mod cluster;
pub mod column;
mod condition;
mod connection;
mod db;
mod decode;
mod plan;
mod reference;
mod remote;
pub mod rows;
mod session;
mod txn;

pub use caller::{Answer, CallError, Caller};
pub use client::{Client, ClientError, Snapshot};
pub use cluster::{Cluster, Unfit};
pub use condition::{Filters, RowFilter};
pub use connection::LinkError;
pub use db::{BadValue, Change, ChangeKind, Db};
pub use ovsdb::Uuid;
pub use ovsdb::condition::Function;
pub use plan::SchemaGap;
pub use remote::Remotes;
pub use rows::{
    AutoAttach, Bridge, Controller, CtTimeoutPolicy, CtZone, Datapath, FlowSampleCollectorSet,
    FlowTable, Interface, Ipfix, Manager, Mirror, NetFlow, OpenVSwitch, Port, Qos, Queue, Row,
    SFlow, Ssl, Table, Tables,
};
pub use session::{Options, Session, SessionEvent};
pub use stream::{Host, Target, TargetError};
pub use tls::{Enabled as TlsEnabled, Settings as TlsSettings, TlsError};
pub use txn::{OpInfo, Txn, TxnError, TxnId, TxnReply};
