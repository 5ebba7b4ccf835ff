//! An OVSDB server (RFC 7047 with the extensions of `ovsdb-server(7)`): the engine, without sockets
//! and without a clock.
//!
//! A [`server::Server`] holds databases and sessions. The caller gives it the bytes of whole
//! JSON-RPC messages and the time, and takes away the bytes that each session is to be sent:
//!
//! ```text
//! let session = server.connect(SessionOptions::default());
//! for message in framer { server.handle(session, message, now)?; }
//! server.run(now);                        // time-outs, waiting transactions, compaction
//! for session in server.take_ready() {    // sessions that have something to send
//!     server.fetch(session, &mut out);    // durable commits are on disk when this returns
//! }
//! sleep_until(server.next_deadline());
//! ```
//!
//! A session that takes its bytes slowly should neither be read from nor fetched for until all of
//! them are sent: the changes it has not seen then stay merged in the database instead of piling up
//! as text. One `fetch` after many `handle`s makes one `fsync` for all of them (group commit).

#![warn(missing_docs)]

pub mod cli;
pub mod condition;
pub mod control;
pub mod database;
pub mod error;
pub mod json;
pub mod lock;
pub mod log;
pub mod monitor;
pub mod net;
pub mod parser;
pub mod rowid;
pub mod schema;
pub mod server;
pub mod table;
pub mod txn;
pub mod value;

pub use database::Database;
pub use error::Error;
pub use rowid::RowIds;
pub use server::{Chunk, Now, Server, SessionId, SessionOptions};
