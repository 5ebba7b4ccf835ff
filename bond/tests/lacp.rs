//! LACP between two bonds, and alone.

mod common;

use std::collections::BTreeSet;

use bond::lacp::{self, Lacp, MemberSettings, Settings};
use bond::{
    Admission, BondConfig, Effect, Event, LacpConfig, LacpTime, Level, MemberId, Mode, OutputRule,
};
use common::{Rig, config, enabled, lacp, learns, ms, partner_pdu, receive_pdu, tcp, texts};
use wire::EthAddr;
use wire::lacp::{Lacpdu, state};

/// Two bonds whose members are joined pairwise by links that lose nothing but what is cut.
struct Pair {
    a: Rig,
    b: Rig,
    /// Members whose frames vanish on the way, though the carrier stays.
    silent: BTreeSet<u32>,
}

/// The other end: another system, other port numbers and another key.
fn partner(mut config: BondConfig) -> BondConfig {
    config.name = "bond1".to_owned();
    if let Some(lacp) = &mut config.lacp {
        lacp.system_id = "aa:66:aa:66:00:00".parse().unwrap();
    }
    for m in &mut config.members {
        m.lacp.port_id += 2;
        m.lacp.key = 4;
    }
    config
}

impl Pair {
    fn new(a: BondConfig, b: BondConfig) -> Pair {
        let mut pair = Pair { a: Rig::new(a), b: Rig::new(b), silent: BTreeSet::new() };
        for id in pair.members() {
            pair.carrier(id, true);
        }
        pair
    }

    fn members(&self) -> Vec<u32> {
        self.a.table().admission.iter().map(|m| m.0.0).collect()
    }

    fn carrier(&mut self, id: u32, up: bool) {
        let a = self.a.carrier(id, up);
        let b = self.b.carrier(id, up);
        self.deliver(a, b);
    }

    /// Carries LACPDUs to and fro until nobody has anything to say.
    fn deliver(&mut self, mut from_a: Vec<Effect>, mut from_b: Vec<Effect>) {
        for _ in 0..100 {
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            let (a, b) = (from_a, from_b);
            from_b = self.receive(a, true);
            from_a = self.receive(b, false);
        }
        panic!("they never stop talking");
    }

    fn receive(&mut self, effects: Vec<Effect>, by_b: bool) -> Vec<Effect> {
        let to = if by_b { &mut self.b } else { &mut self.a };
        let mut answers = Vec::new();
        for effect in effects {
            if let Effect::SendLacpdu { member, pdu } = effect
                && !self.silent.contains(&member.0)
            {
                answers.extend(to.handle(Event::Lacpdu { member, pdu }));
            }
        }
        answers
    }

    fn wait(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            let (a, b) = (self.a.wait(100), self.b.wait(100));
            self.deliver(a, b);
        }
    }

    fn enabled(&self) -> Vec<bool> {
        self.a.status().members.iter().map(|m| m.enabled).collect()
    }
}

#[test]
fn receive_without_partner_expires_and_defaults() {
    let mut rig = Rig::new(BondConfig {
        lacp: Some(LacpConfig { system_priority: 65535, ..lacp(true, LacpTime::Slow) }),
        ..config(Mode::ActiveBackup, 1)
    });
    rig.carrier(1, true);
    rig.wait(300);
    assert_eq!(
        rig.bond.lacp_status().unwrap().render_show(),
        "\
---- bond0 ----
  status: active negotiated
  sys_id: aa:55:aa:55:00:00
  sys_priority: 65535
  aggregation key: 1
  lacp_time: slow

member: p1: expired attached
  port_id: 1
  port_priority: 65535
  may_enable: false

  actor sys_id: aa:55:aa:55:00:00
  actor sys_priority: 65535
  actor port_id: 1
  actor port_priority: 65535
  actor key: 1
  actor state: activity synchronized collecting distributing expired

  partner sys_id: 00:00:00:00:00:00
  partner sys_priority: 0
  partner port_id: 0
  partner port_priority: 0
  partner key: 0
  partner state: timeout
"
    );
    rig.wait(3000);
    let status = rig.bond.lacp_status().unwrap();
    assert!(!status.negotiated);
    let show = status.render_show();
    assert!(show.contains("  status: active\n"), "{show}");
    assert!(show.contains("member: p1: defaulted detached\n"), "{show}");
    assert!(show.contains("  actor state: activity collecting distributing defaulted\n"), "{show}");
    assert!(show.ends_with("  partner state:\n"), "{show}");
}

