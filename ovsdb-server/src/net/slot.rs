//! What the poll's tokens stand for.

use mio::net::UnixStream;

use super::conn::Conn;
use super::remotes::Listener;

/// What a token stands for.
#[derive(Debug)]
pub(super) enum Slot {
    Free,
    Listener(Listener),
    Conn(Box<Conn>),
    /// A name is being looked up: the other end of the socket is closed when that is done, which the
    /// poll reports.
    Lookup {
        _done: UnixStream,
    },
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begin {
    /// It is not connected yet.
    pub(super) connecting: bool,
}
