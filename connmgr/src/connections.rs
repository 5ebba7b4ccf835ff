//! The endpoints and peers of one bridge, and the life of each connection.
//!
//! ```text
//!   connect() ──▶ name? ──▶ names (a thread) ──▶ addresses ──▶ socket ──▶ open() ──▶ next_message()
//!        ▲          └── address ──────────────────────┘  ▲        │                     │
//!        │                                               └────────┤ failed: next address│
//!        └──────────── wait (reconnect) ◀── none left, timed out ─┴──────── ended ──────┘
//! ```
//!
//! The owner calls [`Connections::open`] and [`Connections::next_message`] for each connection and
//! hands the messages back to [`Connections::receive`]; what the agent answers is queued and written
//! at once as far as sockets take it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use ofproto::controller::{
    Agent, ConnId, ConnKind, ConnSettings, ControllerConfig, Out, Port, QueuedPacketIn, Settings,
};
use ofproto::tables::TableSettings;
use openflow::VersionSet;
use openflow::msg::Role;
use wire::Time;

use crate::context::Ctx;
use crate::endpoint::{ConnectStep, ControllerEndpoint, log_next_attempt, timing, type_name};
use crate::endpoints::Endpoints;
use crate::ends::Ends;
use crate::modules::{CONNMGR, RCONN};
use crate::peer::{Origin, Peer, PeerState, admits};
use crate::socket::Ended;
use crate::status::ControllerStatus;
use stream::Stream;
use stream::reconnect::{Due, Reconnect};

static RL: runtime::log::RateLimit = runtime::log::RateLimit::new(1, 5);

/// One bridge's connections.
pub(crate) struct Connections {
    bridge: String,
    agent: Agent,
    endpoints: Endpoints,
    peers: BTreeMap<ConnId, Peer>,
    /// When the agent has work.
    agent_due: Option<Time>,
    /// A controller's status may have changed since it was last asked for.
    status_changed: bool,
}

impl Connections {
    pub(crate) fn new(bridge: &str, settings: Settings) -> Connections {
        Connections {
            bridge: bridge.to_owned(),
            agent: Agent::new(bridge, settings),
            endpoints: Endpoints::default(),
            peers: BTreeMap::new(),
            agent_due: Some(Time::ZERO),
            status_changed: true,
        }
    }

    /// Starts, changes and stops endpoints so that they are those in `wanted`. Connections of an
    /// endpoint that did not change are left alone.
    pub(crate) fn configure(
        &mut self,
        settings: Settings,
        bundle_idle: Duration,
        wanted: &[&ControllerConfig],
        versions: VersionSet,
        ctx: &mut Ctx<'_>,
    ) {
        self.agent.configure(settings);
        self.agent.set_bundle_timeout(Some(bundle_idle));
        let wanted: BTreeMap<&str, &ControllerConfig> =
            wanted.iter().map(|c| (c.target.as_str(), *c)).collect();
        let gone = self.endpoints.targets().filter(|t| !wanted.contains_key(t));
        let gone: Vec<String> = gone.map(str::to_owned).collect();
        for (target, config) in &wanted {
            match self.endpoints.get(target) {
                None => self.start(config, versions, ctx),
                Some(e) if e.versions != versions => {
                    runtime::info!(
                        CONNMGR,
                        "{}: Changes to controller \"{target}\" expects re-initialization: \
                         Re-initializing now.",
                        self.bridge; "bridge" => &self.bridge, "target" => *target);
                    self.stop(target, ctx);
                    self.start(config, versions, ctx);
                }
                Some(e) if e.config != **config => self.reconfigure(config, ctx),
                Some(_) => {}
            }
        }
        for target in gone {
            if let Some(e) = self.endpoints.get(&target) {
                let kind = type_name(&e.config);
                runtime::info!(CONNMGR, "{}: removed {kind} controller \"{target}\"", self.bridge; "bridge" => &self.bridge, "target" => &target);
            }
            self.stop(&target, ctx);
        }
        let active = self.endpoints.active_targets();
        self.agent.set_targets(active.map(|t| format!("{}<->{t}", self.bridge)).collect());
        self.status_changed = true;
        self.settle(ctx);
    }

    fn start(&mut self, config: &ControllerConfig, versions: VersionSet, ctx: &mut Ctx<'_>) {
        if let Some(e) = ControllerEndpoint::start(&self.bridge, config, versions, ctx) {
            self.endpoints.insert(e);
        }
    }

    fn stop(&mut self, target: &str, ctx: &mut Ctx<'_>) {
        for id in self.peers_of(target) {
            self.forget(id, ctx);
        }
        self.endpoints.remove(target);
    }

