//! The server on sockets: remotes, connections, TLS, probes.
//!
//! ```text
//! Service: mio events -> Conn: bytes -> Framer -> Server::handle      (every connection that has
//!                                                                     something, a bounded share)
//!          Server::run
//!          Server::fetch -> one fsync for all of them -> Conn: bytes out
//! ```
//!
//! One thread does all of it: the answers to all transactions that came in one turn share an
//! `fsync`, and while it lasts the next ones gather in the sockets.
//!
//! A client that does not take what it is sent costs no more memory than what it has asked for so
//! far: it is neither read from nor fetched for until all of it is sent. The changes that its
//! monitors missed meanwhile stay merged in the database.

mod conn;
mod dbcolumn;
pub mod embedded;
mod remote;
mod remotes;
mod service;
mod slot;
mod status;

pub use dbcolumn::{DbColumn, TlsSources};
pub use embedded::{EmbedError, EmbeddedServer, Embedding};
pub use remote::{RemoteOptions, RemoteStatus};
pub use service::Service;

use runtime::log::Module;
// One of each name in a program: levels are set by name.
pub(crate) use runtime::modules::{JSONRPC, RECONNECT};

pub(crate) static SERVER: Module = Module::new("ovsdb_jsonrpc_server");
pub(crate) static SOCKET: Module = Module::new("socket_util");
pub(crate) static TLS: Module = Module::new("stream_ssl");
/// Logs of the server as a whole.
pub static OVSDB: Module = Module::new("ovsdb_server");

/// The modules that log here, for `runtime::log::register`.
pub static MODULES: &[&Module] =
    &[&SERVER, &JSONRPC, &RECONNECT, &SOCKET, &TLS, &OVSDB, &crate::log::LOCKFILE];

/// The beginning of a message, for logs.
struct Shown<'m>(&'m [u8]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MOST: usize = 4096;
        let end = self.0.len().min(MOST);
        f.write_str(&String::from_utf8_lossy(&self.0[..end]))?;
        if end < self.0.len() { f.write_str("...") } else { Ok(()) }
    }
}
