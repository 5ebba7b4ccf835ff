//! Keys of the root row, and keys without effect.

use std::collections::BTreeMap;
use std::time::Duration;

use bond::{AggregationConfig, SelectionPolicy};
use config::{Severity, SwitchOptions};
use ovsdb_client::Uuid;
use ovsdb_client::rows::{Datapath, FlowSampleCollectorSet, Interface, Port, Qos, Queue};

use super::fixture::{Rows, bond_row, map, one};

/// The root row with these keys: what the switch makes of them, and each warning as in the log.
fn root(other_config: &[(&str, &str)]) -> (SwitchOptions, Vec<(Severity, String)>) {
    let mut rows = Rows::new();
    rows.tables.open_vswitch.values_mut().next().unwrap().other_config = map(other_config);
    let wanted = rows.wanted();
    let said = wanted.warnings.iter().map(|w| (w.severity, w.to_string())).collect();
    (wanted.switch, said)
}

#[test]
fn options_of_the_switch() {
    assert_eq!(root(&[]), (SwitchOptions::default(), vec![]));
    let (switch, said) = root(&[
        ("max-idle", "30000"),
        ("max-revalidator", "2000"),
        ("min-revalidate-pps", "0"),
        ("flow-limit", "5000"),
        ("bundle-idle-timeout", "3"),
    ]);
    assert_eq!(said, []);
    let wanted = SwitchOptions {
        max_idle: Duration::from_secs(30),
        max_revalidator: Duration::from_secs(2),
        min_revalidate_pps: 0,
        flow_limit: 5000,
        bundle_idle: Duration::from_secs(3),
        ..SwitchOptions::default()
    };
    assert_eq!(switch, wanted);
    for (text, is) in [("true", true), ("TRUE", true), ("True", true), ("false", false)] {
        let (switch, said) = root(&[("flow-restore-wait", text)]);
        assert_eq!((switch.flow_restore_wait, said), (is, vec![]), "{text}");
    }
    let (switch, said) = root(&[("flow-restore-wait", "yes")]);
    assert_eq!((switch.flow_restore_wait, said.len()), (false, 1), "{said:?}");
}

/// A key without effect is said, unless its value asks for nothing.
#[test]
fn keys_of_the_root_row_that_have_no_effect() {
    for (key, value, expected) in [
        ("max-idel", "1", "unknown key; did you mean max-idle?"),
        ("flow_restore_wait", "true", "unknown key; did you mean flow-restore-wait?"),
        ("hw-offload", "true", "known to Open vSwitch, has no effect here"),
        ("n-handler-threads", "4", "known to Open vSwitch, has no effect here"),
        ("pmd-cpu-mask", "0x3", "known to Open vSwitch, has no effect here"),
        ("dpdk-init", "true", "known to Open vSwitch, has no effect here"),
    ] {
        let text = format!("open_vswitch .: other_config:{key}={value}: {expected}");
        assert_eq!(root(&[(key, value)]).1, [(Severity::Warn, text)]);
    }
    for (key, value) in
        [("hw-offload", "False"), ("n-handler-threads", "1"), ("private_key", "/etc/key.pem")]
    {
        assert_eq!(root(&[(key, value)]).1, [], "{key}");
    }
    let (_, said) = root(&[("favourite-colour", "blue")]);
    let text = "open_vswitch .: other_config:favourite-colour=blue: unknown key; it has no effect";
    assert_eq!(said, [(Severity::Warn, text.to_owned())]);
}

#[test]
fn keys_of_other_rows_that_have_no_effect() {
    let (_, said) = one(bond_row(&[("stp-path-cost", "5"), ("stp-enable", "true")]), &["a", "b"]);
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    assert_eq!(
        said,
        ["port bond0: other_config:stp-path-cost=5: known to Open vSwitch, has no effect here"]
    );
    let (_, said) = one(bond_row(&[("bond-resend-igmp", "1")]), &["a", "b"]);
    let text =
        "port bond0: other_config:bond-resend-igmp=1: known to Linux bonding, has no effect here";
    assert_eq!(said, [text]);
    let (_, said) = one(bond_row(&[("bond-resend-igmp", "0")]), &["a", "b"]);
    assert!(said.is_empty(), "{said:?}");
    let (_, said) = one(bond_row(&[("transient", "true"), ("net_uuid", "7")]), &["a", "b"]);
    assert!(said.is_empty(), "keys of other programs: {said:?}");
    let (_, said) = one(bond_row(&[("owner", "me")]), &["a", "b"]);
    assert_eq!(said, ["port bond0: other_config:owner=me: unknown key; it has no effect"]);
}

