//! One of a bridge's controllers or listeners.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use mio::Registry;
use ofproto::controller::{ConnId, ConnKind, ConnSettings, ControllerConfig};
use openflow::VersionSet;
use wire::Time;

use crate::context::{Ctx, IdAllocator};
use crate::ends::Ends;
use crate::modules::{CONNMGR, RCONN, SOCKET_UTIL};
use crate::names::Names;
use crate::peer::token;
use stream::reconnect::{Due, Next, Reconnect, Rules, Timing};
use stream::target::{self, OPENFLOW_PORT};
use stream::{Stream, Target};

static RL: runtime::log::RateLimit = runtime::log::RateLimit::new(1, 5);

/// A listening socket in the poll.
#[derive(Debug)]
pub(crate) struct Listener {
    id: u64,
    socket: stream::Listener,
    /// Connections may wait to be accepted. The poll is edge-triggered: an event comes when the
    /// first one arrives.
    ready: bool,
}

impl Listener {
    fn open(
        at: &Target,
        dscp: u8,
        registry: &Registry,
        ids: &mut IdAllocator,
    ) -> io::Result<Listener> {
        let mut socket = stream::Listener::open(at, Some(dscp))?;
        let id = ids.allocate();
        registry.register(&mut socket, token(id), mio::Interest::READABLE)?;
        Ok(Listener { id, socket, ready: true })
    }

    /// Listens on a Unix socket: `BRIDGE.mgmt` and `BRIDGE.snoop`.
    pub(crate) fn at_path(
        path: &Path,
        registry: &Registry,
        ids: &mut IdAllocator,
    ) -> io::Result<Listener> {
        Listener::open(&Target::ListenUnix(path.to_owned()), 0, registry, ids)
    }

    /// True if the event is for this socket.
    pub(crate) fn on_event(&mut self, id: u64) -> bool {
        if self.id == id {
            self.ready = true;
        }
        self.id == id
    }

    /// The next connection and the peer's name; `None` when there are no more.
    pub(crate) fn accept(&mut self, ctx: &mut Ctx<'_>) -> Option<(Stream, String)> {
        while self.ready {
            let accepted = self.socket.accept().and_then(|accepted| {
                let name = accepted.name(ctx.ids.next_unix());
                let is_unix = accepted.peer.is_none();
                let stream = accepted.into_stream(ctx.tls).map_err(io::Error::other)?;
                Ok((stream, name, is_unix))
            });
            match accepted {
                Ok((stream, name, is_unix)) => {
                    if is_unix {
                        ctx.ids.unix_accepted();
                    }
                    return Some((stream, name));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    let text = posix::text(&e);
                    runtime::warn_rl!(CONNMGR, RL, "accept failed ({text})");
                    // Probably out of descriptors: the next call tries again.
                    return None;
                }
            }
        }
        None
    }
}

/// How connections of an endpoint come about.
#[derive(Debug)]
pub(crate) enum EndpointKind {
    /// The switch connects.
    Active {
        /// Or why there is none.
        address: Result<Target, String>,
        reconnect: Box<Reconnect>,
        conn: Option<ConnId>,
        names: Box<Names>,
    },
    /// The switch listens.
    Passive(Listener),
}

/// What an attempt to connect needs next.
pub(crate) enum ConnectStep {
    /// A socket to this address; `None` for a Unix socket.
    Open(Option<SocketAddr>),
    /// [`ControllerEndpoint::failed`]: the attempt has ended with this error.
    Fail(String),
}

/// A controller to connect to, or a listener for controllers.
#[derive(Debug)]
pub(crate) struct ControllerEndpoint {
    pub(crate) config: ControllerConfig,
    pub(crate) versions: VersionSet,
    pub(crate) kind: EndpointKind,
}

