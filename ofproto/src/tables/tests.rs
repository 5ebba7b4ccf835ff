//! Commands and what they leave in the tables.

use std::slice::from_ref;
use std::time::Duration;

use openflow::msg::{
    FlowFlags, FlowMod, FlowModCommand, FlowMonitorRequest, FlowRemovedReason, FlowStatsRequest,
    FlowUpdate, FlowUpdateEvent, GROUP_ANY, MonitorCommand, TableMod, Vacancy, monitor_flags,
    table_config,
};
use openflow::{Action, Field, Fields, Match, OfError, OfPort, Subfield, Version};
use wire::Time;

use super::*;
use crate::ids::ConnId;

fn at(ms: u64) -> Time {
    Time::from_millis(1_000_000 + ms)
}

fn to(port: u16) -> Vec<Action> {
    vec![Action::output(OfPort(port))]
}

fn in_port(port: u16) -> Match {
    let mut m = Match::default();
    m.set(Field::InPort, port.into());
    m
}

fn flow(command: FlowModCommand, port: u16, out: u16) -> FlowMod {
    FlowMod { matching: in_port(port), actions: to(out), ..FlowMod::new(command) }
}

fn add(port: u16, out: u16) -> FlowMod {
    flow(FlowModCommand::Add, port, out)
}

fn who() -> Requester {
    Requester { conn: Some((ConnId(1), 7)), version: Version::V13 }
}

fn ask(t: &mut FlowTables, fm: &FlowMod) -> Result<RuleChanges, OfError> {
    t.flow_mod(at(0), fm, &who())
}

fn all() -> FlowStatsRequest {
    FlowStatsRequest {
        nxm: false,
        matching: Match::default(),
        cookie: 0,
        cookie_mask: 0,
        out_port: OfPort::ANY,
        out_group: GROUP_ANY,
        table_id: 255,
    }
}

/// In-port and output port of each flow.
fn shown(t: &FlowTables) -> Vec<(u16, u16)> {
    let flows = t.flow_stats(at(0), &all()).unwrap();
    let out = |actions: &[Action]| match actions {
        [Action::Output { port, .. }] => port.0,
        _ => 0,
    };
    flows.iter().map(|f| (f.matching.value.in_port.0, out(&f.actions))).collect()
}

/// What happened: `+` added, `*` modified, `-` removed, with the in-port.
fn told(c: &RuleChanges) -> Vec<(char, u16)> {
    let event = |e: &RuleEvent| {
        let kind = match e {
            RuleEvent::Added { .. } => '+',
            RuleEvent::Modified { .. } => '*',
            RuleEvent::Removed { .. } => '-',
        };
        (kind, e.rule().matching().value.in_port.0)
    };
    c.events.iter().map(event).collect()
}

#[test]
fn added_flow_replaces_the_one_with_its_match_and_priority() {
    let mut t = FlowTables::new();
    assert!(t.publish().is_none());
    let c = ask(&mut t, &add(1, 2)).unwrap();
    assert_eq!((told(&c), c.by), (vec![('+', 1)], Some((ConnId(1), 7))));
    let first = t.publish().unwrap();
    ask(&mut t, &add(2, 2)).unwrap();
    // The same match and priority: the new one takes the place and comes last.
    let c = ask(&mut t, &FlowMod { new_cookie: 5, ..add(1, 3) }).unwrap();
    assert!(
        matches!(&c.events[..], [RuleEvent::Added { old_actions: Some(old), .. }] if **old == to(2))
    );
    assert_eq!(shown(&t), [(2, 2), (1, 3)]);
    // Another priority is another flow.
    ask(&mut t, &FlowMod { priority: 9, ..add(1, 4) }).unwrap();
    assert_eq!(t.count(0), 3);
    let second = t.publish().unwrap();
    assert_ne!(first.generation(), second.generation());
    // What was published stays as it was.
    assert_eq!((first.count(0), second.count(0)), (1, 3));
    let mut wc = Fields::default();
    let f = in_port(1).value;
    assert_eq!(*first.lookup(0, &f, &mut wc).unwrap().actions, to(2));
    assert_eq!(*second.lookup(0, &f, &mut wc).unwrap().actions, to(3));
    assert_eq!(wc, in_port(0xffff).mask);
    assert!(second.lookup(1, &f, &mut wc).is_none());
    assert!(second.lookup(0, &in_port(9).value, &mut wc).is_none());
}

