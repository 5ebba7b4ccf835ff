//! What comes out of one call of the engine, collected and then put into order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use wire::EthAddr;

use crate::config::MemberId;
use crate::effect::{Effect, RevalidateReason};
use crate::forwarding::Forwarding;
use crate::notice::{Level, Notice, Topic};

/// The effects of one call: traffic first, then the partners, then those who like to know.
#[derive(Debug, Default)]
pub(crate) struct PendingEffects {
    pub(crate) publish: Option<Arc<Forwarding>>,
    /// LACP has had its event, one that judges no partner's silence.
    pub(crate) lacp_has_run: bool,
    /// LACPDUs.
    pub(crate) pdus: Vec<Effect>,
    /// Traffic moved to another member, or may have.
    pub(crate) learning: bool,
    pub(crate) persist: Option<EthAddr>,
    /// `LacpCurrent`.
    pub(crate) lacp_current: Vec<Effect>,
    /// Members whose speed is to be asked for.
    pub(crate) query: BTreeSet<MemberId>,
    /// LACPDUs of our own that came in: by which member, from which port.
    pub(crate) loopback: BTreeSet<(MemberId, u16)>,
    revalidate: BTreeSet<RevalidateReason>,
    notices: Vec<Notice>,
}

impl PendingEffects {
    pub(crate) fn revalidate(&mut self, reason: RevalidateReason) {
        self.revalidate.insert(reason);
    }

    pub(crate) fn log(&mut self, topic: Topic, level: Level, text: String) {
        self.notices.push(Notice { module: "bond", topic, level, text });
    }

    /// Sorts in what LACP asks for.
    pub(crate) fn lacp(&mut self, effect: Effect) {
        match effect {
            Effect::SendLacpdu { .. } => self.pdus.push(effect),
            Effect::LacpCurrent { .. } => self.lacp_current.push(effect),
            Effect::Revalidate(reason) => self.revalidate(reason),
            Effect::Notice(notice) => self.notices.push(notice),
            Effect::Publish(table) => self.publish = Some(table),
            Effect::SendLearningPackets => self.learning = true,
            Effect::PersistActiveMember(mac) => self.persist = Some(mac),
            Effect::Loopback { member, port } => _ = self.loopback.insert((member, port)),
            Effect::QueryLink { member } => _ = self.query.insert(member),
        }
    }

    /// Appends everything to `out`, in the order in which it is to be done.
    pub(crate) fn finish(self, out: &mut VecDeque<Effect>) {
        out.extend(self.publish.map(Effect::Publish));
        out.extend(self.pdus);
        out.extend(self.learning.then_some(Effect::SendLearningPackets));
        out.extend(self.persist.map(Effect::PersistActiveMember));
        out.extend(self.lacp_current);
        out.extend(self.revalidate.into_iter().map(Effect::Revalidate));
        let loopback = |(member, port)| Effect::Loopback { member, port };
        out.extend(self.loopback.into_iter().map(loopback));
        out.extend(self.query.into_iter().map(|member| Effect::QueryLink { member }));
        out.extend(self.notices.into_iter().map(Effect::Notice));
    }
}
