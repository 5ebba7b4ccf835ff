//! The engine itself: events in, effects out.

mod active;
mod command;
mod configure;
mod loop_protect;
mod status;
mod table;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use wire::{EthAddr, Time};

use crate::bridge_loop::BridgeLoop;
use crate::buckets::Buckets;
use crate::config::{BondConfig, MemberId, Mode};
use crate::effect::{Effect, RevalidateReason};
use crate::event::{Command, CommandError, Event};
use crate::failback::{FailbackHistory, LinkSpeed, Reason};
use crate::forwarding::{BUCKETS, Forwarding};
use crate::lacp::status::LacpState;
use crate::lacp::{self, Lacp};
use crate::link::{self, Link};
use crate::member::Member;
use crate::millis::whole_ms;
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;
use crate::rebalance;
use crate::select::Candidate;

/// A bond.
///
/// The driver calls [`Bond::handle`] with each event and the time at which it happened, which
/// never runs backwards, then drains [`Bond::poll_effect`] before the next event, and calls again
/// at [`Bond::next_deadline`]. [`Bond::command`] is an event with an answer: drain after it too.
/// The first event is [`Event::Configure`]; until then everything else is ignored.
///
/// When a call changes what packets should do, its first effect is [`Effect::Publish`].
#[derive(Debug)]
pub struct Bond {
    /// As configured; the members of it are in `members`.
    pub(crate) config: BondConfig,
    configured: bool,
    /// In the order of the configuration.
    pub(crate) members: Vec<Member>,
    pub(crate) lacp: Option<Lacp>,
    pub(crate) active: Option<MemberId>,
    /// The address of the member that is active, or was when the bond was last up.
    pub(crate) active_mac: EthAddr,
    /// The member with this address was active in the last run, and has not reported yet.
    restore: Option<EthAddr>,
    /// When an operator chose the active member; `None` = none did. A member that is preferred to
    /// it waits anew from then on.
    chosen_at: Option<Time>,
    pub(crate) buckets: Buckets,
    /// The driver's counters, as last seen; `None` while buckets are not in use: what was counted
    /// meanwhile is nobody's load.
    counters: Option<Box<[u64; BUCKETS]>>,
    pub(crate) next_rebalance: Time,
    /// A shorter interval may have put the next rebalancing into the past; it is not done before
    /// this, so that whoever has set it sees so.
    pub(crate) rebalance_from: Time,
    pub(crate) failbacks: FailbackHistory,
    /// The loop that it makes with another port; counts until its time is over.
    pub(crate) looped: Option<BridgeLoop>,
    /// The member that would take over, and what it waits for.
    pub(crate) waiting: Option<Waiting>,
    published: Option<Arc<Forwarding>>,
    effects: VecDeque<Effect>,
}

/// A preferred member that does not take over yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) member: MemberId,
    pub(crate) reason: Reason,
    pub(crate) until: Option<Time>,
}

impl Bond {
    /// A bond without configuration or members, which forwards nothing.
    pub fn new(name: &str) -> Bond {
        Bond {
            config: BondConfig { name: name.to_owned(), ..BondConfig::default() },
            configured: false,
            members: Vec::new(),
            lacp: None,
            active: None,
            active_mac: EthAddr::ZERO,
            restore: None,
            chosen_at: None,
            buckets: Buckets::default(),
            counters: Some(Box::new([0; BUCKETS])),
            next_rebalance: Time::ZERO,
            rebalance_from: Time::ZERO,
            failbacks: FailbackHistory::default(),
            looped: None,
            waiting: None,
            published: None,
            effects: VecDeque::new(),
        }
    }

