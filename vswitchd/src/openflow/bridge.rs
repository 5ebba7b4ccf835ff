//! OpenFlow of one bridge: its agent, and the sockets around it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use mio::event::Event;
use ofproto::FailMode;
use ofproto::controller::{Agent, CloseReason, ConnId, ConnKind, ConnSettings, Out, Settings};
use ofproto::tables::InternalFlow;
use openflow::{Action, Match, OfPort};
use wire::Time;

use super::fail_open::{self, Act, FailOpen};
use super::peer::{Owner, Peer, admits};
use super::reconnect::{Due, Next, Reconnect, Timing};
use super::service::{Door, Service, Services, Source, kind};
use super::socket::Ended;
use super::{Env, report, stream::Stream};
use crate::config::{WantBridge, WantController};
use crate::modules::{CONNMGR, FAIL_OPEN, RCONN};

/// Messages of one connection that are handled before others get their turn.
const BURST: usize = 50;

/// Silence of a tool before it is asked.
const TOOL_PROBE: Duration = Duration::from_secs(60);

/// One bridge; see the module.
pub(super) struct Connections {
    name: String,
    agent: Agent,
    services: Services,
    snoops: Option<Door>,
    peers: BTreeMap<ConnId, Peer>,
    fail_mode: FailMode,
    fail_open: FailOpen,
    /// A primary controller is configured; `None` before the first configuration.
    has_controllers: Option<bool>,
    /// When the agent wants to be called.
    agent_due: Option<Time>,
    /// What rows say may have changed.
    pub(super) changed: bool,
}

impl Connections {
    pub(super) fn new(name: &str, settings: Settings) -> Connections {
        Connections {
            name: name.to_owned(),
            agent: Agent::new(name, settings),
            services: Services::new(),
            snoops: None,
            peers: BTreeMap::new(),
            fail_mode: FailMode::Standalone,
            fail_open: FailOpen::default(),
            has_controllers: None,
            agent_due: Some(Time::ZERO),
            changed: true,
        }
    }

    /// Makes controllers and listeners what the rows say. Connections whose row did not change
    /// notice nothing.
    pub(super) fn configure(&mut self, want: &WantBridge, settings: Settings, env: &mut Env<'_>) {
        self.agent.configure(settings);
        let tools = tools(&self.name, want, env);
        let wanted: BTreeMap<&str, &WantController> = std::iter::once(&tools)
            .chain(&want.openflow.controllers)
            .map(|c| (c.target.as_str(), c))
            .collect();
        let gone: Vec<String> =
            self.services.keys().filter(|t| !wanted.contains_key(t.as_str())).cloned().collect();
        let versions = want.openflow.versions;
        for (target, c) in &wanted {
            match self.services.get(*target) {
                None => self.start(c, versions, env),
                Some(s) if s.versions != versions => {
                    crate::info!(
                        CONNMGR,
                        "{}: Changes to controller \"{target}\" expects re-initialization: \
                         Re-initializing now.",
                        self.name
                    );
                    self.stop(target, env);
                    self.start(c, versions, env);
                }
                Some(s) if s.want != **c => self.retune(c, env),
                Some(_) => {}
            }
        }
        for target in gone {
            if let Some(s) = self.services.get(&target) {
                let kind = kind(&s.want);
                crate::info!(CONNMGR, "{}: removed {kind} controller \"{target}\"", self.name);
            }
            self.stop(&target, env);
        }
        let active = self.services.values().filter(|s| s.life().is_some());
        let active = active.map(|s| s.want.target.clone()).collect::<Vec<_>>();
        self.agent.set_targets(active.iter().map(|t| format!("{}<->{t}", self.name)).collect());
        if self.snoops.is_none() {
            let path = env.rundir.join(format!("{}.snoop", self.name));
            match Door::at_path(&path, env.registry, env.numbers) {
                Ok(door) => self.snoops = Some(door),
                Err(e) => {
                    let text = runtime::log::text_of(&e);
                    crate::err!(CONNMGR, "failed to listen on punix:{}: {text}", path.display());
                }
            }
        }
        self.set_fail_mode(want.fail_mode, env);
        self.changed = true;
        self.settle(env);
    }

