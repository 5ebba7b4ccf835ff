//! Rows in, wanted state and warnings out: a table of cases.

mod fixture;
mod keys;
mod policy;
mod probes;
mod texts;

use std::time::Duration;

use bond::monitor::{bfd, cfm};
use bond::{BondConfig, LacpTime, Mode, PrimaryReselect};
use config::{
    Desired, Detect, DeviceKind, DummyPolicy, MemberSettings, Severity, SwitchOptions, WantBond,
    WantBridge, WantPort, desired, desired_after, mac,
};
use ofproto::config::{MirrorConfig, MirrorOutput, PriorityTags};
use ofproto::{FailMode, VlanMode};
use ovsdb_client::Uuid;
use ovsdb_client::rows::{Interface, Mirror, Port, Tables};
use wire::EthAddr;

use self::fixture::{Rows, bond_row, map, one};

#[test]
fn a_bond_with_nothing_said_has_upstreams_defaults() {
    let (port, warnings) = one(bond_row(&[]), &["e1", "e0"]);
    assert_eq!(warnings, [""; 0]);
    let names: Vec<&str> = port.ifaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["e0", "e1"]);
    let bond = port.bond.unwrap();
    assert_eq!(bond.detect, Detect::Carrier);
    let bond = bond.config;
    assert_eq!(bond.mode, Mode::ActiveBackup);
    assert_eq!((bond.updelay, bond.downdelay), (Duration::ZERO, Duration::ZERO));
    assert_eq!(bond.rebalance_interval, Duration::from_secs(10));
    assert_eq!(bond.primary_reselect, PrimaryReselect::Always);
    assert_eq!((bond.failback_delay, bond.failback_limit), (Duration::ZERO, 0));
    assert!(!bond.all_members_active && !bond.lb_output && !bond.lacp_fallback_ab);
    assert_eq!((bond.primary, bond.hash_basis, bond.active_member_mac), (None, 0, None));
    assert_eq!(port.lacp, None);
}

#[test]
fn one_interface_is_no_bond() {
    let (port, warnings) =
        one(Port { bond_mode: Some("balance-slb".to_owned()), ..bond_row(&[]) }, &["e0"]);
    assert_eq!((port.bond, warnings.len()), (None, 0));
}

