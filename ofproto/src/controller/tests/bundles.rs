//! Bundles.

use openflow::msg::{
    BundleAdd, BundleControl, BundleOp, FlowMod, FlowModCommand, PortMod, bundle_flags, config,
};
use openflow::{Action, OfPort};

use super::flows::{add, priorities};
use super::*;

const BOTH: u16 = bundle_flags::ATOMIC | bundle_flags::ORDERED;

fn control(op: BundleOp, flags: u16) -> Body {
    Body::BundleControl(BundleControl { id: 1, typ: op.wire(false), flags })
}

fn done(op: BundleOp) -> Body {
    Body::BundleControl(BundleControl { id: 1, typ: op.wire(true), flags: 0 })
}

fn put(s: &Script, flags: u16, body: Body) -> Body {
    Body::BundleAdd(BundleAdd { id: 1, flags, message: s.octets(ME, body) })
}

fn versions() -> [Version; 3] {
    [Version::V13, Version::V14, Version::V15]
}

#[test]
fn bundle_takes_effect_at_commit() {
    for v in versions() {
        let mut s = Script::up(v, ConnKind::Service);
        assert_eq!(s.ask(control(BundleOp::Open, BOTH)), done(BundleOp::Open));
        for n in [1, 2] {
            let m = put(&s, BOTH, Body::FlowMod(add(n, n)));
            s.silent(m);
        }
        assert_eq!(priorities(&mut s), []);
        assert_eq!(s.ask(control(BundleOp::Close, BOTH)), done(BundleOp::Close));
        assert_eq!(s.ask(control(BundleOp::Commit, BOTH)), done(BundleOp::Commit));
        let mut there = priorities(&mut s);
        there.sort_unstable();
        assert_eq!(there, [1, 2]);
        // It is gone now.
        assert_eq!(s.refused(control(BundleOp::Commit, BOTH)), OfError::BfcBadId);
    }
}

