//! Two bonds of one bridge that lead to the same network.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use testbed::PacketSocket;
use tests::Rig;
use tests::rig::{enabled, hello};

const MS: Duration = Duration::from_millis(1);

/// Floods what comes out of one pair of links into the other, as a switch behind both does.
fn flood(links: &[PacketSocket], stop: &AtomicBool, carried: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        for (from, to) in [([0, 1], [2, 3]), ([2, 3], [0, 1])] {
            for n in from {
                for frame in links[n].drain(|f| f[..6] == [0xff; 6]) {
                    carried.fetch_add(1, Ordering::Relaxed);
                    for t in to {
                        let _ = links[t].send(&frame);
                    }
                }
            }
        }
        // As slow as is needed for the rest of the machine to get on.
        std::thread::sleep(5 * MS);
    }
}

#[harness::test]
fn a_loop_of_two_bonds_is_told_and_ended() {
    tests::ours_only("bond-loop-protect");
    let rig = Rig::new(4);
    rig.vsctl(
        "add-bond br0 bond0 nic0 nic1 -- set port bond0 bond_mode=active-backup \
         -- add-bond br0 bond1 nic2 nic3 -- set port bond1 bond_mode=active-backup \
         -- add-port br0 vnet0",
    );
    let up = |bond: &str| enabled(&rig.appctl(&format!("bond/show {bond}")));
    rig.wait("both bonds", || up("bond0") == 2 && up("bond1") == 2);
    // Learned before there is a loop.
    rig.vm_socket().send(&hello(1)).unwrap();
    rig.wait("the VM's address", || rig.appctl("fdb/show br0").contains("02:00:00:00:55:01"));

    let links: Vec<PacketSocket> = (0..4).map(|n| rig.tor_socket(n)).collect();
    for l in &links {
        l.drain(|_| true);
    }
    let (stop, carried) = (AtomicBool::new(false), AtomicU64::new(0));
    let loops = |log: &str| log.lines().filter(|l| l.contains("makes a loop with port")).count();
    // A learning packet is sent, and comes back: a storm begins.
    let announce = || {
        let show = rig.appctl("bond/show bond0");
        let other = if show.contains("(nic0)") { "nic1" } else { "nic0" };
        rig.appctl(&format!("bond/set-active-member bond0 {other}"));
    };
    std::thread::scope(|s| {
        s.spawn(|| flood(&links, &stop, &carried));
        // Whatever fails, the thread ends.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            announce();
            rig.wait("a warning", || loops(&rig.switch.log()) > 0);
            assert_eq!((up("bond0"), up("bond1")), (2, 2), "off by default");
            let log = rig.switch.log();
            let line = log.lines().find(|l| l.contains("makes a loop with port")).unwrap();
            assert!(line.contains("bond0") && line.contains("bond1"), "{line}");
            let before = carried.load(Ordering::Relaxed);
            std::thread::sleep(300 * MS);
            let storm = carried.load(Ordering::Relaxed) - before;
            assert!(storm > 20, "{storm} packets: there is no storm to end");

            for bond in ["bond0", "bond1"] {
                rig.vsctl(&format!("set port {bond} other_config:bond-loop-protect=true"));
            }
            // The one that was told of the loop is held down as soon as the option is set.
            rig.wait("one bond held down", || up("bond0") + up("bond1") == 2);
            let held = if up("bond0") == 0 { "bond0" } else { "bond1" };
            let show = rig.appctl(&format!("bond/show {held}"));
            assert!(show.contains("\nloop: held down for "), "{show}");
            rig.wait("the storm to end", || {
                let before = carried.load(Ordering::Relaxed);
                std::thread::sleep(200 * MS);
                carried.load(Ordering::Relaxed) - before < 5
            });
            let log = rig.switch.log();
            assert!(loops(&log) <= 3, "{log}");

            // Somebody pulls a cable of it: it is tried again.
            let nic = if held == "bond0" { 1 } else { 3 };
            stop.store(true, Ordering::Relaxed);
            rig.link(nic, false);
            rig.wait("the other link of it", || up(held) == 1);
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(e) = result {
            std::panic::resume_unwind(e);
        }
    });
    rig.assert_no_panic();
}
