//! Learning, ageing, eviction, static addresses.

use std::time::Duration;

use ofproto::show::FdbError;
use ofproto::{OfprotoConfig, QueryError};
use wire::EthAddr;

use crate::frame::{BROADCAST, gratuitous, other, udp};
use crate::lab::Lab;

const THREE: &str = "br0:\n p1 = 1\n p2 = 2\n p3 = 3";

fn mac(n: u64) -> EthAddr {
    EthAddr::from_u64(n)
}

#[test]
fn learns_and_forwards() {
    let mut lab = Lab::new(THREE);
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:- 3:-");
    assert_eq!(lab.send(2, &udp(0xb, 0xa)), "1:-");
    lab.revalidate();
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:-", "the cached flow no longer floods");
    assert_eq!(lab.send(2, &udp(0xc, 0xb)), "", "both on one port");
    assert_eq!(lab.send(3, &udp(0xa, 0xb)), "2:-", "moves to port 3");
    assert_eq!(lab.fdb("br0"), "a@3/0 b@2/0 c@2/0");
    let stats = lab.ofproto.fdb_stats("br0").unwrap();
    assert_eq!((stats.totals.learned, stats.totals.moved), (3, 1));
}

#[test]
fn multicast_sources_are_not_learned() {
    let lab = Lab::new(THREE);
    assert_eq!(lab.send(1, &other(0x0100_5e00_0001, 2, 0xabcd)), "2:- 3:-");
    assert_eq!(lab.fdb("br0"), "");
}

#[test]
fn vlans_are_learned_apart() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb).tag(10));
    lab.send(2, &udp(0xa, 0xb).tag(20));
    assert_eq!(lab.fdb("br0"), "a@1/10 a@2/20");
    lab.revalidate();
    assert_eq!(lab.send(3, &udp(0xc, 0xa).tag(10)), "1:10");
    assert_eq!(lab.send(3, &udp(0xc, 0xa).tag(20)), "2:20");
}

#[test]
fn flood_vlans_learn_nothing() {
    let mut lab = Lab::new("br0: flood-vlans=30\n p1 = 1\n p2 = 2\n p3 = 3");
    lab.send(1, &udp(0xa, 0xb).tag(30));
    assert_eq!(lab.send(2, &udp(0xb, 0xa).tag(30)), "1:30 3:30");
    lab.send(1, &udp(0xa, 0xb).tag(31));
    assert_eq!(lab.fdb("br0"), "a@1/31");
    lab.configure("br0: flood-vlans=31\n p1 = 1\n p2 = 2\n p3 = 3");
    assert_eq!(lab.fdb("br0"), "", "other flood VLANs: all is forgotten");
}

#[test]
fn idle_addresses_expire() {
    let mut lab = Lab::new("br0: aging=20\n p1 = 1\n p2 = 2");
    lab.send(1, &udp(0xa, 0xb));
    lab.advance(Duration::from_secs(8));
    lab.send(2, &udp(0xc, 0xb));
    lab.revalidate();
    lab.advance(Duration::from_secs(12));
    lab.revalidate();
    assert_eq!(lab.fdb("br0"), "c@2/0");
    lab.advance(Duration::from_secs(8));
    lab.revalidate();
    assert_eq!(lab.fdb("br0"), "");
    assert_eq!(lab.ofproto.fdb_stats("br0").unwrap().totals.expired, 2);
}

#[test]
fn used_flows_keep_addresses_young() {
    let mut lab = Lab::new("br0: aging=20\n p1 = 1\n p2 = 2");
    for _ in 0..20 {
        lab.send(1, &udp(0xa, 0xb));
        lab.advance(Duration::from_secs(5));
        lab.revalidate();
    }
    assert_eq!(lab.missed(), 1);
    assert_eq!(lab.fdb("br0"), "a@1/0");
}

#[test]
fn forgotten_address_is_learned_again_from_a_cached_flow() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    lab.revalidate();
    lab.ofproto.fdb_flush(Some("br0")).unwrap();
    lab.revalidate();
    assert_eq!(lab.fdb("br0"), "", "no packet since");
    lab.send(1, &udp(0xa, 0xb));
    lab.revalidate();
    assert_eq!(lab.fdb("br0"), "a@1/0");
}

