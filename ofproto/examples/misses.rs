//! How long a miss takes: translations of one packet a second, on one thread.
//!
//! `cargo run --release -p ofproto --example misses`

use std::time::{Duration, Instant};

use datapath::{Packet, PortNo, Upcall};
use ofproto::tables::{FlowTables, Requester};
use ofproto::{BridgeConfig, BundleConfig, IfaceConfig, IfaceKind, OfPort, Ofproto, OfprotoConfig};
use openflow::Version;
use openflow::msg::FlowModCommand;
use openflow::text::{FlowText, NoNames, parse_flow};
use wire::{EthAddr, Time};

/// Each measurement takes this long.
const LONG: Duration = Duration::from_millis(300);

fn ofproto(ports: u16, rules: &[&str]) -> std::sync::Arc<Ofproto> {
    let ofproto = Ofproto::new();
    let mut bridge = BridgeConfig::new("br0", EthAddr::from_u64(0xb0));
    for n in 1..=ports {
        let name = format!("p{n}");
        let kind = IfaceKind::Datapath(PortNo(n.into()));
        bridge.bundles.push(BundleConfig::new(&name, IfaceConfig::new(&name, OfPort(n), kind)));
    }
    ofproto.configure(Time::ZERO, OfprotoConfig { vlan_limit: 1, bridges: vec![bridge] });
    let change = |t: &mut FlowTables| {
        for rule in rules {
            let fm = parse_flow(rule, FlowText::Command(FlowModCommand::Add), &NoNames)
                .unwrap_or_else(|e| panic!("{rule}: {e}"));
            t.flow_mod(Time::ZERO, &fm, &Requester { conn: None, version: Version::V15 })
                .unwrap_or_else(|e| panic!("{rule}: {e:?}"));
        }
    };
    ofproto.with_flow_table("br0", change).expect("the bridge is there");
    ofproto
}

fn frame() -> Vec<u8> {
    let mut f = vec![0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 8, 0];
    f.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    f.extend([0x10, 0, 0, 80, 0, 8, 0, 0]);
    f
}

fn main() {
    let frame = frame();
    let packet = Packet::new(&frame);
    for (what, ports, rules) in [
        ("NORMAL, known station", 4, &[][..]),
        ("NORMAL, flood to 3", 4, &[]),
        ("output", 4, &["priority=9,udp,tp_dst=80,actions=2"]),
        (
            "three tables, header changes",
            4,
            &[
                "priority=9,ip,actions=load:1->NXM_NX_REG0[],resubmit(,1)",
                "table=1,reg0=1,nw_dst=10.0.0.0/8,ip,actions=mod_dl_dst:00:00:00:00:00:09,goto_table:2",
                "table=2,udp,tp_dst=80,actions=dec_ttl,2",
            ],
        ),
    ] {
        let ofproto = ofproto(ports, rules);
        let now = Time::from_millis(1000);
        if what.contains("known") {
            let mut back = frame.clone();
            back[..12].rotate_left(6);
            let key = wire::extract(&back, 2);
            ofproto.miss(now, &Packet::new(&back), &key);
        }
        let key = wire::extract(&frame, 1);
        let started = Instant::now();
        let mut n = 0u32;
        while started.elapsed() < LONG {
            for _ in 0..100 {
                std::hint::black_box(ofproto.miss(now, &packet, std::hint::black_box(&key)));
            }
            n += 100;
        }
        let each = started.elapsed() / n;
        println!("{what:32} {each:?}");
    }
}
