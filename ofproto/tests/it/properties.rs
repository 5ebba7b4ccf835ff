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
