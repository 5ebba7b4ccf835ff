//! Connection targets: the active forms `unix:`, `tcp:`, `ssl:` and the passive forms `punix:`,
//! `ptcp:`, `pssl:` (`ovsdb(7)`, "Connection Methods").

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// The TCP port of OVSDB (IANA).
pub const OVSDB_PORT: u16 = 6640;

/// The TCP port of OpenFlow (IANA).
pub const OPENFLOW_PORT: u16 = 6653;

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Its address.
    Address(IpAddr),
    /// Its name, or an IPv6 address with a zone, which the system's resolver understands.
    Name(String),
}

impl Host {
    /// Its address, if it is known without the resolver: `localhost` is 127.0.0.1.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(name) => ip(name),
        }
    }

    /// The address or name as the resolver takes it: without brackets.
    pub fn plain(&self) -> String {
        match self {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// The name that TLS asks the server for when it is reached at the address `to`.
    pub(crate) fn server_name(&self, to: SocketAddr) -> String {
        match self {
            // A certificate names no address with a zone.
            Host::Name(name) if !name.contains('%') => name.clone(),
            Host::Name(_) | Host::Address(_) => to.ip().to_string(),
        }
    }
}

/// Where to connect to or to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`.
    Tcp {
        /// The server.
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
        /// The local address.
        address: SocketAddr,
        /// `pssl:`.
        tls: bool,
    },
}

/// Why a text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote \"{text}\": {problem}")]
pub struct TargetError {
    /// The text.
    pub text: String,
    /// What is wrong, and what is accepted.
    pub problem: &'static str,
}

const KINDS: [&str; 6] = ["unix:", "tcp:", "ssl:", "punix:", "ptcp:", "pssl:"];

/// True if a text begins with the name of a connection method and a colon.
pub fn has_kind(text: &str) -> bool {
    KINDS.iter().any(|kind| text.starts_with(kind))
}

/// True if a text begins with the name of an active connection method and a colon, whether the rest
/// is valid or not.
pub fn is_active(text: &str) -> bool {
    ["tcp:", "unix:", "ssl:"].iter().any(|kind| text.starts_with(kind))
}

/// The address of an active TCP or TLS target, if it is an IPv4 address.
pub fn ipv4(text: &str, default_port: u16) -> Option<SocketAddrV4> {
    match Target::parse(text, default_port) {
        Ok(Target::Tcp { host, port, .. }) => match host.address()? {
            IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, port)),
            IpAddr::V6(_) => None,
        },
        Ok(Target::Unix(_) | Target::ListenUnix(_) | Target::ListenTcp { .. }) | Err(_) => None,
    }
}

/// The targets of a list with commas. A comma that no connection method follows is part of a path.
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

impl Target {
    /// The forms above. HOST is an IPv4 address, an IPv6 address in brackets, or a name; PORT is
    /// `default_port` when it is left out; without an IP all local IPv4 addresses are listened on.
    ///
    /// # Errors
    ///
    /// [`TargetError`]; its text says what is accepted.
    pub fn parse(text: &str, default_port: u16) -> Result<Target, TargetError> {
        let tcp = |rest, tls| {
            connect(rest, default_port).map(|(host, port)| Target::Tcp { host, port, tls })
        };
        let listen = |rest, tls| {
            listen(rest, default_port).map(|address| Target::ListenTcp { address, tls })
        };
        let parsed = match text.split_once(':') {
            Some(("unix", path)) => path_of(path).map(Target::Unix),
            Some(("tcp", rest)) => tcp(rest, false),
            Some(("ssl", rest)) => tcp(rest, true),
            Some(("punix", path)) => path_of(path).map(Target::ListenUnix),
            Some(("ptcp", rest)) => listen(rest, false),
            Some(("pssl", rest)) => listen(rest, true),
            Some(_) | None => Err("accepted are unix:PATH, tcp:HOST[:PORT], ssl:HOST[:PORT], \
                                   punix:PATH, ptcp:[PORT][:IP] and pssl:[PORT][:IP]"),
        };
        parsed.map_err(|problem| TargetError { text: text.to_owned(), problem })
    }

