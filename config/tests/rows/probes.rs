//! The options `bond-probe-*`.

use std::time::Duration;

use bond::monitor::probe::{ProbeConfig, Quorum, Validate};
use ovsdb_client::rows::Port;

use super::fixture::{bond_row, map, one};

const MEMBERS: &[&str] = &["a", "b"];

/// The probes of a bond with these options, and the warnings.
fn probes(row: Port, options: &[(&str, &str)]) -> (ProbeConfig, Vec<String>) {
    let (port, warnings) = one(Port { other_config: map(options), ..row }, MEMBERS);
    (port.bond.unwrap().config.probe, warnings)
}

fn on<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let basic = [("bond-probe-interval", "100"), ("bond-probe-targets", "10.0.0.1 fe80::1")];
    let changed = |key: &str| more.iter().any(|m| m.0 == key);
    basic.into_iter().filter(|b| !changed(b.0)).chain(more.iter().copied()).collect()
}

#[test]
fn options_reach_the_bond() {
    let (probe, warnings) = probes(bond_row(&[]), &[]);
    assert_eq!((probe.clone(), warnings), (ProbeConfig::default(), vec![]));
    assert!(!probe.is_on());

    let (probe, warnings) = probes(
        bond_row(&[]),
        &[
            ("bond-probe-interval", "250"),
            ("bond-probe-targets", "10.0.0.1, 10.0.0.2,2001:db8::1 10.0.0.1"),
            ("bond-probe-quorum", "3"),
            ("bond-probe-validate", "filter_active"),
            ("bond-probe-missed-max", "255"),
            ("bond-probe-vlan", "20"),
            ("bond-probe-source", "10.0.0.9,2001:db8::9"),
        ],
    );
    assert_eq!(warnings, Vec::<String>::new());
    let expected = ProbeConfig {
        interval: Duration::from_millis(250),
        targets: ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map(|a| a.parse().unwrap()).to_vec(),
        quorum: Quorum::Number(3),
        validate: Validate::FilterActive,
        missed_max: 255,
        vid: Some(20),
        ipv4: [10, 0, 0, 9].into(),
        ipv6: Some("2001:db8::9".parse().unwrap()),
        ..ProbeConfig::default()
    };
    assert_eq!(probe, expected);
    for (word, quorum) in [("any", Quorum::Any), ("all", Quorum::All), ("1", Quorum::Number(1))] {
        let options = on(&[("bond-probe-quorum", word), ("bond-probe-validate", "all")]);
        let (probe, warnings) = probes(bond_row(&[]), &options);
        assert_eq!((probe.quorum, warnings.len()), (quorum, 0), "{word}");
    }
}

/// Each fault is warned of by column, key and value; the default is in force, and the warning goes
/// with the fault.
#[test]
fn bad_values() {
    let cases = [
        ("bond-probe-targets", "10.0.0.1,gateway", "gateway is no address; accepted are addresses"),
        ("bond-probe-targets", "10.0.0.300", "10.0.0.300 is no address"),
        ("bond-probe-targets", "fe80::1%eth0", "fe80::1%eth0 is no address"),
        ("bond-probe-targets", "255.255.255.255", "is not the address of one station"),
        ("bond-probe-targets", "0.0.0.0", "is not the address of one station"),
        ("bond-probe-targets", "ff02::1", "is not the address of one station"),
        ("bond-probe-quorum", "most", "accepted are any, all, or a number from 1; using any"),
        ("bond-probe-quorum", "0", "accepted are any, all, or a number from 1; using any"),
        ("bond-probe-quorum", "3", "there are 2 targets; accepted are any, all, or a number from"),
        ("bond-probe-validate", "yes", "accepted are none, active, backup, all, filter, filter_"),
        ("bond-probe-missed-max", "0", "accepted is a number, 1 to 255; using 2"),
        ("bond-probe-missed-max", "256", "accepted is a number, 1 to 255; using 2"),
        ("bond-probe-vlan", "4095", "accepted is a number, 0 to 4094"),
        ("bond-probe-interval", "-1", "accepted is a number, 0 or 1 to 2147483647 (ms, 0 = off)"),
        ("bond-probe-source", "me", "me is no address; accepted are one IPv4 address and one"),
        ("bond-probe-source", "::", ":: cannot solicit, but for duplicate address detection"),
        ("bond-probe-source", "10.0.0.8 10.0.0.9", "two addresses of one family"),
        ("bond-probe-source", "224.0.0.1", "is not the address of one station"),
        ("bond-probe-source", "10.0.0.1", "is a target; accepted is an address that no station"),
    ];
    for (key, value, advice) in cases {
        let (probe, warnings) = probes(bond_row(&[]), &on(&[(key, value)]));
        let said = format!("port bond0: other_config:{key}={value}: ");
        let found = warnings.iter().any(|w| w.starts_with(&said) && w.contains(advice));
        assert!(found, "{key}={value}: {warnings:?}");
        let default = ProbeConfig::default();
        match key {
            "bond-probe-targets" => assert!(!probe.is_on() && probe.targets.is_empty()),
            "bond-probe-interval" => assert!(!probe.is_on() && probe.interval.is_zero()),
            _ => {
                assert!(probe.is_on());
                assert_eq!((probe.quorum, probe.validate), (default.quorum, default.validate));
                assert_eq!((probe.missed_max, probe.vid), (2, None));
                assert_eq!((probe.ipv4, probe.ipv6), (default.ipv4, None));
            }
        }
    }
    assert_eq!(probes(bond_row(&[]), &on(&[])).1, Vec::<String>::new(), "mended");
}