/// Counters go on unless they are to start anew; the time of a flow that an addition replaces
/// starts anew.
#[test]
fn counters_continue_unless_reset_and_cookies_select() {
    let mut t = FlowTables::new();
    let old = FlowMod { new_cookie: 5, idle_timeout: 9, ..add(1, 2) };
    let c = ask(&mut t, &old).unwrap();
    c.events[0].rule().stats.add(3, 300, at(10));
    let one = |t: &FlowTables, ms| t.flow_stats(at(ms), &all()).unwrap().remove(0);
    let f = one(&t, 2500);
    assert_eq!((f.packets, f.bytes, f.cookie), (3, 300, 5));
    assert_eq!((f.duration_sec, f.duration_nsec), (2, 500_000_000));
    assert_eq!((f.idle_age, f.hard_age), (Some(2), Some(2)));
    // A modification leaves time-outs, times and, without a new one, the cookie.
    let m = FlowMod { new_cookie: 6, ..flow(FlowModCommand::Modify, 1, 4) };
    let c = t.flow_mod(at(1000), &m, &who()).unwrap();
    assert_eq!(told(&c), [('*', 1)]);
    let f = one(&t, 2500);
    assert_eq!((f.packets, f.cookie, f.idle_timeout, f.duration_sec), (3, 5, 9, 2));
    assert_eq!((f.idle_age, f.hard_age), (Some(2), Some(1)));
    let m = FlowMod { modify_cookie: true, ..m };
    t.flow_mod(at(1000), &m, &who()).unwrap();
    assert_eq!(one(&t, 2500).cookie, 6);
    // The same again changes nothing.
    assert!(t.flow_mod(at(1000), &m, &who()).unwrap().is_empty());
    let m = FlowMod { new_cookie: u64::MAX, flags: FlowFlags::RESET_COUNTS, ..m };
    t.flow_mod(at(1000), &m, &who()).unwrap();
    let f = one(&t, 2500);
    assert_eq!((f.packets, f.cookie, f.duration_sec, f.idle_age), (0, 6, 2, Some(2)));
    t.flow_mod(at(2000), &FlowMod { new_cookie: 7, ..add(1, 4) }, &who()).unwrap();
    let f = one(&t, 2500);
    assert_eq!((f.cookie, f.duration_sec, f.idle_timeout), (7, 0, 0));
}

#[test]
fn modify_without_a_matching_flow_adds_one() {
    let mut t = FlowTables::new();
    let m = flow(FlowModCommand::Modify, 1, 2);
    assert_eq!(told(&ask(&mut t, &m).unwrap()), [('+', 1)]);
    let strict = FlowMod { priority: 3, ..flow(FlowModCommand::ModifyStrict, 1, 5) };
    assert_eq!(told(&ask(&mut t, &strict).unwrap()), [('+', 1)]);
    // Not where it asks for a cookie, or gives none.
    let by_cookie = FlowMod { cookie: 1, cookie_mask: 1, ..flow(FlowModCommand::Modify, 8, 2) };
    assert!(ask(&mut t, &by_cookie).unwrap().is_empty());
    let keep = FlowMod { new_cookie: u64::MAX, ..flow(FlowModCommand::Modify, 8, 2) };
    assert!(ask(&mut t, &keep).unwrap().is_empty());
    // A loose one takes all priorities.
    let c = ask(&mut t, &flow(FlowModCommand::Modify, 1, 7)).unwrap();
    assert_eq!(told(&c), [('*', 1), ('*', 1)]);
    assert_eq!(shown(&t), [(1, 7), (1, 7)]);
}

