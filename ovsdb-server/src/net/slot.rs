//! The meaning of the poll's tokens.

use std::sync::Arc;

use super::conn::Conn;

/// The meaning of a token.
#[derive(Debug)]
pub(super) enum Slot {
    Free,
    Listener(Listener),
    Conn(Box<Conn>),
    /// A name is being resolved; its remote has the [`Lookup`](stream::Lookup).
    Lookup,
}

/// A listening socket of a remote.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: stream::Listener,
    pub(super) remote: Arc<str>,
    /// Clients may wait.
    pub(super) ready: bool,
}