    /// Takes in an event that happened at `now`, and everything that has become due.
    pub fn handle(&mut self, now: Time, event: Event) {
        let mut pending = PendingEffects::default();
        match event {
            Event::Configure(config) => self.configure(now, *config, &mut pending),
            Event::Carrier { member, up } => self.set_carrier(now, member, up, &mut pending),
            Event::LinkParams { member, speed } => {
                if let Some(m) = self.member_mut(member) {
                    m.speed = speed.map_or(LinkSpeed::Unknown, LinkSpeed::Known);
                }
            }
            Event::Monitor { member, monitor, up } => {
                if let Some(m) = self.member_mut(member) {
                    match up {
                        Some(up) => m.monitors.insert(monitor, up),
                        None => m.monitors.remove(&monitor),
                    };
                }
            }
            Event::Lacpdu { member, pdu } => {
                if let Some(lacp) = &mut self.lacp {
                    lacp.handle(now, lacp::Event::Lacpdu { member, pdu });
                    pending.lacp_has_run = true;
                }
            }
            Event::Mac { member, mac } => self.mac(member, mac, &mut pending),
            Event::Load { bytes } => self.load(bytes),
            Event::Loop { with: Some(with) } => self.detect_loop(now, with, &mut pending),
            Event::Loop { with: None } => self.end_loop(now, true, &mut pending),
            Event::Deadline => {}
        }
        self.run(now, pending);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest; `None` = when something happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let links = self.members.iter().filter_map(|m| m.link.deadline());
        let lacp = self.lacp.as_ref().and_then(Lacp::next_deadline);
        let rebalance = self.is_balanced().then_some(self.next_rebalance.max(self.rebalance_from));
        let failback = self.waiting.and_then(|w| w.until);
        let looped = self.looped.as_ref().map(|l| l.until);
        links.chain(lacp).chain(rebalance).chain(failback).chain(looped).min()
    }

