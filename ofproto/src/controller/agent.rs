//! The switch side of the OpenFlow connections of one bridge: its parts, and its life with the
//! owner of the sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use openflow::OfError;
use wire::Time;

use super::bridge_tables::BridgeTables;
use super::conn::{Conn, ConnState};
use super::conn_table::ConnTable;
use super::packet_outs::PacketOuts;
use super::port_table::PortTable;
use super::roles::Roles;
use super::types::{
    Class, ConnId, ConnKind, ConnSettings, ConnStatus, LogLevel, Out, Settings, SwitchOps,
};

/// How long a bundle that is not used is kept; also how often that is looked at.
const BUNDLE_IDLE: Duration = Duration::from_secs(10);
const MIN_BUNDLE_IDLE: Duration = Duration::from_secs(1);

/// The OpenFlow switch that controllers of one bridge talk to.
pub struct Agent {
    pub(super) bridge: String,
    pub(super) settings: Settings,
    pub(super) conns: ConnTable,
    pub(super) roles: Roles,
    pub(super) ports: PortTable,
    pub(super) tables: BridgeTables,
    pub(super) packet_outs: PacketOuts,
    /// Fragment handling, as in [`openflow::msg::Config::flags`].
    pub(super) fragments: u16,
    /// Packets that no flow matches go to controllers.
    misses: bool,
    bundle_idle: Duration,
}

impl Agent {
    /// An agent without connections for a bridge.
    pub fn new(bridge: &str, settings: Settings) -> Agent {
        Agent {
            bridge: bridge.to_owned(),
            settings,
            conns: ConnTable::default(),
            roles: Roles::default(),
            ports: PortTable::default(),
            tables: BridgeTables::new(bridge),
            packet_outs: PacketOuts::default(),
            fragments: 0,
            misses: false,
            bundle_idle: BUNDLE_IDLE,
        }
    }

    /// Takes over what the bridge's row says now.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Sets how long bundles are kept that are not used
    /// (`Open_vSwitch.other_config:bundle-idle-timeout`, at least 1 s); by default 10 s.
    pub fn set_bundle_timeout(&mut self, idle: Option<Duration>) {
        self.bundle_idle = idle.unwrap_or(BUNDLE_IDLE).max(MIN_BUNDLE_IDLE);
        for (_, c) in self.conns.iter_mut() {
            c.bundles.set_idle(self.bundle_idle);
        }
    }

    /// Names the controllers that the switch calls, connected or not, as their connections are
    /// named ([`ConnSettings::name`]): a snoop is shown the one of the highest role.
    pub fn set_targets(&mut self, names: BTreeSet<String>) {
        self.conns.set_targets(names);
    }

    /// A socket is connected: the agent says hello.
    pub fn connect(&mut self, now: Time, id: ConnId, settings: ConnSettings, ops: &dyn SwitchOps) {
        let (kind, versions) = (settings.kind, settings.versions);
        self.conns.insert(id, Conn::new(now, settings, self.bundle_idle));
        if kind == ConnKind::Snoop && !self.conns.attach_snoop(id) {
            return;
        }
        self.say_hello(id, versions);
        self.update_misses(ops);
    }

    /// The connection's row changed; versions only matter to new connections.
    pub fn reconfigure(&mut self, now: Time, id: ConnId, settings: ConnSettings) {
        if let Some(c) = self.conns.get_mut(id) {
            c.configure(now, settings);
        }
    }

    /// The socket is gone. Nothing more comes out for it.
    pub fn disconnect(&mut self, now: Time, id: ConnId, ops: &dyn SwitchOps) {
        if let Some(mut c) = self.conns.remove(id) {
            self.tables.publish(ops);
            if let Some(text) = c.flow_log.report(now) {
                let text = format!("{}: {text}", c.name());
                self.conns.log(LogLevel::Info, "connmgr", text, None);
            }
            self.update_misses(ops);
        }
    }

