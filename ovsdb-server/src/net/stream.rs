//! A client's socket: bytes in and out without waiting, with or without TLS.

use std::io::{self, IoSlice, Read, Write};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustls::Connection;

/// A non-blocking socket.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<Tls>),
}

/// A TCP connection under TLS.
#[derive(Debug)]
pub(super) struct Tls {
    tcp: TcpStream,
    session: Connection,
}

impl Stream {
    pub(super) fn tls(tcp: TcpStream, session: impl Into<Connection>) -> Stream {
        Stream::Tls(Box::new(Tls { tcp, session: session.into() }))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(socket) => socket,
            Stream::Tcp(socket) => socket,
            Stream::Tls(tls) => &mut tls.tcp,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE | Interest::WRITABLE)
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
            Stream::Tls(tls) => (tls.tcp.take_error()?, tls.tcp.peer_addr().map(drop)),
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
            Stream::Tls(tls) => tls.read(buffer),
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
            Stream::Tls(tls) => tls.write(parts),
        }
    }

    /// Sends what TLS holds back; true if it holds nothing.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => Ok(true),
            Stream::Tls(tls) => tls.send(),
        }
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn peer_certificates(
        &self,
    ) -> Option<&[rustls::pki_types::CertificateDer<'static>]> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => None,
            Stream::Tls(tls) => tls.session.peer_certificates(),
        }
    }

    /// True while the two sides have not agreed yet.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => false,
            Stream::Tls(tls) => tls.session.is_handshaking(),
        }
    }
}

fn bad_tls(error: rustls::Error) -> io::Error {
    let text = super::tls::explain(&error);
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Tls {
    fn send(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that goes without saying goodbye; the messages are framed, so nothing
                // can be cut off unnoticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let end = self.session.read_tls(&mut self.tcp)? == 0;
            let understood = self.session.process_new_packets();
            // The handshake's answers, and the alert that says what is wrong.
            let sent = self.send();
            understood.map_err(bad_tls)?;
            sent?;
            if end && self.session.is_handshaking() {
                return Ok(0);
            }
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // What is left over of the last time goes first: rustls bounds what it holds.
        if !self.send()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write_vectored(parts)?;
        self.send()?;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }
}
