//! The engine against a model so small that it is plainly right.
//!
//! The model knows carriers, delays and commands, and says who is enabled and who is active.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use bond::{
    Bond, BondConfig, Command, Effect, Event, LacpMemberConfig, LacpTime, MemberConfig, MemberId,
    Mode, Monitor, Speed,
};
use common::{Rig, config, lacp, member, ms};
use proptest::prelude::*;
use wire::{EthAddr, Time};

const MEMBERS: u32 = 4;

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        any::<u64>().prop_map(Duration::from_nanos),
        (0..5000u64).prop_map(ms),
    ]
}

fn any_config() -> impl Strategy<Value = BondConfig> {
    let delays = [any_duration(), any_duration(), any_duration(), any_duration()];
    let members = prop::collection::vec((0..6u32, any::<i32>(), any::<[u16; 3]>()), 0..6);
    (delays, members, any::<[u8; 8]>()).prop_map(|(delays, members, random)| BondConfig {
        mode: [Mode::ActiveBackup, Mode::BalanceSlb, Mode::BalanceTcp][usize::from(random[0] % 3)],
        updelay: delays[0],
        downdelay: delays[1],
        failback_delay: delays[2],
        rebalance_interval: delays[3],
        failback_limit: u32::from(random[1] % 3),
        lacp: (random[2] & 1 == 0).then(|| lacp(random[2] & 2 == 0, LacpTime::Fast)),
        lacp_fallback_ab: random[3] & 1 == 0,
        primary: (random[4] & 1 == 0).then(|| "p3".to_owned()),
        recirc_id: u32::from(random[5] % 2),
        members: members
            .into_iter()
            .map(|(n, priority, [port_id, port_priority, key])| MemberConfig {
                priority,
                lacp: LacpMemberConfig { port_id, port_priority, key },
                ..member(n)
            })
            .collect(),
        ..config(Mode::ActiveBackup, 0)
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let id = (0..6u32).prop_map(MemberId);
    let pdu = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..130),
        // One that parses, with anything in it.
        prop::collection::vec(any::<u8>(), 110).prop_map(|mut pdu| {
            (pdu[0], pdu[2], pdu[3], pdu[22], pdu[23]) = (1, 1, 20, 2, 20);
            pdu
        }),
    ];
    prop_oneof![
        any_config().prop_map(|c| Event::Configure(Box::new(c))),
        (id.clone(), any::<bool>()).prop_map(|(member, up)| Event::Carrier { member, up }),
        (id.clone(), any::<Option<(u64, bool)>>()).prop_map(|(member, speed)| {
            let speed = speed.map(|(mbps, full_duplex)| Speed { mbps, full_duplex });
            Event::LinkParams { member, speed }
        }),
        (id.clone(), any::<Option<bool>>()).prop_map(|(member, up)| Event::Monitor {
            member,
            monitor: Monitor::Cfm,
            up
        }),
        (id.clone(), pdu).prop_map(|(member, pdu)| Event::Lacpdu { member, pdu }),
        (id, any::<u64>()).prop_map(|(member, n)| Event::Mac { member, mac: EthAddr::from_u64(n) }),
        any::<u64>().prop_map(|n| {
            let bytes = std::array::from_fn(|i| n.rotate_left(i as u32));
            Event::Load { bytes: Box::new(bytes) }
        }),
        Just(Event::Deadline),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Carrier(u32, bool),
    Wait(u64),
    SetActive(u32),
    Enable(u32),
    Disable(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 1..=MEMBERS;
    prop_oneof![
        6 => (member.clone(), any::<bool>()).prop_map(|(m, up)| Step::Carrier(m, up)),
        4 => prop_oneof![Just(0), Just(1), 1..400u64].prop_map(Step::Wait),
        1 => member.clone().prop_map(Step::SetActive),
        1 => member.clone().prop_map(Step::Enable),
        1 => member.prop_map(Step::Disable),
    ]
}

/// One member: its carrier, whether it is enabled, and since when the two have differed.
#[derive(Clone, Debug, Default)]
struct M {
    carrier: Option<bool>,
    enabled: bool,
    differs_since: Option<u64>,
}

#[derive(Debug)]
struct Model {
    now: u64,
    updelay: u64,
    downdelay: u64,
    primary: Option<u32>,
    members: BTreeMap<u32, M>,
    active: Option<u32>,
}

impl Model {
    fn settle(&mut self) {
        for m in self.members.values_mut() {
            let carrier = m.carrier == Some(true);
            if carrier == m.enabled {
                m.differs_since = None;
                continue;
            }
            let since = *m.differs_since.get_or_insert(self.now);
            let delay = if carrier { self.updelay } else { self.downdelay };
            if self.now >= since + delay {
                m.enabled = carrier;
                m.differs_since = None;
            }
        }
        let enabled = |id: &u32| self.members[id].enabled;
        let primary = self.primary.filter(enabled);
        let first = self.members.keys().copied().find(enabled);
        self.active = primary.or(self.active.filter(enabled)).or(first);
        if self.active.is_none() {
            // The one that has waited longest need not wait any more.
            let waiting = self.members.iter().filter(|(_, m)| m.carrier == Some(true));
            if let Some((&id, _)) = waiting.min_by_key(|(_, m)| m.differs_since) {
                self.active = Some(id);
                let m = self.members.get_mut(&id).unwrap();
                (m.enabled, m.differs_since) = (true, None);
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Carrier(id, up) => {
                let m = self.members.get_mut(&id).unwrap();
                // What is up when first heard of needs no delay.
                if m.carrier.replace(up).is_none() && up {
                    (m.enabled, m.differs_since) = (true, None);
                }
            }
            Step::Wait(millis) => {
                for _ in 0..millis {
                    self.now += 1;
                    self.settle();
                }
            }
            Step::SetActive(id) => {
                if self.members[&id].enabled {
                    self.active = Some(id);
                }
            }
            Step::Enable(id) | Step::Disable(id) => {
                let m = self.members.get_mut(&id).unwrap();
                (m.enabled, m.differs_since) = (matches!(step, Step::Enable(_)), None);
            }
        }
        self.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_events_never_panic_or_spin(
        events in prop::collection::vec((any_event(), any_duration()), 1..40),
    ) {
        let mut bond = Bond::new("bond0");
        let mut now = Time::ZERO;
        for (event, pause) in events {
            // An LACPDU leaves deadlines that have come to `Deadline`.
            let leaves = matches!(event, Event::Lacpdu { .. });
            for event in [Some(event), leaves.then_some(Event::Deadline)].into_iter().flatten() {
                bond.handle(now, event);
                let mut tables = 0;
                while let Some(effect) = bond.poll_effect() {
                    tables += usize::from(matches!(effect, Effect::Publish(_)));
                }
                prop_assert!(tables <= 1);
            }
            if now < Time::from_nanos(u64::MAX) {
                prop_assert!(bond.next_deadline().is_none_or(|t| t > now));
            }
            prop_assert!(bond.status(now).render_show().ends_with("\n\n"));
            if let Some(lacp) = bond.lacp_status() {
                prop_assert!(lacp.render_show().len() + lacp.render_stats().len() > 20);
            }
            let name = "p3".to_owned();
            let _ = bond.command(now, Command::EnableMember { member: name });
            while bond.poll_effect().is_some() {}
            now = now + pause;
        }
    }

    #[test]
    fn engine_random_events_agree_with_model(
        steps in prop::collection::vec(step(), 1..60),
        updelay in prop_oneof![Just(0), 1..300u64],
        downdelay in prop_oneof![Just(0), 1..300u64],
        primary in prop::option::of(1..=MEMBERS),
        slb in any::<bool>(),
    ) {
        let mode = if slb { Mode::BalanceSlb } else { Mode::ActiveBackup };
        let primary = primary.filter(|_| !slb);
        let mut rig = Rig::new(BondConfig {
            updelay: ms(updelay),
            downdelay: ms(downdelay),
            primary: primary.map(|n| format!("p{n}")),
            ..config(mode, MEMBERS)
        });
        let members = (1..=MEMBERS).map(|id| (id, M::default())).collect();
        let mut model = Model { now: 0, updelay, downdelay, primary, members, active: None };

        for s in &steps {
            match s {
                Step::Carrier(id, up) => {
                    rig.handle(Event::Carrier { member: MemberId(*id), up: *up });
                }
                Step::Wait(millis) => {
                    rig.wait(*millis);
                }
                Step::SetActive(id) => {
                    let ok = rig.command(Command::SetActiveMember { member: format!("p{id}") });
                    prop_assert_eq!(ok.is_ok(), model.members[id].enabled);
                }
                Step::Enable(id) => {
                    let _ = rig.command(Command::EnableMember { member: format!("p{id}") });
                }
                Step::Disable(id) => {
                    let _ = rig.command(Command::DisableMember { member: format!("p{id}") });
                }
            }
            model.apply(s);
            let status = rig.status();
            let enabled: Vec<bool> = status.members.iter().map(|m| m.enabled).collect();
            let expected: Vec<bool> = model.members.values().map(|m| m.enabled).collect();
            prop_assert_eq!(enabled, expected, "enabled after {:?}", s);
            let expected = model.active.map(|n| format!("p{n}"));
            prop_assert_eq!(rig.active(), expected, "active after {:?}", s);

            // And packets do what the status says.
            let table = rig.table();
            let may = |id: MemberId| model.members[&id.0].enabled;
            if model.members.values().any(|m| m.enabled) {
                prop_assert!(table.buckets.iter().all(|b| b.is_some_and(may)));
            } else {
                prop_assert!(table.buckets.iter().all(Option::is_none));
            }
        }
    }
}
