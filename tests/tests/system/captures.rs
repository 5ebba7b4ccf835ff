//! What the switch sends passes the device's captures and its queueing discipline.

use std::process::Command;
use std::time::Duration;

use testbed::{PacketSocket, process};
use tests::Rig;
use tests::rig::talk;

const LIMIT: Duration = Duration::from_secs(10);

/// Runs tc(8); skips the test where it, or the kernel's part, is missing.
fn tc(rig: &Rig, words: &str) {
    let mut c: Command = rig.hv.command(tests::tool("tc"));
    if let Err(e) = process::output(c.args(words.split(' ')), LIMIT) {
        harness::skip(e.to_string());
    }
}

#[harness::test]
fn a_capture_on_a_member_sees_data_and_lacpdus() {
    let rig = Rig::new(2);
    let nics = [0, 1].map(|i| PacketSocket::capture(&rig.hv, &format!("nic{i}")).unwrap());
    rig.bond_down(
        "bond_mode=active-backup lacp=active other_config:lacp-time=fast \
         other_config:lacp-fallback-ab=true",
    );
    rig.wait("a member", || rig.active().is_some());
    let vm = rig.vm_socket();
    let (mut data, mut pdus) = ([0; 2], [0; 2]);
    rig.wait("data and LACPDUs", || {
        let _ = vm.send(&talk(1, 40_000).frame(b"captured"));
        for (i, nic) in nics.iter().enumerate() {
            for f in nic.drain(|_| true) {
                data[i] += usize::from(f.ends_with(b"captured"));
                pdus[i] += usize::from(f.get(12..15) == Some(&[0x88, 0x09, 1]));
            }
        }
        data[rig.active().unwrap_or(0)] > 0 && pdus.iter().all(|n| *n > 0)
    });
    // A frame of its own that came back in would be taken for a loop, or for another partner's.
    rig.assert_clean_log();
}

#[harness::test]
fn a_queueing_discipline_takes_effect_and_drops_no_others() {
    let rig = Rig::new(2);
    rig.bond("bond_mode=active-backup");
    rig.wait("a member", || rig.active().is_some());
    // It drops what is longer than its burst.
    let active = rig.active().unwrap();
    let limit = format!("qdisc add dev nic{active} root tbf rate 1gbit burst 1000 limit 100000");
    tc(&rig, &limit);
    let (vm, tor) = (rig.vm_socket(), rig.tor_socket(active));
    let long = [&[7; 1200][..], b"long"].concat();
    let (mut long_ones, mut short_ones) = (0, 0);
    rig.wait("short frames", || {
        for i in 0..20 {
            let _ = vm.send(&talk(1, 40_000 + i).frame(&long));
            let _ = vm.send(&talk(1, 40_000 + i).frame(b"short"));
        }
        for f in tor.drain(|_| true) {
            long_ones += usize::from(f.ends_with(b"long"));
            short_ones += usize::from(f.ends_with(b"short"));
        }
        short_ones >= 200
    });
    assert_eq!(long_ones, 0);
    tc(&rig, &format!("qdisc del dev nic{active} root"));
    rig.wait("long frames", || {
        let _ = vm.send(&talk(1, 40_000).frame(&long));
        !tor.drain(|f| f.ends_with(b"long")).is_empty()
    });
    assert_eq!(rig.active(), Some(active));
    rig.assert_clean_log();
}
