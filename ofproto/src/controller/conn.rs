//! One OpenFlow connection: version, role, asynchronous messages, backlog.

use std::collections::BTreeMap;
use std::time::Duration;

use openflow::msg::{PacketInFormat, Role};
use openflow::{Protocol, Version, VersionSet};
use wire::Time;

use super::assemble::Assembler;
use super::async_config::{AsyncConfig, AsyncKind};
use super::bundle_store::BundleStore;
use super::flow_log::FlowLog;
use super::monitor_set::MonitorSet;
use super::packet_shaper::PacketShaper;
use super::types::{Class, ConnKind, ConnSettings, ConnStatus};

/// Octets of a missed packet that a controller is sent unless it asks for another number.
const MISS_SEND_LEN: u16 = 128;

/// Answers that may wait for the socket before nothing more is read.
const MAX_REPLIES: usize = 100;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnState {
    /// Our hello is on its way, the peer's is not here.
    Hello,
    /// Both agreed.
    Up,
}

/// Messages that the socket has not taken yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backlog {
    pub(super) frames: usize,
    pub(super) octets: usize,
}

/// The reply to a barrier that came after packet-outs. The packet-ins that these cause are on their
/// way through [`super::PacketInSink`] and belong before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barrier {
    pub(super) version: Version,
    pub(super) xid: u32,
    /// Calls of [`super::Agent::run`] still to come before it is sent.
    runs: u8,
}

impl Barrier {
    /// A barrier that is answered by the `runs`th call of [`super::Agent::run`].
    pub(super) fn new(version: Version, xid: u32, runs: u8) -> Barrier {
        Barrier { version, xid, runs }
    }
}

/// See the module.
pub(super) struct Conn {
    settings: ConnSettings,
    state: ConnState,
    /// Only meaningful once it is [`ConnState::Up`].
    protocol: Protocol,
    role: Role,
    format: PacketInFormat,
    controller_id: u16,
    miss_send_len: u16,
    /// The asynchronous messages that it asked for, if it did.
    async_config: Option<AsyncConfig>,
    backlog: BTreeMap<Class, Backlog>,
    /// A barrier that waits for packet-ins.
    barrier: Option<Barrier>,
    /// Of a snoop: the name of the connection that it is shown.
    watches: Option<String>,
    pub(super) assembler: Assembler,
    pub(super) bundles: BundleStore,
    pub(super) monitors: MonitorSet,
    pub(super) flow_log: FlowLog,
    pub(super) packets: PacketShaper,
}

impl Conn {
    /// A connection before any message. `bundle_idle`: how long bundles are kept that are not used.
    pub(super) fn new(now: Time, settings: ConnSettings, bundle_idle: Duration) -> Conn {
        Conn {
            state: ConnState::Hello,
            protocol: Protocol::new(Version::V10),
            role: Role::Equal,
            format: PacketInFormat::Standard,
            controller_id: 0,
            miss_send_len: match settings.kind {
                ConnKind::Primary => MISS_SEND_LEN,
                ConnKind::Service | ConnKind::Snoop => 0,
            },
            async_config: None,
            backlog: BTreeMap::new(),
            barrier: None,
            watches: None,
            assembler: Assembler::default(),
            bundles: BundleStore::new(bundle_idle),
            monitors: MonitorSet::default(),
            flow_log: FlowLog::default(),
            packets: PacketShaper::new(now, &settings),
            settings,
        }
    }

    /// Its name in the log.
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// What it is for.
    pub(super) fn kind(&self) -> ConnKind {
        self.settings.kind
    }

    /// The versions that it may speak.
    pub(super) fn versions(&self) -> VersionSet {
        self.settings.versions
    }

    /// Takes other settings; packet-ins that wait go on waiting.
    pub(super) fn configure(&mut self, now: Time, new: ConnSettings) {
        let limits = |s: &ConnSettings| (s.rate_limit, s.burst_limit);
        if limits(&self.settings) != limits(&new) {
            self.packets.set_limits(now, &new);
        }
        self.settings = new;
    }

    /// How far it has come.
    pub(super) fn state(&self) -> ConnState {
        self.state
    }

    /// Both agreed on a version.
    pub(super) fn agree(&mut self, version: Version) {
        self.state = ConnState::Up;
        self.protocol = Protocol::new(version);
    }

    /// How messages are written. Only meaningful once it is up.
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The version spoken. Only meaningful once it is up.
    pub(super) fn version(&self) -> Version {
        self.protocol.version
    }

    /// Whether flows are shown in Nicira's form, which only 1.0 has beside its own.
    pub(super) fn shows_nxm(&self) -> bool {
        self.protocol.version == Version::V10 && self.protocol.nxm
    }

    /// Chooses Nicira's form of flows.
    pub(super) fn set_nxm(&mut self, on: bool) {
        self.protocol.nxm = on;
    }

    /// Chooses flow_mods with a table's number; versions later than 1.0 always have it.
    pub(super) fn set_table_id(&mut self, on: bool) {
        self.protocol.table_id = on && self.protocol.version == Version::V10;
    }

    /// What came of it.
    pub(super) fn status(&self) -> ConnStatus {
        ConnStatus {
            version: (self.state == ConnState::Up).then_some(self.protocol.version),
            role: self.role,
            kind: self.settings.kind,
            waiting: self.backlog.values().map(|b| b.frames).sum(),
        }
    }

