//! Versions, echoes, snoops.

use super::*;

fn hello(version: u8, bitmap: Option<u32>) -> Vec<u8> {
    let mut f = vec![version, 0, 0, 8, 0, 0, 0, 5];
    if let Some(b) = bitmap {
        f[3] = 16;
        f.extend([0, 1, 0, 8]);
        f.extend(b.to_be_bytes());
    }
    f
}

fn connected(versions: VersionSet) -> Script {
    let mut s = Script::new();
    let settings = ConnSettings { versions, ..ConnSettings::new(ConnKind::Primary, "br0<->c") };
    s.agent.connect(s.now, ME, settings, &s.lab);
    s
}

#[test]
fn agent_sends_hello_first() {
    let mut s = connected(VersionSet::ALL);
    let out: Vec<Out> = s.agent.outbox().collect();
    let hello = vec![6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x7e];
    assert_eq!(out, [Out::Send { conn: ME, class: Class::Other, frame: hello }]);
    assert_eq!(s.agent.status(ME).unwrap().version, None);
}

#[test]
fn hello_selects_highest_common_version() {
    for (ours, theirs, agreed) in [
        (VersionSet::ALL, hello(1, None), Version::V10),
        (VersionSet::ALL, hello(4, None), Version::V13),
        (VersionSet::ALL, hello(9, None), Version::V15),
        (VersionSet::ALL, hello(6, Some(0x12)), Version::V13),
        (VersionSet(0x12), hello(5, None), Version::V13),
        (VersionSet(0x02), hello(6, None), Version::V10),
    ] {
        let mut s = connected(ours);
        s.agent.receive(s.now, ME, &theirs, &s.lab);
        assert_eq!(s.agent.status(ME).unwrap().version, Some(agreed));
        assert!(s.agent.outbox().any(|o| o == Out::Status(ME)));
    }
}

#[test]
fn hello_without_common_version_closes_with_error() {
    let mut s = connected(VersionSet(0x12));
    s.agent.outbox().for_each(drop);
    s.agent.receive(s.now, ME, &hello(6, Some(0x60)), &s.lab);
    let out: Vec<Out> = s.agent.outbox().collect();
    let [Out::Log(log), Out::Send { frame, .. }, Out::Close { reason, .. }] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!(log.level, LogLevel::Warn);
    assert_eq!(
        log.text,
        "br0<->c: version negotiation failed (we support versions 0x01, 0x04, peer supports \
         versions 0x05, 0x06)"
    );
    assert_eq!(*reason, CloseReason::Protocol);
    // In the peer's version: hello failed, incompatible, and a text.
    assert_eq!(frame[..2], [6, 1]);
    assert_eq!(frame[4..12], [0; 8]);
    let text = "We support versions 0x01, 0x04, you support versions 0x05, 0x06, no common \
                versions.";
    assert_eq!(&frame[12..], text.as_bytes());
    assert_eq!(s.agent.status(ME), None);
    // One that has no version that we know of is told in 1.0.
    let mut s = connected(VersionSet(0x02));
    s.agent.outbox().for_each(drop);
    s.agent.receive(s.now, ME, &hello(9, Some(0x200)), &s.lab);
    let frames: Vec<Vec<u8>> = s
        .agent
        .outbox()
        .filter_map(|o| match o {
            Out::Send { frame, .. } => Some(frame),
            _ => None,
        })
        .collect();
    assert_eq!(frames[0][..2], [1, 1]);
}

#[test]
fn message_before_hello_closes_connection() {
    let mut s = connected(VersionSet::ALL);
    s.agent.outbox().for_each(drop);
    s.agent.receive(s.now, ME, &[1, 2, 0, 8, 0, 0, 0, 1], &s.lab);
    let out: Vec<Out> = s.agent.outbox().collect();
    assert!(matches!(out.as_slice(), [Out::Log(_), Out::Close { .. }]), "{out:?}");
    // What still arrives is dropped.
    s.agent.receive(s.now, ME, &hello(1, None), &s.lab);
    assert_eq!(s.agent.outbox().count(), 0);
}

#[test]
fn echo_request_is_answered_with_its_data() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Primary);
        assert_eq!(s.ask(Body::EchoRequest(vec![1, 2])), Body::EchoReply(vec![1, 2]));
        s.silent(Body::EchoReply(vec![]));
        assert_eq!(s.ask(Body::BarrierRequest), Body::BarrierReply);
    }
}

