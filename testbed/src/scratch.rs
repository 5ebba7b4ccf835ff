//! A folder that goes when this process goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Error;

/// A temporary folder, removed on drop, and by a watcher process if this one is killed.
pub struct Scratch {
    path: PathBuf,
    watcher: Option<Child>,
}

/// Waits for the other end of its standard input to close, which happens when we end for whatever
/// reason, then removes the folder; again while a process that is about to die still writes.
const WATCHER: &str = r#"trap "" INT TERM HUP QUIT
read -r _
n=0
while [ -e "$0" ] && [ $n -lt 50 ]; do rm -rf "$0"; n=$((n+1)); sleep 0.05; done"#;

impl Scratch {
    /// Makes a folder whose name begins with `prefix`. The name is short, because the path of a
    /// UNIX socket has room for 107 octets.
    pub fn new(prefix: &str) -> Result<Scratch, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        let path = loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{prefix}-{}-{n}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(format!("cannot make {}", path.display()), e)),
            }
        };
        let watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::io("cannot start /bin/sh", e))?;
        Ok(Scratch { path, watcher: Some(watcher) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The watcher does the removing here too: one way to do it.
        if let Some(mut w) = self.watcher.take() {
            drop(w.stdin.take());
            let _ = w.wait();
        }
    }
}
