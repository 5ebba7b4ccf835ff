//! The same switch over the datapath that moves real packets, with its thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bond::{Admission, BUCKETS, Forwarding, MemberId, OutputRule};
use datapath::{BucketTable, Datapath, Ingress, PortNo, TableId, Userspace};
use datapath_testing::{MemoryPort, memory};
use ofproto::{
    Announcement, BondHandle, BridgeConfig, BundleConfig, IfaceConfig, IfaceKind, OfPort, Ofproto,
    OfprotoConfig, Revalidator,
};
use wire::{EthAddr, Time};

use crate::frame::{Frame, udp, udp_ports};

struct Real {
    ofproto: Arc<Ofproto>,
    dp: Arc<dyn Datapath>,
    bond: Arc<BondHandle>,
    ports: Vec<MemoryPort>,
    generation: AtomicU64,
}

/// Ports 1 and 2, and a bond of 3 and 4, which recirculates or not.
fn real() -> Real {
    let ofproto = Ofproto::new();
    let start = Instant::now();
    let clock = move || Time::from_millis(1000) + start.elapsed();
    let (userspace, worker) = Userspace::new(ofproto.clone(), Arc::new(clock), 7).unwrap();
    std::thread::spawn(move || worker.run());
    let dp: Arc<dyn Datapath> = Arc::new(userspace);
    ofproto.attach(dp.clone());
    let mut ports = Vec::new();
    for n in 1..=4 {
        let (io, port) = memory().unwrap();
        dp.port_add(&format!("p{n}"), Box::new(io), Some(PortNo(n))).unwrap();
        ports.push(port);
    }
    let bond = Arc::new(BondHandle {
        table: TableId(1),
        recirc_id: 5,
        forwarding: ArcSwap::from_pointee(Forwarding {
            generation: 0,
            output: OutputRule::Drop,
            buckets: [None; BUCKETS],
            admission: Vec::new(),
            sources: Vec::new(),
        }),
    });
    let iface = |n: u32| {
        IfaceConfig::new(&format!("p{n}"), OfPort(n as u16), IfaceKind::Datapath(PortNo(n)))
    };
    let member = |n: u32| IfaceConfig { member: Some(MemberId(n)), ..iface(n) };
    let mut bundle = BundleConfig::new("bond0", member(3));
    bundle.ifaces.push(member(4));
    bundle.bond = Some(bond.clone());
    let mut bridge = BridgeConfig::new("br0", EthAddr::from_u64(0xb0));
    bridge.bundles =
        vec![BundleConfig::new("p1", iface(1)), BundleConfig::new("p2", iface(2)), bundle];
    ofproto.configure(dp.now(), OfprotoConfig { vlan_limit: 1, bridges: vec![bridge] });
    Real { ofproto, dp, bond, ports, generation: AtomicU64::new(0) }
}

impl Real {
    fn publish(&self, output: OutputRule, bucket: impl Fn(usize) -> u32, open: &[u32]) {
        let generation = self.generation.fetch_add(1, Relaxed) + 1;
        let buckets: [u32; BUCKETS] = std::array::from_fn(bucket);
        let admission = [3, 4].map(|m| {
            let a = if open.contains(&m) { Admission::Open } else { Admission::Closed };
            (MemberId(m), a)
        });
        let ingress = open.iter().map(|m| (PortNo(*m), Ingress::Open)).collect();
        let table = BucketTable {
            generation,
            buckets: buckets.map(|b| Some(PortNo(b))),
            ingress,
            selection: datapath::Selection::DpHash,
            sources: vec![],
        };
        self.bond.forwarding.store(Arc::new(Forwarding {
            generation,
            output,
            buckets: buckets.map(|b| Some(MemberId(b))),
            admission: admission.to_vec(),
            sources: Vec::new(),
        }));
        self.dp.table_publish(self.bond.table, Arc::new(table));
    }

