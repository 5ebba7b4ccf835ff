//! LACP with partners that are faulty, change their mind, or are not the partner.

mod common;

use bond::{BondConfig, Effect, LacpTime};
use common::{Rig, enabled, lacp, ms, partner_pdu, receive_pdu, tcp, texts};
use wire::lacp::{Lacpdu, PortInfo, state};

fn individual(mut pdu: Lacpdu) -> Lacpdu {
    pdu.actor.state &= !state::AGGREGATION;
    pdu
}

/// The members that PDUs are sent by, one entry for each PDU.
fn sent(effects: &[Effect]) -> Vec<u32> {
    let one = |e: &Effect| match e {
        Effect::SendLacpdu { member, .. } => Some(member.0),
        _ => None,
    };
    effects.iter().filter_map(one).collect()
}

fn last_actor(effects: &[Effect]) -> PortInfo {
    let mut pdus = effects.iter().filter_map(|e| match e {
        Effect::SendLacpdu { pdu, .. } => Some(Lacpdu::parse(pdu).unwrap().actor),
        _ => None,
    });
    pdus.next_back().expect("a PDU")
}

const PARTNER: &str = "02:aa:00:00:00:01";

#[test]
fn transmission_is_limited_to_three_pdus_per_second() {
    for active in [true, false] {
        let with = BondConfig { lacp: Some(lacp(active, LacpTime::Fast)), ..tcp(LacpTime::Fast) };
        let mut rig = Rig::new(with);
        rig.carrier(1, true);
        rig.carrier(2, true);
        rig.wait(5_000);
        // What it says of us is wrong each time, and it says so after each of our PDUs, or at once.
        let wrong = partner_pdu(PARTNER, 5, 1);
        let mut times: Vec<(u32, u64)> = Vec::new();
        for step in 0..10_000 {
            let mut effects = rig.wait(1);
            effects.extend(receive_pdu(&mut rig, 1, &wrong));
            if step % 1000 == 500 {
                // The other member's partner knows all, and hears from us once a second.
                let own = rig.bond.lacp_status().unwrap().members[1].actor;
                let right = Lacpdu { partner: own, ..partner_pdu(PARTNER, 5, 2) };
                effects.extend(receive_pdu(&mut rig, 2, &right));
            }
            times.extend(sent(&effects).into_iter().map(|m| (m, step)));
        }
        let of = |n| times.iter().filter(|t| t.0 == n).map(|t| t.1).collect::<Vec<u64>>();
        let (flooded, well) = (of(1), of(2));
        for four in flooded.windows(4) {
            assert!(four[3] - four[0] >= 1000, "four within a second: {four:?}");
        }
        assert!(flooded.len() >= 24, "{} in ten seconds", flooded.len());
        assert!((9..=13).contains(&well.len()), "disturbed: {well:?}");
        assert_eq!(rig.status().members.iter().filter(|m| m.enabled).count(), 2);
    }
}

#[test]
fn delayed_pdu_carries_state_at_transmission() {
    let mut rig = Rig::new(tcp(LacpTime::Fast));
    rig.carrier(1, true);
    rig.wait(3_000);
    // Each answer to a wrong view uses up one of three.
    let wrong = partner_pdu(PARTNER, 5, 1);
    let told: usize = (0..10).map(|_| sent(&receive_pdu(&mut rig, 1, &wrong)).len()).sum();
    assert!((1..=3).contains(&told), "{told}");
    let mut slow = tcp(LacpTime::Slow);
    slow.lacp.as_mut().unwrap().system_priority = 7;
    assert!(sent(&rig.configure(slow)).is_empty(), "a fourth within a second");
    let at = rig.bond.next_deadline().unwrap();
    assert!(at <= rig.now + ms(1200), "no deadline for what waits");
    let effects = rig.wait(1200);
    assert_eq!(last_actor(&effects).system_priority, 7);
    // What the partner has found out meanwhile need not be told.
    let own = rig.bond.lacp_status().unwrap().members[0].actor;
    rig.wait(300);
    receive_pdu(&mut rig, 1, &wrong);
    receive_pdu(&mut rig, 1, &wrong);
    receive_pdu(&mut rig, 1, &Lacpdu { partner: own, ..wrong });
    assert!(rig.wait(300).iter().all(|e| !matches!(e, Effect::SendLacpdu { .. })));
}

