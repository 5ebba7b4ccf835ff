//! A client's socket: bytes in and out without waiting, with or without TLS.

use std::io::{self, IoSlice, Read, Write};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use runtime::log::RateLimit;
use tls::{Begun, Tls};

use super::TLS;

static RL: RateLimit = RateLimit::new(10, 25);

/// A non-blocking socket.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<Tls<TcpStream>>),
}

impl Stream {
    pub(super) fn tls(tcp: TcpStream, begun: Begun) -> Stream {
        Stream::Tls(Box::new(Tls::new(tcp, begun)))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(socket) => socket,
            Stream::Tcp(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        registry.register(self.source(), token, interest)
    }

    /// From now on the poll tells of this.
    pub(super) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        registry.reregister(self.source(), token, interest)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // The socket is closed next, which takes it out of the poll in any case.
        let _ = registry.deregister(self.source());
    }

    /// `Ok(true)` when an attempt to connect has succeeded, `Ok(false)` while it goes on.
    pub(super) fn connected(&self) -> io::Result<bool> {
        let (failed, peer) = match self {
            Stream::Unix(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tcp(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tls(tls) => (tls.socket.take_error()?, tls.socket.peer_addr().map(drop)),
        };
        match (failed, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(true),
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }

    /// Reads; 0 is the end of the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(socket) => socket.read(buffer),
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer).map_err(|error| told(&tls.socket, error)),
        }
    }

    /// The name by which a client asked for us under TLS, if it did.
    pub(super) fn server_name(&self) -> Option<&str> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => None,
            Stream::Tls(tls) => tls.server_name(),
        }
    }

    /// True if there may be more after a read that did not fill its buffer.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Writes what is taken.
    pub(super) fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Unix(socket) => socket.write_vectored(parts),
            Stream::Tcp(socket) => socket.write_vectored(parts),
            Stream::Tls(tls) => tls.write_vectored(parts),
        }
    }

    /// Sends what TLS holds back; true if it holds nothing.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => Ok(true),
            Stream::Tls(tls) => match tls.flush() {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(error),
            },
        }
    }
}

/// Says what TLS has against a peer, and gives the system's word for it, as upstream's status has.
fn told(socket: &TcpStream, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            let peer = socket.peer_addr().map_or_else(|_| String::new(), |peer| peer.to_string());
            runtime::warn_rl!(TLS, RL, "ssl:{peer}: {error}");
            io::Error::from_raw_os_error(libc::EPROTO)
        }
        _ => error,
    }
}
