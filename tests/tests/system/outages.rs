//! The daemon restarts; the database goes away. Neither may cost the configuration.

use std::time::Duration;

use tests::Rig;
use tests::rig::{hello, talk};

const MS: Duration = Duration::from_millis(1);

#[harness::test]
fn the_active_member_survives_a_restart() {
    // Open vSwitch 3.1 loses it; later ones keep it.
    tests::ours_only("an active member that is always kept");
    let mut rig = Rig::new(3);
    rig.bond("");
    // Not the one that would be chosen anyway.
    let other = (rig.active().unwrap() + 1) % 3;
    for chosen in [other, (other + 1) % 3] {
        rig.appctl(&format!("bond/set-active-member bond0 nic{chosen}"));
        rig.await_active(chosen);
        let mac = tests::rig::nic_mac(chosen).to_string();
        rig.wait("the active member in the database", || {
            rig.get("port", "bond0", "bond_active_slave") == mac
        });
        rig.switch.stop_vswitchd();
        rig.switch.start_vswitchd().unwrap();
        rig.wait("the bond", || rig.switch.appctl("bond/show bond0").is_ok());
        rig.await_member(chosen, true);
        rig.await_active(chosen);
        std::thread::sleep(200 * MS);
        assert_eq!(rig.active(), Some(chosen));
    }
}

#[harness::test]
fn a_primary_whose_link_is_no_faster_does_not_take_over_at_a_restart() {
    tests::ours_only("bond-primary-reselect");
    let mut rig = Rig::new(2);
    rig.bond("other_config:bond-primary=nic0 other_config:bond-primary-reselect=better");
    rig.appctl("bond/set-active-member bond0 nic1");
    rig.await_active(1);
    let mac = tests::rig::nic_mac(1).to_string();
    rig.wait("the active member in the database", || {
        rig.get("port", "bond0", "bond_active_slave") == mac
    });
    let compared = |rig: &Rig| {
        rig.wait("both speeds", || {
            rig.switch.appctl("bond/show bond0").is_ok_and(|show| {
                show.contains("failback: nic0 waits because its link is no better")
            })
        });
        assert_eq!(rig.active(), Some(1));
    };
    compared(&rig);
    rig.switch.stop_vswitchd();
    rig.switch.start_vswitchd().unwrap();
    compared(&rig);

    // A bond of one gets its second member back.
    let uuid = rig.get("interface", "nic0", "_uuid");
    rig.vsctl(&format!("remove port bond0 interfaces {uuid}"));
    rig.wait("a port of one interface", || rig.switch.appctl("bond/show bond0").is_err());
    rig.vsctl("-- --id=@i create interface name=nic0 -- add port bond0 interfaces @i");
    compared(&rig);
}

#[harness::test]
fn a_crash_is_survived_by_configuration_and_devices() {
    let mut rig = Rig::new(2);
    rig.bond("");
    rig.switch.kill_vswitchd();
    rig.switch.start_vswitchd().unwrap();
    rig.wait("the bond", || rig.switch.appctl("bond/show bond0").is_ok());
    rig.await_member(0, true);
    let (_fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 500, false);
    rig.await_calm(&traffic);
}

#[harness::test]
fn forwarding_and_failover_go_on_without_the_database() {
    let mut rig = Rig::with_server(2);
    rig.bond("");
    let (fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 1000, false);
    rig.await_calm(&traffic);

    let at = traffic.now();
    rig.switch.stop_server();
    std::thread::sleep(1500 * MS);
    for l in [&traffic.up, &traffic.down] {
        assert_eq!(l.stretch(at, traffic.now() - 200 * MS).lost, 0, "lost without the database");
    }
    // bond/show does not need the database either.
    let active = rig.active().unwrap();
    fabric.set_link(active, false).unwrap();
    rig.await_active(1 - active);
    rig.await_calm(&traffic);

    // It comes back: nothing moves, and new configuration is taken.
    let at = traffic.now();
    rig.switch.start_server().unwrap();
    rig.vsctl("--no-wait set port bond0 bond_updelay=7");
    rig.wait_at_most(Duration::from_secs(20), "reconnection", || {
        rig.appctl("bond/show bond0").contains("updelay: 7 ms")
    });
    let mac = tests::rig::nic_mac(1 - active).to_string();
    rig.wait("the active member in the database", || {
        rig.get("port", "bond0", "bond_active_slave") == mac
    });
    std::thread::sleep(300 * MS);
    for l in [&traffic.up, &traffic.down] {
        assert_eq!(l.stretch(at, traffic.now() - 200 * MS).lost, 0, "lost at reconnection");
    }
}

#[harness::test]
fn the_daemon_waits_for_a_database_that_is_not_there_yet() {
    let mut rig = Rig::with_server(2);
    rig.bond("");
    rig.switch.stop_vswitchd();
    rig.switch.stop_server();
    rig.switch.start_vswitchd().unwrap();
    std::thread::sleep(300 * MS);
    rig.switch.start_server().unwrap();
    rig.wait_at_most(Duration::from_secs(20), "the bond", || {
        rig.switch.appctl("bond/show bond0").is_ok()
    });
    rig.await_member(0, true);
    rig.vm_socket().send(&hello(1)).unwrap();
}
