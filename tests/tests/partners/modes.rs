//! All seven modes of Linux bonding against Braid.

use super::rig::Pair;

const LACP: &str = "add-bond br0 bond0 nic0 nic1 bond_mode=balance-tcp lacp=active \
                    other_config:lacp-time=fast";

#[harness::test]
fn linux_802_3ad_against_lacp() {
    let mut pair =
        Pair::new(LACP, &[("mode", "802.3ad"), ("miimon", "100"), ("lacp_rate", "fast")]);
    pair.survives();
    pair.until("both links in one aggregate", "grep 'Number of ports: 2' /proc/net/bonding/bond0");
    let show = pair.switch.appctl("bond/show bond0").unwrap();
    assert!(show.contains("lacp_status: negotiated"), "{show}");
}

/// Two ports of a switch that knows nothing of the bond behind them.
const PORTS: &str = "add-port br0 nic0 -- add-port br0 nic1";

#[harness::test]
fn linux_active_backup_against_two_ports() {
    let mut pair = Pair::new(PORTS, &[("mode", "active-backup"), ("miimon", "100")]);
    pair.survives();
}

#[harness::test]
fn linux_balance_tlb_against_two_ports() {
    let mut pair = Pair::new(PORTS, &[("mode", "balance-tlb"), ("miimon", "100")]);
    pair.survives();
}

#[harness::test]
fn linux_balance_alb_against_two_ports() {
    let mut pair = Pair::new(PORTS, &[("mode", "balance-alb"), ("miimon", "100")]);
    pair.survives();
}

fn policy(name: &str) -> String {
    format!("add-bond br0 bond0 nic0 nic1 other_config:bond-policy={name}")
}

#[harness::test]
fn linux_balance_rr_against_balance_xor() {
    let options = [("mode", "balance-rr"), ("miimon", "100")];
    Pair::new(&policy("balance-xor"), &options).survives();
}

#[harness::test]
fn linux_balance_xor_against_balance_rr() {
    let options = [("mode", "balance-xor"), ("miimon", "100"), ("xmit_hash_policy", "layer2+3")];
    Pair::new(&policy("balance-rr"), &options).survives();
}

#[harness::test]
fn linux_broadcast_against_broadcast() {
    let mut pair = Pair::new(&policy("broadcast"), &[("mode", "broadcast"), ("miimon", "100")]);
    pair.survives();
    // Each request is sent twice, accepted once and answered once, on both links: Linux counts one
    // duplicate for each answer. Two requests accepted would make three.
    let ping = pair.shell("ping -c 5 -W 1 192.0.2.1");
    assert!(ping.contains("5 packets received, "), "{ping}");
    assert!(ping.matches("DUP!").count() <= 5, "{ping}");
}