/// Each option: accepted values, and what becomes of others. (key, value, reading, warned)
#[test]
fn options_of_bonds() {
    type Read = fn(&WantPort) -> String;
    let bond = |read: Read| read;
    let rebalance =
        bond(|p| p.bond.as_ref().unwrap().config.rebalance_interval.as_millis().to_string());
    let detect = bond(|p| format!("{:?}", p.bond.as_ref().unwrap().detect));
    let basis = bond(|p| p.bond.as_ref().unwrap().config.hash_basis.to_string());
    let primary = bond(|p| format!("{:?}", p.bond.as_ref().unwrap().config.primary));
    let reselect = bond(|p| format!("{:?}", p.bond.as_ref().unwrap().config.primary_reselect));
    let delay = bond(|p| p.bond.as_ref().unwrap().config.failback_delay.as_millis().to_string());
    let limit = bond(|p| p.bond.as_ref().unwrap().config.failback_limit.to_string());
    let protect = bond(|p| p.bond.as_ref().unwrap().config.loop_protect.to_string());
    let all = bond(|p| p.bond.as_ref().unwrap().config.all_members_active.to_string());
    let cases: &[(&str, &str, Read, &str, bool)] = &[
        ("bond-rebalance-interval", "0", rebalance, "0", false),
        ("bond-rebalance-interval", "1000", rebalance, "1000", false),
        ("bond-rebalance-interval", "999", rebalance, "1000", true),
        ("bond-rebalance-interval", "-1", rebalance, "1000", true),
        ("bond-rebalance-interval", "soon", rebalance, "10000", true),
        ("bond-rebalance-interval", "99999999999", rebalance, "10000", true),
        ("bond-detect-mode", "miimon", detect, "Miimon(200ms)", false),
        ("bond-detect-mode", "carrier", detect, "Carrier", false),
        ("bond-detect-mode", "arp", detect, "Carrier", true),
        ("bond-hash-basis", "4294967295", basis, "4294967295", false),
        ("bond-hash-basis", "-1", basis, "4294967295", false),
        ("bond-hash-basis", "0x10", basis, "16", false),
        ("bond-hash-basis", "", basis, "0", true),
        ("bond-primary", "e1", primary, "Some(\"e1\")", false),
        ("bond-primary", "e7", primary, "Some(\"e7\")", true),
        ("bond-primary-reselect", "failure", reselect, "Failure", false),
        ("bond-primary-reselect", "never", reselect, "Always", true),
        ("bond-failback-delay", "2000", delay, "2000", false),
        ("bond-failback-delay", "-2000", delay, "0", true),
        ("bond-failback-limit", "3", limit, "3", false),
        ("bond-failback-limit", "3.5", limit, "0", true),
        ("bond-loop-protect", "true", protect, "true", false),
        ("bond-loop-protect", "on", protect, "false", true),
        ("all-members-active", "TRUE", all, "true", false),
        ("all-members-active", "false", all, "false", false),
        ("all-members-active", "yes", all, "false", true),
    ];
    for (key, value, read, expected, warned) in cases {
        let (port, warnings) = one(bond_row(&[(key, value)]), &["e0", "e1"]);
        assert_eq!(read(&port), *expected, "{key}={value}");
        assert_eq!(warnings.len(), usize::from(*warned), "{key}={value}: {warnings:?}");
        if *warned {
            let text = &warnings[0];
            let head = format!("port bond0: other_config:{key}={value}: ");
            let said = format!("port bond0: unsupported {key} {value}, defaulting to ");
            assert!(text.starts_with(&head) || text.starts_with(&said), "{text}");
        }
    }
    let (port, _) = one(
        bond_row(&[("bond-detect-mode", "miimon"), ("bond-miimon-interval", "50")]),
        &["e0", "e1"],
    );
    assert_eq!(port.bond.unwrap().detect, Detect::Miimon(Duration::from_millis(50)));
}

#[test]
fn modes() {
    for (given, mode, warned) in [
        ("active-backup", Mode::ActiveBackup, false),
        ("balance-slb", Mode::BalanceSlb, false),
        ("balance-tcp", Mode::BalanceTcp, false),
        ("802.3ad", Mode::ActiveBackup, true),
    ] {
        let row = Port { bond_mode: Some(given.to_owned()), ..bond_row(&[]) };
        let (port, warnings) = one(row, &["e0", "e1"]);
        assert_eq!(port.bond.unwrap().config.mode, mode, "{given}");
        assert_eq!(warnings.len(), usize::from(warned), "{warnings:?}");
    }
}

#[test]
fn delays_and_the_member_of_the_last_run() {
    let row = Port {
        bond_updelay: 5000,
        bond_downdelay: -3,
        bond_active_slave: Some("00:11:22:33:44:55".to_owned()),
        ..bond_row(&[])
    };
    let (port, warnings) = one(row, &["e0", "e1"]);
    let bond = port.bond.unwrap().config;
    assert_eq!(bond.updelay, Duration::from_secs(5));
    assert_eq!(bond.downdelay, Duration::ZERO);
    assert_eq!(bond.active_member_mac, Some("00:11:22:33:44:55".parse().unwrap()));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("port bond0: bond_downdelay=-3: "), "{warnings:?}");
}

