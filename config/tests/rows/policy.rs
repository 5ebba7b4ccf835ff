//! `bond-policy` and its options.

use bond::Mode;
use ovsdb_client::rows::Port;
use wire::HashPolicy;

use crate::fixture::{bond_row, one};

/// A bond's row with these columns and keys.
fn row(mode: &str, lacp: &str, keys: &[(&str, &str)]) -> Port {
    let column = |v: &str| Some(v.to_owned()).filter(|v| !v.is_empty());
    Port { bond_mode: column(mode), lacp: column(lacp), ..bond_row(keys) }
}

fn mode_of(row: Port) -> (Mode, Vec<String>) {
    let (port, warnings) = one(row, &["e0", "e1"]);
    (port.bond.unwrap().config.mode, warnings)
}

#[test]
fn a_policy_takes_the_place_of_the_default_mode() {
    for (policy, lacp, mode) in [
        ("none", "", Mode::ActiveBackup),
        ("active-backup", "", Mode::ActiveBackup),
        ("active-backup", "active", Mode::ActiveBackup),
        ("balance-rr", "", Mode::BalanceRr),
        ("balance-xor", "off", Mode::BalanceXor),
        ("broadcast", "", Mode::Broadcast),
        ("balance-tlb", "", Mode::BalanceTlb),
        ("802.3ad", "active", Mode::Ieee8023ad),
        ("802.3ad", "passive", Mode::Ieee8023ad),
    ] {
        for column in ["", "active-backup"] {
            let found = mode_of(row(column, lacp, &[("bond-policy", policy)]));
            assert_eq!(found, (mode, Vec::new()), "{policy} over {column:?}");
        }
    }
    let found = mode_of(row("balance-tcp", "active", &[("bond-policy", "802.3ad")]));
    assert_eq!(found, (Mode::Ieee8023ad, Vec::new()));
}

#[test]
fn a_policy_that_cannot_be_used_is_named_with_what_can() {
    let key = "port bond0: other_config:bond-policy";
    for (column, lacp, policy, mode, warning) in [
        (
            "balance-slb",
            "",
            "balance-rr",
            Mode::BalanceSlb,
            "contradicts bond_mode=balance-slb; accepted with it is no policy; \
             bond_mode=balance-slb is in force",
        ),
        (
            "balance-tcp",
            "active",
            "balance-xor",
            Mode::BalanceTcp,
            "contradicts bond_mode=balance-tcp; accepted with it is 802.3ad; \
             bond_mode=balance-tcp is in force",
        ),
        (
            "",
            "active",
            "broadcast",
            Mode::ActiveBackup,
            "contradicts lacp=active; accepted with it are active-backup, 802.3ad; \
             bond_mode=active-backup is in force",
        ),
        (
            "",
            "off",
            "802.3ad",
            Mode::ActiveBackup,
            "needs LACP; accepted with it are lacp=active, lacp=passive; \
             bond_mode=active-backup is in force",
        ),
        (
            "balance-slb",
            "",
            "round-robin",
            Mode::BalanceSlb,
            "accepted are none, active-backup, balance-rr, balance-xor, broadcast, balance-tlb, \
             802.3ad; using none",
        ),
    ] {
        let found = mode_of(row(column, lacp, &[("bond-policy", policy)]));
        assert_eq!(found, (mode, vec![format!("{key}={policy}: {warning}")]));
    }
}

#[test]
fn options_of_policies() {
    let (port, warnings) = one(bond_row(&[("bond-policy", "balance-xor")]), &["e0", "e1"]);
    let policy = port.bond.unwrap().config.policy;
    assert_eq!((policy.hash, policy.packets_per_member), (HashPolicy::L2, 1));
    assert_eq!(warnings, [""; 0]);

    for policy in HashPolicy::ALL {
        let keys = [("bond-policy", "balance-xor"), ("bond-hash-policy", policy.as_str())];
        let (port, warnings) = one(bond_row(&keys), &["e0", "e1"]);
        assert_eq!(port.bond.unwrap().config.policy.hash, policy);
        assert_eq!(warnings, [""; 0]);
    }
    for (word, dynamic) in [("true", true), ("false", false)] {
        let keys = [("bond-policy", "balance-tlb"), ("bond-tlb-dynamic", word)];
        let (port, warnings) = one(bond_row(&keys), &["e0", "e1"]);
        assert_eq!(port.bond.unwrap().config.policy.tlb_dynamic, dynamic);
        assert_eq!(warnings, [""; 0]);
    }
    for (packets, read) in [("0", 0), ("1", 1), ("65535", 65_535)] {
        let keys = [("bond-policy", "balance-rr"), ("bond-packets-per-member", packets)];
        let (port, warnings) = one(bond_row(&keys), &["e0", "e1"]);
        assert_eq!(port.bond.unwrap().config.policy.packets_per_member, read);
        assert_eq!(warnings, [""; 0]);
    }
}

#[test]
fn bad_options_of_policies() {
    for (policy, key, value, warning) in [
        (
            "balance-xor",
            "bond-hash-policy",
            "layer2+3",
            "accepted are l2, l2+3, l3+4, encap2+3, encap3+4, vlan+srcmac; using l2",
        ),
        (
            "balance-rr",
            "bond-packets-per-member",
            "65536",
            "accepted is a number, 0 to 65535 (packets, 0 = a random member for each packet); \
             using 1",
        ),
        (
            "balance-rr",
            "bond-hash-policy",
            "l3+4",
            "has an effect with bond-policy balance-xor, balance-tlb, 802.3ad, not with balance-rr",
        ),
        ("balance-tlb", "bond-tlb-dynamic", "1", "accepted are true, false; using true"),
        (
            "balance-xor",
            "bond-tlb-dynamic",
            "false",
            "has an effect with bond-policy balance-tlb, not with balance-xor",
        ),
        (
            "active-backup",
            "bond-packets-per-member",
            "4",
            "has an effect with bond-policy balance-rr, not with active-backup",
        ),
    ] {
        let (_, found) = one(bond_row(&[("bond-policy", policy), (key, value)]), &["e0", "e1"]);
        assert_eq!(found, [format!("port bond0: other_config:{key}={value}: {warning}")]);
    }
}
