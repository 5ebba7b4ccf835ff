//! Broadcast domains: who hears whom, and with which tags.

use crate::frame::{Frame, other};
use crate::lab::Lab;

/// One port of each kind.
const PORTS: &str = "
br0:
  p1 = 1 access=10
  p2 = 2 access=10
  p3 = 3 trunks=10,20
  p4 = 4 trunks=0,20
  p5 = 5 native-tagged=10 trunks=20
  p6 = 6 native-untagged=10 trunks=20
  br0 = local:9
";

fn frame(tag: &str) -> Frame {
    let f = other(1, crate::frame::BROADCAST, 0xabcd);
    match tag {
        "-" => f,
        _ => {
            let (vid, pcp) = tag.split_once('p').unwrap_or((tag, "0"));
            let (vid, pcp): (u16, u16) = (vid.parse().unwrap(), pcp.parse().unwrap());
            f.tci(0x8100, pcp << 13 | vid)
        }
    }
}

/// Sends one frame into a switch that knows nobody, for each row: port, tag, where it comes out.
#[track_caller]
fn check(topology: &str, limit: u8, rows: &[(u32, &str, &str)]) {
    for (port, tag, want) in rows {
        let mut lab = Lab::new(topology);
        lab.config.vlan_limit = limit;
        lab.apply();
        assert_eq!(lab.send(*port, &frame(tag)), *want, "in by {port} with tag {tag}");
    }
}

#[test]
fn vlan_modes_tag_and_filter() {
    check(
        PORTS,
        1,
        &[
            // Access: untagged or priority-tagged only.
            (1, "-", "2:- 3:10 5:10 6:- 9:10"),
            (1, "0p5", "2:- 3:10p5 5:10p5 6:- 9:10p5"),
            (1, "10", ""),
            (1, "20", ""),
            // A trunk of listed VLANs; untagged is VLAN 0.
            (3, "10", "1:- 2:- 5:10 6:- 9:10"),
            (3, "10p3", "1:- 2:- 5:10p3 6:- 9:10p3"),
            (3, "20", "4:20 5:20 6:20 9:20"),
            (3, "30", ""),
            (3, "-", ""),
            (4, "-", "9:-"),
            (4, "20", "3:20 5:20 6:20 9:20"),
            (4, "10", ""),
            // Native: its VLAN with and without a tag.
            (5, "-", "1:- 2:- 3:10 6:- 9:10"),
            (5, "10", "1:- 2:- 3:10 6:- 9:10"),
            (5, "0p1", "1:- 2:- 3:10p1 6:- 9:10p1"),
            (5, "30", ""),
            (6, "-", "1:- 2:- 3:10 5:10 9:10"),
            (6, "10", "1:- 2:- 3:10 5:10 9:10"),
            (6, "20", "3:20 4:20 5:20 9:20"),
            // The bridge's own port is a trunk of everything.
            (9, "-", "4:-"),
            (9, "10", "1:- 2:- 3:10 5:10 6:-"),
            (9, "30", ""),
        ],
    );
}

#[test]
fn priority_tags_are_sent_as_configured() {
    check(
        "
br0:
  p1 = 1 access=10 priority-tags=if-nonzero
  p2 = 2 access=10
  p3 = 3 native-untagged=10 priority-tags=if-nonzero
  p4 = 4
  p5 = 5
  p6 = 6 priority-tags=always
",
        1,
        &[
            (4, "10p3", "1:0p3 2:- 3:0p3 5:10p3 6:10p3"),
            (4, "10", "1:- 2:- 3:- 5:10 6:10"),
            (2, "0p3", "1:0p3 3:0p3 4:10p3 5:10p3 6:10p3"),
            // A tag that says nothing is kept only where that is asked for.
            (4, "0", "5:- 6:0"),
            (4, "0p2", "5:0p2 6:0p2"),
            (4, "-", "5:- 6:-"),
        ],
    );
}

