//! Flows: changes, questions, time-outs, monitors.

use openflow::msg::{
    FlowFlags, FlowMod, FlowModCommand, FlowMonitorRequest, FlowRemovedReason, FlowStatsRequest,
    FlowUpdate, FlowUpdateEvent, GROUP_ANY, MonitorCommand, monitor_flags,
};
use openflow::{Action, Match};

use super::*;

pub(super) fn add(priority: u16, port: u16) -> FlowMod {
    FlowMod {
        priority,
        table_id: 0,
        actions: vec![Action::output(OfPort(port))],
        ..FlowMod::new(FlowModCommand::Add)
    }
}

pub(super) fn all(nxm: bool) -> FlowStatsRequest {
    FlowStatsRequest {
        nxm,
        matching: Match::default(),
        cookie: 0,
        cookie_mask: 0,
        out_port: OfPort::ANY,
        out_group: GROUP_ANY,
        table_id: 255,
    }
}

pub(super) fn priorities(s: &mut Script) -> Vec<u16> {
    match s.ask(Body::FlowStatsRequest(all(false))) {
        Body::FlowStatsReply { flows, .. } => flows.iter().map(|f| f.priority).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flows_are_added_listed_and_deleted_in_every_version() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        s.silent(Body::FlowMod(add(5, 1)));
        s.silent(Body::FlowMod(add(6, 2)));
        let mut there = priorities(&mut s);
        there.sort_unstable();
        assert_eq!(there, [5, 6]);
        let Body::AggregateReply { stats, .. } = s.ask(Body::AggregateRequest(all(false))) else {
            panic!()
        };
        assert_eq!(stats.flows, 2);
        let delete = FlowMod { table_id: 255, ..FlowMod::new(FlowModCommand::Delete) };
        let delete = if v == Version::V11 { FlowMod { table_id: 0, ..delete } } else { delete };
        s.silent(Body::FlowMod(delete));
        assert_eq!(priorities(&mut s), []);
        // No buffer was ever given out.
        let e = s.refused(Body::FlowMod(FlowMod { buffer_id: Some(7), ..add(1, 1) }));
        assert_eq!(e, OfError::BrcBufferUnknown);
    }
}

#[test]
fn nicira_flow_dump_has_extended_fields() {
    let mut s = Script::up(Version::V10, ConnKind::Service);
    s.silent(Body::SetFlowFormat { nxm: true });
    s.silent(Body::FlowModTableId(true));
    s.protocols.insert(ME, Protocol::NXM_TID);
    s.silent(Body::FlowMod(FlowMod { table_id: 9, ..add(5, 1) }));
    let Body::FlowStatsReply { nxm: true, flows } = s.ask(Body::FlowStatsRequest(all(true))) else {
        panic!()
    };
    assert_eq!(flows[0].table_id, 9);
    assert_eq!(flows[0].idle_age, Some(0));
}

#[test]
fn flow_removed_is_sent_to_every_connection() {
    let mut s = Script::up(Version::V10, ConnKind::Primary);
    s.connect(OTHER, Version::V13, ConnKind::Primary);
    let fm =
        FlowMod { hard_timeout: 2, flags: FlowFlags::SEND_FLOW_REM, new_cookie: 0x99, ..add(5, 1) };
    s.silent(Body::FlowMod(fm));
    let due = s.agent.run(s.now, &s.lab).unwrap();
    assert!(due > s.now + Duration::from_secs(2));
    assert_eq!(s.sent(), []);
    s.wait(2001);
    s.agent.run(s.now, &s.lab);
    let sent = s.sent();
    assert_eq!(sent.len(), 2);
    for (_, class, m) in sent {
        let Body::FlowRemoved(r) = m.body else { panic!("{m:?}") };
        assert_eq!(
            (r.cookie, r.reason, class),
            (0x99, FlowRemovedReason::HardTimeout, Class::Reply)
        );
        assert_eq!((r.duration_sec, r.duration_nsec), (2, 1_000_000));
    }
}

#[test]
fn flush_to_standalone_adds_the_normal_flow() {
    let mut s = Script::up(Version::V13, ConnKind::Service);
    s.silent(Body::FlowMod(add(7, 1)));
    s.agent.flush(s.now, true, &s.lab);
    assert_eq!(priorities(&mut s), [0]);
    s.agent.flush(s.now, false, &s.lab);
    assert_eq!(priorities(&mut s), []);
}

fn watch(id: u32, flags: u16) -> FlowMonitorRequest {
    FlowMonitorRequest {
        id,
        command: MonitorCommand::Add,
        flags,
        out_port: OfPort::ANY,
        out_group: GROUP_ANY,
        table_id: 255,
        matching: Match::default(),
    }
}

