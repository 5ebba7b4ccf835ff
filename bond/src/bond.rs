//! The engine itself: events in, effects out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use wire::{EthAddr, Time};

use crate::buckets::Buckets;
use crate::config::{BondConfig, MemberId, Mode};
use crate::effect::{Effect, RevalidateReason};
use crate::event::{Command, CommandError, Event};
use crate::failback::{Failbacks, Policy, Reason, Verdict};
use crate::forwarding::{Admission, BUCKETS, Forwarding, OutputRule};
use crate::lacp::{self, Lacp};
use crate::link::{self, Link};
use crate::member::Member;
use crate::notice::Level;
use crate::rebalance;
use crate::select::{self, Candidate, Choice};
use crate::status::{LacpState, whole_ms};
use crate::turn::Turn;

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
    pub(crate) buckets: Buckets,
    /// The driver's counters, as last seen.
    counters: Box<[u64; BUCKETS]>,
    pub(crate) next_rebalance: Time,
    pub(crate) failbacks: Failbacks,
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
            buckets: Buckets::default(),
            counters: Box::new([0; BUCKETS]),
            next_rebalance: Time::ZERO,
            failbacks: Failbacks::default(),
            waiting: None,
            published: None,
            effects: VecDeque::new(),
        }
    }

    /// Takes in an event that happened at `now`, and everything that has become due.
    pub fn handle(&mut self, now: Time, event: Event) {
        let mut turn = Turn::default();
        match event {
            Event::Configure(config) => self.configure(now, *config, &mut turn),
            Event::Carrier { member, up } => self.carrier(now, member, up, &mut turn),
            Event::LinkParams { member, speed_mbps, full_duplex } => {
                if let Some(m) = self.member_mut(member) {
                    m.speed = crate::failback::Speed { mbps: speed_mbps, full_duplex };
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
                }
            }
            Event::Mac { member, mac } => self.mac(member, mac, &mut turn),
            Event::Load { bytes } => self.load(&bytes),
            Event::Deadline => {}
        }
        self.run(now, turn);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest; `None` = when something happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let links = self.members.iter().filter_map(|m| m.link.deadline());
        let lacp = self.lacp.as_ref().and_then(Lacp::next_deadline);
        let rebalance = self.is_balanced().then_some(self.next_rebalance);
        let failback = self.waiting.and_then(|w| w.until);
        links.chain(lacp).chain(rebalance).chain(failback).min()
    }

    /// Does what an operator asks for, and answers with the text that `ovs-appctl` prints.
    pub fn command(&mut self, now: Time, command: Command) -> Result<&'static str, CommandError> {
        let mut turn = Turn::default();
        let answer = self.obey(now, command, &mut turn);
        self.run(now, turn);
        answer
    }

    /// `Port.name`.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The table that packets use now; `None` before the first configuration.
    pub fn forwarding(&self) -> Option<&Arc<Forwarding>> {
        self.published.as_ref()
    }

    fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.config.id == id)
    }

    fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.config.id == id)
    }

    fn by_name(&self, name: &str) -> Result<MemberId, CommandError> {
        let m = self.members.iter().find(|m| m.config.name == name);
        m.map(|m| m.config.id).ok_or(CommandError::NoSuchMember)
    }

    // Events.

    fn configure(&mut self, now: Time, config: BondConfig, turn: &mut Turn) {
        let first = !self.configured;
        let old = std::mem::replace(&mut self.config, config);
        self.configured = true;
        if first {
            self.active_mac = self.config.active_member_mac.unwrap_or(EthAddr::ZERO);
            self.restore = self.config.active_member_mac.filter(|mac| !mac.is_zero());
        }
        self.configure_members(first, turn);
        self.configure_lacp(now, turn);

        let new = &self.config;
        if first
            || old.mode != new.mode
            || old.hash_basis != new.hash_basis
            || old.rebalance_interval.is_zero() != new.rebalance_interval.is_zero()
        {
            // What falls into a bucket is new; who owns it need not be.
            self.buckets.clear_loads();
            self.next_rebalance = now + new.rebalance_interval;
        } else if old.rebalance_interval != new.rebalance_interval {
            let started = self.next_rebalance - old.rebalance_interval;
            self.next_rebalance = started + new.rebalance_interval;
        }
        // Members are compared on their own; delays and failback change no flow.
        let seen_by_flows = |c: &BondConfig| {
            let id = (c.recirc_id, c.hash_basis, c.lb_output, c.rebalance_interval.is_zero());
            (c.mode, c.lacp_fallback_ab, c.all_members_active, id, c.primary.clone())
        };
        if first || seen_by_flows(&old) != seen_by_flows(new) {
            turn.revalidate(RevalidateReason::Reconfigured);
        }
    }

    fn configure_members(&mut self, first: bool, turn: &mut Turn) {
        let mut wanted = std::mem::take(&mut self.config.members);
        let mut seen = BTreeSet::new();
        wanted.retain(|m| seen.insert(m.id));

        let mut old = std::mem::take(&mut self.members);
        for gone in old.extract_if(.., |m| !seen.contains(&m.config.id)) {
            if gone.enabled() {
                turn.say(Level::Info, format!("member {}: disabled", gone.config.name));
            }
            turn.learning |= gone.enabled() || self.active == Some(gone.config.id);
            turn.revalidate(RevalidateReason::MemberSet);
        }
        for config in wanted {
            match old.iter().position(|m| m.config.id == config.id) {
                Some(i) => {
                    let mut member = old.remove(i);
                    let mac = config.mac;
                    let known = MacOf { old: member.config.mac, new: mac };
                    member.config = config;
                    self.follow_mac(member.config.id, known, turn);
                    self.members.push(member);
                }
                None => {
                    turn.revalidate(RevalidateReason::MemberSet);
                    self.members.push(Member::new(config, !first));
                }
            }
        }
    }

    fn configure_lacp(&mut self, now: Time, turn: &mut Turn) {
        let settings = self.config.lacp.as_ref().map(|config| lacp::Settings {
            name: self.config.name.clone(),
            config: config.clone(),
            fallback_ab: self.config.lacp_fallback_ab,
            members: self
                .members
                .iter()
                .map(|m| lacp::MemberSettings {
                    id: m.config.id,
                    name: m.config.name.clone(),
                    config: m.config.lacp,
                })
                .collect(),
        });
        match (&mut self.lacp, settings) {
            (None, None) => {}
            (Some(lacp), Some(settings)) => {
                lacp.handle(now, lacp::Event::Configure(Box::new(settings)));
            }
            (None, Some(settings)) => {
                let mut lacp = Lacp::new(now, settings);
                for m in &self.members {
                    if let Some(up) = m.carrier {
                        lacp.handle(now, lacp::Event::Carrier { member: m.config.id, up });
                    }
                }
                self.lacp = Some(lacp);
                turn.revalidate(RevalidateReason::LacpStatus);
            }
            (Some(_), None) => {
                self.lacp = None;
                for m in &self.members {
                    let member = m.config.id;
                    turn.lacp(Effect::LacpCurrent { member, current: None });
                }
                turn.revalidate(RevalidateReason::LacpStatus);
            }
        }
    }

    fn carrier(&mut self, now: Time, member: MemberId, up: bool, turn: &mut Turn) {
        if let Some(lacp) = &mut self.lacp {
            lacp.handle(now, lacp::Event::Carrier { member, up });
        }
        let lacp_agrees = self.lacp_agrees(member);
        let Some(m) = self.member_mut(member) else { return };
        m.lacp_agrees = lacp_agrees;
        let first = m.carrier.replace(up).is_none();
        if first {
            if m.may_enable() {
                // No delay for a link that was up before the bond looked.
                self.move_link(now, member, link::Input::Enable, turn);
            } else {
                m.returning = true;
            }
        }
    }

    fn mac(&mut self, member: MemberId, mac: EthAddr, turn: &mut Turn) {
        let Some(m) = self.member_mut(member) else { return };
        let known = MacOf { old: m.config.mac, new: mac };
        m.config.mac = mac;
        self.follow_mac(member, known, turn);
    }

    /// Keeps the active member's address true.
    fn follow_mac(&mut self, member: MemberId, mac: MacOf, turn: &mut Turn) {
        if mac.old != mac.new && self.active == Some(member) {
            self.active_mac = mac.new;
            turn.persist = Some(mac.new);
        }
    }

    fn load(&mut self, bytes: &[u64; BUCKETS]) {
        let balanced = self.is_balanced();
        for (bucket, (&now, seen)) in bytes.iter().zip(self.counters.iter_mut()).enumerate() {
            // A counter that runs backwards was started anew: nobody knows what it missed.
            let sent = now.saturating_sub(*seen);
            *seen = now;
            if balanced {
                self.buckets.add_load(bucket, sent);
            }
        }
    }

    fn obey(
        &mut self,
        now: Time,
        command: Command,
        turn: &mut Turn,
    ) -> Result<&'static str, CommandError> {
        match command {
            Command::SetActiveMember { member } => {
                let id = self.by_name(&member)?;
                if !self.is_enabled(id) {
                    return Err(CommandError::ActivateDisabled);
                }
                if self.active == Some(id) {
                    return Ok("no change");
                }
                self.activate(id, turn);
                Ok("done")
            }
            Command::EnableMember { member } => {
                let id = self.by_name(&member)?;
                self.move_link(now, id, link::Input::Enable, turn);
                Ok("enabled")
            }
            Command::DisableMember { member } => {
                let id = self.by_name(&member)?;
                self.move_link(now, id, link::Input::Disable, turn);
                Ok("disabled")
            }
            Command::Migrate { bucket, member } => {
                if self.config.mode != Mode::BalanceSlb || !self.has_buckets() {
                    return Err(CommandError::NotSlb);
                }
                let id = self.by_name(&member)?;
                if !self.is_enabled(id) {
                    return Err(CommandError::MigrateToDisabled);
                }
                self.buckets.give(usize::from(bucket), id);
                turn.revalidate(RevalidateReason::Rebalanced);
                Ok("migrated")
            }
            Command::Failback => {
                if self.config.mode != Mode::ActiveBackup {
                    return Err(CommandError::NotActiveBackup);
                }
                let members = self.candidates();
                if let Some(to) = self.active.and_then(|a| select::preferred(&members, a)) {
                    self.activate(to, turn);
                    return Ok("done");
                }
                let active = members.iter().find(|m| Some(m.id) == self.active);
                let lowest = members.iter().map(|m| m.priority).min();
                match active {
                    Some(a) if a.primary || Some(a.priority) > lowest => Ok("no change"),
                    Some(_) | None => Err(CommandError::NoPreferredMember),
                }
            }
        }
    }

    // What is true now.

    fn is_enabled(&self, id: MemberId) -> bool {
        self.member(id).is_some_and(Member::enabled)
    }

    fn lacp_agrees(&self, id: MemberId) -> bool {
        self.lacp.as_ref().is_none_or(|lacp| lacp.may_enable(id))
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
            may_enable: m.may_enable(),
            primary: self.primary() == Some(&m.config.name),
            priority: m.config.priority,
        };
        self.members.iter().map(candidate).collect()
    }

    // What follows.

    /// Lets everything follow from what is known at `now`, and queues the effects.
    fn run(&mut self, now: Time, mut turn: Turn) {
        if !self.configured {
            return;
        }
        if let Some(lacp) = &mut self.lacp {
            lacp.handle(now, lacp::Event::Deadline);
            while let Some(effect) = lacp.poll_effect() {
                turn.lacp(effect);
            }
        }
        self.run_links(now, &mut turn);
        self.run_active(now, &mut turn);
        self.run_buckets(now, &mut turn);
        self.publish(&mut turn);
        turn.learning &= self.may_send_learning_packets();
        turn.finish(&mut self.effects);
    }

    fn run_links(&mut self, now: Time, turn: &mut Turn) {
        for i in 0..self.members.len() {
            let id = self.members[i].config.id;
            self.members[i].lacp_agrees = self.lacp_agrees(id);
            let input = if self.members[i].may_enable() {
                link::Input::LinkUp { updelay: self.config.updelay }
            } else {
                link::Input::LinkDown { downdelay: self.config.downdelay }
            };
            self.move_link(now, id, input, turn);
            if self.members[i].link.deadline().is_some_and(|t| t <= now) {
                self.move_link(now, id, link::Input::Timeout, turn);
            }
        }
    }

    /// Feeds a link's machine and tells what came of it.
    fn move_link(&mut self, now: Time, id: MemberId, input: link::Input, turn: &mut Turn) {
        let Some(m) = self.members.iter_mut().find(|m| m.config.id == id) else { return };
        let before = m.link;
        m.link = before.next(now, input);
        let name = &m.config.name;
        let mut say = |text: String| turn.say(Level::Info, format!("member {name}: {text}"));
        let delayed = |verb: &str, noun: &str, until: Time| {
            let ms = whole_ms(now, until);
            (ms > 0).then(|| format!("will be {verb} if it stays {noun} for {ms} ms"))
        };
        match (before, m.link) {
            (Link::Down, Link::ComingUp { until }) => {
                say("link state up".to_owned());
                delayed("enabled", "up", until).map(&mut say);
            }
            (Link::Up { .. }, Link::GoingDown { until }) => {
                m.returning = true;
                say("link state down".to_owned());
                delayed("disabled", "down", until).map(&mut say);
            }
            (Link::ComingUp { .. }, Link::Down)
                if matches!(input, link::Input::LinkDown { .. }) =>
            {
                say("link state down".to_owned());
                say("will not be enabled".to_owned());
            }
            (Link::GoingDown { .. }, Link::Up { .. })
                if matches!(input, link::Input::LinkUp { .. }) =>
            {
                say("link state up".to_owned());
                say("will not be disabled".to_owned());
            }
            (_, _) => {}
        }
        if before.enabled() != m.link.enabled() {
            say(if m.link.enabled() { "enabled" } else { "disabled" }.to_owned());
            if !m.link.enabled() {
                m.returning = true;
                turn.learning = true;
            }
            turn.revalidate(RevalidateReason::MemberState);
        }
    }

    fn run_active(&mut self, now: Time, turn: &mut Turn) {
        self.waiting = None;
        let Some(active) = self.active.filter(|&id| self.is_enabled(id)) else {
            self.choose_active(now, turn);
            self.restore_active(turn);
            return;
        };
        if self.restore_active(turn) {
            return;
        }
        if self.config.mode != Mode::ActiveBackup {
            return;
        }
        let Some(id) = select::preferred(&self.candidates(), active) else { return };
        let (Some(from), Some(to)) = (self.member(active), self.member(id)) else { return };
        let better = to.speed.better_than(from.speed);
        match self.failbacks.judge(now, &self.failback_policy(), to.stable_since(), better) {
            Verdict::TakeOver => {
                self.failbacks.record(now);
                self.activate(id, turn);
            }
            Verdict::Wait { reason, until } => {
                self.waiting = Some(Waiting { member: id, reason, until });
            }
        }
    }

    pub(crate) fn failback_policy(&self) -> Policy {
        Policy {
            reselect: self.config.primary_reselect,
            delay: self.config.failback_delay,
            limit: self.config.failback_limit,
        }
    }

    /// Fails over: the active member is gone, or there was none.
    fn choose_active(&mut self, now: Time, turn: &mut Turn) {
        match select::choose(&self.candidates(), self.active_mac) {
            Choice::Enabled(id) => self.activate(id, turn),
            Choice::SkipDelay { id, until } => {
                let name = self.member(id).map_or("", |m| &m.config.name);
                turn.say(
                    Level::Info,
                    format!(
                        "bond {}: active member is now {name}, skipping remaining {} ms updelay \
                         (since no member was enabled)",
                        self.config.name,
                        whole_ms(now, until),
                    ),
                );
                self.move_link(now, id, link::Input::Enable, turn);
                self.set_active(Some(id), turn);
                turn.learning = true;
            }
            Choice::Nobody => {
                if self.active.is_some() {
                    self.set_active(None, turn);
                    turn.say(
                        Level::Info,
                        format!("bond {}: all members disabled", self.config.name),
                    );
                }
            }
        }
    }

    /// Gives the member that was active in the last run its place back, if its link is up when
    /// it is first heard of. Its siblings may have been heard of a moment sooner.
    fn restore_active(&mut self, turn: &mut Turn) -> bool {
        let Some(mac) = self.restore else { return false };
        let Some(m) = self.members.iter().find(|m| m.config.mac == mac && m.carrier.is_some())
        else {
            // It is gone, or comes too late, once all that are there have reported.
            self.restore =
                self.restore.filter(|_| self.members.iter().any(|m| m.carrier.is_none()));
            return false;
        };
        self.restore = None;
        let (id, enabled) = (m.config.id, m.enabled());
        let primary = self.candidates().iter().any(|c| c.primary && c.link.enabled());
        let restore = enabled && !primary && self.active != Some(id);
        if restore {
            self.activate(id, turn);
        }
        restore
    }

    /// Makes an enabled member the active one.
    fn activate(&mut self, id: MemberId, turn: &mut Turn) {
        let name = self.member(id).map_or("", |m| &m.config.name);
        turn.say(Level::Info, format!("bond {}: active member is now {name}", self.config.name));
        self.set_active(Some(id), turn);
        turn.learning = true;
    }

    fn set_active(&mut self, id: Option<MemberId>, turn: &mut Turn) {
        if self.active == id {
            return;
        }
        self.active = id;
        self.active_mac = id.and_then(|id| self.member(id)).map_or(EthAddr::ZERO, |m| m.config.mac);
        turn.persist = Some(self.active_mac);
        if !self.is_balanced() {
            turn.revalidate(RevalidateReason::ActiveMember);
        }
    }

    fn run_buckets(&mut self, now: Time, turn: &mut Turn) {
        if !self.has_buckets() {
            self.buckets = Buckets::default();
            self.next_rebalance = now + self.config.rebalance_interval;
            return;
        }
        let enabled: Vec<MemberId> =
            self.members.iter().filter(|m| m.enabled()).map(|m| m.config.id).collect();
        self.buckets.follow(&enabled);
        if !self.is_balanced() || now < self.next_rebalance {
            return;
        }
        self.next_rebalance = now + self.config.rebalance_interval;
        let plan = rebalance::plan(self.buckets.loads(), self.buckets.owners(), &enabled);
        self.buckets.decay();
        for m in &plan.moves {
            self.buckets.give(usize::from(m.bucket), m.to);
            let name = |id| self.member(id).map_or("", |m| &m.config.name);
            turn.say(
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
            turn.revalidate(RevalidateReason::Rebalanced);
            let carried = |m: &Member| {
                let bytes = plan.carries.iter().find(|c| c.0 == m.config.id).map_or(0, |c| c.1);
                format!("{}:{}kB", m.config.name, bytes / 1024)
            };
            let carried: Vec<String> = self.members.iter().map(carried).collect();
            turn.say(
                Level::Info,
                format!(
                    "bond {}: rebalanced (now carrying: {})",
                    self.config.name,
                    carried.join(" and ")
                ),
            );
        }
    }

    fn publish(&mut self, turn: &mut Turn) {
        let mut table = self.table();
        match &self.published {
            Some(last) => {
                table.generation = last.generation;
                if table == **last {
                    return;
                }
                table.generation += 1;
            }
            None => table.generation = 1,
        }
        let table = Arc::new(table);
        self.published = Some(Arc::clone(&table));
        turn.publish = Some(table);
    }

    fn output_rule(&self) -> OutputRule {
        let (basis, recirc_id) = (self.config.hash_basis, self.config.recirc_id);
        match (self.lacp_state(), self.config.mode) {
            (LacpState::Configured, _) if !self.config.lacp_fallback_ab => OutputRule::Drop,
            (LacpState::Configured, _) | (_, Mode::ActiveBackup) => OutputRule::Active,
            (LacpState::Off | LacpState::Negotiated, Mode::BalanceSlb) => OutputRule::Slb { basis },
            (LacpState::Off, Mode::BalanceTcp) => OutputRule::Drop,
            (LacpState::Negotiated, Mode::BalanceTcp) if self.config.lb_output => {
                OutputRule::LbOutput { basis, recirc_id }
            }
            (LacpState::Negotiated, Mode::BalanceTcp) => OutputRule::Recirc { basis, recirc_id },
        }
    }

    fn admission(&self, m: &Member) -> Admission {
        let active = self.active == Some(m.config.id);
        let if_active = if active { Admission::Open } else { Admission::Closed };
        match (self.lacp_state(), self.config.mode) {
            // The partner knows of the bond and does the right thing. It may do so a moment
            // before the member is enabled.
            (LacpState::Negotiated, _) if m.enabled() || m.may_enable() => Admission::Open,
            (LacpState::Negotiated, _) => Admission::Closed,
            (LacpState::Configured, _) if !self.config.lacp_fallback_ab => Admission::Closed,
            (LacpState::Off, Mode::BalanceTcp) => Admission::Closed,
            (LacpState::Configured, Mode::BalanceTcp) | (_, Mode::ActiveBackup) => if_active,
            (LacpState::Configured | LacpState::Off, Mode::BalanceSlb) => {
                if active || self.config.all_members_active {
                    Admission::UnlessMoved
                } else {
                    Admission::Unicast
                }
            }
        }
    }

    /// What packets should do, but for the generation.
    fn table(&self) -> Forwarding {
        let output = self.output_rule();
        let buckets = match output {
            OutputRule::Drop => [None; BUCKETS],
            OutputRule::Active => [self.active.filter(|&id| self.is_enabled(id)); BUCKETS],
            OutputRule::Slb { .. } | OutputRule::Recirc { .. } | OutputRule::LbOutput { .. } => {
                *self.buckets.owners()
            }
        };
        let mut admission: Vec<_> =
            self.members.iter().map(|m| (m.config.id, self.admission(m))).collect();
        admission.sort_unstable_by_key(|a| a.0);
        Forwarding { generation: 0, output, buckets, admission }
    }

    /// Learning packets help where the other end does not know of the bond.
    fn may_send_learning_packets(&self) -> bool {
        let unaware = match self.lacp_state() {
            LacpState::Off => self.config.mode != Mode::BalanceTcp,
            LacpState::Configured => self.config.lacp_fallback_ab,
            LacpState::Negotiated => false,
        };
        unaware && self.active.is_some()
    }
}

/// A member's address, before and after.
struct MacOf {
    old: EthAddr,
    new: EthAddr,
}
