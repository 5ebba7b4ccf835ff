//! What packet I/O alone costs: every frame of one device goes out at the other, both ways.
//!
//!     cargo run --release --example forward -- IF1 IF2 [ring|batch] [SECONDS] [bypass]
//!
//! Prints frames per second and what was lost. Run it in a namespace of its own.

use std::time::{Duration, Instant};

use netdev::io::system::{self, RxMode, SystemOptions};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, rest @ ..] = args.as_slice() else {
        eprintln!("usage: forward IF1 IF2 [ring|batch] [SECONDS] [bypass]");
        std::process::exit(2);
    };
    let rx = match rest.first().map(String::as_str) {
        Some("ring") => RxMode::Ring,
        Some("batch") => RxMode::Batch,
        _ => RxMode::Auto,
    };
    let secs: f64 = rest.get(1).and_then(|s| s.parse().ok()).unwrap_or(5.0);
    let opts = SystemOptions { rx, qdisc_bypass: rest.get(2).is_some_and(|w| w == "bypass") };
    let mut dev = [a, b].map(|n| {
        system::open(n, &opts).unwrap_or_else(|e| {
            eprintln!("{e}");
            std::process::exit(1);
        })
    });
    let mut packets = Vec::new();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(secs);
    while Instant::now() < end {
        for _ in 0..64 {
            for i in [0, 1] {
                let [x, y] = &mut dev;
                let (from, to) = if i == 0 { (x, y) } else { (y, x) };
                if from.recv(&mut packets, 32) == 0 {
                    continue;
                }
                for p in &packets {
                    // SAFETY: flushed below, before the packets are dropped.
                    unsafe { to.send(p) };
                }
                to.flush();
                packets.clear();
                // SAFETY: the packets are gone and the only other device has been flushed.
                unsafe { from.release() };
            }
        }
    }
    for (name, d) in [a, b].into_iter().zip(&dev) {
        let c = d.counters();
        println!("{name}: {:.0} rx/s {c:?}", c.rx_packets as f64 / start.elapsed().as_secs_f64());
    }
}
