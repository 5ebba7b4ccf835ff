//! OpenFlow of one bridge: configuration, fail mode and in-band control over its connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use mio::event::Event;
use ofproto::FailMode;
use ofproto::controller::{ConnId, ControllerConfig, Port, QueuedPacketIn, Settings, Timing};
use ofproto::tables::{FlowTables, InternalFlow, TableSettings};
use openflow::{Action, Match, OfPort};
use wire::Time;

use crate::config::{BridgeConfig, Config};
use crate::connections::Connections;
use crate::context::Ctx;
use crate::endpoint::{Listener, timing};
use crate::fail_open::{self, FailOpen, FailOpenAction};
use crate::in_band::InBandRules;
use crate::modules::{BRIDGE, CONNMGR, FAIL_OPEN, RCONN};
use crate::peer::Origin;
use crate::probe_packet_in;
use crate::socket_policy;
use crate::status::ControllerStatus;
use stream::reconnect::{Reconnect, Rules};

/// Simultaneous snoops, as in Open vSwitch.
const MAX_SNOOPS: usize = 8;

/// Probe interval of the peers of `BRIDGE.mgmt`.
const MGMT_PROBE: Duration = Duration::from_secs(60);

/// Messages of one connection that are handled before the other connections' messages.
const BURST: usize = 50;

/// One bridge.
pub(crate) struct Bridge {
    name: String,
    connections: Connections,
    /// `BRIDGE.snoop`.
    snoops: Option<Listener>,
    fail_mode: FailMode,
    fail_open: FailOpen,
    /// The flow tables' settings that the agent was told last, and errors in their rows.
    tables: Option<(BTreeMap<u8, TableSettings>, Vec<String>)>,
    /// A primary controller is configured; `None` before the first configuration.
    has_controllers: Option<bool>,
    in_band: InBandRules,
    /// In-band managers.
    managers: BTreeSet<SocketAddrV4>,
}

impl Bridge {
    pub(crate) fn new(name: &str, settings: Settings) -> Bridge {
        Bridge {
            name: name.to_owned(),
            connections: Connections::new(name, settings),
            snoops: None,
            fail_mode: FailMode::Standalone,
            fail_open: FailOpen::default(),
            tables: None,
            has_controllers: None,
            in_band: InBandRules::default(),
            managers: BTreeSet::new(),
        }
    }

    /// Applies a configuration.
    ///
    /// While flows are restored, no controller is connected and no listener is open. The bridge
    /// counts the controllers all the same, so that the restored flows are not flushed when they
    /// connect.
    pub(crate) fn configure(
        &mut self,
        want: &BridgeConfig<'_>,
        settings: Settings,
        config: &Config<'_>,
        ctx: &mut Ctx<'_>,
    ) {
        let mgmt = mgmt(&self.name, want, ctx);
        let allowed = want
            .controllers
            .iter()
            .copied()
            .filter(|_| !config.restoring)
            .filter(|c| socket_policy::allows(&self.name, c, ctx.options));
        let wanted: Vec<&ControllerConfig> = std::iter::once(&mgmt).chain(allowed).collect();
        self.connections.configure(settings, config.bundle_idle, &wanted, want.versions, ctx);
        if self.snoops.is_none() {
            let path = ctx.options.rundir.join(format!("{}.snoop", self.name));
            match Listener::at_path(&path, ctx.registry, ctx.ids) {
                Ok(listener) => self.snoops = Some(listener),
                Err(e) => {
                    let text = posix::text(&e);
                    runtime::err!(CONNMGR, "failed to listen on punix:{}: {text}", path.display(); "bridge" => &self.name);
                }
            }
        }
        let later = config.restoring && want.controllers.iter().any(|c| c.primary);
        self.set_fail_mode(want.fail_mode, later, ctx);
        let known = self.tables.as_ref();
        if known.is_none_or(|(t, c)| (t, &c[..]) != (want.tables, want.table_complaints)) {
            for complaint in want.table_complaints {
                runtime::warn!(BRIDGE, "{complaint}"; "bridge" => &self.name);
            }
            self.connections.configure_tables(want.tables, ctx);
            self.tables = Some((want.tables.clone(), want.table_complaints.to_vec()));
        }
        self.managers.clone_from(want.managers);
        self.set_in_band_remotes(ctx.now);
        self.in_band.wanted.queue = want.in_band_queue;
        self.in_band.due = Some(ctx.now);
    }