/// Columns that do nothing here are warned of; rows that ask for nothing are not.
#[test]
fn columns_without_effect() {
    let mut rows = Rows::new();
    let (aa, ipfix, htb, noop, queue, plain, zones) =
        (rows.next(), rows.next(), rows.next(), rows.next(), rows.next(), rows.next(), rows.next());
    let bridge = *rows.tables.bridges.keys().next().unwrap();
    let tables = &mut rows.tables;
    tables.queues.insert(queue, Queue { dscp: Some(46), ..Queue::default() });
    let shaper = |name: &str| Qos { r#type: name.to_owned(), ..Qos::default() };
    tables.qos.insert(htb, Qos { queues: [(7, queue)].into(), ..shaper("linux-htb") });
    tables.qos.insert(noop, shaper("linux-noop"));
    tables.datapaths.insert(plain, Datapath::default());
    tables
        .datapaths
        .insert(zones, Datapath { ct_zones: [(1, ipfix)].into(), ..Datapath::default() });
    let root = tables.open_vswitch.values_mut().next().unwrap();
    root.datapaths = map_of(&[("netdev", plain), ("system", zones)]);
    let set = FlowSampleCollectorSet { bridge, id: 3, ipfix: Some(ipfix), ..Default::default() };
    tables.flow_sample_collector_sets.insert(ipfix, set);
    let elsewhere = FlowSampleCollectorSet { bridge: aa, id: 4, ..Default::default() };
    tables.flow_sample_collector_sets.insert(aa, elsewhere);
    rows.bridge().auto_attach = Some(aa);
    let lldp = |enable: &str| map(&[("enable", enable)]);
    for (name, row) in [
        ("p1", Interface { ingress_policing_rate: 9, lldp: lldp("true"), ..Interface::default() }),
        (
            "p2",
            Interface { ingress_policing_burst: 9, lldp: lldp("false"), ..Interface::default() },
        ),
    ] {
        let iface = rows.iface(Interface { name: name.to_owned(), ..row });
        let qos = Some(if name == "p1" { htb } else { noop });
        rows.port_of(Port { name: name.to_owned(), qos, ..Port::default() }, vec![iface]);
    }
    let mut said: Vec<String> = rows.wanted().warnings.iter().map(ToString::to_string).collect();
    said.sort();
    let expected = [
        "bridge br0: Flow_Sample_Collector_Set=3: flow sampling is".to_owned(),
        format!("bridge br0: auto_attach={aa}: auto-attach is"),
        "interface p1: ingress_policing_rate=9: policing is".to_owned(),
        "interface p1: lldp:enable=true: LLDP is".to_owned(),
        "open_vswitch .: datapaths=system: connection tracking is".to_owned(),
        "port p1: qos: dscp=46 (queue 7): marking what a queue sends is".to_owned(),
        format!("port p1: qos={htb} (linux-htb): quality of service is"),
    ]
    .map(|text| format!("{text} not supported; it has no effect"));
    assert_eq!(said, expected);
}

fn map_of(pairs: &[(&str, Uuid)]) -> BTreeMap<String, Uuid> {
    pairs.iter().map(|(name, uuid)| ((*name).to_owned(), *uuid)).collect()
}

#[test]
fn options_of_aggregation_are_read_and_checked() {
    let lacp = |pairs: &[(&str, &str)]| Port { lacp: Some("active".to_owned()), ..bond_row(pairs) };
    let (port, said) = one(lacp(&[]), &["a", "b"]);
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(port.lacp.unwrap().aggregation, AggregationConfig::default());

    let (port, said) = one(
        lacp(&[
            ("bond-min-links", "2"),
            ("lacp-strict", "true"),
            ("lacp-coupled-control", "False"),
            ("lacp-selection", "actor-port-priority"),
        ]),
        &["a", "b"],
    );
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(port.bond.unwrap().config.min_links, 2);
    let wanted = AggregationConfig {
        strict: true,
        coupled_control: false,
        selection: SelectionPolicy::ActorPortPriority,
    };
    assert_eq!(port.lacp.unwrap().aggregation, wanted);

    for (pairs, expected) in [
        (
            &[("bond-min-links", "-1")][..],
            "bond-min-links=-1: accepted is a number, 0 to 2147483647 (members, 0 = 1); using 0",
        ),
        (
            &[("bond-min-links", "3")],
            "bond-min-links=3: more than the bond's 2 members; it will carry nothing",
        ),
        (&[("lacp-strict", "yes")], "lacp-strict=yes: accepted are true and false; using false"),
        (
            &[("lacp-coupled-control", "off")],
            "lacp-coupled-control=off: accepted are true, false; using true",
        ),
        (
            &[("lacp-selection", "speed")],
            "lacp-selection=speed: accepted are stable, bandwidth, count, actor-port-priority; \
             using stable",
        ),
        (
            &[("lacp-strict", "true"), ("lacp-fallback-ab", "true")],
            "lacp-fallback-ab=true: lacp-strict is set too, so there is no fallback",
        ),
        (
            &[("lacp-selecton", "count")],
            "lacp-selecton=count: unknown key; did you mean lacp-selection?",
        ),
    ] {
        let (_, said) = one(lacp(pairs), &["a", "b"]);
        assert_eq!(said, [format!("port bond0: other_config:{expected}")]);
    }
    let (_, said) = one(bond_row(&[("lacp-strict", "true")]), &["a", "b"]);
    let text = "lacp-strict=true: the port has no LACP (column lacp); it has no effect";
    assert_eq!(said, [format!("port bond0: other_config:{text}")]);
}
