//! The engine: events in, effects out.

mod active;
mod command;
mod configure;
mod loop_protect;
mod min_links;
mod notify;
mod probes;
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
use crate::monitor::probe;
use crate::notice::{Level, Topic};
use crate::notify::Repetition;
use crate::pending::PendingEffects;
use crate::rebalance;
use crate::select::Candidate;
use crate::tlb;

/// A bond.
///
/// The driver calls [`Bond::handle`] with each event and its time, which never decreases, drains
/// [`Bond::poll_effect`] before the next event, and calls again at [`Bond::next_deadline`].
/// [`Bond::command`] is an event with an answer; effects have to be drained after it too. The first
/// event has to be [`Event::Configure`]: before it, all other events are ignored.
///
/// If a call changes the forwarding table, its first effect is [`Effect::Publish`].
#[derive(Clone, Debug)]
pub struct Bond {
    /// The configuration, except for its members, which are in `members`.
    pub(crate) config: BondConfig,
    configured: bool,
    /// In the order of the configuration.
    pub(crate) members: Vec<Member>,
    pub(crate) lacp: Option<Lacp>,
    pub(crate) active: Option<MemberId>,
    /// The address of the active member; zero if there is none.
    pub(crate) active_mac: EthAddr,
    /// The address of the member that was active before a restart, until its carrier is reported.
    restore: Option<EthAddr>,
    /// When an operator chose the active member; `None` = the engine chose it. The failback delay of
    /// a preferred member starts at this time.
    chosen_at: Option<Time>,
    pub(crate) buckets: Buckets,
    /// The driver's byte counters at the last [`Event::Load`]; `None` while buckets are not in use, so
    /// that traffic in that time does not count as load.
    counters: Option<Box<[u64; BUCKETS]>>,
    pub(crate) next_rebalance: Time,
    /// The earliest time of the next rebalancing: a shorter interval can put `next_rebalance` into
    /// the past, and `bond/show` has to show it before it runs.
    pub(crate) rebalance_from: Time,
    pub(crate) failbacks: FailbackHistory,
    /// The detected loop with another port.
    pub(crate) looped: Option<BridgeLoop>,
    /// The preferred member that does not take over yet.
    pub(crate) waiting: Option<Waiting>,
    /// Fewer members are enabled than `bond-min-links`.
    pub(crate) below_min_links: bool,
    /// Announcements to peers that are still to come.
    notifications: Repetition,
    published: Option<Arc<Forwarding>>,
    effects: VecDeque<Effect>,
}

/// A preferred member that does not take over yet, why, and when it is evaluated again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) member: MemberId,
    pub(crate) reason: Reason,
    pub(crate) until: Option<Time>,
}

