//! What the daemon says of its surroundings when it starts.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = format!("braid-messages-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// What the daemon prints with these arguments; one that does not end by itself is ended when
    /// it has said `until`.
    fn run(&self, arguments: &str, until: &str) -> String {
        let out = self.0.join("out");
        let file = std::fs::File::create(&out).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ovs-vswitchd"));
        for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(name, &self.0);
        }
        let mut child = command
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let said = std::fs::read_to_string(&out).unwrap();
            let ended = child.try_wait().unwrap().is_some();
            if ended || (said.contains(until) && said.ends_with('\n')) || Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return std::fs::read_to_string(&out).unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Errors of the system are told in its words, without the number that `std::io::Error` adds.
#[test]
fn system_errors_are_printed_without_errno() {
    let folder = Folder::new("numbers");
    std::fs::write(folder.0.join("file"), "").unwrap();
    let file = folder.0.join("file");
    let below = file.join("x").display().to_string();
    let cases = [
        (format!("--log-file={below}"), "Not a directory"),
        (format!("--pidfile={below}"), "Not a directory"),
        (format!("--unixctl={below}"), "Not a directory"),
        (format!("--embedded-db={below}"), "Not a directory"),
        (format!("--unixctl={}", file.display()), "Address already in use"),
        ("--user=nosuch".to_owned(), "no user"),
        ("--private-key=/nonexistent -c /x -C /y ssl:127.0.0.1:9".to_owned(), "No such file"),
        (format!("unix:{}", folder.0.join("none.sock").display()), "No such file or directory"),
        ("unix:/etc/passwd".to_owned(), "Connection refused"),
        ("tcp:127.0.0.1:9".to_owned(), "Connection refused"),
    ];
    for (arguments, says) in cases {
        let said = folder.run(&arguments, says);
        assert!(said.contains(says), "{arguments}: {said}");
        assert!(!said.contains("os error"), "{arguments}: {said}");
    }
}

/// A daemon that waits for a database says what it waits for, and that it can do without.
#[test]
fn missing_database_server_is_reported_once() {
    let folder = Folder::new("server");
    let none = format!("unix:{}", folder.0.join("none.sock").display());
    let said = folder.run(&format!("-vreconnect:dbg {none}"), "waiting 4s");
    let line = format!("|vswitchd|INFO|{none}: no OVSDB server answers");
    assert!(said.contains(&line) && said.contains("ovs-vswitchd with --embedded-db"), "{said}");
    assert_eq!(said.matches("--embedded-db").count(), 1, "{said}");
}

/// The process that has the database open is named.
#[test]
fn locked_database_file_names_its_owner() {
    let folder = Folder::new("locked");
    let file = folder.0.join("conf.db");
    drop(folder.run(&format!("--embedded-db={}", file.display()), "a new database"));
    let lock = std::fs::File::options().write(true).open(folder.0.join(".conf.db.~lock~")).unwrap();
    posix::file::lock(&lock).unwrap();
    let said = folder.run(&format!("--embedded-db={}", file.display()), "stop it");
    let own = format!("conf.db: process {} has this database open; stop it", std::process::id());
    assert!(said.contains(&own), "{said}");
}

/// `--help` names the environment's variables and their defaults.
#[test]
fn help_prints_default_directories() {
    let folder = Folder::new("help");
    let said = folder.run("--help", "nothing");
    for (name, default) in [
        ("OVS_RUNDIR", "/var/run/openvswitch"),
        ("OVS_LOGDIR", "/var/log/openvswitch"),
        ("OVS_DBDIR", "/openvswitch"),
        ("OVS_SYSCONFDIR", "/etc"),
    ] {
        let line = said.lines().find(|l| l.trim_start().starts_with(name)).unwrap_or_default();
        assert!(line.contains(&format!("{default})")), "{name}: {said}");
        assert!(line.ends_with(&format!("here {}", folder.0.display())), "{name}: {said}");
    }
}
