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

use crate::tls::{Tls, TlsFiles};

/// The TCP port of OVSDB (IANA).
pub const DEFAULT_PORT: u16 = 6640;

/// A server's address: `unix:PATH`, `tcp:HOST[:PORT]` or `ssl:HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
    /// A TCP port under TLS.
    Ssl(SocketAddr),
}

/// One or more servers of the same database, with commas between them: the members of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remotes(Vec<Remote>);

impl Remotes {
    /// The servers in the order given; at least one.
    pub fn as_slice(&self) -> &[Remote] {
        &self.0
    }

    /// Puts the servers into an order that depends on `seed`, so that the clients of a fleet, which
    /// all have the same list, do not all begin with the same server.
    pub(crate) fn shuffle(&mut self, seed: u64) {
        let mut state = seed;
        for at in (1..self.0.len()).rev() {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut random = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            random ^= random >> 31;
            self.0.swap(at, (random % (at as u64 + 1)) as usize);
        }
    }
}

impl From<Remote> for Remotes {
    fn from(remote: Remote) -> Remotes {
        Remotes(vec![remote])
    }
}

impl FromStr for Remotes {
    type Err = RemoteError;

    /// Addresses with commas between them, as [`Remote`] takes them. A comma that no `KIND:`
    /// follows belongs to the path before it.
    fn from_str(text: &str) -> Result<Remotes, RemoteError> {
        let kinds = ["unix:", "tcp:", "ssl:", "punix:", "ptcp:", "pssl:"];
        let mut remotes = Vec::new();
        let mut begin = 0;
        for (at, _) in text.match_indices(',') {
            let rest = text[at + 1..].trim_start();
            if kinds.iter().any(|kind| rest.starts_with(kind)) {
                remotes.push(text[begin..at].trim().parse()?);
                begin = at + 1;
            }
        }
        remotes.push(text[begin..].trim().parse()?);
        Ok(Remotes(remotes))
    }
}

impl fmt::Display for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, remote) in self.0.iter().enumerate() {
            write!(f, "{}{remote}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
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

    /// `unix:PATH`; `tcp:HOST[:PORT]` or `ssl:HOST[:PORT]`, where HOST is an IPv4 address, an IPv6
    /// address in brackets or `localhost`, and PORT is 6640 when it is left out. Other names are
    /// refused: to look them up would block.
    fn from_str(text: &str) -> Result<Remote, RemoteError> {
        let error =
            |problem: &str| RemoteError { text: text.to_owned(), problem: problem.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(error("no path (accepted: unix:PATH)"));
            }
            return Ok(Remote::Unix(PathBuf::from(path)));
        }
        let (rest, make): (_, fn(SocketAddr) -> Remote) =
            match (text.strip_prefix("tcp:"), text.strip_prefix("ssl:")) {
                (Some(rest), _) => (rest, Remote::Tcp),
                (None, Some(rest)) => (rest, Remote::Ssl),
                (None, None) => {
                    return Err(error(
                        "accepted are unix:PATH, tcp:HOST[:PORT] and ssl:HOST[:PORT]",
                    ));
                }
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
                error(
                    "HOST is an IPv4 address, an IPv6 address in brackets, or localhost; \
                     other names are not looked up",
                )
            })?,
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(error("PORT is a number from 1 to 65535")),
            },
        };
        Ok(make(SocketAddr::new(address, port)))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Unix(path) => write!(f, "unix:{}", path.display()),
            Remote::Tcp(address) => write!(f, "tcp:{address}"),
            Remote::Ssl(address) => write!(f, "ssl:{address}"),
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
    Tls(Tls<mio::net::TcpStream>),
}

impl Stream {
    /// Begins to connect.
    pub(crate) fn open(remote: &Remote, tls: &TlsFiles) -> io::Result<Stream> {
        match remote {
            Remote::Unix(path) => {
                with_short_path(path, |path| mio::net::UnixStream::connect(path)).map(Stream::Unix)
            }
            Remote::Tcp(address) => mio::net::TcpStream::connect(*address).map(Stream::Tcp),
            Remote::Ssl(address) => {
                let begun = tls.begin(*address)?;
                let socket = mio::net::TcpStream::connect(*address)?;
                Ok(Stream::Tls(Tls::new(socket, begun)))
            }
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

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Unix(stream) => stream,
            Stream::Tcp(stream) => stream,
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

fn connect_tcp(address: &SocketAddr, timeout: Duration) -> io::Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// A blocking socket with time limits.
#[derive(Debug)]
pub(crate) enum BlockingStream {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
    Tls(Tls<std::net::TcpStream>),
}

impl BlockingStream {
    pub(crate) fn open(
        remote: &Remote,
        tls: &TlsFiles,
        timeout: Duration,
    ) -> io::Result<BlockingStream> {
        match remote {
            Remote::Unix(path) => {
                let stream =
                    with_short_path(path, |path| std::os::unix::net::UnixStream::connect(path))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(BlockingStream::Unix(stream))
            }
            Remote::Tcp(address) => connect_tcp(address, timeout).map(BlockingStream::Tcp),
            Remote::Ssl(address) => {
                let begun = tls.begin(*address)?;
                let socket = connect_tcp(address, timeout)?;
                socket.set_read_timeout(Some(timeout))?;
                let mut stream = Tls::new(socket, begun);
                stream.shake_hands()?;
                Ok(BlockingStream::Tls(stream))
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            BlockingStream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
            BlockingStream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            BlockingStream::Tls(tls) => tls.socket.set_read_timeout(Some(timeout)),
        }
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            BlockingStream::Unix(stream) => stream.read(buffer),
            BlockingStream::Tcp(stream) => stream.read(buffer),
            BlockingStream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for BlockingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            BlockingStream::Unix(stream) => stream.write(bytes),
            BlockingStream::Tcp(stream) => stream.write(bytes),
            BlockingStream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            BlockingStream::Unix(_) | BlockingStream::Tcp(_) => Ok(()),
            BlockingStream::Tls(stream) => stream.flush(),
        }
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
            ("ssl:192.0.2.1", "ssl:192.0.2.1:6640"),
            ("ssl:[::1]:1", "ssl:[::1]:1"),
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn a_list_of_servers_parses() {
        let list: Remotes = "tcp:192.0.2.1:1,ssl:192.0.2.2, unix:/a,b".parse().unwrap();
        assert_eq!(list.to_string(), "tcp:192.0.2.1:1,ssl:192.0.2.2:6640,unix:/a,b");
        assert_eq!(list.as_slice().len(), 3);
        for bad in ["", ",", "tcp:192.0.2.1,tcp:nowhere", "tcp:192.0.2.1,", "unix:,tcp:192.0.2.1"] {
            assert!(bad.parse::<Remotes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_server_comes_first_for_some() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut list: Remotes = "tcp:192.0.2.1,tcp:192.0.2.2,tcp:192.0.2.3".parse().unwrap();
            list.shuffle(seed);
            firsts.insert(list.0[0].to_string());
            list.0.sort_by_key(ToString::to_string);
            assert_eq!(list.to_string().matches("192.0.2.").count(), 3);
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn others_are_refused_with_a_reason() {
        for (text, says) in [
            ("unix:", "no path"),
            ("ssl:", "HOST is"),
            ("ssl:example.com", "other names are not looked up"),
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
