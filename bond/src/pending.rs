//! The effects of one call of the engine, collected and then sorted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use wire::EthAddr;

use crate::config::MemberId;
use crate::effect::{Effect, RevalidateReason};
use crate::forwarding::Forwarding;
use crate::notice::{Level, Notice, Topic};
use crate::notify::NotifyPackets;

/// The effects of one call. [`PendingEffects::finish`] emits them in order: first what moves
/// traffic, then what peers have to receive, then reports.
#[derive(Debug, Default)]
pub(crate) struct PendingEffects {
    pub(crate) publish: Option<Arc<Forwarding>>,
    /// LACP has handled an LACPDU in this call; it then gets no `Deadline`, which would expire
    /// partners.
    pub(crate) lacp_has_run: bool,
    /// LACPDUs and Marker PDUs.
    pub(crate) pdus: Vec<Effect>,
    /// Probes.
    pub(crate) probes: Vec<Effect>,
    /// Traffic has, or may have, moved to another member: peers are to be notified.
    pub(crate) moved: bool,
    pub(crate) notify: Option<NotifyPackets>,
    pub(crate) persist: Option<EthAddr>,
    /// `LacpCurrent`.
    pub(crate) lacp_current: Vec<Effect>,
    /// Members whose speed to query.
    pub(crate) query: BTreeSet<MemberId>,
    /// LACPDUs of our own system that were received: the member, and the sender's port number.
    pub(crate) loopback: BTreeSet<(MemberId, u16)>,
    revalidate: BTreeSet<RevalidateReason>,
    notices: Vec<Notice>,
}

impl PendingEffects {
    pub(crate) fn revalidate(&mut self, reason: RevalidateReason) {
        self.revalidate.insert(reason);
    }

    pub(crate) fn log(&mut self, topic: Topic, level: Level, text: String) {
        self.notices.push(Notice { module: "bond", topic, level, member: None, text });
    }

    /// [`PendingEffects::log`] about a member.
    pub(crate) fn log_member(&mut self, topic: Topic, level: Level, member: &str, text: String) {
        let member = Some(member.to_owned());
        self.notices.push(Notice { module: "bond", topic, level, member, text });
    }

    /// Adds an effect of LACP.
    pub(crate) fn lacp(&mut self, effect: Effect) {
        match effect {
            Effect::SendLacpdu { .. } | Effect::SendMarker { .. } => self.pdus.push(effect),
            Effect::SendProbe { .. } => self.probes.push(effect),
            Effect::LacpCurrent { .. } => self.lacp_current.push(effect),
            Effect::Revalidate(reason) => self.revalidate(reason),
            Effect::Notice(notice) => self.notices.push(notice),
            Effect::Publish(table) => self.publish = Some(table),
            Effect::NotifyPeers(_) => self.moved = true,
            Effect::PersistActiveMember(mac) => self.persist = Some(mac),
            Effect::Loopback { member, port } => _ = self.loopback.insert((member, port)),
            Effect::QueryLink { member } => _ = self.query.insert(member),
        }
    }

    /// Appends the effects to `out` in the order in which they are to be carried out.
    pub(crate) fn finish(self, out: &mut VecDeque<Effect>) {
        out.extend(self.publish.map(Effect::Publish));
        out.extend(self.pdus);
        out.extend(self.probes);
        out.extend(self.notify.map(Effect::NotifyPeers));
        out.extend(self.persist.map(Effect::PersistActiveMember));
        out.extend(self.lacp_current);
        out.extend(self.revalidate.into_iter().map(Effect::Revalidate));
        let loopback = |(member, port)| Effect::Loopback { member, port };
        out.extend(self.loopback.into_iter().map(loopback));
        out.extend(self.query.into_iter().map(|member| Effect::QueryLink { member }));
        out.extend(self.notices.into_iter().map(Effect::Notice));
    }
}
