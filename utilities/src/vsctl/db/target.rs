//! Where a server is, and a blocking stream to it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ovsdb_client::DEFAULT_PORT;

use super::tls::Tls;
use crate::vsctl::run_directory;

/// Bytes in both directions, with a limit on how long a read may take.
pub trait Stream: Read + Write {
    /// Reads fail with `WouldBlock` after this long; `None` means never.
    ///
    /// # Errors
    ///
    /// The system's.
    fn limit_reads(&self, time: Option<Duration>) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn limit_reads(&self, time: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(time)
    }
}

impl Stream for TcpStream {
    fn limit_reads(&self, time: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(time)
    }
}

const KINDS: &[&str] = &["unix:", "tcp:", "ssl:", "punix:", "ptcp:", "pssl:"];

/// True if a text begins like a server's address.
pub fn is_address(text: &str) -> bool {
    KINDS.iter().any(|kind| text.starts_with(kind))
}

/// True for an address to listen on, where the server connects to us.
pub fn is_passive(text: &str) -> bool {
    text.starts_with('p')
}

/// The addresses of a list with commas. A comma that no address follows is a part of a path.
pub fn list(text: &str) -> Vec<&str> {
    let mut addresses = Vec::new();
    let mut begin = 0;
    for (at, _) in text.match_indices(',') {
        if is_address(&text[at + 1..]) {
            addresses.push(&text[begin..at]);
            begin = at + 1;
        }
    }
    addresses.push(&text[begin..]);
    addresses
}

/// Host and port of `HOST[:PORT]`, `[IPV6][:PORT]`.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map_or(Ok(DEFAULT_PORT), str::parse).ok()?;
    Some((host, port))
}

/// What `ptcp:[PORT][:HOST]` listens on.
fn listen_address(text: &str) -> Option<(&str, u16)> {
    let (port, host) = text.split_once(':').unwrap_or((text, "0.0.0.0"));
    let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().ok()? };
    Some((host.trim_matches(['[', ']']), port))
}

/// Longest path that fits into a socket address with its final zero.
const MAX_UNIX_PATH: usize = 107;

/// Calls `open` with the path, or with a short alias of it through its open directory if it is
/// too long for a socket address.
pub fn with_short_path<T>(path: &Path, open: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_UNIX_PATH {
        return open(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return open(path);
    };
    let directory = std::fs::File::open(directory)?;
    open(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

/// A socket's path; one that is not absolute is in the run directory.
fn absolute(path: &str) -> PathBuf {
    Path::new(&run_directory()).join(path)
}

fn unusable() -> io::Error {
    // What the system says of an address family that it does not have.
    io::Error::from_raw_os_error(libc::EAFNOSUPPORT)
}

fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

/// Time left until `deadline`; without one, `most`.
fn left(deadline: Option<Instant>, most: Duration) -> io::Result<Duration> {
    let Some(deadline) = deadline else { return Ok(most) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left.min(most))
}

/// Longest that one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(30);

fn connect_tcp(text: &str, deadline: Option<Instant>) -> io::Result<TcpStream> {
    let (host, port) = host_and_port(text).ok_or_else(invalid)?;
    let mut last = io::ErrorKind::NotFound.into();
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline, CONNECT)?) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Waits for one connection to a listener.
fn accept_one<T>(
    deadline: Option<Instant>,
    mut accept: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(left(deadline, Duration::from_millis(20))?);
            }
            result => return result,
        }
    }
}

/// Connects to an address, or waits for a connection to it. Until `deadline` at most.
///
/// # Errors
///
/// The system's; `TimedOut` when the deadline has passed.
pub fn open(address: &str, tls: &Tls, deadline: Option<Instant>) -> io::Result<Box<dyn Stream>> {
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(Box::new(with_short_path(&absolute(path), |path| UnixStream::connect(path))?));
    }
    if let Some(rest) = address.strip_prefix("tcp:") {
        return Ok(Box::new(connect_tcp(rest, deadline)?));
    }
    if let Some(rest) = address.strip_prefix("ssl:") {
        let stream = connect_tcp(rest, deadline)?;
        stream.set_read_timeout(Some(left(deadline, CONNECT)?))?;
        let (host, _) = host_and_port(rest).ok_or_else(invalid)?;
        return tls.connect(stream, host);
    }
    if let Some(path) = address.strip_prefix("punix:") {
        let path = &absolute(path);
        let _ = std::fs::remove_file(path);
        let listener = with_short_path(path, |path| UnixListener::bind(path))?;
        listener.set_nonblocking(true)?;
        let accepted = accept_one(deadline, || listener.accept());
        let _ = std::fs::remove_file(path);
        let (stream, _) = accepted?;
        stream.set_nonblocking(false)?;
        return Ok(Box::new(stream));
    }
    if let Some(rest) = address.strip_prefix("ptcp:") {
        let listener = TcpListener::bind(listen_address(rest).ok_or_else(invalid)?)?;
        listener.set_nonblocking(true)?;
        let (stream, _) = accept_one(deadline, || listener.accept())?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        return Ok(Box::new(stream));
    }
    Err(unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_addresses() {
        assert_eq!(list("unix:/a,b.sock"), ["unix:/a,b.sock"]);
        assert_eq!(
            list("unix:/a,tcp:1.2.3.4:1,ssl:[::1]:2"),
            ["unix:/a", "tcp:1.2.3.4:1", "ssl:[::1]:2"]
        );
        assert_eq!(host_and_port("[::1]:2"), Some(("::1", 2)));
        assert_eq!(host_and_port("h"), Some(("h", 6640)));
        assert_eq!(host_and_port("h:x"), None);
        assert_eq!(listen_address("0:127.0.0.1"), Some(("127.0.0.1", 0)));
        assert_eq!(listen_address(""), Some(("0.0.0.0", 6640)));
    }
}
