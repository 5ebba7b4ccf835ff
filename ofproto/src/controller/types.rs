//! What the agent and the sockets, ports and packets around it say to each other.

use openflow::msg::PortStats;
use openflow::{OfPort, VersionSet};
use wire::{EthAddr, Time};

use crate::Ofproto;
pub use crate::ids::ConnId;
pub use crate::packet_in::{PACKET_IN_DEPTH, PacketInSink, QueuedPacketIn};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnKind {
    /// A controller that the bridge was given. It gets asynchronous messages.
    Primary,
    /// A tool (`BRIDGE.mgmt`, a passive listener). It gets asynchronous messages once it has set a
    /// length for missed packets that is not zero.
    Service,
    /// It is shown what goes over another connection.
    Snoop,
}

/// How a connection is to be treated; from the `Controller` row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnSettings {
    /// What it is for.
    pub kind: ConnKind,
    /// As logs name it: `BRIDGE<->TARGET`, such as `br0<->unix#3` or `br0<->tcp:127.0.0.1:6653`.
    pub name: String,
    /// `Bridge.protocols`; all versions when that is empty.
    pub versions: VersionSet,
    /// `Controller.enable_async_messages`: without it a controller that has not said what it
    /// wants gets none.
    pub async_messages: bool,
    /// `Controller.controller_rate_limit`, packets in a second of each of the two kinds (missed,
    /// sent by an action); 0: as many as there are.
    pub rate_limit: u32,
    /// `Controller.controller_burst_limit`, packets; at least a quarter of a second's.
    pub burst_limit: u32,
    /// `Controller.other_config:controller-queue-size`: packets for the controller that may wait
    /// for its socket. 1 to 512.
    pub queue_size: usize,
    /// The peer called us (or is a snoop of its own): it may be shown to snoops only when false.
    /// Open vSwitch shows connections that the switch itself makes.
    pub active: bool,
}

impl ConnSettings {
    /// The database's defaults.
    pub fn new(kind: ConnKind, name: &str) -> ConnSettings {
        ConnSettings {
            kind,
            name: name.to_owned(),
            versions: VersionSet::ALL,
            async_messages: true,
            rate_limit: 0,
            burst_limit: 0,
            queue_size: 100,
            active: kind == ConnKind::Primary,
        }
    }
}

/// Of which kind a message to a peer is: what may wait is counted for each on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An answer. With a hundred of them waiting, nothing more is read from the connection.
    Reply,
    /// A packet: dropped when too many wait.
    PacketIn,
    /// News of flows: paused when more than 128 kB wait.
    Monitor,
    /// Anything else.
    Other,
}

/// Why a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// No common version, or something else before the peer's hello. As a system error `EPROTO`.
    Protocol,
    /// There is no connection that the snoop could be shown.
    NothingToSnoop,
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Err,
    /// Something is wrong.
    Warn,
    /// Something happened.
    Info,
    /// For debugging.
    Dbg,
}

/// A line for the log; lines of the same `limit` share a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level.
    pub level: LogLevel,
    /// Open vSwitch's name of the module that would say it.
    pub module: &'static str,
    /// Its text.
    pub text: String,
    /// Lines in a minute that are let through, and at once; `None`: all.
    pub limit: Option<(u32, u32)>,
}

/// What the agent wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Send one message. Once the socket has taken it, [`super::Agent::sent`] is to be called with
    /// the same class and length.
    Send {
        /// The connection to send on.
        conn: ConnId,
        /// What counts as waiting, until the socket has taken it.
        class: Class,
        /// The message as it goes on the wire.
        frame: Vec<u8>,
    },
    /// Send what was asked for so far, then close. The agent has forgotten the connection.
    Close {
        /// The connection to close.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// The connection agreed on a version, or its role changed: rows of the database may follow.
    Status(ConnId),
    /// Log a line.
    Log(LogLine),
}

/// What a connection has come to; for `Controller.status` and `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnStatus {
    /// `None` until the hellos are exchanged.
    pub version: Option<openflow::Version>,
    /// Its role.
    pub role: openflow::msg::Role,
    /// What it is for.
    pub kind: ConnKind,
    /// Messages that the socket has not taken yet.
    pub waiting: usize,
}

/// Who the switch says it is; from the `Bridge` row and the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The datapath identity that controllers are told.
    pub datapath_id: u64,
    /// `other_config:mfr-desc` and so on; the daemon's own words when not set.
    pub manufacturer: String,
    /// `other_config:hw-desc`.
    pub hardware: String,
    /// `other_config:sw-desc`.
    pub software: String,
    /// `other_config:serial-desc`.
    pub serial: String,
    /// `other_config:dp-desc`.
    pub datapath: String,
}

impl Settings {
    /// What a bridge says when nothing is configured. `software` is the daemon's version.
    pub fn new(datapath_id: u64, software: &str) -> Settings {
        Settings {
            datapath_id,
            manufacturer: "Nicira, Inc.".to_owned(),
            hardware: "Open vSwitch".to_owned(),
            software: software.to_owned(),
            serial: "None".to_owned(),
            datapath: "None".to_owned(),
        }
    }
}

/// A port of the bridge, as the links know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub of_port: OfPort,
    /// Its name.
    pub name: String,
    /// The device's address.
    pub hw_addr: EthAddr,
    /// The device is up as the administrator wants it (not `PORT_DOWN`).
    pub admin_up: bool,
    /// There is a carrier (not `LINK_DOWN`).
    pub link_up: bool,
    /// It may carry traffic now (`LIVE`): carrier, and LACP, BFD, CFM and bond say so.
    pub live: bool,
    /// Spanning tree's bits of [`openflow::msg::state`]; 0 without it.
    pub stp: u32,
    /// Bits of [`openflow::msg::features`].
    pub curr: u32,
    /// What it advertises, in these bits.
    pub advertised: u32,
    /// What it could do, in these bits.
    pub supported: u32,
    /// What its peer advertises, in these bits.
    pub peer: u32,
    /// kbit/s.
    pub curr_speed: u32,
    /// The highest speed, kbit/s.
    pub max_speed: u32,
    /// Since when the port exists.
    pub created: Time,
}

impl Port {
    /// A port that is up, of a device without known features.
    pub fn new(of_port: OfPort, name: &str, hw_addr: EthAddr, created: Time) -> Port {
        Port {
            of_port,
            name: name.to_owned(),
            hw_addr,
            admin_up: true,
            link_up: true,
            live: true,
            stp: 0,
            curr: 0,
            advertised: 0,
            supported: 0,
            peer: 0,
            curr_speed: 0,
            max_speed: 0,
            created,
        }
    }
}

/// What the agent asks of the daemon while it handles a message.
pub trait SwitchOps {
    /// The switch whose bridge it is.
    fn ofproto(&self) -> &Ofproto;

    /// A port's counters now; `None`: no such port. The agent fills in port and duration.
    fn port_counters(&self, port: OfPort) -> Option<PortStats>;

    /// Brings a port's device up or down. False: it could not. The agent takes the port for
    /// changed when it could; the next [`super::Agent::set_ports`] should say the same.
    fn set_admin(&self, port: OfPort, up: bool) -> bool;

    /// The numbers of a port's queues, in order; a device without quality of service has none.
    fn queues(&self, _port: OfPort) -> Vec<u32> {
        Vec::new()
    }

    /// Tells a port's device what to advertise (bits of [`openflow::msg::features`]); true: it did.
    fn advertise(&self, _port: OfPort, _features: u32) -> bool {
        false
    }
}
