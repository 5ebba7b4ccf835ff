//! Errors of the system are told in its words, without the number that `std::io::Error` adds.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn errors_of_the_system_have_no_numbers() {
    let folder = std::env::temp_dir().join(format!("braid-db-messages-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = Folder(folder);
    let file = folder.0.join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("x").display().to_string();
    let cases = [
        (format!("--log-file={below}"), "Not a directory"),
        (format!("--pidfile={below}"), "Not a directory"),
        (format!("--unixctl={below}"), "Not a directory"),
        (format!("--unixctl={}", file.display()), "Address already in use"),
        (format!("--remote=punix:{below}"), "Not a directory"),
        ("--remote=ptcp:1:192.0.2.1".to_owned(), "Cannot assign requested address"),
        ("--remote=tcp:127.0.0.1:9".to_owned(), "Connection refused"),
        (format!("--config-file={below}"), "Not a directory"),
        (below.clone(), "Not a directory"),
    ];
    for (argument, says) in cases {
        let out = folder.0.join("out");
        let output = std::fs::File::create(&out).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ovsdb-server"));
        for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(name, &folder.0);
        }
        // Attempts to reach a server are logged for developers.
        command.args(["-v", &argument]).stdin(Stdio::null()).stdout(output.try_clone().unwrap());
        let mut child = command.stderr(output).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        let said = loop {
            let ended = child.try_wait().unwrap().is_some();
            let said = std::fs::read_to_string(&out).unwrap();
            if ended || (said.contains(says) && said.ends_with('\n')) || Instant::now() > end {
                break said;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let _ = child.kill();
        let _ = child.wait();
        assert!(said.contains(says), "{argument}: {said}");
        assert!(!said.contains("os error"), "{argument}: {said}");
    }
}

/// A database that another process has locked: that is named, as by Open vSwitch.
#[test]
fn the_holder_of_a_lock_is_named() {
    let folder = std::env::temp_dir().join(format!("braid-db-lock-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = Folder(folder);
    std::fs::write(folder.0.join("conf.db"), "").unwrap();
    let lock = std::fs::File::create(folder.0.join(".conf.db.~lock~")).unwrap();
    posix::file::lock(&lock).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ovsdb-server"));
    let out = command.args(["--unixctl=none"]).arg(folder.0.join("conf.db")).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    let own = format!(
        "|lockfile|WARN|{}: cannot lock file because it is already locked by pid {}",
        folder.0.join(".conf.db.~lock~").display(),
        std::process::id()
    );
    assert!(said.contains(&own) && !out.status.success(), "{said}");
    assert!(said.contains("failed to lock lockfile (Resource temporarily unavailable)"), "{said}");
}