#[test]
fn lacp_of_ports() {
    let row =
        |lacp: &str, oc: &[(&str, &str)]| Port { lacp: Some(lacp.to_owned()), ..bond_row(oc) };
    let (port, warnings) = one(row("active", &[("lacp-time", "FAST")]), &["e0", "e1"]);
    let lacp = port.lacp.unwrap();
    assert_eq!((lacp.active, lacp.time, lacp.system_priority), (true, LacpTime::Fast, 65_534));
    assert_eq!((lacp.system_id, warnings.len()), (EthAddr::ZERO, 0));
    // A port that cannot be aggregated yields.
    assert_eq!(one(row("passive", &[]), &["e0"]).0.lacp.unwrap().system_priority, 65_535);
    let given = row("active", &[("lacp-system-priority", "7")]);
    assert_eq!(one(given, &["e0"]).0.lacp.unwrap().system_priority, 7);
    assert_eq!(one(row("off", &[]), &["e0", "e1"]).0.lacp, None);
    for (key, value, on) in [
        ("lacp-system-id", "aa:bb:cc:dd:ee:ff", true),
        ("lacp-system-id", "me", false),
        ("lacp-system-id", "00:00:00:00:00:00", false),
        ("lacp-system-priority", "70000", true),
        ("lacp-time", "sometimes", true),
    ] {
        let (port, warnings) = one(row("active", &[(key, value)]), &["e0", "e1"]);
        assert_eq!(port.lacp.is_some(), on, "{key}={value}");
        let warned = !(key == "lacp-system-id" && on);
        assert_eq!(warnings.len(), usize::from(warned), "{key}={value}: {warnings:?}");
    }
}

#[test]
fn vlans_of_ports() {
    type Case<'a> = (Option<i64>, &'a [i64], Option<&'a str>, VlanMode, u16, &'a [u16], usize);
    let qinq = VlanMode::Dot1qTunnel { tpid: 0x88a8 };
    let cases: &[Case<'_>] = &[
        (None, &[], None, VlanMode::Trunk, 0, &[], 0),
        (None, &[5, 7], None, VlanMode::Trunk, 0, &[5, 7], 0),
        (Some(9), &[], None, VlanMode::Access, 9, &[], 0),
        (Some(9), &[5], None, VlanMode::Access, 9, &[], 1),
        (Some(9), &[5], Some("trunk"), VlanMode::Trunk, 9, &[5], 0),
        (Some(9), &[5], Some("native-tagged"), VlanMode::NativeTagged, 9, &[5], 0),
        (Some(9), &[], Some("native-untagged"), VlanMode::NativeUntagged, 9, &[], 0),
        (Some(9), &[], Some("dot1q-tunnel"), qinq, 9, &[], 0),
        (Some(9), &[], Some("hybrid"), VlanMode::Trunk, 9, &[], 1),
        (Some(4096), &[-1, 5000], None, VlanMode::Trunk, 0, &[], 3),
    ];
    for (tag, trunks, mode, want_mode, want_vlan, want_trunks, warned) in cases {
        let row = Port {
            name: "p".to_owned(),
            tag: *tag,
            trunks: trunks.to_vec(),
            vlan_mode: mode.map(str::to_owned),
            ..Port::default()
        };
        let (port, warnings) = one(row, &["p"]);
        let got: Vec<u16> = port.bundle.trunks.iter().copied().collect();
        assert_eq!(
            (port.bundle.vlan_mode, port.bundle.vlan),
            (*want_mode, *want_vlan),
            "{tag:?} {mode:?}"
        );
        assert_eq!(got, *want_trunks);
        assert_eq!(warnings.len(), *warned, "{warnings:?}");
    }
}

#[test]
fn priority_tags() {
    for (value, tags) in [
        ("if-nonzero", PriorityTags::IfNonzero),
        ("true", PriorityTags::IfNonzero),
        ("always", PriorityTags::Always),
        ("false", PriorityTags::No),
    ] {
        let (port, warnings) = one(bond_row(&[("priority-tags", value)]), &["e0", "e1"]);
        assert_eq!((port.bundle.priority_tags, warnings.len()), (tags, 0), "{value}");
    }
}

