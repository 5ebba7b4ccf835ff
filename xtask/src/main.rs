//! `cargo xtask COMMAND`: chores of the repository.

mod sanitize;
mod vm;

use std::process::{Command, ExitCode};

use xtask::lint;

const USAGE: &str = "usage: cargo xtask lint             check crates, modules and sources
       cargo xtask sanitize [address|thread] [-p CRATE].. [-- TEST OPTIONS]
                               unit and integration tests under a sanitizer
       cargo xtask sanitize [address|thread] --daemon [smoke|failback|lacp|crash]..
                               whole-system tests with a daemon compiled for a sanitizer
       cargo xtask vm          a kernel with Linux bonding for the tests of `--test partners`
       cargo xtask bench [OPTIONS]  packets per second and failover gap (--help for options)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("lint") if args.len() == 1 => run_lint(),
        Some("sanitize") => sanitize::run(&args[1..], &xtask::root()),
        Some("vm") if args.len() == 1 => match vm::fetch(&xtask::root()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("cargo xtask vm: {e}");
                ExitCode::FAILURE
            }
        },
        Some("bench") => bench(&args[1..]),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run_lint() -> ExitCode {
    match lint::check(&xtask::root()) {
        Ok(found) if found.is_empty() => ExitCode::SUCCESS,
        Ok(found) => {
            for f in &found {
                eprintln!("{f}");
            }
            eprintln!("{} found", found.len());
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("cargo xtask lint: {e}");
            ExitCode::from(2)
        }
    }
}

fn bench(args: &[String]) -> ExitCode {
    let mut c = Command::new(xtask::cargo());
    c.args(["run", "--release", "--quiet", "-p", "lab", "--bin", "braid-bench", "--"]);
    match c.args(args).current_dir(xtask::root()).status() {
        Ok(s) if s.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("cargo xtask bench: cannot run cargo: {}", posix::text(e));
            ExitCode::from(2)
        }
    }
}
