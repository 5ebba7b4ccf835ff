//! OpenFlow of one bridge: its agent, and the sockets around it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use mio::event::Event;
use ofproto::FailMode;
use ofproto::controller::{Agent, ConnId, ControllerConfig, Settings, Timing};
use ofproto::tables::TableSettings;
use openflow::msg::Role;
use wire::Time;

use crate::confine;
use crate::fail_open::FailOpen;
use crate::in_band::InBandRules;
use crate::modules::{BRIDGE, CONNMGR, RCONN};
use crate::peer::{Owner, Peer};
use crate::reconnect::Reconnect;
use crate::service::{Door, Service, Services, Source, kind};
use crate::{BridgeConfig, Config, Env};

/// Snoops at a time, as in Open vSwitch.
const SNOOPS: usize = 8;

/// Silence of a tool before it is asked.
const TOOL_PROBE: Duration = Duration::from_secs(60);

/// One bridge; see the module.
pub(crate) struct Connections {
    pub(crate) name: String,
    pub(crate) agent: Agent,
    pub(crate) services: Services,
    pub(crate) snoops: Option<Door>,
    pub(crate) peers: BTreeMap<ConnId, Peer>,
    pub(crate) fail_mode: FailMode,
    pub(crate) fail_open: FailOpen,
    /// The settings of flow tables that the agent was told last.
    pub(crate) tables: Option<(BTreeMap<u8, TableSettings>, Vec<String>)>,
    /// A primary controller is configured; `None` before the first configuration.
    pub(crate) has_controllers: Option<bool>,
    pub(crate) in_band: InBandRules,
    /// In-band managers.
    pub(crate) managers: BTreeSet<SocketAddrV4>,
    /// When the agent wants to be called.
    pub(crate) agent_due: Option<Time>,
    /// What rows say may have changed.
    pub(crate) changed: bool,
}

impl Connections {
    pub(crate) fn new(name: &str, settings: Settings) -> Connections {
        Connections {
            name: name.to_owned(),
            agent: Agent::new(name, settings),
            services: Services::new(),
            snoops: None,
            peers: BTreeMap::new(),
            fail_mode: FailMode::Standalone,
            fail_open: FailOpen::default(),
            tables: None,
            has_controllers: None,
            in_band: InBandRules::default(),
            managers: BTreeSet::new(),
            agent_due: Some(Time::ZERO),
            changed: true,
        }
    }

