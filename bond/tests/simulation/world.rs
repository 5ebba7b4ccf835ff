//! A bond, what its members are plugged into, and the time that passes.
//!
//! ```text
//!               link 1..n: cut, or silent in one direction
//!    +--------+ ------------------------------------------ +---------------------+
//!    | Near   | ------------------------------------------ | a second bond, or a |
//!    | (bond) | ------------------------------------------ | switch that floods  |
//!    +--------+                                            +---------------------+
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash};
use std::time::Duration;

use bond::{
    BUCKETS, Bond, BondConfig, Command, CommandError, Effect, Event, Forwarding, LacpState,
    LacpTime, MemberId, Mode, RevalidateReason, Topic,
};
use wire::neighbour::Neighbour;
use wire::{EthAddr, Time};

use crate::checks;
use crate::notifications::{self, Notifications};
use crate::targets::Targets;

/// The longest that a change of the carrier takes to be reported, in milliseconds.
pub(crate) const DETECTION: u64 = 50;

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Which end of the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Near,
    Far,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Near => Side::Far,
            Side::Far => Side::Near,
        }
    }
}

/// What is true of a link, whatever the ends believe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// Since when there has been no carrier.
    pub(crate) cut: Option<Time>,
    /// The ends that hear nothing, though they see a carrier.
    pub(crate) deaf: BTreeSet<Side>,
    /// Since when the switch's port has passed nothing on, though its carrier is up.
    pub(crate) dead: Option<Time>,
}

impl Link {
    /// Whether a frame reaches `side`.
    fn passes(&self, side: Side) -> bool {
        self.cut.is_none() && self.dead.is_none() && !self.deaf.contains(&side)
    }
}

/// One bond and what the world knows of it.
pub(crate) struct End {
    pub(crate) bond: Bond,
    pub(crate) config: BondConfig,
    /// What it wrote to the database.
    pub(crate) persisted: Option<EthAddr>,
    pub(crate) generation: u64,
    /// Until when what was heard of the partner counts, for each member.
    pub(crate) heard_until: BTreeMap<u32, Time>,
    /// When LACP last found its first partner, which ends a fallback.
    pub(crate) negotiated_since: Option<Time>,
    /// When an operator enabled a member by hand.
    pub(crate) by_command: BTreeMap<u32, Time>,
    /// The longest downdelay so far: one that runs is not shortened by a new configuration.
    pub(crate) downdelay: Duration,
    /// When the probes' configuration last changed: what is silent since before is judged anew.
    pub(crate) probing_since: Time,
    /// Probes have disabled or enabled a member so often.
    pub(crate) verdicts: u64,
    /// Buckets were moved by load or by hand: their numbers need not be even.
    pub(crate) moved: bool,
    pub(crate) bytes: Box<[u64; BUCKETS]>,
    pub(crate) notifications: Notifications,
    /// When each member sent its last three LACPDUs.
    pdus: BTreeMap<u32, VecDeque<Time>>,
}

impl End {
    pub(crate) fn new(config: BondConfig) -> End {
        End {
            bond: Bond::new(&config.name),
            downdelay: config.downdelay,
            config,
            persisted: None,
            generation: 0,
            heard_until: BTreeMap::new(),
            negotiated_since: None,
            by_command: BTreeMap::new(),
            probing_since: Time::ZERO,
            verdicts: 0,
            moved: false,
            bytes: Box::new([0; BUCKETS]),
            notifications: Notifications::default(),
            pdus: BTreeMap::new(),
        }
    }

    pub(crate) fn table(&self) -> &Forwarding {
        self.bond.forwarding().expect("configured")
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.config.members.iter().map(|m| m.id.0).collect()
    }

    /// How long LACP believes what it hears.
    fn lacp_timeout(&self) -> Duration {
        match self.config.lacp.as_ref().map(|l| l.time) {
            Some(LacpTime::Fast) => ms(3_000),
            Some(LacpTime::Slow) | None => ms(90_000),
        }
    }
}