    /// Flows go when the bridge begins or ceases to depend on controllers, and when what it does
    /// without them changes.
    fn set_fail_mode(&mut self, fail_mode: FailMode, env: &mut Env<'_>) {
        let has = self.services.values().any(|s| s.want.primary);
        let mode_matters = self.fail_mode != fail_mode && !has;
        let flush = self.has_controllers != Some(has) || mode_matters;
        self.has_controllers = Some(has);
        self.fail_mode = fail_mode;
        if !has || fail_mode != FailMode::Standalone {
            if self.fail_open.is_open() {
                self.recover(env);
            }
            self.fail_open = FailOpen::default();
        }
        if flush {
            let normal = !has && fail_mode == FailMode::Standalone;
            self.agent.flush(env.now, normal, env.host);
        }
    }

    fn start(&mut self, want: &WantController, versions: openflow::VersionSet, env: &mut Env<'_>) {
        let service = Service::start(
            &self.name,
            want,
            versions,
            env.now,
            env.rundir,
            env.registry,
            env.numbers,
        );
        if let Some(service) = service {
            self.services.insert(want.target.clone(), service);
        }
    }

    fn stop(&mut self, target: &str, env: &mut Env<'_>) {
        let theirs: Vec<ConnId> = self.of(target);
        for id in theirs {
            self.forget(id, env);
        }
        self.services.remove(target);
    }

    fn of(&self, target: &str) -> Vec<ConnId> {
        let is = |p: &&Peer| matches!(&p.owner, Owner::Service(t) if t == target);
        self.peers.values().filter(is).map(|p| p.id).collect()
    }

    /// The row changed in what does not concern the connection as such.
    fn retune(&mut self, want: &WantController, env: &mut Env<'_>) {
        let Some(service) = self.services.get_mut(&want.target) else { return };
        let marked_otherwise = service.want.dscp != want.dscp;
        service.want = want.clone();
        if let Source::Active { life, .. } = &mut service.source {
            life.set_timing(want.timing);
        }
        for id in self.of(&want.target) {
            let Some(service) = self.services.get(&want.target) else { return };
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if let Some(life) = &mut peer.life {
                life.set_timing(want.timing);
            }
            if peer.told {
                self.agent.reconfigure(env.now, id, service.settings(&peer.name));
            }
            if marked_otherwise {
                self.drop_if_connected(id, env);
            }
        }
    }

    /// Takes note of a poll event. False if it is nobody's here.
    pub(super) fn on_event(&mut self, number: u64, event: &Event) -> bool {
        if let Some(peer) = self.peers.get_mut(&ConnId(number)) {
            peer.socket.on_event(event);
            return true;
        }
        if self.snoops.as_mut().is_some_and(|d| d.on_event(number)) {
            return true;
        }
        self.services.values_mut().any(|s| match &mut s.source {
            Source::Passive(door) => door.on_event(number),
            Source::Active { .. } => false,
        })
    }

    /// The ports as they are now.
    pub(super) fn set_ports(&mut self, ports: Vec<ofproto::controller::Port>, env: &mut Env<'_>) {
        self.agent.set_ports(env.now, ports, env.host);
        self.settle(env);
    }

    pub(super) fn packet_in(
        &mut self,
        packet: ofproto::controller::ToControllers,
        env: &mut Env<'_>,
    ) {
        self.agent.packet_in(env.now, packet);
        self.settle(env);
    }

