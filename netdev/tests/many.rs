//! Rings are for the first ports only: a test program of its own, since the count is the
//! process's.

harness::main!();

mod common;

use common::*;
use netdev::io::system::{self, MAX_RINGS, RxMode, SystemOptions};

fn rings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|l| l.contains("socket:[")).count()
}

#[harness::test]
fn ports_beyond_the_limit_share_memory() {
    isolated("ports_beyond_the_limit_share_memory", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let open = || system::open("near", &SystemOptions::default()).unwrap();
        let mut ports: Vec<_> = (0..MAX_RINGS + 10).map(|_| open()).collect();
        assert_eq!(rings(), MAX_RINGS);
        far.run(|| inject("far", &[frame(1, 60)]));
        for p in &mut ports {
            assert_eq!(receive(&mut **p, 1)[0].data(), frame(1, 60));
        }
        // A port that closes makes room for a ring.
        ports.truncate(MAX_RINGS - 1);
        assert_eq!(rings(), MAX_RINGS - 1);
        ports.push(open());
        assert_eq!(rings(), MAX_RINGS);
        // Whoever insists gets one.
        let forced = SystemOptions { rx: RxMode::Ring, ..SystemOptions::default() };
        let _one_more = system::open("near", &forced).unwrap();
        assert_eq!(rings(), MAX_RINGS + 1);
    });
}
