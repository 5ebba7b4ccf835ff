//! The switch side of OpenFlow connections, without sockets and clocks.
//!
//! One [`Agent`] serves all connections of one bridge. Whoever owns the sockets cuts the stream
//! into messages and hands each to [`Agent::receive`]; what is to be sent, closed and logged
//! comes out of [`Agent::outbox`], which is to be emptied after every call:
//!
//! ```text
//!   socket ── message ──▶ receive ──▶ bridge's flow table, ports, packets (SwitchOps, Ofproto)
//!     ▲                      │
//!     └──── Out::Send ◀── outbox ◀── set_ports, packet_in, run
//! ```
//!
//! - `handshake` agrees on a version, `assemble` joins requests of several messages, `dispatch`
//!   hands each to who answers it: `session` (the connection and its role), `ports`, `packets`,
//!   `flows`, `flow_tables`, `monitors`, `bundles`, `shaping` (queues, groups, meters).
//! - A handler answers with `Err` and the error goes to the peer with the request that caused it.

mod assemble;
mod async_config;
mod bundles;
mod config;
mod conn;
mod dispatch;
mod flow_log;
mod flow_tables;
mod flows;
mod handshake;
mod limit;
mod monitors;
mod packets;
mod ports;
mod session;
mod shaping;
mod table_features;
mod table_rows;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use openflow::codec;
use openflow::msg::{Body, ErrorMsg, Message, Role};
use openflow::{OfError, OfPort, Version};
use wire::Time;

pub use config::{ControllerConfig, Timing};
use conn::Conn;
use ports::PortEntry;
pub use types::{
    Class, CloseReason, ConnId, ConnKind, ConnSettings, ConnStatus, LogLevel, LogLine, Out,
    PACKET_IN_DEPTH, PacketInSink, Port, QueuedPacketIn, Settings, SwitchOps,
};

/// The OpenFlow switch that controllers of one bridge talk to.
pub struct Agent {
    bridge: String,
    settings: Settings,
    conns: BTreeMap<ConnId, Conn>,
    /// Controllers that the switch calls, connected or not: what snoops can be shown.
    targets: BTreeSet<String>,
    ports: BTreeMap<OfPort, PortEntry>,
    /// Of the latest controller that became primary: older ones come too late.
    generation: Option<u64>,
    /// Fragment handling, as in [`openflow::msg::Config::flags`].
    fragments: u16,
    /// A miss goes to controllers.
    misses: bool,
    bundle_idle: Duration,
    /// Packets were sent that may not be on their way yet.
    packets_out: bool,
    /// Calls of [`Agent::run`] in which news of them may still come.
    packets_fresh: u8,
    /// Flows were changed that packets do not see yet.
    unseen: bool,
    out: VecDeque<Out>,
}

/// One request while it is handled.
#[derive(Clone, Copy)]
struct Request<'a> {
    now: Time,
    conn: ConnId,
    version: Version,
    xid: u32,
    /// As it came.
    frame: &'a [u8],
    ops: &'a dyn SwitchOps,
}

impl Agent {
    pub fn new(bridge: &str, settings: Settings) -> Agent {
        Agent {
            bridge: bridge.to_owned(),
            settings,
            conns: BTreeMap::new(),
            targets: BTreeSet::new(),
            ports: BTreeMap::new(),
            generation: None,
            fragments: 0,
            misses: false,
            bundle_idle: Agent::DEFAULT_BUNDLE_IDLE,
            packets_out: false,
            packets_fresh: 0,
            unseen: false,
            out: VecDeque::new(),
        }
    }

    /// Takes over what the bridge's row says now.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Names the controllers that the switch calls by itself, connected or not, as their
    /// connections are named ([`ConnSettings::name`]): a snoop is shown the best of them.
    pub fn set_targets(&mut self, names: BTreeSet<String>) {
        self.targets = names;
    }

    /// A socket is connected: the agent says hello.
    pub fn connect(&mut self, now: Time, id: ConnId, settings: ConnSettings, ops: &dyn SwitchOps) {
        let (kind, versions) = (settings.kind, settings.versions);
        self.conns.insert(id, Conn::new(now, settings));
        if kind == ConnKind::Snoop && !self.attach_snoop(id) {
            return;
        }
        self.say_hello(id, versions);
        self.update_misses(ops);
    }

