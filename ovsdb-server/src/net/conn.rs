//! One connection: its bytes in both directions, and its probes.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use ovsdb::{FrameError, Framer};
use runtime::log::RateLimit;

use super::remote::Remote;
use crate::server::{Chunk, SessionId};
use stream::Stream;
use stream::reconnect::Reconnect;

/// Bytes read from one client in a turn before the next client is served.
pub(super) const READ_BUDGET: usize = 1 << 20;
static RL: RateLimit = RateLimit::new(10, 25);

/// Pieces given to the system in one call.
const MAX_PIECES: usize = 16;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The peer closed it.
    #[error("End of file")]
    Eof,
    #[error("{}", posix::text(.0))]
    Io(#[from] io::Error),
    /// An attempt to connect took too long.
    #[error("Connection timed out")]
    TimedOut,
    #[error("error parsing stream: {0}")]
    Frame(#[from] FrameError),
    #[error("received bad JSON-RPC message: {0}")]
    Message(#[from] ovsdb::jsonrpc::MessageError),
    #[error("no response to inactivity probe after {0:.3} seconds")]
    Silent(f64),
    /// The server ends it, for this reason.
    #[error("{0}")]
    Ours(String),
}

/// How a connection came about.
#[derive(Debug)]
pub(super) enum Origin {
    /// The peer connected. The connection is probed, and not made again.
    Accepted(Box<Reconnect>),
    /// We connected. The remote has the [`Reconnect`].
    Made,
}

/// What is known of the bytes that the socket has. Events come once, when something changes
/// (epoll(7), `EPOLLET`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// None, until an event says otherwise.
    Waiting,
    /// There may be some.
    Ready,
    /// There may be some, and the peer has closed its side: there is no further event before the
    /// end.
    Closing,
    /// The peer sends no more; what it sent is still answered.
    Ended,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) stream: Stream,
    /// For logs.
    pub(super) name: String,
    /// The remote that it belongs to.
    pub(super) remote: Arc<str>,
    pub(super) origin: Origin,
    pub(super) session: SessionId,
    pub(super) framer: Framer,
    pub(super) input: Input,
    /// The engine has messages for it that were not fetched.
    pub(super) fetch: bool,
    /// Bytes that may be read in this turn.
    pub(super) read_budget: usize,
    /// The server name that the client indicated under TLS, once it was logged.
    server_name: Option<String>,
    /// The events that are registered. Writability only while there is something to send: otherwise
    /// each read of a client's would be an event.
    interest: Interest,
    out: VecDeque<Chunk>,
    /// Bytes of the first chunk that are sent.
    sent: usize,
}

/// While a socket is being connected, or is full.
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

impl Conn {
    pub(super) fn new(
        stream: Stream,
        name: String,
        remote: Arc<str>,
        origin: Origin,
        session: SessionId,
    ) -> Conn {
        let interest = match origin {
            Origin::Accepted(_) => Interest::READABLE,
            Origin::Made => BOTH,
        };
        Conn {
            stream,
            name,
            remote,
            origin,
            session,
            framer: Framer::default(),
            input: Input::Ready,
            fetch: false,
            read_budget: READ_BUDGET,
            server_name: None,
            interest,
            out: VecDeque::new(),
            sent: 0,
        }
    }

