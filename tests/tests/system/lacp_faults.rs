//! LACP partners that are faulty, and frames that are not the partner's.

use std::time::{Duration, Instant};

use testbed::PacketSocket;
use tests::Rig;
use tests::rig::talk;
use wire::EthAddr;
use wire::lacp::{Lacpdu, PortInfo, state};

const MS: Duration = Duration::from_millis(1);

const FAST: &str = "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast";

/// A rig that tolerates what Open vSwitch does not.
fn rig() -> Rig {
    tests::ours_only("a guard against faulty LACP partners");
    Rig::new(2)
}

/// A slow-protocol frame, with these octets (a tag) between the addresses and its EtherType.
fn frame(tag: &[u8], pdu: &Lacpdu) -> Vec<u8> {
    let mut f = EthAddr::SLOW_PROTOCOLS.0.to_vec();
    f.extend([2, 0, 0, 0, 0, 9]);
    f.extend(tag);
    f.extend([0x88, 0x09]);
    f.extend(pdu.emit());
    f
}

fn heard(system: [u8; 6], key: u16, bits: u8) -> Lacpdu {
    let actor = PortInfo {
        system_priority: 1,
        system: EthAddr(system),
        key,
        port_priority: 1,
        port: 1,
        state: state::ACTIVITY | state::TIMEOUT | bits,
    };
    Lacpdu { actor, ..Lacpdu::default() }
}

fn pdus(frames: Vec<Vec<u8>>) -> Vec<Lacpdu> {
    frames.iter().filter_map(|f| Lacpdu::parse(&f[14..]).ok()).collect()
}

fn is_slow(f: &[u8]) -> bool {
    f[12..14] == [0x88, 0x09]
}

#[harness::test]
fn neither_tagged_pdus_nor_a_strangers_disturb_a_session() {
    let rig = rig();
    rig.bond_down(FAST);
    let (_fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 500, true);
    rig.await_member(0, true);
    rig.await_member(1, true);
    rig.await_calm(&traffic);

    let partner = || {
        let show = rig.appctl("lacp/show bond0");
        let line = show.lines().find_map(|l| l.trim().strip_prefix("partner sys_id: "));
        line.expect("a partner").parse::<EthAddr>().unwrap()
    };
    let theirs = partner();
    let tor = rig.tor_socket(0);
    let from = traffic.now();
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        // The partner's own words on another VLAN: this link is individual.
        for tag in [&[0x81, 0, 0, 5][..], &[0x88, 0xa8, 0, 7], &[0x81, 0, 0, 5, 0x81, 0, 0, 6]] {
            tor.send(&frame(tag, &heard(theirs.0, 9, 0))).unwrap();
        }
        let stranger = heard([2, 0xbb, 0, 0, 0, 1], 9, state::AGGREGATION);
        tor.send(&frame(&[], &stranger)).unwrap();
        std::thread::sleep(20 * MS);
        assert_eq!((rig.enabled(), partner()), (2, theirs), "{}", rig.appctl("lacp/show bond0"));
    }
    let to = traffic.now() - 200 * MS;
    for l in [&traffic.up, &traffic.down] {
        assert_eq!(l.stretch(from, to).lost, 0, "lost packets");
    }
    let log = rig.switch.log();
    let lines = log.lines().filter(|l| l.contains("ignoring LACP PDU of system 02:bb")).count();
    assert!((1..=6).contains(&lines), "{lines} lines about the stranger\n{log}");
}

/// Answers each PDU at once with a wrong view of its sender, until `end`. Gives the times at which
/// PDUs came.
fn contradict(link: &PacketSocket, end: Instant) -> Vec<Instant> {
    let mut times = Vec::new();
    let bits = state::AGGREGATION | state::SYNCHRONIZATION;
    let answer = frame(&[], &heard([2, 0xaa, 0, 0, 0, 1], 9, bits));
    link.send(&answer).unwrap();
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if link.recv_matching(left.min(100 * MS), is_slow).is_some() {
            times.push(Instant::now());
            // More than one answer for each, so that it does not end with one that is lost.
            link.send(&answer).unwrap();
            link.send(&answer).unwrap();
        }
    }
    times
}

#[harness::test]
fn a_partner_with_a_wrong_view_gets_three_pdus_a_second() {
    for activity in ["active", "passive"] {
        let rig = rig();
        rig.bond_down(&format!("bond_mode=balance-tcp lacp={activity}"));
        let tor = [rig.tor_socket(0), rig.tor_socket(1)];
        let times = contradict(&tor[0], Instant::now() + Duration::from_secs(4));
        // When they were read, which on a busy machine is later, and not by the same amount.
        for four in times.windows(4) {
            let span = four[3] - four[0];
            assert!(span > 900 * MS, "{activity}: four PDUs within {span:?}");
        }
        assert!(times.len() >= 6, "{activity}: {} PDUs in 4 s", times.len());
        let other = pdus(tor[1].drain(is_slow)).len();
        assert!(other <= 10, "{activity}: {other} PDUs by the other link");
    }
}

#[harness::test]
fn flaps_do_not_fill_the_log_and_its_last_word_is_true() {
    let rig = rig();
    rig.bond("");
    let fabric = rig.traffic(vec![talk(1, 40_000)], 10, false).0;
    for _ in 0..60 {
        for up in [false, true] {
            fabric.set_link(0, up).unwrap();
            rig.await_member(0, up);
        }
    }
    let of_bond = |log: &str| log.lines().filter(|l| l.contains("|bond(links)|")).count();
    let log = rig.switch.log();
    // Of the state of links, members and the active member 20 at once, and 5 a minute each.
    assert!(of_bond(&log) < 110, "{} lines\n{log}", of_bond(&log));
    fabric.set_link(0, false).unwrap();
    rig.await_member(0, false);
    rig.wait_at_most(Duration::from_secs(30), "a line with what holds", || {
        let log = rig.switch.log();
        log.lines().rfind(|l| l.contains("messages were dropped; now")).is_some_and(|l| {
            l.ends_with(
                "bond bond0: messages were dropped; now the active member is nic1, \
                         members: nic0 disabled, nic1 enabled",
            )
        })
    });
    rig.assert_clean_log();
}
