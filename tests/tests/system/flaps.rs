//! The document "an 802.3ad bond that loses a member for good after a 0.1 s flap", with Open vSwitch
//! as the partner: a member that flaps for 0.1 to 0.25 s always comes back.
//!
//! `BRAID_FLAPS=1000` makes as many flaps instead of a dozen.

use std::time::Duration;

use testbed::PacketSocket;
use tests::Rig;
use tests::random::Random;
use tests::rig::enabled;

use super::lacp::{Other, exchange};

const MS: Duration = Duration::from_millis(1);

const FAST: &str = "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast";

#[harness::test]
fn a_member_that_flaps_always_comes_back() {
    let flaps: usize = std::env::var("BRAID_FLAPS").map_or(12, |n| n.parse().expect("a number"));
    let rig = Rig::new(2);
    let other = Other::new(&rig, tests::debian(), FAST);
    rig.bond(FAST);
    let vm = rig.vm_socket();
    let host = PacketSocket::open(&other.host, "eth0").unwrap();
    let mut random = Random::new();
    for round in 0..flaps {
        let nic = random.below(2);
        let before = random.pause(1500);
        let length = MS * (100 + u32::try_from(random.below(151)).unwrap());
        let what = random.below(5);
        println!("flap {round}: nic{nic} case {what}, after {before:?} for {length:?}");
        // The flap is by the side of the change.
        std::thread::scope(|scope| {
            scope.spawn(|| match what {
                // The bond is created again.
                0 => {
                    rig.vsctl("--if-exists del-port bond0");
                    rig.vsctl(&format!("add-bond br0 bond0 nic0 nic1 -- set port bond0 {FAST}"));
                }
                // It is configured anew.
                1 => {
                    rig.vsctl("set port bond0 other_config:lacp-system-priority=7");
                    rig.vsctl("remove port bond0 other_config lacp-system-priority");
                }
                // The other end is.
                2 => {
                    let set = "set port bond1 other_config:lacp-system-priority=7";
                    other.switch.vsctl(set).unwrap();
                    let clear = "remove port bond1 other_config lacp-system-priority";
                    other.switch.vsctl(clear).unwrap();
                }
                // A member's device goes down and up at our end, as when its driver is loaded anew.
                3 => {
                    let name = format!("nic{}", 1 - nic);
                    rig.hv.rtnl().set_up(&name, false).unwrap();
                    std::thread::sleep(length / 2);
                    rig.hv.rtnl().set_up(&name, true).unwrap();
                }
                // Nothing besides.
                _ => {}
            });
            std::thread::sleep(before.min(300 * MS));
            rig.link(nic, false);
            std::thread::sleep(length);
            rig.link(nic, true);
        });
        rig.wait("both members here", || {
            let show = rig.appctl("bond/show bond0");
            show.contains("lacp_status: negotiated") && enabled(&show) == 2
        });
        rig.wait("both members there", || {
            enabled(&other.switch.appctl("bond/show bond1").unwrap()) == 2
        });
        // And both carry.
        exchange(&host, &vm, true);
        let count = || [rig.arrived(0), rig.arrived(1)];
        let from = count();
        assert_eq!(exchange(&vm, &host, false), 64, "flap {round}");
        let to = count();
        assert!((0..2).all(|i| to[i] - from[i] > 10), "flap {round}: {from:?} {to:?}");
        std::thread::sleep(before.saturating_sub(300 * MS));
    }
    let log = rig.switch.log();
    assert!(!log.contains("; corrected"), "news were missed:\n{log}");
}
