//! LACP, IEEE 802.1AX-2014 clause 6, with the timing and the choices of Open vSwitch.
//!
//! [`Lacp`] runs LACP for a bond, or for a port of one interface. Each state machine is a module;
//! [`Lacp`] connects them:
//!
//! ```text
//!   LACPDU, link, time                                     LACPDU out
//!          |                                                   ^
//!          v                                                   |
//!     +---------+  partner  +-----------+   +-----+  actor +----------+
//!     | receive | --------> | selection |-->| mux |------> | transmit |
//!     +---------+           +-----------+   +-----+        +----------+
//!                                              |                ^
//!                                         may_enable            |
//!                                                         +----------+
//!                                                         | periodic |
//!                                                         +----------+
//! ```

pub mod churn;
mod marker;
mod member;
pub mod mux;
pub mod periodic;
pub mod receive;
mod rx;
pub mod selection;
mod settings;
mod stats;
pub mod status;
pub mod transmit;

use std::collections::{BTreeSet, VecDeque};

use wire::Time;
use wire::lacp::{PortInfo, state};

use crate::config::{LacpTime, MemberId};
use crate::effect::{Effect, RevalidateReason};
use crate::notice::{Level, Notice, Topic};
use member::Member;
use periodic::Periodic;
use receive::Receive;
use selection::LagId;

pub use settings::{MemberSettings, Settings};
pub use stats::Stats;

/// An input of the machines.
#[derive(Clone, Debug)]
pub enum Event {
    /// New settings; members whose settings did not change keep their state.
    Configure(Box<Settings>),
    /// The link went up or down. A member's link is down until the first one arrives.
    Carrier {
        /// The member whose link it is.
        member: MemberId,
        /// Whether the link is up.
        up: bool,
    },
    /// A Slow Protocols frame was received. This event expires no partner; only `Deadline` does, so
    /// that a late driver can first hand over all received LACPDUs.
    Lacpdu {
        /// The member that received it.
        member: MemberId,
        /// The payload from the subtype octet on, not validated.
        pdu: Vec<u8>,
    },
    /// How fast the link is, for `lacp-selection`.
    Speed {
        /// The member whose link it is.
        member: MemberId,
        /// Megabits per second; 0 = not known.
        mbps: u64,
    },
    /// The time of [`Lacp::next_deadline`] has come.
    Deadline,
}

/// LACP on one port. It is driven like a [`crate::Bond`]: handle an event, drain the effects, call
/// again at the deadline.
///
/// The effects are `SendLacpdu`, `SendMarker`, `LacpCurrent`, `Revalidate(LacpStatus)` and `Notice`.
#[derive(Clone, Debug)]
pub struct Lacp {
    settings: Settings,
    members: Vec<Member>,
    /// The member whose key is the aggregate's.
    key_member: Option<MemberId>,
    /// The aggregate's key while it is the port number of a member that was removed. A new key
    /// would make the partner detach the other members until the removed one times out.
    inherited_key: Option<u16>,
    /// The partner of the aggregate; `None` = no member has one.
    lag: Option<LagId>,
    effects: VecDeque<Effect>,
}

impl Lacp {
    /// LACP on a port with `settings`, whose members have no partner and no carrier yet.
    pub fn new(now: Time, settings: Settings) -> Lacp {
        let mut lacp = Lacp {
            settings: Settings { members: Vec::new(), ..settings.clone() },
            members: Vec::new(),
            key_member: None,
            inherited_key: None,
            lag: None,
            effects: VecDeque::new(),
        };
        lacp.handle(now, Event::Configure(Box::new(settings)));
        lacp
    }

    /// Handles an event that happened at `now`, which never decreases, and what is due by `now`.
    pub fn handle(&mut self, now: Time, event: Event) {
        let select = match event {
            Event::Configure(settings) => self.configure(now, *settings) | self.expire(now),
            Event::Carrier { member, up } => self.set_carrier(now, member, up) | self.expire(now),
            // No expiry here: other members' PDUs of the same time may follow this one.
            Event::Lacpdu { member, pdu } => self.lacpdu(now, member, &pdu),
            Event::Speed { member, mbps } => {
                if let Some(m) = self.find_mut(member) {
                    m.mbps = mbps;
                }
                self.expire(now)
            }
            Event::Deadline => self.expire(now),
        };
        let own = self.settings.config.system_id;
        let policy = self.settings.config.aggregation.selection;
        let ports = self.candidates();
        if select
            || selection::is_stranded(own, &ports)
            || selection::is_outdone(own, policy, self.lag, &ports)
        {
            self.select();
        }
        self.run_mux();
        self.run_churn(now);
        self.transmit(now);
        self.report_current();
    }

