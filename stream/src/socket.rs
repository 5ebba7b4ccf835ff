//! Connected sockets.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use posix::unix::with_short_path;
use rustix::net::sockopt;
use tls::{Begun, Context, Tls};

use crate::Target;

/// A non-blocking byte stream.
#[derive(Debug)]
pub enum Stream {
    /// `unix:`.
    Unix(UnixStream),
    /// `tcp:`.
    Tcp(TcpStream),
    /// `ssl:`.
    Tls(Box<Tls<TcpStream>>),
}

impl Stream {
    /// Begins to connect to a Unix target, or to the address `to` of a TCP target. Packets carry
    /// the differentiated services code point `dscp` (0 to 63), if one is given.
    ///
    /// # Errors
    ///
    /// The system's; that of `tls`, which is asked before the socket is opened; `InvalidInput` for a
    /// passive target, or a TCP target without an address.
    pub fn connect(
        target: &Target,
        to: Option<SocketAddr>,
        dscp: Option<u8>,
        tls: &mut Context,
    ) -> io::Result<Stream> {
        match (target, to) {
            (Target::Unix(path), _) => {
                with_short_path(path, |path| UnixStream::connect(path)).map(Stream::Unix)
            }
            (Target::Tcp { host, tls: true, .. }, Some(to)) => {
                let begun = tls.connect(&host.server_name(to)).map_err(io::Error::other)?;
                Ok(Stream::tls(connect_tcp(to, dscp)?, begun))
            }
            (Target::Tcp { tls: false, .. }, Some(to)) => connect_tcp(to, dscp).map(Stream::Tcp),
            (Target::Tcp { .. }, None) | (Target::ListenUnix(_) | Target::ListenTcp { .. }, _) => {
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    pub(crate) fn tls(socket: TcpStream, begun: Begun) -> Stream {
        Stream::Tls(Box::new(Tls::new(socket, begun)))
    }

    /// `Ok(true)` when connected, `Ok(false)` while the attempt goes on. The TLS handshake follows
    /// with the first reads and writes.
    ///
    /// # Errors
    ///
    /// Why the attempt to connect has failed.
    pub fn connected(&self) -> io::Result<bool> {
        let (failed, peer) = match self {
            Stream::Unix(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tcp(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tls(tls) => (tls.socket.take_error()?, tls.socket.peer_addr().map(drop)),
        };
        match (failed, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => {
                self.set_nodelay();
                Ok(true)
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }

    /// Completes the TLS handshake of a connected socket, which otherwise goes on with reads and
    /// writes. `WouldBlock` while it waits for the peer; to be called again after an event.
    ///
    /// # Errors
    ///
    /// The system's; why one side does not accept the other.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => Ok(()),
            Stream::Tls(tls) => tls.shake_hands(),
        }
    }

    /// Sends messages as they are written. A socket on which that fails is only slower.
    pub(crate) fn set_nodelay(&self) {
        let _ = match self {
            Stream::Unix(_) => Ok(()),
            Stream::Tcp(socket) => socket.set_nodelay(true),
            Stream::Tls(tls) => tls.socket.set_nodelay(true),
        };
    }

    /// The name by which the client asked for this server under TLS, if it did.
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => None,
            Stream::Tls(tls) => tls.server_name(),
        }
    }

    /// True if a read that did not fill its buffer does not mean that the socket is empty.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The peer's address; `None` over a Unix socket, or when not connected.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Stream::Unix(_) => None,
            Stream::Tcp(socket) => socket.peer_addr().ok(),
            Stream::Tls(tls) => tls.socket.peer_addr().ok(),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(socket) => socket,
            Stream::Tcp(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.source().register(registry, token, on)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, on)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(socket) => socket.read(buffer),
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(socket) => socket.write(bytes),
            Stream::Tcp(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Unix(socket) => socket.write_vectored(parts),
            Stream::Tcp(socket) => socket.write_vectored(parts),
            Stream::Tls(tls) => tls.write_vectored(parts),
        }
    }

    /// Sends what TLS has buffered; `WouldBlock` while some of it has to wait.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

fn connect_tcp(to: SocketAddr, dscp: Option<u8>) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(to)?;
    if let Some(dscp) = dscp {
        set_dscp(&socket, to, dscp)?;
    }
    Ok(socket)
}

/// The upper six bits of the type of service (RFC 2474 clause 3).
pub(crate) fn set_dscp(socket: impl AsFd, address: SocketAddr, dscp: u8) -> io::Result<()> {
    let tos = (dscp & 63) << 2;
    match address {
        SocketAddr::V4(_) => sockopt::set_ip_tos(socket, tos)?,
        SocketAddr::V6(_) => sockopt::set_ipv6_tclass(socket, u32::from(tos))?,
    }
    Ok(())
}
