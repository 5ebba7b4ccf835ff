//! A member whose link flaps for 0.1 to 0.25 s, at any moment of enslaving, reload of its driver or
//! reconfiguration of either end, always comes back, to both ends' tables.
//!
//! `FLAPS=10000 cargo test -p bond --test flap` tries as many random timings; `FLAP=N` replays one.

mod common;
#[path = "simulation/rng.rs"]
mod rng;

use std::collections::BTreeMap;
use std::time::Duration;

use bond::{AggregationConfig, BondConfig, Effect, Event, LacpConfig, LacpTime, MemberId, Mode};
use common::{Rig, config, lacp, ms};
use rng::Rng;
use wire::Time;

const DEFAULT_FLAPS: u64 = 300;

/// What is under way.
enum Message {
    /// An LACPDU arrives at an end.
    Pdu { to: usize, member: u32, pdu: Vec<u8> },
    /// An end is told what its device says by then, or notices nothing any more.
    Look { at: usize, member: u32 },
    /// The link goes down or up.
    Link { member: u32, up: bool },
    /// An end is configured anew.
    Configure { at: usize, config: Box<BondConfig> },
}

/// Two bonds, joined pairwise.
struct World {
    ends: [Rig; 2],
    now: Time,
    queue: BTreeMap<(Time, u64), Message>,
    sent: u64,
    up: BTreeMap<u32, bool>,
}

impl World {
    fn push(&mut self, after: Duration, message: Message) {
        self.sent += 1;
        self.queue.insert((self.now + after, self.sent), message);
    }

    fn run_until(&mut self, end: Time) {
        loop {
            let message = self.queue.keys().next().map(|k| k.0);
            let deadlines = self.ends.each_ref().map(|e| e.bond.next_deadline());
            let next = message.into_iter().chain(deadlines.into_iter().flatten()).min();
            let Some(at) = next.filter(|t| *t <= end) else { break };
            self.now = self.now.max(at);
            if message == Some(at) {
                let (_, message) = self.queue.pop_first().unwrap();
                self.deliver(message);
            } else {
                let due = if deadlines[0] == Some(at) { 0 } else { 1 };
                self.handle(due, Event::Deadline);
            }
        }
        self.now = end;
    }

    fn handle(&mut self, at: usize, event: Event) {
        self.ends[at].now = self.now;
        for effect in self.ends[at].handle(event) {
            if let Effect::SendLacpdu { member, pdu } = effect {
                let (to, member) = (1 - at, member.0);
                self.push(Duration::from_micros(200), Message::Pdu { to, member, pdu });
            }
        }
        self.ends[at].effects.clear();
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Pdu { to, member, pdu } => {
                // Lost where it is down at the time of arrival.
                if self.up.get(&member) == Some(&true) {
                    self.handle(to, Event::Lacpdu { member: MemberId(member), pdu });
                }
            }
            Message::Look { at, member } => {
                let up = self.up.get(&member) == Some(&true);
                self.handle(at, Event::Carrier { member: MemberId(member), up });
            }
            Message::Link { member, up } => _ = self.up.insert(member, up),
            Message::Configure { at, config } => {
                self.handle(at, Event::Configure(config));
            }
        }
    }

    /// The members that each end uses for traffic, by its table.
    fn used(&self) -> [Vec<u32>; 2] {
        self.ends.each_ref().map(|e| {
            let table = e.table();
            let mut used: Vec<u32> = table.buckets.iter().flatten().map(|m| m.0).collect();
            used.sort_unstable();
            used.dedup();
            used
        })
    }
}

fn end(rng: &mut Rng, at: usize, members: u32, time: LacpTime) -> BondConfig {
    let aggregation =
        AggregationConfig { coupled_control: !rng.one_in(3), ..AggregationConfig::default() };
    let system_id = ["aa:55:aa:55:00:00", "aa:66:aa:66:00:00"][at].parse().unwrap();
    BondConfig {
        lacp: Some(LacpConfig { system_id, aggregation, ..lacp(at == 0 || rng.one_in(2), time) }),
        updelay: ms(rng.pick(&[0, 0, 0, 50, 200])),
        downdelay: ms(rng.pick(&[0, 0, 0, 50, 200])),
        ..config(Mode::BalanceTcp, members)
    }
}