    /// The next effect, in the order of execution; `None` = all have been taken.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        self.members
            .iter()
            .flat_map(|m| {
                let churn = [&m.actor_churn, &m.partner_churn].map(|w| w.churn.deadline());
                [m.receive.deadline(), m.periodic.deadline(), m.transmit.deadline()]
                    .into_iter()
                    .chain(churn)
            })
            .flatten()
            .min()
    }

    /// True while the aggregate has a partner, which may be expired.
    pub fn negotiated(&self) -> bool {
        self.lag.is_some()
    }

    /// True if LACP lets the member carry traffic; false if there is no such member.
    pub fn may_enable(&self, member: MemberId) -> bool {
        self.find(member).is_some_and(|m| m.mux.distributes())
    }

    /// True if the member may receive traffic, if not send it; false if there is no such member.
    pub fn may_collect(&self, member: MemberId) -> bool {
        self.find(member).is_some_and(|m| m.mux.collects())
    }

    /// True if the member knows a partner, which may be expired; false if there is no such member.
    pub fn is_current(&self, member: MemberId) -> bool {
        self.find(member).is_some_and(Member::is_current)
    }

    fn find(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.settings.id == id)
    }

    fn find_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.settings.id == id)
    }

    /// The bond works as active-backup while there is no partner.
    fn falls_back(&self) -> bool {
        self.settings.fallback_ab && !self.settings.config.aggregation.strict
    }

    fn configure(&mut self, now: Time, new: Settings) -> bool {
        let key = self.key();
        let mut select = new.config.system_id != self.settings.config.system_id
            || new.config.system_priority != self.settings.config.system_priority
            || new.config.aggregation != self.settings.config.aggregation
            || new.fallback_ab != self.settings.fallback_ab;
        self.settings = Settings { members: Vec::new(), ..new };

        let mut wanted = new.members;
        let mut seen = BTreeSet::new();
        wanted.retain(|m| seen.insert(m.id));
        let mut old = std::mem::take(&mut self.members);
        for gone in old.extract_if(.., |m| !seen.contains(&m.settings.id)) {
            select = true;
            self.effects.push_back(Effect::LacpCurrent { member: gone.settings.id, current: None });
        }

        let speaking = self.settings.config.active || self.negotiated();
        let mut used: BTreeSet<u16> = wanted.iter().map(|m| m.config.port_id).collect();
        let keep: Vec<u16> =
            old.iter().filter(|m| m.settings.config.port_id == 0).map(|m| m.port_id).collect();
        used.extend(keep);
        for settings in wanted {
            let known = old.iter().position(|m| m.settings.id == settings.id);
            let port_id = match (settings.config.port_id, known) {
                (0, Some(i)) if old[i].settings.config.port_id == 0 => old[i].port_id,
                (0, Some(_) | None) => pick_port_id(&mut used),
                (id, Some(_) | None) => id,
            };
            let (mut member, changed) = match known {
                Some(i) => {
                    let m = old.remove(i);
                    let changed = m.settings.config != settings.config || m.port_id != port_id;
                    (m, changed)
                }
                None => (Member::new(settings.clone(), port_id), true),
            };
            member.settings = settings;
            member.port_id = port_id;
            if changed {
                select = true;
                member.pending_partner = None;
                member.receive(now, receive::Input::Reconfigured { speaking }, None);
            }
            self.members.push(member);
        }
        if !self.key_member.is_some_and(|k| seen.contains(&k)) {
            self.key_member = self.members.first().map(|m| m.settings.id);
            self.inherited_key = key.filter(|_| self.key_member.is_some());
        }
        select
    }

    /// The last [`Event::Carrier`] of a member; `None` if there was none, or no such member.
    pub fn carrier(&self, member: MemberId) -> Option<bool> {
        self.members.iter().find(|m| m.settings.id == member)?.link_up
    }

    fn set_carrier(&mut self, now: Time, id: MemberId, up: bool) -> bool {
        let active = self.settings.config.active;
        let Some(m) = self.members.iter_mut().find(|m| m.settings.id == id) else {
            return false;
        };
        let was = m.link_up.replace(up);
        if was.is_some_and(|was| was != up) {
            m.pending_partner = None;
            m.stats.carrier_changed = m.stats.carrier_changed.wrapping_add(1);
            return m.receive(now, receive::Input::LinkChanged { active }, None);
        }
        false
    }

    fn candidates(&self) -> Vec<selection::Candidate> {
        let candidate = |m: &Member| selection::Candidate {
            receive: m.receive,
            attached: m.mux.is_attached(),
            actor: self.actor(m),
            partner: m.partner,
            link_up: m.link_up == Some(true),
            mbps: m.mbps,
        };
        self.members.iter().map(candidate).collect()
    }

    fn select(&mut self) {
        let ports = self.candidates();
        let own = self.settings.config.system_id;
        let policy = self.settings.config.aggregation.selection;
        let chosen = selection::select(own, policy, self.falls_back(), self.lag, &ports);
        for (i, m) in self.members.iter_mut().enumerate() {
            if chosen.looped[i] {
                let name = &m.settings.name;
                self.effects.push_back(notice(
                    Topic::Loopback,
                    Level::Warn,
                    name,
                    format!(
                        "member {name}: Loopback detected. Interface is connected to its own bond"
                    ),
                ));
            }
            m.mux = m.mux.next(if chosen.attached[i] {
                mux::Input::Selected
            } else {
                mux::Input::Unselected
            });
        }
        let before = std::mem::replace(&mut self.lag, chosen.lag);
        if before.is_some() != self.lag.is_some() {
            self.effects.push_back(Effect::Revalidate(RevalidateReason::LacpStatus));
        }
    }

    /// Feeds the partners' synchronization state to the mux machines.
    fn run_mux(&mut self) {
        let fallback = self.falls_back();
        let coupled = self.settings.config.aggregation.coupled_control;
        for m in &mut self.members {
            let in_sync = m.partner.state & state::SYNCHRONIZATION != 0;
            let collects = m.partner.state & state::COLLECTING != 0;
            let excused = fallback && !m.is_current();
            m.mux = m.mux.next(match (in_sync || excused, coupled) {
                (false, _) => mux::Input::PartnerNotInSync,
                (true, true) => mux::Input::PartnerInSync,
                (true, false) if collects || excused => mux::Input::PartnerCollecting,
                (true, false) => mux::Input::PartnerNotCollecting,
            });
        }
    }

    fn run_churn(&mut self, now: Time) {
        for m in &mut self.members {
            let up = m.link_up == Some(true);
            let partner = m.partner.state & state::SYNCHRONIZATION != 0;
            m.actor_churn.run(now, up, m.mux.is_attached());
            m.partner_churn.run(now, up, partner);
        }
    }

    fn transmit(&mut self, now: Time) {
        let active = self.settings.config.active;
        let coupled = self.settings.config.aggregation.coupled_control;
        for i in 0..self.members.len() {
            let actor = self.actor(&self.members[i]);
            let m = &mut self.members[i];
            let may_speak = m.link_up == Some(true) && (active || m.is_current());
            let enabled =
                if may_speak { periodic::Input::Enabled } else { periodic::Input::Disabled };
            m.periodic = m.periodic.next(now, enabled);
            if m.periodic.deadline().is_some_and(|t| t <= now) {
                m.periodic = m.periodic.next(now, periodic::Input::Timeout);
            }
            let due = match m.periodic {
                Periodic::NoPeriodic => false,
                Periodic::PeriodicTx => true,
                Periodic::FastPeriodic { .. } | Periodic::SlowPeriodic { .. } => {
                    transmit::needed(coupled, &actor, &m.partner_view)
                }
            };
            let from = m.sent.next_allowed().max(now);
            m.transmit = m.transmit.next(if due {
                transmit::Input::Due { from }
            } else {
                transmit::Input::NotDue
            });
            if m.transmit.deadline().is_some_and(|t| t <= now) {
                m.transmit = m.transmit.next(transmit::Input::Sent);
                m.sent.record(now);
                m.partner_view = actor;
                m.stats.tx_pdus = m.stats.tx_pdus.wrapping_add(1);
                let short = m.partner.state & state::TIMEOUT != 0;
                m.periodic = m.periodic.next(now, periodic::Input::Sent { short });
                let pdu = transmit::compose(actor, m.partner);
                self.effects.push_back(Effect::SendLacpdu { member: m.settings.id, pdu });
            }
        }
    }

    fn report_current(&mut self) {
        for m in &mut self.members {
            let current = m.is_current();
            if m.last_reported.replace(current) != Some(current) {
                let current = Some(current);
                self.effects.push_back(Effect::LacpCurrent { member: m.settings.id, current });
            }
        }
    }

    /// The key of the aggregate: the first member's configured one, or its port number.
    fn key(&self) -> Option<u16> {
        let m = self.find(self.key_member?)?;
        match m.settings.config.key {
            0 => Some(self.inherited_key.unwrap_or(m.port_id)),
            key => Some(key),
        }
    }

    /// The actor information that `m` sends.
    fn actor(&self, m: &Member) -> PortInfo {
        let config = &self.settings.config;
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let freshness = match m.receive {
            Receive::Current { .. } => 0,
            Receive::Expired { .. } => state::EXPIRED,
            Receive::Defaulted => state::DEFAULTED,
        };
        PortInfo {
            system_priority: config.system_priority,
            system: config.system_id,
            key: self.key().unwrap_or(0),
            port_priority: m.settings.config.port_priority,
            port: m.port_id,
            state: bit(config.active, state::ACTIVITY)
                | bit(config.time == LacpTime::Fast, state::TIMEOUT)
                | bit(self.members.len() > 1, state::AGGREGATION)
                | m.mux.actor_bits(config.aggregation.coupled_control, self.negotiated())
                | freshness,
        }
    }
}

/// The lowest port number that is not in use.
fn pick_port_id(used: &mut BTreeSet<u16>) -> u16 {
    let id = (1..u16::MAX).find(|id| !used.contains(id)).unwrap_or(u16::MAX);
    used.insert(id);
    id
}

fn notice(topic: Topic, level: Level, member: &str, text: String) -> Effect {
    let member = Some(member.to_owned());
    Effect::Notice(Notice { module: "lacp", topic, level, member, text })
}