#[test]
fn kinds_of_devices() {
    let kind = |name: &str, r#type: &str, options: &[(&str, &str)], dummy| {
        let mut rows = Rows::new();
        let iface = rows.iface(Interface {
            name: name.to_owned(),
            r#type: r#type.to_owned(),
            options: map(options),
            ..Interface::default()
        });
        rows.port_of(Port { name: name.to_owned(), ..Port::default() }, vec![iface]);
        let wanted = desired(&rows.tables, dummy);
        let port = wanted.bridges[0].ports.iter().find(|p| p.name == name).unwrap();
        port.ifaces[0].kind.clone()
    };
    let off = DummyPolicy::Off;
    let dummy = |class: &str| DeviceKind::Dummy { class: class.to_owned() };
    assert_eq!(kind("p", "", &[], off), DeviceKind::System);
    assert_eq!(kind("p", "system", &[], off), DeviceKind::System);
    assert_eq!(kind("p", "internal", &[], off), DeviceKind::Internal);
    assert_eq!(kind("p", "tap", &[], off), DeviceKind::Tap);
    let patch = DeviceKind::Patch { peer: "q".to_owned() };
    assert_eq!(kind("p", "patch", &[("peer", "q")], off), patch);
    assert_eq!(kind("p", "dummy", &[], off), DeviceKind::Unknown("dummy".to_owned()));
    assert_eq!(kind("p", "dummy", &[], DummyPolicy::On), dummy("dummy"));
    assert_eq!(kind("p", "", &[], DummyPolicy::On), DeviceKind::System);
    assert_eq!(kind("p", "", &[], DummyPolicy::OverrideSystem), dummy("system"));
    assert_eq!(kind("p", "internal", &[], DummyPolicy::Override), dummy("dummy-internal"));
    assert_eq!(kind("p", "vxlan", &[], off), DeviceKind::Unknown("vxlan".to_owned()));
}

#[test]
fn the_bridges_own_port_is_internal_whatever_the_row_says() {
    let wanted = Rows::new().wanted();
    let own = &wanted.bridges[0].ports[0].ifaces[0];
    assert_eq!((own.local, &own.kind), (true, &DeviceKind::Internal));
}

#[test]
fn bad_values_of_interfaces() {
    let mut rows = Rows::new();
    let iface = rows.iface(Interface {
        name: "p".to_owned(),
        mac: Some("ff:ff:ff:ff:ff:ff".to_owned()),
        mtu_request: Some(10),
        ofport_request: Some(65_280),
        ofport: Some(-1),
        other_config: map(&[("lacp-port-id", "65536"), ("lacp-agregation-key", "3")]),
        ..Interface::default()
    });
    rows.port_of(Port { name: "p".to_owned(), ..Port::default() }, vec![iface]);
    let wanted = rows.wanted();
    let iface = &wanted.bridges[0].ports[1].ifaces[0];
    assert_eq!(
        (iface.mac, iface.mtu, iface.ofport_request, iface.ofport),
        (None, None, None, None)
    );
    assert_eq!(iface.member, MemberSettings::default());
    let columns: Vec<&str> = wanted.warnings.iter().map(|w| w.column.as_str()).collect();
    assert_eq!(columns, ["mac", "mtu_request", "ofport_request", "other_config", "other_config"]);
    let all: String = wanted.warnings.iter().map(|w| format!("{w}\n")).collect();
    assert!(all.contains("did you mean lacp-aggregation-key?"), "{all}");
}

#[test]
fn an_interface_in_two_ports_stays_in_the_first() {
    let mut rows = Rows::new();
    let iface = rows.iface(Interface { name: "e0".to_owned(), ..Interface::default() });
    for name in ["p1", "p2"] {
        rows.port_of(Port { name: name.to_owned(), ..Port::default() }, vec![iface]);
    }
    let wanted = rows.wanted();
    let count: Vec<usize> = wanted.bridges[0].ports.iter().map(|p| p.ifaces.len()).collect();
    assert_eq!(count, [1, 1, 0]);
    assert_eq!(wanted.warnings.len(), 1);
    assert_eq!((wanted.warnings[0].row.as_str(), wanted.warnings[0].value.as_str()), ("p2", "e0"));
}

