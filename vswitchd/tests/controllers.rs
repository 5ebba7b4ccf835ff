//! The configuration that `Controller` rows ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{Desired, DummyPolicy, WantOpenFlow, desired};
use ofproto::controller::ControllerConfig;
use openflow::{Version, VersionSet};
use ovsdb_client::Uuid;
use ovsdb_client::rows::{Bridge, Controller, OpenVSwitch, Tables};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn want(bridge: Bridge, controllers: Vec<Controller>) -> (WantOpenFlow, Desired) {
    let mut tables = Tables::default();
    let uuids: Vec<Uuid> =
        (0..controllers.len()).map(|n| Uuid::from_u128(10 + n as u128)).collect();
    tables.controllers.extend(uuids.iter().copied().zip(controllers));
    let row = Bridge { name: "br0".to_owned(), controller: uuids, ..bridge };
    tables.bridges.insert(Uuid::from_u128(2), row);
    let root = OpenVSwitch { bridges: vec![Uuid::from_u128(2)], ..OpenVSwitch::default() };
    tables.open_vswitch.insert(Uuid::from_u128(1), root);
    let all = desired(&tables, DummyPolicy::Off);
    (all.bridges[0].openflow.clone(), all)
}

fn to(target: &str) -> Controller {
    Controller { target: target.to_owned(), ..Controller::default() }
}

fn configs(w: &WantOpenFlow) -> Vec<ControllerConfig> {
    w.controllers.iter().map(|c| c.config.clone()).collect()
}

const S: Duration = Duration::from_secs(1);

#[test]
fn controller_row_without_values_has_database_defaults() {
    let (w, _) = want(Bridge::default(), vec![to("tcp:127.0.0.1"), to("ptcp:6653"), to("unix:x")]);
    assert_eq!(w.versions, VersionSet::ALL);
    // In the order of targets.
    let [listen, call, socket] = &configs(&w)[..] else { panic!("{w:?}") };
    assert_eq!((call.primary, listen.primary, socket.primary), (true, false, true));
    assert_eq!((call.timing.max_backoff, call.timing.probe), (8 * S, Some(5 * S)));
    assert!(call.in_band && call.async_messages);
    assert_eq!((call.rate_limit, call.burst_limit, call.queue_size, call.dscp), (0, 0, 100, 48));
    assert_eq!(socket.timing.probe, Some(5 * S));
}

#[test]
fn controller_row_values_are_used() {
    let row = Controller {
        r#type: Some("service".to_owned()),
        max_backoff: Some(2_500),
        inactivity_probe: Some(700),
        connection_mode: Some("out-of-band".to_owned()),
        enable_async_messages: Some(false),
        controller_rate_limit: Some(1_000),
        controller_burst_limit: Some(250),
        controller_queue_size: Some(7),
        other_config: map(&[("dscp", "10")]),
        ..to("tcp:127.0.0.1")
    };
    let bridge = Bridge {
        protocols: vec!["OpenFlow10".to_owned(), "OpenFlow13".to_owned()],
        other_config: map(&[("dp-desc", "mine"), ("dp-sn", "7"), ("controller-queue-size", "9")]),
        ..Bridge::default()
    };
    let (w, all) = want(bridge, vec![row, to("ptcp:")]);
    assert_eq!(w.versions, [Version::V10, Version::V13].into_iter().collect());
    assert_eq!((w.description.as_deref(), w.serial.as_deref()), (Some("mine"), Some("7")));
    let [listen, c] = &configs(&w)[..] else { panic!("{w:?}") };
    assert_eq!((c.queue_size, listen.queue_size), (7, 9));
    assert!(!c.primary && !c.in_band && !c.async_messages);
    // Whole seconds. Probes are at least five seconds apart; fail-open uses the row's interval.
    assert_eq!((c.timing.max_backoff, c.timing.probe, c.probe), (2 * S, Some(5 * S), S));
    assert_eq!((c.rate_limit, c.burst_limit, c.dscp), (1_000, 250, 10));
    assert!(all.warnings.is_empty(), "{:?}", all.warnings);
}

#[test]
fn unusable_controller_values_are_replaced_or_warned_of() {
    // The target `none` means no controller, as in early versions of Open vSwitch.
    assert!(want(Bridge::default(), vec![to("none")]).0.controllers.is_empty());
    let off = Controller { inactivity_probe: Some(0), max_backoff: Some(-5), ..to("tcp:1.2.3.4") };
    let (w, all) = want(Bridge::default(), vec![off, to("tcp:1.2.3.4")]);
    let [c] = &configs(&w)[..] else { panic!("{w:?}") };
    assert_eq!((c.timing.max_backoff, c.timing.probe, c.probe), (S, None, Duration::ZERO));
    let said: Vec<String> = all.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["bridge br0: Duplicate controllers \"tcp:1.2.3.4\"."]);
    let local = Controller { local_ip: Some("10.0.0.1".to_owned()), ..to("tcp:1.2.3.4") };
    let (_, all) = want(Bridge::default(), vec![local]);
    let said: Vec<String> = all.warnings.iter().map(ToString::to_string).collect();
    let says = "controller tcp:1.2.3.4: local_ip=10.0.0.1: to configure the bridge's own port is \
                not supported; it has no effect";
    assert_eq!(said, [says]);
    let absurd = Controller {
        controller_rate_limit: Some(i64::MAX),
        controller_queue_size: Some(100_000),
        other_config: map(&[("dscp", "64")]),
        ..to("tcp:1.2.3.4")
    };
    let (w, _) = want(Bridge::default(), vec![absurd]);
    let c = &w.controllers[0].config;
    assert_eq!((c.rate_limit, c.queue_size, c.dscp), (u32::MAX, 100, 48));
}
