//! Ports that change, packets on their way.

use openflow::action::PacketInReason;
use openflow::msg::{PacketIn, PacketInFormat, PacketOut, PortMod, PortReason, config, state};
use openflow::{Action, Field, Match};

use super::*;

/// The reasons and states told to a connection.
fn told(sent: &Sent, to: ConnId) -> Vec<(PortReason, u32, u32)> {
    sent.iter()
        .filter(|(c, _, _)| *c == to)
        .map(|(_, _, m)| match &m.body {
            Body::PortStatus(p) => (p.reason, p.desc.config, p.desc.state),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn port_status_is_sent_when_ports_change() {
    let mut s = Script::up(Version::V10, ConnKind::Primary);
    s.connect(OTHER, Version::V13, ConnKind::Primary);
    let port = s.port(1);
    let sent = s.set_ports(vec![port.clone()]);
    // 1.0 does not know of health.
    assert_eq!(told(&sent, ME), [(PortReason::Add, 0, 0)]);
    assert_eq!(told(&sent, OTHER), [(PortReason::Add, 0, 0), (PortReason::Modify, 0, state::LIVE)]);
    let sick = Port { live: false, ..port.clone() };
    let sent = s.set_ports(vec![sick.clone()]);
    assert_eq!(told(&sent, ME), []);
    assert_eq!(told(&sent, OTHER), [(PortReason::Modify, 0, 0)]);
    let cut = Port { link_up: false, ..port.clone() };
    let sent = s.set_ports(vec![cut]);
    assert_eq!(told(&sent, OTHER), [(PortReason::Modify, 0, state::LINK_DOWN)]);
    // Nothing new, nothing told.
    let cut = Port { link_up: false, ..port.clone() };
    assert_eq!(s.set_ports(vec![cut]), []);
    // Another device at the same number.
    let sent = s.set_ports(vec![Port { name: "q".into(), live: false, ..port }]);
    assert_eq!(
        told(&sent, OTHER),
        [(PortReason::Delete, 0, state::LINK_DOWN), (PortReason::Add, 0, 0)]
    );
}

#[test]
fn port_mod_changes_config_bits() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Primary);
        s.connect(OTHER, Version::V13, ConnKind::Primary);
        let port = Port { live: false, ..s.port(1) };
        s.set_ports(vec![port.clone()]);
        let m = PortMod {
            port: OfPort(1),
            hw_addr: mac(1),
            config: config::PORT_DOWN | config::NO_FWD,
            mask: config::PORT_DOWN | config::NO_FWD,
            advertise: 0,
        };
        let bad = PortMod { port: OfPort(2), ..m.clone() };
        assert_eq!(s.refused(Body::PortMod(bad)), OfError::PmfcBadPort);
        let bad = PortMod { hw_addr: mac(2), ..m.clone() };
        assert_eq!(s.refused(Body::PortMod(bad)), OfError::PmfcBadHwAddr);
        let sent = s.tell(ME, Body::PortMod(m.clone()));
        let both = (PortReason::Modify, config::PORT_DOWN | config::NO_FWD, 0);
        assert_eq!(told(&sent, OTHER), [both]);
        // Before 1.5 who asked is not told.
        assert_eq!(told(&sent, ME).is_empty(), v < Version::V15);
        assert_eq!(*s.lab.admin.borrow(), [(OfPort(1), false)]);
        let bits = s.lab.ofproto.bridge_state("br0").unwrap().port_config.load_full();
        assert_eq!(bits.get(&OfPort(1)), Some(&(config::PORT_DOWN | config::NO_FWD)));
        // The device itself comes up again; what a controller set stays.
        let sent = s.set_ports(vec![port]);
        assert_eq!(told(&sent, OTHER), [(PortReason::Modify, config::NO_FWD, 0)]);
        // One that does not obey.
        s.lab.stuck = Some(OfPort(1));
        let m = PortMod { mask: config::PORT_DOWN, ..m };
        assert_eq!(s.tell(ME, Body::PortMod(m)), []);
    }
}

fn packet(reason: PacketInReason, id: u16) -> QueuedPacketIn {
    let mut metadata = Match::default();
    metadata.set(Field::InPort, 3);
    QueuedPacketIn {
        bridge: "br0".into(),
        controller_id: id,
        max_len: 64,
        packet: PacketIn {
            format: PacketInFormat::Standard,
            reason,
            table_id: 2,
            cookie: Some(5),
            metadata,
            packet: vec![1; 100],
            total_len: 100,
            buffer_id: None,
            userdata: vec![],
            continuation: vec![],
        },
    }
}

#[test]
fn packet_in_is_encoded_as_the_connection_asked() {
    for v in Version::ALL {
        for format in [PacketInFormat::Standard, PacketInFormat::Nxt, PacketInFormat::Nxt2] {
            let mut s = Script::up(v, ConnKind::Primary);
            s.silent(Body::SetPacketInFormat(format));
            s.agent.packet_in(s.now, packet(PacketInReason::ACTION, 0));
            let sent = s.sent();
            let [(ME, Class::PacketIn, m)] = sent.as_slice() else { panic!("{sent:?}") };
            let Body::PacketIn(p) = &m.body else { panic!("{m:?}") };
            assert_eq!((p.format, p.packet.len(), p.total_len), (format, 100, 100));
            assert_eq!((p.reason, p.metadata.value.in_port), (PacketInReason::ACTION, OfPort(3)));
            assert_eq!(m.xid, 0);
        }
    }
}