#[test]
fn link_loss_between_two_bonds_renegotiates() {
    let mut pair = Pair::new(tcp(LacpTime::Fast), partner(tcp(LacpTime::Fast)));
    assert_eq!(pair.enabled(), [true, true], "without waiting for any timer");
    assert_eq!(pair.a.counts(2), [128, 128]);
    assert_eq!(pair.a.table().output, OutputRule::Recirc { basis: 0, recirc_id: 7 });
    let show = pair.a.bond.lacp_status().unwrap().render_show();
    assert!(show.starts_with("---- bond0 ----\n  status: active negotiated\n"), "{show}");
    assert!(
        show.contains(
            "\
member: p2: current attached
  port_id: 2
  port_priority: 65535
  may_enable: true

  actor sys_id: aa:55:aa:55:00:00
  actor sys_priority: 65534
  actor port_id: 2
  actor port_priority: 65535
  actor key: 1
  actor state: activity timeout aggregation synchronized collecting distributing

  partner sys_id: aa:66:aa:66:00:00
  partner sys_priority: 65534
  partner port_id: 4
  partner port_priority: 65535
  partner key: 4
  partner state: activity timeout aggregation synchronized collecting distributing
"
        ),
        "{show}"
    );

    // Silence: expired after 3 s, defaulted after 3 s more.
    pair.silent.insert(1);
    pair.wait(4000);
    assert_eq!(pair.enabled(), [false, true]);
    assert_eq!(pair.a.counts(2), [0, 256]);
    let show = pair.a.bond.lacp_status().unwrap().render_show();
    assert!(show.contains("member: p1: expired attached\n"), "{show}");
    assert!(
        show.contains("  partner state: activity timeout aggregation collecting distributing\n"),
        "{show}"
    );
    pair.wait(4000);
    let show = pair.a.bond.lacp_status().unwrap().render_show();
    assert!(show.contains("member: p1: defaulted detached\n"), "{show}");
    assert!(show.contains("  actor state: activity timeout aggregation defaulted\n"), "{show}");

    pair.silent.clear();
    pair.wait(30_100);
    assert_eq!(pair.enabled(), [true, true]);
    assert_eq!(pair.a.counts(2), [128, 128]);
}

#[test]
fn short_flap_keeps_members_attached() {
    for time in [LacpTime::Slow, LacpTime::Fast] {
        for flap in [100, 200, 300] {
            let mut pair = Pair::new(tcp(time), partner(tcp(time)));
            pair.carrier(1, false);
            assert_eq!(pair.enabled(), [false, true]);
            pair.wait(flap);
            pair.carrier(1, true);
            assert_eq!(pair.enabled(), [true, true], "{time:?} {flap} ms");
            assert_eq!(pair.a.counts(2), [128, 128]);
            assert_eq!(pair.b.counts(2), [128, 128]);
        }
    }
    // Seen by one end only, as when its driver is loaded anew.
    for time in [LacpTime::Slow, LacpTime::Fast] {
        let mut pair = Pair::new(tcp(time), partner(tcp(time)));
        let down = pair.a.carrier(1, false);
        pair.deliver(down, Vec::new());
        pair.wait(200);
        let up = pair.a.carrier(1, true);
        pair.deliver(up, Vec::new());
        pair.wait(3100);
        assert_eq!(pair.enabled(), [true, true], "{time:?}");
        assert_eq!(pair.a.counts(2), [128, 128]);
    }
}