    /// The connection's row changed; versions only matter to new connections.
    pub fn reconfigure(&mut self, now: Time, id: ConnId, settings: ConnSettings) {
        if let Some(c) = self.conns.get_mut(&id) {
            c.set_limits(now, &settings);
            c.settings = settings;
        }
    }

    /// The socket is gone. Nothing more comes out for it.
    pub fn disconnect(&mut self, now: Time, id: ConnId, ops: &dyn SwitchOps) {
        if let Some(mut c) = self.conns.remove(&id) {
            self.publish_tables(ops);
            self.report_flow_mods(now, &mut c);
            self.update_misses(ops);
        }
    }

    /// One whole message has arrived: as many octets as its header says, at least 8. To be called
    /// only while [`Agent::may_receive`]; one from a connection that is gone is dropped. After
    /// those that have come [`Agent::run`] is to be called: packets see changes of flows then, at
    /// the latest.
    pub fn receive(&mut self, now: Time, id: ConnId, frame: &[u8], ops: &dyn SwitchOps) {
        let Some(c) = self.conns.get(&id) else { return };
        match (c.state, c.settings.kind) {
            (conn::ConnState::Hello, _) => self.receive_hello(id, frame, ops),
            // What a snoop says is of no interest.
            (conn::ConnState::Up, ConnKind::Snoop) => {}
            (conn::ConnState::Up, ConnKind::Primary | ConnKind::Service) => {
                self.copy_to_snoops(id, frame);
                self.receive_message(now, id, frame, ops);
            }
        }
    }

    /// False: answers pile up, the socket shall not be read.
    pub fn may_receive(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_none_or(Conn::may_receive)
    }

    /// The socket has taken a message of [`Out::Send`], of `octets` octets.
    pub fn sent(&mut self, id: ConnId, class: Class, octets: usize) {
        if let Some(c) = self.conns.get_mut(&id) {
            c.sent(class, octets);
        }
    }