/// Something on its way.
enum Message {
    /// An LACPDU for `side`.
    Pdu { side: Side, member: u32, pdu: Vec<u8> },
    /// `side` looks at the carrier.
    Look { side: Side, member: u32 },
    /// An answer to a probe of `side`.
    Answer { side: Side, member: u32, packet: Neighbour },
}

pub(crate) struct World {
    pub(crate) now: Time,
    /// `Far` is missing where the members are plugged into a switch.
    pub(crate) ends: BTreeMap<Side, End>,
    pub(crate) links: BTreeMap<u32, Link>,
    pub(crate) targets: Targets,
    /// Packets that each member of the near end has received.
    received: BTreeMap<u32, u64>,
    queue: BTreeMap<(Time, u64), Message>,
    sent: u64,
    /// Some end asked, at some time, for a PDU each 30 s only: timers of 90 s may run.
    pub(crate) ever_slow: bool,
    /// Of all effects so far.
    pub(crate) digest: DefaultHasher,
    pub(crate) calls: u64,
    /// What happened, for the report of a failure.
    pub(crate) story: Vec<String>,
}

impl World {
    pub(crate) fn new(near: BondConfig, far: Option<BondConfig>) -> World {
        let links = near.members.iter().map(|m| (m.id.0, Link::default())).collect();
        let ends = [(Side::Near, Some(near)), (Side::Far, far)];
        let ends = ends.into_iter().filter_map(|(s, c)| Some((s, End::new(c?)))).collect();
        let mut world = World {
            now: Time::from_millis(10_000),
            ends,
            links,
            targets: Targets::default(),
            received: BTreeMap::new(),
            queue: BTreeMap::new(),
            sent: 0,
            ever_slow: false,
            digest: DefaultHasher::new(),
            calls: 0,
            story: Vec::new(),
        };
        for side in world.sides() {
            world.reconfigure(side, |_| {});
            for id in world.ends[&side].ids() {
                world.send(Duration::ZERO, Message::Look { side, member: id });
            }
        }
        world
    }

    pub(crate) fn sides(&self) -> Vec<Side> {
        self.ends.keys().copied().collect()
    }

    pub(crate) fn near(&self) -> &End {
        &self.ends[&Side::Near]
    }

    pub(crate) fn tell(&mut self, text: String) {
        self.story.push(format!("{:>9.3} s  {text}", self.now.as_millis() as f64 / 1000.0));
    }

    fn send(&mut self, delay: Duration, message: Message) {
        self.sent += 1;
        self.queue.insert((self.now + delay, self.sent), message);
    }

    /// Plugs a link in or out. Each end sees it a little later.
    pub(crate) fn plug(&mut self, member: u32, up: bool, delays: [u64; 2]) {
        let Some(link) = self.links.get_mut(&member) else { return };
        if up {
            link.cut = None;
        } else {
            link.cut.get_or_insert(self.now);
        }
        self.tell(format!("link {member} {}", if up { "in" } else { "out" }));
        for (side, delay) in [Side::Near, Side::Far].into_iter().zip(delays) {
            self.send(ms(delay.min(DETECTION)), Message::Look { side, member });
        }
    }

    /// Changes a configuration and applies it.
    pub(crate) fn reconfigure(&mut self, side: Side, change: impl FnOnce(&mut BondConfig)) {
        let Some(end) = self.ends.get_mut(&side) else { return };
        let before = end.config.clone();
        change(&mut end.config);
        end.downdelay = end.downdelay.max(end.config.downdelay);
        if end.config.notify != before.notify {
            end.notifications.reconfigured();
        }
        if before.probe != end.config.probe || end.generation == 0 {
            end.probing_since = self.now;
        }
        let config = end.config.clone();
        let time = config.lacp.as_ref().map(|l| l.time);
        self.ever_slow |= time == Some(LacpTime::Slow);
        let known = end.generation > 0;
        let unchanged = known && config == before;
        let ids = end.ids();
        end.pdus.retain(|id, _| ids.contains(id));
        let effects = self.handle(side, Event::Configure(Box::new(config.clone())));
        assert!(!unchanged || effects == 0, "the same configuration again did something");
        for m in &config.members {
            if !before.members.contains(m) {
                self.links.entry(m.id.0).or_default();
                self.send(Duration::ZERO, Message::Look { side, member: m.id.0 });
            }
        }
    }