/// What kinds of updates a message has.
fn kinds(m: &Message) -> Vec<&'static str> {
    match &m.body {
        Body::FlowMonitorReply(all) => all
            .iter()
            .map(|u| match u {
                FlowUpdate::Full { event: FlowUpdateEvent::Initial, .. } => "initial",
                FlowUpdate::Full { event: FlowUpdateEvent::Added, .. } => "added",
                FlowUpdate::Full { event: FlowUpdateEvent::Modified, .. } => "modified",
                FlowUpdate::Full { event: FlowUpdateEvent::Deleted(_), .. } => "deleted",
                FlowUpdate::Abbreviated { .. } => "abbreviated",
                FlowUpdate::Paused => "paused",
                FlowUpdate::Resumed => "resumed",
            })
            .collect(),
        Body::FlowMonitorPaused => vec!["paused"],
        Body::FlowMonitorResumed => vec!["resumed"],
        other => panic!("{other:?}"),
    }
}

#[test]
fn flow_monitor_is_told_of_changes_and_cancelled() {
    use monitor_flags::{ADD, DELETE, INITIAL, MODIFY, OWN};
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        s.connect(OTHER, v, ConnKind::Service);
        s.tell(OTHER, Body::FlowMod(add(1, 1)));
        let start =
            s.tell(ME, Body::FlowMonitorRequest(vec![watch(3, INITIAL | ADD | DELETE | MODIFY)]));
        assert_eq!(start[0].2.xid, 0x77);
        let first = if v >= Version::V14 { "initial" } else { "added" };
        assert_eq!(kinds(&start[0].2), [first]);
        let e = s.refused(Body::FlowMonitorRequest(vec![watch(3, ADD)]));
        assert_eq!(e, OfError::MofcMonitorExists);
        // Another's changes in full, one's own in short.
        let sent = s.tell(OTHER, Body::FlowMod(add(2, 1)));
        assert_eq!((sent[0].0, kinds(&sent[0].2)), (ME, vec!["added"]));
        let sent = s.tell(ME, Body::FlowMod(add(3, 1)));
        assert_eq!(kinds(&sent[0].2), ["abbreviated"]);
        // Unless asked for.
        s.tell(ME, Body::FlowMonitorRequest(vec![watch(4, ADD | OWN)]));
        let sent = s.tell(ME, Body::FlowMod(add(4, 1)));
        assert_eq!(kinds(&sent[0].2), ["added"]);
        if v < Version::V14 {
            s.silent(Body::FlowMonitorCancel(4));
            assert_eq!(s.refused(Body::FlowMonitorCancel(4)), OfError::MofcUnknownMonitor);
        }
    }
}

/// Who does not read its news is told of nothing but removals until it has.
#[test]
fn flow_monitor_pauses_while_its_updates_are_not_read() {
    use monitor_flags::{ADD, DELETE, MODIFY};
    let mut s = Script::up(Version::V14, ConnKind::Service);
    s.connect(OTHER, Version::V14, ConnKind::Service);
    s.tell(ME, Body::FlowMonitorRequest(vec![watch(1, ADD | DELETE | MODIFY)]));
    let mut octets = 0;
    let mut n = 0;
    let mut held: Vec<(Class, usize)> = Vec::new();
    let mut seen = Vec::new();
    while !seen.contains(&"paused") {
        n += 1;
        let frame = s.octets(OTHER, Body::FlowMod(add(n, 1)));
        s.agent.receive(s.now, OTHER, &frame, &s.lab);
        let out: Vec<Out> = s.agent.outbox().collect();
        for o in out {
            if let Out::Send { class, frame, .. } = o {
                octets += frame.len();
                held.push((class, frame.len()));
                seen.extend(kinds(&decode(&frame, s.protocols[&ME]).unwrap()));
            }
        }
    }
    assert!(octets > 128 * 1024 && octets < 140 * 1024, "{octets}");
    // News are held back, but for what is gone.
    assert_eq!(s.tell(OTHER, Body::FlowMod(add(40_000, 1))), []);
    let delete = FlowMod { priority: 1, ..FlowMod::new(FlowModCommand::DeleteStrict) };
    let sent = s.tell(OTHER, Body::FlowMod(delete));
    assert_eq!(kinds(&sent[0].2), ["deleted"]);
    s.agent.run(s.now, &s.lab);
    assert_eq!(s.sent(), []);
    for (class, len) in held {
        s.agent.sent(ME, class, len);
    }
    s.agent.run(s.now, &s.lab);
    let sent = s.sent();
    let told: Vec<&str> = sent.iter().flat_map(|(_, _, m)| kinds(m)).collect();
    assert_eq!(told, ["added", "resumed"]);
}

/// Packets see the flows of many commands at once: before anything else is answered, and when the
/// agent is run.
#[test]
fn flow_mods_of_a_batch_publish_one_snapshot() {
    let seen = |s: &Script| s.lab.ofproto.bridge_state("br0").unwrap().tables.load().count(0);
    let mut s = Script::up(Version::V13, ConnKind::Service);
    for n in 0..3 {
        s.silent(Body::FlowMod(add(n, 1)));
    }
    assert_eq!(seen(&s), 0);
    assert_eq!(s.ask(Body::BarrierRequest), Body::BarrierReply);
    assert_eq!(seen(&s), 3);
    s.silent(Body::FlowMod(add(7, 1)));
    assert_eq!(seen(&s), 3);
    s.agent.run(s.now, &s.lab);
    assert_eq!(seen(&s), 4);
}
