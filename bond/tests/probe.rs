//! Probes: which member reaches the targets, and what the bond makes of it.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bond::monitor::probe::{Evidence, ProbeConfig, Quorum, Role, Validate};
use bond::{BondConfig, Effect, Event, MemberId, Mode};
use common::{Rig, config, enabled, mac, ms, published, texts};
use wire::neighbour::{Neighbour, link_local};
use wire::{EthAddr, EtherType, Time};

const INTERVAL: u64 = 100;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn probes(targets: &[&str]) -> ProbeConfig {
    ProbeConfig {
        interval: ms(INTERVAL),
        targets: targets.iter().map(|t| ip(t)).collect(),
        validate: Validate::All,
        ..ProbeConfig::default()
    }
}

fn probed(probe: ProbeConfig) -> BondConfig {
    BondConfig { probe, ..config(Mode::ActiveBackup, 2) }
}

/// A bond whose members lead to stations.
struct Wire {
    rig: Rig,
    /// The stations that each member reaches.
    reaches: BTreeMap<u32, BTreeSet<IpAddr>>,
    /// Packets of strangers that each member receives between two steps.
    strangers: BTreeSet<u32>,
    rx: BTreeMap<u32, u64>,
    /// What each member has sent.
    sent: Vec<(Time, u32, Vec<u8>)>,
    log: Vec<String>,
}

impl Wire {
    fn new(probe: ProbeConfig) -> Wire {
        Wire::of(probed(probe))
    }

    fn of(config: BondConfig) -> Wire {
        let reaches: BTreeSet<IpAddr> = config.probe.targets.iter().copied().collect();
        let mut rig = Rig::new(config);
        for id in [1, 2] {
            rig.carrier(id, true);
        }
        let effects = std::mem::take(&mut rig.effects);
        let mut wire = Wire {
            rig,
            reaches: [(1, reaches.clone()), (2, reaches)].into(),
            strangers: BTreeSet::new(),
            rx: BTreeMap::new(),
            sent: Vec::new(),
            log: Vec::new(),
        };
        wire.carry_out(&effects);
        wire
    }

    fn carry_out(&mut self, effects: &[Effect]) {
        self.log.extend(texts(effects));
        for effect in effects {
            let Effect::SendProbe { member, frame } = effect else { continue };
            self.sent.push((self.rig.now, member.0, frame.clone()));
            let asked = Neighbour::of(&wire::extract(frame, 0)).expect("a request");
            assert!(!asked.answer);
            if self.reaches[&member.0].contains(&asked.to) {
                *self.rx.entry(member.0).or_default() += 1;
                let station = wire::extract(frame, 0).eth_src;
                let answer = Neighbour {
                    answer: true,
                    from: asked.to,
                    to: asked.from,
                    dst: station,
                    station,
                    vid: asked.vid,
                };
                self.receive(member.0, answer);
            }
        }
    }

    fn receive(&mut self, member: u32, packet: Neighbour) {
        let effects = self.rig.handle(Event::Neighbour { member: MemberId(member), packet });
        self.carry_out(&effects);
    }

    /// Lets time pass; answers come at once.
    fn wait(&mut self, millis: u64) {
        let end = self.rig.now + ms(millis);
        while let Some(at) = self.rig.bond.next_deadline().filter(|t| *t <= end) {
            self.rig.now = at.max(self.rig.now);
            for id in self.strangers.clone() {
                *self.rx.entry(id).or_default() += 1;
            }
            if self.rig.bond.wants_traffic() {
                for id in [1, 2] {
                    let rx_packets = self.rx.get(&id).copied().unwrap_or(0);
                    let event = Event::Traffic { member: MemberId(id), rx_packets };
                    let effects = self.rig.handle(event);
                    self.carry_out(&effects);
                }
            }
            let effects = self.rig.handle(Event::Deadline);
            self.carry_out(&effects);
        }
        self.rig.now = end;
    }

    /// Waits until a member is enabled, or not; how long that took.
    fn until(&mut self, member: usize, is: bool) -> u64 {
        for waited in 0..100_000 {
            if enabled(&self.rig)[member - 1] == is {
                return waited;
            }
            self.wait(1);
        }
        panic!("member {member} never: {:?}", self.log);
    }

    fn silence(&mut self, member: u32) {
        self.reaches.insert(member, BTreeSet::new());
    }

    fn mend(&mut self, member: u32) {
        let targets = self.rig.bond.probes().map_or(Vec::new(), |p| p.targets.clone());
        self.reaches.insert(member, targets.into_iter().collect());
    }
}

