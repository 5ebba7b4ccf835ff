//! An OVSDB client: session, monitor, typed rows, transactions.
//!
//! - [`Session`] follows a database without blocking and keeps a typed replica ([`Db`]);
//! - [`Client`] does one blocking request at a time;
//! - [`Txn`] is a transaction of typed columns for either;
//! - [`rows`] has the tables of the `Open_vSwitch` schema.

mod client;
pub mod column;
mod connection;
mod db;
mod decode;
mod plan;
mod remote;
pub mod rows;
mod session;
mod txn;

pub use client::{Client, ClientError, Snapshot};
pub use connection::LinkError;
pub use db::{BadValue, Change, ChangeKind, Db};
pub use ovsdb::Uuid;
pub use plan::SchemaGap;
pub use remote::{DEFAULT_PORT, Remote, RemoteError};
pub use rows::{
    Bridge, Controller, Interface, Manager, Mirror, OpenVSwitch, Port, Row, Ssl, Table, Tables,
};
pub use session::{Options, Session, SessionEvent, TxnId};
pub use txn::{OpInfo, Txn, TxnError, TxnReply};
