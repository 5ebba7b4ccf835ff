//! Roles, and what controllers want to hear.

use openflow::msg::{AsyncMasks, Config, FlowMod, FlowModCommand, Role, RoleRequest, RoleStatus};

use super::*;

fn role(role: Role, generation: Option<u64>) -> Body {
    Body::RoleRequest(RoleRequest { role, generation, nx: false })
}

#[test]
fn new_primary_makes_the_old_one_secondary() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    s.connect(OTHER, Version::V14, ConnKind::Primary);
    let answer = |role, generation| Body::RoleReply(RoleRequest { role, generation, nx: false });
    assert_eq!(s.ask(role(Role::NoChange, None)), answer(Role::Equal, None));
    assert_eq!(s.ask(role(Role::Primary, Some(5))), answer(Role::Primary, Some(5)));
    let sent = s.tell(OTHER, role(Role::Primary, Some(6)));
    let status = RoleStatus { role: Role::Secondary, reason: 0, generation: 6 };
    let what: Vec<(ConnId, Body)> = sent.into_iter().map(|(c, _, m)| (c, m.body)).collect();
    assert_eq!(what, [(ME, Body::RoleStatus(status)), (OTHER, answer(Role::Primary, Some(6)))]);
    assert_eq!(s.agent.status(ME).unwrap().role, Role::Secondary);
    // Too late.
    assert_eq!(s.refused(role(Role::Primary, Some(5))), OfError::RrfcStale);
    // Equal asks without a number.
    assert_eq!(s.ask(role(Role::Equal, None)), answer(Role::Equal, Some(6)));
    // The numbers wrap around.
    assert_eq!(s.refused(role(Role::Secondary, Some(u64::MAX))), OfError::RrfcStale);
    let mut s = Script::up(Version::V12, ConnKind::Primary);
    s.ask(role(Role::Primary, Some(u64::MAX)));
    assert_eq!(s.ask(role(Role::Primary, Some(1))), answer(Role::Primary, Some(1)));
}

#[test]
fn secondary_may_read_and_not_write() {
    let mut s = Script::up(Version::V10, ConnKind::Primary);
    let nx = |role| Body::RoleRequest(RoleRequest { role, generation: None, nx: true });
    let reply = RoleRequest { role: Role::Secondary, generation: None, nx: true };
    assert_eq!(s.ask(nx(Role::Secondary)), Body::RoleReply(reply));
    let add = FlowMod::new(FlowModCommand::Add);
    assert_eq!(s.refused(Body::FlowMod(add.clone())), OfError::BrcEperm);
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    s.ask(role(Role::Secondary, Some(1)));
    let add = FlowMod { table_id: 0, ..add };
    assert_eq!(s.refused(Body::FlowMod(add)), OfError::BrcIsSecondary);
    assert!(matches!(s.ask(Body::FeaturesRequest), Body::FeaturesReply(_)));
    // The fragments of all are not one controller's business.
    s.silent(Body::SetConfig(Config { flags: 1, miss_send_len: 1 }));
    let Body::GetConfigReply(c) = s.ask(Body::GetConfigRequest) else { panic!() };
    assert_eq!((c.flags, c.miss_send_len), (0, 1));
}

#[test]
fn asynchronous_messages_depend_on_role() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    let Body::GetAsyncReply(a) = s.ask(Body::GetAsyncRequest) else { panic!() };
    assert_eq!((a.packet_in, a.port_status, a.flow_removed), ([3, 0], [7, 7], [15, 0]));
    let port = s.port(1);
    assert_eq!(s.set_ports(vec![port]).len(), 2);
    let none = AsyncMasks { nx: false, named: 0x3f, ..AsyncMasks::default() };
    s.silent(Body::SetAsync(none));
    assert_eq!(s.set_ports(vec![]), []);

    // A tool hears nothing until it asks.
    let mut s = Script::up(Version::V10, ConnKind::Service);
    let port = s.port(1);
    assert_eq!(s.set_ports(vec![port]), []);
    s.silent(Body::SetConfig(Config { flags: 0, miss_send_len: 128 }));
    assert_eq!(s.set_ports(vec![]).len(), 1);

    // A controller that is not to be bothered.
    let mut s = Script::new();
    let quiet = ConnSettings {
        async_messages: false,
        ..ConnSettings::new(ConnKind::Primary, "br0<->quiet")
    };
    s.connect_as(ME, Version::V13, quiet);
    let port = s.port(1);
    assert_eq!(s.set_ports(vec![port]), []);

    let mut s = Script::up(Version::V14, ConnKind::Primary);
    let bad = AsyncMasks { port_status: [0x80, 0], named: 1 << 2, ..AsyncMasks::default() };
    assert_eq!(s.refused(Body::SetAsync(bad)), OfError::AcfcInvalid);
}

/// Misses go to controllers only for those before 1.3 that listen for the usual identity.
#[test]
fn table_miss_goes_to_controllers_before_1_3() {
    use std::sync::atomic::Ordering;
    let wanted = |s: &Script| {
        s.lab.ofproto.bridge_state("br0").unwrap().packet_in_on_miss.load(Ordering::Acquire)
    };
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    assert!(!wanted(&s));
    s.connect(OTHER, Version::V10, ConnKind::Service);
    assert!(wanted(&s));
    s.tell(OTHER, Body::SetControllerId(9));
    assert!(!wanted(&s));
    s.tell(OTHER, Body::SetControllerId(0));
    assert!(wanted(&s));
    s.agent.disconnect(s.now, OTHER, &s.lab);
    assert!(!wanted(&s));
}