#[test]
fn passive_port_only_answers() {
    let passive = |c: BondConfig| BondConfig { lacp: Some(lacp(false, LacpTime::Fast)), ..c };
    let mut pair = Pair::new(passive(tcp(LacpTime::Fast)), partner(passive(tcp(LacpTime::Fast))));
    pair.wait(60_000);
    assert_eq!(pair.enabled(), [false, false]);
    assert!(pair.a.effects.iter().all(|e| !matches!(e, Effect::SendLacpdu { .. })));

    let pair = Pair::new(passive(tcp(LacpTime::Fast)), partner(tcp(LacpTime::Fast)));
    assert_eq!(pair.enabled(), [true, true]);
    assert!(pair.a.bond.lacp_status().unwrap().render_show().contains("status: passive neg"));
}

#[test]
fn transmit_period_follows_partner_timeout() {
    let sent =
        |rig: &Rig| rig.effects.iter().filter(|e| matches!(e, Effect::SendLacpdu { .. })).count();
    let mut pair = Pair::new(tcp(LacpTime::Fast), partner(tcp(LacpTime::Slow)));
    pair.wait(1000);
    let before = (sent(&pair.a), sent(&pair.b));
    pair.wait(60_000);
    // A asks for a PDU each second and is asked for one each 30 s.
    assert_eq!(sent(&pair.a) - before.0, 2 * 2);
    assert_eq!(sent(&pair.b) - before.1, 2 * 60);
}

#[test]
fn negotiated_member_admits_packets_during_updelay() {
    let updelay = |c: BondConfig| BondConfig { updelay: ms(500), ..c };
    let pair = Pair::new(updelay(tcp(LacpTime::Fast)), partner(tcp(LacpTime::Fast)));
    // The first is taken early since there was none; the second waits, and lets packets in.
    assert_eq!(pair.enabled(), [true, false]);
    let open = [(MemberId(1), Admission::Open), (MemberId(2), Admission::Open)];
    assert_eq!(pair.a.table().admission, open);
    assert_eq!(pair.a.counts(2), [256, 0]);
}

#[test]
fn output_without_partner_drops_or_falls_back() {
    for mode in [Mode::ActiveBackup, Mode::BalanceSlb, Mode::BalanceTcp] {
        let with = |lacp_fallback_ab| BondConfig { mode, lacp_fallback_ab, ..tcp(LacpTime::Fast) };
        let mut rig = Rig::up(with(false));
        rig.wait(10_000);
        assert_eq!(rig.table().output, OutputRule::Drop, "{mode:?}");
        assert!(rig.table().buckets.iter().all(Option::is_none));
        assert!(rig.table().admission.iter().all(|a| a.1 == Admission::Closed));

        let mut rig = Rig::up(with(true));
        rig.wait(10_000);
        assert_eq!(rig.table().output, OutputRule::Active, "{mode:?}");
        assert_eq!(rig.counts(2), [256, 0]);
        let effects = rig.carrier(1, false);
        assert_eq!(rig.counts(2), [0, 256]);
        assert!(learns(&effects), "the network is not aware of the bond");
    }
}

#[test]
fn partner_arrival_and_loss_toggle_fallback() {
    let fallback = |c: BondConfig| BondConfig { lacp_fallback_ab: true, ..c };
    let mut pair = Pair::new(fallback(tcp(LacpTime::Fast)), partner(tcp(LacpTime::Fast)));
    assert_eq!(pair.a.table().output, OutputRule::Recirc { basis: 0, recirc_id: 7 });
    pair.silent.extend([1, 2]);
    pair.wait(7000);
    assert_eq!(pair.a.table().output, OutputRule::Active);
    assert_eq!(pair.enabled(), [true, true]);
    pair.silent.clear();
    pair.wait(31_000);
    assert_eq!(pair.a.table().output, OutputRule::Recirc { basis: 0, recirc_id: 7 });
    assert_eq!(pair.a.counts(2), [128, 128]);
}

