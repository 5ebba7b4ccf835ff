//! Where servers and clients meet: `unix:`, `tcp:`, `ssl:` and the listening forms `punix:`,
//! `ptcp:`, `pssl:` (`ovsdb(7)`, "Connection Methods").

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The TCP port of OVSDB (IANA).
pub const DEFAULT_PORT: u16 = 6640;

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// By its address.
    Address(IpAddr),
    /// By its name, or an IPv6 address with a zone: the system's resolver knows more.
    Name(String),
}

impl Host {
    /// Its address, as far as that is known without asking anybody: `localhost` is 127.0.0.1.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(name) => ip(name),
        }
    }
}

/// A place to connect to or to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`.
    Tcp {
        /// Where.
        host: Host,
        /// 1 to 65,535.
        port: u16,
        /// `ssl:`.
        tls: bool,
    },
    /// `punix:PATH`.
    ListenUnix(PathBuf),
    /// `ptcp:[PORT][:IP]`, `pssl:[PORT][:IP]`; port 0 lets the system choose.
    ListenTcp {
        /// Where.
        address: SocketAddr,
        /// `pssl:`.
        tls: bool,
    },
}

/// A text that is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote \"{text}\": {problem}")]
pub struct RemoteError {
    /// What was given.
    pub text: String,
    /// What is wrong, and what is accepted.
    pub problem: &'static str,
}

const KINDS: [&str; 6] = ["unix:", "tcp:", "ssl:", "punix:", "ptcp:", "pssl:"];

/// True if a text begins with a word for a kind of place.
pub fn has_kind(text: &str) -> bool {
    KINDS.iter().any(|kind| text.starts_with(kind))
}

/// The places of a list with commas. A comma that no kind follows is a part of a path.
pub fn split_list(text: &str) -> Vec<&str> {
    let mut places = Vec::new();
    let mut begin = 0;
    for (at, _) in text.match_indices(',') {
        if has_kind(text[at + 1..].trim_start()) {
            places.push(text[begin..at].trim());
            begin = at + 1;
        }
    }
    places.push(text[begin..].trim());
    places
}

impl Remote {
    /// True for a place to listen at, where the other side connects.
    pub fn is_passive(&self) -> bool {
        matches!(self, Remote::ListenUnix(_) | Remote::ListenTcp { .. })
    }

    /// True if a peer may vanish without a word, so that it should be probed.
    pub fn needs_probes(&self) -> bool {
        matches!(self, Remote::Tcp { .. } | Remote::ListenTcp { .. })
    }

    /// With a socket's path that is not absolute taken to be in a directory.
    pub fn below(self, directory: &Path) -> Remote {
        match self {
            Remote::Unix(path) => Remote::Unix(directory.join(path)),
            Remote::ListenUnix(path) => Remote::ListenUnix(directory.join(path)),
            Remote::Tcp { .. } | Remote::ListenTcp { .. } => self,
        }
    }
}

impl FromStr for Remote {
    type Err = RemoteError;

    /// The forms above. HOST is an IPv4 address, an IPv6 address in brackets, or a name; PORT is
    /// 6640 when it is left out; without an IP all of IPv4 is listened at.
    fn from_str(text: &str) -> Result<Remote, RemoteError> {
        let tcp = |rest, tls| connect(rest).map(|(host, port)| Remote::Tcp { host, port, tls });
        let listen = |rest, tls| listen(rest).map(|address| Remote::ListenTcp { address, tls });
        let parsed = match text.split_once(':') {
            Some(("unix", path)) => path_of(path).map(Remote::Unix),
            Some(("tcp", rest)) => tcp(rest, false),
            Some(("ssl", rest)) => tcp(rest, true),
            Some(("punix", path)) => path_of(path).map(Remote::ListenUnix),
            Some(("ptcp", rest)) => listen(rest, false),
            Some(("pssl", rest)) => listen(rest, true),
            Some(_) | None => Err("accepted are unix:PATH, tcp:HOST[:PORT], ssl:HOST[:PORT], \
                                   punix:PATH, ptcp:[PORT][:IP] and pssl:[PORT][:IP]"),
        };
        parsed.map_err(|problem| RemoteError { text: text.to_owned(), problem })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |tls: bool| if tls { "ssl" } else { "tcp" };
        match self {
            Remote::Unix(path) => write!(f, "unix:{}", path.display()),
            Remote::Tcp { host, port, tls } => write!(f, "{}:{host}:{port}", kind(*tls)),
            Remote::ListenUnix(path) => write!(f, "punix:{}", path.display()),
            Remote::ListenTcp { address, tls } => {
                let host = Host::Address(address.ip());
                write!(f, "p{}:{}:{host}", kind(*tls), address.port())
            }
        }
    }
}

