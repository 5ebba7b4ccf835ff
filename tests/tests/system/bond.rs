//! Bonds of two and of eight under traffic.

use std::time::Duration;

use testbed::Members;
use testbed::frame::{self, Header, Udp};
use testbed::tap::Tap;
use tests::Rig;
use tests::rig::{HOST_IP, HOST_MAC, hello, talk};
use wire::EtherType;

const MS: Duration = Duration::from_millis(1);
/// More than detection takes on a busy machine, far less than a second.
const FAILOVER: Duration = Duration::from_millis(400);

/// A device that is no member, whose carrier changes first: the kernel then reports the carrier
/// that a tap or a NIC loses up to a second late.
struct Bystander(Option<Tap>);

impl Bystander {
    fn new(rig: &Rig, members: Members) -> Bystander {
        Bystander(match members {
            Members::Veth => None,
            Members::Tap => Some(Tap::new(&rig.hv, "other0").unwrap()),
        })
    }

    fn change(&self, up: bool) {
        if let Some(tap) = &self.0 {
            tap.set_carrier(up).unwrap();
            // The kernel reports this change at once; one that comes meanwhile would be reported
            // with it.
            std::thread::sleep(100 * MS);
        }
    }
}

/// Cuts the active member's link three times, each time just after another device's.
fn active_backup_fails_over(members: Members) {
    let rig = Rig::of(members, 2);
    rig.bond("bond_mode=active-backup");
    let (fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 2000, false);
    let bystander = Bystander::new(&rig, members);
    rig.await_calm(&traffic);
    for _ in 0..3 {
        let active = rig.active().expect("an active member");
        bystander.change(false);
        let at = traffic.now();
        fabric.set_link(active, false).unwrap();
        rig.await_calm(&traffic);
        assert_eq!(rig.active(), Some(1 - active));
        for (way, l) in [("out", &traffic.up), ("in", &traffic.down)] {
            let s = l.stretch(at - 50 * MS, traffic.now() - 150 * MS);
            assert!(s.gap.unwrap_or_default() < FAILOVER, "{way}: {s:?}\n{}", rig.switch.log());
        }
        fabric.set_link(active, true).unwrap();
        bystander.change(true);
        rig.await_member(active, true);
    }
    assert_eq!(traffic.up.totals().duplicates, 0);
    assert_eq!(traffic.down.totals().duplicates, 0);
    rig.assert_clean_log();
}

#[harness::test]
fn active_backup_fails_over_within_moments() {
    active_backup_fails_over(Members::Veth);
}

#[harness::test]
fn active_backup_of_taps_fails_over_within_moments() {
    active_backup_fails_over(Members::Tap);
}

/// One of two members that share the load loses its link, and gets it back.
fn balancing_gathers_what_a_dead_link_leaves(
    members: Members,
    settings: &str,
    talks: Vec<Udp>,
    lacp: bool,
) {
    let rig = Rig::of(members, 2);
    rig.bond_down(settings);
    let (fabric, traffic) = rig.traffic(talks, 5000, lacp);
    let bystander = Bystander::new(&rig, members);
    rig.wait("two members", || rig.enabled() == 2);
    rig.await_calm(&traffic);
    let both = |rig: &Rig| {
        let from = traffic.now();
        rig.wait_at_most(Duration::from_secs(20), "traffic on both links", || {
            let n = traffic.up.spread(from, traffic.now(), 2);
            n.iter().all(|n| *n > 50)
        });
    };
    both(&rig);

    bystander.change(false);
    let at = traffic.now();
    fabric.set_link(0, false).unwrap();
    rig.await_calm(&traffic);
    let s = traffic.up.stretch(at - 50 * MS, traffic.now() - 150 * MS);
    assert!(s.gap.unwrap_or_default() < FAILOVER, "{s:?}\n{}", rig.switch.log());

    // Rebalancing brings load back to a member that has returned.
    fabric.set_link(0, true).unwrap();
    bystander.change(true);
    both(&rig);
    assert_eq!(traffic.up.totals().duplicates, 0);
    rig.assert_clean_log();
}

const SLB: &str = "bond_mode=balance-slb other_config:bond-rebalance-interval=1000";

/// The bucket of balance-slb is the hash of the source address.
fn sixteen_sources() -> Vec<Udp> {
    (1..=16).map(|m| talk(m, 40_000)).collect()
}