#[test]
fn options_that_need_each_other() {
    let targets = "bond-probe-targets";
    let cases: [(&[(&str, &str)], &str); 5] = [
        (
            &[("bond-probe-interval", "100")],
            "bond-probe-interval=100: nothing is probed; accepted with the addresses of stations in \
             bond-probe-targets",
        ),
        (
            &[(targets, "10.0.0.1")],
            "bond-probe-targets=10.0.0.1: nothing is probed; accepted with a number of ms, from 1, \
             in bond-probe-interval",
        ),
        (
            &[
                ("bond-probe-interval", "100"),
                (targets, "10.0.0.1"),
                ("bond-probe-source", "fe80::9"),
            ],
            "bond-probe-source=fe80::9: no target has an IPv6 address; accepted is an address of \
             the targets' family; using the default",
        ),
        (
            &[
                ("bond-probe-interval", "100"),
                (targets, "fe80::1"),
                ("bond-probe-source", "10.0.0.9"),
            ],
            "bond-probe-source=10.0.0.9: no target has an IPv4 address; accepted is an address of \
             the targets' family; using the default",
        ),
        (
            &[("bond-probe-interval", "100"), (targets, "10.0.0.1"), ("bond-probe-quorum", "all")],
            "bond-probe-quorum=all: has no effect while any packet counts as a sign of life; \
             accepted with bond-probe-validate active, backup, all, filter_active, filter_backup",
        ),
    ];
    for (options, text) in cases {
        let (probe, warnings) = probes(bond_row(&[]), options);
        assert_eq!(warnings, [format!("port bond0: other_config:{text}")]);
        assert_eq!(probe.ipv6, None);
    }
}

#[test]
fn probes_leave_on_a_vlan_that_the_port_carries() {
    let port = |mode: &str, tag: Option<i64>, trunks: &[i64]| Port {
        vlan_mode: (!mode.is_empty()).then(|| mode.to_owned()),
        tag,
        trunks: trunks.to_vec(),
        ..bond_row(&[])
    };
    let tunnel = Port { cvlans: vec![3], ..port("dot1q-tunnel", Some(10), &[]) };
    // The tag on the wire, or what would be accepted.
    let cases = [
        (port("", None, &[]), "0", Ok(None)),
        (port("", None, &[]), "20", Ok(Some(20))),
        (port("", None, &[10, 20]), "20", Ok(Some(20))),
        (port("", None, &[10, 20]), "30", Err("10, 20")),
        (port("", None, &[10, 20]), "0", Err("10, 20")),
        (port("", None, &[0, 20]), "0", Ok(None)),
        (port("", Some(10), &[]), "0", Ok(None)),
        (port("", Some(10), &[]), "10", Ok(None)),
        (port("", Some(10), &[]), "20", Err("0 or 10")),
        (port("native-untagged", Some(10), &[20]), "0", Ok(None)),
        (port("native-untagged", Some(10), &[20]), "10", Ok(None)),
        (port("native-untagged", Some(10), &[20]), "20", Ok(Some(20))),
        (port("native-untagged", Some(10), &[20]), "30", Err("0, 10, 20")),
        (port("native-tagged", Some(10), &[20]), "0", Ok(Some(10))),
        (port("native-tagged", Some(10), &[20]), "10", Ok(Some(10))),
        (tunnel.clone(), "3", Ok(Some(3))),
        (tunnel, "0", Err("3")),
    ];
    for (row, vlan, expected) in cases {
        let (probe, warnings) = probes(row.clone(), &on(&[("bond-probe-vlan", vlan)]));
        match expected {
            Ok(vid) => {
                assert_eq!((probe.is_on(), probe.vid), (true, vid), "{row:?} {vlan}");
                assert_eq!(warnings, Vec::<String>::new());
            }
            Err(accepted) => {
                assert!(!probe.is_on(), "{row:?} {vlan}");
                let text = format!(
                    "port bond0: other_config:bond-probe-vlan={vlan}: nothing is probed, since the \
                     port does not carry VLAN {vlan}; accepted in bond-probe-vlan is {accepted}"
                );
                assert_eq!(warnings, [text]);
            }
        }
    }
}

#[test]
fn with_lacp_nothing_is_probed() {
    let row = Port { lacp: Some("active".to_owned()), ..bond_row(&[]) };
    let (probe, warnings) = probes(row, &on(&[]));
    assert!(!probe.is_on());
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("bond-probe-interval=100: nothing is probed while lacp"));
}
