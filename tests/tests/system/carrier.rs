//! How soon a lost carrier is noticed on devices that are like NICs.
//!
//! The kernel reports such a device's carrier up to a second late when another device's has
//! changed just before, whatever that device is for (`netdev::link::carrier`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testbed::tap::Tap;
use testbed::{Members, Netns};
use tests::Rig;
use tests::rig::talk;

const MS: Duration = Duration::from_millis(1);
/// Far less than the kernel takes (some 900 ms here), far more than the daemon.
const NOTICED: Duration = Duration::from_millis(300);

fn count(rig: &Rig, line: &str) -> usize {
    rig.switch.log().matches(line).count()
}

/// Cuts a member's link just after another device's, five times, and gives the second longest time
/// that the daemon took to disable it: one may be the busy machine's. The kernel's wait is the
/// machine's, not a namespace's, so that tests beside this one can shorten some.
fn most(rig: &Rig, other: &Netns) -> Duration {
    let other = Tap::new(other, "other0").expect("a tap");
    let disabled = "member nic0: disabled";
    let mut times = Vec::new();
    for _ in 0..5 {
        // The kernel has reported all that went before.
        std::thread::sleep(1200 * MS);
        other.set_carrier(false).expect("a carrier");
        std::thread::sleep(100 * MS);
        let before = count(rig, disabled);
        let cut = Instant::now();
        rig.link(0, false);
        rig.wait(disabled, || count(rig, disabled) > before);
        times.push(cut.elapsed());
        rig.link(0, true);
        other.set_carrier(true).expect("a carrier");
        rig.await_member(0, true);
    }
    times.sort_unstable();
    times[times.len() - 2]
}

fn noticed(settings: &str, lacp: bool) {
    noticed_beside(None, settings, lacp);
}

/// The other device is in `other`, or else in the switch's own namespace.
fn noticed_beside(other: Option<&Netns>, settings: &str, lacp: bool) {
    let rig = Rig::of(Members::Tap, 2);
    rig.bond_down(settings);
    let (_fabric, _traffic) = rig.traffic(vec![talk(1, 40_000)], 20, lacp);
    rig.wait("two members", || rig.enabled() == 2);
    let time = most(&rig, other.unwrap_or(&rig.hv));
    assert!(time < NOTICED, "noticed after {time:?}\n{}", rig.switch.log());
    rig.assert_clean_log();
}

#[harness::test]
fn a_cut_after_another_devices_is_noticed_at_once_in_active_backup() {
    noticed("bond_mode=active-backup", false);
}

#[harness::test]
fn a_cut_after_another_devices_is_noticed_at_once_in_balance_slb() {
    noticed("bond_mode=balance-slb", false);
}

#[harness::test]
fn a_cut_after_another_devices_is_noticed_at_once_in_balance_tcp() {
    noticed("bond_mode=balance-tcp lacp=active other_config:lacp-time=fast", true);
}

#[harness::test]
fn a_cut_after_another_devices_is_noticed_at_once_with_lb_output() {
    noticed(
        "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast \
         other_config:lb-output-action=true",
        true,
    );
}

/// The kernel's wait is the machine's. The switch hears nothing of a device in another namespace, such
/// as a container's, so that only its steady reading of the counts helps.
#[harness::test]
fn a_cut_after_a_device_of_another_namespace_is_noticed_at_once() {
    tests::able();
    let other = Netns::new().expect("a namespace");
    noticed_beside(Some(&other), "bond_mode=active-backup", false);
}

/// Links made and deleted elsewhere keep the kernel's lock for network configuration busy, on which
/// every other way to ask for a carrier waits.
#[harness::test]
fn a_cut_is_noticed_at_once_while_others_configure_links() {
    tests::able();
    let stop = AtomicBool::new(false);
    let (one, other) = (Netns::new().expect("a namespace"), Netns::new().expect("a namespace"));
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                one.veth("d0", &other, "d1").expect("a veth pair");
                one.rtnl().delete("d0").expect("it is there");
            }
        });
        // The other thread must end when this one fails.
        let result = std::panic::catch_unwind(|| noticed("bond_mode=active-backup", false));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A cut that is over before the kernel reports it is a flap: other traffic of that moment is lost
/// on the link, and delays count from it.
#[harness::test]
fn a_cut_shorter_than_the_kernels_wait_is_seen() {
    let rig = Rig::of(Members::Tap, 2);
    rig.bond("bond_mode=active-backup");
    let other = Tap::new(&rig.hv, "other0").expect("a tap");
    let resets = |rig: &Rig| rig.get("Interface", "nic0", "link_resets");
    std::thread::sleep(1200 * MS);
    let active = rig.active().expect("an active member");
    if active != 0 {
        rig.appctl("bond/set-active-member bond0 nic0");
    }
    let before = (count(&rig, "member nic0: disabled"), count(&rig, "member nic0: enabled"));
    let resets_before: u64 = resets(&rig).parse().expect("a number");
    other.set_carrier(false).expect("a carrier");
    std::thread::sleep(20 * MS);
    rig.link(0, false);
    rig.link(0, true);
    rig.wait("the flap", || {
        count(&rig, "member nic0: disabled") == before.0 + 1
            && count(&rig, "member nic0: enabled") == before.1 + 1
    });
    rig.await_active(1);
    // The kernel's own report, a second later, tells nothing new.
    std::thread::sleep(1500 * MS);
    assert_eq!(count(&rig, "member nic0: disabled"), before.0 + 1, "{}", rig.switch.log());
    rig.wait("two resets", || resets(&rig) == (resets_before + 2).to_string());
    assert_eq!(rig.get("Interface", "nic0", "link_state"), "up");
    rig.assert_clean_log();
}

/// As the carrier, so the status: long before the kernel's report.
#[harness::test]
fn the_database_has_a_lost_carrier_at_once() {
    let rig = Rig::of(Members::Tap, 2);
    rig.bond("bond_mode=active-backup");
    let other = Tap::new(&rig.hv, "other0").expect("a tap");
    let mut times = Vec::new();
    for _ in 0..4 {
        std::thread::sleep(1200 * MS);
        other.set_carrier(false).expect("a carrier");
        std::thread::sleep(20 * MS);
        let cut = Instant::now();
        rig.link(1, false);
        rig.wait("link_state", || rig.get("Interface", "nic1", "link_state") == "down");
        times.push(cut.elapsed());
        rig.link(1, true);
        other.set_carrier(true).expect("a carrier");
        rig.wait("link_state", || rig.get("Interface", "nic1", "link_state") == "up");
    }
    times.sort_unstable();
    let time = times[2];
    assert!(time < 600 * MS, "in the database after {time:?}");
}
