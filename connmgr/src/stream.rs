//! Sockets that do not wait, of every kind that controllers have.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use posix::unix::{SocketFile, with_short_path};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use openflow::target::Address;

type Tls = Box<tls::Tls<TcpStream>>;

/// Connections that may wait to be accepted, as Open vSwitch has it.
const BACKLOG: i32 = 10;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Tls),
}

impl Stream {
    /// Begins to connect. `dscp` is the differentiated services code point (0 to 63) of its
    /// packets.
    pub(crate) fn open(to: &Address, dscp: u8, tls: &mut tls::Context) -> io::Result<Stream> {
        match to {
            Address::Unix(path) => {
                with_short_path(path, |p| UnixStream::connect(p)).map(Stream::Unix)
            }
            Address::Tcp(to) => connect(*to, dscp).map(Stream::Tcp),
            Address::Ssl { to, name } => {
                // First, so that nobody is called in vain.
                let name = name.clone().unwrap_or_else(|| to.ip().to_string());
                let begun = tls.connect(&name).map_err(io::Error::other)?;
                Ok(Stream::Tls(Box::new(tls::Tls::new(connect(*to, dscp)?, begun))))
            }
            // It must be looked up first.
            Address::Name { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// `Ok(true)` when connected, `Ok(false)` while it goes on.
    pub(crate) fn connected(&self) -> io::Result<bool> {
        let (failed, peer) = match self {
            Stream::Unix(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tcp(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tls(tls) => (tls.socket.take_error()?, tls.socket.peer_addr().map(drop)),
        };
        match (failed, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => {
                self.hurry();
                Ok(true)
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }

    /// Messages are to go out as they are written. One that cannot be told so is only slower.
    fn hurry(&self) {
        let _ = match self {
            Stream::Unix(_) => Ok(()),
            Stream::Tcp(socket) => socket.set_nodelay(true),
            Stream::Tls(tls) => tls.socket.set_nodelay(true),
        };
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(socket) => socket,
            Stream::Tcp(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // The socket is closed next, which takes it out of the poll in any case.
        let _ = registry.deregister(self.source());
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
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(socket) => socket.write(octets),
            Stream::Tcp(socket) => socket.write(octets),
            Stream::Tls(tls) => tls.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => Ok(()),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix {
        socket: UnixListener,
        /// Goes with the socket.
        _file: SocketFile,
    },
    Tcp(TcpListener),
    /// Callers must speak TLS.
    Ssl(TcpListener),
}

impl Listener {
    pub(crate) fn open(at: &Address, dscp: u8) -> io::Result<Listener> {
        match at {
            Address::Unix(path) => {
                let (socket, file) = posix::unix::listen(path)?;
                Ok(Listener::Unix { socket: UnixListener::from_std(socket), _file: file })
            }
            Address::Tcp(at) => Ok(Listener::Tcp(tcp(*at, dscp)?)),
            Address::Ssl { to, .. } => Ok(Listener::Ssl(tcp(*to, dscp)?)),
            Address::Name { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let source: &mut dyn Source = match self {
            Listener::Unix { socket, .. } => socket,
            Listener::Tcp(socket) | Listener::Ssl(socket) => socket,
        };
        registry.register(source, token, Interest::READABLE)
    }

    /// The next caller, and its name in logs; a caller over a Unix socket is the `number`th.
    pub(crate) fn accept(
        &self,
        number: u64,
        tls: &mut tls::Context,
    ) -> io::Result<(Stream, String)> {
        match self {
            Listener::Unix { socket, .. } => {
                let (stream, _) = socket.accept()?;
                Ok((Stream::Unix(stream), format!("unix#{number}")))
            }
            Listener::Tcp(socket) => {
                let (stream, from) = socket.accept()?;
                let stream = Stream::Tcp(stream);
                stream.hurry();
                Ok((stream, format!("tcp:{from}")))
            }
            Listener::Ssl(socket) => {
                let (stream, from) = socket.accept()?;
                let begun = tls.accept().map_err(io::Error::other)?;
                let stream = Stream::Tls(Box::new(tls::Tls::new(stream, begun)));
                stream.hurry();
                Ok((stream, format!("ssl:{from}")))
            }
        }
    }

    /// Where it listens: the port that the system chose, if it was to.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Listener::Unix { .. } => None,
            Listener::Tcp(socket) | Listener::Ssl(socket) => {
                socket.local_addr().ok().map(|a| a.port())
            }
        }
    }
}

fn connect(to: SocketAddr, dscp: u8) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    set_dscp(&stream, to, dscp)?;
    Ok(stream)
}

fn tcp(at: SocketAddr, dscp: u8) -> io::Result<TcpListener> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    set_dscp(&socket, at, dscp)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// The upper six bits of the type of service (RFC 2474 clause 3).
fn set_dscp(socket: impl std::os::fd::AsFd, of: SocketAddr, dscp: u8) -> io::Result<()> {
    let tos = (dscp & 63) << 2;
    match of {
        SocketAddr::V4(_) => sockopt::set_ip_tos(socket, tos)?,
        SocketAddr::V6(_) => sockopt::set_ipv6_tclass(socket, u32::from(tos))?,
    }
    Ok(())
}
