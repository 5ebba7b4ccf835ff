//! What OVSDB clients and servers share (RFC 7047, with the extensions of `ovsdb-server(7)`).

pub mod uuid;
pub mod value;

pub use uuid::Uuid;