/// One random timing; the story of it.
fn flap(seed: u64) {
    let mut rng = Rng::new(seed);
    let members = rng.pick(&[2, 2, 3, 4]);
    let time = rng.pick(&[LacpTime::Fast, LacpTime::Fast, LacpTime::Slow]);
    let configs = [0, 1].map(|at| end(&mut rng, at, members, time));
    let start = Time::from_millis(1_000);
    // Enslaving: members come one by one, each end in its own time.
    let mut world = World {
        ends: configs.clone().map(|c| Rig::new(BondConfig { members: Vec::new(), ..c })),
        now: start,
        queue: BTreeMap::new(),
        sent: 0,
        up: (1..=members).map(|m| (m, true)).collect(),
    };
    let mut last = 0;
    for (at, config) in configs.iter().enumerate() {
        let mut when = rng.below(100);
        for n in 1..=members as usize {
            let so_far = BondConfig { members: config.members[..n].to_vec(), ..config.clone() };
            world.push(ms(when), Message::Configure { at, config: Box::new(so_far) });
            let told = when + rng.below(60);
            world.push(ms(told), Message::Look { at, member: u32::try_from(n).unwrap() });
            when += rng.below(150);
        }
        last = last.max(when);
    }
    // Later changes of the configuration: a driver is loaded anew, or a setting changes.
    let middle = rng.pick(&[500, 3_000, 40_000]);
    for _ in 0..rng.below(3) {
        let at = rng.pick(&[0, 1]);
        let config = configs[at].clone();
        let when = last + rng.below(middle);
        if rng.one_in(2) {
            let gone = rng.below(u64::from(members)) as usize;
            let mut without = config.clone();
            let member = without.members.remove(gone).id.0;
            world.push(ms(when), Message::Configure { at, config: Box::new(without) });
            let back = when + rng.below(400);
            world.push(ms(back), Message::Configure { at, config: Box::new(config) });
            world.push(ms(back + rng.below(60)), Message::Look { at, member });
        } else {
            let mut changed = config.clone();
            changed.lacp.as_mut().unwrap().system_priority = rng.pick(&[7, 65534]);
            world.push(ms(when), Message::Configure { at, config: Box::new(changed) });
            world.push(
                ms(when + rng.below(400)),
                Message::Configure { at, config: Box::new(config) },
            );
        }
    }
    // The flaps, which each end hears of late, or not at all as long as it ends with the truth.
    for _ in 0..=rng.below(3) {
        let member = 1 + u32::try_from(rng.below(u64::from(members))).unwrap();
        let down = rng.below(last + middle);
        let up = down + 100 + rng.below(151);
        world.push(ms(down), Message::Link { member, up: false });
        world.push(ms(up), Message::Link { member, up: true });
        for at in [0, 1] {
            let late = rng.pick(&[1, 30, 300, 1000]);
            if !rng.one_in(4) {
                world.push(ms(down + rng.below(late)), Message::Look { at, member });
            }
            world.push(ms(up + rng.below(late)), Message::Look { at, member });
        }
    }
    // Overlapping flaps of one member leave its link up, and each end knows.
    let quiet = last + middle + 2_000;
    for member in 1..=members {
        world.push(ms(quiet), Message::Link { member, up: true });
        for at in [0, 1] {
            world.push(ms(quiet + 1), Message::Look { at, member });
        }
    }
    let period = match time {
        LacpTime::Fast => 1_000,
        LacpTime::Slow => 30_000,
    };
    // Expired after three periods, defaulted 3 s later, and one more period to be heard.
    world.run_until(start + ms(quiet + 4 * period + 5_000));
    let all: Vec<u32> = (1..=members).collect();
    assert_eq!(world.used(), [all.clone(), all], "FLAP={seed} cargo test -p bond --test flap");
}

#[test]
fn flapping_members_always_come_back() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect(name));
    if let Some(seed) = number("FLAP") {
        return flap(seed);
    }
    for seed in 0..number("FLAPS").unwrap_or(DEFAULT_FLAPS) {
        flap(seed);
    }
}
