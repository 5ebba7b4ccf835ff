//! Listening sockets.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use posix::unix::SocketFile;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tls::{Context, TlsError};

use crate::Target;
use crate::socket::{Stream, set_dscp};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A non-blocking listening socket. A Unix socket's file is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    tls: bool,
}

#[derive(Debug)]
enum Socket {
    Unix { socket: UnixListener, _file: SocketFile },
    Tcp(TcpListener),
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    socket: AcceptedSocket,
    tls: bool,
    /// The peer's address; `None` over a Unix socket.
    pub peer: Option<SocketAddr>,
}

#[derive(Debug)]
enum AcceptedSocket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    /// Listens at a passive target. Packets carry the differentiated services code point `dscp`
    /// (0 to 63), if one is given.
    ///
    /// # Errors
    ///
    /// The system's; `InvalidInput` for an active target.
    pub fn open(target: &Target, dscp: Option<u8>) -> io::Result<Listener> {
        match target {
            Target::ListenUnix(path) => {
                let (socket, file) = posix::unix::listen(path)?;
                let socket = Socket::Unix { socket: UnixListener::from_std(socket), _file: file };
                Ok(Listener { socket, tls: false })
            }
            Target::ListenTcp { address, tls } => {
                Ok(Listener { socket: Socket::Tcp(listen_tcp(*address, dscp)?), tls: *tls })
            }
            Target::Unix(_) | Target::Tcp { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The TCP port it listens on, which the system has chosen for port 0; `None` for a Unix
    /// socket.
    pub fn port(&self) -> Option<u16> {
        match &self.socket {
            Socket::Unix { .. } => None,
            Socket::Tcp(socket) => socket.local_addr().ok().map(|at| at.port()),
        }
    }

    /// The next connection that waits.
    ///
    /// # Errors
    ///
    /// The system's; `WouldBlock` if no connection waits.
    pub fn accept(&self) -> io::Result<Accepted> {
        let tls = self.tls;
        Ok(match &self.socket {
            Socket::Unix { socket, .. } => {
                let socket = AcceptedSocket::Unix(socket.accept()?.0);
                Accepted { socket, tls, peer: None }
            }
            Socket::Tcp(socket) => {
                let (socket, peer) = socket.accept()?;
                Accepted { socket: AcceptedSocket::Tcp(socket), tls, peer: Some(peer) }
            }
        })
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Socket::Unix { socket, .. } => socket,
            Socket::Tcp(socket) => socket,
        }
    }
}

impl Accepted {
    /// The peer's name as Open vSwitch logs it; over a Unix socket it is the `number`th connection.
    pub fn name(&self, number: u64) -> String {
        match self.peer {
            None => format!("unix#{number}"),
            Some(peer) if self.tls => format!("ssl:{peer}"),
            Some(peer) => format!("tcp:{peer}"),
        }
    }

    /// The connection as a stream, with TLS as a server if the target asks for it.
    ///
    /// # Errors
    ///
    /// `tls` has no usable certificate or key.
    pub fn into_stream(self, tls: &mut Context) -> Result<Stream, TlsError> {
        let stream = match self.socket {
            AcceptedSocket::Unix(socket) => Stream::Unix(socket),
            AcceptedSocket::Tcp(socket) if self.tls => Stream::tls(socket, tls.accept()?),
            AcceptedSocket::Tcp(socket) => Stream::Tcp(socket),
        };
        stream.set_nodelay();
        Ok(stream)
    }
}

impl Source for Listener {
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

fn listen_tcp(at: SocketAddr, dscp: Option<u8>) -> io::Result<TcpListener> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    if let Some(dscp) = dscp {
        set_dscp(&socket, at, dscp)?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