#[test]
fn aggregate_survives_partner_change_on_one_link() {
    let enabled = |rig: &Rig| rig.status().members.iter().map(|m| m.enabled).collect::<Vec<_>>();
    let attached = |rig: &Rig| {
        let status = rig.bond.lacp_status().unwrap();
        status.members.iter().map(|m| m.mux.is_attached()).collect::<Vec<_>>()
    };
    let good = |n: u32| partner_pdu(PARTNER, 5, u16::try_from(n).unwrap());
    let other_key = |n: u32| partner_pdu(PARTNER, 6, u16::try_from(n).unwrap());
    // Member 1 leads: its partner's port number is the lower.
    for leaver in [1, 2] {
        let stayer = 3 - leaver;
        let only = |n: u32| [n == 1, n == 2];
        for leaves in [other_key(leaver), individual(good(leaver))] {
            let mut rig = Rig::up(tcp(LacpTime::Fast));
            receive_pdu(&mut rig, 1, &good(1));
            receive_pdu(&mut rig, 2, &good(2));
            assert_eq!(enabled(&rig), [true, true]);
            let generation = rig.table().generation;
            receive_pdu(&mut rig, leaver, &leaves);
            assert_eq!((enabled(&rig), attached(&rig)), (only(stayer).into(), only(stayer).into()));
            assert_eq!(rig.table().generation, generation + 1);
            // And whatever comes next of either.
            for _ in 0..3 {
                rig.wait(900);
                receive_pdu(&mut rig, stayer, &good(stayer));
                receive_pdu(&mut rig, leaver, &leaves);
                assert_eq!(enabled(&rig), only(stayer));
            }
            receive_pdu(&mut rig, leaver, &good(leaver));
            assert_eq!(enabled(&rig), [true, true], "it comes back");

            // Nothing else is left: a link that left is better than none.
            receive_pdu(&mut rig, leaver, &leaves);
            rig.carrier(stayer, false);
            receive_pdu(&mut rig, leaver, &leaves);
            assert_eq!(enabled(&rig), only(leaver));
            rig.carrier(stayer, true);
            receive_pdu(&mut rig, stayer, &good(stayer));
            let last = if leaves.actor.key == 6 { leaver } else { stayer };
            assert_eq!(enabled(&rig), only(last), "only an individual link yields its place");
        }
    }
}

#[test]
fn individual_links_are_used_alone() {
    let enabled = |rig: &Rig| rig.status().members.iter().map(|m| m.enabled).collect::<Vec<_>>();
    let mut rig = Rig::up(tcp(LacpTime::Fast));
    let good = |n| partner_pdu(PARTNER, 5, n);
    receive_pdu(&mut rig, 2, &individual(good(2)));
    assert_eq!(enabled(&rig), [false, true]);
    receive_pdu(&mut rig, 1, &individual(good(1)));
    assert_eq!(enabled(&rig), [false, true], "the one that works keeps its place");
    // It keeps it too until the link that can be aggregated is in sync at the other end.
    let mut out_of_sync = good(1);
    out_of_sync.actor.state &= !state::SYNCHRONIZATION;
    receive_pdu(&mut rig, 1, &out_of_sync);
    assert_eq!(enabled(&rig), [false, true]);
    receive_pdu(&mut rig, 1, &good(1));
    assert_eq!(enabled(&rig), [true, false]);
    receive_pdu(&mut rig, 2, &good(2));
    assert_eq!(enabled(&rig), [true, true]);
    // All links change their key, one after the other.
    receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 9, 1));
    assert_eq!(enabled(&rig), [false, true]);
    receive_pdu(&mut rig, 2, &partner_pdu(PARTNER, 9, 2));
    assert_eq!(enabled(&rig), [true, true]);
}

const STRANGER: &str = "02:bb:00:00:00:02";
const OWN: &str = "aa:55:aa:55:00:00";