#[test]
fn delete_removes_flows_that_the_match_covers() {
    let fill = || {
        let mut t = FlowTables::new();
        for (port, out, cookie, table_id) in [(1, 5, 0x10, 0), (2, 5, 0x11, 0), (3, 6, 0x20, 3)] {
            let fm = FlowMod { new_cookie: cookie, table_id, ..add(port, out) };
            ask(&mut t, &fm).unwrap();
        }
        t
    };
    let delete = FlowMod::new(FlowModCommand::Delete);
    let strict = FlowMod::new(FlowModCommand::DeleteStrict);
    let cases = [
        (delete.clone(), vec![1, 2, 3]),
        (FlowMod { table_id: 0, ..delete.clone() }, vec![1, 2]),
        (FlowMod { table_id: 9, ..delete.clone() }, vec![]),
        (FlowMod { matching: in_port(2), ..delete.clone() }, vec![2]),
        (FlowMod { cookie: 0x10, cookie_mask: 0xf0, ..delete.clone() }, vec![1, 2]),
        (FlowMod { cookie: 0x10, cookie_mask: u64::MAX, ..delete.clone() }, vec![1]),
        (FlowMod { out_port: OfPort(6), ..delete.clone() }, vec![3]),
        (FlowMod { out_group: 1, ..delete.clone() }, vec![]),
        (strict.clone(), vec![]),
        (FlowMod { matching: in_port(3), ..strict.clone() }, vec![3]),
        (FlowMod { matching: in_port(3), priority: 1, ..strict.clone() }, vec![]),
        (FlowMod { table_id: 0, matching: in_port(3), ..strict }, vec![]),
    ];
    for (fm, gone) in cases {
        let mut t = fill();
        let c = ask(&mut t, &fm).unwrap();
        let expected: Vec<_> = gone.iter().map(|p| ('-', *p)).collect();
        assert_eq!(told(&c), expected, "{fm:?}");
        assert_eq!(shown(&t).len(), 3 - gone.len());
    }
}

#[test]
fn invalid_flow_mod_is_refused_and_changes_nothing() {
    let mut t = FlowTables::new();
    ask(&mut t, &add(1, 2)).unwrap();
    t.publish();
    let group = FlowMod { actions: vec![Action::Group(1)], ..add(3, 3) };
    let inner = FlowMod { actions: vec![Action::WriteActions(group.actions.clone())], ..add(3, 3) };
    let overlap = FlowMod {
        matching: Match::default(),
        flags: FlowFlags::CHECK_OVERLAP,
        ..FlowMod::new(FlowModCommand::Add)
    };
    let cases = [
        (FlowMod { table_id: 254, ..add(3, 3) }, OfError::BrcEperm),
        (FlowMod { buffer_id: Some(1), ..add(3, 3) }, OfError::BrcBufferUnknown),
        (group, OfError::BacBadOutGroup),
        (inner, OfError::BacBadOutGroup),
        (FlowMod { actions: vec![Action::Meter(1)], ..add(3, 3) }, OfError::MmfcInvalidMeter),
        (overlap.clone(), OfError::FmfcOverlap),
    ];
    for (fm, error) in cases {
        assert_eq!(ask(&mut t, &fm).err(), Some(error), "{fm:?}");
    }
    assert!(t.publish().is_none());
    // Another priority does not overlap, nor does the flow itself.
    ask(&mut t, &FlowMod { priority: 1, ..overlap }).unwrap();
    ask(&mut t, &FlowMod { flags: FlowFlags::CHECK_OVERLAP, ..add(1, 2) }).unwrap();
}

