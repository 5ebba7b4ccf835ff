//! Where connections of a bridge come from: a controller that is called, or a listener.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use mio::Registry;
use ofproto::controller::{ConnId, ConnKind, ConnSettings, ControllerConfig};
use openflow::VersionSet;
use wire::Time;

use crate::Numbers;
use crate::calls::Names;
use crate::modules::{CONNMGR, SOCKET_UTIL};
use crate::peer::token;
use crate::reconnect::Reconnect;
use crate::stream::{Listener, Stream};
use crate::target::{self, Address, Target};

/// One of a bridge's controllers or listeners.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) want: ControllerConfig,
    pub(crate) versions: VersionSet,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// We call.
    Active {
        /// Or why it cannot be called.
        address: Result<Address, String>,
        life: Box<Reconnect>,
        conn: Option<ConnId>,
        names: Box<Names>,
    },
    /// We are called.
    Passive(Door),
}

/// A listener in the poll.
#[derive(Debug)]
pub(crate) struct Door {
    number: u64,
    listener: Listener,
    /// There may be callers. Events come once, when that begins.
    callers: bool,
}

impl Door {
    fn open(
        at: &Address,
        dscp: u8,
        registry: &Registry,
        numbers: &mut Numbers,
    ) -> io::Result<Door> {
        let mut listener = Listener::open(at, dscp)?;
        let number = numbers.next();
        listener.register(registry, token(number))?;
        Ok(Door { number, listener, callers: true })
    }

    /// `BRIDGE.mgmt` and `BRIDGE.snoop`.
    pub(crate) fn at_path(
        path: &Path,
        registry: &Registry,
        numbers: &mut Numbers,
    ) -> io::Result<Door> {
        Door::open(&Address::Unix(path.to_owned()), 0, registry, numbers)
    }

    /// True if the event is this one's.
    pub(crate) fn on_event(&mut self, number: u64) -> bool {
        if self.number == number {
            self.callers = true;
        }
        self.number == number
    }

    /// The next caller and its name; `None` when there are no more.
    pub(crate) fn accept(
        &mut self,
        numbers: &mut Numbers,
        tls: &mut tls::Context,
    ) -> Option<(Stream, String)> {
        while self.callers {
            match self.listener.accept(numbers.unix, tls) {
                Ok((stream, name)) => {
                    numbers.unix += u64::from(name.starts_with("unix#"));
                    return Some((stream, name));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.callers = false,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    let text = posix::text(&e);
                    runtime::warn_rl!(CONNMGR, RL, "accept failed ({text})");
                    // Out of descriptors, most likely: the next turn tries again.
                    return None;
                }
            }
        }
        None
    }
}

static RL: runtime::log::RateLimit = runtime::log::RateLimit::new(1, 5);

impl Service {
    /// Begins to call, or listens. `None` if it cannot listen or the target is none: that has been
    /// logged, and it is tried again with the next change of the configuration.
    pub(crate) fn start(
        bridge: &str,
        want: &ControllerConfig,
        versions: VersionSet,
        now: Time,
        rundir: &Path,
        registry: &Registry,
        numbers: &mut Numbers,
    ) -> Option<Service> {
        let target = &want.target;
        let source = match target::parse(target, rundir) {
            Ok(Target::Active(address)) => active(Ok(address), want, now),
            Ok(Target::Passive(address)) => {
                match Door::open(&address, want.dscp, registry, numbers) {
                    Ok(door) => {
                        let at = target.split_once(':').map_or("", |(_, at)| at);
                        let chosen = at.starts_with('0') || at.is_empty();
                        if let Some(port) = door.listener.port().filter(|_| chosen) {
                            runtime::info!(SOCKET_UTIL, "{at}: listening on port {port}");
                        }
                        Source::Passive(door)
                    }
                    Err(e) => {
                        let text = posix::text(&e);
                        runtime::err_rl!(SOCKET_UTIL, RL, "{target}: bind: {text}");
                        return None;
                    }
                }
            }
            // It is shown in the row, and may be a name that another daemon can look up.
            Err(e) if target::is_active(target) => active(Err(e.to_string()), want, now),
            Err(e) => {
                runtime::warn_rl!(
                    CONNMGR,
                    RL,
                    "{bridge}: unsupported controller \"{target}\" ({e})"
                );
                return None;
            }
        };
        runtime::info!(CONNMGR, "{bridge}: added {} controller \"{target}\"", kind(want));
        Some(Service { want: want.clone(), versions, source })
    }

    pub(crate) fn settings(&self, name: &str) -> ConnSettings {
        let kind = if self.want.primary { ConnKind::Primary } else { ConnKind::Service };
        ConnSettings {
            versions: self.versions,
            async_messages: self.want.async_messages,
            rate_limit: self.want.rate_limit,
            burst_limit: self.want.burst_limit,
            queue_size: self.want.queue_size,
            active: matches!(self.source, Source::Active { .. }),
            ..ConnSettings::new(kind, name)
        }
    }

    /// The life of the connection that we make.
    pub(crate) fn life(&self) -> Option<&Reconnect> {
        match &self.source {
            Source::Active { life, .. } => Some(life),
            Source::Passive(_) => None,
        }
    }
}

fn active(address: Result<Address, String>, want: &ControllerConfig, now: Time) -> Source {
    let life = Box::new(Reconnect::calling(now, want.timing));
    Source::Active { address, life, conn: None, names: Box::default() }
}

/// As logs have it.
pub(crate) fn kind(want: &ControllerConfig) -> &'static str {
    if want.primary { "primary" } else { "service" }
}

/// By target.
pub(crate) type Services = BTreeMap<String, Service>;
