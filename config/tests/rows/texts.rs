//! Warnings in Open vSwitch's words.

use config::{DummyPolicy, Severity, desired};
use ovsdb_client::rows::Port;

use super::fixture::{Rows, bond_row, map};

/// Programs look for Open vSwitch's texts.
#[test]
fn texts_are_open_vswitchs() {
    let port = |name: &str| Port { name: name.to_owned(), ..Port::default() };
    let bond = |config| Port { other_config: map(config), ..bond_row(&[]) };
    let cases: [(Port, &[&str], Severity, &str); 8] = [
        (
            Port { tag: Some(5), trunks: vec![1, 2], ..port("v0p") },
            &["v0p"],
            Severity::Warn,
            "port v0p: ignoring trunks in favor of implicit vlan",
        ),
        (
            Port { vlan_mode: Some("magic".to_owned()), ..port("p") },
            &["p"],
            Severity::Warn,
            "port p: unknown VLAN mode magic, falling back to trunk mode",
        ),
        (
            Port { lacp: Some("on".to_owned()), ..port("p") },
            &["p"],
            Severity::Warn,
            "port p: unknown LACP mode on",
        ),
        (
            Port { bond_mode: Some("rr".to_owned()), ..bond(&[]) },
            &["a", "b"],
            Severity::Warn,
            "port bond0: unknown bond_mode rr, defaulting to active-backup",
        ),
        (
            Port { lacp: Some("active".to_owned()), ..bond(&[("lacp-system-id", "1")]) },
            &["a", "b"],
            Severity::Warn,
            "port bond0: LACP system ID (1) must be an Ethernet address.",
        ),
        (
            Port {
                lacp: Some("active".to_owned()),
                ..bond(&[("lacp-system-id", "00:00:00:00:00:00")])
            },
            &["a", "b"],
            Severity::Warn,
            "port bond0: Invalid zero LACP system ID.",
        ),
        (
            bond(&[("bond-detect-mode", "arp")]),
            &["a", "b"],
            Severity::Warn,
            "port bond0: unsupported bond-detect-mode arp, defaulting to carrier",
        ),
        (
            bond(&[("bond-primary", "c")]),
            &["a", "b"],
            Severity::Warn,
            "port bond0: other_config:bond-primary=c: not a member of this bond now",
        ),
    ];
    for (row, names, severity, text) in cases {
        let mut rows = Rows::new();
        rows.port(row, names);
        let wanted = rows.wanted();
        let [warning] = &wanted.warnings[..] else { panic!("{text}: {:?}", wanted.warnings) };
        assert!(warning.to_string().starts_with(text), "{warning}");
        assert_eq!(warning.severity, severity, "{text}");
    }
}

#[test]
fn texts_about_addresses_are_open_vswitchs() {
    for (mac, to) in [
        ("00:00:00:00:00:00", "zero"),
        ("01:00:00:00:00:01", "multicast address 01:00:00:00:00:01"),
    ] {
        let mut rows = Rows::new();
        rows.bridge().other_config = map(&[("hwaddr", mac)]);
        let warning = &rows.wanted().warnings[0];
        assert_eq!(warning.to_string(), format!("bridge br0: cannot set MAC address to {to}"));
        assert_eq!(warning.severity, Severity::Err);
    }
    let mut rows = Rows::new();
    let uuid = rows.bridge().ports[0];
    let iface = rows.tables.ports[&uuid].interfaces[0];
    rows.tables.interfaces.get_mut(&iface).unwrap().mac = Some("00:00:00:00:00:07".to_owned());
    assert_eq!(
        rows.wanted().warnings[0].to_string(),
        "interface br0: ignoring mac in Interface record (use Bridge record to set local port's \
         mac)"
    );
}

/// Open vSwitch's test suite sets such values with dummies enabled, and fails on a WARN.
#[test]
fn wrong_primary_is_a_warning_unless_dummies_are_enabled() {
    let mut rows = Rows::new();
    rows.port(bond_row(&[("bond-primary", "c"), ("bond-hash-basis", "x")]), &["a", "b"]);
    for (dummy, primary) in [(DummyPolicy::Off, Severity::Warn), (DummyPolicy::On, Severity::Info)]
    {
        let warnings = desired(&rows.tables, dummy).warnings;
        let severity =
            |key: &str| warnings.iter().find(|w| w.key.as_deref() == Some(key)).map(|w| w.severity);
        assert_eq!(severity("bond-primary"), Some(primary), "{dummy:?}");
        assert_eq!(severity("bond-hash-basis"), Some(Severity::Warn), "{dummy:?}");
    }
}
