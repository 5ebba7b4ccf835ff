//! Flows follow what they rest on, go when idle, and are few enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bond::RevalidateReason;
use datapath::{Action, Datapath, PortNo};
use datapath_testing::Call;
use ofproto::{FlowEvent, RevalidatorOptions};
use parking_lot::Mutex;

use crate::frame::{BROADCAST, other, udp, udp_ports};
use crate::lab::Lab;

const THREE: &str = "br0:\n p1 = 1\n p2 = 2\n p3 = 3";

#[test]
fn nothing_happens_when_nothing_changed() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, BROADCAST));
    lab.revalidate();
    let before = lab.revalidator.status();
    let next = lab.revalidate();
    let after = lab.revalidator.status();
    assert_eq!(after.translated, before.translated);
    assert_eq!(next.at, lab.dp.now() + Duration::from_millis(500));
    assert_eq!(next.not_before, lab.dp.now() + Duration::from_millis(5));
}

#[test]
fn idle_flows_go_after_ten_seconds() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    lab.advance(Duration::from_secs(6));
    lab.send(2, &udp(0xb, 0xc));
    lab.advance(Duration::from_secs(4));
    lab.revalidate();
    assert_eq!(lab.flows().len(), 2);
    lab.advance(Duration::from_millis(1));
    lab.revalidate();
    assert_eq!(lab.flows().len(), 1);
    assert_eq!(lab.revalidator.status().removed, 1);
}

#[test]
fn idle_time_and_interval_can_be_set() {
    let mut lab = Lab::new(THREE);
    let options = RevalidatorOptions {
        max_idle: Duration::from_millis(300),
        max_revalidator: Duration::from_secs(4),
        ..RevalidatorOptions::default()
    };
    lab.revalidator.set_options(options);
    lab.send(1, &udp(0xa, 0xb));
    let next = lab.revalidate();
    // The flow was not there before.
    assert!(next.at <= lab.dp.now() + Duration::from_millis(300));
    lab.advance(Duration::from_millis(300));
    let next = lab.revalidate();
    assert_eq!(lab.flows().len(), 1);
    assert_eq!(next.at, lab.dp.now() + Duration::from_millis(300), "the shorter of the two");
    lab.advance(Duration::from_millis(1));
    lab.revalidate();
    assert_eq!(lab.flows().len(), 0);

    let max_idle = Duration::from_secs(60);
    lab.revalidator.set_options(RevalidatorOptions { max_idle, ..options });
    lab.send(1, &udp(0xa, 0xb));
    lab.advance(Duration::from_secs(60));
    let next = lab.revalidate();
    assert_eq!(lab.flows().len(), 1);
    assert_eq!(next.at, lab.dp.now() + Duration::from_secs(4));
}

/// While rounds take long, flows with few packets are not worth translating again.
#[test]
fn seldom_used_flows_go_when_rounds_take_long() {
    for (max_revalidator, min_pps, left) in [(100, 5, 0), (100, 0, 2), (100, 1, 1), (60_000, 5, 2)]
    {
        let mut lab = Lab::new(THREE);
        lab.revalidator.set_options(RevalidatorOptions {
            max_revalidator: Duration::from_millis(max_revalidator),
            min_pps,
            ..RevalidatorOptions::default()
        });
        let (seldom, busy) = (udp(0xa, BROADCAST), udp(0xc, BROADCAST));
        for frame in [&seldom, &busy] {
            lab.send(1, frame);
            lab.send(1, frame);
        }
        // A round that takes 200 ms by the datapath's clock.
        let begun = lab.dp.now();
        lab.advance(Duration::from_millis(200));
        lab.revalidator.run(begun, &[]);
        lab.advance(Duration::from_secs(2));
        for _ in 0..4 {
            lab.send(1, &busy);
        }
        lab.configure("br0:\n p1 = 1\n p2 = 2");
        lab.revalidate();
        assert_eq!(lab.flows().len(), left, "{max_revalidator} ms, {min_pps} packets a second");
    }
}

