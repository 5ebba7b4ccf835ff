//! The lock that keeps two servers from one file: `.NAME.~lock~` beside it, locked with `fcntl` as
//! the reference's tools do.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use runtime::log::Module;

/// Open vSwitch's name for it.
pub(crate) static LOG: Module = Module::new("lockfile");

/// Devices and inodes that this process has locked. `fcntl` locks do not keep a process from itself.
static HELD: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// A lock, given up when it is dropped.
#[derive(Debug)]
pub struct LockFile {
    /// Closed, and so unlocked, with the rest.
    _file: File,
    key: (u64, u64),
}

/// The lock's name for a file.
fn lock_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.~lock~"))
}

impl LockFile {
    /// Locks a file, which need not be there yet.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if another process, or this one, has locked it; else what the system says.
    pub fn lock(path: &Path) -> std::io::Result<LockFile> {
        let name = lock_name(path);
        let mut held = HELD.lock();
        // Opened and closed again, the file would lose the lock that this process has on it.
        if let Ok(known) = std::fs::metadata(&name)
            && held.contains(&(known.dev(), known.ino()))
        {
            let name = name.display();
            runtime::warn!(
                LOG,
                "{name}: cannot lock file because this process has already locked it"
            );
            return Err(rustix::io::Errno::AGAIN.into());
        }
        // A link is followed, as in Open vSwitch: the database may be one, and its lock beside it.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)?;
        posix::file::lock(&file).inspect_err(|error| {
            let holder = match posix::file::lock_holder(&file) {
                Ok(Some(pid)) if pid > 0 => format!("pid {pid}"),
                Ok(_) | Err(_) => "another process".to_owned(),
            };
            if error.kind() == std::io::ErrorKind::WouldBlock {
                let name = name.display();
                runtime::warn!(
                    LOG,
                    "{name}: cannot lock file because it is already locked by {holder}"
                );
            }
        })?;
        let metadata = file.metadata()?;
        let key = (metadata.dev(), metadata.ino());
        held.insert(key);
        Ok(LockFile { _file: file, key })
    }

    /// The other process that has locked a file, if one has.
    pub fn holder(path: &Path) -> Option<i32> {
        let name = lock_name(&path.canonicalize().ok()?);
        let held = HELD.lock();
        let known = std::fs::metadata(&name).ok()?;
        // Opened and closed again, the file would lose the lock that this process has on it.
        if held.contains(&(known.dev(), known.ino())) {
            return None;
        }
        let file = File::open(name).ok()?;
        posix::file::lock_holder(&file).ok().flatten().filter(|pid| *pid > 0)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        HELD.lock().remove(&self.key);
    }
}