#[test]
fn members_with_other_partner_or_key_stay_detached() {
    let mut a = Rig::new(tcp(LacpTime::Fast));
    a.carrier(1, true);
    a.carrier(2, true);
    let first = "02:aa:00:00:00:01";
    receive_pdu(&mut a, 2, &partner_pdu(first, 5, 2));
    assert_eq!(enabled(&a), [false, true]);
    // Another system, though a better port: the working aggregate is kept.
    receive_pdu(&mut a, 1, &partner_pdu("02:aa:00:00:00:00", 5, 1));
    assert_eq!(enabled(&a), [false, true]);
    // A cable is moved, and the same system has another key there.
    let replug = |a: &mut Rig| {
        a.carrier(1, false);
        a.carrier(1, true);
    };
    replug(&mut a);
    receive_pdu(&mut a, 1, &partner_pdu(first, 6, 1));
    assert_eq!(enabled(&a), [false, true]);
    receive_pdu(&mut a, 1, &partner_pdu(first, 5, 1));
    assert_eq!(enabled(&a), [true, true]);
    // Itself: a cable between two of its own ports.
    replug(&mut a);
    let effects = receive_pdu(&mut a, 1, &partner_pdu("aa:55:aa:55:00:00", 5, 1));
    assert_eq!(enabled(&a), [false, true]);
    assert!(texts(&effects).contains(
        &"member p1: Loopback detected. Interface is connected to its own bond".to_owned()
    ));
}

#[test]
fn invalid_pdus_are_counted_and_dropped() {
    let mut rig = Rig::up(tcp(LacpTime::Fast));
    let mut marker = vec![0; 110];
    marker[0] = 2;
    for pdu in [vec![], vec![1; 109], vec![9; 200], vec![1; 110], marker] {
        rig.handle(Event::Lacpdu { member: MemberId(1), pdu });
    }
    rig.carrier(2, false);
    let good = Lacpdu::default().emit();
    let effects = rig.handle(Event::Lacpdu { member: MemberId(2), pdu: good });
    assert_eq!(texts(&effects), ["p2: carrier state is DOWN, dropping received LACP PDU."]);
    rig.handle(Event::Lacpdu { member: MemberId(9), pdu: vec![1, 2, 3] });
    assert_eq!(
        rig.bond.lacp_status().unwrap().render_stats(),
        "\
---- bond0 statistics ----

member: p1:
  TX PDUs: 1
  RX PDUs: 5
  RX Bad PDUs: 4
  RX Marker Request PDUs: 1
  Link Expired: 0
  Link Defaulted: 0
  Carrier Status Changed: 0

member: p2:
  TX PDUs: 1
  RX PDUs: 1
  RX Bad PDUs: 0
  RX Marker Request PDUs: 0
  Link Expired: 0
  Link Defaulted: 0
  Carrier Status Changed: 1
"
    );
}

#[test]
fn lacp_current_change_is_reported() {
    let current = |effects: &[Effect]| -> Vec<(u32, Option<bool>)> {
        let one = |e: &Effect| match e {
            Effect::LacpCurrent { member, current } => Some((member.0, *current)),
            _ => None,
        };
        effects.iter().filter_map(one).collect()
    };
    let mut rig = Rig::new(tcp(LacpTime::Fast));
    assert_eq!(current(&rig.effects), [(1, Some(true)), (2, Some(true))]);
    let effects = rig.wait(10_000);
    assert_eq!(current(&effects), [(1, Some(false)), (2, Some(false))]);
    let effects = rig.configure(BondConfig { lacp: None, ..tcp(LacpTime::Fast) });
    assert_eq!(current(&effects), [(1, None), (2, None)]);
}

