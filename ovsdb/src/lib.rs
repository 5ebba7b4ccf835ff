//! What OVSDB clients and servers share (RFC 7047, with the extensions of `ovsdb-server(7)`):
//! cutting a stream into messages, JSON-RPC, values, schemas, conditions.
//!
//! No socket and no clock here: bytes come in, bytes go out.

#![warn(missing_docs)]

mod atom;
pub mod condition;
pub mod declare;
pub mod framer;
pub mod jsonrpc;
pub mod schema;
mod schema_json;
mod types;
pub mod uuid;
pub mod value;
pub mod vswitch;

pub use framer::{FrameError, Framer, Limits};
pub use schema::{AtomicType, DatabaseSchema};
pub use uuid::Uuid;
pub use value::{Atom, Datum};
