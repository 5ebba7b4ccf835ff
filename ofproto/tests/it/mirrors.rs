//! Mirrors: who gets copies of what.

use std::collections::BTreeSet;
use std::time::Duration;

use datapath::PortNo;
use ofproto::config::{MirrorConfig, MirrorOutput};
use ofproto::mirror::MAX_MIRRORS;
use openflow::text::{NoNames, parse_exact_match};

use crate::frame::{BROADCAST, Frame, other, udp};
use crate::lab::Lab;

const BRIDGE: &str = "
br0:
  p1 = 1 access=10
  p2 = 2 access=10
  p3 = 3
  spy = 4
  spy2 = 5
";

fn names(list: &str) -> BTreeSet<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

/// Of these ports, what arrives and what leaves, to a port or, if it is a number, to a VLAN.
fn mirror(id: u128, sources: &str, destinations: &str, output: &str) -> MirrorConfig {
    MirrorConfig {
        id,
        name: format!("m{id}"),
        sources: names(sources),
        destinations: names(destinations),
        vlans: BTreeSet::new(),
        filter: None,
        output: match output.parse() {
            Ok(vlan) => MirrorOutput::Vlan(vlan),
            Err(_) => MirrorOutput::Port(output.to_owned()),
        },
        snaplen: 0,
    }
}

fn lab(mirrors: Vec<MirrorConfig>) -> Lab {
    let mut lab = Lab::new(BRIDGE);
    set(&mut lab, mirrors);
    lab
}

fn set(lab: &mut Lab, mirrors: Vec<MirrorConfig>) {
    lab.config.bridges[0].mirrors = mirrors;
    lab.apply();
}

fn flood() -> Frame {
    other(1, BROADCAST, 0xabcd)
}

#[test]
fn a_copy_has_the_vlan_of_its_packet() {
    // A trunk shows the VLAN that an access port hides. The spy takes part in no flood.
    let lab = lab(vec![mirror(1, "p1", "", "spy")]);
    assert_eq!(lab.send(1, &flood()), "4:10 2:- 3:10 5:10");
    assert_eq!(lab.send(2, &flood()), "1:- 3:10 5:10");
    // What a port does not let in, no mirror sees.
    assert_eq!(lab.send(1, &flood().tag(20)), "");
    assert_eq!(lab.send(4, &flood()), "", "the spy is heard by nobody");
}

#[test]
fn mirror_sends_one_copy_to_each_output() {
    let spy = |id| mirror(id, "p1 p2 p3", "p1 p2 p3", "spy");
    // Arrival, two departures, and another mirror of the same kind: still one.
    let lab = lab(vec![spy(1), spy(2)]);
    assert_eq!(lab.send(1, &flood()), "4:10 2:- 3:10 5:10");
    assert_eq!(lab.ofproto.mirror_count(1).unwrap().packets, 1);
    assert_eq!(lab.ofproto.mirror_count(2).unwrap().packets, 0, "the first has had it");
    // Two places, two copies.
    let mut lab = lab;
    set(&mut lab, vec![spy(1), mirror(2, "", "p2", "spy2")]);
    lab.revalidate();
    assert_eq!(lab.send(1, &flood()), "4:10 2:- 5:10 3:10");
}

#[test]
fn mirror_to_a_vlan_floods_in_it() {
    let mut lab = Lab::new(
        "
        br0:
          p1 = 1 access=10
          p2 = 2 trunks=10,30
          p3 = 3 access=30
        ",
    );
    set(&mut lab, vec![mirror(1, "p1", "", "30")]);
    assert_eq!(lab.send(1, &flood()), "2:30 3:- 2:10");
    // In the mirror's own VLAN nothing is copied, nor is what bridges keep to themselves.
    set(&mut lab, vec![mirror(1, "p2", "", "30")]);
    assert_eq!(lab.send(2, &flood().tag(30)), "3:-");
    lab.config.bridges[0].forward_bpdu = true;
    lab.apply();
    assert_eq!(lab.send(2, &other(1, 0x0180_c200_0003, 0xabcd).tag(10)), "1:-");
}

#[test]
fn mirror_selects_by_vlan_and_filter_and_truncates() {
    let mut m = mirror(1, "p3", "", "spy");
    m.vlans = BTreeSet::from([20]);
    let mut lab = lab(vec![m.clone()]);
    assert_eq!(lab.send(3, &flood().tag(20)), "4:20 5:20");
    assert_eq!(lab.send(3, &flood().tag(10)), "1:- 2:- 5:10");

    m.vlans.clear();
    m.filter = Some(Box::new(parse_exact_match("udp,udp_dst=2000", &NoNames).unwrap()));
    m.snaplen = 20;
    set(&mut lab, vec![m]);
    assert_eq!(lab.send(3, &other(1, 2, 0x0800).tag(20)), "5:20");
    let frame = udp(1, 2).tag(20);
    let sent = lab.outs(3, &frame);
    let lengths: Vec<(PortNo, usize)> = sent.iter().map(|(p, b)| (*p, b.len())).collect();
    assert_eq!(lengths, [(PortNo(4), 20), (PortNo(5), frame.bytes().len())]);
}

#[test]
fn counters_stay_with_their_mirror() {
    let count = |lab: &Lab, id| lab.ofproto.mirror_count(id).map(|c| (c.packets, c.bytes));
    let mut lab = lab(vec![mirror(1, "p1", "", "spy")]);
    let octets = flood().bytes().len() as u64;
    for _ in 0..3 {
        lab.send(1, &flood());
    }
    lab.revalidate();
    assert_eq!(count(&lab, 1), Some((3, 3 * octets)));
    // Another mirror before it, another output: the same counters.
    set(&mut lab, vec![mirror(0, "p2", "", "spy"), mirror(1, "p1", "", "spy2")]);
    lab.revalidate();
    lab.send(1, &flood());
    lab.revalidate();
    assert_eq!(count(&lab, 1), Some((4, 4 * octets)));
    assert_eq!(count(&lab, 0), Some((0, 0)));
    set(&mut lab, Vec::new());
    assert_eq!(count(&lab, 1), None);
}

/// Flows made before a change of mirrors do as the mirrors say afterwards.
#[test]
fn flows_follow_a_change_of_mirrors() {
    let mut lab = lab(Vec::new());
    let frame = flood().tag(20);
    assert_eq!(lab.send(3, &frame), "4:20 5:20");
    set(&mut lab, vec![mirror(1, "p3", "", "spy2")]);
    lab.advance(Duration::from_millis(600));
    lab.revalidate();
    let missed = lab.missed();
    assert_eq!(lab.send(3, &frame), "5:20 4:20");
    assert_eq!(lab.missed(), missed, "by the same flow");
    set(&mut lab, Vec::new());
    lab.revalidate();
    assert_eq!(lab.send(3, &frame), "4:20 5:20");
}

/// An output that is not there, and more mirrors than there may be.
#[test]
fn invalid_mirror_has_no_effect() {
    let mut lab = lab(vec![mirror(1, "p1", "", "nowhere")]);
    assert_eq!(lab.send(1, &flood()), "2:- 3:10 4:10 5:10");
    let many = (0..MAX_MIRRORS as u128 + 3).map(|id| mirror(id, "p1", "", "spy")).collect();
    set(&mut lab, many);
    lab.revalidate();
    assert_eq!(lab.send(1, &flood()), "4:10 2:- 3:10 5:10");
    assert!(lab.ofproto.mirror_count(MAX_MIRRORS as u128 - 1).is_some());
    assert!(lab.ofproto.mirror_count(MAX_MIRRORS as u128).is_none());
}
