//! Random switches and random traffic.

use std::time::Duration;

use datapath::{Datapath, PortNo};
use proptest::prelude::*;

use crate::frame::{BROADCAST, Frame, arp, tags_of, udp_ports};
use crate::lab::Lab;

const TOPOLOGY: &str = "
br0:
  p1 = 1 access=10
  p2 = 2 access=20
  p3 = 3 trunks=0,10,20
  p4 = 4 native-untagged=10 trunks=20
  p5 = 5 native-tagged=20 priority-tags=if-nonzero
  b1 = 6+7 trunks=10,20
  b2 = 8+9
  b3 = 10+11 access=10
  t1 = 12 tunnel=20
";

/// The bundle of a port.
fn bundle(port: u32) -> u32 {
    match port {
        7 => 6,
        9 => 8,
        11 => 10,
        p => p,
    }
}

fn lab() -> Lab {
    let lab = Lab::new(TOPOLOGY);
    lab.slb("b1", [6, 7]);
    let recirc_id = lab.bond_id("b2");
    lab.tcp("b2", [8, 9], bond::OutputRule::Recirc { basis: 3, recirc_id });
    lab.active("b3", 10, &[10, 11]);
    lab
}

/// A port and a frame of one of a few stations.
fn traffic() -> impl Strategy<Value = (u32, Frame)> {
    let station = 1u64..6;
    let tci = prop_oneof![
        4 => Just(None),
        1 => Just(Some(0)),
        1 => Just(Some(3u16 << 13)),
        4 => Just(Some(10)),
        1 => Just(Some(5 << 13 | 10)),
        4 => Just(Some(20)),
        1 => Just(Some(30)),
    ];
    let inner = prop_oneof![5 => Just(None), 1 => Just(Some(10)), 1 => Just(Some(40))];
    (
        1u32..=12,
        station.clone(),
        prop_oneof![3 => station, 1 => Just(BROADCAST)],
        tci,
        inner,
        0..4u8,
    )
        .prop_map(|(port, src, dst, tci, inner, kind)| {
            let mut f = match kind {
                0 => arp(src, 1, src as u8, 7),
                1 => arp(src, 1, src as u8, src as u8),
                _ => udp_ports(src, dst, 1000 + u16::from(kind), 80),
            };
            if let Some(tci) = tci {
                if let Some(inner) = inner {
                    f = f.tci(0x8100, inner);
                }
                f = f.tci(0x8100, tci);
            }
            (port, f)
        })
}

/// What a rule of table 0, 1 or 2 matches.
const MATCHES: [&str; 18] = [
    "",
    "in_port=1",
    "in_port=5",
    "ip",
    "arp",
    "arp,arp_op=1,arp_spa=10.0.0.0/30",
    "udp,tp_dst=80",
    "udp,tp_src=1000/0xfffe",
    "ip,nw_dst=10.0.0.4/30",
    "ip,nw_src=10.0.0.1,nw_dst=10.0.0.2",
    "dl_vlan=10",
    "vlan_tci=0x1000/0x1000",
    "vlan_tci=0x0000/0x1fff",
    "dl_vlan_pcp=5",
    "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
    "reg0=1",
    "reg0=2",
    "reg0=10",
];

/// What it does; `NEXT` is a later table.
const DOES: [&str; 22] = [
    "",
    "output:2",
    "output:3,output:4",
    "NORMAL",
    "resubmit(,NEXT)",
    "resubmit(,NEXT),output:3",
    "resubmit(2,NEXT)",
    "mod_vlan_vid:20",
    "mod_vlan_pcp:3",
    "strip_vlan",
    "push_vlan:0x88a8,set_field:4106->vlan_vid",
    "mod_dl_src:00:00:00:00:00:03",
    "mod_dl_dst:00:00:00:00:00:01",
    "mod_nw_src:10.0.0.2",
    "mod_nw_tos:8",
    "mod_tp_dst:81",
    "dec_ttl",
    "load:1->NXM_NX_REG0[]",
    "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG0[0..15]",
    "move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG0[0..11],output:2",
    "clone(mod_dl_dst:00:00:00:00:00:05,output:4),output:3",
    "push:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[],output:5",
];

