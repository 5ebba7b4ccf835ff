//! One connection: its bytes in both directions, and its probes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use ovsdb::{FrameError, Framer};
use runtime::log::RateLimit;

use crate::server::{Chunk, SessionId};
use stream::Stream;

/// Bytes read from one client in a turn before others get theirs.
pub(super) const READ_BUDGET: usize = 1 << 20;
static RL: RateLimit = RateLimit::new(10, 25);

/// Pieces given to the system in one call.
const PIECES: usize = 16;

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
    /// We want it.
    #[error("{0}")]
    Ours(String),
}

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Some, or none for now.
    Some,
    /// The peer sends no more.
    End,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) stream: Stream,
    /// For logs.
    pub(super) name: String,
    /// The remote that it belongs to.
    pub(super) remote: Arc<str>,
    pub(super) session: SessionId,
    pub(super) framer: Framer,
    /// There may be bytes to read.
    pub(super) readable: bool,
    /// The peer has closed its side, as an event said.
    pub(super) closing: bool,
    /// The peer sends no more; what it sent is still answered.
    pub(super) ended: bool,
    /// The engine has something for it.
    pub(super) fetch: bool,
    /// Whole messages may be waiting in the framer.
    pub(super) more: bool,
    /// Bytes that may be read in this turn.
    pub(super) read_budget: usize,
    /// The name by which the client asked for us was logged.
    named: bool,
    /// It is not connected yet.
    pub(super) connecting: bool,
    /// The poll also tells when the socket takes more. It does so only while there is something to
    /// send: otherwise each read of a client's would wake us up.
    pub(super) writing: bool,
    /// It waits in the list of those who have something to do.
    pub(super) listed: bool,
    /// Milliseconds of silence before a probe, and again before giving up; 0 = none.
    pub(super) probe_interval: u64,
    /// When bytes last came.
    pub(super) heard: u64,
    /// A probe was sent and nothing has come since.
    pub(super) probed: bool,
    out: VecDeque<Chunk>,
    /// Bytes of the first chunk that are sent.
    sent: usize,
}

impl Conn {
    pub(super) fn new(
        stream: Stream,
        name: String,
        remote: Arc<str>,
        session: SessionId,
        now: u64,
    ) -> Conn {
        Conn {
            stream,
            name,
            remote,
            session,
            framer: Framer::default(),
            readable: true,
            closing: false,
            ended: false,
            fetch: false,
            more: false,
            read_budget: READ_BUDGET,
            named: false,
            connecting: false,
            writing: false,
            listed: false,
            probe_interval: 0,
            heard: now,
            probed: false,
            out: VecDeque::new(),
            sent: 0,
        }
    }

    /// Bytes that the peer has not taken.
    pub(super) fn backlog(&self) -> usize {
        self.out.iter().map(|chunk| chunk.bytes().len()).sum::<usize>() - self.sent
    }

    pub(super) fn queue(&mut self, chunks: impl IntoIterator<Item = Chunk>) {
        self.out.extend(chunks.into_iter().filter(|chunk| !chunk.bytes().is_empty()));
    }

    /// What the poll is to tell of.
    pub(super) fn interest(&self) -> Interest {
        if self.writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
    }

    /// Sends what the socket takes; true if nothing is left. If something is, the poll tells when
    /// it can go on.
    pub(super) fn flush(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        if self.connecting {
            return Ok(false);
        }
        let done = self.send()?;
        if self.writing == done {
            self.writing = !done;
            let interest = self.interest();
            registry.reregister(&mut self.stream, token, interest)?;
        }
        Ok(done)
    }

    fn send(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            let mut parts: [IoSlice<'_>; PIECES] = std::array::from_fn(|_| IoSlice::new(&[]));
            let mut skip = self.sent;
            for (part, chunk) in parts.iter_mut().zip(&self.out) {
                *part = IoSlice::new(&chunk.bytes()[skip..]);
                skip = 0;
            }
            let number = self.out.len().min(PIECES);
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
    pub(super) fn read(&mut self, buffer: &mut [u8], now: u64) -> io::Result<Input> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    return Ok(Input::End);
                }
                Ok(number) => {
                    self.framer.push(&buffer[..number]);
                    self.heard = now;
                    self.probed = false;
                    self.read_budget = self.read_budget.saturating_sub(number);
                    // What comes later comes with an event of its own (epoll(7)), and there is
                    // none after the last: only its end is still to be read then.
                    if number < buffer.len() && !self.closing && !self.stream.is_tls() {
                        self.readable = false;
                    }
                    return Ok(Input::Some);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(Input::Some);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(log_tls_error(&self.stream, error)),
            }
        }
    }

    /// Logs, once, the name by which the client asked for us.
    pub(super) fn log_server_name(&mut self) {
        if !self.named
            && let Some(name) = self.stream.server_name()
        {
            runtime::dbg!(super::TLS, "connection indicated server name {name}");
            self.named = true;
        }
    }

    /// True if there is something to do without a further event.
    pub(super) fn has_work(&self) -> bool {
        self.fetch || self.readable || self.more
    }

    /// Sends a probe after a silence, or gives up after a second one.
    pub(super) fn probe(&mut self, now: u64) -> Result<(), Ended> {
        if self.probe_interval == 0 || now < self.probe_deadline() {
            return Ok(());
        }
        if self.probed {
            return Err(Ended::Silent(now.saturating_sub(self.heard) as f64 / 1000.0));
        }
        self.probed = true;
        self.queue([Chunk::Own(br#"{"id":"echo","method":"echo","params":[]}"#.to_vec())]);
        Ok(())
    }

    /// When [`Conn::probe`] has something to do; `u64::MAX` = never.
    pub(super) fn probe_deadline(&self) -> u64 {
        match self.probe_interval {
            0 => u64::MAX,
            interval if self.probed => self.heard.saturating_add(interval.saturating_mul(2)),
            interval => self.heard.saturating_add(interval),
        }
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