/// As it stands before a colon: IPv6 addresses in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Host::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

fn path_of(path: &str) -> Result<PathBuf, &'static str> {
    if path.is_empty() { Err("no path") } else { Ok(PathBuf::from(path)) }
}

/// Cuts `a:b`, where `a` or `b` may be an IPv6 address in brackets.
fn cut(text: &str) -> Result<(&str, &str), &'static str> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']').ok_or("'[' without ']'")?;
        return match rest.strip_prefix(':') {
            Some(rest) => Ok((host, rest)),
            None if rest.is_empty() => Ok((host, "")),
            None => Err("only ':' is accepted after ']'"),
        };
    }
    let (first, second) = text.split_once(':').unwrap_or((text, ""));
    match second.strip_prefix('[') {
        Some(inside) => Ok((first, inside.strip_suffix(']').ok_or("'[' without ']' at the end")?)),
        None => Ok((first, second)),
    }
}

fn port(text: &str, smallest: u16) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    match text.parse() {
        Ok(number) if number >= smallest => Ok(number),
        Ok(_) | Err(_) => Err("a port is a number up to 65535, to connect to at least 1"),
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text => text.parse().ok(),
    }
}

fn connect(text: &str) -> Result<(Host, u16), &'static str> {
    let (host, number) = cut(text)?;
    let port = port(number, 1)?;
    if let Ok(address) = host.parse() {
        return Ok((Host::Address(address), port));
    }
    let zoned = host.contains(':') && host.contains('%');
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if zoned || (host.chars().all(is_name) && !host.is_empty()) {
        return Ok((Host::Name(host.to_owned()), port));
    }
    Err("a host is an IPv4 address, an IPv6 address in brackets, or a name")
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    let (number, host) = cut(text)?;
    let host = match host {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        host => ip(host).ok_or("to listen at, an IPv4 address or an IPv6 address in brackets")?,
    };
    Ok(SocketAddr::new(host, port(number, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, shown) in [
            ("punix:/run/db.sock", "punix:/run/db.sock"),
            ("unix:db.sock", "unix:db.sock"),
            ("ptcp:", "ptcp:6640:0.0.0.0"),
            ("ptcp:0:127.0.0.1", "ptcp:0:127.0.0.1"),
            ("pssl:6641", "pssl:6641:0.0.0.0"),
            ("pssl:6641:[::1]", "pssl:6641:[::1]"),
            ("ptcp:0:[::]", "ptcp:0:[::]"),
            ("tcp:10.0.0.1", "tcp:10.0.0.1:6640"),
            ("ssl:[fe80::1]:7", "ssl:[fe80::1]:7"),
            ("ssl:[fe80::1%eth0]:7", "ssl:[fe80::1%eth0]:7"),
            ("tcp:localhost:7", "tcp:localhost:7"),
            ("tcp:db-1.example.net", "tcp:db-1.example.net:6640"),
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for text in [
            "",
            "punix:",
            "unix",
            "ptcp:x",
            "ptcp:65536",
            "ptcp:1:host.example",
            "tcp:",
            "tcp:1.2.3.4:0",
            "tcp:[::1",
            "tcp:[::1]x",
            "ssl:[::1]7",
            "ptcp:1:[::1",
            "quic:1.2.3.4",
            "db:x",
            "tcp:a b",
            "tcp:a/b:1",
        ] {
            let error = text.parse::<Remote>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("remote \"{text}\": ")), "{error}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(split_list("unix:/a,b.sock"), ["unix:/a,b.sock"]);
        assert_eq!(
            split_list("unix:/a, tcp:1.2.3.4:1,pssl:[::1]:2"),
            ["unix:/a", "tcp:1.2.3.4:1", "pssl:[::1]:2"]
        );
    }

    #[test]
    fn paths_below() {
        let below = |text: &str| text.parse::<Remote>().unwrap().below(Path::new("/run"));
        assert_eq!(below("punix:x").to_string(), "punix:/run/x");
        assert_eq!(below("unix:/x").to_string(), "unix:/x");
    }
}
