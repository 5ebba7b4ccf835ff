//! Flows: installed, counted, replaced, removed; failover that does not touch them.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use datapath::{Action, Datapath, DatapathError, PortNo, Translation};
use support::*;
use wire::Time;

#[test]
fn later_packets_hit_and_are_counted() {
    let s = Switch::new(2, |_| translation(&[out(2)], l2()));
    s.inject(1, &udp(1, 20));
    s.now.store(7_000_000, SeqCst);
    s.inject(1, &udp(2, 30));
    s.inject(1, &udp(3, 40));
    assert_eq!(s.misses(), 1);
    let flows = s.flows();
    let stats = flows[0].stats();
    assert_eq!((stats.packets, stats.bytes), (2, 72 + 82));
    assert_eq!(stats.used, Some(Time::from_millis(7)));
    assert_eq!(flows[0].created, Time::from_millis(1));
    assert_eq!((s.stats().flows, flows.len()), (1, 1));
}

#[test]
fn flows_are_listed_in_order_of_installation() {
    let s = Switch::new(2, |_| translation(&[out(2)], exact()));
    for n in [5, 3, 9, 1] {
        s.inject(1, &udp(n, 20));
    }
    let ports: Vec<_> = s.flows().iter().map(|f| f.key.tp_src - 1024).collect();
    assert_eq!(ports, [5, 3, 9, 1]);
}

#[test]
fn new_actions_are_in_force_at_once() {
    let s = Switch::new(3, |_| translation(&[out(2)], l2()));
    s.inject(1, &udp(1, 20));
    s.inject(1, &udp(1, 20));
    s.flows()[0].actions.store(Arc::new(vec![out(3)]));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), s.sent(3).len(), s.misses()), (2, 1, 1));
}

#[test]
fn a_removed_flow_is_translated_anew() {
    let s = Switch::new(2, |_| translation(&[out(2)], exact()));
    s.inject(1, &udp(1, 20));
    s.inject(1, &udp(2, 20));
    let old = s.flows();
    s.flow_remove(&old[0]);
    s.flow_remove(&old[0]);
    assert!(old[0].is_dead() && !old[1].is_dead());
    assert_eq!((s.flows().len(), s.stats().flows), (1, 1));
    s.inject(1, &udp(1, 20));
    s.inject(1, &udp(2, 20));
    assert_eq!(s.misses(), 3);
    assert_eq!(s.flows().len(), 2);
    s.flow_flush();
    assert_eq!((s.flows().len(), s.stats().flows), (0, 0));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.misses(), s.sent(2).len()), (4, 5));
}

#[test]
fn beyond_the_limit_packets_are_translated_but_not_installed() {
    let s = Switch::new(2, |_| translation(&[out(2)], exact()));
    s.set_flow_limit(10);
    for n in 0..30 {
        s.inject(1, &udp(n, 20));
    }
    assert_eq!((s.flows().len(), s.sent(2).len(), s.misses()), (10, 30, 30));
    wait("counters", || s.stats().over_limit == 20);
    s.set_flow_limit(11);
    s.inject(1, &udp(29, 20));
    assert_eq!(s.flows().len(), 11);
}

#[test]
fn what_must_not_be_installed_is_not() {
    let s = Switch::new(2, |_| Translation { install: false, ..translation(&[out(2)], l2()) });
    s.inject(1, &udp(1, 20));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.misses(), s.flows().len(), s.sent(2).len()), (2, 0, 2));
}