#[harness::test]
fn balance_slb_spreads_by_source_and_gathers_what_a_dead_link_leaves() {
    balancing_gathers_what_a_dead_link_leaves(Members::Veth, SLB, sixteen_sources(), false);
}

#[harness::test]
fn balance_slb_of_taps_gathers_what_a_dead_link_leaves() {
    balancing_gathers_what_a_dead_link_leaves(Members::Tap, SLB, sixteen_sources(), false);
}

#[harness::test]
fn balance_tcp_of_taps_gathers_what_a_dead_link_leaves() {
    let settings = "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast";
    let talks = (0..64).map(|p| talk(1, 40_000 + p)).collect();
    balancing_gathers_what_a_dead_link_leaves(Members::Tap, settings, talks, true);
}

#[harness::test]
fn balance_slb_neither_reflects_nor_repeats_broadcasts() {
    let rig = Rig::new(2);
    rig.bond("bond_mode=balance-slb");
    let (vm, tor) = (rig.vm_socket(), [rig.tor_socket(0), rig.tor_socket(1)]);
    let is_arp = |f: &[u8]| Header::parse(f).is_some_and(|(h, _)| h.eth_type == EtherType::ARP);

    // Outwards: once, on one link.
    vm.send(&hello(1)).unwrap();
    std::thread::sleep(200 * MS);
    let out = [tor[0].drain(is_arp).len(), tor[1].drain(is_arp).len()];
    assert_eq!(out[0] + out[1], 1, "{out:?}");

    // A switch floods what came from us to our other link: it must not come in.
    let from = if out[0] == 1 { 0 } else { 1 };
    tor[1 - from].send(&hello(1)).unwrap();
    std::thread::sleep(200 * MS);
    assert_eq!(vm.drain(is_arp).len(), 0, "our own broadcast came back");

    // Inwards: a switch floods a broadcast to both links; one copy gets in, none goes out again.
    let arp = frame::gratuitous_arp(HOST_MAC, HOST_IP, None);
    tor[0].send(&arp).unwrap();
    tor[1].send(&arp).unwrap();
    std::thread::sleep(200 * MS);
    assert_eq!(vm.drain(is_arp).len(), 1);
    assert_eq!(tor[0].drain(is_arp).len() + tor[1].drain(is_arp).len(), 0);
}

#[harness::test]
fn a_backup_lets_nothing_in() {
    let rig = Rig::new(2);
    rig.bond("");
    let active = rig.active().unwrap();
    let (vm, tor) = (rig.vm_socket(), [rig.tor_socket(0), rig.tor_socket(1)]);
    let t = talk(1, 1);
    let f = t.reversed().frame(b"in by the backup");
    let found = |f: &[u8]| f.ends_with(b"in by the backup");
    tor[1 - active].send(&f).unwrap();
    assert!(vm.recv_matching(300 * MS, found).is_none());
    tor[active].send(&f).unwrap();
    assert!(vm.recv_matching(2000 * MS, found).is_some());
}

#[harness::test]
fn a_bond_of_eight_works_down_to_its_last_link() {
    let rig = Rig::new(8);
    rig.bond_down("bond_mode=balance-tcp lacp=active other_config:lacp-time=fast");
    let talks = (0..128).map(|p| talk(1, 40_000 + p)).collect();
    let (fabric, traffic) = rig.traffic(talks, 2000, true);
    rig.wait("agreement on eight links", || fabric.live().len() == 8);
    rig.await_calm(&traffic);
    let from = traffic.now();
    rig.wait("traffic on eight links", || {
        traffic.up.spread(from, traffic.now(), 8).iter().all(|n| *n > 0)
    });
    for dead in 0..7 {
        fabric.set_link(dead, false).unwrap();
        rig.await_member(dead, false);
        rig.await_calm(&traffic);
    }
    let from = traffic.now();
    rig.wait("packets", || traffic.up.spread(from, traffic.now(), 8)[7] > 100);
    for back in 0..7 {
        fabric.set_link(back, true).unwrap();
    }
    for back in 0..7 {
        rig.await_member(back, true);
    }
    rig.await_calm(&traffic);
    assert_eq!(traffic.up.totals().duplicates, 0);
}