    fn peers_of(&self, target: &str) -> Vec<ConnId> {
        let is = |p: &&Peer| matches!(&p.origin, Origin::Endpoint(t) if t == target);
        self.peers.values().filter(is).map(|p| p.id).collect()
    }

    /// The row changed, but not its target or the bridge's versions: connections stay, unless their
    /// packets must be marked otherwise.
    fn reconfigure(&mut self, config: &ControllerConfig, ctx: &mut Ctx<'_>) {
        let Some(endpoint) = self.endpoints.get_mut(&config.target) else { return };
        let dscp_changed = endpoint.config.dscp != config.dscp;
        endpoint.config = config.clone();
        if let Some(reconnect) = endpoint.reconnect_mut() {
            reconnect.set_timing(timing(config.timing));
        }
        for id in self.peers_of(&config.target) {
            let Some(endpoint) = self.endpoints.get(&config.target) else { return };
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if let Some(reconnect) = &mut peer.reconnect {
                reconnect.set_timing(timing(config.timing));
            }
            if peer.state != PeerState::Connecting {
                self.agent.reconfigure(ctx.now, id, endpoint.settings(&peer.name));
            }
            if dscp_changed {
                self.drop_if_connected(id, ctx);
            }
        }
    }

    /// Sets the flow tables' settings.
    pub(crate) fn configure_tables(
        &mut self,
        tables: &BTreeMap<u8, TableSettings>,
        ctx: &mut Ctx<'_>,
    ) {
        self.agent.configure_tables(ctx.now, tables, ctx.host);
        self.settle(ctx);
    }

    /// The ports as they are now.
    pub(crate) fn set_ports(&mut self, ports: Vec<Port>, ctx: &mut Ctx<'_>) {
        self.agent.set_ports(ctx.now, ports, ctx.host);
        self.settle(ctx);
    }

    /// Sends a packet to the controllers that want it.
    pub(crate) fn packet_in(&mut self, packet: QueuedPacketIn, ctx: &mut Ctx<'_>) {
        self.agent.packet_in(ctx.now, packet);
        self.settle(ctx);
    }

    /// Removes all flows, as a change of fail mode does. `normal`: the bridge becomes a learning
    /// switch without a flow for it.
    pub(crate) fn flush_flows(&mut self, normal: bool, ctx: &mut Ctx<'_>) {
        self.agent.flush(ctx.now, normal, ctx.host);
        self.settle(ctx);
    }

    /// Handles a poll event. False if it is for another bridge.
    pub(crate) fn on_event(&mut self, id: u64, event: &Event) -> bool {
        if let Some(peer) = self.peers.get_mut(&ConnId(id)) {
            peer.socket.on_event(event);
            return true;
        }
        self.endpoints.on_event(id)
    }

    /// Connects to the controllers whose time has come.
    pub(crate) fn connect(&mut self, ctx: &mut Ctx<'_>) {
        let steps = self.endpoints.poll_connect(&self.bridge, ctx.now, ctx.registry, ctx.ids);
        for (target, step) in steps {
            match step {
                ConnectStep::Open(address) => self.open_socket(&target, address, ctx),
                ConnectStep::Fail(text) => self.attempt_failed(&target, text, ctx.now),
            }
        }
    }

    /// Opens a socket to an address, or to the name's next one if that fails at once.
    fn open_socket(&mut self, target: &str, mut to: Option<SocketAddr>, ctx: &mut Ctx<'_>) {
        loop {
            let Some(endpoint) = self.endpoints.get_mut(target) else { return };
            let name = format!("{}<->{target}", self.bridge);
            let id = ConnId(ctx.ids.allocate());
            let opened = endpoint.open(to, ctx.tls).and_then(|stream| {
                let mut peer = Peer::new(id, Origin::Endpoint(target.to_owned()), name, stream);
                peer.register(ctx.registry)?;
                Ok(peer)
            });
            match opened {
                Ok(peer) => {
                    endpoint.set_conn(Some(id));
                    self.status_changed = true;
                    self.peers.insert(id, peer);
                    return;
                }
                Err(e) => match endpoint.next_address() {
                    next @ Some(_) => to = next,
                    None => return self.attempt_failed(target, posix::text(e), ctx.now),
                },
            }
        }
    }

    fn attempt_failed(&mut self, target: &str, error: String, now: Time) {
        let name = format!("{}<->{target}", self.bridge);
        if let Some(endpoint) = self.endpoints.get_mut(target) {
            endpoint.failed(&name, now, error);
        }
        self.status_changed = true;
    }

