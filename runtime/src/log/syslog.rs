//! Syslog: datagrams to a local socket or over UDP (RFC 3164's shape, as libc's syslog(3) sends).

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use posix::lookup::Lookup;

use super::level::Level;
use super::pattern::{Fields, format};
use super::root;

/// Facilities by name (RFC 5424 table 1), each shifted as in a message.
const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1 << 3),
    ("mail", 2 << 3),
    ("daemon", 3 << 3),
    ("auth", 4 << 3),
    ("syslog", 5 << 3),
    ("lpr", 6 << 3),
    ("news", 7 << 3),
    ("uucp", 8 << 3),
    ("clock", 9 << 3),
    ("ftp", 11 << 3),
    ("ntp", 12 << 3),
    ("local0", 16 << 3),
    ("local1", 17 << 3),
    ("local2", 18 << 3),
    ("local3", 19 << 3),
    ("local4", 20 << 3),
    ("local5", 21 << 3),
    ("local6", 22 << 3),
    ("local7", 23 << 3),
];

static FACILITY: AtomicU8 = AtomicU8::new(3 << 3);

pub(super) fn facility() -> u8 {
    FACILITY.load(Ordering::Relaxed)
}

/// Sets the facility by name; false if there is none of that name.
pub(super) fn set_facility(name: &str) -> bool {
    match FACILITIES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        Some(&(_, value)) => {
            FACILITY.store(value, Ordering::Relaxed);
            true
        }
        None => false,
    }
}

/// Why syslog messages cannot go where they were told to.
#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    /// The method has none of the accepted forms.
    #[error("syslog method {0:?} is not one of libc, null, unix:FILE, udp:IP:PORT")]
    Method(String),
    /// The address is none, or has no socket.
    #[error("syslog address {0:?}: {1}")]
    Address(String, std::io::Error),
}

enum Way {
    Null,
    Unix(PathBuf),
    Udp(SocketAddr),
    /// A host that is looked up when the socket is opened; lines are dropped until it is known.
    Host {
        name: String,
        port: u16,
        lookup: Option<Lookup>,
    },
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

/// One receiver. The socket is opened when first used, and again a second after it broke.
pub(super) struct Syslog {
    way: Option<Way>,
    socket: Option<Socket>,
    retry: Option<Instant>,
}

const PREFIX: &str = "<%B> %D{%h %e %T} %E %A:";

/// `IP:PORT` or `HOST:PORT`.
fn udp(address: &str) -> Result<Way, SyslogError> {
    if let Ok(to) = address.parse() {
        return Ok(Way::Udp(to));
    }
    let failed = |text| {
        let error = std::io::Error::new(ErrorKind::InvalidInput, text);
        SyslogError::Address(address.to_owned(), error)
    };
    let (name, port) = address.rsplit_once(':').ok_or_else(|| failed("accepted is HOST:PORT"))?;
    let port = port.parse().map_err(|_| failed("PORT is a number from 0 to 65535"))?;
    if name.is_empty() || name.contains([':', ' ']) {
        return Err(failed("HOST is an address, IPv6 in brackets, or a name"));
    }
    Ok(Way::Host { name: name.to_owned(), port, lookup: None })
}

fn connect(to: SocketAddr) -> std::io::Result<Socket> {
    let any: SocketAddr =
        if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let s = UdpSocket::bind(any)?;
    s.set_nonblocking(true)?;
    s.connect(to)?;
    Ok(Socket::Udp(s))
}

impl Syslog {
    /// `/dev/log`, as syslog(3).
    pub(super) const fn local() -> Syslog {
        Syslog { way: None, socket: None, retry: None }
    }

    pub(super) fn from_method(method: &str) -> Result<Syslog, SyslogError> {
        let way = match method.split_once(':') {
            None if method == "libc" => None,
            None if method == "null" => Some(Way::Null),
            Some(("unix", path)) if !path.is_empty() => Some(Way::Unix(path.into())),
            Some(("udp", address)) => Some(udp(address)?),
            _ => return Err(SyslogError::Method(method.to_owned())),
        };
        Ok(Syslog { way, socket: None, retry: None })
    }

    pub(super) fn prefix(&self) -> &'static str {
        match self.way {
            Some(Way::Null) => "none",
            _ => PREFIX,
        }
    }

    /// The socket; nothing while a name is being looked up.
    fn open(&mut self) -> std::io::Result<Option<Socket>> {
        let unix = |path: &std::path::Path| {
            let s = UnixDatagram::unbound()?;
            // A syslog daemon that is stuck must not hold us up.
            s.set_nonblocking(true)?;
            s.connect(path)?;
            Ok(Some(Socket::Unix(s)))
        };
        match &mut self.way {
            None => unix("/dev/log".as_ref()),
            Some(Way::Unix(path)) => unix(path),
            Some(Way::Udp(to)) => connect(*to).map(Some),
            Some(Way::Host { name, port, lookup }) => {
                let asked = match lookup {
                    Some(asked) => asked,
                    None => lookup.insert(Lookup::start(name, *port, || ())?),
                };
                let Some(answer) = asked.answer() else { return Ok(None) };
                *lookup = None;
                let mut last = ErrorKind::NotFound.into();
                for to in answer? {
                    match connect(to) {
                        Ok(socket) => return Ok(Some(socket)),
                        Err(e) => last = e,
                    }
                }
                Err(last)
            }
            Some(Way::Null) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Sends one line, or drops it: nobody waits for syslog.
    pub(super) fn send(&mut self, level: Level, line: &str) {
        if matches!(self.way, Some(Way::Null)) {
            return;
        }
        if self.socket.is_none() {
            let now = Instant::now();
            if self.retry.is_some_and(|at| now < at) {
                return;
            }
            match self.open() {
                Ok(Some(s)) => self.socket = Some(s),
                Ok(None) => return,
                Err(_) => {
                    self.retry = Some(now + Duration::from_secs(1));
                    return;
                }
            }
        }
        let mut text = String::with_capacity(line.len() + 48);
        // libc leaves the host name out for the local daemon, which knows it.
        let pattern = match self.way {
            None => "<%B>%d{%h %e %T} %A: %m",
            Some(_) => "<%B>%D{%h %e %T} %E %A: %m",
        };
        let fields = Fields {
            program: root::program(),
            facility: facility(),
            module: "",
            level,
            thread: "",
            number: 0,
            uptime_ms: 0,
            wall: SystemTime::now(),
            text: format_args!("{line}"),
        };
        format(pattern, &fields, &mut text);
        let sent = match &self.socket {
            Some(Socket::Unix(s)) => s.send(text.as_bytes()),
            Some(Socket::Udp(s)) => s.send(text.as_bytes()),
            None => return,
        };
        match sent {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => {
                self.socket = None;
                self.retry = Some(Instant::now() + Duration::from_secs(1));
            }
        }
    }
}