    /// Its role.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Takes another role. True: it had another one.
    pub(super) fn set_role(&mut self, role: Role) -> bool {
        std::mem::replace(&mut self.role, role) != role
    }

    /// Whether it may change what concerns the whole switch.
    pub(super) fn may_configure(&self) -> bool {
        self.settings.kind != ConnKind::Primary || self.role != Role::Secondary
    }

    /// Whether messages of the switch's own accord may go to it.
    pub(super) fn is_up(&self) -> bool {
        self.state == ConnState::Up && self.settings.kind != ConnKind::Snoop
    }

    /// Whether it is shown what goes over the connection of this name.
    pub(super) fn is_shown(&self, name: &str) -> bool {
        self.state == ConnState::Up && self.watches.as_deref() == Some(name)
    }

    /// As a snoop it is shown what goes over the connection of this name.
    pub(super) fn watch(&mut self, name: String) {
        self.watches = Some(name);
    }

    /// The asynchronous messages that it wants: those it asked for, or the default of its version.
    pub(super) fn async_config(&self) -> AsyncConfig {
        match self.async_config {
            Some(m) => m,
            None if self.settings.async_messages && self.state == ConnState::Up => {
                AsyncConfig::default_for(self.protocol.version)
            }
            None => AsyncConfig::NOTHING,
        }
    }

    /// It asks for asynchronous messages.
    pub(super) fn set_async_config(&mut self, config: AsyncConfig) {
        self.async_config = Some(config);
    }

    /// A tool that asks for asynchronous messages gets missed packets, too.
    pub(super) fn set_default_miss_len(&mut self) {
        if self.settings.kind == ConnKind::Service && self.miss_send_len == 0 {
            self.miss_send_len = MISS_SEND_LEN;
        }
    }

    /// Octets of a missed packet that it is sent.
    pub(super) fn miss_send_len(&self) -> u16 {
        self.miss_send_len
    }

    /// It says how many octets of a missed packet it is sent.
    pub(super) fn set_miss_send_len(&mut self, len: u16) {
        self.miss_send_len = len;
    }

    /// Whether it gets asynchronous messages of this kind with this reason.
    pub(super) fn wants(&self, kind: AsyncKind, reason: u8) -> bool {
        // A tool gets none before it sets a length for missed packets.
        let silent = self.settings.kind == ConnKind::Service && self.miss_send_len == 0;
        self.is_up()
            && !silent
            && self.async_config().has(kind, self.role == Role::Secondary, reason)
    }

    /// Whether it is sent packet-ins for this controller identity with this reason.
    pub(super) fn wants_packet(&self, controller_id: u16, reason: u8) -> bool {
        self.controller_id == controller_id && self.wants(AsyncKind::PacketIn, reason)
    }

    /// The identity that `controller` actions name it by.
    pub(super) fn set_controller_id(&mut self, id: u16) {
        self.controller_id = id;
    }

    /// The form of its packet-ins.
    pub(super) fn packet_in_format(&self) -> PacketInFormat {
        self.format
    }

    /// It chooses the form of its packet-ins.
    pub(super) fn set_packet_in_format(&mut self, format: PacketInFormat) {
        self.format = format;
    }

    /// Whether no more packet-ins may wait for its socket.
    pub(super) fn packet_queue_is_full(&self) -> bool {
        self.backlog(Class::PacketIn).frames >= self.settings.queue_size
    }

    /// Whether a miss in the first table is sent to controllers because of this one: those of 1.3
    /// and later drop it unless a flow says otherwise (1.3 clause 5.4).
    pub(super) fn wants_misses(&self) -> bool {
        let old = self.state == ConnState::Hello || self.protocol.version < Version::V13;
        self.settings.kind != ConnKind::Snoop && self.controller_id == 0 && old
    }

    /// When there is something to do for it.
    pub(super) fn deadline(&self) -> Option<Time> {
        let all = [
            self.packets.deadline(),
            self.bundles.deadline(),
            self.assembler.deadline(),
            self.flow_log.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    /// The messages of a class that the socket has not taken yet.
    pub(super) fn backlog(&self, class: Class) -> Backlog {
        self.backlog.get(&class).copied().unwrap_or_default()
    }

    /// A message was handed to the socket.
    pub(super) fn queued(&mut self, class: Class, octets: usize) {
        let b = self.backlog.entry(class).or_default();
        b.frames += 1;
        b.octets += octets;
    }

    /// The socket has taken a message.
    pub(super) fn sent(&mut self, class: Class, octets: usize) {
        let b = self.backlog.entry(class).or_default();
        b.frames = b.frames.saturating_sub(1);
        b.octets = b.octets.saturating_sub(octets);
    }

    /// Whether its socket shall be read: no barrier is open, and few answers wait.
    pub(super) fn may_receive(&self) -> bool {
        self.barrier.is_none() && self.backlog(Class::Reply).frames < MAX_REPLIES
    }

    /// Nothing is read until a barrier is answered.
    pub(super) fn wait_for(&mut self, barrier: Barrier) {
        self.barrier = Some(barrier);
    }

    /// The agent runs. `None`: no barrier waits; else the barrier, if it is due.
    pub(super) fn run_barrier(&mut self) -> Option<Option<Barrier>> {
        let b = self.barrier.as_mut()?;
        b.runs -= 1;
        Some(if b.runs == 0 { self.barrier.take() } else { None })
    }
}
