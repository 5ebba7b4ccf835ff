//! A lost link is found by the packet thread itself, which replaces the table.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use datapath::{Action, Datapath, PortLink, PortNo, Standby, StandbyPort};
use support::*;

#[derive(Default)]
struct Link {
    lost: AtomicBool,
    looks: AtomicU64,
    reports: AtomicU64,
}

impl PortLink for Link {
    fn is_lost(&self) -> bool {
        self.looks.fetch_add(1, SeqCst);
        self.lost.load(SeqCst)
    }

    fn report(&self) {
        self.reports.fetch_add(1, SeqCst);
    }
}

fn bonded() -> Switch {
    Switch::new(4, |_| translation(&[Action::OutputBucket { table: TABLE, bucket: 7 }], base()))
}

fn standby(s: &Switch, ports: &[(u32, &Arc<Link>, u32)]) {
    let of = s.table(TABLE).expect("published");
    let ports = ports.iter().map(|&(port, link, to)| StandbyPort {
        port: PortNo(port),
        link: link.clone(),
        table: table(100 + u64::from(to), to),
    });
    s.table_standby(TABLE, Standby { of, ports: ports.collect() });
}

fn after(s: &Switch, microseconds: u64) {
    s.now.fetch_add(microseconds * 1_000, SeqCst);
}

#[test]
fn the_packet_that_finds_the_link_lost_goes_out_by_the_other() {
    let s = bonded();
    s.table_publish(TABLE, table(1, 2));
    let (two, three) = (Arc::new(Link::default()), Arc::new(Link::default()));
    standby(&s, &[(2, &two, 3), (3, &three, 2)]);
    let frame = udp(1, 20);
    s.inject(1, &frame);
    assert_eq!((s.sent(2).len(), s.sent(3).len()), (1, 0));
    two.lost.store(true, SeqCst);
    after(&s, 250);
    s.inject(1, &frame);
    assert_eq!((s.sent(2).len(), s.sent(3).len()), (0, 1), "no packet is lost");
    assert_eq!(s.table(TABLE).map(|t| t.generation), Some(103));
    // The standby was for the first table: it does not go on from there.
    three.lost.store(true, SeqCst);
    after(&s, 250);
    s.inject(1, &frame);
    assert_eq!((s.sent(2).len(), s.sent(3).len()), (0, 1));
    // The control side has the last word.
    s.table_publish(TABLE, table(2, 4));
    after(&s, 250);
    s.inject(1, &frame);
    assert_eq!(s.sent(4).len(), 1);
}

#[test]
fn a_link_is_looked_at_from_time_to_time_only() {
    let s = bonded();
    s.table_publish(TABLE, table(1, 2));
    let two = Arc::new(Link::default());
    standby(&s, &[(2, &two, 3)]);
    let frame = udp(1, 20);
    for _ in 0..1000 {
        after(&s, 10);
        s.inject(1, &frame);
    }
    // 10 ms, 200 us apart.
    assert_eq!((two.looks.load(SeqCst), two.reports.load(SeqCst)), (50, 50));
    assert_eq!(s.sent(2).len(), 1000);
}

#[test]
fn many_busy_ports_share_a_bound_of_looks() {
    let ports = 40;
    let s = Switch::new(ports, |key| {
        let table = datapath::TableId(key.in_port);
        translation(&[Action::OutputBucket { table, bucket: 0 }], base())
    });
    let link = Arc::new(Link::default());
    for n in 1..=ports {
        let id = datapath::TableId(n);
        s.table_publish(id, table(1, n));
        let of = s.table(id).expect("published");
        let port = StandbyPort { port: PortNo(n), link: link.clone(), table: table(2, 1) };
        s.table_standby(id, Standby { of, ports: vec![port] });
    }
    let frame = udp(1, 20);
    for _ in 0..10 {
        after(&s, 1_000);
        for n in 1..=ports {
            s.inject(n as usize, &frame);
        }
    }
    // 10 ms, 50 us apart, and a burst at the begin.
    let looks = link.looks.load(SeqCst);
    assert!((90..=210).contains(&looks), "{looks}");
}

#[test]
fn a_standby_for_another_table_or_without_one_does_nothing() {
    let s = bonded();
    let lost = Arc::new(Link::default());
    lost.lost.store(true, SeqCst);
    let port = StandbyPort { port: PortNo(2), link: lost.clone(), table: table(9, 3) };
    s.table_standby(TABLE, Standby { of: table(1, 2), ports: vec![port.clone()] });
    // Equal, but not the one in force.
    s.table_publish(TABLE, table(1, 2));
    s.table_standby(TABLE, Standby { of: table(1, 2), ports: vec![port] });
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), s.sent(3).len()), (1, 0));
    assert_eq!(lost.looks.load(SeqCst), 0);
}
