//! The project's own benchmark: packets per second through a bond, and the gap of a failover, by
//! number of flows. Not a test: it judges nothing, and depends on the machine.

mod carrier;
mod options;
mod rig;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use testbed::{Daemon, Error, privileges};

pub use options::Options;
use rig::Bench;

/// The program.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match privileges::enter().and_then(|_| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("braid-bench: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(o: &Options) -> Result<(), Error> {
    let daemon = Daemon::find()?;
    if let Some(cuts) = o.carrier {
        return carrier::run(o, &daemon, cuts);
    }
    println!(
        "{} in {} with two links ({}), 60-octet frames",
        daemon.path().display(),
        o.mode,
        o.members
    );
    println!("{:>8} {:>12} {:>12} {:>10} {:>10}", "flows", "sent/s", "received/s", "lost", "gap");
    for &flows in &o.flows {
        let bench = Bench::new(o, daemon.clone(), flows)?;
        let (sent, received) = bench.throughput(Duration::from_secs(o.seconds))?;
        let (lost, gap) = bench.failover(o)?;
        println!(
            "{flows:>8} {sent:>12.0} {received:>12.0} {lost:>10} {:>7.2} ms",
            gap.as_secs_f64() * 1e3
        );
    }
    println!("lost, gap: at {} packets/s, when the busier link loses its carrier", o.rate);
    Ok(())
}