impl Bond {
    /// A bond without configuration and members, which forwards nothing. `name` is `Port.name`.
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
            below_min_links: false,
            notifications: Repetition::Done,
            published: None,
            effects: VecDeque::new(),
        }
    }

    /// Handles an event that happened at `now`, and all deadlines up to `now`.
    pub fn handle(&mut self, now: Time, event: Event) {
        let mut pending = PendingEffects::default();
        match event {
            Event::Configure(config) => self.configure(now, *config, &mut pending),
            Event::Carrier { member, up } => self.set_carrier(now, member, up, &mut pending),
            Event::LinkParams { member, speed } => {
                if let Some(m) = self.member_mut(member) {
                    m.speed = speed.map_or(LinkSpeed::Unknown, LinkSpeed::Known);
                }
                if let Some(lacp) = &mut self.lacp {
                    let mbps = speed.map_or(0, |s| s.mbps);
                    lacp.handle(now, lacp::Event::Speed { member, mbps });
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
            Event::Neighbour { member, packet } => self.neighbour(now, member, &packet),
            Event::Traffic { member, rx_packets } => {
                if let Some(probe) = self.member_mut(member).and_then(|m| m.probe.as_mut()) {
                    probe.handle(now, probe::Event::Traffic { rx_packets });
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

    /// The next effect, in the order of execution; `None` = all have been taken.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest; `None` = no deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        let links = self.members.iter().filter_map(|m| m.link.deadline());
        let lacp = self.lacp.as_ref().and_then(Lacp::next_deadline);
        let rebalance = self.is_balanced().then_some(self.next_rebalance.max(self.rebalance_from));
        let failback = self.waiting.and_then(|w| w.until);
        let looped = self.looped.as_ref().map(|l| l.until);
        let probes = self.members.iter().filter_map(|m| m.probe.as_ref()?.next_deadline());
        let links = links.chain(probes);
        let notify = self.notifications.deadline();
        links.chain(lacp).chain(rebalance).chain(failback).chain(looped).chain(notify).min()
    }

    /// Executes an operator's command. The answer is the text that `ovs-appctl` prints.
    ///
    /// That of [`Command::SetActiveMember`] includes when a preferred member will take over again, if
    /// the time is known.
    ///
    /// # Errors
    ///
    /// The command does not apply, and has no effect.
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

    /// The published forwarding table; `None` before the first configuration.
    pub fn forwarding(&self) -> Option<&Arc<Forwarding>> {
        self.published.as_ref()
    }

    /// The table that would be published if a member lost its carrier at `now`. `None` if none would:
    /// the member carries nothing, or stays enabled for its downdelay.
    ///
    /// The driver keeps it ready so that it can be in force before the engine is told.
    pub fn forwarding_without(&self, now: Time, member: MemberId) -> Option<Arc<Forwarding>> {
        let mut copy = self.clone();
        copy.effects.clear();
        copy.handle(now, Event::Carrier { member, up: false });
        match copy.effects.pop_front() {
            Some(Effect::Publish(table)) => Some(table),
            Some(_) | None => None,
        }
    }

    /// The last [`Event::Carrier`] of a member; `None` if there was none, or no such member.
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
        if let Some(probe) = &mut m.probe {
            probe.handle(now, probe::Event::Carrier(up));
        }
        if up && before != Some(true) {
            // The speed may have changed while the link was down.
            m.speed = LinkSpeed::Pending;
            pending.query.insert(member);
        }
        if before.is_none() {
            if m.may_enable() && !held {
                // No updelay for a link that is up at its first report.
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
                // A counter that decreased was reset; the difference is unknown and counts as 0.
                self.buckets.add_load(bucket, now.saturating_sub(seen));
            }
        }
        self.counters = Some(bytes);
    }

    // Queries.

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

    /// State of LACP.
    pub fn lacp_state(&self) -> LacpState {
        match &self.lacp {
            None => LacpState::Off,
            Some(lacp) if lacp.negotiated() => LacpState::Negotiated,
            Some(_) => LacpState::Configured,
        }
    }

    /// `lacp-fallback-ab`, unless `lacp-strict` forbids it.
    pub(crate) fn may_fall_back(&self) -> bool {
        let strict = self.config.lacp.as_ref().is_some_and(|l| l.aggregation.strict);
        self.config.lacp_fallback_ab && !strict
    }

    /// `lacp-fallback-ab` is in effect: a balancing mode works as active-backup because there is no
    /// LACP partner.
    pub(crate) fn is_falling_back(&self) -> bool {
        self.may_fall_back()
            && self.config.mode != Mode::ActiveBackup
            && self.lacp_state() == LacpState::Configured
    }

    /// Buckets are assigned to members, and by load: the modes of Open vSwitch that balance, and
    /// balance-tlb.
    fn has_buckets(&self) -> bool {
        match self.config.mode {
            Mode::BalanceSlb | Mode::BalanceTcp => !self.is_falling_back(),
            Mode::BalanceTlb => self.config.policy.tlb_dynamic && !self.is_falling_back(),
            Mode::ActiveBackup
            | Mode::BalanceRr
            | Mode::BalanceXor
            | Mode::Broadcast
            | Mode::Ieee8023ad => false,
        }
    }

    /// Buckets are rebalanced by load.
    pub(crate) fn is_balanced(&self) -> bool {
        self.configured && self.has_buckets() && !self.config.rebalance_interval.is_zero()
    }

    /// Packets recirculate to be hashed (balance-tcp).
    pub(crate) fn may_recirc(&self) -> bool {
        self.config.mode == Mode::BalanceTcp
            && self.config.recirc_id != 0
            && !self.is_falling_back()
    }

    /// The configured primary; `None` in modes without one.
    pub(crate) fn primary(&self) -> Option<&str> {
        let applies = self.config.mode.has_primary() || self.may_fall_back();
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

    // Consequences of events.

    /// Runs all parts after an event at `now`, and queues the effects.
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
        self.run_probes(now, &mut pending);
        self.run_links(now, &mut pending);
        self.run_active(now, &mut pending);
        self.set_probe_roles();
        if self.members.iter().all(|m| m.carrier.is_some()) {
            // All carriers have been reported: the start of the bond is over.
            for m in &mut self.members {
                m.returning = true;
            }
        }
        self.run_min_links(&mut pending);
        self.run_buckets(now, &mut pending);
        self.publish(&mut pending);
        self.notify(now, &mut pending);
        pending.finish(&mut self.effects);
    }

    fn run_links(&mut self, now: Time, pending: &mut PendingEffects) {
        for i in 0..self.members.len() {
            let id = self.members[i].config.id;
            self.members[i].lacp_agrees = self.lacp_agrees(id);
            let (up, downdelay) = (self.members[i].is_healthy(), self.config.downdelay);
            self.members[i].failures.run(now, up, downdelay);
            let input = if self.is_held_down() {
                // Without downdelay: every looped packet is forwarded again.
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

    /// Feeds the link state machine of member `id`, and logs the result.
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
        let mut log = |topic, text: String| {
            pending.log_member(topic, Level::Info, name, format!("member {name}: {text}"));
        };
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
                pending.moved = true;
            }
            pending.revalidate(RevalidateReason::MemberState);
        }
    }

    /// In balance-tlb, the capacity of each enabled member.
    fn weights(&self) -> Option<Vec<(MemberId, u64)>> {
        (self.config.mode == Mode::BalanceTlb).then(|| {
            let enabled = self.members.iter().filter(|m| m.enabled());
            tlb::weights(&enabled.map(|m| (m.config.id, m.speed)).collect::<Vec<_>>())
        })
    }

    fn run_buckets(&mut self, now: Time, pending: &mut PendingEffects) {
        if !self.has_buckets() {
            self.buckets = Buckets::default();
            self.next_rebalance = now + self.config.rebalance_interval;
            return;
        }
        let enabled: Vec<MemberId> =
            self.members.iter().filter(|m| m.enabled()).map(|m| m.config.id).collect();
        let weights = self.weights();
        match &weights {
            Some(weights) => self.buckets.set_weighted(weights),
            None => self.buckets.set_members(&enabled),
        };
        if !self.is_balanced() || now < self.next_rebalance.max(self.rebalance_from) {
            return;
        }
        self.next_rebalance = now + self.config.rebalance_interval;
        let (loads, owners) = (self.buckets.loads(), self.buckets.owners());
        let plan = match &weights {
            Some(weights) => tlb::plan(loads, owners, weights),
            None => rebalance::plan(loads, owners, &enabled),
        };
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