#[harness::test]
fn members_come_and_go_under_traffic() {
    let rig = Rig::new(4);
    // Two of the four NICs at first.
    rig.vsctl("add-bond br0 bond0 nic0 nic1 -- add-port br0 vnet0");
    rig.await_member(0, true);
    rig.await_member(1, true);
    let (_fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 2000, false);
    rig.await_calm(&traffic);

    let at = traffic.now();
    let active = rig.active();
    rig.vsctl("--id=@i create interface name=nic2 -- add port bond0 interfaces @i");
    rig.await_member(2, true);
    rig.vsctl("--id=@i create interface name=nic3 -- add port bond0 interfaces @i");
    rig.await_member(3, true);
    assert_eq!(rig.active(), active, "a new member moved traffic");
    rig.await_calm(&traffic);
    let s = traffic.up.stretch(at, traffic.now() - 150 * MS);
    assert_eq!(s.lost, 0, "adding members lost packets: {s:?}");

    // A member that carries nothing leaves without a trace; then the one that carries all.
    let active = active.expect("an active member");
    let idle = 1 - active;
    let at = traffic.now();
    let remove = |nic: usize| {
        let uuid = rig.get("interface", &format!("nic{nic}"), "_uuid");
        rig.vsctl(&format!("remove port bond0 interfaces {uuid}"));
    };
    remove(idle);
    rig.await_calm(&traffic);
    let s = traffic.up.stretch(at, traffic.now() - 150 * MS);
    assert_eq!(s.lost, 0, "removing an idle member lost packets: {s:?}");

    let at = traffic.now();
    remove(active);
    rig.await_calm(&traffic);
    let s = traffic.up.stretch(at - 50 * MS, traffic.now() - 150 * MS);
    assert!(s.gap.unwrap_or_default() < FAILOVER, "{s:?}");
    assert!(rig.active().is_some_and(|a| a >= 2));
    assert!(!rig.appctl("bond/show bond0").contains("member nic0"));
}

#[harness::test]
fn delays_ride_out_a_flap() {
    let rig = Rig::new(2);
    rig.bond("bond_downdelay=1000 bond_updelay=1000");
    let active = rig.active().unwrap();
    rig.link(active, false);
    rig.wait("a running downdelay", || {
        rig.appctl("bond/show bond0").contains("downdelay expires in")
    });
    rig.link(active, true);
    std::thread::sleep(1200 * MS);
    assert_eq!(rig.active(), Some(active), "a flap shorter than the delay moved traffic");

    rig.link(active, false);
    rig.await_active(1 - active);
    rig.link(active, true);
    rig.wait("a running updelay", || rig.appctl("bond/show bond0").contains("updelay expires in"));
    assert!(rig.appctl("bond/show bond0").contains(&format!("member nic{active}: disabled")));
    rig.await_member(active, true);
}

#[harness::test]
fn a_link_is_found_dead_by_carrier_and_by_polling() {
    let rig = Rig::new(2);
    rig.bond("other_config:bond-detect-mode=miimon other_config:bond-miimon-interval=100");
    let active = rig.active().unwrap();
    rig.link(active, false);
    rig.await_active(1 - active);
    rig.link(active, true);
    rig.await_member(active, true);
    // Back to the carrier, at run time.
    rig.vsctl("set port bond0 other_config:bond-detect-mode=carrier");
    rig.link(1 - active, false);
    rig.await_active(active);
    rig.link(1 - active, true);
    rig.await_member(1 - active, true);
}

#[harness::test]
fn learning_packets_tell_the_network_where_macs_went() {
    let rig = Rig::new(2);
    rig.bond("");
    let (vm, tor) = (rig.vm_socket(), [rig.tor_socket(0), rig.tor_socket(1)]);
    let active = rig.active().unwrap();
    for mac in 1..=3 {
        vm.send(&hello(mac)).unwrap();
    }
    rig.wait("three learned addresses", || {
        rig.appctl("fdb/show br0").matches("02:00:00:00:55:0").count() == 3
    });
    tor[1 - active].drain(|_| true);
    rig.link(active, false);
    rig.await_active(1 - active);
    std::thread::sleep(300 * MS);
    let rarp = tor[1 - active]
        .drain(|f| Header::parse(f).is_some_and(|(h, _)| h.eth_type == EtherType::RARP));
    for mac in 1..=3 {
        let mac = talk(mac, 0).src_mac;
        let n = rarp.iter().filter(|f| f[6..12] == mac.0).count();
        assert_eq!(n, 1, "learning packets for {mac}");
    }
}
