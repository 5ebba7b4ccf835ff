//! The pidfile: a number for scripts, and a lock that keeps a second daemon out.
//!
//! The lock is fcntl(2)'s, which the process loses when it closes *any* descriptor of the file.
//! So nothing else in this process may open the pidfile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use posix::file::{lock, lock_holder, open_no_link};

use super::error::DaemonError;

/// Our pidfile; removed when dropped.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    /// Where the file is until [`Pidfile::place`].
    waiting: Option<PathBuf>,
    /// Holds the lock.
    file: File,
    /// A child that was forked later must not remove it.
    pid: u32,
}

/// The process that runs by the pidfile that was there.
struct Running(i32);

impl Pidfile {
    /// Creates `path` with this process's number. Refuses while another process holds it, unless
    /// `overwrite`; a file that nobody holds is stale and is replaced.
    ///
    /// # Errors
    ///
    /// [`DaemonError::Running`], and [`DaemonError::File`], also where `path` is a symbolic link.
    pub fn take(path: &Path, overwrite: bool) -> Result<Pidfile, DaemonError> {
        let mut pidfile = Pidfile::prepare(path, overwrite)?;
        pidfile.place()?;
        Ok(pidfile)
    }

    /// As [`Pidfile::take`], but where `overwrite` takes the place of a running daemon's pidfile,
    /// that waits for [`Pidfile::place`]: a start that fails until then leaves the other's alone.
    ///
    /// # Errors
    ///
    /// As [`Pidfile::take`].
    pub fn prepare(path: &Path, overwrite: bool) -> Result<Pidfile, DaemonError> {
        let pid = std::process::id();
        // Without `overwrite` all daemons share one temporary file, whose lock makes them take
        // turns.
        let mut name = path.as_os_str().to_owned();
        name.push(if overwrite { format!(".tmp{pid}") } else { ".tmp".into() });
        let tmp = PathBuf::from(name);
        let failed = |what| {
            let path = tmp.clone();
            move |error| DaemonError::File { path, what, error }
        };
        let mut file = open_no_link(OpenOptions::new().read(true).append(true).create(true), &tmp)
            .map_err(failed("create"))?;
        if let Err(error) = lock(&file) {
            let holder = lock_holder(&file).ok().flatten().filter(|pid| *pid > 0);
            return Err(match holder {
                Some(pid) => DaemonError::Starting { path: tmp, pid },
                None => failed("fcntl(F_SETLK)")(error),
            });
        }
        let result = (|| {
            let running = remove_stale(path)?;
            if let Some(Running(pid)) = running.as_ref().filter(|_| !overwrite) {
                return Err(DaemonError::Running { path: path.to_owned(), pid: *pid });
            }
            file.set_len(0).map_err(failed("truncate"))?;
            file.write_all(format!("{pid}\n").as_bytes()).map_err(failed("write"))?;
            Ok(running.is_some())
        })();
        let waiting = match result {
            Ok(waiting) => waiting,
            Err(e) => {
                let _ = fs::remove_file(&tmp);
                return Err(e);
            }
        };
        let mut pidfile = Pidfile { path: path.to_owned(), waiting: Some(tmp), file, pid };
        if !waiting {
            pidfile.place()?;
        }
        Ok(pidfile)
    }

    /// Puts the file at its path, if that is still to be done.
    ///
    /// # Errors
    ///
    /// [`DaemonError::File`]; then the other daemon's file is still there.
    pub fn place(&mut self) -> Result<(), DaemonError> {
        let Some(tmp) = &self.waiting else { return Ok(()) };
        fs::rename(tmp, &self.path).map_err(|error| DaemonError::File {
            path: tmp.clone(),
            what: "rename",
            error,
        })?;
        self.waiting = None;
        Ok(())
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if std::process::id() != self.pid {
            return;
        }
        if let Some(tmp) = &self.waiting {
            let _ = fs::remove_file(tmp);
        } else if is_at(&self.file, &self.path) {
            // Another daemon may have put its own there (`--overwrite-pidfile`).
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` still means this file.
fn is_at(file: &File, path: &Path) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Removes a pidfile that nobody holds.
fn remove_stale(path: &Path) -> Result<Option<Running>, DaemonError> {
    let failed = |what| move |error| DaemonError::File { path: path.to_owned(), what, error };
    let mut file = match open_no_link(OpenOptions::new().read(true).write(true), path) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("pidfile check (open)")(e)),
    };
    if let Some(pid) = lock_holder(&file).map_err(failed("pidfile check (fcntl)"))? {
        let mut text = String::new();
        // In another process namespace the holder has another number; what is written there is
        // then the best that can be said.
        let _ = (&mut file).take(64).read_to_string(&mut text);
        let written = text.trim().parse().unwrap_or_default();
        return Ok(Some(Running(if pid > 0 { pid } else { written })));
    }
    // Only who holds the lock of a stale file may unlink it, and only while the name still means
    // that file: else a valid one could be lost to a race.
    lock(&file).map_err(failed("pidfile check (lost race to lock)"))?;
    if !is_at(&file, path) {
        let e = io::Error::from_raw_os_error(libc::EALREADY);
        return Err(failed("pidfile check (lost race to delete)")(e));
    }
    fs::remove_file(path).map_err(failed("pidfile check (unlink)"))?;
    Ok(None)
}