    /// Flushes flows when the bridge begins or ceases to depend on controllers, and when its fail
    /// mode changes while it has none. `later`: it will have some once flows are restored.
    fn set_fail_mode(&mut self, fail_mode: FailMode, later: bool, ctx: &mut Ctx<'_>) {
        let has = later || self.connections.endpoints().has_primary();
        let mode_matters = self.fail_mode != fail_mode && !has;
        let flush = self.has_controllers != Some(has) || mode_matters;
        self.has_controllers = Some(has);
        self.fail_mode = fail_mode;
        if !has || fail_mode != FailMode::Standalone {
            if self.fail_open.is_open() {
                self.recover(ctx);
            }
            self.fail_open = FailOpen::default();
        }
        if flush {
            let normal = !has && fail_mode == FailMode::Standalone;
            self.flush_flows(normal, ctx);
        }
    }

    fn flush_flows(&mut self, normal: bool, ctx: &mut Ctx<'_>) {
        self.connections.flush_flows(normal, ctx);
        // In-band control's flows were flushed too.
        self.in_band.installed.clear();
        self.in_band.due = Some(ctx.now);
    }

    /// Handles a poll event. False if it is for another bridge.
    pub(crate) fn on_event(&mut self, id: u64, event: &Event) -> bool {
        self.connections.on_event(id, event)
            || self.snoops.as_mut().is_some_and(|listener| listener.on_event(id))
    }

    /// The ports as they are now.
    pub(crate) fn set_ports(&mut self, ports: Vec<Port>, ctx: &mut Ctx<'_>) {
        self.connections.set_ports(ports, ctx);
    }

    /// Sends a packet to the controllers that want it.
    pub(crate) fn packet_in(&mut self, packet: QueuedPacketIn, ctx: &mut Ctx<'_>) {
        self.connections.packet_in(packet, ctx);
    }

    /// Does all work that is due. True if there is more that waits for no event.
    pub(crate) fn run(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let known = ctx.ids.last();
        let mut more = false;
        for id in self.connections.ids_after(0) {
            more |= self.serve(id, ctx);
        }
        self.run_fail_open(ctx);
        if self.in_band.due.is_some_and(|t| ctx.now >= t) {
            self.in_band.update(ctx.now, &self.name, ctx.local_mac, ctx.host.ofproto());
        }
        self.connections.connect(ctx);
        self.set_in_band_remotes(ctx.now);
        self.connections.accept(ctx);
        self.accept_snoops(ctx);
        for id in self.connections.ids_after(known) {
            self.serve(id, ctx);
        }
        for id in self.connections.ids_after(0) {
            self.connections.run_deadlines(id, ctx);
        }
        self.connections.run_agent(ctx);
        more
    }

    /// Reads and writes one connection. True if there may be more to read at once.
    fn serve(&mut self, id: ConnId, ctx: &mut Ctx<'_>) -> bool {
        if !self.connections.open(id, ctx) {
            return false;
        }
        for _ in 0..BURST {
            let Some(frame) = self.connections.next_message(id, ctx) else { return false };
            if self.fail_open.is_open()
                && self.connections.endpoints().primaries().any(Reconnect::is_admitted)
            {
                self.recover(ctx);
            }
            self.connections.receive(id, &frame, ctx);
        }
        true
    }

    fn accept_snoops(&mut self, ctx: &mut Ctx<'_>) {
        while let Some((stream, peer)) = self.snoops.as_mut().and_then(|s| s.accept(ctx)) {
            if self.connections.snoops() >= MAX_SNOOPS {
                runtime::dbg!(RCONN, "too many monitor connections, discarding {peer}"; "bridge" => &self.name, "target" => &peer);
                continue;
            }
            // A snoop sends nothing after its hello, and is not probed.
            let probeless = Timing { probe: None, ..mgmt_timing() };
            let mut reconnect = Reconnect::accepted(ctx.now, Rules::OpenFlow, timing(probeless));
            reconnect.connected(ctx.now);
            self.connections.add_accepted(Origin::Snoop, stream, &peer, reconnect, ctx);
        }
    }

    /// The addresses that in-band control keeps the path to open.
    fn set_in_band_remotes(&mut self, now: Time) {
        let controllers = self.connections.endpoints().in_band_addresses();
        let remotes = controllers.chain(self.managers.iter().copied()).collect();
        if self.in_band.wanted.remotes != remotes {
            self.in_band.wanted.remotes = remotes;
            self.in_band.due = Some(now);
        }
    }

