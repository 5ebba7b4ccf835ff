//! `cargo xtask COMMAND`: chores of the repository.

use std::process::{Command, ExitCode};

use xtask::lint;

const USAGE: &str = "usage: cargo xtask lint             check crates, modules and sources
       cargo xtask sanitize [address|thread] [-p CRATE].. [-- TEST OPTIONS]
                               unit and integration tests under a sanitizer
       cargo xtask bench [OPTIONS]  packets per second and failover gap (--help for options)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("lint") if args.len() == 1 => run_lint(),
        Some("sanitize") => sanitize(&args[1..]),
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

/// Runs tests of the crates, by default of `netdev` and `datapath`, that are compiled for a sanitizer.
///
/// `-Zsanitizer` is an unstable option, which `RUSTC_BOOTSTRAP` allows on a stable compiler. The
/// standard library stays as it was shipped, without instrumentation.
fn sanitize(args: &[String]) -> ExitCode {
    let (kind, rest) = match args.split_first() {
        Some((kind, rest)) if kind == "address" || kind == "thread" => (kind.as_str(), rest),
        _ => ("address", args),
    };
    let root = xtask::root();
    let mut flags = format!("-Zsanitizer={kind}");
    let mut c = Command::new(xtask::cargo());
    if kind == "thread" {
        // The compiler refuses to link a standard library that is built without this sanitizer.
        flags += " -Cunsafe-allow-abi-mismatch=sanitizer";
        let suppressions = root.join("xtask/thread-sanitizer.txt");
        c.env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display()));
    }
    c.args(["test", "--tests", "--target", "x86_64-unknown-linux-gnu", "--target-dir"]);
    c.arg(root.join("target").join(format!("sanitize-{kind}")));
    if !rest.iter().any(|a| a == "-p") {
        c.args(["-p", "netdev", "-p", "datapath"]);
    }
    c.args(rest).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).current_dir(root);
    match c.status() {
        Ok(s) if s.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("cargo xtask sanitize: cannot run cargo: {}", posix::text(e));
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