#[test]
fn packet_in_goes_to_the_controller_it_names() {
    let mut s = Script::up(Version::V10, ConnKind::Primary);
    s.connect(OTHER, Version::V13, ConnKind::Primary);
    let to = |s: &mut Script, p| {
        s.agent.packet_in(s.now, p);
        s.sent().iter().map(|(c, _, _)| c.0).collect::<Vec<u64>>()
    };
    assert_eq!(to(&mut s, packet(PacketInReason::ACTION, 0)), [1, 2]);
    // 1.3 wants no misses but those that a flow sent.
    assert_eq!(to(&mut s, packet(PacketInReason::IMPLICIT_MISS, 0)), [1]);
    assert_eq!(to(&mut s, packet(PacketInReason::EXPLICIT_MISS, 0)), [1, 2]);
    assert_eq!(to(&mut s, packet(PacketInReason::INVALID_TTL, 0)), []);
    s.tell(ME, Body::SetControllerId(7));
    assert_eq!(to(&mut s, packet(PacketInReason::ACTION, 7)), [1]);
    assert_eq!(to(&mut s, packet(PacketInReason::ACTION, 0)), [2]);
}

#[test]
fn packet_ins_are_dropped_while_they_are_not_read() {
    let mut s = Script::new();
    let few = ConnSettings { queue_size: 3, ..ConnSettings::new(ConnKind::Primary, "br0<->c") };
    s.connect_as(ME, Version::V13, few);
    for _ in 0..5 {
        s.agent.packet_in(s.now, packet(PacketInReason::ACTION, 0));
    }
    let out: Vec<Out> = s.agent.outbox().collect();
    assert_eq!(out.iter().filter(|o| matches!(o, Out::Send { .. })).count(), 3);
    let dropped = |o: &&Out| matches!(o, Out::Log(l) if l.text.contains("dropping packet-in"));
    assert_eq!(out.iter().filter(dropped).count(), 2);
    // Answers still go.
    assert!(matches!(s.ask(Body::BarrierRequest), Body::BarrierReply));
}

#[test]
fn packet_ins_are_limited_to_the_configured_rate() {
    let mut s = Script::new();
    let slow = ConnSettings {
        rate_limit: 100,
        burst_limit: 2,
        ..ConnSettings::new(ConnKind::Primary, "br0<->c")
    };
    s.connect_as(ME, Version::V13, slow);
    for _ in 0..4 {
        s.agent.packet_in(s.now, packet(PacketInReason::ACTION, 0));
    }
    assert_eq!(s.sent().len(), 2);
    let due = s.agent.run(s.now, &s.lab).unwrap();
    assert_eq!(due, s.now + Duration::from_millis(10));
    s.wait(10);
    s.agent.run(s.now, &s.lab);
    assert_eq!(s.sent().len(), 1);
    s.wait(10);
    s.agent.run(s.now, &s.lab);
    assert_eq!(s.sent().len(), 1);
    assert_eq!(s.agent.run(s.now, &s.lab), None);
}

#[test]
fn malformed_packet_out_is_refused() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    let mut metadata = Match::default();
    metadata.set(Field::InPort, u128::from(OfPort::CONTROLLER.0));
    let out = |actions| PacketOut { buffer_id: None, metadata, actions, packet: vec![0; 60] };
    let buffered = PacketOut { buffer_id: Some(3), packet: vec![], ..out(vec![]) };
    assert_eq!(s.refused(Body::PacketOut(buffered)), OfError::BrcBufferUnknown);
    assert_eq!(s.refused(Body::PacketOut(out(vec![Action::Group(3)]))), OfError::BacBadOutGroup);
    // A time to live where there is none.
    let ttl = out(vec![Action::DecTtl(None)]);
    assert_eq!(s.refused(Body::PacketOut(ttl)), OfError::BacMatchInconsistent);
}

/// A barrier after a packet is answered when what the packet makes the switch say has been said:
/// with the turn after the next call.
#[test]
fn barrier_after_packet_out_waits_for_its_packet_ins() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    let mut metadata = Match::default();
    metadata.set(Field::InPort, u128::from(OfPort::CONTROLLER.0));
    let actions = vec![Action::output(OfPort::CONTROLLER)];
    let out = PacketOut { buffer_id: None, metadata, actions, packet: vec![0; 60] };
    s.silent(Body::PacketOut(out));
    assert!(matches!(s.ask(Body::GetConfigRequest), Body::GetConfigReply(_)));
    s.silent(Body::BarrierRequest);
    assert!(!s.agent.may_receive(ME));
    assert_eq!(s.agent.run(s.now, &s.lab), Some(s.now));
    assert_eq!(s.sent(), []);
    s.agent.packet_in(s.now, packet(PacketInReason::PACKET_OUT, 0));
    assert_eq!(s.agent.run(s.now, &s.lab), Some(s.now));
    let sent: Vec<Body> = s.sent().into_iter().map(|(_, _, m)| m.body).collect();
    assert!(matches!(sent.as_slice(), [Body::PacketIn(_), Body::BarrierReply]), "{sent:?}");
    assert!(s.agent.may_receive(ME));
    assert_eq!(s.agent.run(s.now, &s.lab), None);
    // Without packets it is answered at once.
    assert_eq!(s.ask(Body::BarrierRequest), Body::BarrierReply);
}
