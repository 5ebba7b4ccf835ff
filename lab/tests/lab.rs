//! The lab as a user runs it: it succeeds, and it leaves nothing behind however it ends.

harness::main!(threads = 4);

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::{Daemon, Ovsdb};

const LAB: &str = env!("CARGO_BIN_EXE_braid-lab");

/// The lab with arguments, and what it runs built already.
fn lab(args: &[&str]) -> Command {
    Daemon::find().and_then(|_| Ovsdb::Ours.programs()).unwrap_or_else(|e| panic!("{e}"));
    let mut c = Command::new(LAB);
    // Otherwise each lab would ask cargo for itself.
    c.args(args).env_remove("CARGO").stdin(Stdio::null());
    c
}

/// Skips the test where the kernel forbids what the lab needs.
fn skip_if_forbidden(stderr: &[u8]) {
    let said = String::from_utf8_lossy(stderr);
    if said.contains("namespace") {
        harness::skip(said);
    }
}

fn succeeds(args: &[&str]) {
    let out = lab(args).args(["--json", "--rate", "1000"]).output().unwrap();
    skip_if_forbidden(&out.stderr);
    let text = String::from_utf8_lossy(&out.stdout);
    let report: Value = serde_json::from_str(&text).expect("one JSON document");
    assert_eq!(report["success"], true, "{text}");
    assert!(out.status.success());
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(steps[..2], ["baseline", "failover"], "{text}");
    assert!(report["up"]["received"].as_u64().unwrap() > 1000, "{text}");
}

#[harness::test]
fn active_backup_stays_without_a_primary() {
    succeeds(&["--primary", "none"]);
}

#[harness::test]
fn balance_tcp_with_the_built_in_partner() {
    succeeds(&["--mode", "balance-tcp"]);
}

/// Taps lose their carrier as NICs do: the kernel reports it late, and the loss counts from the cut.
#[harness::test]
fn active_backup_of_taps_moves_before_the_kernel_reports() {
    if std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
        harness::skip("/dev/net/tun may not be opened here");
    }
    succeeds(&["--members", "tap"]);
}

#[harness::test]
fn a_primary_in_a_mode_without_one_is_refused() {
    let out = lab(&["--mode", "balance-slb", "--primary", "nic1"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("--primary nic1") && said.contains("balance-slb"), "{said}");
}

/// The shell of `--shell` shows the lab's prompt whatever the user's start-up files set.
#[harness::test]
fn the_shell_shows_its_prompt() {
    let home = std::env::temp_dir().join(format!("braid-lab-home-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join(".bashrc"), "PS1='not this$ '\necho read the user\\'s file\n")
        .unwrap();
    for shell in ["/bin/bash", "/bin/sh"] {
        if !Path::new(shell).is_file() {
            continue;
        }
        let mut child = lab(&["--shell", "--rate", "1000"])
            .env("SHELL", shell)
            .env("HOME", &home)
            .env("PS1", "nor this$ ")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::Write;
        // `set` prints the variable whether or not the shell thinks that it has a terminal.
        child.stdin.take().unwrap().write_all(b"echo prompt=\"$PS1\"\nexit\n").unwrap();
        let out = child.wait_with_output().unwrap();
        skip_if_forbidden(&out.stderr);
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.contains("prompt=braid-lab$ "), "{shell}: {said}");
    }
    let _ = std::fs::remove_dir_all(&home);
}

/// A lab whose daemon runs: the lab, its folder and the daemon's pid.
fn started() -> (Child, PathBuf, String) {
    let mut child = lab(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let folder = std::env::temp_dir().join(format!("braid-lab-{}-0", child.id()));
    let pidfile = folder.join("ovs-vswitchd.pid");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(pid) = std::fs::read_to_string(&pidfile)
            && !pid.trim().is_empty()
        {
            return (child, folder, pid.trim().to_owned());
        }
        if child.try_wait().unwrap().is_some() {
            let mut said = Vec::new();
            child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
            skip_if_forbidden(&said);
            panic!("the lab ended: {}", String::from_utf8_lossy(&said));
        }
        assert!(Instant::now() < end, "the lab does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Nothing is left within moments.
fn gone(folder: &Path, pid: &str) {
    let process = PathBuf::from(format!("/proc/{pid}/exe"));
    let end = Instant::now() + Duration::from_secs(5);
    while folder.exists() || process.exists() {
        assert!(Instant::now() < end, "left behind: {} or process {pid}", folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(child: &Child, signal: libc::c_int) {
    // SAFETY: the child has not been waited for, so that the pid is its own.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

#[harness::test]
fn a_killed_lab_leaves_nothing_behind() {
    let (mut child, folder, pid) = started();
    kill(&child, libc::SIGKILL);
    child.wait().unwrap();
    gone(&folder, &pid);
}

#[harness::test]
fn an_interrupted_lab_cleans_up_and_says_so_in_its_status() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let (mut child, folder, pid) = started();
        kill(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal));
        gone(&folder, &pid);
    }
}
