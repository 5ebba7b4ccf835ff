//! The switch side of OpenFlow connections, without sockets and clocks.
//!
//! One [`Agent`] serves all connections of one bridge. Whoever owns the sockets cuts the stream
//! into messages and hands each to [`Agent::receive`]; what is to be sent, closed and logged
//! comes out of [`Agent::outbox`], which is to be emptied after every call:
//!
//! ```text
//!   socket ── message ──▶ receive ──▶ bridge's flow table, ports, packets (Host, Switch)
//!     ▲                      │
//!     └──── Out::Send ◀── outbox ◀── set_ports, packet_in, run
//! ```

mod types;

use std::collections::{BTreeMap, VecDeque};

use wire::Time;

pub use types::{
    Class, CloseReason, ConnId, ConnKind, ConnSettings, ConnStatus, Host, Level, LogLine, Out,
    PACKET_IN_DEPTH, PacketInSink, Port, Settings, ToControllers,
};

/// The OpenFlow switch that controllers of one bridge talk to.
pub struct Agent {
    bridge: String,
    settings: Settings,
    conns: BTreeMap<ConnId, ConnSettings>,
    out: VecDeque<Out>,
}

impl Agent {
    pub fn new(bridge: &str, settings: Settings) -> Agent {
        Agent { bridge: bridge.to_owned(), settings, conns: BTreeMap::new(), out: VecDeque::new() }
    }

    /// Takes over what the bridge's row says now.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// A socket is connected: the agent says hello.
    pub fn connect(&mut self, _now: Time, conn: ConnId, settings: ConnSettings) {
        self.conns.insert(conn, settings);
    }

    /// The connection's row changed; versions only matter to new connections.
    pub fn reconfigure(&mut self, conn: ConnId, settings: ConnSettings) {
        self.conns.insert(conn, settings);
    }

    /// The socket is gone. Nothing more comes out for it.
    pub fn disconnect(&mut self, _now: Time, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// One whole message has arrived: as many octets as its header says, at least 8. To be called
    /// only while [`Agent::may_receive`].
    pub fn receive(&mut self, _now: Time, _conn: ConnId, _frame: &[u8], _host: &dyn Host) {}

    /// False: answers pile up, the socket shall not be read.
    pub fn may_receive(&self, _conn: ConnId) -> bool {
        true
    }

    /// The socket has taken a message of [`Out::Send`], of `octets` octets.
    pub fn sent(&mut self, _conn: ConnId, _class: Class, _octets: usize) {}

    /// All ports of the bridge as they are now; differences are told to controllers.
    pub fn set_ports(&mut self, _now: Time, _ports: Vec<Port>, _host: &dyn Host) {}

    /// A packet for the controllers.
    pub fn packet_in(&mut self, _now: Time, _packet: ToControllers) {}

    /// Does what is due (flows that expire, bundles that nobody finishes, packets held back by a
    /// rate limit); when to call again.
    pub fn run(&mut self, _now: Time, _host: &dyn Host) -> Option<Time> {
        None
    }

    /// Removes all flows, groups and meters, as a change of the set of controllers does. With `normal` the flow that
    /// makes a learning switch is put in their place.
    pub fn flush(&mut self, _now: Time, _normal: bool, _host: &dyn Host) {}

    /// What came of a connection.
    pub fn status(&self, _conn: ConnId) -> Option<ConnStatus> {
        None
    }

    /// What is to be done, in order.
    pub fn outbox(&mut self) -> impl Iterator<Item = Out> + '_ {
        self.out.drain(..)
    }
}