    /// Does what is due: flows that expire, monitors that may go on, bundles that nobody
    /// finishes, packets held back by a rate limit. To be called at the time it gives, after
    /// [`Agent::sent`], and after any change of the flow table that others make.
    pub fn run(&mut self, now: Time, ops: &dyn SwitchOps) -> Option<Time> {
        self.publish_tables(ops);
        let expiry = self.expire_flows(now, ops);
        self.resume_monitors(ops);
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            self.run_conn(now, id);
        }
        let again = self.run_barriers().then_some(now);
        let of_conns = self.conns.values().filter_map(Conn::deadline);
        of_conns.chain(expiry).chain(again).min()
    }

    fn run_conn(&mut self, now: Time, id: ConnId) {
        self.release_packets(now, id);
        self.expire_bundles(now, id);
        let Some(c) = self.conns.get_mut(&id) else { return };
        let late = c.assembler.expire(now);
        let report = c.flow_log.deadline().filter(|at| *at <= now);
        let report = report.and_then(|_| c.flow_log.report(now));
        if let Some(text) = report {
            let text = format!("{}: {text}", c.settings.name);
            self.log(LogLevel::Info, "connmgr", text, None);
        }
        for frame in late {
            self.send_error(id, OfError::BrcMultipartRequestTimeout, &frame, Class::Other);
        }
    }

    /// What came of a connection.
    pub fn status(&self, id: ConnId) -> Option<ConnStatus> {
        let c = self.conns.get(&id)?;
        let waiting = c.all_waiting();
        Some(ConnStatus { version: c.version(), role: c.role, kind: c.settings.kind, waiting })
    }

    /// Whether controllers are told of ports and packets by any connection at all.
    pub fn has_listeners(&self) -> bool {
        self.conns.values().any(Conn::is_up)
    }

    /// What is to be done, in order.
    pub fn outbox(&mut self) -> impl Iterator<Item = Out> + '_ {
        self.out.drain(..)
    }

    fn log(
        &mut self,
        level: LogLevel,
        module: &'static str,
        text: String,
        limit: Option<(u32, u32)>,
    ) {
        self.out.push_back(Out::Log(LogLine { level, module, text, limit }));
    }

    /// Puts one message into the outbox.
    fn push(&mut self, id: ConnId, class: Class, frame: Vec<u8>) {
        self.copy_to_snoops(id, &frame);
        if let Some(c) = self.conns.get_mut(&id) {
            c.queued(class, frame.len());
            self.out.push_back(Out::Send { conn: id, class, frame });
        }
    }

    /// Writes and sends a message in the way that the connection speaks.
    fn send(&mut self, id: ConnId, class: Class, xid: u32, body: Body) {
        let Some(c) = self.conns.get(&id) else { return };
        let message = Message::new(c.protocol.version, xid, body);
        match codec::encode(&message, c.protocol) {
            Ok(frames) => {
                for frame in frames {
                    self.push(id, class, frame);
                }
            }
            Err(e) => {
                let text = format!("{}: {e}", c.settings.name);
                self.log(LogLevel::Warn, "connmgr", text, Some((60, 5)));
            }
        }
    }

    /// Answers a request.
    fn reply(&mut self, r: &Request<'_>, body: Body) {
        let Some(c) = self.conns.get(&r.conn) else { return };
        let message = Message::new(r.version, r.xid, body);
        match codec::encode(&message, c.protocol) {
            Ok(frames) => {
                for frame in frames {
                    self.push(r.conn, Class::Reply, frame);
                }
            }
            Err(e) => {
                let text = format!("{}: {e}", c.settings.name);
                self.log(LogLevel::Warn, "connmgr", text, Some((60, 5)));
            }
        }
    }

    /// Answers a message with an error, in the message's own version as far as that is one.
    fn send_error(&mut self, id: ConnId, error: OfError, frame: &[u8], class: Class) {
        let Some(header) = codec::Header::peek(frame) else { return };
        let version = Version::from_wire(header.version).unwrap_or(Version::V10);
        let body = Body::Error(ErrorMsg::reply(error, frame));
        let protocol = openflow::Protocol::new(version);
        if let Ok(frames) = codec::encode(&Message::new(version, header.xid, body), protocol) {
            for frame in frames {
                self.push(id, class, frame);
            }
        }
    }

    /// Shows a message of a connection to the snoops that watch it.
    fn copy_to_snoops(&mut self, id: ConnId, frame: &[u8]) {
        let Some(c) = self.conns.get(&id) else { return };
        if c.settings.kind == ConnKind::Snoop {
            return;
        }
        let name = &c.settings.name;
        let watches = |s: &Conn| s.state == conn::ConnState::Up && s.watches.as_ref() == Some(name);
        let snoops: Vec<ConnId> =
            self.conns.iter().filter(|(_, s)| watches(s)).map(|(id, _)| *id).collect();
        for snoop in snoops {
            self.push(snoop, Class::Other, frame.to_vec());
        }
    }

    /// Finds a connection for a snoop to watch; without one it is closed.
    fn attach_snoop(&mut self, id: ConnId) -> bool {
        let rank = |name: &String| {
            let conn = self.conns.values().find(|c| c.is_up() && c.settings.name == *name);
            match conn.map(|c| c.role) {
                Some(Role::Primary) => 3,
                Some(Role::Equal) => 2,
                Some(Role::Secondary) => 1,
                Some(Role::NoChange) | None => 0,
            }
        };
        // Of equal ones the first by name.
        let best = self.targets.iter().rev().max_by_key(|n| rank(n)).cloned();
        let found = best.is_some();
        if found {
            if let Some(c) = self.conns.get_mut(&id) {
                c.watches = best;
            }
        } else {
            self.conns.remove(&id);
            let text = "no controller connection to snoop".to_owned();
            self.log(LogLevel::Info, "connmgr", text, Some((60, 5)));
            self.out.push_back(Out::Close { conn: id, reason: CloseReason::NothingToSnoop });
        }
        found
    }

    /// Tells the bridge whether anyone wants packets that no flow matches.
    fn update_misses(&mut self, ops: &dyn SwitchOps) {
        let misses = self.conns.values().any(Conn::wants_misses);
        if misses != self.misses {
            self.misses = misses;
            // The bridge is gone when this fails, and so are its packets.
            let _ = ops.ofproto().set_packet_in_on_miss(&self.bridge, misses);
        }
    }
}
