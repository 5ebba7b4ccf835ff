//! `cargo xtask sanitize`: tests under AddressSanitizer or ThreadSanitizer.
//!
//! `-Zsanitizer` is an unstable option, which `RUSTC_BOOTSTRAP` allows on a stable compiler. The
//! standard library stays as it was shipped, without instrumentation.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Tests that run with a daemon compiled for the sanitizer: package, program and filter word.
const DAEMON_TESTS: [(&str, &str, &str); 4] = [
    ("vswitchd", "smoke", ""),
    ("tests", "system", "failback::"),
    ("tests", "system", "lacp::"),
    ("tests", "system", "crash::"),
];

#[derive(Clone, Copy)]
enum Sanitizer {
    Address,
    Thread,
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Sanitizer::Address => "address",
            Sanitizer::Thread => "thread",
        }
    }

    fn target_dir(self, root: &Path) -> PathBuf {
        root.join("target").join(format!("sanitize-{}", self.name()))
    }

    /// Sets up a cargo command that compiles for the sanitizer.
    fn compile(self, c: &mut Command, root: &Path) {
        let mut flags = format!("-Zsanitizer={}", self.name());
        if let Sanitizer::Thread = self {
            // The compiler refuses to link a standard library that is built without it.
            flags += " -Cunsafe-allow-abi-mismatch=sanitizer";
        }
        c.args(["--target", TARGET, "--target-dir"]).arg(self.target_dir(root));
        c.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).current_dir(root);
    }

    /// Sets the options of programs compiled for the sanitizer. With `log`, each process writes its
    /// reports to a file with that name and its process ID.
    fn options(self, c: &mut Command, root: &Path, log: Option<&Path>) {
        let mut options = Vec::new();
        let variable = match self {
            Sanitizer::Address => "ASAN_OPTIONS",
            Sanitizer::Thread => {
                let file = root.join("xtask/thread-sanitizer.txt");
                options.push(format!("suppressions={}", file.display()));
                "TSAN_OPTIONS"
            }
        };
        if let Some(log) = log {
            // A test judges what the daemon does; reports are looked for in the files.
            options.push(format!("log_path={}:exitcode=0", log.display()));
        }
        c.env(variable, options.join(":"));
    }
}

/// Runs the tests that the arguments after `sanitize` select.
pub(crate) fn run(args: &[String], root: &Path) -> ExitCode {
    let (sanitizer, rest) = match args.split_first() {
        Some((kind, rest)) if kind == "thread" => (Sanitizer::Thread, rest),
        Some((kind, rest)) if kind == "address" => (Sanitizer::Address, rest),
        _ => (Sanitizer::Address, args),
    };
    let done = match rest.split_first() {
        Some((first, words)) if first == "--daemon" => daemon(sanitizer, words, root),
        _ => crates(sanitizer, rest, root),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("cargo xtask sanitize: {}", posix::text(e));
            ExitCode::from(2)
        }
    }
}

/// Tests of the crates, by default of `netdev` and `datapath`, that are compiled for the sanitizer.
fn crates(sanitizer: Sanitizer, rest: &[String], root: &Path) -> io::Result<bool> {
    let mut c = Command::new(xtask::cargo());
    c.args(["test", "--tests"]);
    sanitizer.compile(&mut c, root);
    sanitizer.options(&mut c, root, None);
    if !rest.iter().any(|a| a == "-p") {
        c.args(["-p", "netdev", "-p", "datapath"]);
    }
    Ok(c.args(rest).status()?.success())
}

/// [`DAEMON_TESTS`], or those whose program or filter word contains one of `words`, with a daemon
/// that is compiled for the sanitizer. The tests themselves are not.
fn daemon(sanitizer: Sanitizer, words: &[String], root: &Path) -> io::Result<bool> {
    let mut build = Command::new(xtask::cargo());
    build.args(["build", "-p", "vswitchd", "--bin", "ovs-vswitchd"]);
    sanitizer.compile(&mut build, root);
    if !build.status()?.success() {
        return Ok(false);
    }
    let target = sanitizer.target_dir(root);
    let program = target.join(TARGET).join("debug/ovs-vswitchd");
    let reports = target.join("reports");
    if reports.exists() {
        fs::remove_dir_all(&reports)?;
    }
    fs::create_dir_all(&reports)?;
    let mut passed = true;
    for (package, name, filter) in DAEMON_TESTS {
        let wanted = |w: &String| name.contains(w.as_str()) || filter.contains(w.as_str());
        if !words.is_empty() && !words.iter().any(wanted) {
            continue;
        }
        let mut c = Command::new(xtask::cargo());
        c.args(["test", "-p", package, "--test", name, "--", filter]).current_dir(root);
        sanitizer.options(&mut c, root, Some(&reports.join("report")));
        c.env("BRAID_VSWITCHD", &program);
        passed &= c.status()?.success();
    }
    let found = fs::read_dir(&reports)?.collect::<io::Result<Vec<_>>>()?;
    for report in &found {
        eprintln!("{}", fs::read_to_string(report.path())?);
    }
    if !found.is_empty() {
        eprintln!("{} processes with reports, in {}", found.len(), reports.display());
    }
    Ok(passed && found.is_empty())
}
