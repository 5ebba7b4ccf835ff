//! Where a server is, and the socket to it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};

/// The TCP port of OVSDB (IANA).
pub const DEFAULT_PORT: u16 = 6640;

/// A server's address: `unix:PATH` or `tcp:HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

/// A text that names no server that can be reached from here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote \"{text}\": {problem}")]
pub struct RemoteError {
    /// What was given.
    pub text: String,
    /// What is wrong, and what is accepted.
    pub problem: String,
}

impl FromStr for Remote {
    type Err = RemoteError;

    /// `unix:PATH`; `tcp:HOST` or `tcp:HOST:PORT`, where HOST is an IPv4 address, an IPv6 address in
    /// brackets or `localhost`, and PORT is 6640 when it is left out.
    fn from_str(text: &str) -> Result<Remote, RemoteError> {
        let error =
            |problem: &str| RemoteError { text: text.to_owned(), problem: problem.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(error("no path (accepted: unix:PATH)"));
            }
            return Ok(Remote::Unix(PathBuf::from(path)));
        }
        if text.starts_with("ssl:") {
            return Err(error("TLS is not available (accepted: unix:PATH or tcp:HOST[:PORT])"));
        }
        let Some(rest) = text.strip_prefix("tcp:") else {
            return Err(error("accepted are unix:PATH and tcp:HOST[:PORT]"));
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => match inner.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, port)) => match port.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None => return Err(error("after ']' only :PORT is accepted")),
                },
                None => return Err(error("'[' without ']'")),
            },
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let address = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().map_err(|_| {
                error("HOST is an IPv4 address, an IPv6 address in brackets, or localhost")
            })?,
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(error("PORT is a number from 1 to 65535")),
            },
        };
        Ok(Remote::Tcp(SocketAddr::new(address, port)))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Unix(path) => write!(f, "unix:{}", path.display()),
            Remote::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// Longest path that fits into `sockaddr_un` with its final zero.
const MAX_UNIX_PATH: usize = 107;

/// Calls `connect` with the path, or with a short alias of it through its open directory if it is
/// too long for a socket address.
fn with_short_path<T>(path: &Path, connect: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_UNIX_PATH {
        return connect(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return connect(path);
    };
    let directory = std::fs::File::open(directory)?;
    connect(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

/// A non-blocking socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(mio::net::UnixStream),
    Tcp(mio::net::TcpStream),
}

impl Stream {
    /// Begins to connect.
    pub(crate) fn open(remote: &Remote) -> io::Result<Stream> {
        match remote {
            Remote::Unix(path) => {
                with_short_path(path, |path| mio::net::UnixStream::connect(path)).map(Stream::Unix)
            }
            Remote::Tcp(address) => mio::net::TcpStream::connect(*address).map(Stream::Tcp),
        }
    }

    /// `Ok(true)` when connected, `Ok(false)` while it goes on.
    pub(crate) fn connected(&self) -> io::Result<bool> {
        let (failed, peer) = match self {
            Stream::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Stream::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
        };
        match (failed, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => {
                if let Stream::Tcp(stream) = self {
                    stream.set_nodelay(true)?;
                }
                Ok(true)
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(stream) => stream,
            Stream::Tcp(stream) => stream,
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
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blocking socket with time limits.
#[derive(Debug)]
pub(crate) enum BlockingStream {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl BlockingStream {
    pub(crate) fn open(remote: &Remote, timeout: Duration) -> io::Result<BlockingStream> {
        match remote {
            Remote::Unix(path) => {
                let stream =
                    with_short_path(path, |path| std::os::unix::net::UnixStream::connect(path))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(BlockingStream::Unix(stream))
            }
            Remote::Tcp(address) => {
                let stream = std::net::TcpStream::connect_timeout(address, timeout)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(BlockingStream::Tcp(stream))
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            BlockingStream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
            BlockingStream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            BlockingStream::Unix(stream) => stream.read(buffer),
            BlockingStream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for BlockingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            BlockingStream::Unix(stream) => stream.write(bytes),
            BlockingStream::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_parse_and_print() {
        for (text, printed) in [
            ("unix:/run/db.sock", "unix:/run/db.sock"),
            ("tcp:127.0.0.1:1", "tcp:127.0.0.1:1"),
            ("tcp:localhost", "tcp:127.0.0.1:6640"),
            ("tcp:[::1]:6641", "tcp:[::1]:6641"),
            ("tcp:[::1]", "tcp:[::1]:6640"),
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn others_are_refused_with_a_reason() {
        for (text, says) in [
            ("unix:", "no path"),
            ("ssl:1.2.3.4", "TLS is not available"),
            ("ptcp:6640", "accepted are"),
            ("tcp:example.com:1", "HOST is"),
            ("tcp:1.2.3.4:0", "PORT is"),
            ("tcp:1.2.3.4:70000", "PORT is"),
            ("tcp:[::1", "without ']'"),
            ("tcp:[::1]x", "after ']'"),
        ] {
            let error = text.parse::<Remote>().unwrap_err();
            assert!(error.problem.contains(says) && error.text == text, "{error}");
        }
    }
}