#[test]
fn every_member_asks_from_its_own_address_at_the_interval() {
    let mut w = Wire::new(ProbeConfig { vid: Some(20), ..probes(&["10.0.0.1", "fe80::1"]) });
    w.sent.clear();
    w.wait(1000);
    for id in [1, 2] {
        let of = |want: u16| {
            let key = |f: &[u8]| wire::extract(f, 0);
            let all = w.sent.iter().filter(|s| s.1 == id).map(|s| key(&s.2));
            all.filter(|k| k.eth_type == want).collect::<Vec<_>>()
        };
        let (arp, nd) = (of(EtherType::ARP), of(EtherType::IPV6));
        assert_eq!((arp.len(), nd.len()), (10, 10));
        assert!(arp.iter().all(|k| k.eth_src == mac(id) && k.ipv4_src() == [0; 4]));
        assert!(nd.iter().all(|k| k.nw_src == link_local(mac(id)).octets()));
        assert!(arp.iter().chain(&nd).all(|k| k.vlan[0].vid() == 20));
    }
    assert_eq!(enabled(&w.rig), [true, true]);
    assert_eq!(w.rig.active().as_deref(), Some("p1"));
}

#[test]
fn an_address_that_a_station_behind_the_bond_has_is_not_sent_from() {
    let w = Wire::new(ProbeConfig { taken: [mac(1)].into(), ..probes(&["10.0.0.1"]) });
    let sources: Vec<EthAddr> = w.sent.iter().map(|s| wire::extract(&s.2, 0).eth_src).collect();
    assert_eq!(sources, [EthAddr([0x42, 0, 0, 0, 0, 1]), mac(2)]);
    assert_eq!(w.rig.status().members[0].probe.as_ref().unwrap().answers, 1);
}

#[test]
fn a_silent_port_is_left_within_missed_max_and_a_half_intervals() {
    for missed_max in [1, 2, 3, 10] {
        for at in [0, 1, 30, 50, 99] {
            let mut w = Wire::new(ProbeConfig { missed_max, ..probes(&["10.0.0.1"]) });
            w.wait(1000 + at);
            w.silence(1);
            let took = w.until(1, false);
            let max = u64::from(missed_max) * INTERVAL + INTERVAL / 2;
            assert!(took <= max && took + INTERVAL >= max, "{missed_max}, {at}: {took} ms");
            assert_eq!(w.rig.active().as_deref(), Some("p2"));
        }
    }
}

#[test]
fn the_reason_stands_before_what_follows_from_it() {
    let mut w = Wire::new(probes(&["10.0.0.1", "10.0.0.2"]));
    w.wait(1000);
    w.log.clear();
    w.silence(1);
    w.until(1, false);
    let lost = [
        "member p1: no answer to 2 probes from 10.0.0.1, 10.0.0.2",
        "member p1: link state down",
        "member p1: disabled",
        "bond bond0: active member is now p2",
    ];
    assert_eq!(w.log, lost);
    let show = w.rig.status().render_show();
    assert!(show.contains("  probe: down, by answers, missed 2, answered 0 of 2\n"), "{show}");
    assert!(show.contains("  may_enable: false\n"), "{show}");
    let json = serde_json::to_value(w.rig.status()).unwrap();
    assert_eq!(json["members"][0]["probe"]["up"], false);
    assert_eq!(json["members"][0]["probe"]["targets"][1]["address"], "10.0.0.2");

    w.log.clear();
    w.mend(1);
    w.until(1, true);
    let back =
        ["member p1: probe answered by 10.0.0.1", "member p1: link state up", "member p1: enabled"];
    assert_eq!(w.log, back);
    assert_eq!(w.rig.active().as_deref(), Some("p2"), "without a primary it stays");
}

#[test]
fn the_primary_comes_back_as_failback_says() {
    let mut w = Wire::of(BondConfig {
        primary: Some("p1".to_owned()),
        failback_delay: ms(1000),
        ..probed(probes(&["10.0.0.1"]))
    });
    w.wait(500);
    w.silence(1);
    w.until(1, false);
    w.mend(1);
    let up = w.until(1, true);
    assert!((INTERVAL..=3 * INTERVAL).contains(&up), "{up} ms: two answers in a row");
    w.wait(990);
    assert_eq!(w.rig.active().as_deref(), Some("p2"));
    w.wait(20);
    assert_eq!(w.rig.active().as_deref(), Some("p1"));
}