#[test]
fn single_interface_port_negotiates() {
    let settings = |system: &str, port_id| Settings {
        name: "p1".to_owned(),
        config: LacpConfig {
            system_id: system.parse().unwrap(),
            system_priority: 65535,
            ..lacp(true, LacpTime::Slow)
        },
        fallback_ab: false,
        members: vec![MemberSettings {
            id: MemberId(1),
            name: "p1".to_owned(),
            config: bond::LacpMemberConfig { port_id, port_priority: 65535, key: 0 },
        }],
    };
    let now = wire::Time::from_millis(5);
    let member = MemberId(1);
    let mut a = Lacp::new(now, settings("02:00:00:00:00:0a", 0));
    let mut b = Lacp::new(now, settings("02:00:00:00:00:0b", 9));
    for l in [&mut a, &mut b] {
        l.handle(now, lacp::Event::Carrier { member, up: true });
    }
    for _ in 0..4 {
        for (from, to) in [(true, false), (false, true)] {
            let (from, to) = if from && !to { (&mut a, &mut b) } else { (&mut b, &mut a) };
            while let Some(effect) = from.poll_effect() {
                if let Effect::SendLacpdu { pdu, .. } = effect {
                    to.handle(now, lacp::Event::Lacpdu { member, pdu });
                }
            }
        }
    }
    assert!(a.may_enable(member) && b.may_enable(member));
    assert!(a.is_current(member) && a.negotiated());
    assert!(!a.may_enable(MemberId(2)));
    assert_eq!(a.status().members[0].port_id, 1, "picked");
    assert_eq!(b.status().members[0].partner.system, EthAddr([2, 0, 0, 0, 0, 0x0a]));
    // Slow: nothing is due for 30 s.
    assert_eq!(a.next_deadline(), Some(now + ms(30_000)));
}

#[test]
fn settings_change_renegotiates() {
    let mut pair = Pair::new(tcp(LacpTime::Slow), partner(tcp(LacpTime::Slow)));
    // From slow to fast: the partner is told at once, and nobody goes down.
    let effects = pair.a.configure(tcp(LacpTime::Fast));
    pair.deliver(effects, Vec::new());
    assert_eq!(pair.enabled(), [true, true]);
    let partner_state = pair.b.bond.lacp_status().unwrap().members[0].partner.state;
    assert_ne!(partner_state & state::TIMEOUT, 0);

    // LACP off and on again.
    pair.a.configure(BondConfig { lacp: None, mode: Mode::BalanceSlb, ..tcp(LacpTime::Fast) });
    assert!(pair.a.bond.lacp_status().is_none());
    assert_eq!(pair.enabled(), [true, true]);
    assert_eq!(pair.a.counts(2), [128, 128]);
    // No more than three PDUs leave a port in a second.
    pair.wait(2000);
    let effects = pair.a.configure(tcp(LacpTime::Fast));
    pair.deliver(effects, Vec::new());
    assert_eq!(pair.enabled(), [true, true]);

    // The same again says nothing.
    assert!(pair.a.configure(tcp(LacpTime::Fast)).is_empty());

    // The member whose number is the key goes: the aggregate stays, and so does its key.
    let mut less = tcp(LacpTime::Fast);
    less.members.remove(0);
    let effects = pair.a.configure(less);
    pair.deliver(effects, Vec::new());
    assert_eq!(pair.enabled(), [true]);
    assert_eq!(pair.a.bond.lacp_status().unwrap().aggregation_key, Some(1));
    assert!(pair.a.effects.iter().all(|e| match e {
        Effect::Notice(n) => n.level != Level::Err,
        _ => true,
    }));
}

#[test]
fn new_member_during_fallback_keeps_traffic() {
    let fallback = |n| BondConfig {
        lacp_fallback_ab: true,
        members: config(Mode::BalanceTcp, n).members,
        ..tcp(LacpTime::Fast)
    };
    let mut rig = Rig::up(fallback(2));
    rig.wait(10_000);
    assert_eq!(rig.counts(3), [256, 0, 0]);
    rig.configure(fallback(3));
    rig.carrier(3, true);
    assert_eq!(rig.counts(3), [256, 0, 0]);
    assert_eq!(rig.table().output, OutputRule::Active);
    rig.wait(10_000);
    assert_eq!(rig.counts(3), [256, 0, 0]);
    assert!(rig.status().members.iter().all(|m| m.enabled));
}