fn partner_of(rig: &Rig, member: usize) -> String {
    rig.bond.lacp_status().unwrap().members[member].partner.system.to_string()
}

/// A bond whose two members have a partner.
fn negotiated(time: LacpTime) -> Rig {
    let mut rig = Rig::up(tcp(time));
    receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
    receive_pdu(&mut rig, 2, &partner_pdu(PARTNER, 5, 2));
    assert_eq!(enabled(&rig), [true, true]);
    rig
}

#[test]
fn other_system_pdu_is_ignored_while_partner_current() {
    for stranger in [STRANGER, OWN] {
        let mut rig = negotiated(LacpTime::Fast);
        let generation = rig.table().generation;
        for second in 0..20 {
            rig.wait(500);
            let pdus = [partner_pdu(stranger, 5, 1), individual(partner_pdu(stranger, 9, 7))];
            for pdu in &pdus {
                let effects = receive_pdu(&mut rig, 1, pdu);
                let text = texts(&effects).join("\n");
                let expected = if stranger == OWN { "Loopback detected" } else { STRANGER };
                assert!(text.contains("member p1: ") && text.contains(expected), "{text}");
                let told = |e: &Effect| matches!(e, Effect::Notice(_) | Effect::Loopback { .. });
                assert!(effects.iter().all(told), "{effects:?}");
            }
            rig.wait(500);
            receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
            receive_pdu(&mut rig, 2, &partner_pdu(PARTNER, 5, 2));
            assert_eq!(enabled(&rig), [true, true], "after {second} s");
        }
        assert_eq!(rig.table().generation, generation);
        assert_eq!(rig.bond.lacp_status().unwrap().members[0].stats.rx_stranger_pdus, 40);
    }
}

#[test]
fn other_system_pdu_does_not_refresh_partner() {
    let mut rig = negotiated(LacpTime::Fast);
    for _ in 0..2 {
        rig.wait(900);
        receive_pdu(&mut rig, 1, &partner_pdu(OWN, 5, 1));
        receive_pdu(&mut rig, 2, &partner_pdu(PARTNER, 5, 2));
    }
    rig.wait(1_250);
    assert_eq!(enabled(&rig), [false, true]);
}

#[test]
fn replaced_partner_takes_over_after_timeout() {
    // The carrier was lost: at once.
    for time in [LacpTime::Fast, LacpTime::Slow] {
        let mut rig = negotiated(time);
        for member in [1, 2] {
            rig.carrier(member, false);
            rig.carrier(member, true);
        }
        for member in [1, 2] {
            receive_pdu(&mut rig, member, &partner_pdu(STRANGER, 5, 1));
        }
        assert_eq!(enabled(&rig), [true, true]);
        assert_eq!(partner_of(&rig, 0), STRANGER);
    }

    // It was not: the partner's time runs out, and no packet is lost over it.
    for (time, timeout) in [(LacpTime::Fast, 3_000), (LacpTime::Slow, 90_000)] {
        let mut rig = negotiated(time);
        let generation = rig.table().generation;
        let period = timeout / 3;
        for _ in 0..2 {
            rig.wait(period);
            receive_pdu(&mut rig, 1, &partner_pdu(STRANGER, 5, 1));
            receive_pdu(&mut rig, 2, &partner_pdu(STRANGER, 5, 2));
        }
        assert_eq!(partner_of(&rig, 0), PARTNER);
        rig.wait(period - 1);
        assert_eq!(partner_of(&rig, 0), PARTNER);
        rig.wait(1);
        assert_eq!(partner_of(&rig, 0), STRANGER);
        assert_eq!(enabled(&rig), [true, true]);
        assert_eq!(rig.table().generation, generation, "a member was disabled");
        // What was heard of it counts from when it was heard.
        let stats = rig.bond.lacp_status().unwrap().members[0].stats;
        assert_eq!((stats.link_expired, stats.link_defaulted), (1, 0));
        rig.wait(2 * period - 1);
        assert_eq!(enabled(&rig), [true, true]);
        rig.wait(1);
        assert_eq!(enabled(&rig), [false, false]);
    }
}