#[test]
fn fullest_port_loses_its_oldest() {
    let lab = Lab::new("br0: macs=10\n p1 = 1\n p2 = 2\n p3 = 3");
    for n in 0..4 {
        lab.send(1, &udp(0x10 + n, BROADCAST));
        lab.advance(Duration::from_secs(1));
    }
    for n in 0..100 {
        lab.send(2, &udp(0x2000 + n, BROADCAST));
        lab.advance(Duration::from_millis(10));
    }
    let fdb = lab.fdb("br0");
    assert_eq!(
        fdb, "10@1/0 11@1/0 12@1/0 13@1/0 205e@2/0 205f@2/0 2060@2/0 2061@2/0 2062@2/0 2063@2/0",
        "a flood of addresses pushes out only its own"
    );
    let stats = lab.ofproto.fdb_stats("br0").unwrap();
    assert_eq!((stats.current, stats.max), (10, 10));
    assert_eq!((stats.totals.learned, stats.totals.evicted), (104, 94));
    // A third port takes its fair share: from whoever has most.
    for n in 0..8 {
        lab.send(3, &udp(0x3000 + n, BROADCAST));
    }
    let shares = [1, 2, 3].map(|p| lab.fdb("br0").matches(&format!("@{p}/")).count());
    assert!(shares.iter().all(|n| (3..=4).contains(n)), "{shares:?}");
}

#[test]
fn smaller_table_takes_effect() {
    let mut lab = Lab::new(THREE);
    for n in 0..50 {
        lab.send(1 + n as u32 % 2, &udp(0x10 + n, BROADCAST));
    }
    lab.configure("br0: macs=10\n p1 = 1\n p2 = 2\n p3 = 3");
    lab.revalidate();
    assert_eq!(lab.ofproto.fdb_stats("br0").unwrap().current, 10);
}

#[test]
fn port_that_goes_takes_its_addresses() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    lab.send(2, &udp(0xb, 0xa));
    lab.config.bridges[0].bundles.remove(0);
    let change = lab.apply();
    assert_eq!(change.flushed, [("br0".to_owned(), "p1".to_owned())]);
    assert_eq!(lab.fdb("br0"), "b@2/0");
    lab.revalidate();
    assert_eq!(lab.send(2, &udp(0xb, 0xa)), "3:-");
}

#[test]
fn port_with_other_vlans_forgets() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    lab.send(2, &udp(0xb, 0xa));
    lab.configure("br0:\n p1 = 1 access=5\n p2 = 2\n p3 = 3");
    assert_eq!(lab.fdb("br0"), "b@2/0");
}

#[test]
fn same_configuration_keeps_everything() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    let change = lab.apply();
    assert_eq!(change, ofproto::ConfigChange::default());
    assert_eq!(lab.fdb("br0"), "a@1/0");
}

#[test]
fn bridge_that_goes_and_comes_back_is_new() {
    let mut lab = Lab::new(THREE);
    lab.send(1, &udp(0xa, 0xb));
    let config = std::mem::take(&mut lab.config);
    assert_eq!(lab.apply().bridges_removed, ["br0"]);
    assert_eq!(lab.send(1, &udp(0xa, 0xc)), "");
    assert_eq!(lab.ofproto.fdb_show(ofproto_now(&lab), &["br0"]), Err(QueryError::NoSuchBridge));
    lab.config = OfprotoConfig { ..config };
    assert_eq!(lab.apply().bridges_added, ["br0"]);
    assert_eq!(lab.fdb("br0"), "");
}

fn ofproto_now(lab: &Lab) -> wire::Time {
    use datapath::Datapath;
    lab.dp.now()
}

#[test]
fn static_address_neither_moves_nor_ages() {
    let mut lab = Lab::new(THREE);
    let now = ofproto_now(&lab);
    lab.send(1, &udp(0xa, 0xb));
    let add = |port: &str, m: u64| lab.ofproto.fdb_add(now, "br0", port, 0, mac(m));
    assert_eq!(add("p2", 0xa).unwrap(), "Overriding already existing dynamic entry on 1\n");
    assert_eq!(add("p2", 0xa).unwrap(), "");
    assert_eq!(add("p3", 0xa).unwrap(), "Overriding already existing static entry on 2\n");
    assert_eq!(add("p9", 0xa), Err(FdbError::NoSuchPort));
    assert_eq!(
        lab.ofproto.fdb_add(now, "br9", "p1", 0, mac(1)),
        Err(FdbError::Query(QueryError::NoSuchBridge))
    );
    lab.send(1, &udp(0xa, 0xc));
    assert_eq!(lab.fdb("br0"), "a@3/0", "a static address does not move");
    assert_eq!(lab.send(2, &udp(0xb, 0xa)), "3:-");
    lab.ofproto.fdb_flush(None).unwrap();
    lab.advance(Duration::from_secs(4000));
    lab.revalidate();
    assert_eq!(lab.fdb("br0"), "a@3/0", "nor is it flushed, nor does it age");
    assert_eq!(lab.ofproto.fdb_del("br0", 0, mac(0xb)), Err(FdbError::NoSuchEntry));
    lab.ofproto.fdb_del("br0", 0, mac(0xa)).unwrap();
    assert_eq!(lab.fdb("br0"), "");
}

#[test]
fn gratuitous_arp_on_a_plain_port_moves() {
    let lab = Lab::new(THREE);
    lab.send(1, &gratuitous(0xa));
    lab.send(2, &gratuitous(0xa));
    assert_eq!(lab.fdb("br0"), "a@2/0");
}
