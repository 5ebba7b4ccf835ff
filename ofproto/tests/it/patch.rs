//! Patch ports: a packet goes on in the next bridge.

use crate::frame::{BROADCAST, udp};
use crate::lab::Lab;

const TWO: &str = "
br0:
  p1 = 1
  p2 = 2 access=10
  pa = patch:pb
br1:
  p3 = 3
  p4 = 4 access=10
  pb = patch:pa
";

#[test]
fn floods_and_learns_on_both_sides() {
    let mut lab = Lab::new(TWO);
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "3:-");
    assert_eq!(lab.send(2, &udp(0xb, BROADCAST)), "1:10 3:10 4:-");
    assert_eq!(lab.send(4, &udp(0xc, 0xb)), "2:-");
    lab.revalidate();
    assert_eq!(lab.send(2, &udp(0xb, 0xc)), "4:-");
    assert!(lab.fdb("br0").contains("b@2/10"));
    assert!(lab.fdb("br1").contains("c@4/10"));
    assert_eq!(lab.fdb("br1").split(' ').count(), 3);
}

#[test]
fn tags_are_right_for_every_copy() {
    let lab = Lab::new(
        "br0:\n p1 = 1 access=10\n p2 = 2\n pa = patch:pb native-untagged=10\n p5 = 5 access=10\n\
         br1:\n p3 = 3\n pb = patch:pa access=20\n p4 = 4 access=20\n",
    );
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "2:10 3:20 4:- 5:-");
}

#[test]
fn patch_ports_count_packets() {
    let mut lab = Lab::new(TWO);
    let f = udp(0xa, BROADCAST);
    for _ in 0..5 {
        lab.send(1, &f);
    }
    lab.revalidate();
    let (rx, tx) = lab.ofproto.patch_counts("pa").unwrap();
    assert_eq!((rx.packets, tx.packets, tx.bytes), (0, 5, 5 * f.bytes().len() as u64));
    assert_eq!(lab.ofproto.patch_counts("pb").unwrap().0.packets, 5);
    assert_eq!(lab.ofproto.patch_counts("p1"), None);
}

#[test]
fn patch_port_without_peer_drops() {
    let lab = Lab::new("br0:\n p1 = 1\n p2 = 2\n pa = patch:pb\nbr1:\n p3 = 3\n pb = patch:px");
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "2:-");
    let lab = Lab::new("br0:\n p1 = 1\n p2 = 2\n pa = patch:pa");
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "2:-", "a port that is its own peer");
}

#[test]
fn patch_within_one_bridge_forwards() {
    let lab = Lab::new(
        "br0:\n p1 = 1 access=10\n pa = patch:pb access=10\n pb = patch:pa access=20\n p2 = 2 access=20",
    );
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "2:-");
}

#[test]
fn patch_circle_ends() {
    let lab = Lab::new(
        "br0:\n p1 = 1\n p2 = 2\n pa = patch:pb\n pc = patch:pd\n\
         br1:\n p3 = 3\n pb = patch:pa\n pd = patch:pc\n",
    );
    assert_eq!(lab.send(1, &udp(0xa, BROADCAST)), "");
    assert_eq!(lab.ofproto.stats().looped, 1);
}

#[test]
fn bond_behind_a_patch() {
    let lab = Lab::new("br0:\n b = 3+4\n pa = patch:pb\nbr1:\n p1 = 1\n pb = patch:pa\n c = 5+6\n");
    lab.active("b", 4, &[3, 4]);
    lab.slb("c", [5, 6]);
    assert_eq!(lab.send(4, &udp(0xa, BROADCAST)).split(' ').count(), 2);
    assert_eq!(lab.send(3, &udp(0xb, BROADCAST)), "");
    assert_eq!(lab.fdb("br1").split(' ').count(), 1, "behind a closed gate no bridge learns");
}