#[test]
fn internal_flows_are_hidden_and_read_only() {
    let mut t = FlowTables::new();
    let own = |table, priority, hidden| InternalFlow {
        table,
        matching: Match::default(),
        priority,
        actions: to(9),
        hidden,
    };
    t.add_internal(at(0), own(0, 180_001, true));
    t.add_internal(at(0), own(INTERNAL_TABLE, 0, false));
    t.add_internal(at(0), own(0, 0, false));
    assert_eq!(shown(&t), [(0, 9)]);
    assert_eq!(t.table_stats()[0].active, 1);
    let all_flows = FlowMod::new(FlowModCommand::Delete);
    assert_eq!(ask(&mut t, &all_flows).unwrap().events.len(), 1);
    // The switch's own table can be read but not written.
    let own_table = FlowStatsRequest { table_id: 254, ..all() };
    assert_eq!(t.flow_stats(at(0), &own_table).unwrap().len(), 1);
    let delete = FlowMod { table_id: 254, ..all_flows };
    assert_eq!(ask(&mut t, &delete).err(), Some(OfError::BrcEperm));
    assert!(t.remove_internal(0, &Match::default(), 5).is_empty());
    assert_eq!(t.remove_internal(0, &Match::default(), 180_001).events.len(), 1);
    assert_eq!(t.count(0), 0);
    t.add_internal(at(0), own(0, 180_001, true));
    assert_eq!(t.clear().events.len(), 1);
    assert_eq!(t.count(INTERNAL_TABLE), 1);
}

#[test]
fn flows_expire_at_idle_and_hard_timeout() {
    let mut t = FlowTables::new();
    let removed = FlowFlags::SEND_FLOW_REM;
    let idle = FlowMod { idle_timeout: 2, flags: removed, ..add(1, 2) };
    let c = ask(&mut t, &idle).unwrap();
    let stats = c.events[0].rule().stats.clone();
    ask(&mut t, &FlowMod { hard_timeout: 3, new_cookie: 4, ..add(2, 2) }).unwrap();
    ask(&mut t, &add(3, 2)).unwrap();
    let (c, next) = t.expire(at(2000));
    assert!(c.is_empty());
    assert_eq!(next, Some(at(2001)));
    stats.add(1, 60, at(1500));
    let (c, next) = t.expire(at(2001));
    assert!(c.is_empty());
    assert_eq!(next, Some(at(3001)));
    let (c, next) = t.expire(at(3001));
    assert_eq!(told(&c), [('-', 2)]);
    assert_eq!(c.flow_removed(at(3001)).count(), 0);
    assert_eq!(next, Some(at(3501)));
    let (c, next) = t.expire(at(4000));
    assert_eq!(told(&c), [('-', 1)]);
    let told: Vec<_> = c.flow_removed(at(4000)).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, FlowRemovedReason::IdleTimeout);
    assert_eq!((told[0].packets, told[0].duration_sec, told[0].idle_timeout), (1, 4, 2));
    assert_eq!((next, t.count(0)), (None, 1));
}

/// A connection that ends shortens the time of its flow.
#[test]
fn fin_timeout_shortens_the_flow_s_timeouts() {
    let mut t = FlowTables::new();
    let mut fm = add(1, 2);
    fm.actions.insert(0, Action::FinTimeout { idle: 5, hard: 7 });
    let c = ask(&mut t, &fm).unwrap();
    let stats = &c.events[0].rule().stats;
    assert_eq!(t.expire(at(0)).1, Some(at(1000)));
    let timeouts = |t: &FlowTables| {
        let f = t.flow_stats(at(0), &all()).unwrap().remove(0);
        (f.idle_timeout, f.hard_timeout)
    };
    stats.reduce_timeouts(0, 0);
    assert_eq!(timeouts(&t), (0, 0));
    stats.reduce_timeouts(5, 0);
    stats.reduce_timeouts(9, 7);
    assert_eq!(timeouts(&t), (5, 7));
    // A modification leaves it so, an addition has its own.
    let modify = FlowMod { command: FlowModCommand::Modify, ..fm.clone() };
    ask(&mut t, &modify).unwrap();
    assert_eq!(timeouts(&t), (5, 7));
    ask(&mut t, &FlowMod { idle_timeout: 60, ..fm }).unwrap();
    assert_eq!(timeouts(&t), (60, 0));
    ask(&mut t, &modify).unwrap();
    t.publish().unwrap().rules(0)[0].stats.reduce_timeouts(2, 0);
    assert_eq!(told(&t.expire(at(2001)).0), [('-', 1)]);
}