#[test]
fn dot1q_tunnel_adds_and_removes_the_service_tag() {
    let ports = "
br0:
  t1 = 1 tunnel=100
  t2 = 2 tunnel=100 cvlans=10,11
  t3 = 3 tunnel=200
  s1 = 4 trunks=100
  a1 = 5 access=100
";
    check(
        ports,
        2,
        &[
            // Without a customer tag the access port belongs to the same domain.
            (1, "-", "4:100 5:-"),
            (1, "10", "2:10 4:100.10"),
            (1, "12", "4:100.12"),
            (2, "12", ""),
            (2, "-", ""),
            (2, "11", "1:11 4:100.11"),
            (3, "10", ""),
            (4, "100", "1:- 5:-"),
        ],
    );
    // From the provider's side, two tags.
    let lab = Lab::new(ports);
    assert_eq!(lab.send(4, &frame("10").tag(100)), "1:10 2:10");
    assert_eq!(lab.send(4, &frame("12").tag(100)), "1:12");
    assert_eq!(lab.send(4, &frame("12").tag(200)), "");
}

#[test]
fn tunnel_keeps_two_customer_tags() {
    let lab = Lab::new("br0:\n t1 = 1 tunnel=100:ad\n t2 = 2 tunnel=100:ad\n s1 = 3 trunks=100");
    assert_eq!(lab.send(1, &frame("10").tag(11)), "2:11.10 3:s100.11.10");
}

#[test]
fn one_tag_is_looked_at_with_vlan_limit_1() {
    let ports = "br0:\n a1 = 1 access=10\n t1 = 2\n n1 = 3 native-untagged=10";
    let mut lab = Lab::new(ports);
    lab.config.vlan_limit = 1;
    lab.apply();
    assert_eq!(lab.send(2, &frame("20").tag(10)), "1:20 3:20");
    let lab = Lab::new(ports);
    assert_eq!(lab.send(2, &frame("20").tag(10)), "3:20", "an access port carries no inner tag");
}

#[test]
fn truncated_tag_is_dropped() {
    let lab = Lab::new("br0:\n p1 = 1\n p2 = 2");
    let mut f = other(1, 2, 0x8100);
    f.payload = vec![0];
    assert_eq!(lab.send(1, &f), "");
}

#[test]
fn protected_ports_do_not_hear_each_other() {
    let lab = Lab::new("br0:\n a = 1 protected\n b = 2 protected\n c = 3");
    assert_eq!(lab.send(1, &other(0x10, 0x20, 0xabcd)), "3:-");
    assert_eq!(lab.send(3, &other(0x30, 0x20, 0xabcd)), "1:- 2:-");
    assert_eq!(lab.send(2, &other(0x20, 0x10, 0xabcd)), "", "also once the address is known");
    assert_eq!(lab.send(2, &other(0x20, 0x30, 0xabcd)), "3:-");
}

#[test]
fn reserved_destinations_are_dropped_unless_forward_bpdu() {
    let ports = "br0:\n a = 1\n b = 2\nbr1: forward-bpdu\n c = 3\n d = 4";
    let lab = Lab::new(ports);
    for dst in [
        0x0180_c200_0000,
        0x0180_c200_000f,
        0x00e0_2b00_0004,
        0x0100_0ccc_cccc,
        0x0100_0ccc_ccc3,
        0x0100_0c00_0000,
    ] {
        assert_eq!(lab.send(1, &other(7, dst, 0xabcd)), "", "{dst:x}");
        assert_eq!(lab.send(3, &other(7, dst, 0xabcd)), "4:-", "{dst:x}");
    }
    for dst in [0x0180_c200_0010, 0x0100_0ccc_ccc8, 0x00e0_2b00_0005] {
        assert_eq!(lab.send(1, &other(7, dst, 0xabcd)), "2:-", "{dst:x}");
    }
    assert_eq!(lab.fdb("br0"), "7@1/0");
}

#[test]
fn secure_bridge_without_flows_drops() {
    let lab = Lab::new("br0: secure\n a = 1\n b = 2");
    assert_eq!(lab.send(1, &other(1, 2, 0xabcd)), "");
    assert_eq!(lab.fdb("br0"), "");
    assert_eq!(lab.flows().len(), 1, "the drop is remembered");
}

#[test]
fn bridges_are_apart() {
    let lab = Lab::new("br0:\n a = 1\n b = 2\nbr1:\n c = 3\n d = 4");
    assert_eq!(lab.send(1, &frame("-")), "2:-");
    assert_eq!(lab.send(3, &frame("-")), "4:-");
    assert_eq!(lab.send(12, &frame("-")), "", "a port of nobody");
    assert_eq!(lab.flows().len(), 2, "nothing is remembered of a port of nobody");
    assert_eq!(lab.ofproto.stats().unknown, 1);
}