    /// The reconnection that says when it is to be probed and when it has ended.
    pub(super) fn reconnect<'a>(
        &'a mut self,
        remotes: &'a mut BTreeMap<Arc<str>, Remote>,
    ) -> Option<&'a mut Reconnect> {
        match &mut self.origin {
            Origin::Accepted(reconnect) => Some(reconnect),
            Origin::Made => Some(remotes.get_mut(&self.remote)?.connecting()?.0),
        }
    }

    /// True once the socket is connected.
    pub(super) fn is_connected(&self, remotes: &BTreeMap<Arc<str>, Remote>) -> bool {
        match &self.origin {
            Origin::Accepted(_) => true,
            Origin::Made => {
                let reconnect = remotes.get(&self.remote).and_then(Remote::reconnect);
                reconnect.is_some_and(Reconnect::is_connected)
            }
        }
    }

    /// Registers the socket with a poll.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, self.interest)
    }

    /// An event says that there may be bytes to read, or that the peer has closed its side.
    pub(super) fn on_event(&mut self, readable: bool, closing: bool) {
        self.input = match self.input {
            Input::Ended => Input::Ended,
            _ if closing => Input::Closing,
            Input::Waiting if readable => Input::Ready,
            Input::Waiting => Input::Waiting,
            Input::Ready => Input::Ready,
            Input::Closing => Input::Closing,
        };
    }

    /// Bytes that the peer has not taken.
    pub(super) fn backlog(&self) -> usize {
        self.out.iter().map(|chunk| chunk.bytes().len()).sum::<usize>() - self.sent
    }

    pub(super) fn queue(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        self.out.extend(chunks.into_iter().filter(|chunk| !chunk.bytes().is_empty()));
    }

    /// Sends what the connected socket takes; true if nothing is left. If something is,
    /// writability is registered.
    pub(super) fn flush(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        let done = self.send()?;
        let interest = if done { Interest::READABLE } else { BOTH };
        if self.interest != interest {
            self.interest = interest;
            registry.reregister(&mut self.stream, token, interest)?;
        }
        Ok(done)
    }

    fn send(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            let mut parts: [IoSlice<'_>; MAX_PIECES] = std::array::from_fn(|_| IoSlice::new(&[]));
            let mut skip = self.sent;
            for (part, chunk) in parts.iter_mut().zip(&self.out) {
                *part = IoSlice::new(&chunk.bytes()[skip..]);
                skip = 0;
            }
            let number = self.out.len().min(MAX_PIECES);
            match self.stream.write_vectored(&parts[..number]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => self.forget(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match self.stream.flush() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn forget(&mut self, taken: usize) {
        self.sent += taken;
        while let Some(first) = self.out.front()
            && self.sent >= first.bytes().len()
        {
            self.sent -= first.bytes().len();
            self.out.pop_front();
        }
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.input = Input::Ended;
                    return Ok(());
                }
                Ok(number) => {
                    self.framer.push(&buffer[..number]);
                    self.read_budget = self.read_budget.saturating_sub(number);
                    // What comes later comes with an event of its own (epoll(7)), and there is
                    // none after the last: only its end is still to be read then.
                    if number < buffer.len()
                        && self.input != Input::Closing
                        && !self.stream.is_tls()
                    {
                        self.input = Input::Waiting;
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.input = Input::Waiting;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(log_tls_error(&self.stream, error)),
            }
        }
    }

    /// Logs, once, the server name that the client indicated (RFC 6066 section 3).
    pub(super) fn log_server_name(&mut self) {
        if self.server_name.is_none()
            && let Some(name) = self.stream.server_name()
        {
            runtime::dbg!(super::TLS, "connection indicated server name {name}");
            self.server_name = Some(name.to_owned());
        }
    }

    /// True if there is something to do without a further event.
    pub(super) fn has_work(&self) -> bool {
        self.fetch || self.input != Input::Waiting || self.framer.has_more()
    }

    /// Queues a probe (RFC 7047 section 4.1.11).
    pub(super) fn probe(&mut self) {
        self.queue([Chunk::Own(br#"{"id":"echo","method":"echo","params":[]}"#.to_vec())]);
    }
}

/// Logs what TLS reports about a peer, and replaces it by the system's error for it, which is what
/// upstream's status shows.
fn log_tls_error(stream: &Stream, error: io::Error) -> io::Error {
    let from_tls = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::Other);
    if !from_tls || !stream.is_tls() {
        return error;
    }
    let peer = stream.peer().map_or_else(String::new, |peer| peer.to_string());
    runtime::warn_rl!(super::TLS, RL, "ssl:{peer}: {error}");
    io::Error::from_raw_os_error(libc::EPROTO)
}