impl ControllerEndpoint {
    /// Begins to connect, or listens. `None` if it cannot listen or the target is invalid: that is
    /// logged, and the next change of the configuration tries again.
    pub(crate) fn start(
        bridge: &str,
        config: &ControllerConfig,
        versions: VersionSet,
        ctx: &mut Ctx<'_>,
    ) -> Option<ControllerEndpoint> {
        let target = &config.target;
        let parsed = Target::parse(target, OPENFLOW_PORT).map(|t| t.below(&ctx.options.rundir));
        let kind = match parsed {
            Ok(address) if !address.is_passive() => active(Ok(address), config, ctx.now),
            Ok(address) => match Listener::open(&address, config.dscp, ctx.registry, ctx.ids) {
                Ok(listener) => {
                    let at = target.split_once(':').map_or("", |(_, at)| at);
                    let chosen = at.starts_with('0') || at.is_empty();
                    if let Some(port) = listener.socket.port().filter(|_| chosen) {
                        runtime::info!(SOCKET_UTIL, "{at}: listening on port {port}"; "bridge" => bridge, "target" => target);
                    }
                    EndpointKind::Passive(listener)
                }
                Err(e) => {
                    let text = posix::text(&e);
                    runtime::err_rl!(SOCKET_UTIL, RL, "{target}: bind: {text}"; "bridge" => bridge, "target" => target);
                    return None;
                }
            },
            // The row shows the error.
            Err(e) if target::is_active(target) => {
                active(Err(e.problem.to_owned()), config, ctx.now)
            }
            Err(e) => {
                runtime::warn_rl!(
                    CONNMGR,
                    RL,
                    "{bridge}: unsupported controller \"{target}\" ({})",
                    e.problem; "bridge" => bridge, "target" => target);
                return None;
            }
        };
        runtime::info!(CONNMGR, "{bridge}: added {} controller \"{target}\"", type_name(config); "bridge" => bridge, "target" => target);
        Some(ControllerEndpoint { config: config.clone(), versions, kind })
    }

    /// How the agent is to treat a connection of this endpoint.
    pub(crate) fn settings(&self, name: &str) -> ConnSettings {
        let kind = if self.config.primary { ConnKind::Primary } else { ConnKind::Service };
        ConnSettings {
            versions: self.versions,
            async_messages: self.config.async_messages,
            rate_limit: self.config.rate_limit,
            burst_limit: self.config.burst_limit,
            queue_size: self.config.queue_size,
            active: matches!(self.kind, EndpointKind::Active { .. }),
            ..ConnSettings::new(kind, name)
        }
    }

    /// Reconnection of an active endpoint.
    pub(crate) fn reconnect(&self) -> Option<&Reconnect> {
        match &self.kind {
            EndpointKind::Active { reconnect, .. } => Some(reconnect),
            EndpointKind::Passive(_) => None,
        }
    }

    /// As [`ControllerEndpoint::reconnect`].
    pub(crate) fn reconnect_mut(&mut self) -> Option<&mut Reconnect> {
        match &mut self.kind {
            EndpointKind::Active { reconnect, .. } => Some(reconnect),
            EndpointKind::Passive(_) => None,
        }
    }

    /// The connection of an active endpoint.
    pub(crate) fn conn(&self) -> Option<ConnId> {
        match &self.kind {
            EndpointKind::Active { conn, .. } => *conn,
            EndpointKind::Passive(_) => None,
        }
    }

    /// Sets the connection of an active endpoint.
    pub(crate) fn set_conn(&mut self, id: Option<ConnId>) {
        if let EndpointKind::Active { conn, .. } = &mut self.kind {
            *conn = id;
        }
    }

