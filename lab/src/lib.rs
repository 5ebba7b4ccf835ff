//! The lab: a rack in a box, to watch a bond fail over and come back.
//!
//! It makes three network namespaces, starts the real daemon in one of them, sends a counted
//! stream both ways, cuts a link and mends it, and says what happened, when, and what it cost.

#![warn(missing_docs)]

pub mod bench;

mod log;
mod options;
mod picture;
mod report;
mod rig;
mod scenario;
mod shell;
mod signal;
mod timeline;

use std::process::ExitCode;

pub use options::{Mode, Options, Vm};
pub use report::Report;

use testbed::{Daemon, Error, privileges};

/// The program: reads the command line, runs, prints.
pub fn main() -> ExitCode {
    let options = Options::from_command_line();
    // First of all, while there is one thread: the kernel wants it so.
    let outcome = privileges::enter().and_then(|p| run(&options, p));
    if let Some(signal) = signal::received() {
        eprintln!("braid-lab: interrupted; everything is removed");
        return ExitCode::from(128 + signal);
    }
    match outcome {
        Ok(report) => {
            if options.json {
                match serde_json::to_string_pretty(&report) {
                    Ok(text) => println!("{text}"),
                    Err(e) => eprintln!("braid-lab: {e}"),
                }
            }
            if report.success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => {
            eprintln!("braid-lab: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options, privileges: privileges::Privileges) -> Result<Report, Error> {
    signal::catch();
    let daemon = Daemon::find()?;
    options.ovsdb_server.beside(&daemon).programs()?;
    let mut line = timeline::Timeline::new(!options.json);
    picture::print(options, &daemon, privileges, !options.json);
    let mut rig = rig::Rig::build(options, daemon, &mut line)?;
    let report = scenario::run(options, &mut rig, &mut line)?;
    picture::print_summary(&report, !options.json);
    if options.shell && signal::received().is_none() {
        shell::run(&rig, options)?;
    }
    Ok(report)
}
