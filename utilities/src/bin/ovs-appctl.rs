//! `ovs-appctl`: asks running daemons and tells them what to do.

use std::process::ExitCode;

fn main() -> ExitCode {
    utilities::appctl::main(std::env::args_os().collect())
}