#[test]
fn full_table_refuses_or_evicts() {
    let mut t = FlowTables::new();
    let limit = |evict, groups: &[Subfield]| TableSettings {
        flow_limit: Some(3),
        evict,
        groups: groups.to_vec(),
        ..TableSettings::default()
    };
    t.configure_table(0, &limit(false, &[]));
    let timed = |port, idle_timeout| FlowMod { idle_timeout, ..add(port, 1) };
    ask(&mut t, &add(1, 1)).unwrap();
    ask(&mut t, &timed(2, 30)).unwrap();
    ask(&mut t, &timed(3, 20)).unwrap();
    assert_eq!(ask(&mut t, &add(4, 1)).err(), Some(OfError::FmfcTableFull));
    // What replaces needs no room.
    ask(&mut t, &timed(2, 30)).unwrap();
    // The soonest goes; one without time-out never does.
    t.configure_table(0, &limit(true, &[]));
    assert_eq!(told(&ask(&mut t, &timed(4, 10)).unwrap()), [('-', 3), ('+', 4)]);
    assert_eq!(told(&ask(&mut t, &timed(5, 40)).unwrap()), [('-', 4), ('+', 5)]);
    // The more important stays.
    let important = FlowMod { importance: 1, ..timed(6, 1) };
    assert_eq!(told(&ask(&mut t, &important).unwrap()), [('-', 2), ('+', 6)]);
    assert_eq!(told(&ask(&mut t, &timed(7, 60)).unwrap()), [('-', 5), ('+', 7)]);
    ask(&mut t, &FlowMod::new(FlowModCommand::Delete)).unwrap();
    // Of the larger group.
    t.configure_table(0, &limit(true, &[Subfield::whole(Field::EthSrc)]));
    let from = |src: u128, port, idle| {
        let mut fm = timed(port, idle);
        fm.matching.set(Field::EthSrc, src);
        fm
    };
    for (src, port, idle) in [(1, 1, 10), (2, 2, 30), (2, 3, 20)] {
        ask(&mut t, &from(src, port, idle)).unwrap();
    }
    assert_eq!(told(&ask(&mut t, &from(3, 4, 5)).unwrap()), [('-', 3), ('+', 4)]);
    // A lower limit takes effect at once.
    let c = t.configure_table(
        0,
        &TableSettings { flow_limit: Some(1), evict: true, ..limit(true, &[]) },
    );
    assert_eq!((told(&c), shown(&t)), (vec![('-', 4), ('-', 1)], vec![(2, 1)]));
    assert_eq!(t.max_entries(0), 1);
}

