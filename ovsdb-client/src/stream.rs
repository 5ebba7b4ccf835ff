//! Sockets that do not block: to a server, or where a server comes to.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::unix::pipe;
use mio::{Interest, Registry, Token};
use posix::unix::{SocketFile, with_short_path};
use tls::{Context, Tls};

use crate::remote::{Host, Remote};

/// A host as TLS and the resolver want it.
pub(crate) fn plain(host: &Host) -> String {
    match host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.clone(),
    }
}

/// What an attempt to reach a server begins with.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A socket that connects.
    Stream(Stream),
    /// A name that is looked up.
    Lookup(Lookup),
    /// The server comes to us.
    Door(Door),
}

impl Opened {
    pub(crate) fn new(remote: &Remote, tls: &mut Context) -> io::Result<Opened> {
        match remote {
            Remote::Unix(path) => with_short_path(path, |path| UnixStream::connect(path))
                .map(|socket| Opened::Stream(Stream::Unix(socket))),
            Remote::Tcp { host, port, .. } => match host.address() {
                Some(address) => {
                    Stream::dial(SocketAddr::new(address, *port), remote, tls).map(Opened::Stream)
                }
                None => Lookup::start(&plain(host), *port).map(Opened::Lookup),
            },
            Remote::ListenUnix(_) | Remote::ListenTcp { .. } => {
                if let Remote::ListenTcp { tls: true, .. } = remote {
                    tls.check().map_err(io::Error::other)?;
                }
                Door::open(remote).map(Opened::Door)
            }
        }
    }
}

/// A name that a thread of its own asks the system's resolver for, which blocks.
#[derive(Debug)]
pub(crate) struct Lookup {
    lookup: posix::lookup::Lookup,
    /// Its other end is dropped when the answer is there.
    bell: pipe::Receiver,
}

impl Lookup {
    fn start(name: &str, port: u16) -> io::Result<Lookup> {
        let (end, bell) = pipe::new()?;
        let lookup = posix::lookup::Lookup::start(name, port, move || drop(end))?;
        Ok(Lookup { lookup, bell })
    }

    /// The addresses, once they are known.
    pub(crate) fn answer(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        self.lookup.answer()
    }
}

/// A socket where a server comes to.
#[derive(Debug)]
pub(crate) struct Door {
    socket: Listener,
    tls: bool,
}

#[derive(Debug)]
enum Listener {
    Unix {
        socket: UnixListener,
        /// Goes with the socket.
        _file: SocketFile,
    },
    Tcp(TcpListener),
}

impl Door {
    fn open(remote: &Remote) -> io::Result<Door> {
        match remote {
            Remote::ListenUnix(path) => {
                let (socket, file) = posix::unix::listen(path)?;
                let socket = Listener::Unix { socket: UnixListener::from_std(socket), _file: file };
                Ok(Door { socket, tls: false })
            }
            Remote::ListenTcp { address, tls } => {
                Ok(Door { socket: Listener::Tcp(TcpListener::bind(*address)?), tls: *tls })
            }
            Remote::Unix(_) | Remote::Tcp { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// A server that waits there, if one does.
    pub(crate) fn accept(&self, tls: &mut Context) -> io::Result<Stream> {
        match &self.socket {
            Listener::Unix { socket, .. } => {
                socket.accept().map(|(socket, _)| Stream::Unix(socket))
            }
            Listener::Tcp(socket) => {
                let (socket, _) = socket.accept()?;
                match self.tls {
                    false => Ok(Stream::Tcp(socket)),
                    true => {
                        let begun = tls.accept().map_err(io::Error::other)?;
                        Ok(Stream::Tls(Tls::new(socket, begun)))
                    }
                }
            }
        }
    }
}

/// A non-blocking socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Tls<TcpStream>),
}

impl Stream {
    /// Begins to connect to an address of a TCP remote.
    pub(crate) fn dial(
        address: SocketAddr,
        remote: &Remote,
        tls: &mut Context,
    ) -> io::Result<Stream> {
        match remote {
            Remote::Tcp { host, tls: true, .. } => {
                let begun = tls.connect(&plain(host)).map_err(io::Error::other)?;
                Ok(Stream::Tls(Tls::new(TcpStream::connect(address)?, begun)))
            }
            _ => TcpStream::connect(address).map(Stream::Tcp),
        }
    }

    /// `Ok(true)` when connected, `Ok(false)` while it goes on.
    pub(crate) fn connected(&self) -> io::Result<bool> {
        let (tcp, failed, peer) = match self {
            Stream::Unix(socket) => (None, socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Tcp(socket) | Stream::Tls(Tls { socket, .. }) => {
                (Some(socket), socket.take_error()?, socket.peer_addr().map(drop))
            }
        };
        match (failed, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => {
                if let Some(socket) = tcp {
                    socket.set_nodelay(true)?;
                }
                Ok(true)
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }
}

/// What can be registered with a poll.
pub(crate) trait Pollable {
    /// The socket.
    fn source(&mut self) -> &mut dyn Source;

    /// What is waited for.
    fn interest(&self) -> Interest {
        Interest::READABLE
    }

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = self.interest();
        registry.register(self.source(), token, interest)
    }

    fn deregister(&mut self, registry: &Registry) {
        // The socket is closed next, which takes it out of the poll in any case.
        let _ = registry.deregister(self.source());
    }
}

impl Pollable for Stream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(stream) => stream,
            Stream::Tcp(stream) => stream,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    fn interest(&self) -> Interest {
        Interest::READABLE | Interest::WRITABLE
    }
}

impl Pollable for Lookup {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.bell
    }
}

impl Pollable for Door {
    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Listener::Unix { socket, .. } => socket,
            Listener::Tcp(socket) => socket,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Unix(_) | Stream::Tcp(_) => Ok(()),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