    /// True for a target to listen at, where the peer connects.
    pub fn is_passive(&self) -> bool {
        matches!(self, Target::ListenUnix(_) | Target::ListenTcp { .. })
    }

    /// True if a peer may vanish without closing the connection, so that it should be probed.
    pub fn needs_probes(&self) -> bool {
        matches!(self, Target::Tcp { .. } | Target::ListenTcp { .. })
    }

    /// The target with a Unix socket's relative path joined to a directory.
    pub fn below(self, directory: &Path) -> Target {
        match self {
            Target::Unix(path) => Target::Unix(directory.join(path)),
            Target::ListenUnix(path) => Target::ListenUnix(directory.join(path)),
            Target::Tcp { .. } | Target::ListenTcp { .. } => self,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |tls: bool| if tls { "ssl" } else { "tcp" };
        match self {
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Tcp { host, port, tls } => write!(f, "{}:{host}:{port}", kind(*tls)),
            Target::ListenUnix(path) => write!(f, "punix:{}", path.display()),
            Target::ListenTcp { address, tls } => {
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

fn port(text: &str, default: u16, smallest: u16) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Ok(default);
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

/// Whether it can be a host's name (RFC 1123 clause 2.1, with the underscores that occur), or an
/// IPv6 address with a zone (RFC 4007 clause 11).
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match text.split_once('%') {
        Some((ip, zone)) => {
            ip.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(plain)
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

fn connect(text: &str, default_port: u16) -> Result<(Host, u16), &'static str> {
    let (host, number) = cut(text)?;
    let port = port(number, default_port, 1)?;
    if let Ok(address) = host.parse() {
        return Ok((Host::Address(address), port));
    }
    match is_name(host) {
        true => Ok((Host::Name(host.to_owned()), port)),
        false => Err("a host is an IPv4 address, an IPv6 address in brackets, or a name"),
    }
}

fn listen(text: &str, default_port: u16) -> Result<SocketAddr, &'static str> {
    let (number, host) = cut(text)?;
    let host = match host {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        host => ip(host).ok_or("to listen at, an IPv4 address or an IPv6 address in brackets")?,
    };
    Ok(SocketAddr::new(host, port(number, default_port, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, TargetError> {
        Target::parse(text, OVSDB_PORT)
    }

    #[test]
    fn each_form_is_parsed_and_shown() {
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
            ("ssl:my_host-1:7", "ssl:my_host-1:7"),
            ("ptcp:1:[::]", "ptcp:1:[::]"),
            ("ptcp::127.0.0.1", "ptcp:6640:127.0.0.1"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn invalid_targets_are_refused_with_what_is_accepted() {
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
            "tcp:1.2.3",
            "tcp:1.2.3.4.5",
            "tcp:-x",
            "tcp:1.2.3.4:70000",
            "ptcp:1:2:3",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().starts_with(&format!("remote \"{text}\": ")), "{error}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_before_a_method() {
        assert_eq!(split_list("unix:/a,b.sock"), ["unix:/a,b.sock"]);
        assert_eq!(
            split_list("unix:/a, tcp:1.2.3.4:1,pssl:[::1]:2"),
            ["unix:/a", "tcp:1.2.3.4:1", "pssl:[::1]:2"]
        );
    }

    #[test]
    fn relative_paths_are_joined_to_a_directory() {
        let below = |text: &str| parse(text).unwrap().below(Path::new("/run"));
        assert_eq!(below("punix:x").to_string(), "punix:/run/x");
        assert_eq!(below("unix:/x").to_string(), "unix:/x");
    }

    #[test]
    fn ipv4_addresses_of_active_targets() {
        assert!(is_active("tcp:") && !is_active("ptcp:"));
        let at = |target| ipv4(target, 6640).map(|a| a.to_string());
        assert_eq!(at("ssl:1.2.3.4").as_deref(), Some("1.2.3.4:6640"));
        assert_eq!(at("tcp:localhost:2").as_deref(), Some("127.0.0.1:2"));
        assert_eq!((at("tcp:[::1]"), at("ptcp:1"), at("unix:x")), (None, None, None));
    }
}