    /// A socket did not connect: tries the name's next address. False if there is none.
    fn try_next_address(&mut self, id: ConnId, ctx: &mut Ctx<'_>) -> bool {
        let Some(Origin::Endpoint(target)) = self.peers.get(&id).map(|p| p.origin.clone()) else {
            return false;
        };
        let Some(endpoint) = self.endpoints.get_mut(&target) else { return false };
        let Some(next) = endpoint.next_address() else { return false };
        self.forget(id, ctx);
        self.open_socket(&target, Some(next), ctx);
        true
    }

    /// Accepts the connections that wait at listeners.
    pub(crate) fn accept(&mut self, ctx: &mut Ctx<'_>) {
        for a in self.endpoints.accept(ctx) {
            self.add_accepted(Origin::Endpoint(a.target), a.stream, &a.peer, a.reconnect, ctx);
        }
    }

    /// Adds a connection that was accepted.
    pub(crate) fn add_accepted(
        &mut self,
        origin: Origin,
        stream: Stream,
        name: &str,
        reconnect: Reconnect,
        ctx: &mut Ctx<'_>,
    ) {
        let id = ConnId(ctx.ids.allocate());
        let name = format!("{}<->{name}", self.bridge);
        let mut peer = Peer::new(id, origin, name, stream);
        if let Err(e) = peer.register(ctx.registry) {
            let text = posix::text(&e);
            runtime::warn_rl!(CONNMGR, RL, "{}: cannot poll ({text})", peer.name; Ends(&peer.name));
            return;
        }
        peer.reconnect = Some(reconnect);
        self.peers.insert(id, peer);
    }

    /// The number of snoops.
    pub(crate) fn snoops(&self) -> usize {
        self.peers.values().filter(|p| p.origin == Origin::Snoop).count()
    }

    /// The connections that were made after identifier `id` was allocated; after 0: all.
    pub(crate) fn ids_after(&self, id: u64) -> Vec<ConnId> {
        self.peers.range(ConnId(id + 1)..).map(|(id, _)| *id).collect()
    }