    /// Starts the attempt to connect that is due, and continues the one that waits for a name.
    /// `name` is the connection's in the log.
    pub(crate) fn poll_connect(
        &mut self,
        name: &str,
        now: Time,
        registry: &Registry,
        ids: &mut IdAllocator,
    ) -> Option<ConnectStep> {
        let EndpointKind::Active { address, reconnect, conn: None, names } = &mut self.kind else {
            return None;
        };
        match reconnect.poll(now) {
            Some(Due::Connect) => {
                if reconnect.is_loud() {
                    runtime::info!(RCONN, "{name}: connecting..."; Ends(name));
                }
                reconnect.opening(now);
                names.reset();
                match address {
                    Err(text) => Some(ConnectStep::Fail(text.clone())),
                    Ok(Target::Tcp { host, port, .. }) => match host.address() {
                        Some(ip) => Some(ConnectStep::Open(Some(SocketAddr::new(ip, *port)))),
                        None => {
                            let started = names.resolve(&host.plain(), *port, registry, ids);
                            started.err().map(|e| ConnectStep::Fail(posix::text(e)))
                        }
                    },
                    Ok(_) => Some(ConnectStep::Open(None)),
                }
            }
            // There is no connection, so the look-up has not been answered.
            Some(Due::TimedOut) => Some(ConnectStep::Fail("Connection timed out".to_owned())),
            Some(Due::Probe(_) | Due::NoAnswer(_)) | None => match names.resolved()? {
                Ok(to) => Some(ConnectStep::Open(Some(to))),
                Err(text) => Some(ConnectStep::Fail(text)),
            },
        }
    }

    /// The next address of the name that has not been tried in this attempt.
    pub(crate) fn next_address(&mut self) -> Option<SocketAddr> {
        match &mut self.kind {
            EndpointKind::Active { names, .. } => names.next(),
            EndpointKind::Passive(_) => None,
        }
    }

    /// Begins to connect a socket to an address of the target; `None` for a Unix socket.
    pub(crate) fn open(
        &self,
        to: Option<SocketAddr>,
        tls: &mut tls::Context,
    ) -> io::Result<Stream> {
        match &self.kind {
            EndpointKind::Active { address: Ok(target), .. } => {
                Stream::connect(target, to, Some(self.config.dscp), tls)
            }
            EndpointKind::Active { address: Err(_), .. } | EndpointKind::Passive(_) => {
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    /// The attempt to connect has ended with this error.
    pub(crate) fn failed(&mut self, name: &str, now: Time, error: String) {
        let EndpointKind::Active { reconnect, names, .. } = &mut self.kind else { return };
        names.cancel();
        runtime::warn!(RCONN, "{name}: connection failed ({error})"; Ends(name));
        let loud = reconnect.is_loud();
        // A failure of this kind does not make the wait shorter.
        log_next_attempt(name, reconnect.closed(now, Some(error), true), loud);
    }

    /// The address that in-band control keeps the path to open: the one tried last, or the target's.
    pub(crate) fn in_band_address(&self) -> Option<SocketAddrV4> {
        if !self.config.in_band {
            return None;
        }
        let last = match &self.kind {
            EndpointKind::Active { names, .. } => names.last(),
            EndpointKind::Passive(_) => None,
        };
        match last {
            Some(SocketAddr::V4(at)) => Some(at),
            Some(SocketAddr::V6(_)) => None,
            None => target::ipv4(&self.config.target, OPENFLOW_PORT),
        }
    }
}

fn active(address: Result<Target, String>, config: &ControllerConfig, now: Time) -> EndpointKind {
    let reconnect = Box::new(Reconnect::active(now, Rules::OpenFlow, timing(config.timing)));
    EndpointKind::Active { address, reconnect, conn: None, names: Box::default() }
}

/// The times of a connection to a controller.
pub(crate) fn timing(timing: ofproto::controller::Timing) -> Timing {
    let ofproto::controller::Timing { max_backoff, probe } = timing;
    // The time that an attempt is given includes the resolution of the name.
    Timing { min_backoff: Duration::from_secs(1), max_backoff, resolve: None, probe }
}

/// The controller's type in log lines.
pub(crate) fn type_name(config: &ControllerConfig) -> &'static str {
    if config.primary { "primary" } else { "service" }
}

/// Logs what follows the end of a connection. `loud`: attempts were logged until now.
pub(crate) fn log_next_attempt(name: &str, next: Next, loud: bool) {
    match next {
        Next::Later(wait) => {
            runtime::info!(RCONN, "{name}: waiting {} seconds before reconnect", wait.as_secs(); Ends(name));
        }
        Next::Quietly if loud => runtime::info!(
            RCONN,
            "{name}: continuing to retry connections in the background but suppressing further \
             logging"; Ends(name)),
        Next::Quietly | Next::AtOnce | Next::Soon | Next::AsBefore | Next::Gone => {}
    }
}