#[test]
fn a_bonds_own_device() {
    let row = Port { bond_fake_iface: true, ..bond_row(&[]) };
    let (port, _) = one(row.clone(), &["e0", "e1"]);
    let fake = port.fake_iface.unwrap();
    assert_eq!((fake.name.as_str(), fake.kind), ("bond0", DeviceKind::Internal));
    assert_eq!(one(row, &["e0"]).0.fake_iface, None);
}

#[test]
fn bridges() {
    let mut rows = Rows::new();
    let b = rows.bridge();
    b.fail_mode = Some("secure".to_owned());
    b.flood_vlans = vec![3, 4096];
    b.other_config = map(&[
        ("hwaddr", "00:00:00:00:00:00"),
        ("datapath-id", "0xff"),
        ("mac-aging-time", "5"),
        ("mac-table-size", "0"),
        ("forward-bpdu", "true"),
        ("forward_bpdus", "true"),
        ("owner", "me"),
    ]);
    let wanted = rows.wanted();
    let b = &wanted.bridges[0];
    assert_eq!((b.fail_mode, b.hwaddr, b.datapath_id), (FailMode::Secure, None, Some(255)));
    assert_eq!((b.mac_aging, b.mac_table_size), (Duration::from_secs(15), 8192));
    assert!(b.forward_bpdu);
    let keys: Vec<&str> =
        wanted.warnings.iter().map(|w| w.key.as_deref().unwrap_or(&w.column)).collect();
    assert_eq!(keys, ["flood_vlans", "forward_bpdus", "hwaddr", "mac-aging-time", "owner"]);
}

#[test]
fn names_of_bridges_that_could_leave_a_directory_are_ignored() {
    let mut rows = Rows::new();
    rows.bridge().name = "../../etc".to_owned();
    let wanted = rows.wanted();
    assert_eq!((wanted.bridges.len(), wanted.warnings.len()), (0, 1));
}

#[test]
fn nothing_in_the_database_wants_nothing() {
    assert_eq!(desired(&Tables::default(), DummyPolicy::Off), Desired::default());
}

#[test]
fn the_bridges_address() {
    let mut rows = Rows::new();
    rows.port(bond_row(&[]), &["e0", "e1"]);
    rows.port(Port { name: "v".to_owned(), ..Port::default() }, &["v"]);
    let wanted = rows.wanted();
    let bridge = &wanted.bridges[0];
    let of = |list: &'static [(&'static str, &'static str)]| {
        move |name: &str| -> Option<EthAddr> {
            list.iter().find(|(n, _)| *n == name).map(|(_, m)| m.parse().unwrap())
        }
    };
    let pick = |list| mac::bridge_mac(bridge, of(list)).to_string();
    // The lowest global address; of a bond only its first member's counts, never its own.
    assert_eq!(
        pick(&[
            ("e0", "00:11:22:00:00:09"),
            ("e1", "00:11:22:00:00:01"),
            ("v", "00:11:22:00:00:0a")
        ]),
        "00:11:22:00:00:09"
    );
    assert_eq!(
        pick(&[("br0", "00:00:00:00:00:01"), ("v", "00:11:22:00:00:0a")]),
        "00:11:22:00:00:0a"
    );
    // Local and reserved ones do not: the one made of the UUID.
    let own = bridge.default_mac.to_string();
    assert_eq!(pick(&[("v", "02:11:22:00:00:0a")]), own);
    assert_eq!(pick(&[("v", "00:e0:2b:00:00:00")]), own);
    assert_eq!(pick(&[]), own);
    let mut fixed = bridge.clone();
    fixed.hwaddr = Some("02:00:00:00:00:77".parse().unwrap());
    assert_eq!(
        mac::bridge_mac(&fixed, of(&[("v", "00:11:22:00:00:0a")])).to_string(),
        "02:00:00:00:00:77"
    );
}

