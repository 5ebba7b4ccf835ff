//! The database as commands see it: any table of the server's schema, read through a transaction
//! that is being built.
//!
//! `ovsdb-client` knows the tables of a switch as Rust types; the database commands work with
//! every table of whatever schema the server has, so they have a replica of their own.

mod encode;
pub mod link;
pub mod replica;
pub mod target;
pub mod tls;
pub mod txn;

pub use encode::{Outcome, Request};
pub use link::{Link, LinkError};
pub use replica::{Rows, Wants};
pub use txn::{RowId, Txn};
