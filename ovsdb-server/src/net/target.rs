//! Where a remote is: `punix:`, `ptcp:`, `pssl:`, `unix:`, `tcp:`, `ssl:` (`ovsdb(7)`,
//! "Connection Methods").

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The TCP port of OVSDB (IANA).
pub const DEFAULT_PORT: u16 = 6640;

/// A place to listen at or to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `punix:PATH`.
    ListenUnix(PathBuf),
    /// `ptcp:[PORT][:IP]`, `pssl:[PORT][:IP]`; port 0 lets the system choose.
    ListenTcp {
        /// Where.
        address: SocketAddr,
        /// `pssl:`.
        tls: bool,
    },
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:IP[:PORT]`, `ssl:IP[:PORT]`.
    Tcp {
        /// Where.
        address: SocketAddr,
        /// `ssl:`.
        tls: bool,
    },
}

/// A text that is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote \"{text}\": {problem}")]
pub struct TargetError {
    /// What was given.
    pub text: String,
    /// What is wrong, and what is accepted.
    pub problem: &'static str,
}

const FORMS: &str = "accepted are punix:PATH, ptcp:[PORT][:IP], pssl:[PORT][:IP], unix:PATH, \
                     tcp:IP[:PORT], ssl:IP[:PORT] and db:DB,TABLE,COLUMN";

impl Target {
    /// True for a place to listen at.
    pub fn is_passive(&self) -> bool {
        matches!(self, Target::ListenUnix(_) | Target::ListenTcp { .. })
    }

    /// True if a peer may vanish without a word, so that it should be probed.
    pub fn needs_probes(&self) -> bool {
        matches!(self, Target::ListenTcp { .. } | Target::Tcp { .. })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let parsed = match text.split_once(':') {
            Some(("punix", path)) => path_of(path).map(Target::ListenUnix),
            Some(("unix", path)) => path_of(path).map(Target::Unix),
            Some(("ptcp", rest)) => {
                listen(rest).map(|address| Target::ListenTcp { address, tls: false })
            }
            Some(("pssl", rest)) => {
                listen(rest).map(|address| Target::ListenTcp { address, tls: true })
            }
            Some(("tcp", rest)) => connect(rest).map(|address| Target::Tcp { address, tls: false }),
            Some(("ssl", rest)) => connect(rest).map(|address| Target::Tcp { address, tls: true }),
            Some(_) | None => Err(FORMS),
        };
        parsed.map_err(|problem| TargetError { text: text.to_owned(), problem })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::ListenUnix(path) => write!(f, "punix:{}", path.display()),
            Target::ListenTcp { address, tls } => {
                let kind = if *tls { "pssl" } else { "ptcp" };
                write!(f, "{kind}:{}:{}", address.port(), Bracketed(address.ip()))
            }
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Tcp { address, tls } => {
                write!(f, "{}:{address}", if *tls { "ssl" } else { "tcp" })
            }
        }
    }
}

struct Bracketed(IpAddr);

impl fmt::Display for Bracketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "[{ip}]"),
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

fn ip(text: &str) -> Result<IpAddr, &'static str> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| "a host is an IPv4 address, an IPv6 address in brackets, or localhost")
}

fn port(text: &str, smallest: u16) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    match text.parse() {
        Ok(number) if number >= smallest => Ok(number),
        Ok(_) | Err(_) => Err("a port is a number up to 65535"),
    }
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    let (number, host) = cut(text)?;
    let host = if host.is_empty() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { ip(host)? };
    Ok(SocketAddr::new(host, port(number, 0)?))
}

fn connect(text: &str) -> Result<SocketAddr, &'static str> {
    let (host, number) = cut(text)?;
    Ok(SocketAddr::new(ip(host)?, port(number, 1)?))
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
            ("tcp:localhost:7", "tcp:127.0.0.1:7"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown, "{text}");
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
            "ssl:[::1]7",
            "ptcp:1:[::1",
            "quic:1.2.3.4",
            "db:x",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("remote \"{text}\": ")), "{error}");
        }
    }
}
