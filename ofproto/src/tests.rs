//! Which threads take which locks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use datapath::{Datapath, PortNo, Userspace};
use datapath_testing::{MemoryPort, memory};
use openflow::msg::PacketOut;
use openflow::{Match, Version};
use wire::{EthAddr, Time};

use crate::config::{BridgeConfig, BundleConfig, IfaceConfig, IfaceKind, OfPort, OfprotoConfig};
use crate::notify_peers::Announcement;
use crate::ofproto::Ofproto;

const DEADLINE: Duration = Duration::from_secs(20);

fn config() -> OfprotoConfig {
    let mut bridge = BridgeConfig::new("br0", EthAddr::from_u64(0xb0));
    for n in 1..=2u16 {
        let kind = IfaceKind::Datapath(PortNo(n.into()));
        let iface = IfaceConfig::new(&format!("p{n}"), OfPort(n), kind);
        bridge.bundles.push(BundleConfig::new(&format!("p{n}"), iface));
    }
    OfprotoConfig { vlan_limit: 1, bridges: vec![bridge] }
}

/// A bridge of two ports with its packet thread.
fn rig() -> (Arc<Ofproto>, Arc<dyn Datapath>, Vec<MemoryPort>) {
    let ofproto = Ofproto::new();
    let clock = || Time::from_millis(1000);
    let (userspace, worker) = Userspace::new(ofproto.clone(), Arc::new(clock), 7).unwrap();
    std::thread::spawn(move || worker.run());
    let dp: Arc<dyn Datapath> = Arc::new(userspace);
    ofproto.attach(dp.clone());
    let mut ports = Vec::new();
    for n in 1..=2 {
        let (io, port) = memory().unwrap();
        dp.port_add(&format!("p{n}"), Box::new(io), Some(PortNo(n))).unwrap();
        ports.push(port);
    }
    ofproto.configure(dp.now(), config());
    (ofproto, dp, ports)
}

/// A frame to everybody from station `n`: a miss, and an address to learn.
fn frame(n: u8) -> [u8; 16] {
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, n, 8, 0, 0, 0]
}

/// Lets the packet thread run rounds until `done`, at most 1000. A packet waits for a few rounds at
/// most, and each job runs in another one.
fn run_rounds(dp: &dyn Datapath, done: impl Fn() -> bool) {
    for _ in 0..1000 {
        let (tell, told) = mpsc::channel();
        dp.run(Box::new(move || tell.send(()).expect("the test waits")));
        told.recv_timeout(DEADLINE).expect("the packet thread waits for no lock");
        if done() {
            break;
        }
    }
}

#[test]
fn packets_miss_while_every_lock_of_the_control_side_is_held() {
    let (ofproto, dp, ports) = rig();
    assert_eq!(ofproto.fdb_stats("br0").unwrap().current, 0, "the configuration has arrived");
    let control = ofproto.hold_control();
    let state = ofproto.bridge_state("br0").unwrap();
    let flow_table = state.flow_table.lock();
    for n in 0..200 {
        ports[0].push(&frame(n));
    }
    run_rounds(&*dp, || ports[1].sent_len() == 200);
    assert_eq!(ports[1].sent_len(), 200);
    assert_eq!(ofproto.fdb_stats("br0").unwrap().current, 200);
    drop((control, flow_table));
}

/// Hits, as ARCHITECTURE says: the locks that a miss takes are held too.
#[test]
fn packets_hit_while_every_lock_of_ofproto_is_held() {
    let (ofproto, dp, ports) = rig();
    let send = |count: usize| {
        for n in 0..200 {
            ports[0].push(&frame(n));
        }
        run_rounds(&*dp, || ports[1].sent_len() == count);
        assert_eq!(ports[1].sent_len(), count);
    };
    // Misses: 200 flows, and the addresses learned.
    send(200);
    assert_eq!(dp.flows().len(), 200);
    let state = ofproto.bridge_state("br0").unwrap();
    let (control, flow_table) = (ofproto.hold_control(), state.flow_table.lock());
    let (macs, frozen) = (state.macs.lock(), ofproto.frozen.hold());
    send(400);
    drop((control, flow_table, macs, frozen));
    let hits: u64 = dp.flows().iter().map(|f| f.stats().packets).sum();
    assert_eq!((dp.flows().len(), hits), (200, 200), "all of the second packets hit");
}

#[test]
fn the_control_side_takes_no_lock_of_the_packet_path() {
    let (ofproto, dp, _ports) = rig();
    assert_eq!(ofproto.fdb_stats("br0").unwrap().current, 0, "the configuration has arrived");
    let state = ofproto.bridge_state("br0").unwrap();
    let macs = state.macs.lock();
    let frozen = ofproto.frozen.hold();
    let (done, waited) = mpsc::channel();
    let caller = {
        let (ofproto, dp) = (ofproto.clone(), dp.clone());
        std::thread::spawn(move || {
            let now = dp.now();
            let mut other = config();
            other.bridges[0].bundles[1].settings.vlan = 7;
            other.bridges[0].flood_vlans = BTreeSet::from([9]);
            ofproto.configure(now, other);
            assert_ne!(ofproto.new_recirc_id(), ofproto.new_recirc_id());
            assert_eq!(ofproto.list(), ["br0"]);
            assert_eq!(ofproto.dpif_show().len(), 1);
            ofproto
                .with_flow_table("br0", |t| t.add_internal(now, crate::tables::normal_flow()))
                .unwrap();
            ofproto.set_port_config("br0", BTreeMap::from([(OfPort(1), 1)])).unwrap();
            ofproto.set_packet_in_on_miss("br0", true).unwrap();
            ofproto.set_frag("br0", 1).unwrap();
            assert!(ofproto.rule_count() > 0);
            assert!(ofproto.dump_rules(now, "br0").is_ok());
            assert!(ofproto.patch_counts("p1").is_none() && ofproto.mirror_count(1).is_none());
            assert!(ofproto.notify_peers("br0", "p1", Announcement::default()).is_err(), "no bond");
            let out = PacketOut {
                buffer_id: None,
                metadata: Match::default(),
                actions: Vec::new(),
                packet: frame(1).to_vec(),
            };
            ofproto.packet_out(now, "br0", &out, Version::V10).unwrap();
            ofproto.enable_megaflows(true);
            ofproto.call_revalidator();
            ofproto.stats();
            done.send(()).unwrap();
        })
    };
    let ended = waited.recv_timeout(DEADLINE);
    drop((macs, frozen));
    caller.join().unwrap();
    assert!(ended.is_ok(), "a call waited for a lock of the packet path");
}