    /// One whole message has arrived: as many octets as its header says, at least 8. To be called
    /// only while [`Agent::may_receive`]; one from a connection that is gone is dropped. After
    /// the messages that have come [`Agent::run`] is to be called: at the latest then packets see
    /// changes of flows.
    pub fn receive(&mut self, now: Time, id: ConnId, frame: &[u8], ops: &dyn SwitchOps) {
        let Some(c) = self.conns.get(id) else { return };
        match (c.state(), c.kind()) {
            (ConnState::Hello, _) => self.receive_hello(id, frame, ops),
            // What a snoop says is of no interest.
            (ConnState::Up, ConnKind::Snoop) => {}
            (ConnState::Up, ConnKind::Primary | ConnKind::Service) => {
                self.conns.copy_to_snoops(id, frame);
                self.receive_message(now, id, frame, ops);
            }
        }
    }

    /// False: answers pile up, the socket shall not be read.
    pub fn may_receive(&self, id: ConnId) -> bool {
        self.conns.get(id).is_none_or(Conn::may_receive)
    }

    /// The socket has taken a message of [`Out::Send`], of `octets` octets.
    pub fn sent(&mut self, id: ConnId, class: Class, octets: usize) {
        if let Some(c) = self.conns.get_mut(id) {
            c.sent(class, octets);
        }
    }

    /// Does what is due: flows expire, monitors resume, unused bundles are given up, packet-ins
    /// that a rate limit held back are sent. To be called at the time it returns, after
    /// [`Agent::sent`], and after any change of the flow table that others make.
    pub fn run(&mut self, now: Time, ops: &dyn SwitchOps) -> Option<Time> {
        self.tables.publish(ops);
        let expiry = self.expire_flows(now, ops);
        self.resume_monitors(ops);
        for id in self.conns.ids(|_, _| true) {
            self.run_conn(now, id);
        }
        let again = self.run_barriers().then_some(now);
        let of_conns = self.conns.iter().filter_map(|(_, c)| c.deadline());
        of_conns.chain(expiry).chain(again).min()
    }

    fn run_conn(&mut self, now: Time, id: ConnId) {
        self.release_packets(now, id);
        let Some(c) = self.conns.get_mut(id) else { return };
        for frame in c.bundles.expire(now) {
            self.conns.send_error(id, OfError::BfcTimeout, &frame, Class::Reply);
        }
        let Some(c) = self.conns.get_mut(id) else { return };
        let late = c.assembler.expire(now);
        let report = c.flow_log.deadline().filter(|at| *at <= now);
        let report = report.and_then(|_| c.flow_log.report(now));
        if let Some(text) = report {
            let text = format!("{}: {text}", c.name());
            self.conns.log(LogLevel::Info, "connmgr", text, None);
        }
        for frame in late {
            let error = OfError::BrcMultipartRequestTimeout;
            self.conns.send_error(id, error, &frame, Class::Other);
        }
    }

    /// What came of a connection.
    pub fn status(&self, id: ConnId) -> Option<ConnStatus> {
        self.conns.get(id).map(Conn::status)
    }

    /// Whether any connection can get asynchronous messages.
    pub fn has_listeners(&self) -> bool {
        self.conns.iter().any(|(_, c)| c.is_up())
    }

    /// Takes out what is to be done, in order.
    pub fn outbox(&mut self) -> impl Iterator<Item = Out> + '_ {
        self.conns.outbox()
    }

    /// Tells the bridge whether any connection wants packets that no flow matches.
    pub(super) fn update_misses(&mut self, ops: &dyn SwitchOps) {
        let misses = self.conns.iter().any(|(_, c)| c.wants_misses());
        if misses != self.misses {
            self.misses = misses;
            // The bridge is gone when this fails, and so are its packets.
            let _ = ops.ofproto().set_packet_in_on_miss(&self.bridge, misses);
        }
    }
}
