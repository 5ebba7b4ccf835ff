//! Where controllers are: `Controller.target`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// OpenFlow's port (IANA).
pub const PORT: u16 = 6653;

/// A target that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// We call.
    Active(Address),
    /// We are called.
    Passive(Address),
}

/// A socket's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
    Ssl {
        to: SocketAddr,
        /// The name by which the certificate is looked at, in place of the address.
        name: Option<String>,
    },
    /// A host that is to be looked up first, never where we listen.
    Name {
        name: String,
        port: u16,
        tls: bool,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(to) => write!(f, "tcp:{to}"),
            Address::Ssl { to, .. } => write!(f, "ssl:{to}"),
            Address::Name { name, port, tls: false } => write!(f, "tcp:{name}:{port}"),
            Address::Name { name, port, tls: true } => write!(f, "ssl:{name}:{port}"),
        }
    }
}

/// Why a target cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing that we know begins like that.
    #[error(
        "accepted are tcp:HOST[:PORT], unix:PATH, ssl:HOST[:PORT], ptcp:[PORT][:HOST], \
         punix:PATH and pssl:[PORT][:HOST]"
    )]
    Kind,
    /// It is known, but not usable.
    #[error("{0}")]
    Address(&'static str),
}

const HOST: TargetError =
    TargetError::Address("HOST is an IPv4 address, an IPv6 address in brackets, or a name");
const LISTENER: TargetError = TargetError::Address(
    "HOST is an IPv4 address, an IPv6 address in brackets, or localhost: the address to listen at",
);
const PORT_RANGE: TargetError = TargetError::Address("PORT is a number from 0 to 65535");
const PATH: TargetError = TargetError::Address("PATH must not be empty");

/// True if we are to call: by the target's beginning, as Open vSwitch decides it.
pub fn is_active(target: &str) -> bool {
    ["tcp:", "unix:", "ssl:"].iter().any(|kind| target.starts_with(kind))
}

/// Where a `tcp:` or `ssl:` target that we call is, if that is an IPv4 address; `port` is what it
/// has without one.
pub fn ipv4(target: &str, port: u16) -> Option<SocketAddrV4> {
    let at = target.strip_prefix("tcp:").or(target.strip_prefix("ssl:"))?;
    match active(at, port, false).ok()? {
        Address::Tcp(SocketAddr::V4(at)) => Some(at),
        _ => None,
    }
}

/// Reads a target. Paths that do not begin with `/` are in `rundir`.
///
/// # Errors
///
/// [`TargetError`]; its text says what is accepted.
pub fn parse(text: &str, rundir: &Path) -> Result<Target, TargetError> {
    let (kind, rest) = text.split_once(':').ok_or(TargetError::Kind)?;
    let path = || match rest {
        "" => Err(PATH),
        path => Ok(Address::Unix(rundir.join(path))),
    };
    Ok(match kind {
        "tcp" => Target::Active(active(rest, PORT, false)?),
        "ssl" => Target::Active(active(rest, PORT, true)?),
        "unix" => Target::Active(path()?),
        "ptcp" => Target::Passive(Address::Tcp(passive(rest)?)),
        "pssl" => Target::Passive(Address::Ssl { to: passive(rest)?, name: None }),
        "punix" => Target::Passive(path()?),
        _ => return Err(TargetError::Kind),
    })
}

/// `HOST[:PORT]`
fn active(text: &str, default: u16, tls: bool) -> Result<Address, TargetError> {
    let (at, port) = split_host(text)?;
    let port = self::port(port, default)?;
    let to = match host(at) {
        Some(ip) => SocketAddr::new(ip, port),
        None if is_name(at) => return Ok(Address::Name { name: at.to_owned(), port, tls }),
        None => return Err(HOST),
    };
    Ok(if tls { Address::Ssl { to, name: None } } else { Address::Tcp(to) })
}

/// Whether it can be a host's name (RFC 1123 clause 2.1, with the underscores that occur), or an
/// IPv6 address with a zone (RFC 4007 clause 11).
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match text.split_once('%') {
        Some((ip, zone)) => {
            ip.parse::<std::net::Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(plain)
        }
        None => {
            text.len() <= 253
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(plain)
                // An address with a digit missing or too much.
                && !text.chars().all(|c| c.is_ascii_digit() || c == '.')
        }
    }
}