/// One publication moves every flow, and no flow notices.
fn failover(flows: u32) {
    let s = Switch::new(3, |key| {
        let bucket = key.tp_src as u8;
        translation(&[Action::OutputBucket { table: TABLE, bucket }], exact())
    });
    s.set_flow_limit(flows as usize);
    s.table_publish(TABLE, table(1, 2));
    for first in (0..flows).step_by(1000) {
        let frames: Vec<_> = (first..flows.min(first + 1000)).map(|n| udp(n, 0)).collect();
        s.port(1).push_all(frames.iter().map(Vec::as_slice));
    }
    s.settle();
    assert_eq!(s.port(2).sent().len() as u32, flows);
    let before: Vec<_> =
        s.flows().into_iter().map(|f| (f.actions.load_full(), f.stats(), f)).collect();
    assert_eq!(before.len() as u32, flows);

    s.table_publish(TABLE, table(2, 3));

    // Flows and their actions are the very same objects, and their counters stand still.
    let after = s.flows();
    assert_eq!(after.len(), before.len());
    for ((actions, stats, flow), now) in before.iter().zip(&after) {
        assert!(Arc::ptr_eq(flow, now) && !now.is_dead());
        assert!(Arc::ptr_eq(actions, &now.actions.load_full()));
        assert_eq!(*stats, now.stats());
    }
    for n in (0..flows).step_by((flows as usize / 500).max(1)) {
        s.port(1).push(&udp(n, 0));
    }
    s.settle();
    let moved = s.port(3).sent().len() as u32;
    assert_eq!(moved, flows.div_ceil((flows / 500).max(1)));
    assert_eq!((s.port(2).sent().len(), s.misses()), (0, u64::from(flows)));
}

#[test]
fn failover_moves_one_flow() {
    failover(1);
}

#[test]
fn failover_moves_a_hundred_thousand_flows() {
    failover(100_000);
}

#[test]
fn ports_come_and_go() {
    let s = Switch::new(2, |_| translation(&[out(2), out(7)], l2()));
    let (io, seven) = datapath_testing::memory().expect("an eventfd");
    assert_eq!(s.port_add("seven", Box::new(io), Some(PortNo(7))), Ok(PortNo(7)));
    let (io, _) = datapath_testing::memory().expect("an eventfd");
    assert_eq!(s.port_add("taken", Box::new(io), Some(PortNo(7))), Ok(PortNo(3)));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), seven.sent().len()), (1, 1));
    assert_eq!(s.port_del(PortNo(7)), Ok(()));
    assert_eq!(s.port_del(PortNo(7)), Err(DatapathError::NoSuchPort(7)));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), seven.sent().len()), (1, 0));
    assert_eq!(s.port_counters(PortNo(7)), None);
    let (io, _) = datapath_testing::memory().expect("an eventfd");
    assert_eq!(s.port_add("huge", Box::new(io), Some(PortNo(1 << 20))), Ok(PortNo(4)));
}

#[test]
fn a_flow_put_in_by_hand() {
    let s = Switch::new(3, |_| translation(&[out(2)], l2()));
    let frame = udp(1, 20);
    let handle = |port| {
        let seen = wire::extract(&frame, 1);
        datapath::FlowHandle::new(seen, l2(), vec![out(port)], None, wire::Time::ZERO)
    };
    let flow = s.flow_install(handle(3)).expect("the first of its kind");
    assert_eq!(s.flow_install(handle(2)).err(), Some(datapath::DatapathError::FlowExists));
    s.inject(1, &frame);
    assert_eq!((s.sent(3).len(), s.misses()), (1, 0));
    assert_eq!((s.flows().len(), s.stats().flows, flow.stats().packets), (1, 1, 1));
    s.flow_remove(&flow);
    s.flow_install(handle(2)).expect("the other is gone");
    s.inject(1, &frame);
    assert_eq!((s.sent(2).len(), s.misses()), (1, 0));
}

#[test]
fn a_port_gets_another_number() {
    let s = Switch::new(2, |key| match key.in_port {
        7 => translation(&[out(2)], l2()),
        _ => translation(&[out(7)], l2()),
    });
    assert_eq!(s.port_move(PortNo(1), PortNo(2)), Err(datapath::DatapathError::PortInUse(2)));
    assert_eq!(s.port_move(PortNo(5), PortNo(7)), Err(datapath::DatapathError::NoSuchPort(5)));
    assert_eq!(s.port_move(PortNo(1), PortNo(7)), Ok(()));
    let frame = udp(1, 20);
    s.inject(1, &frame);
    s.inject(2, &frame);
    assert_eq!((s.sent(2).len(), s.sent(1).len()), (1, 1));
    assert_eq!(s.port_counters(PortNo(1)), None);
    wait("counters", || s.port_counters(PortNo(7)).is_some_and(|c| c.rx_packets == 1));
}