    /// Does what can be done. True if there is more to be done at once.
    pub(super) fn run(&mut self, env: &mut Env<'_>) -> bool {
        let mut more = false;
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            more |= self.serve(id, env);
        }
        self.fail_open(env);
        self.call(env);
        self.accept(env);
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            self.look_at(id, env);
        }
        if self.agent_due.is_some_and(|t| env.now >= t) {
            self.run_agent(env);
        }
        more
    }

    fn run_agent(&mut self, env: &mut Env<'_>) {
        self.agent_due = self.agent.run(env.now, env.host);
        self.settle(env);
    }

    /// Calls the controllers whose time has come.
    fn call(&mut self, env: &mut Env<'_>) {
        let active = self.services.values_mut().filter_map(|s| match &mut s.source {
            Source::Active { address, life, conn: None } => {
                // Nothing else is due without a connection.
                (life.poll(env.now) == Some(Due::Connect)).then_some((&s.want, address, life))
            }
            Source::Active { .. } | Source::Passive(_) => None,
        });
        let mut begun = Vec::new();
        for (want, address, life) in active {
            let name = format!("{}<->{}", self.name, want.target);
            if life.is_loud() {
                crate::info!(RCONN, "{name}: connecting...");
            }
            life.opening(env.now);
            let opened = address.clone().and_then(|a| {
                Stream::open(&a, want.dscp, env.tls).map_err(|e| runtime::log::text_of(&e))
            });
            let id = ConnId(env.numbers.next());
            let registered = opened.and_then(|stream| {
                let owner = Owner::Service(want.target.clone());
                let mut peer = Peer::new(id, owner, name.clone(), stream);
                peer.register(env.registry).map_err(|e| runtime::log::text_of(&e))?;
                Ok(peer)
            });
            match registered {
                Ok(peer) => begun.push(peer),
                Err(text) => {
                    crate::warn!(RCONN, "{name}: connection failed ({text})");
                    let loud = life.is_loud();
                    // It took no time, so the wait is not made short by it.
                    say_next(&name, life.closed(env.now, Some(text), true), loud);
                    self.changed = true;
                }
            }
        }
        for peer in begun {
            if let Owner::Service(target) = &peer.owner
                && let Some(Service { source: Source::Active { conn, .. }, .. }) =
                    self.services.get_mut(target)
            {
                *conn = Some(peer.id);
            }
            let id = peer.id;
            self.changed = true;
            self.peers.insert(id, peer);
            self.serve(id, env);
        }
    }

    /// Lets in whoever calls.
    fn accept(&mut self, env: &mut Env<'_>) {
        let mut new = Vec::new();
        for s in self.services.values_mut() {
            let Source::Passive(door) = &mut s.source else { continue };
            while let Some((stream, name)) = door.accept(env.numbers, env.tls) {
                let life = Reconnect::accepted(env.now, s.want.timing);
                new.push((Owner::Service(s.want.target.clone()), stream, name, life));
            }
        }
        while let Some((stream, name)) =
            self.snoops.as_mut().and_then(|d| d.accept(env.numbers, env.tls))
        {
            let life = Reconnect::accepted(env.now, tool_timing());
            new.push((Owner::Snoop, stream, name, life));
        }
        for (owner, stream, name, life) in new {
            let id = ConnId(env.numbers.next());
            let name = format!("{}<->{name}", self.name);
            let mut peer = Peer::new(id, owner, name, stream);
            if let Err(e) = peer.register(env.registry) {
                let text = runtime::log::text_of(&e);
                crate::warn_rl!(CONNMGR, RL, "{}: cannot poll ({text})", peer.name);
                continue;
            }
            peer.life = Some(life);
            self.peers.insert(id, peer);
            self.serve(id, env);
        }
    }

    /// Reads and writes one connection. True if there may be more to read at once.
    fn serve(&mut self, id: ConnId, env: &mut Env<'_>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if !peer.told && !peer.closing {
            match peer.socket.connected() {
                Ok(false) => return false,
                Ok(true) => {
                    peer.told = true;
                    let settings = match &peer.owner {
                        Owner::Snoop => ConnSettings::new(ConnKind::Snoop, &peer.name),
                        Owner::Service(target) => match self.services.get(target) {
                            Some(service) => service.settings(&peer.name),
                            None => return false,
                        },
                    };
                    self.agent.connect(env.now, id, settings, env.host);
                    self.settle(env);
                }
                Err(ended) => {
                    self.end(id, ended, false, env);
                    return false;
                }
            }
        }
        for _ in 0..BURST {
            let Some(peer) = self.peers.get_mut(&id) else { return false };
            if peer.closing || !self.agent.may_receive(id) {
                self.flush(id, env);
                return false;
            }
            match peer.socket.receive() {
                Ok(Some(frame)) => self.receive(id, &frame, env),
                Ok(None) => {
                    self.flush(id, env);
                    return false;
                }
                Err(ended) => {
                    // What was answered before may still be read.
                    self.flush(id, env);
                    self.end(id, ended, false, env);
                    return false;
                }
            }
        }
        true
    }

    fn receive(&mut self, id: ConnId, frame: &[u8], env: &mut Env<'_>) {
        if let Some(life) = self.life(id)
            && life.is_connected()
        {
            life.received(env.now, admits(frame));
        }
        if self.fail_open.is_open() && self.any_admitted() {
            self.recover(env);
        }
        self.agent.receive(env.now, id, frame, env.host);
        // Time-outs may have come in.
        self.agent_due = Some(env.now);
        self.settle(env);
    }

    fn life(&mut self, id: ConnId) -> Option<&mut Reconnect> {
        let peer = self.peers.get_mut(&id)?;
        match (&mut peer.life, &peer.owner) {
            (Some(life), _) => Some(life),
            (None, Owner::Service(target)) => match &mut self.services.get_mut(target)?.source {
                Source::Active { life, .. } => Some(life),
                Source::Passive(_) => None,
            },
            (None, Owner::Snoop) => None,
        }
    }

    /// What time has brought for one connection.
    fn look_at(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name.clone();
        let Some(due) = self.life(id).and_then(|life| life.poll(env.now)) else { return };
        match due {
            // Only without a connection.
            Due::Connect => {}
            Due::TimedOut => {
                self.end(id, Ended::Error("Connection timed out".to_owned()), true, env);
            }
            Due::Probe(silent) => {
                let silent = silent.as_secs();
                crate::dbg!(RCONN, "{name}: idle {silent} seconds, sending inactivity probe");
                let version = self.agent.status(id).and_then(|s| s.version);
                let xid = (env.numbers.next() as u32).to_be_bytes();
                if let (Some(peer), Some(version)) = (self.peers.get_mut(&id), version) {
                    // An echo request.
                    let frame = [&[version.wire(), 2, 0, 8][..], &xid].concat();
                    peer.socket.queue(None, frame);
                }
                self.flush(id, env);
            }
            Due::NoAnswer(waited) => {
                crate::err!(
                    RCONN,
                    "{name}: no response to inactivity probe after {} seconds, disconnecting",
                    waited.as_secs()
                );
                let text = "Connection timed out".to_owned();
                self.disconnect(id, Some(text), false, env);
            }
        }
    }

    fn flush(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.flush(env.now, &mut self.agent) {
            Ok(any) => {
                let finished = peer.closing && peer.socket.waiting() == 0;
                if any.is_some()
                    && let Some(life) = self.life(id)
                    && life.is_connected()
                {
                    life.sent(env.now);
                }
                if finished {
                    self.end(id, Ended::Error("Protocol error".to_owned()), false, env);
                }
            }
            Err(ended) => self.end(id, ended, false, env),
        }
    }

    /// Does what the agent wants done.
    fn settle(&mut self, env: &mut Env<'_>) {
        let mut written = BTreeSet::new();
        loop {
            let out: Vec<Out> = self.agent.outbox().collect();
            if out.is_empty() {
                break;
            }
            for out in out {
                match out {
                    Out::Send { conn, class, frame } => {
                        if let Some(peer) = self.peers.get_mut(&conn) {
                            peer.socket.queue(Some(class), frame);
                            written.insert(conn);
                        }
                    }
                    Out::Close { conn, reason } => {
                        if let Some(peer) = self.peers.get_mut(&conn) {
                            peer.closing = true;
                            written.insert(conn);
                        }
                        match reason {
                            CloseReason::Protocol | CloseReason::NothingToSnoop => {}
                        }
                    }
                    Out::Status(conn) => self.agreed(conn, env),
                    Out::Log(line) => report(&line, env.limits),
                }
            }
        }
        for conn in written {
            self.flush(conn, env);
        }
    }

    /// A version is agreed on, or the role has changed.
    fn agreed(&mut self, id: ConnId, env: &mut Env<'_>) {
        self.changed = true;
        let Some(version) = self.agent.status(id).and_then(|s| s.version) else { return };
        let Some(peer) = self.peers.get(&id) else { return };
        let (name, ours) = (peer.name.clone(), peer.life.is_none());
        let Some(life) = self.life(id).filter(|life| !life.is_connected()) else { return };
        life.connected(env.now);
        if ours {
            crate::info!(RCONN, "{name}: connected");
        } else {
            crate::dbg!(RCONN, "{name}: connected ({version})");
        }
    }

    /// A connection has ended, or could not be made.
    fn end(&mut self, id: ConnId, ended: Ended, timed_out: bool, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (name, ours) = (peer.name.clone(), peer.life.is_none());
        let connected = self.life(id).is_some_and(|l| l.is_connected());
        let loud = self.life(id).is_some_and(|l| l.is_loud());
        let text = match (ended, connected) {
            (Ended::ByPeer, true) => {
                if ours {
                    crate::info!(RCONN, "{name}: connection closed by peer");
                } else {
                    crate::dbg!(RCONN, "{name}: connection closed by peer");
                }
                "End of file".to_owned()
            }
            (Ended::ByPeer, false) => {
                let text = "Connection reset by peer".to_owned();
                if loud {
                    crate::info!(RCONN, "{name}: connection failed ({text})");
                }
                text
            }
            (Ended::Error(text), true) => {
                crate::warn!(RCONN, "{name}: connection dropped ({text})");
                text
            }
            (Ended::Error(text), false) => {
                if loud && timed_out {
                    crate::info!(RCONN, "{name}: connection timed out");
                } else if loud {
                    crate::info!(RCONN, "{name}: connection failed ({text})");
                }
                text
            }
        };
        self.disconnect(id, Some(text), timed_out, env);
    }

    /// Closes a connection; one that is ours is made again.
    fn disconnect(
        &mut self,
        id: ConnId,
        error: Option<String>,
        timed_out: bool,
        env: &mut Env<'_>,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name.clone();
        if let Some(life) = self.life(id) {
            let loud = life.is_loud();
            let next = life.closed(env.now, error, timed_out);
            say_next(&name, next, loud);
        }
        self.forget(id, env);
    }

    fn forget(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        peer.socket.deregister(env.registry);
        if let Owner::Service(target) = &peer.owner
            && let Some(Service { source: Source::Active { conn, .. }, .. }) =
                self.services.get_mut(target)
        {
            *conn = None;
        }
        self.changed = true;
        if peer.told {
            self.agent.disconnect(env.now, id, env.host);
            self.settle(env);
        }
    }

    fn drop_if_connected(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(name) = self.peers.get(&id).map(|p| p.name.clone()) else { return };
        if self.life(id).is_some_and(|l| l.is_connected()) {
            crate::info!(RCONN, "{name}: disconnecting");
            self.disconnect(id, None, false, env);
        }
    }

    /// `bridge/reconnect`.
    pub(super) fn reconnect(&mut self, env: &mut Env<'_>) {
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            self.drop_if_connected(id, env);
        }
    }

    fn primaries(&self) -> impl Iterator<Item = (&Service, &Reconnect)> {
        let primary = self.services.values().filter(|s| s.want.primary);
        primary.filter_map(|s| Some((s, s.life()?)))
    }

    fn any_admitted(&self) -> bool {
        self.primaries().any(|(_, life)| life.is_admitted())
    }

    fn longest_probe(&self) -> Duration {
        let primary = self.services.values().filter(|s| s.want.primary);
        primary.map(|s| s.want.probe).max().unwrap_or_default()
    }

    fn fail_open(&mut self, env: &mut Env<'_>) {
        if self.fail_mode != FailMode::Standalone || self.has_controllers != Some(true) {
            return;
        }
        let failing = self.primaries().map(|(_, life)| life.failing_for(env.now)).min();
        let connected = self.primaries().any(|(_, life)| life.is_connected());
        let probe = self.longest_probe();
        let acts = self.fail_open.run(env.now, failing.unwrap_or_default(), probe, connected);
        for act in acts {
            match act {
                Act::Open(without) => {
                    crate::warn!(
                        FAIL_OPEN,
                        "Could not connect to controller (or switch failed controller's \
                         post-connection admission control policy) for {} seconds, failing open",
                        without.as_secs()
                    );
                    self.agent.flush(env.now, false, env.host);
                    let flow = InternalFlow {
                        table: 0,
                        matching: Match::default(),
                        priority: i32::from(fail_open::PRIORITY),
                        actions: vec![Action::output(OfPort::NORMAL)],
                        hidden: false,
                    };
                    let now = env.now;
                    // The bridge is there: its flows were just flushed.
                    let _ = env
                        .host
                        .switch()
                        .with_flow_table(&self.name, |t| t.add_internal(now, flow));
                    self.settle(env);
                }
                Act::Still(without) => crate::info!(
                    FAIL_OPEN,
                    "Still in fail-open mode after {} seconds disconnected from controller",
                    without.as_secs()
                ),
                Act::Bogus => {
                    self.agent.packet_in(env.now, super::bogus::packet(&self.name));
                    self.settle(env);
                }
            }
        }
    }

    /// A controller is there again.
    fn recover(&mut self, env: &mut Env<'_>) {
        crate::warn!(FAIL_OPEN, "No longer in fail-open mode");
        self.fail_open.recover();
        let priority = i32::from(fail_open::PRIORITY);
        let remove = |t: &mut ofproto::tables::FlowTable| {
            t.remove_internal(0, &Match::default(), priority);
        };
        // A bridge that has gone has no flows.
        let _ = env.host.switch().with_flow_table(&self.name, remove);
    }

    /// When [`Connections::run`] has something to do, if nothing else happens.
    pub(super) fn next_deadline(&self, now: Time) -> Option<Time> {
        let lives = self.services.values().filter_map(Service::life);
        let lives = lives.chain(self.peers.values().filter_map(|p| p.life.as_ref()));
        let next = lives.filter_map(Reconnect::next_deadline).min();
        let fails = self.fails_at(now);
        [next, self.agent_due, self.fail_open.next_deadline(), fails].into_iter().flatten().min()
    }

    /// When the bridge helps itself if no controller comes.
    fn fails_at(&self, now: Time) -> Option<Time> {
        if self.fail_mode != FailMode::Standalone || self.fail_open.is_open() {
            return None;
        }
        let failing = self.primaries().map(|(_, life)| life.failing_for(now)).min()?;
        let limit = (self.longest_probe() * 3).max(Duration::from_secs(1));
        (!failing.is_zero()).then(|| now + limit.saturating_sub(failing))
    }

    /// What the row of each controller should say, by the target.
    pub(super) fn report(&self, target: &str) -> Option<(&Reconnect, openflow::msg::Role)> {
        let service = self.services.get(target)?;
        let Source::Active { life, conn, .. } = &service.source else { return None };
        let status = conn.and_then(|id| self.agent.status(id)).filter(|_| life.is_connected());
        Some((life, status.map_or(openflow::msg::Role::NoChange, |s| s.role)))
    }

    /// Connections that have agreed on a version, and messages that wait for sockets.
    pub(super) fn usage(&self) -> (u64, u64) {
        let waiting = self.peers.values().map(|p| p.socket.waiting()).sum::<usize>();
        let conns = self.peers.values().filter(|p| p.told && p.owner != Owner::Snoop).count();
        (conns as u64, waiting as u64)
    }

    /// Closes everything.
    pub(super) fn close(&mut self, env: &mut Env<'_>) {
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            self.forget(id, env);
        }
        self.services.clear();
        self.snoops = None;
    }
}

