//! Memory that flows took is given back to the system when they have gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datapath::{Datapath, PortNo, Userspace};
use datapath_testing::memory;
use ofproto::{
    BridgeConfig, BundleConfig, IfaceConfig, IfaceKind, OfPort, Ofproto, OfprotoConfig,
    RevalidatorOptions,
};
use vswitchd::clock::Clock;
use vswitchd::revalidator::{self, Queue};
use wire::EthAddr;

const FLOWS: u32 = 40_000;

/// Resident octets of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn await_flows(dp: &dyn Datapath, wanted: impl Fn(u64) -> bool) {
    let start = Instant::now();
    while !wanted(dp.stats().flows) {
        assert!(start.elapsed() < Duration::from_secs(60), "{} flows", dp.stats().flows);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn memory_of_removed_flows_is_returned_to_the_system() {
    let switch = Ofproto::new();
    let clock = Clock::new();
    let at = clock.clone();
    let (userspace, worker) =
        Userspace::new(switch.clone(), Arc::new(move || at.now()), 7).unwrap();
    std::thread::spawn(move || worker.run());
    let dp: Arc<dyn Datapath> = Arc::new(userspace);
    switch.attach(dp.clone());
    let iface = |n: u16| {
        IfaceConfig::new(&format!("p{n}"), OfPort(n), IfaceKind::Datapath(PortNo(n.into())))
    };
    let mut bridge = BridgeConfig::new("br0", EthAddr::from_u64(0xb0));
    bridge.mac_table_size = 2 * FLOWS as usize;
    bridge.bundles = [1, 2].map(|n| BundleConfig::new(&format!("p{n}"), iface(n))).to_vec();
    switch.configure(clock.now(), OfprotoConfig { vlan_limit: 1, bridges: vec![bridge] });
    let (io, one) = memory().unwrap();
    dp.port_add("p1", Box::new(io), Some(PortNo(1))).unwrap();

    let queue = Queue::default();
    let thread =
        revalidator::spawn(queue.clone(), switch.clone(), dp.clone(), clock.clone()).unwrap();
    let options = RevalidatorOptions {
        max_idle: Duration::from_secs(3600),
        min_pps: 0,
        ..RevalidatorOptions::default()
    };
    queue.set_options(options);
    let before = resident();
    // From many stations to addresses that are not learned: each has a flow and an address.
    for n in 0..FLOWS {
        let mut frame = [0; 60];
        frame[..12].copy_from_slice(&[2, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]);
        frame[2..6].copy_from_slice(&n.to_be_bytes());
        frame[8..12].copy_from_slice(&n.to_be_bytes());
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        one.push(&frame);
        if n % 1000 == 999 {
            await_flows(&*dp, |flows| flows > u64::from(n));
        }
    }
    let full = resident();
    let grown = full.saturating_sub(before);
    assert!(grown > u64::from(FLOWS) * 500, "{FLOWS} flows take {grown} octets");
    queue.set_options(RevalidatorOptions { max_idle: Duration::from_millis(100), ..options });
    await_flows(&*dp, |flows| flows == 0);
    // Addresses live longer than flows.
    switch.fdb_flush(None).unwrap();
    let start = Instant::now();
    loop {
        let left = resident().saturating_sub(before);
        if left < grown / 3 {
            println!("before {before}, with {FLOWS} flows {full}, after {}", before + left);
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{left} of {grown} octets are held");
        std::thread::sleep(Duration::from_millis(50));
    }
    queue.stop();
    thread.join().unwrap();
}