/// An option that a row does not name has its default, which is also the engine's.
#[test]
fn defaults_of_tables_are_the_engines() {
    let bond = one(bond_row(&[]), &["e0", "e1"]).0.bond.unwrap();
    let engine = BondConfig { name: "bond0".to_owned(), ..BondConfig::default() };
    assert_eq!(bond, WantBond { config: engine, detect: Detect::Carrier });
    let mut rows = Rows::new();
    let row = Interface {
        name: "p".to_owned(),
        cfm_mpid: Some(5),
        bfd: map(&[("enable", "true")]),
        ..Interface::default()
    };
    let iface = rows.iface(row);
    rows.port_of(Port { name: "p".to_owned(), ..Port::default() }, vec![iface]);
    let wanted = rows.wanted();
    assert_eq!(wanted.switch, SwitchOptions::default());
    let p = &wanted.bridges[0].ports[1].ifaces[0];
    assert_eq!(p.member, MemberSettings::default());
    assert_eq!(p.bfd.as_ref().unwrap().session, bfd::Config::new("p"));
    assert_eq!(*p.cfm.as_ref().unwrap(), cfm::Config::new("p", 5));
}

#[test]
fn a_value_cannot_end_the_line_of_its_warning() {
    let value = format!("a\n2026|00001|bond|ERR|\u{1b}[2J{}", "x".repeat(9999));
    let (_, warnings) = one(bond_row(&[("bond-hash-basis", &value)]), &["a", "b"]);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(!warning.contains(char::is_control), "{warning}");
    assert!(warning.contains("=a\\n2026|00001|bond|ERR|\\u{1b}[2Jxxx"), "{warning}");
    assert!(warning.len() < 500, "{warning}");
}

#[test]
fn what_is_not_supported_is_said() {
    let mut rows = Rows::new();
    rows.bridge().stp_enable = true;
    rows.bridge().netflow = Some(Uuid::from_u128(77));
    let warnings: Vec<String> = rows.wanted().warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[1].contains("br0: stp_enable=true: the spanning tree"), "{warnings:?}");
    assert!(warnings[0].contains("br0: netflow=00000000-"), "{warnings:?}");

    rows.bridge().datapath_type = "magic".to_owned();
    let wanted = rows.wanted();
    assert!(wanted.bridges.is_empty());
    let warnings: Vec<_> = wanted.warnings.iter().map(|w| (w.severity, w.to_string())).collect();
    let [warning, error] = [
        "could not create datapath br0 of unknown type magic",
        "failed to create bridge br0: Address family not supported by protocol (accepted datapath \
         types are system and netdev)",
    ];
    assert_eq!(warnings, [(Severity::Warn, warning.to_owned()), (Severity::Err, error.to_owned())]);
}

/// A bridge with ports p1 and p2, and this mirror.
fn mirrored(row: impl Fn(&[Uuid]) -> Mirror) -> (Option<MirrorConfig>, Vec<(Severity, String)>) {
    let mirror = mirrored_bridge(row).mirrors.remove(0);
    (mirror.config, mirror.complaints)
}

fn mirrored_bridge(row: impl Fn(&[Uuid]) -> Mirror) -> WantBridge {
    let mut rows = Rows::new();
    for name in ["p1", "p2"] {
        rows.port(Port { name: name.to_owned(), ..Port::default() }, &[name]);
    }
    let ports = rows.bridge().ports.clone();
    let uuid = rows.next();
    rows.tables.mirrors.insert(uuid, Mirror { name: "m".to_owned(), ..row(&ports) });
    rows.bridge().mirrors = vec![uuid];
    rows.wanted().bridges.remove(0)
}

/// The port that copies go to lends the bridge no address.
#[test]
fn a_mirrors_output_is_no_candidate() {
    let address = |name: &str| match name {
        "p1" => "00:11:22:00:00:01".parse().ok(),
        "p2" => "00:11:22:00:00:02".parse().ok(),
        _ => None,
    };
    let to = |n: usize| {
        let row = move |ports: &[Uuid]| Mirror {
            select_all: true,
            output_port: Some(ports[n]),
            ..Mirror::default()
        };
        mac::bridge_mac(&mirrored_bridge(row), address).to_string()
    };
    assert_eq!([to(1), to(2)], ["00:11:22:00:00:02", "00:11:22:00:00:01"]);
}