/// `[PORT][:HOST]`
fn passive(text: &str) -> Result<SocketAddr, TargetError> {
    let (port, at) = match text.split_once(':') {
        Some((port, at)) => (port, Some(at)),
        None => (text, None),
    };
    let at = match at {
        None | Some("") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(at) => match split_host(at)? {
            (at, None) => host(at).ok_or(LISTENER)?,
            (_, Some(_)) => return Err(LISTENER),
        },
    };
    Ok(SocketAddr::new(at, self::port(Some(port).filter(|p| !p.is_empty()), PORT)?))
}

fn split_host(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    match text.strip_prefix('[') {
        Some(inner) => match inner.split_once(']').ok_or(HOST)? {
            (at, "") => Ok((at, None)),
            (at, rest) => Ok((at, Some(rest.strip_prefix(':').ok_or(HOST)?))),
        },
        None => match text.split_once(':') {
            Some((at, port)) => Ok((at, Some(port))),
            None => Ok((text, None)),
        },
    }
}

/// The address, as far as it is known without asking.
fn host(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text => text.parse().ok(),
    }
}

fn port(text: Option<&str>, default: u16) -> Result<u16, TargetError> {
    match text {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| PORT_RANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text, Path::new("/run/ovs")) {
            Ok(Target::Active(a)) => format!("to {a}"),
            Ok(Target::Passive(a)) => format!("at {a}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn targets() {
        for (text, is) in [
            ("tcp:127.0.0.1", "to tcp:127.0.0.1:6653"),
            ("tcp:127.0.0.1:1", "to tcp:127.0.0.1:1"),
            ("tcp:localhost:2", "to tcp:127.0.0.1:2"),
            ("tcp:[::1]", "to tcp:[::1]:6653"),
            ("tcp:example.com", "to tcp:example.com:6653"),
            ("ssl:my_host-1:7", "to ssl:my_host-1:7"),
            ("tcp:[fe80::1%eth0]:7", "to tcp:fe80::1%eth0:7"),
            ("ssl:[::1]:3", "to ssl:[::1]:3"),
            ("unix:c.sock", "to unix:/run/ovs/c.sock"),
            ("unix:/a/c.sock", "to unix:/a/c.sock"),
            ("ptcp:", "at tcp:0.0.0.0:6653"),
            ("ptcp:0", "at tcp:0.0.0.0:0"),
            ("ptcp:1:127.0.0.1", "at tcp:127.0.0.1:1"),
            ("ptcp::127.0.0.1", "at tcp:127.0.0.1:6653"),
            ("ptcp:1:[::]", "at tcp:[::]:1"),
            ("pssl:4", "at ssl:0.0.0.0:4"),
            ("punix:c.sock", "at unix:/run/ovs/c.sock"),
        ] {
            assert_eq!(shown(text), is, "{text}");
        }
    }

    #[test]
    fn others_are_refused_with_what_is_accepted() {
        for (text, says) in [
            ("", "accepted are tcp:"),
            ("none", "accepted are tcp:"),
            ("udp:1.2.3.4", "accepted are tcp:"),
            ("tcp:", "HOST is"),
            ("tcp:1.2.3", "HOST is"),
            ("tcp:1.2.3.4.5", "HOST is"),
            ("tcp:two words", "HOST is"),
            ("tcp:-x", "HOST is"),
            ("ptcp:1:example.com", "the address to listen at"),
            ("tcp:1.2.3.4:x", "PORT is"),
            ("tcp:1.2.3.4:70000", "PORT is"),
            ("tcp:[::1", "HOST is"),
            ("tcp:[::1]1", "HOST is"),
            ("ptcp:x", "PORT is"),
            ("ptcp:1:2:3", "HOST is"),
            ("unix:", "PATH"),
            ("punix:", "PATH"),
        ] {
            assert!(shown(text).contains(says), "{text}: {}", shown(text));
        }
        assert!(is_active("tcp:") && !is_active("ptcp:"));
        let at = |target| ipv4(target, 6640).map(|a| a.to_string());
        assert_eq!(at("ssl:1.2.3.4").as_deref(), Some("1.2.3.4:6640"));
        assert_eq!((at("tcp:[::1]"), at("ptcp:1"), at("unix:x")), (None, None, None));
    }
}