fn rules() -> impl Strategy<Value = Vec<String>> {
    let does = prop::collection::vec(prop::sample::select(&DOES[..]), 1..5);
    let rule = (0u8..3, 1u16..5, prop::sample::select(&MATCHES[..]), does, 1u8..3);
    let text = rule.prop_map(|(table, priority, matches, does, next)| {
        let does = does.join(",").replace("NEXT", &(table + next).to_string());
        let does = does.trim_matches(',').replace(",,", ",");
        let does = if does.is_empty() { "drop".to_owned() } else { does };
        format!("table={table},priority={priority},{matches},actions={does}").replace(",,", ",")
    });
    prop::collection::vec(text, 4..16)
}

/// The broadcast domain that a frame with these tags is in at a port; nothing if it may not be.
fn domain(port: u32, tags: &str) -> Option<u16> {
    let outer = tags.split('.').next().unwrap().split('p').next().unwrap();
    let vid: u16 = if outer == "-" { 0 } else { outer.parse().unwrap() };
    match bundle(port) {
        1 | 10 => (vid == 0).then_some(10),
        2 => (vid == 0).then_some(20),
        3 => [0, 10, 20].contains(&vid).then_some(vid),
        4 if vid == 0 => Some(10),
        4 => [10, 20].contains(&vid).then_some(vid),
        5 => Some(if vid == 0 { 20 } else { vid }),
        6 => [10, 20].contains(&vid).then_some(vid),
        8 => Some(vid),
        12 => Some(20),
        p => panic!("no port {p}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]


    #[test]
    fn copies_stay_in_their_domain(frames in prop::collection::vec(traffic(), 1..50)) {
        let mut lab = lab();
        for (port, f) in &frames {
            let outs = lab.outs(*port, f);
            let from = domain(*port, &tags_of(&f.bytes()));
            prop_assert!(from.is_some() || outs.is_empty(), "let in by {port}: {f:?}");
            let mut seen = Vec::new();
            for (PortNo(p), bytes) in &outs {
                prop_assert_ne!(bundle(*p), bundle(*port), "back to where it came from");
                prop_assert!(!seen.contains(&bundle(*p)), "twice to {}", p);
                seen.push(bundle(*p));
                if *p == 4 && f.tags.len() > 1 {
                    // With the native VLAN's tag off, the inner one looks like the domain.
                    continue;
                }
                prop_assert_eq!(domain(*p, &tags_of(bytes)), from, "out by {}: {:?}", p, f);
            }
            lab.revalidate();
        }
    }

    /// The same with rules, whose masks are as wide as can be: a packet that hits a flow fares as
    /// if it had made one.
    #[test]
    fn flows_of_rules_change_nothing(
        rules in rules(),
        frames in prop::collection::vec(traffic(), 1..30),
    ) {
        let (mut cached, fresh) = (lab(), lab());
        for rule in &rules {
            for l in [&cached, &fresh] {
                // What no packet can meet is refused, for both.
                l.try_rule("br0", rule);
            }
        }
        for (port, f) in &frames {
            fresh.dp.flow_flush();
            let same = (cached.outs(*port, f), fresh.outs(*port, f));
            // What is learned moves other packets; that is for the revalidator.
            cached.revalidate();
            if cached.fdb("br0") == fresh.fdb("br0") {
                fresh.dp.flow_flush();
                let (a, b) = (cached.outs(*port, f), fresh.outs(*port, f));
                prop_assert_eq!(a, b, "{:?} on {}, first {:?}", f, port, same);
            }
        }
    }

    /// Once the revalidator has been round, a packet fares as if nothing were cached.
    #[test]
    fn caches_change_nothing(frames in prop::collection::vec(traffic(), 1..30)) {
        let (mut cached, mut fresh) = (lab(), lab());
        for (n, (port, f)) in frames.iter().enumerate() {
            for _ in 0..2 {
                cached.advance(Duration::from_millis(1));
                fresh.advance(Duration::from_millis(1));
                cached.send(*port, f);
                fresh.dp.flow_flush();
                fresh.send(*port, f);
                cached.revalidate();
                fresh.revalidate();
                prop_assert_eq!(cached.fdb("br0"), fresh.fdb("br0"), "after {}: {:?}", n, f);
            }
            fresh.dp.flow_flush();
            prop_assert_eq!(cached.send(*port, f), fresh.send(*port, f), "frame {}: {:?}", n, f);
        }
    }
}