#[test]
fn updelay_and_downdelay_come_on_top() {
    let delays =
        BondConfig { updelay: ms(300), downdelay: ms(200), ..probed(probes(&["10.0.0.1"])) };
    let mut w = Wire::of(delays);
    w.wait(1000);
    w.silence(1);
    assert_eq!(w.until(1, false), 250 + 200 - 1 + 1);
    w.mend(1);
    let up = w.until(1, true);
    assert!((400..=600).contains(&up), "{up} ms");
}

#[test]
fn a_target_that_answers_now_and_then_is_no_reason_to_flap() {
    // One answer for each `of` requests. Of the two that answer too rarely, the members go once.
    for (of, changes) in [(1, 0), (2, 0), (3, 1), (5, 1)] {
        let mut w = Wire::new(probes(&["10.0.0.1"]));
        let mut seen = vec![enabled(&w.rig)[0]];
        for round in 0..200 {
            if round % of == 0 {
                w.mend(1);
            } else {
                w.silence(1);
            }
            w.wait(INTERVAL);
            seen.push(enabled(&w.rig)[0]);
        }
        let flaps = seen.windows(2).filter(|p| p[0] != p[1]).count();
        assert_eq!(flaps, changes, "one of {of}: {:?}", w.log);
    }
}

#[test]
fn several_targets_and_a_quorum() {
    let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let cases = [
        (Quorum::Any, vec![c], true),
        (Quorum::Any, vec![], false),
        (Quorum::Number(2), vec![a, c], true),
        (Quorum::Number(2), vec![c], false),
        (Quorum::All, vec![a, b, c], true),
        (Quorum::All, vec![a, b], false),
        (Quorum::Number(9), vec![a, b], false),
        (Quorum::Number(9), vec![a, b, c], true),
    ];
    for (quorum, reached, stays) in cases {
        let mut w = Wire::new(ProbeConfig { quorum, ..probes(&[a, b, c]) });
        w.wait(500);
        w.reaches.insert(1, reached.iter().map(|t| ip(t)).collect());
        w.wait(2000);
        assert_eq!(enabled(&w.rig), [stays, true], "{quorum:?} {reached:?}");
    }
}

#[test]
fn only_answers_to_our_own_requests_count() {
    let target = ip("10.0.0.1");
    let good = Neighbour {
        answer: true,
        from: target,
        to: ip("0.0.0.0"),
        dst: mac(1),
        station: mac(1),
        vid: 0,
    };
    let lies = [
        Neighbour { from: ip("10.0.0.2"), ..good },
        Neighbour { to: ip("10.0.0.9"), ..good },
        Neighbour { dst: mac(2), station: mac(2), ..good },
        Neighbour { answer: false, ..good },
        Neighbour { vid: 7, ..good },
    ];
    for (packet, alive) in lies.into_iter().map(|l| (l, false)).chain([(good, true)]) {
        let mut w = Wire::new(probes(&["10.0.0.1"]));
        w.silence(1);
        for _ in 0..20 {
            w.wait(INTERVAL / 2);
            w.receive(1, packet);
        }
        assert_eq!(enabled(&w.rig), [alive, true], "{packet:?}");
    }
}

#[test]
fn validate_says_what_counts_for_which_role() {
    use Evidence::{Answers, Neighbours, Traffic};
    let table = [
        (Validate::None, Traffic, Traffic),
        (Validate::Active, Answers, Traffic),
        (Validate::Backup, Traffic, Answers),
        (Validate::All, Answers, Answers),
        (Validate::Filter, Neighbours, Neighbours),
        (Validate::FilterActive, Answers, Neighbours),
        (Validate::FilterBackup, Neighbours, Answers),
    ];
    for (validate, active, backup) in table {
        assert_eq!(validate.evidence(Role::Active), active);
        assert_eq!(validate.evidence(Role::Backup), backup);
        // The active member hears strangers only, then ARP of strangers only, then nothing.
        for (strangers, arp) in [(true, false), (true, true), (false, false)] {
            let mut w = Wire::new(ProbeConfig { validate, ..probes(&["10.0.0.1"]) });
            w.wait(1000);
            w.silence(1);
            w.strangers = strangers.then_some(1).into_iter().collect();
            for _ in 0..20 {
                w.wait(INTERVAL / 2);
                if arp {
                    let stranger = ip("10.9.9.9");
                    let (dst, station) = (EthAddr::BROADCAST, EthAddr::ZERO);
                    let to = ip("10.8.8.8");
                    let request =
                        Neighbour { answer: false, from: stranger, to, dst, station, vid: 0 };
                    w.receive(1, request);
                }
                if w.rig.active().as_deref() != Some("p1") {
                    break;
                }
            }
            let stays = match active {
                Traffic => strangers,
                Neighbours => arp,
                Answers => false,
            };
            let expected = if stays { "p1" } else { "p2" };
            assert_eq!(w.rig.active().as_deref(), Some(expected), "{validate:?}: {:?}", w.log);
        }
    }
}