/// A number of a port may be given again once a round has ended that began without the port.
#[test]
fn rounds_are_counted_when_they_begin_and_when_they_end() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, BROADCAST));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (ofproto, log) = (Arc::downgrade(&lab.ofproto), seen.clone());
    lab.ofproto.set_flow_watcher(Box::new(move |event, _| {
        if let (FlowEvent::Dumped, Some(s)) = (event, ofproto.upgrade()) {
            log.lock().push((s.rounds_begun(), s.rounds_ended()));
        }
    }));
    let counts = |lab: &Lab| (lab.ofproto.rounds_begun(), lab.ofproto.rounds_ended());
    let (begun, ended) = counts(&lab);
    assert_eq!(begun, ended);
    lab.revalidate();
    assert_eq!(*seen.lock(), [(begun + 1, ended)]);
    assert_eq!(counts(&lab), (begun + 1, begun + 1));
}

/// Nothing is forwarded or learned, and no flow is made, until traffic is let go.
#[test]
fn traffic_is_held_back_but_for_lacp() {
    let lab = Lab::new("br0:\n p1 = 1\n b = 3+4 lacp\n p2 = 2");
    lab.active("b", 3, &[3, 4]);
    lab.ofproto.hold(true);
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "");
    assert_eq!(lab.send(3, &other(0xb, 0x0180_c200_0002, 0x8809)), "Lacp");
    assert_eq!(lab.flows().len(), 0);
    assert_eq!(lab.fdb("br0"), "");
    lab.ofproto.hold(false);
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "3:- 2:-");
    assert_eq!(lab.flows().len(), 1);
    assert_eq!(lab.fdb("br0"), "a@1/0");
}

#[test]
fn configuration_changes_actions_in_place() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    let flow = lab.flows()[0].clone();
    lab.configure("br0:\n p1 = 1\n p2 = 2");
    lab.revalidate();
    assert_eq!(**flow.actions.load(), [Action::Output(PortNo(2))]);
    assert!(Arc::ptr_eq(&lab.flows()[0], &flow), "the same flow");
    assert_eq!(flow.stats().packets, 0);
    lab.send(1, &udp(0xa, 0xb));
    assert_eq!(flow.stats().packets, 1);
}

#[test]
fn flow_that_is_too_wide_goes() {
    let mut lab = Lab::new("br0:\n p1 = 1\n p2 = 2");
    lab.config.vlan_limit = 1;
    lab.apply();
    lab.send(1, &udp(0xa, 0xb).tag(10));
    // An access port appears: now the tag's priority is looked at.
    let topology = "br0:\n p1 = 1\n p2 = 2\n p3 = 3 access=10";
    lab.configure(topology);
    lab.revalidate();
    assert_eq!(lab.flows().len(), 0);
    assert_eq!(lab.send(1, &udp(0xa, 0xb).tag(10)), "2:10 3:-");
}

#[test]
fn flows_of_a_removed_port_go() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    lab.configure("br0:\n p2 = 2\n p3 = 3");
    lab.revalidate();
    assert_eq!(lab.flows().len(), 0);
}

#[test]
fn learning_calls_for_a_round() {
    let lab = Lab::new(THREE);
    let calls = Arc::new(AtomicUsize::new(0));
    let c = calls.clone();
    lab.ofproto.set_waker(Box::new(move || {
        c.fetch_add(1, Relaxed);
    }));
    let mut lab = lab;
    lab.revalidate();
    lab.send(1, &udp(0xa, 0xb));
    assert_eq!(calls.load(Relaxed), 1);
    lab.send(2, &udp(0xb, 0xa));
    assert_eq!(calls.load(Relaxed), 1, "once until the round begins");
    lab.revalidate();
    lab.send(2, &udp(0xb, 0xc));
    assert_eq!(calls.load(Relaxed), 1, "nothing new");
    lab.send(3, &udp(0xc, 0xa));
    assert_eq!(calls.load(Relaxed), 2);
}

#[test]
fn address_that_expires_during_a_round_is_left_for_the_next() {
    let mut lab = Lab::new("br0: aging=15\n p1 = 1\n p2 = 2\n p3 = 3");
    lab.send(1, &udp(0xa, BROADCAST));
    lab.advance(Duration::from_secs(9));
    assert_eq!(lab.send(2, &udp(0xb, 0xa)), "1:-");
    lab.advance(Duration::from_secs(6));
    let next = lab.revalidate();
    assert_eq!(lab.fdb("br0"), "b@2/0");
    assert_eq!(next.at, next.not_before);
    lab.dp.set_now(next.at);
    lab.revalidate();
    assert_eq!(lab.send(2, &udp(0xb, 0xa)), "1:- 3:-");
}