    fn push(&self, port: usize, f: &Frame) {
        self.ports[port - 1].push(&f.bytes());
    }

    /// Waits until `count` frames have come out of `ports` altogether.
    fn wait(&self, ports: &[usize], count: usize) -> Vec<usize> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let sent: Vec<usize> = ports.iter().map(|p| self.ports[p - 1].sent_len()).collect();
            if sent.iter().sum::<usize>() >= count {
                return sent;
            }
            assert!(Instant::now() < deadline, "{sent:?} of {count} frames");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn recirculates_and_fails_over() {
    let r = real();
    let mut revalidator = Revalidator::new(r.ofproto.clone(), r.dp.clone());
    let output = OutputRule::Recirc { basis: 0, recirc_id: 5 };
    r.publish(output, |b| [3, 4][b % 2], &[3, 4]);
    r.push(3, &udp(0xb, 0xa));
    r.wait(&[1, 2], 2);
    for n in 0..400 {
        r.push(1, &udp_ports(0xa, 0xb, 1000 + n, 80));
        if n % 50 == 0 {
            revalidator.run(r.dp.now(), &[]);
        }
    }
    let spread = r.wait(&[3, 4], 400);
    assert!(spread.iter().all(|n| *n > 100), "{spread:?}");
    assert_eq!(r.ports[1].sent_len(), 1, "unicast goes nowhere else");

    // Member 3 dies: one store, and the cached flows send everything by 4.
    let missed = r.dp.stats().missed;
    r.publish(output, |_| 4, &[4]);
    r.ports[2].sent();
    r.ports[3].sent();
    for n in 0..400 {
        r.push(1, &udp_ports(0xa, 0xb, 1000 + n, 80));
    }
    assert_eq!(r.wait(&[3, 4], 400), [0, 400]);
    r.push(3, &udp(0xb, 0xa));
    r.push(4, &udp(0xb, 0xa));
    r.wait(&[1], 2);
    // One new input port, and buckets that had not been hit.
    assert!(r.dp.stats().missed <= missed + 256, "flows were translated anew");
    let shown = r.ofproto.fdb_show(r.dp.now(), &["br0"]).unwrap().to_string();
    assert_eq!(shown.matches("00:00:00:00:00:0").count(), 2, "{shown}");
    let rules = r.ofproto.dump_rules(r.dp.now(), "br0").unwrap();
    let packets: u64 = rules.0.iter().filter(|r| r.priority == 20).map(|r| r.count.packets).sum();
    assert!(packets > 0);
}

#[test]
fn learning_packets_and_flushes_pass_the_packet_thread() {
    let r = real();
    r.publish(OutputRule::Active, |_| 4, &[4]);
    for mac in 0..300 {
        r.push(1, &udp(0x1000 + mac, 0xffff_ffff_ffff));
    }
    r.wait(&[2, 4], 600);
    r.ports[3].sent();
    r.ofproto.notify_peers("br0", "bond0", Announcement::default()).unwrap();
    r.wait(&[4], 300);
    let frames = r.ports[3].sent();
    assert!(frames.iter().all(|p| p.data()[12..14] == [0x80, 0x35]));
    assert_eq!(r.ofproto.fdb_stats("br0").unwrap().current, 300);
    r.ofproto.fdb_flush(None).unwrap();
    assert_eq!(r.ofproto.fdb_stats("br0").unwrap().current, 0);
    let Real { ofproto, dp, .. } = r;
    drop(dp);
    assert!(ofproto.fdb_stats("br0").is_err(), "no datapath, no answer, and no waiting for one");
}

/// Counts the packet thread's rounds. What a question costs the thread between two of them is
/// bounded; this tells how many bounded pieces a question was cut into, on any machine.
struct Rounds(Instant, Arc<AtomicU64>);

impl datapath::Clock for Rounds {
    fn now(&self) -> Time {
        Time::from_millis(1000) + self.0.elapsed()
    }