#[test]
fn in_a_mode_that_balances_every_member_is_active() {
    let slb = BondConfig {
        probe: ProbeConfig { validate: Validate::Active, ..probes(&["10.0.0.1"]) },
        ..config(Mode::BalanceSlb, 2)
    };
    let mut w = Wire::of(slb);
    w.wait(1000);
    w.silence(2);
    w.strangers = [1, 2].into();
    w.until(2, false);
    assert_eq!(w.rig.counts(2), [256, 0]);
    w.mend(2);
    w.until(2, true);
    assert_eq!(w.rig.counts(2), [128, 128]);
}

#[test]
fn when_no_member_is_answered_the_bond_is_down_as_in_linux() {
    let mut w = Wire::new(probes(&["10.0.0.1"]));
    w.wait(1000);
    w.silence(1);
    w.silence(2);
    w.wait(1000);
    assert_eq!(enabled(&w.rig), [false, false]);
    assert_eq!(w.rig.active(), None);
    w.mend(2);
    w.until(2, true);
    assert_eq!(w.rig.active().as_deref(), Some("p2"));
}

#[test]
fn a_member_whose_carrier_returns_has_to_prove_itself_once() {
    let mut w =
        Wire::of(BondConfig { primary: Some("p1".into()), ..probed(probes(&["10.0.0.1"])) });
    w.wait(1000);
    w.rig.carrier(1, false);
    w.sent.clear();
    w.wait(1000);
    assert!(w.sent.iter().all(|s| s.1 == 2), "nothing is sent without a carrier");

    // The port behind the cable is dead: the primary does not take over.
    w.silence(1);
    let effects = w.rig.carrier(1, true);
    assert!(published(&effects).is_none());
    w.carry_out(&effects);
    w.wait(3000);
    assert_eq!(w.rig.active().as_deref(), Some("p2"));
    w.mend(1);
    assert!(w.until(1, true) <= INTERVAL);
    assert_eq!(w.rig.active().as_deref(), Some("p1"));
}

#[test]
fn a_driver_that_was_stopped_finds_no_member_silent() {
    let mut w = Wire::new(probes(&["10.0.0.1"]));
    w.wait(1000);
    w.rig.now = w.rig.now + ms(60_000);
    let effects = w.rig.handle(Event::Deadline);
    w.carry_out(&effects);
    w.wait(1000);
    assert_eq!(enabled(&w.rig), [true, true]);
    assert!(w.log.iter().all(|l| !l.contains("probe")), "{:?}", w.log);
}

#[test]
fn options_change_while_the_bond_runs() {
    let mut w = Wire::of(probed(ProbeConfig::default()));
    assert_eq!(w.rig.bond.next_deadline(), None);
    w.reaches = [(1, BTreeSet::new()), (2, [ip("10.0.0.1"), ip("10.0.0.2")].into())].into();

    // On: members are trusted until their requests stay unanswered.
    let effects = w.rig.configure(probed(probes(&["10.0.0.1"])));
    w.carry_out(&effects);
    assert_eq!(enabled(&w.rig), [true, true]);
    w.wait(INTERVAL);
    assert_eq!(enabled(&w.rig), [true, true]);
    w.wait(2 * INTERVAL);
    assert_eq!(enabled(&w.rig), [false, true]);

    // Another target: the member that was up is trusted again, the other is not.
    let effects = w.rig.configure(probed(probes(&["10.0.0.2"])));
    w.carry_out(&effects);
    assert_eq!(enabled(&w.rig), [false, true]);
    w.wait(1000);
    assert_eq!(enabled(&w.rig), [false, true]);

    // The same again does nothing.
    assert!(w.rig.configure(probed(probes(&["10.0.0.2"]))).is_empty());

    // A longer interval that becomes short takes effect at once.
    let long = ProbeConfig { interval: ms(3_600_000), ..probes(&["10.0.0.2"]) };
    let effects = w.rig.configure(probed(long));
    w.carry_out(&effects);
    let effects = w.rig.configure(probed(probes(&["10.0.0.2"])));
    w.carry_out(&effects);
    w.silence(2);
    assert!(w.until(2, false) <= 3 * INTERVAL);

    // Off: only the carrier counts.
    w.rig.configure(probed(ProbeConfig::default()));
    assert_eq!(enabled(&w.rig), [true, true]);
    assert_eq!(w.rig.bond.next_deadline(), None);
    assert!(!w.rig.status().render_show().contains("probe"));
}
