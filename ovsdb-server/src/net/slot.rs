//! What the poll's tokens stand for.

use std::sync::Arc;

use super::conn::Conn;

/// What a token stands for.
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
