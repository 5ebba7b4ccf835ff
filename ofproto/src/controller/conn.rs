//! What the agent knows of one connection.

use std::collections::BTreeMap;

use openflow::msg::{PacketInFormat, Role};
use openflow::{Protocol, Version};
use wire::Time;

use super::assemble::Assembler;
use super::async_config::AsyncConfig;
use super::bundles::Bundle;
use super::flow_log::FlowLog;
use super::limit::Limiter;
use super::monitors::Monitors;
use super::types::{Class, ConnKind, ConnSettings};

/// Octets of a missed packet that a controller is sent unless it asks for another number.
pub(super) const MISS_SEND_LEN: u16 = 128;

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

/// The answer to a barrier that came after packets of controllers. What these packets make
/// controllers be sent is on its way through [`super::PacketInSink`] and belongs before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barrier {
    pub(super) version: Version,
    pub(super) xid: u32,
    /// Calls of [`super::Agent::run`] still to come before it is answered.
    pub(super) runs: u8,
}

pub(super) struct Conn {
    pub(super) settings: ConnSettings,
    pub(super) state: ConnState,
    /// Only meaningful once it is [`ConnState::Up`].
    pub(super) protocol: Protocol,
    pub(super) role: Role,
    pub(super) format: PacketInFormat,
    /// Of `controller` actions that are for it.
    pub(super) controller_id: u16,
    pub(super) miss_send_len: u16,
    /// What it wants to hear, once it has said so.
    pub(super) masks: Option<AsyncConfig>,
    backlog: BTreeMap<Class, Backlog>,
    pub(super) assembler: Assembler,
    pub(super) bundles: BTreeMap<u32, Bundle>,
    pub(super) monitors: Monitors,
    pub(super) flow_log: FlowLog,
    /// Of packets that an action sent, and of those that missed.
    pub(super) limiters: [Option<Limiter>; 2],
    /// A barrier that waits for packets, see [`Barrier`].
    pub(super) barrier: Option<Barrier>,
    /// Of a snoop: the name of the connection that it is shown.
    pub(super) watches: Option<String>,
}

impl Conn {
    pub(super) fn new(now: Time, settings: ConnSettings) -> Conn {
        let limiter = || Limiter::new(now, settings.rate_limit, settings.burst_limit);
        let limiters = [limiter(), limiter()];
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
            masks: None,
            backlog: BTreeMap::new(),
            assembler: Assembler::default(),
            bundles: BTreeMap::new(),
            monitors: Monitors::default(),
            flow_log: FlowLog::default(),
            limiters,
            barrier: None,
            watches: None,
            settings,
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        (self.state == ConnState::Up).then_some(self.protocol.version)
    }

    /// A peer that messages of the switch's own accord may go to.
    pub(super) fn is_up(&self) -> bool {
        self.state == ConnState::Up && self.settings.kind != ConnKind::Snoop
    }

    /// What it wants to hear: what it said, or the default of its version.
    pub(super) fn masks(&self) -> AsyncConfig {
        match self.masks {
            Some(m) => m,
            None if self.settings.async_messages && self.state == ConnState::Up => {
                AsyncConfig::default_for(self.protocol.version)
            }
            None => AsyncConfig::NOTHING,
        }
    }

    /// Whether it shall be told of something of this kind with this reason.
    pub(super) fn wants(&self, kind: super::async_config::AsyncKind, reason: u8) -> bool {
        // A tool hears of nothing before it sets a length for missed packets.
        let silent = self.settings.kind == ConnKind::Service && self.miss_send_len == 0;
        self.is_up() && !silent && self.masks().has(kind, self.role == Role::Secondary, reason)
    }

    /// Whether a miss in the first table shall be sent to controllers because of this one: those
    /// of 1.3 and later drop it unless a flow says otherwise (1.3 clause 5.4).
    pub(super) fn wants_misses(&self) -> bool {
        let old = self.state == ConnState::Hello || self.protocol.version < Version::V13;
        self.settings.kind != ConnKind::Snoop && self.controller_id == 0 && old
    }

    /// Another limit on packets; those that wait go on waiting.
    pub(super) fn set_limits(&mut self, now: Time, new: &ConnSettings) {
        let old = &self.settings;
        if (old.rate_limit, old.burst_limit) != (new.rate_limit, new.burst_limit) {
            for l in &mut self.limiters {
                let fresh = Limiter::new(now, new.rate_limit, new.burst_limit);
                *l = match (l.take(), fresh) {
                    (Some(old), Some(fresh)) => Some(fresh.with_queues_of(old)),
                    (_, fresh) => fresh,
                };
            }
        }
    }

    /// When there is something to do for it.
    pub(super) fn deadline(&self) -> Option<Time> {
        let of_limits = self.limiters.iter().flatten().filter_map(Limiter::deadline);
        let of_bundles = self.bundles.values().map(Bundle::deadline);
        let others = [self.assembler.deadline(), self.flow_log.deadline()];
        of_limits.chain(of_bundles).chain(others.into_iter().flatten()).min()
    }

    pub(super) fn backlog(&self, class: Class) -> Backlog {
        self.backlog.get(&class).copied().unwrap_or_default()
    }

    pub(super) fn all_waiting(&self) -> usize {
        self.backlog.values().map(|b| b.frames).sum()
    }

    pub(super) fn queued(&mut self, class: Class, octets: usize) {
        let b = self.backlog.entry(class).or_default();
        b.frames += 1;
        b.octets += octets;
    }

    pub(super) fn sent(&mut self, class: Class, octets: usize) {
        let b = self.backlog.entry(class).or_default();
        b.frames = b.frames.saturating_sub(1);
        b.octets = b.octets.saturating_sub(octets);
    }

    pub(super) fn may_receive(&self) -> bool {
        self.barrier.is_none() && self.backlog(Class::Reply).frames < MAX_REPLIES
    }
}