    fn round_begins(&self) {
        self.1.fetch_add(1, Relaxed);
    }
}

/// With a large MAC table, no question and no change of the configuration keeps the packet thread
/// from its ports for longer than a few slices.
#[test]
fn what_concerns_a_whole_mac_table_is_cut_into_slices() {
    const STATIONS: u64 = 40_000;
    /// Eight slices of 512 places: a round runs at most eight jobs, and a slice that ends may queue
    /// the next in time for the same round.
    const PER_ROUND: u64 = 8 * 512;
    let rounds = Arc::new(AtomicU64::new(0));
    let ofproto = Ofproto::new();
    let clock = Arc::new(Rounds(Instant::now(), rounds.clone()));
    let (userspace, worker) = Userspace::new(ofproto.clone(), clock, 7).unwrap();
    std::thread::spawn(move || worker.run());
    let dp: Arc<dyn Datapath> = Arc::new(userspace);
    ofproto.attach(dp.clone());
    let iface = |n: u32| {
        IfaceConfig::new(&format!("p{n}"), OfPort(n as u16), IfaceKind::Datapath(PortNo(n)))
    };
    let mut bridge = BridgeConfig::new("br0", EthAddr::from_u64(0xb0));
    bridge.mac_table_size = 1_000_000;
    bridge.bundles = [1, 2].map(|n| BundleConfig::new(&format!("p{n}"), iface(n))).to_vec();
    let other = BridgeConfig::new("br1", EthAddr::from_u64(0xb1));
    let config =
        |b: &BridgeConfig| OfprotoConfig { vlan_limit: 1, bridges: vec![b.clone(), other.clone()] };
    ofproto.configure(dp.now(), config(&bridge));
    let mut ports = Vec::new();
    for n in 1..=2 {
        let (io, port) = memory().unwrap();
        dp.port_add(&format!("p{n}"), Box::new(io), Some(PortNo(n))).unwrap();
        ports.push(port);
    }
    // Static, because that is quick to make: no packet needs to be translated.
    let fill = |port: &str| {
        for n in 0..STATIONS {
            let mac = EthAddr::from_u64(0x0200_0000_0000 + n);
            ofproto.fdb_add(dp.now(), "br0", port, 0, mac).unwrap();
        }
    };
    fill("p2");
    let settled = || ofproto.fdb_stats("br0").unwrap().current as u64;
    let costs = |what: &str, f: &mut dyn FnMut()| {
        // No packet comes, so that a thread without work sleeps and makes no round.
        let before = rounds.load(Relaxed);
        f();
        settled();
        let rounds = rounds.load(Relaxed) - before;
        assert!(rounds >= STATIONS / PER_ROUND, "{what}: in {rounds} rounds");
    };
    assert_eq!(settled(), STATIONS);
    costs("fdb/show", &mut || {
        let shown = ofproto.fdb_show(dp.now(), &["br0"]).unwrap().to_string();
        assert_eq!(shown.lines().count() as u64, STATIONS + 1);
    });
    costs("fdb/flush", &mut || {
        ofproto.fdb_flush(Some("br0")).unwrap();
    });
    assert_eq!(settled(), STATIONS, "static ones stay");
    costs("a port with other VLANs", &mut || {
        bridge.bundles[1].settings.vlan = 5;
        let change = ofproto.configure(dp.now(), config(&bridge));
        assert_eq!(change.flushed.len(), 1);
    });
    assert_eq!(settled(), 0);
    fill("p2");
    costs("a port removed", &mut || {
        bridge.bundles.pop();
        ofproto.configure(dp.now(), config(&bridge));
    });
    assert_eq!(settled(), 0);
    fill("p1");
    costs("other VLANs that flood", &mut || {
        bridge.flood_vlans.insert(9);
        ofproto.configure(dp.now(), config(&bridge));
    });
    drop(ports);
}