#[test]
fn table_names_and_table_mods_take_effect() {
    let mut t = FlowTables::new();
    t.set_name(1, "by controller");
    assert_eq!(t.table_name(1), "by controller");
    let named = TableSettings { name: Some("x".repeat(40)), ..TableSettings::default() };
    t.configure_table(1, &named);
    assert_eq!(t.table_name(1).len(), 31);
    assert!(!t.may_name(1, "other") && t.may_name(1, &"x".repeat(32)));
    t.set_name(1, "other");
    assert_eq!(t.table_name(1).len(), 31);
    t.configure_table(1, &TableSettings::default());
    assert_eq!(t.table_name(1), "");

    let m = |table_id, config| TableMod { table_id, config, ..TableMod::default() };
    t.table_mod(&m(255, 2), Version::V12).unwrap();
    assert_eq!(
        (t.miss(0), t.miss(253), t.miss(254)),
        (TableMiss::Drop, TableMiss::Drop, TableMiss::Default)
    );
    t.table_mod(&m(3, 1), Version::V11).unwrap();
    t.table_mod(&m(3, 0), Version::V13).unwrap();
    assert_eq!(t.publish().unwrap().miss(3), TableMiss::Continue);
    assert_eq!(t.table_mod(&m(254, 0), Version::V13), Err(OfError::TmfcEperm));
    let bad = TableMod { eviction: Some(1), ..m(0, 0) };
    assert_eq!(t.table_mod(&bad, Version::V14), Err(OfError::TmfcBadConfig));
    t.table_mod(&m(0, table_config::EVICTION), Version::V14).unwrap();
    assert_eq!(t.table_desc(0).unwrap().config, table_config::EVICTION);
    assert_eq!(t.table_desc(1).unwrap().config, 0);
}

#[test]
fn vacancy_events_are_sent_when_thresholds_are_crossed() {
    let mut t = FlowTables::new();
    let limit = TableSettings { flow_limit: Some(4), ..TableSettings::default() };
    t.configure_table(0, &limit);
    let m = TableMod {
        table_id: 0,
        config: table_config::VACANCY_EVENTS,
        eviction: None,
        vacancy: Some(Vacancy { down: 30, up: 60, now: 0 }),
    };
    t.table_mod(&m, Version::V14).unwrap();
    let reasons = |c: RuleChanges| c.status.iter().map(|s| s.reason).collect::<Vec<_>>();
    for port in 1..=2 {
        assert_eq!(reasons(ask(&mut t, &add(port, 1)).unwrap()), []);
    }
    assert_eq!(reasons(ask(&mut t, &add(3, 1)).unwrap()), [3]);
    assert_eq!(t.table_desc(0).unwrap().vacancy, Some(Vacancy { down: 30, up: 60, now: 25 }));
    assert_eq!(reasons(ask(&mut t, &add(4, 1)).unwrap()), []);
    assert_eq!(reasons(ask(&mut t, &FlowMod::new(FlowModCommand::Delete)).unwrap()), [4]);
}