#[test]
fn flows_beyond_the_limit_are_removed() {
    let mut lab = Lab::new("br0:\n p1 = 1\n p2 = 2");
    lab.ofproto.enable_megaflows(false);
    assert_eq!(lab.revalidator.set_flow_limit(40), "set flow_limit to 40\n");
    assert!(lab.dp.calls().contains(&Call::SetFlowLimit(40)));
    lab.dp.set_flow_limit(10_000);
    for port in 0..60 {
        lab.send(1, &udp_ports(1, BROADCAST, port, 80));
    }
    lab.advance(Duration::from_millis(101));
    lab.revalidate();
    assert_eq!(lab.flows().len(), 40, "idle ones, down to the limit");
    for port in 0..2000 {
        lab.send(1, &udp_ports(1, BROADCAST, 1000 + port, 80));
    }
    lab.revalidator.set_flow_limit(40);
    lab.revalidate();
    assert_eq!(lab.flows().len(), 80, "all but twice the limit, in an emergency");
}

#[test]
fn flow_limit_grows_back() {
    let mut lab = Lab::new(THREE);
    lab.revalidator.set_flow_limit(10);
    lab.revalidate();
    assert_eq!(lab.revalidator.status().flow_limit, 1000);
    let options = RevalidatorOptions { flow_limit: 500_000, ..RevalidatorOptions::default() };
    lab.revalidator.set_options(options);
    for _ in 0..3 {
        lab.send(1, &udp_ports(1, BROADCAST, 1, 2));
        lab.send(2, &udp_ports(2, BROADCAST, 1, 2));
        lab.revalidate();
    }
    assert_eq!(lab.revalidator.status().flow_limit, 2000);
}

#[test]
fn statistics_are_attributed_once() {
    let mut lab = Lab::new(THREE);
    let f = udp(0xa, BROADCAST);
    let octets = f.bytes().len() as u64;
    for n in 1..=10 {
        lab.send(1, &f);
        if n % 3 == 0 {
            lab.revalidate();
        }
    }
    lab.apply();
    lab.revalidate();
    lab.revalidate();
    let rules = lab.ofproto.dump_rules(lab.dp.now(), "br0").unwrap();
    assert_eq!((rules.0[0].count.packets, rules.0[0].count.bytes), (10, 10 * octets));
    lab.send(1, &f);
    lab.revalidator.purge();
    assert_eq!(lab.flows().len(), 0);
    let rules = lab.ofproto.dump_rules(lab.dp.now(), "br0").unwrap();
    assert_eq!(rules.0[0].count.packets, 11);
}

#[test]
fn bond_reasons_are_counted() {
    let mut lab = Lab::new("br0:\n p1 = 1\n b = 3+4");
    lab.active("b", 3, &[3, 4]);
    lab.send(1, &udp(0xa, BROADCAST));
    lab.active("b", 4, &[3, 4]);
    let now = lab.dp.now();
    lab.revalidator.run(now, &[RevalidateReason::ActiveMember]);
    let s = lab.revalidator.status();
    assert_eq!((s.bond_reasons, s.translated, s.changed), (1, 1, 0), "the table did the work");
}

#[test]
fn mode_change_changes_flows() {
    let mut lab = Lab::new("br0:\n p1 = 1\n b = 3+4");
    lab.active("b", 3, &[3, 4]);
    lab.send(1, &udp(0xa, BROADCAST));
    let recirc_id = lab.bond_id("b");
    lab.tcp("b", [3, 4], bond::OutputRule::Recirc { basis: 1, recirc_id });
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "3:-", "still right in between");
    lab.revalidate();
    let flow = lab.flows()[0].clone();
    assert_eq!(**flow.actions.load(), [Action::HashL4 { basis: 1 }, Action::Recirc(recirc_id)]);
}
