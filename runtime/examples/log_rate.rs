//! Lines a second through the log: `cargo run --release -p runtime --example log_rate`.
//!
//! Two figures: without the writer thread each line is written at once, so that nothing is dropped;
//! with it, a caller only formats and queues, in bursts that fit the queue.

use std::time::{Duration, Instant};

use runtime::log::{self, Module};

static LOG: Module = Module::new("rate");
/// Fewer lines than the queue holds.
const BURST: u32 = 4_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("braid-log-rate-{}", std::process::id()));
    log::init("log_rate");
    log::register(&[&LOG]);
    log::console_off();
    log::set_from_spec("syslog:off")?;
    log::set_file(&path)?;
    let burst = |n: u32| {
        let start = Instant::now();
        for i in 0..n {
            runtime::info!(LOG, "bond {}: member {}: disabled, number {i}", "bond0", "eth0");
        }
        start.elapsed()
    };
    burst(BURST);
    let rate = |n: u32, t: Duration| f64::from(n) / t.as_secs_f64();
    println!("written at once: {:.0} lines/s", rate(40 * BURST, burst(40 * BURST)));
    log::start_writer()?;
    let (mut queued, start) = (Duration::ZERO, Instant::now());
    for _ in 0..40 {
        queued += burst(BURST);
        log::flush();
    }
    println!("queued: {:.0} lines/s for the caller", rate(40 * BURST, queued));
    println!("queued and written: {:.0} lines/s", rate(40 * BURST, start.elapsed()));
    println!("dropped: {}", log::dropped());
    std::fs::remove_file(&path)?;
    Ok(())
}
