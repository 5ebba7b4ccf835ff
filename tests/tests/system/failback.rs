//! The question that this project started from.
//!
//! A published check of Open vSwitch found that active-backup never fails back. Here is that
//! check: a bond of two NICs, traffic, one link down, the link up again; packets are counted on
//! both links by the interfaces' own counters.

use std::time::{Duration, Instant};

use testbed::Members;
use testbed::traffic::Traffic;
use tests::rig::{Rig, talk};

const RATE: u32 = 500;
const MS: Duration = Duration::from_millis(1);

/// Which links packets arrive on during a quarter of a second: (by nic0, by nic1).
fn used(rig: &Rig) -> (bool, bool) {
    let before = [rig.arrived(0), rig.arrived(1)];
    std::thread::sleep(250 * MS);
    // A learning packet or two is not traffic: a tenth of the stream is.
    let some = |i: usize| rig.arrived(i) - before[i] > u64::from(RATE) / 40;
    (some(0), some(1))
}

const BY_NIC0: (bool, bool) = (true, false);
const BY_NIC1: (bool, bool) = (false, true);

/// A bond whose traffic goes by nic0.
fn start(
    members: Members,
    settings: &str,
) -> (Rig, std::sync::Arc<testbed::fabric::Fabric>, Traffic) {
    let rig = Rig::of(members, 2);
    rig.bond(settings);
    if rig.active() != Some(0) {
        rig.appctl("bond/set-active-member bond0 nic0");
    }
    let (fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], RATE, false);
    rig.await_calm(&traffic);
    assert_eq!(used(&rig), BY_NIC0);
    (rig, fabric, traffic)
}

fn stays_without_a_primary(members: Members) {
    let (rig, fabric, traffic) = start(members, "");

    fabric.set_link(0, false).unwrap();
    rig.await_active(1);
    rig.await_calm(&traffic);
    assert_eq!(used(&rig), BY_NIC1);

    fabric.set_link(0, true).unwrap();
    rig.await_member(0, true);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(rig.active(), Some(1));
    assert_eq!(used(&rig), BY_NIC1);
    rig.assert_clean_log();
}

#[harness::test]
fn without_a_primary_traffic_stays_where_it_failed_over_to() {
    stays_without_a_primary(Members::Veth);
}

#[harness::test]
fn without_a_primary_traffic_of_taps_stays_where_it_failed_over_to() {
    stays_without_a_primary(Members::Tap);
}

fn comes_back_with_a_primary(members: Members) {
    let settings = "other_config:bond-primary=nic0";
    let (rig, fabric, traffic) = start(members, settings);

    fabric.set_link(0, false).unwrap();
    rig.await_active(1);
    rig.await_calm(&traffic);
    assert_eq!(used(&rig), BY_NIC1);

    fabric.set_link(0, true).unwrap();
    rig.await_active(0);
    rig.await_calm(&traffic);
    assert_eq!(used(&rig), BY_NIC0);
    rig.assert_clean_log();
}

#[harness::test]
fn with_a_primary_traffic_comes_back() {
    comes_back_with_a_primary(Members::Veth);
}

#[harness::test]
fn with_a_primary_traffic_of_taps_comes_back() {
    comes_back_with_a_primary(Members::Tap);
}

#[harness::test]
fn with_a_delay_traffic_comes_back_when_the_link_has_been_stable_for_so_long() {
    tests::ours_only("bond-failback-delay");
    let settings = "other_config:bond-primary=nic0 other_config:bond-failback-delay=2000";
    let (rig, fabric, traffic) = start(Members::Veth, settings);

    fabric.set_link(0, false).unwrap();
    rig.await_active(1);
    rig.await_calm(&traffic);

    // Up; then, before the two seconds are over, a flap: the wait begins anew with its end.
    let up = |fabric: &testbed::fabric::Fabric| {
        let at = Instant::now();
        fabric.set_link(0, true).unwrap();
        at
    };
    let first = up(&fabric);
    std::thread::sleep(1500 * MS);
    assert_eq!(rig.active(), Some(1));
    fabric.set_link(0, false).unwrap();
    rig.await_member(0, false);
    let second = up(&fabric);

    // The first wait would be over by now.
    std::thread::sleep((first + 2300 * MS).saturating_duration_since(Instant::now()));
    assert_eq!(rig.active(), Some(1), "the flap did not start the wait anew");
    assert_eq!(used(&rig), BY_NIC1);

    rig.await_active(0);
    let waited = second.elapsed();
    assert!(waited >= 1990 * MS, "came back after {waited:?}, before the delay");
    assert!(waited < 4000 * MS, "came back only after {waited:?}");
    rig.await_calm(&traffic);
    assert_eq!(used(&rig), BY_NIC0);

    // Coming back is planned: nothing is lost on the way up.
    let now = traffic.now();
    let lost = traffic.up.stretch(now.saturating_sub(waited), now.saturating_sub(200 * MS)).lost;
    assert_eq!(lost, 0, "failback lost packets");
    rig.assert_clean_log();
}

#[harness::test]
fn the_delay_does_not_hold_back_a_failover() {
    tests::ours_only("bond-failback-delay");
    let settings = "other_config:bond-primary=nic0 other_config:bond-failback-delay=60000";
    let (rig, fabric, traffic) = start(Members::Veth, settings);
    fabric.set_link(0, false).unwrap();
    rig.await_active(1);
    fabric.set_link(0, true).unwrap();
    rig.await_member(0, true);
    assert_eq!(rig.active(), Some(1));
    // The primary is the only one left: no delay can be worth an outage.
    fabric.set_link(1, false).unwrap();
    rig.await_active(0);
    rig.await_calm(&traffic);

    // By hand, whatever the delay says.
    fabric.set_link(1, true).unwrap();
    rig.await_member(1, true);
    rig.appctl("bond/set-active-member bond0 nic1");
    rig.await_active(1);
    rig.appctl("bond/failback bond0");
    rig.await_active(0);
}

#[harness::test]
fn an_order_holds_for_the_delay() {
    tests::ours_only("bond-failback-delay");
    let settings = "other_config:bond-primary=nic0 other_config:bond-failback-delay=2000";
    let (rig, _fabric, traffic) = start(Members::Veth, settings);
    rig.wait("the start to be over", || rig.enabled() == 2);
    let at = Instant::now();
    let answer = rig.appctl("bond/set-active-member bond0 nic1");
    assert_eq!(answer.trim(), "done, until nic0 takes over in 2000 ms (bond-failback-delay)");
    rig.await_active(1);
    assert_eq!(used(&rig), BY_NIC1);
    rig.await_active(0);
    let held = at.elapsed();
    assert!((1990 * MS..8000 * MS).contains(&held), "{held:?}");
    rig.await_calm(&traffic);

    // Without a delay it would be undone at once: nothing moves, and nothing is lost.
    rig.vsctl("set port bond0 other_config:bond-failback-delay=0");
    let from = traffic.now();
    assert_eq!(rig.appctl("bond/set-active-member bond0 nic1").trim(), "done");
    assert_eq!(rig.active(), Some(0));
    assert_eq!(used(&rig), BY_NIC0);
    let log = rig.switch.log();
    assert!(log.contains("nic1 was asked for, but nic0 is preferred"), "{log}");
    let to = traffic.now() - 100 * MS;
    assert_eq!(traffic.up.stretch(from, to).lost, 0, "lost packets");
    rig.assert_clean_log();
}