#[test]
fn a_mirror() {
    let (config, complaints) = mirrored(|ports| Mirror {
        select_src_port: vec![ports[1]],
        select_vlan: vec![5],
        output_port: Some(ports[2]),
        snaplen: Some(100),
        filter: Some("tcp".to_owned()),
        ..Mirror::default()
    });
    let config = config.unwrap();
    assert_eq!(config.output, MirrorOutput::Port("p2".to_owned()));
    assert!(config.sources.iter().eq(["p1"]) && config.destinations.is_empty());
    assert!(config.vlans.iter().eq([&5]) && config.filter.is_some() && config.snaplen == 100);
    assert_eq!(complaints, []);

    let all = Mirror { select_all: true, output_vlan: Some(12), ..Mirror::default() };
    let config = mirrored(|_| all.clone()).0.unwrap();
    assert_eq!(config.output, MirrorOutput::Vlan(12));
    assert!(config.sources.iter().eq(["br0", "p1", "p2"]));
    assert_eq!(config.sources, config.destinations);
}

#[test]
fn mirrors_that_cannot_work() {
    let (config, complaints) = mirrored(|_| Mirror::default());
    assert!(config.is_none());
    let error = |text: &str| (Severity::Err, format!("bridge br0: mirror m {text}"));
    assert_eq!(complaints, [error("does not specify output; ignoring")]);

    let elsewhere = Uuid::from_u128(999);
    let (config, complaints) =
        mirrored(|_| Mirror { output_port: Some(elsewhere), ..Mirror::default() });
    assert!(config.is_none());
    assert_eq!(complaints, [error("outputs to port not on bridge")]);

    for (filter, text) in [
        ("bogus", "filter is invalid: bogus: unknown field bogus"),
        ("in_port=p1", "filter is invalid due to in_port field."),
    ] {
        let (config, complaints) = mirrored(|ports| Mirror {
            output_port: Some(ports[1]),
            filter: Some(filter.to_owned()),
            ..Mirror::default()
        });
        assert!(config.is_none());
        let warning = (Severity::Warn, text.to_owned());
        assert_eq!(complaints, [warning, error("configuration is invalid")]);
    }

    let (config, complaints) = mirrored(|ports| Mirror {
        output_port: Some(ports[1]),
        output_vlan: Some(3),
        ..Mirror::default()
    });
    assert!(config.is_some());
    let both = error("specifies both output port and output vlan; ignoring output vlan");
    assert_eq!(complaints, [both]);
}

#[test]
fn an_interface_stays_where_it_works() {
    let mut rows = Rows::new();
    rows.port(bond_row(&[]), &["a", "b"]);
    let before = rows.wanted();
    let a = before.bridges[0].ports.iter().find(|p| p.name == "bond0").unwrap().ifaces[0].uuid;

    // Another port claims it, and comes first.
    rows.port_of(Port { name: "aaa".to_owned(), ..Port::default() }, vec![a]);
    rows.bridge().ports.rotate_right(1);
    let names = |wanted: &Desired, port: &str| -> Vec<String> {
        let port = wanted.bridges[0].ports.iter().find(|p| p.name == port).unwrap();
        port.ifaces.iter().map(|i| i.name.clone()).collect()
    };
    let after = desired_after(&rows.tables, DummyPolicy::Off, &before);
    assert_eq!(names(&after, "bond0"), ["a", "b"]);
    assert_eq!(names(&after, "aaa"), [""; 0]);
    let warning = after.warnings[0].to_string();
    assert!(warning.starts_with("port aaa: interfaces=a: "), "{warning}");

    // Until the port that has it lets go.
    let bond = after.bridges[0].ports.iter().find(|p| p.name == "bond0").unwrap().uuid;
    rows.tables.ports.get_mut(&bond).unwrap().interfaces.retain(|i| *i != a);
    let last = desired_after(&rows.tables, DummyPolicy::Off, &after);
    assert_eq!(names(&last, "aaa"), ["a"]);
    assert!(last.warnings.is_empty());
}