    fn run_fail_open(&mut self, ctx: &mut Ctx<'_>) {
        if self.fail_mode != FailMode::Standalone || self.has_controllers != Some(true) {
            return;
        }
        let endpoints = self.connections.endpoints();
        let failing = endpoints.primaries().map(|r| r.failing_for(ctx.now)).min();
        let connected = endpoints.primaries().any(Reconnect::is_connected);
        let probe = endpoints.longest_probe();
        for action in self.fail_open.run(ctx.now, failing.unwrap_or_default(), probe, connected) {
            match action {
                FailOpenAction::Open(without) => {
                    runtime::warn!(
                        FAIL_OPEN,
                        "Could not connect to controller (or switch failed controller's \
                         post-connection admission control policy) for {} seconds, failing open",
                        without.as_secs(); "bridge" => &self.name);
                    self.flush_flows(false, ctx);
                    let flow = InternalFlow {
                        table: 0,
                        matching: Match::default(),
                        priority: i32::from(fail_open::PRIORITY),
                        actions: vec![Action::output(OfPort::NORMAL)],
                        hidden: false,
                    };
                    let now = ctx.now;
                    let add = |t: &mut FlowTables| t.add_internal(now, flow);
                    // Fails only without the bridge, whose flows were just flushed.
                    let _ = ctx.host.ofproto().with_flow_table(&self.name, add);
                }
                FailOpenAction::StillOpen(without) => runtime::info!(
                    FAIL_OPEN,
                    "Still in fail-open mode after {} seconds disconnected from controller",
                    without.as_secs(); "bridge" => &self.name),
                FailOpenAction::SendProbe => {
                    self.connections.packet_in(probe_packet_in::packet(&self.name), ctx);
                }
            }
        }
    }

    /// Ends fail-open: a controller has admitted the switch, or none is configured any more.
    fn recover(&mut self, ctx: &mut Ctx<'_>) {
        runtime::warn!(FAIL_OPEN, "No longer in fail-open mode"; "bridge" => &self.name);
        self.fail_open.recover();
        let priority = i32::from(fail_open::PRIORITY);
        let remove = |t: &mut FlowTables| t.remove_internal(0, &Match::default(), priority);
        // A bridge that was deleted has no flows.
        let _ = ctx.host.ofproto().with_flow_table(&self.name, remove);
    }

    /// When fail-open begins if no controller answers before.
    fn fail_open_deadline(&self, now: Time) -> Option<Time> {
        if self.fail_mode != FailMode::Standalone || self.fail_open.is_open() {
            return None;
        }
        let endpoints = self.connections.endpoints();
        let failing = endpoints.primaries().map(|r| r.failing_for(now)).min()?;
        let limit = (endpoints.longest_probe() * 3).max(Duration::from_secs(1));
        (!failing.is_zero()).then(|| now + limit.saturating_sub(failing))
    }

    /// Drops all connections that are established.
    pub(crate) fn reconnect(&mut self, ctx: &mut Ctx<'_>) {
        self.connections.drop_all(ctx);
    }

    /// When [`Bridge::run`] has work if no event comes before.
    pub(crate) fn next_deadline(&self, now: Time) -> Option<Time> {
        [
            self.connections.next_deadline(),
            self.in_band.due,
            self.fail_open.next_deadline(),
            self.fail_open_deadline(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// As [`crate::ConnectionManager::controller_status`].
    pub(crate) fn controller_status(&self, target: &str, now: Time) -> Option<ControllerStatus> {
        self.connections.controller_status(target, now)
    }

    /// True once after a controller's status may have changed.
    pub(crate) fn take_status_changed(&mut self) -> bool {
        self.connections.take_status_changed()
    }

    /// Connections without snoops, and messages that wait to be sent.
    pub(crate) fn usage(&self) -> (u64, u64) {
        self.connections.usage()
    }

    /// Closes everything.
    pub(crate) fn close(&mut self, ctx: &mut Ctx<'_>) {
        self.connections.close(ctx);
        self.snoops = None;
    }
}

fn mgmt_timing() -> Timing {
    Timing { max_backoff: Duration::from_secs(8), probe: Some(MGMT_PROBE) }
}

/// `BRIDGE.mgmt`: the listener that every bridge has.
fn mgmt(bridge: &str, want: &BridgeConfig<'_>, ctx: &Ctx<'_>) -> ControllerConfig {
    let path = ctx.options.rundir.join(format!("{bridge}.mgmt"));
    ControllerConfig {
        target: format!("punix:{}", path.display()),
        primary: false,
        timing: mgmt_timing(),
        probe: MGMT_PROBE,
        in_band: false,
        async_messages: true,
        rate_limit: 0,
        burst_limit: 0,
        queue_size: want.queue_size,
        dscp: 0,
    }
}
