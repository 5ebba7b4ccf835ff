//! MAC learning: what is learned, moved, evicted and forgotten.

use crate::rig::{Bridge, DummyRig};

fn arp(port: u32, mac: &str) -> String {
    format!(
        "in_port({port}),eth(src={mac},dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),\
         arp(sip=192.168.0.1,tip=192.168.0.2,op=1,sha={mac},tha=00:00:00:00:00:00)"
    )
}

fn mac(n: u32) -> String {
    format!("50:54:00:00:{:02x}:{:02x}", n >> 8, n & 0xff)
}

#[harness::test]
fn a_port_that_goes_takes_its_stations_out_of_every_bridge() {
    let b = DummyRig::new(Bridge::Standalone, 3);
    b.bridge("br1", Bridge::Standalone, [4, 5]);
    for (port, n) in [(1, 6), (2, 5), (4, 6), (5, 7)] {
        b.receive(port, &arp(port, &mac(n)));
    }
    assert_eq!(b.fdb("br1"), ["4 0 50:54:00:00:00:06", "5 0 50:54:00:00:00:07"]);
    b.rig.vsctl("del-port p1");
    // What was behind p1 may be anywhere now, also for the bridge that has seen it elsewhere.
    b.rig.wait("forgotten", || b.fdb("br1") == ["5 0 50:54:00:00:00:07"]);
    assert_eq!(b.fdb("br0"), ["2 0 50:54:00:00:00:05"]);
    // Other VLANs on a port are a matter of its own bridge.
    b.receive(4, &arp(4, &mac(5)));
    b.rig.vsctl("set port p2 tag=9");
    b.rig.wait("forgotten", || b.fdb("br0").is_empty());
    assert_eq!(b.fdb("br1").len(), 2);
}

/// Sixteen newcomers on one port push out at most as many as it has itself; among ports that are
/// equally full the order is always the same.
#[harness::test]
fn a_full_table_is_shared_fairly() {
    let b = DummyRig::new(Bridge::Standalone, 6);
    b.rig.vsctl("set bridge br0 other_config:mac-table-size=10");
    b.rig.appctl("time/stop");
    for n in 0..10 {
        b.trace(&format!("ovs-dummy {} -generate", arp(n / 2 + 1, &mac(n))));
        b.rig.appctl("time/warp 1000");
    }
    assert_eq!(b.fdb("br0").len(), 10);
    for n in 0..16 {
        b.trace(&format!("ovs-dummy {} -generate", arp(6, &mac(0x100 + n))));
        b.rig.appctl("time/warp 1000");
    }
    let want: Vec<String> = [
        (1, 1),
        (2, 3),
        (3, 4),
        (3, 5),
        (4, 7),
        (5, 8),
        (5, 9),
        (6, 0x10d),
        (6, 0x10e),
        (6, 0x10f),
    ]
    .iter()
    .map(|(port, n)| format!("{port} 0 {}", mac(*n)))
    .collect();
    assert_eq!(b.fdb("br0"), want);
}

#[harness::test]
fn what_somebody_wrote_down_stays() {
    let b = DummyRig::new(Bridge::Standalone, 2);
    let station = mac(1);
    b.receive(1, &arp(1, &station));
    let said = b.rig.appctl(&format!("fdb/add br0 p1 0 {station}"));
    assert_eq!(said.trim_end(), "Overriding already existing dynamic entry on 1");
    let said = b.rig.appctl(&format!("fdb/add br0 p2 0 {station}"));
    assert_eq!(said.trim_end(), "Overriding already existing static entry on 1");
    let moves = || b.rig.appctl("coverage/read-counter mac_learning_static_none_move");
    assert_eq!(moves().trim_end(), "0");
    b.trace(&format!("{} -generate", arp(1, &station)));
    assert_eq!(b.fdb("br0"), [format!("2 0 {station} static")]);
    b.rig.wait("it is counted", || moves().trim_end() != "0");
    assert_eq!(b.rig.appctl("fdb/flush br0").trim_end(), "table successfully flushed");
    assert_eq!(b.fdb("br0").len(), 1);
    b.rig.appctl(&format!("fdb/del br0 0 {station}"));
    assert!(b.fdb("br0").is_empty());
}

/// Values out of range become the nearest in range, without an alarm: Open vSwitch says nothing.
#[harness::test]
fn ageing_in_virtual_time() {
    let b = DummyRig::new(Bridge::Standalone, 2);
    b.rig.vsctl("set bridge br0 other_config:mac-aging-time=5");
    b.rig.appctl("time/stop");
    b.receive(1, &arp(1, &mac(1)));
    b.rig.appctl("time/warp 14000 500");
    assert_eq!(b.fdb("br0").len(), 1);
    b.rig.appctl("time/warp 6000 500");
    assert!(b.fdb("br0").is_empty());
    let stats = b.rig.appctl("fdb/stats-show br0");
    assert!(stats.contains("Total number of expired MAC entries     : 1"), "{stats}");
    b.rig.assert_clean_log();
}
