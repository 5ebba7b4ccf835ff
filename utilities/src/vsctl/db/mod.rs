//! The database as commands see it: any table of the server's schema, read through a transaction
//! that is being built.
//!
//! `ovsdb-client` knows the tables of a switch as Rust types; the database commands work with
//! every table of whatever schema the server has, so they have a replica and transactions of their
//! own. The connection is `ovsdb_client::Caller`.

mod encode;
pub mod link;
pub mod replica;
mod row;
pub mod txn;

pub use encode::{Outcome, Request};
pub use link::LinkError;
pub use replica::{Rows, Wants};
pub use row::RowId;
pub use txn::Txn;
