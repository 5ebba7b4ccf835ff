//! The database on disk: the log of standalone `ovsdb-server` (`ovsdb(5)`, "Standalone Database
//! Format").
//!
//! Each record is a line `OVSDB JSON LENGTH SHA1` and then that many bytes of JSON. The first
//! record is the schema, the others are transactions, as differences.

mod decode;
mod encode;
mod file;
mod lockfile;
mod replace;

pub use decode::{RowRecord, TxnRecord, decode};
pub use encode::{snapshot, transaction};
pub use file::{Log, Mode, Record};
pub(crate) use lockfile::LOG as LOCKFILE;
pub use lockfile::LockFile;
pub use replace::Replacement;