#[test]
fn flow_monitors_are_told_of_matching_changes() {
    let mut t = FlowTables::new();
    ask(&mut t, &add(1, 5)).unwrap();
    ask(&mut t, &add(2, 6)).unwrap();
    let monitor = |flags, out_port| FlowMonitorRequest {
        id: 1,
        command: MonitorCommand::Add,
        flags,
        out_port,
        out_group: GROUP_ANY,
        table_id: 255,
        matching: Match::default(),
    };
    let every = monitor(monitor_flags::ALL, OfPort::ANY);
    let ports = |updates: &[FlowUpdate]| -> Vec<(FlowUpdateEvent, u16, usize)> {
        let one = |u: &FlowUpdate| match u {
            FlowUpdate::Full { event, matching, actions, .. } => {
                (*event, matching.value.in_port.0, actions.len())
            }
            other => panic!("{other:?}"),
        };
        updates.iter().map(one).collect()
    };
    let initial = FlowUpdateEvent::Initial;
    let only_six = monitor(monitor_flags::INITIAL, OfPort(6));
    assert_eq!(ports(&t.monitored(from_ref(&every), None)), [(initial, 1, 1), (initial, 2, 1)]);
    assert_eq!(ports(&t.monitored(from_ref(&only_six), None)), [(initial, 2, 0)]);
    // Two monitors that want the same flow get it once, with what both want.
    let both = [only_six, every.clone()];
    assert_eq!(ports(&t.monitored(&both, None)), [(initial, 2, 1), (initial, 1, 1)]);

    let since = t.sequence();
    let c = ask(&mut t, &flow(FlowModCommand::Modify, 2, 7)).unwrap();
    let e = &c.events[0];
    // It wants flows to port 6, which this one was.
    assert!(e.wanted(&monitor(monitor_flags::MODIFY, OfPort(6))));
    assert!(!e.wanted(&monitor(monitor_flags::ADD, OfPort(6))));
    assert!(!e.wanted(&monitor(monitor_flags::MODIFY, OfPort(5))));
    assert!(!e.wanted(&FlowMonitorRequest { table_id: 1, ..every.clone() }));
    assert!(!e.wanted(&FlowMonitorRequest { matching: in_port(1), ..every.clone() }));
    assert_eq!(ports(&[e.update(true)]), [(FlowUpdateEvent::Modified, 2, 1)]);
    ask(&mut t, &add(3, 1)).unwrap();
    ask(&mut t, &flow(FlowModCommand::Modify, 3, 2)).unwrap();
    // A command that changes nothing is no change.
    ask(&mut t, &flow(FlowModCommand::Modify, 1, 5)).unwrap();
    let (added, modified) = (FlowUpdateEvent::Added, FlowUpdateEvent::Modified);
    let expected = [(modified, 2, 1), (added, 3, 1)];
    assert_eq!(ports(&t.monitored(from_ref(&every), Some(since))), expected);
    let c = ask(&mut t, &flow(FlowModCommand::Delete, 1, 0)).unwrap();
    let gone = FlowUpdateEvent::Deleted(FlowRemovedReason::Delete);
    assert!(c.events[0].wanted(&every));
    assert_eq!(ports(&[c.events[0].update(false)]), [(gone, 1, 0)]);
}

#[test]
fn restore_brings_back_the_flows_of_the_copy() {
    let mut t = FlowTables::new();
    ask(&mut t, &add(1, 2)).unwrap();
    let first = t.publish().unwrap();
    let before = t.clone();
    ask(&mut t, &FlowMod { idle_timeout: 1, ..add(2, 2) }).unwrap();
    t.publish().unwrap();
    t.restore(before);
    let third = t.publish().unwrap();
    assert_eq!(third.generation(), first.generation() + 2);
    assert_eq!(shown(&t), [(1, 2)]);
    assert_eq!(t.expire(at(9000)).1, None);
}

/// A table that loses all its rules has none with a time-out either, and takes new ones.
#[test]
fn emptied_table_has_no_timeouts_and_takes_new_rules() {
    let mut t = FlowTables::new();
    for (port, table_id) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
        ask(&mut t, &FlowMod { idle_timeout: 5, table_id, ..add(port, 2) }).unwrap();
    }
    let delete = FlowMod::new(FlowModCommand::Delete);
    let c = ask(&mut t, &FlowMod { table_id: 0, ..delete.clone() }).unwrap();
    assert_eq!((told(&c), t.count(0), t.count(1)), (vec![('-', 1), ('-', 2)], 0, 2));
    let c = ask(&mut t, &FlowMod { matching: in_port(3), ..delete }).unwrap();
    assert_eq!((told(&c), t.count(1)), (vec![('-', 3)], 1));
    ask(&mut t, &add(1, 7)).unwrap();
    let tables = t.publish().unwrap();
    let found = tables.lookup(0, &in_port(1).value, &mut Fields::default());
    assert_eq!(*found.unwrap().actions, to(7));
    assert_eq!(told(&t.expire(at(9000)).0), [('-', 4)]);
    assert_eq!(shown(&t), [(1, 7)]);
}

#[test]
fn idle_age_is_at_most_65535() {
    let mut t = FlowTables::new();
    ask(&mut t, &add(1, 2)).unwrap();
    let f = t.flow_stats(at(0) + Duration::from_secs(100_000), &all()).unwrap().remove(0);
    assert_eq!((f.idle_age, f.duration_sec), (Some(65_535), 100_000));
}