/// The second message fails: the first has no effect either.
#[test]
fn failed_bundle_changes_nothing() {
    for v in versions() {
        let mut s = Script::up(v, ConnKind::Service);
        s.silent(Body::FlowMod(add(9, 9)));
        let first = put(&s, BOTH, Body::FlowMod(add(1, 1)));
        s.silent(first);
        let delete = FlowMod { priority: 9, ..FlowMod::new(FlowModCommand::DeleteStrict) };
        let delete = put(&s, BOTH, Body::FlowMod(FlowMod { table_id: 0, ..delete }));
        s.silent(delete);
        // A group that is not there.
        let bad = FlowMod { actions: vec![Action::Group(7)], ..add(2, 2) };
        let bad = put(&s, BOTH, Body::FlowMod(bad));
        s.silent(bad);
        let sent = s.tell(ME, control(BundleOp::Commit, BOTH));
        let errors: Vec<Option<OfError>> = sent
            .iter()
            .map(|(_, _, m)| match &m.body {
                Body::Error(e) => e.error,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(errors, [Some(OfError::BacBadOutGroup), Some(OfError::BfcMsgFailed)]);
        assert_eq!(priorities(&mut s), [9]);
    }
}

#[test]
fn bundle_is_opened_closed_committed_and_discarded() {
    let s = || Script::up(Version::V14, ConnKind::Service);
    let mut a = s();
    assert_eq!(a.refused(control(BundleOp::Close, 0)), OfError::BfcBadId);
    assert_eq!(a.refused(control(BundleOp::Discard, 0)), OfError::BfcBadId);
    a.ask(control(BundleOp::Open, 0));
    // Opened twice: it is lost.
    assert_eq!(a.refused(control(BundleOp::Open, 0)), OfError::BfcBadId);
    assert_eq!(a.ask(control(BundleOp::Open, 0)), done(BundleOp::Open));
    assert_eq!(a.refused(control(BundleOp::Close, BOTH)), OfError::BfcBadFlags);
    a.ask(control(BundleOp::Open, 0));
    a.ask(control(BundleOp::Close, 0));
    assert_eq!(a.refused(control(BundleOp::Close, 0)), OfError::BfcBundleClosed);
    a.ask(control(BundleOp::Open, 0));
    a.ask(control(BundleOp::Close, 0));
    let late = put(&a, 0, Body::FlowMod(add(1, 1)));
    assert_eq!(a.refused(late), OfError::BfcBundleClosed);
    a.ask(control(BundleOp::Open, 0));
    let other = put(&a, BOTH, Body::FlowMod(add(1, 1)));
    assert_eq!(a.refused(other), OfError::BfcBadFlags);
    a.ask(control(BundleOp::Open, BOTH));
    assert_eq!(a.ask(control(BundleOp::Discard, 0)), done(BundleOp::Discard));
    let answer = BundleControl { id: 1, typ: BundleOp::Open.wire(true), flags: 0 };
    assert_eq!(a.refused(Body::BundleControl(answer)), OfError::BfcBadType);
    let echo = put(&a, 0, Body::EchoRequest(vec![]));
    assert_eq!(a.refused(echo), OfError::BfcMsgUnsup);
}

/// Groups can be deleted where there are none, not made.
#[test]
fn bundle_deletes_groups_and_refuses_to_add_them() {
    let mut s = Script::up(Version::V14, ConnKind::Service);
    let group = |command: u8| {
        let body = vec![0, command, 0, 0, 0xff, 0xff, 0xff, 0xfc];
        Body::Raw { kind: openflow::codec::Kind::GroupMod, body }
    };
    s.silent(group(2));
    assert_eq!(s.refused(group(0)), OfError::GmfcOutOfGroups);
    let delete = put(&s, BOTH, group(2));
    s.silent(delete);
    let make = put(&s, BOTH, group(0));
    assert_eq!(s.refused(make), OfError::GmfcOutOfGroups);
    assert_eq!(s.ask(control(BundleOp::Commit, BOTH)), done(BundleOp::Commit));
}

#[test]
fn bundle_beyond_its_limit_is_refused() {
    let mut s = Script::up(Version::V14, ConnKind::Service);
    let open =
        |id| Body::BundleControl(BundleControl { id, typ: BundleOp::Open.wire(false), flags: 0 });
    for id in 0..1024 {
        assert!(matches!(s.ask(open(id)), Body::BundleControl(_)));
    }
    assert_eq!(s.refused(open(1024)), OfError::BfcOutOfBundles);
}

#[test]
fn atomic_bundle_refuses_port_mod() {
    let mut s = Script::up(Version::V14, ConnKind::Service);
    let port = s.port(1);
    s.set_ports(vec![port]);
    let down = PortMod {
        port: OfPort(1),
        hw_addr: mac(1),
        config: config::PORT_DOWN,
        mask: config::PORT_DOWN,
        advertise: 0,
    };
    let ordered = bundle_flags::ORDERED;
    for (flags, works) in [(ordered, true), (BOTH, false)] {
        s.lab.admin.borrow_mut().clear();
        let flow = put(&s, flags, Body::FlowMod(add(flags, 1)));
        s.silent(flow);
        let m = put(&s, flags, Body::PortMod(down.clone()));
        s.silent(m);
        let sent = s.tell(ME, control(BundleOp::Commit, flags));
        assert_eq!(sent.len(), if works { 1 } else { 2 });
        assert_eq!(s.lab.admin.borrow().len(), usize::from(works));
    }
    assert_eq!(priorities(&mut s), [ordered]);
}

#[test]
fn idle_bundle_is_discarded_after_its_timeout() {
    let mut s = Script::up(Version::V14, ConnKind::Service);
    s.ask(control(BundleOp::Open, 0));
    assert_eq!(s.agent.run(s.now, &s.lab), Some(s.now + Duration::from_secs(10)));
    s.wait(9_999);
    s.agent.run(s.now, &s.lab);
    assert_eq!(s.sent(), []);
    s.wait(1);
    s.agent.run(s.now, &s.lab);
    let sent = s.sent();
    assert!(matches!(&sent[0].2.body, Body::Error(e) if e.error == Some(OfError::BfcTimeout)));
    assert_eq!(s.refused(control(BundleOp::Commit, 0)), OfError::BfcBadId);
    s.agent.set_bundle_timeout(Some(Duration::from_secs(2)));
    s.ask(control(BundleOp::Open, 0));
    assert_eq!(s.agent.run(s.now, &s.lab), Some(s.now + Duration::from_secs(2)));
}