    /// The process dies and comes back; only the database survives.
    pub(crate) fn restart(&mut self, side: Side) {
        let Some(end) = self.ends.get_mut(&side) else { return };
        let mut config = end.config.clone();
        config.active_member_mac = end.persisted;
        *end = End { persisted: end.persisted, ..End::new(config) };
        self.tell(format!("{side:?} restarts"));
        self.reconfigure(side, |_| {});
        for id in self.ends[&side].ids() {
            self.send(Duration::ZERO, Message::Look { side, member: id });
        }
    }

    pub(crate) fn command(
        &mut self,
        side: Side,
        command: Command,
    ) -> Option<Result<Cow<'static, str>, CommandError>> {
        self.tell(format!("{side:?}: {command:?}"));
        let now = self.now;
        let end = self.ends.get_mut(&side)?;
        if let Command::EnableMember { member } = &command
            && let Some(m) = end.config.members.iter().find(|m| m.name == *member)
        {
            end.by_command.insert(m.id.0, now);
        }
        end.moved |= matches!(command, Command::Migrate { .. });
        let answer = end.bond.command(now, command);
        self.drain(side);
        Some(answer)
    }

    /// Sends bytes through the buckets and reports them.
    pub(crate) fn load(&mut self, side: Side, bytes: impl Fn(usize) -> u64) {
        let Some(end) = self.ends.get_mut(&side) else { return };
        for (bucket, sum) in end.bytes.iter_mut().enumerate() {
            *sum += bytes(bucket);
        }
        let bytes = end.bytes.clone();
        self.handle(side, Event::Load { bytes });
    }

    /// The number of effects that it had.
    fn handle(&mut self, side: Side, event: Event) -> usize {
        let now = self.now;
        let Some(end) = self.ends.get_mut(&side) else { return 0 };
        let lost = match event {
            Event::Carrier { member, up: false } => Some(member),
            _ => None,
        };
        let before = end.bond.forwarding().cloned();
        let expected = lost.and_then(|m| end.bond.forwarding_without(now, m)).or(before);
        end.bond.handle(now, event);
        if lost.is_some() {
            assert_eq!(end.bond.forwarding(), expected.as_ref(), "{side:?}: as was foretold");
        }
        self.drain(side)
    }

    fn drain(&mut self, side: Side) -> usize {
        self.calls += 1;
        let mut effects = Vec::new();
        while let Some(effect) = self.ends.get_mut(&side).and_then(|e| e.bond.poll_effect()) {
            match &effect {
                // Its text would be long.
                Effect::Publish(table) => {
                    table.buckets.hash(&mut self.digest);
                    format!("{:?} {:?}", table.output, table.admission).hash(&mut self.digest);
                }
                Effect::SendLacpdu { member, pdu } => (member, pdu).hash(&mut self.digest),
                _ => format!("{effect:?}").hash(&mut self.digest),
            }
            self.apply(side, effect.clone(), effects.len());
            effects.push(effect);
        }
        if let Some(end) = self.ends.get_mut(&side) {
            notifications::check(end, side, self.now, &effects);
            match end.bond.lacp_state() {
                LacpState::Negotiated => _ = end.negotiated_since.get_or_insert(self.now),
                LacpState::Configured | LacpState::Off => end.negotiated_since = None,
            }
        }
        checks::after_each_call(self, side);
        effects.len()
    }

    fn apply(&mut self, side: Side, effect: Effect, position: usize) {
        let Some(end) = self.ends.get_mut(&side) else { return };
        match effect {
            Effect::Publish(table) => {
                assert_eq!(position, 0, "something came before the table");
                assert_eq!(table.generation, end.generation + 1, "generations grow one by one");
                end.generation = table.generation;
            }
            Effect::SendLacpdu { member, pdu } => {
                let times = end.pdus.entry(member.0).or_default();
                times.push_back(self.now);
                if times.len() > 3 {
                    let first = times.pop_front().expect("four");
                    assert!(self.now >= first + ms(1000), "{side:?}: four PDUs within a second");
                }
                let side = side.other();
                self.send(Duration::from_micros(50), Message::Pdu { side, member: member.0, pdu });
            }
            Effect::SendProbe { member, frame } => {
                let member = member.0;
                let works = self.links.get(&member).is_some_and(|l| l.passes(side.other()));
                if works && let Some((delay, packet)) = self.targets.answer(&frame) {
                    self.send(delay, Message::Answer { side, member, packet });
                }
            }
            Effect::PersistActiveMember(mac) => end.persisted = Some(mac).filter(|m| !m.is_zero()),
            Effect::Revalidate(RevalidateReason::Rebalanced) => end.moved = true,
            Effect::Revalidate(_)
            | Effect::SendMarker { .. }
            | Effect::NotifyPeers(_)
            | Effect::LacpCurrent { .. }
            // No device of this world tells its speed.
            | Effect::QueryLink { .. }
            | Effect::Loopback { .. } => {}
            Effect::Notice(notice) => {
                end.verdicts += u64::from(notice.topic == Topic::Probe);
                self.story.push(format!("                 {side:?}: {}", notice.text));
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Pdu { side, member, pdu } => {
                let Some(link) = self.links.get(&member) else { return };
                let Some(end) = self.ends.get_mut(&side) else { return };
                if !link.passes(side) {
                    return;
                }
                end.heard_until.insert(member, self.now + end.lacp_timeout());
                self.handle(side, Event::Lacpdu { member: MemberId(member), pdu });
            }
            Message::Answer { side, member, packet } => {
                if self.links.get(&member).is_some_and(|l| l.passes(side)) {
                    *self.received.entry(member).or_default() += 1;
                    self.handle(side, Event::Neighbour { member: MemberId(member), packet });
                }
            }
            Message::Look { side, member } => {
                let up = self.links.get(&member).is_some_and(|l| l.cut.is_none());
                self.handle(side, Event::Carrier { member: MemberId(member), up });
            }
        }
    }

    /// Lets time pass: messages arrive, bonds wake at their deadlines.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let message = self.queue.keys().next().copied();
            let wake = self
                .ends
                .iter()
                .filter_map(|(&side, e)| Some((e.bond.next_deadline()?, side)))
                .min();
            match (message, wake) {
                (Some(key), wake) if key.0 <= end && wake.is_none_or(|w| key.0 <= w.0) => {
                    self.now = self.now.max(key.0);
                    let message = self.queue.remove(&key).expect("it is the first");
                    self.deliver(message);
                }
                (_, Some((at, side))) if at <= end => {
                    self.now = self.now.max(at);
                    if self.ends[&side].bond.wants_traffic() {
                        for id in self.ends[&side].ids() {
                            let rx_packets = self.received.get(&id).copied().unwrap_or(0);
                            let member = MemberId(id);
                            self.handle(side, Event::Traffic { member, rx_packets });
                        }
                    }
                    self.handle(side, Event::Deadline);
                    let next = self.ends[&side].bond.next_deadline();
                    assert!(next.is_none_or(|t| t > self.now), "{side:?} does not get on");
                }
                (_, _) => break,
            }
        }
        self.now = end;
        for side in self.sides() {
            checks::after_each_call(self, side);
        }
    }

    /// The links over which both ends can talk.
    pub(crate) fn live(&self) -> Vec<u32> {
        let at_all_ends = |id: &u32| self.ends.values().all(|e| e.ids().contains(id));
        let works = |l: &Link| l.cut.is_none() && l.deaf.is_empty() && l.dead.is_none();
        let live = self.links.iter().filter(|(id, l)| works(l) && at_all_ends(id));
        live.map(|(&id, _)| id).collect()
    }

    /// Somebody answers LACP.
    pub(crate) fn has_partner(&self) -> bool {
        self.ends.contains_key(&Side::Far)
    }

    pub(crate) fn is_active_backup(&self, side: Side) -> bool {
        self.ends[&side].config.mode == Mode::ActiveBackup
    }
}