    /// Does what an operator asks for, and answers with the text that `ovs-appctl` prints.
    ///
    /// [`Command::SetActiveMember`] also says when another member that is preferred takes over, if
    /// that is known.
    pub fn command(
        &mut self,
        now: Time,
        command: Command,
    ) -> Result<Cow<'static, str>, CommandError> {
        let chooses = matches!(command, Command::SetActiveMember { .. });
        let mut pending = PendingEffects::default();
        let answer = self.execute(now, command, &mut pending);
        self.run(now, pending);
        let answer = answer?;
        let waiting = self.waiting.and_then(|w| Some((w, w.until?)));
        match waiting {
            Some((w, until)) if chooses => {
                let name = self.member(w.member).map_or("", |m| &m.config.name);
                let ms = whole_ms(now, until);
                let why = match w.reason {
                    Reason::Limit => "bond-failback-limit",
                    Reason::HoldDown
                    | Reason::NotBetter
                    | Reason::SpeedPending
                    | Reason::SpeedUnknown
                    | Reason::OnlyOnFailure => "bond-failback-delay",
                };
                Ok(format!("{answer}, until {name} takes over in {ms} ms ({why})").into())
            }
            Some(_) | None => Ok(answer.into()),
        }
    }

    /// `Port.name`.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The table that packets use now; `None` before the first configuration.
    pub fn forwarding(&self) -> Option<&Arc<Forwarding>> {
        self.published.as_ref()
    }

    /// What was reported last of a member's link ([`Event::Carrier`]); `None` before that, and for
    /// a member that there is not.
    pub fn carrier(&self, member: MemberId) -> Option<bool> {
        self.member(member)?.carrier
    }

    fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.config.id == id)
    }

    fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.config.id == id)
    }

    fn member_by_name(&self, name: &str) -> Result<MemberId, CommandError> {
        let m = self.members.iter().find(|m| m.config.name == name);
        m.map(|m| m.config.id).ok_or(CommandError::NoSuchMember)
    }

    // Events.

    fn set_carrier(&mut self, now: Time, member: MemberId, up: bool, pending: &mut PendingEffects) {
        if let Some(lacp) = &mut self.lacp {
            lacp.handle(now, lacp::Event::Carrier { member, up });
        }
        if !up && self.member(member).is_some_and(|m| m.carrier == Some(true)) {
            self.end_loop(now, true, pending);
        }
        let (lacp_agrees, held) = (self.lacp_agrees(member), self.is_held_down());
        let Some(m) = self.member_mut(member) else { return };
        m.lacp_agrees = lacp_agrees;
        let before = m.carrier.replace(up);
        if up && before != Some(true) {
            // A link may come back with another speed than it had.
            m.speed = LinkSpeed::Pending;
            pending.query.insert(member);
        }
        if before.is_none() {
            if m.may_enable() && !held {
                // No delay for a link that was up before the bond looked.
                self.move_link(now, member, link::Input::Enable, pending);
            } else {
                m.returning = true;
            }
        }
    }

    fn load(&mut self, bytes: Box<[u64; BUCKETS]>) {
        if self.is_balanced()
            && let Some(seen) = &self.counters
        {
            for (bucket, (&now, &seen)) in bytes.iter().zip(seen.iter()).enumerate() {
                // A counter that runs backwards was started anew: nobody knows what it missed.
                self.buckets.add_load(bucket, now.saturating_sub(seen));
            }
        }
        self.counters = Some(bytes);
    }

    // What is true now.

    fn is_enabled(&self, id: MemberId) -> bool {
        self.member(id).is_some_and(Member::enabled)
    }

    fn lacp_agrees(&self, id: MemberId) -> bool {
        self.lacp.as_ref().is_none_or(|lacp| lacp.may_enable(id))
    }

    /// Whether LACP lets a member carry traffic; `None` without LACP.
    pub fn lacp_may_enable(&self, member: MemberId) -> Option<bool> {
        self.lacp.as_ref().map(|lacp| lacp.may_enable(member))
    }

    /// How far LACP got.
    pub fn lacp_state(&self) -> LacpState {
        match &self.lacp {
            None => LacpState::Off,
            Some(lacp) if lacp.negotiated() => LacpState::Negotiated,
            Some(_) => LacpState::Configured,
        }
    }

    /// A balancing mode that makes do with an active member because there is no partner.
    pub(crate) fn is_falling_back(&self) -> bool {
        self.config.lacp_fallback_ab
            && self.config.mode != Mode::ActiveBackup
            && self.lacp_state() == LacpState::Configured
    }

    fn has_buckets(&self) -> bool {
        self.config.mode != Mode::ActiveBackup && !self.is_falling_back()
    }

    /// Buckets follow their loads.
    pub(crate) fn is_balanced(&self) -> bool {
        self.configured && self.has_buckets() && !self.config.rebalance_interval.is_zero()
    }

    /// Packets recirculate to be hashed.
    pub(crate) fn may_recirc(&self) -> bool {
        self.config.mode == Mode::BalanceTcp
            && self.config.recirc_id != 0
            && !self.is_falling_back()
    }

    /// The configured primary, where the mode has one.
    pub(crate) fn primary(&self) -> Option<&str> {
        let applies = self.config.mode == Mode::ActiveBackup || self.config.lacp_fallback_ab;
        self.config.primary.as_deref().filter(|_| applies)
    }

    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let candidate = |m: &Member| Candidate {
            id: m.config.id,
            mac: m.config.mac,
            link: m.link,
            may_enable: m.may_enable() && !self.is_held_down(),
            primary: self.primary() == Some(&m.config.name),
            priority: m.config.priority,
        };
        self.members.iter().map(candidate).collect()
    }

    // What follows.

    /// Lets everything follow from what is known at `now`, and queues the effects.
    fn run(&mut self, now: Time, mut pending: PendingEffects) {
        if !self.configured {
            return;
        }
        if let Some(lacp) = &mut self.lacp {
            if !pending.lacp_has_run {
                lacp.handle(now, lacp::Event::Deadline);
            }
            while let Some(effect) = lacp.poll_effect() {
                pending.lacp(effect);
            }
        }
        self.end_loop(now, false, &mut pending);
        self.run_links(now, &mut pending);
        self.run_active(now, &mut pending);
        if self.members.iter().all(|m| m.carrier.is_some()) {
            // All have been heard of: the start is over.
            for m in &mut self.members {
                m.returning = true;
            }
        }
        self.run_buckets(now, &mut pending);
        self.publish(&mut pending);
        pending.learning &= self.may_send_learning_packets();
        pending.finish(&mut self.effects);
    }

    fn run_links(&mut self, now: Time, pending: &mut PendingEffects) {
        for i in 0..self.members.len() {
            let id = self.members[i].config.id;
            self.members[i].lacp_agrees = self.lacp_agrees(id);
            let input = if self.is_held_down() {
                // Without a delay: each packet that comes back is sent on.
                link::Input::Disable
            } else if self.members[i].may_enable() {
                link::Input::LinkUp { updelay: self.config.updelay }
            } else {
                link::Input::LinkDown { downdelay: self.config.downdelay }
            };
            self.move_link(now, id, input, pending);
            if self.members[i].link.deadline().is_some_and(|t| t <= now) {
                self.move_link(now, id, link::Input::Timeout, pending);
            }
        }
    }

    /// Feeds a link's machine and tells what came of it.
    fn move_link(
        &mut self,
        now: Time,
        id: MemberId,
        input: link::Input,
        pending: &mut PendingEffects,
    ) {
        let Some(m) = self.members.iter_mut().find(|m| m.config.id == id) else { return };
        let before = m.link;
        m.link = before.next(now, input);
        let name = &m.config.name;
        let mut log =
            |topic, text: String| pending.log(topic, Level::Info, format!("member {name}: {text}"));
        let mut link = |text: String| log(Topic::Link, text);
        match (before, input) {
            (Link::Down, link::Input::LinkUp { updelay }) => {
                link("link state up".to_owned());
                if !updelay.is_zero() {
                    let ms = updelay.as_millis();
                    link(format!("will be enabled if it stays up for {ms} ms"));
                }
            }
            (Link::Up { .. }, link::Input::LinkDown { downdelay }) => {
                m.returning = true;
                link("link state down".to_owned());
                if !downdelay.is_zero() {
                    let ms = downdelay.as_millis();
                    link(format!("will be disabled if it stays down for {ms} ms"));
                }
            }
            (Link::ComingUp { .. }, link::Input::LinkDown { .. }) => {
                link("link state down".to_owned());
                link("will not be enabled".to_owned());
            }
            (Link::GoingDown { .. }, link::Input::LinkUp { .. }) => {
                link("link state up".to_owned());
                link("will not be disabled".to_owned());
            }
            (Link::ComingUp { .. } | Link::Up { .. }, link::Input::LinkUp { .. })
            | (Link::Down | Link::GoingDown { .. }, link::Input::LinkDown { .. })
            | (
                Link::Down | Link::ComingUp { .. } | Link::Up { .. } | Link::GoingDown { .. },
                link::Input::Timeout | link::Input::Enable | link::Input::Disable,
            ) => {}
        }
        if before.enabled() != m.link.enabled() {
            log(Topic::Member, if m.link.enabled() { "enabled" } else { "disabled" }.to_owned());
            if !m.link.enabled() {
                m.returning = true;
                pending.learning = true;
            }
            pending.revalidate(RevalidateReason::MemberState);
        }
    }

    fn run_buckets(&mut self, now: Time, pending: &mut PendingEffects) {
        if !self.has_buckets() {
            self.buckets = Buckets::default();
            self.next_rebalance = now + self.config.rebalance_interval;
            return;
        }
        let enabled: Vec<MemberId> =
            self.members.iter().filter(|m| m.enabled()).map(|m| m.config.id).collect();
        self.buckets.set_members(&enabled);
        if !self.is_balanced() || now < self.next_rebalance.max(self.rebalance_from) {
            return;
        }
        self.next_rebalance = now + self.config.rebalance_interval;
        let plan = rebalance::plan(self.buckets.loads(), self.buckets.owners(), &enabled);
        self.buckets.decay();
        for m in &plan.moves {
            self.buckets.assign(usize::from(m.bucket), m.to);
            let name = |id| self.member(id).map_or("", |m| &m.config.name);
            pending.log(
                Topic::Rebalance,
                Level::Dbg,
                format!(
                    "bond {}: shift {}kB of load (with hash {}) from {} to {} (now carrying \
                     {}kB and {}kB load, respectively)",
                    self.config.name,
                    m.bytes / 1024,
                    m.bucket,
                    name(m.from),
                    name(m.to),
                    m.after.0 / 1024,
                    m.after.1 / 1024,
                ),
            );
        }
        if !plan.moves.is_empty() {
            pending.revalidate(RevalidateReason::Rebalanced);
            let carried = |m: &Member| {
                let bytes = plan.carries.iter().find(|c| c.0 == m.config.id).map_or(0, |c| c.1);
                format!("{}:{}kB", m.config.name, bytes / 1024)
            };
            let carried: Vec<String> = self.members.iter().map(carried).collect();
            pending.log(
                Topic::Rebalance,
                Level::Info,
                format!(
                    "bond {}: rebalanced (now carrying: {})",
                    self.config.name,
                    carried.join(" and ")
                ),
            );
        }
    }
}