    /// Introduces a connection to the agent as soon as its socket is connected. False if there is
    /// nothing to read from it.
    pub(crate) fn open(&mut self, id: ConnId, ctx: &mut Ctx<'_>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.state != PeerState::Connecting {
            return true;
        }
        match peer.socket.connected() {
            Ok(false) => false,
            Ok(true) => {
                peer.state = PeerState::Open;
                let settings = match &peer.origin {
                    Origin::Snoop => ConnSettings::new(ConnKind::Snoop, &peer.name),
                    Origin::Endpoint(target) => match self.endpoints.get(target) {
                        Some(endpoint) => endpoint.settings(&peer.name),
                        None => return false,
                    },
                };
                self.agent.connect(ctx.now, id, settings, ctx.host);
                self.settle(ctx);
                true
            }
            Err(ended) => {
                self.end(id, ended, false, ctx);
                false
            }
        }
    }

    /// The next message of a connection; `None` if there is none, or if the peer must first read
    /// what was sent to it.
    pub(crate) fn next_message(&mut self, id: ConnId, ctx: &mut Ctx<'_>) -> Option<Vec<u8>> {
        let peer = self.peers.get_mut(&id)?;
        if peer.state == PeerState::Closing || !self.agent.may_receive(id) {
            self.flush(id, ctx);
            return None;
        }
        match peer.socket.receive() {
            Ok(Some(frame)) => {
                if let Some(reconnect) = self.reconnect_of(id)
                    && reconnect.is_connected()
                {
                    reconnect.received(ctx.now, admits(&frame));
                }
                Some(frame)
            }
            Ok(None) => {
                self.flush(id, ctx);
                None
            }
            Err(ended) => {
                // The peer may still read answers to earlier messages.
                self.flush(id, ctx);
                self.end(id, ended, false, ctx);
                None
            }
        }
    }

    /// Hands a message to the agent.
    pub(crate) fn receive(&mut self, id: ConnId, frame: &[u8], ctx: &mut Ctx<'_>) {
        self.agent.receive(ctx.now, id, frame, ctx.host);
        // The message may have brought flows with time-outs.
        self.agent_due = Some(ctx.now);
        self.settle(ctx);
    }

    /// Runs the agent if that is due.
    pub(crate) fn run_agent(&mut self, ctx: &mut Ctx<'_>) {
        if self.agent_due.is_some_and(|t| ctx.now >= t) {
            self.agent_due = self.agent.run(ctx.now, ctx.host);
            self.settle(ctx);
        }
    }

    fn reconnect_of(&mut self, id: ConnId) -> Option<&mut Reconnect> {
        let peer = self.peers.get_mut(&id)?;
        match (&mut peer.reconnect, &peer.origin) {
            (Some(reconnect), _) => Some(reconnect),
            (None, Origin::Endpoint(target)) => self.endpoints.get_mut(target)?.reconnect_mut(),
            (None, Origin::Snoop) => None,
        }
    }

    /// Does what is due for one connection: probes, time-outs.
    pub(crate) fn run_deadlines(&mut self, id: ConnId, ctx: &mut Ctx<'_>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name.clone();
        let Some(due) = self.reconnect_of(id).and_then(|r| r.poll(ctx.now)) else { return };
        match due {
            // Not while there is a connection.
            Due::Connect => {}
            Due::TimedOut => {
                self.end(id, Ended::Error("Connection timed out".to_owned()), true, ctx);
            }
            Due::Probe(silent) => {
                let silent = silent.as_secs();
                runtime::dbg!(RCONN, "{name}: idle {silent} seconds, sending inactivity probe"; Ends(&name));
                let version = self.agent.status(id).and_then(|s| s.version);
                let xid = (ctx.ids.allocate() as u32).to_be_bytes();
                if let (Some(peer), Some(version)) = (self.peers.get_mut(&id), version) {
                    // OFPT_ECHO_REQUEST, without data.
                    let frame = [&[version.wire(), 2, 0, 8][..], &xid].concat();
                    // Only asynchronous messages are refused.
                    let _ = peer.socket.queue(None, frame);
                }
                self.flush(id, ctx);
            }
            Due::NoAnswer(waited) => {
                runtime::err!(
                    RCONN,
                    "{name}: no response to inactivity probe after {} seconds, disconnecting",
                    waited.as_secs(); Ends(&name));
                self.disconnect(id, Some("Connection timed out".to_owned()), false, ctx);
            }
        }
    }

    fn flush(&mut self, id: ConnId, ctx: &mut Ctx<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.flush(ctx.now, &mut self.agent) {
            Ok(any) => {
                let finished = peer.state == PeerState::Closing && peer.socket.waiting() == 0;
                if any.is_some()
                    && let Some(reconnect) = self.reconnect_of(id)
                    && reconnect.is_connected()
                {
                    reconnect.sent(ctx.now);
                }
                if finished {
                    self.end(id, Ended::Error("Protocol error".to_owned()), false, ctx);
                }
            }
            Err(ended) => self.end(id, ended, false, ctx),
        }
    }

    /// Carries out what the agent asks for.
    fn settle(&mut self, ctx: &mut Ctx<'_>) {
        let (mut queued, mut full) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let out: Vec<Out> = self.agent.outbox().collect();
            if out.is_empty() {
                break;
            }
            for out in out {
                match out {
                    Out::Send { conn, class, frame } => {
                        if let Some(peer) = self.peers.get_mut(&conn) {
                            if !peer.socket.queue(Some(class), frame) {
                                full.insert(conn);
                            }
                            queued.insert(conn);
                        }
                    }
                    Out::Close { conn, reason: _ } => {
                        if let Some(peer) = self.peers.get_mut(&conn) {
                            peer.state = PeerState::Closing;
                            queued.insert(conn);
                        }
                    }
                    Out::Status(conn) => self.status_of_conn_changed(conn, ctx),
                    Out::Log(line) => ctx.log(&self.bridge, &line),
                }
            }
        }
        for conn in queued {
            self.flush(conn, ctx);
        }
        for conn in full {
            self.end(conn, Ended::Error("send queue is full".to_owned()), false, ctx);
        }
    }

    /// A version has been agreed on, or the role has changed.
    fn status_of_conn_changed(&mut self, id: ConnId, ctx: &mut Ctx<'_>) {
        self.status_changed = true;
        let Some(version) = self.agent.status(id).and_then(|s| s.version) else { return };
        let Some(peer) = self.peers.get(&id) else { return };
        let (name, active) = (peer.name.clone(), peer.reconnect.is_none());
        let Some(reconnect) = self.reconnect_of(id).filter(|r| !r.is_connected()) else { return };
        reconnect.connected(ctx.now);
        if active {
            runtime::info!(RCONN, "{name}: connected"; Ends(&name));
        } else {
            runtime::dbg!(RCONN, "{name}: connected ({version})"; Ends(&name));
        }
    }

    /// A connection has ended, or could not be made.
    fn end(&mut self, id: ConnId, ended: Ended, timed_out: bool, ctx: &mut Ctx<'_>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (name, active) = (peer.name.clone(), peer.reconnect.is_none());
        if peer.origin == Origin::Snoop {
            runtime::dbg!(RCONN, "{name}: closing monitor connection: {ended}"; Ends(&name));
            return self.forget(id, ctx);
        }
        let connected = self.reconnect_of(id).is_some_and(|r| r.is_connected());
        let loud = self.reconnect_of(id).is_some_and(|r| r.is_loud());
        let by_peer = ended == Ended::ByPeer;
        let ends = Ends(&name);
        let text = match ended {
            Ended::ByPeer if connected => "End of file".to_owned(),
            Ended::ByPeer => "Connection reset by peer".to_owned(),
            Ended::Error(text) => text,
        };
        if connected {
            match (by_peer, active) {
                (true, true) => runtime::info!(RCONN, "{name}: connection closed by peer"; ends),
                (true, false) => runtime::dbg!(RCONN, "{name}: connection closed by peer"; ends),
                (false, _) => runtime::warn!(RCONN, "{name}: connection dropped ({text})"; ends),
            }
        } else if !timed_out && self.try_next_address(id, ctx) {
            if !by_peer {
                let what = "trying the next address";
                runtime::dbg!(RCONN, "{name}: connection failed ({text}), {what}"; ends);
            }
            return;
        } else if loud && timed_out {
            runtime::info!(RCONN, "{name}: connection timed out"; ends);
        } else if loud {
            runtime::info!(RCONN, "{name}: connection failed ({text})"; ends);
        }
        self.disconnect(id, Some(text), timed_out, ctx);
    }

    /// Closes a connection; that of an active endpoint is made again later.
    fn disconnect(
        &mut self,
        id: ConnId,
        error: Option<String>,
        timed_out: bool,
        ctx: &mut Ctx<'_>,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name.clone();
        if let Some(reconnect) = self.reconnect_of(id) {
            let loud = reconnect.is_loud();
            log_next_attempt(&name, reconnect.closed(ctx.now, error, timed_out), loud);
        }
        self.forget(id, ctx);
    }

    fn forget(&mut self, id: ConnId, ctx: &mut Ctx<'_>) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        peer.socket.deregister(ctx.registry);
        if let Origin::Endpoint(target) = &peer.origin
            && let Some(endpoint) = self.endpoints.get_mut(target)
        {
            endpoint.set_conn(None);
        }
        self.status_changed = true;
        if peer.state != PeerState::Connecting {
            self.agent.disconnect(ctx.now, id, ctx.host);
            self.settle(ctx);
        }
    }

    fn drop_if_connected(&mut self, id: ConnId, ctx: &mut Ctx<'_>) {
        let Some(name) = self.peers.get(&id).map(|p| p.name.clone()) else { return };
        if self.reconnect_of(id).is_some_and(|r| r.is_connected()) {
            runtime::info!(RCONN, "{name}: disconnecting"; Ends(&name));
            self.disconnect(id, None, false, ctx);
        }
    }

    /// Drops all connections that are established.
    pub(crate) fn drop_all(&mut self, ctx: &mut Ctx<'_>) {
        for id in self.ids_after(0) {
            self.drop_if_connected(id, ctx);
        }
    }

    /// Closes everything.
    pub(crate) fn close(&mut self, ctx: &mut Ctx<'_>) {
        for id in self.ids_after(0) {
            self.forget(id, ctx);
        }
        self.endpoints.clear();
    }

    /// The controllers and listeners.
    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// When something is due here if no event comes before.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let accepted = self.peers.values().filter_map(|p| p.reconnect.as_ref());
        let all = self.endpoints.reconnects().chain(accepted);
        all.filter_map(Reconnect::next_deadline).chain(self.agent_due).min()
    }

    /// As [`crate::ConnectionManager::controller_status`].
    pub(crate) fn controller_status(&self, target: &str, now: Time) -> Option<ControllerStatus> {
        let endpoint = self.endpoints.get(target)?;
        let reconnect = endpoint.reconnect()?;
        let status = endpoint
            .conn()
            .and_then(|id| self.agent.status(id))
            .filter(|_| reconnect.is_connected());
        let role = status.map_or(Role::NoChange, |s| s.role);
        Some(ControllerStatus::new(reconnect, role, now))
    }

    /// True once after a controller's status may have changed.
    pub(crate) fn take_status_changed(&mut self) -> bool {
        std::mem::take(&mut self.status_changed)
    }

    /// Connections without snoops, and messages that wait to be sent.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let waiting = self.peers.values().map(|p| p.socket.waiting()).sum::<usize>();
        let open = |p: &&Peer| p.state != PeerState::Connecting && p.origin != Origin::Snoop;
        (self.peers.values().filter(open).count() as u64, waiting as u64)
    }
}