/// Only echoes, errors and hellos may be of another version.
#[test]
fn message_of_another_version_is_refused() {
    let mut s = Script::up(Version::V10, ConnKind::Primary);
    let frame = [2, 5, 0, 8, 1, 0x23, 0x45, 0x67];
    s.agent.receive(s.now, ME, &frame, &s.lab);
    let out: Vec<Out> = s.agent.outbox().collect();
    let [Out::Log(log), Out::Send { frame: reply, .. }] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!(log.level, LogLevel::Err);
    assert_eq!(log.text, "br0<->1: received OpenFlow version 0x02 != expected 01");
    // Bad request, bad version; then the request.
    assert_eq!(reply[..12], [2, 1, 0, 20, 1, 0x23, 0x45, 0x67, 0, 1, 0, 0]);
    assert_eq!(reply[12..], frame);
    let echo = s.raw(ME, &[4, 2, 0, 9, 0, 0, 0, 3, 7]);
    assert_eq!(echo[0].2.body, Body::EchoReply(vec![7]));
    assert_eq!(echo[0].2.version, Version::V13);
    // A version that nobody has is answered in 1.0.
    let unknown = s.raw(ME, &[99, 5, 0, 8, 0, 0, 0, 3]);
    assert_eq!(unknown[0].2.version, Version::V10);
}

#[test]
fn errors_return_the_request() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    let mut frame = vec![4, 99, 0, 100, 0, 0, 0, 0x77];
    frame.resize(100, 0xaa);
    let sent = s.raw(ME, &frame);
    let Body::Error(e) = &sent[0].2.body else { panic!("{sent:?}") };
    assert_eq!(e.error, Some(OfError::BrcBadType));
    assert_eq!(e.data, frame);
    // What only a switch says.
    assert_eq!(s.refused(Body::BarrierReply), OfError::BrcBadType);
    // Too short for what it is.
    let sent = s.raw(ME, &[4, 5, 0, 9, 0, 0, 0, 0x77, 0]);
    assert!(matches!(&sent[0].2.body, Body::Error(e) if e.error == Some(OfError::BrcBadLen)));
}

#[test]
fn snooper_sees_messages_of_the_connection() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    let snoop = |n| ConnSettings::new(ConnKind::Snoop, &format!("br0<->snoop{n}"));
    // Nothing to show.
    s.agent.connect(s.now, ConnId(7), snoop(7), &s.lab);
    let out: Vec<Out> = s.agent.outbox().collect();
    let closed = Out::Close { conn: ConnId(7), reason: CloseReason::NothingToSnoop };
    assert!(out.contains(&closed));
    s.agent.set_targets(["br0<->1".to_owned(), "br0<->0".to_owned()].into());
    s.protocols.insert(ConnId(8), Protocol::new(Version::V13));
    s.agent.connect(s.now, ConnId(8), snoop(8), &s.lab);
    // Before its hello a snoop is shown nothing.
    assert_eq!(s.tell(ME, Body::BarrierRequest).len(), 2);
    s.agent.receive(s.now, ConnId(8), &hello(4, None), &s.lab);
    s.agent.outbox().for_each(drop);
    let sent = s.tell(ME, Body::BarrierRequest);
    let what: Vec<(u64, Body)> = sent.into_iter().map(|(c, _, m)| (c.0, m.body)).collect();
    assert_eq!(what, [(8, Body::BarrierRequest), (8, Body::BarrierReply), (1, Body::BarrierReply)]);
    // What it says itself is not heard.
    assert_eq!(s.raw(ConnId(8), &[4, 20, 0, 8, 0, 0, 0, 1]), []);
}

/// With a hundred answers waiting nothing more is read.
#[test]
fn reading_stops_while_100_answers_wait() {
    let mut s = Script::up(Version::V13, ConnKind::Primary);
    let request = s.octets(ME, Body::BarrierRequest);
    for _ in 0..100 {
        assert!(s.agent.may_receive(ME));
        s.agent.receive(s.now, ME, &request, &s.lab);
    }
    assert!(!s.agent.may_receive(ME));
    assert_eq!(s.sent().len(), 100);
    assert!(s.agent.may_receive(ME));
}