static RL: crate::log::RateLimit = crate::log::RateLimit::new(1, 5);

fn tool_timing() -> Timing {
    Timing { max_backoff: Duration::from_secs(8), probe: Some(TOOL_PROBE) }
}

/// `BRIDGE.mgmt`: the listener that every bridge has.
fn tools(bridge: &str, want: &WantBridge, env: &Env<'_>) -> WantController {
    let path: PathBuf = env.rundir.join(format!("{bridge}.mgmt"));
    WantController {
        uuid: want.uuid,
        target: format!("punix:{}", path.display()),
        primary: false,
        timing: tool_timing(),
        probe: TOOL_PROBE,
        in_band: false,
        async_messages: true,
        rate_limit: 0,
        burst_limit: 0,
        queue_size: want.openflow.queue_size,
        dscp: 0,
    }
}

fn say_next(name: &str, next: Next, loud: bool) {
    match next {
        Next::Later(wait) => {
            crate::info!(RCONN, "{name}: waiting {} seconds before reconnect", wait.as_secs());
        }
        Next::Quietly if loud => crate::info!(
            RCONN,
            "{name}: continuing to retry connections in the background but suppressing further \
             logging"
        ),
        Next::Quietly | Next::Soon | Next::AsBefore | Next::Gone => {}
    }
}
