//! A database server of a test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A server in a directory of its own; both are gone when it is dropped.
pub(crate) struct Rig {
    pub(crate) directory: PathBuf,
    server: Option<Child>,
    remotes: &'static [&'static str],
}

/// What a run of a program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().or(output.status.signal().map(|signal| 128 + signal));
        Ran {
            status: status.unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Words of a line; single quotes keep blanks, double quotes are like any letter.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            ' ' | '\n' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Rig {
    /// A server with an empty database, listening also on `remotes`; skips the test if none is
    /// installed.
    pub(crate) fn with(remotes: &'static [&'static str]) -> Rig {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !installed("ovsdb-server") || !installed("ovsdb-tool") || !Path::new(SCHEMA).exists() {
            harness::skip("ovsdb-server with its schema is not installed");
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("braid-vsctl-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let made = Command::new("ovsdb-tool")
            .arg("create")
            .arg(directory.join("conf.db"))
            .arg(SCHEMA)
            .status()
            .unwrap();
        assert!(made.success());
        let mut rig = Rig { directory, server: None, remotes };
        rig.start();
        rig
    }

    fn start(&mut self) {
        let server = Command::new("ovsdb-server")
            .arg("-vconsole:off")
            .arg("--log-file=server.log")
            .arg("--no-chdir")
            .arg("--unixctl=server.ctl")
            .arg("--remote=punix:db.sock")
            .args(self.remotes)
            .arg("conf.db")
            .env("OVS_RUNDIR", &self.directory)
            .env("OVS_LOGDIR", &self.directory)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(server);
        until("the server listens", || self.ours("--no-wait init").status == 0);
    }

    pub(crate) fn new() -> Rig {
        Rig::with(&[])
    }

    pub(crate) fn command(&self, program: &str, line: &[String]) -> Command {
        let mut command = Command::new(program);
        command
            .args(line)
            .env("OVS_RUNDIR", &self.directory)
            .env("OVS_LOGDIR", &self.directory)
            .env_remove("OVS_CTL_TIMEOUT")
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command
    }

    /// Our program.
    pub(crate) fn ours(&self, line: &str) -> Ran {
        self.command(env!("CARGO_BIN_EXE_ovs-vsctl"), &words(line)).output().unwrap().into()
    }

    /// Our program, which must succeed; what it prints.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.ours(&format!("--no-wait -t 20 {line}"));
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{line}: {}", ran.out);
        ran.out
    }

    /// Our program, which must refuse; what it says.
    pub(crate) fn refused(&self, line: &str) -> String {
        let ran = self.ours(&format!("--no-wait -t 20 {line}"));
        assert_eq!(ran.status, 1, "{line}: {ran:?}");
        ran.err.strip_prefix("ovs-vsctl: ").unwrap_or(&ran.err).trim_end().to_owned()
    }

    /// Our program, going on beside the test.
    pub(crate) fn spawn(&self, line: &str) -> Child {
        self.command(env!("CARGO_BIN_EXE_ovs-vsctl"), &words(line))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Ends the server and starts another with the same database.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Waits for a condition, ten seconds at most.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lines in order, so that rows may come in any.
pub(crate) fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}
