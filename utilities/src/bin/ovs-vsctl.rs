//! `ovs-vsctl`: reads and changes a switch's configuration in its database.

use std::process::ExitCode;

fn main() -> ExitCode {
    utilities::vsctl::main(std::env::args_os().collect())
}
