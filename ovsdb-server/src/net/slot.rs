//! What the poll's tokens stand for.

use super::conn::Conn;
use super::remotes::Listener;

/// What a token stands for.
#[derive(Debug)]
pub(super) enum Slot {
    Free,
    Listener(Listener),
    Conn(Box<Conn>),
    /// A name is being resolved; its remote has the [`Lookup`](stream::Lookup).
    Lookup,
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begin {
    /// It is not connected yet.
    pub(super) connecting: bool,
}