    /// Makes controllers and listeners what the rows say. Connections whose row did not change
    /// notice nothing.
    ///
    /// While flows are restored, no controller is called or let in. The bridge counts them all
    /// the same, so that the restored flows are not flushed when they come.
    pub(crate) fn configure(
        &mut self,
        want: &BridgeConfig<'_>,
        settings: Settings,
        config: &Config<'_>,
        env: &mut Env<'_>,
    ) {
        let restoring = config.restoring;
        self.agent.configure(settings);
        self.agent.set_bundle_timeout(Some(config.bundle_idle));
        let tools = tools(&self.name, want, env);
        let wanted: BTreeMap<&str, &ControllerConfig> = std::iter::once(&tools)
            .chain(
                want.controllers
                    .iter()
                    .copied()
                    .filter(|_| !restoring)
                    .filter(|c| confine::allows(&self.name, c, env.own)),
            )
            .map(|c| (c.target.as_str(), c))
            .collect();
        let gone: Vec<String> =
            self.services.keys().filter(|t| !wanted.contains_key(t.as_str())).cloned().collect();
        let versions = want.versions;
        for (target, c) in &wanted {
            match self.services.get(*target) {
                None => self.start(c, versions, env),
                Some(s) if s.versions != versions => {
                    runtime::info!(
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
                runtime::info!(CONNMGR, "{}: removed {kind} controller \"{target}\"", self.name);
            }
            self.stop(&target, env);
        }
        let active = self.services.values().filter(|s| s.life().is_some());
        let active = active.map(|s| s.want.target.clone()).collect::<Vec<_>>();
        self.agent.set_targets(active.iter().map(|t| format!("{}<->{t}", self.name)).collect());
        if self.snoops.is_none() {
            let path = env.own.rundir.join(format!("{}.snoop", self.name));
            match Door::at_path(&path, env.registry, env.numbers) {
                Ok(door) => self.snoops = Some(door),
                Err(e) => {
                    let text = posix::text(&e);
                    runtime::err!(CONNMGR, "failed to listen on punix:{}: {text}", path.display());
                }
            }
        }
        let later = restoring && want.controllers.iter().any(|c| c.primary);
        self.set_fail_mode(want.fail_mode, later, env);
        let known = self.tables.as_ref();
        if known.is_none_or(|(t, c)| (t, &c[..]) != (want.tables, want.table_complaints)) {
            for complaint in want.table_complaints {
                runtime::warn!(BRIDGE, "{complaint}");
            }
            self.agent.configure_tables(env.now, want.tables, env.host);
            self.tables = Some((want.tables.clone(), want.table_complaints.to_vec()));
        }
        self.managers.clone_from(want.managers);
        self.set_in_band_remotes(env);
        self.in_band.wanted.queue = want.in_band_queue;
        self.in_band.due = Some(env.now);
        self.changed = true;
        self.settle(env);
    }

    /// Flows go when the bridge begins or ceases to depend on controllers, and when what it does
    /// without them changes. `later`: it will have some, once flows are restored.
    pub(crate) fn set_fail_mode(&mut self, fail_mode: FailMode, later: bool, env: &mut Env<'_>) {
        let has = later || self.services.values().any(|s| s.want.primary);
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
            self.flush_flows(normal, env);
        }
    }

    pub(crate) fn start(
        &mut self,
        want: &ControllerConfig,
        versions: openflow::VersionSet,
        env: &mut Env<'_>,
    ) {
        let service = Service::start(
            &self.name,
            want,
            versions,
            env.now,
            &env.own.rundir,
            env.registry,
            env.numbers,
        );
        if let Some(service) = service {
            self.services.insert(want.target.clone(), service);
        }
    }

    pub(crate) fn stop(&mut self, target: &str, env: &mut Env<'_>) {
        let theirs: Vec<ConnId> = self.of(target);
        for id in theirs {
            self.forget(id, env);
        }
        self.services.remove(target);
    }

    pub(crate) fn of(&self, target: &str) -> Vec<ConnId> {
        let is = |p: &&Peer| matches!(&p.owner, Owner::Service(t) if t == target);
        self.peers.values().filter(is).map(|p| p.id).collect()
    }

    /// The row changed in what does not concern the connection as such.
    pub(crate) fn retune(&mut self, want: &ControllerConfig, env: &mut Env<'_>) {
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
    pub(crate) fn on_event(&mut self, number: u64, event: &Event) -> bool {
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
    pub(crate) fn set_ports(&mut self, ports: Vec<ofproto::controller::Port>, env: &mut Env<'_>) {
        self.agent.set_ports(env.now, ports, env.host);
        self.settle(env);
    }

    pub(crate) fn packet_in(
        &mut self,
        packet: ofproto::controller::QueuedPacketIn,
        env: &mut Env<'_>,
    ) {
        self.agent.packet_in(env.now, packet);
        self.settle(env);
    }

    /// Does what can be done. True if there is more to be done at once.
    pub(crate) fn run(&mut self, env: &mut Env<'_>) -> bool {
        let mut more = false;
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            more |= self.serve(id, env);
        }
        self.fail_open(env);
        self.keep_in_band(env);
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

    /// Takes out all flows, as a change of who decides about them does.
    pub(crate) fn flush_flows(&mut self, normal: bool, env: &mut Env<'_>) {
        self.agent.flush(env.now, normal, env.host);
        // Those that must pass went too.
        self.in_band.installed.clear();
        self.in_band.due = Some(env.now);
    }

    /// Keeps in-band control's rules up to date.
    fn keep_in_band(&mut self, env: &mut Env<'_>) {
        if self.in_band.due.is_none_or(|t| env.now < t) {
            return;
        }
        self.in_band.update(env.now, &self.name, env.local, env.host.ofproto());
    }

    pub(crate) fn run_agent(&mut self, env: &mut Env<'_>) {
        self.agent_due = self.agent.run(env.now, env.host);
        self.settle(env);
    }

    /// Lets in whoever calls.
    pub(crate) fn accept(&mut self, env: &mut Env<'_>) {
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
            let snoops = self.peers.values().filter(|p| p.owner == Owner::Snoop).count();
            if snoops >= SNOOPS {
                runtime::dbg!(RCONN, "too many monitor connections, discarding {name}");
                continue;
            }
            // It says nothing after its hello, and is not asked.
            let mut life = Reconnect::accepted(env.now, Timing { probe: None, ..tool_timing() });
            life.connected(env.now);
            new.push((Owner::Snoop, stream, name, life));
        }
        for (owner, stream, name, life) in new {
            let id = ConnId(env.numbers.next());
            let name = format!("{}<->{name}", self.name);
            let mut peer = Peer::new(id, owner, name, stream);
            if let Err(e) = peer.register(env.registry) {
                let text = posix::text(&e);
                runtime::warn_rl!(CONNMGR, RL, "{}: cannot poll ({text})", peer.name);
                continue;
            }
            peer.life = Some(life);
            self.peers.insert(id, peer);
            self.serve(id, env);
        }
    }

    pub(crate) fn drop_if_connected(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(name) = self.peers.get(&id).map(|p| p.name.clone()) else { return };
        if self.life(id).is_some_and(|l| l.is_connected()) {
            runtime::info!(RCONN, "{name}: disconnecting");
            self.disconnect(id, None, false, env);
        }
    }

    /// `bridge/reconnect`.
    pub(crate) fn reconnect(&mut self, env: &mut Env<'_>) {
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            self.drop_if_connected(id, env);
        }
    }

    /// When [`Connections::run`] has something to do, if nothing else happens.
    pub(crate) fn next_deadline(&self, now: Time) -> Option<Time> {
        let lives = self.services.values().filter_map(Service::life);
        let lives = lives.chain(self.peers.values().filter_map(|p| p.life.as_ref()));
        let next = lives.filter_map(Reconnect::next_deadline).min();
        let fails = self.fails_at(now);
        [next, self.agent_due, self.in_band.due, self.fail_open.next_deadline(), fails]
            .into_iter()
            .flatten()
            .min()
    }

    /// What the row of each controller should say, by the target.
    pub(crate) fn report(&self, target: &str) -> Option<(&Reconnect, Role)> {
        let service = self.services.get(target)?;
        let Source::Active { life, conn, .. } = &service.source else { return None };
        let status = conn.and_then(|id| self.agent.status(id)).filter(|_| life.is_connected());
        Some((life, status.map_or(Role::NoChange, |s| s.role)))
    }

    /// Connections that have agreed on a version, and messages that wait for sockets.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let waiting = self.peers.values().map(|p| p.socket.waiting()).sum::<usize>();
        let conns = self.peers.values().filter(|p| p.told && p.owner != Owner::Snoop).count();
        (conns as u64, waiting as u64)
    }

    /// Closes everything.
    pub(crate) fn close(&mut self, env: &mut Env<'_>) {
        let ids: Vec<ConnId> = self.peers.keys().copied().collect();
        for id in ids {
            self.forget(id, env);
        }
        self.services.clear();
        self.snoops = None;
    }
}

static RL: runtime::log::RateLimit = runtime::log::RateLimit::new(1, 5);

fn tool_timing() -> Timing {
    Timing { max_backoff: Duration::from_secs(8), probe: Some(TOOL_PROBE) }
}

/// `BRIDGE.mgmt`: the listener that every bridge has.
fn tools(bridge: &str, want: &BridgeConfig<'_>, env: &Env<'_>) -> ControllerConfig {
    let path: PathBuf = env.own.rundir.join(format!("{bridge}.mgmt"));
    ControllerConfig {
        target: format!("punix:{}", path.display()),
        primary: false,
        timing: tool_timing(),
        probe: TOOL_PROBE,
        in_band: false,
        async_messages: true,
        rate_limit: 0,
        burst_limit: 0,
        queue_size: want.queue_size,
        dscp: 0,
    }
}
