//! The pidfile: a number for scripts, and a lock that keeps a second daemon out.
//!
//! The lock is fcntl(2)'s, which the process loses when it closes *any* descriptor of the file.
//! So nothing else in this process may open the pidfile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::DaemonError;

/// Our pidfile; removed when dropped.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
    /// A child that was forked later must not remove it.
    pid: u32,
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
            Err(Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

impl Pidfile {
    /// Creates `path` with this process's number. Refuses while another process holds it, unless
    /// `overwrite`; a file that nobody holds is stale and is replaced.
    pub fn take(path: &Path, overwrite: bool) -> Result<Pidfile, DaemonError> {
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
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&tmp)
            .map_err(failed("create"))?;
        lock(&file).map_err(failed("fcntl(F_SETLK)"))?;
        let result = (|| {
            if !overwrite {
                remove_stale(path)?;
            }
            file.set_len(0).map_err(failed("truncate"))?;
            file.write_all(format!("{pid}\n").as_bytes()).map_err(failed("write"))?;
            fs::rename(&tmp, path).map_err(failed("rename"))
        })();
        if let Err(e) = result {
            let _ = fs::remove_file(&tmp);
            return Err(e);
        }
        Ok(Pidfile { path: path.to_owned(), _file: file, pid })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if std::process::id() == self.pid {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a pidfile that nobody holds.
fn remove_stale(path: &Path) -> Result<(), DaemonError> {
    let failed = |what| move |error| DaemonError::File { path: path.to_owned(), what, error };
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("pidfile check (open)")(e)),
    };
    let mut probe = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_GETLK(&mut probe))
        .map_err(|e| failed("pidfile check (fcntl)")(e.into()))?;
    if libc::c_int::from(probe.l_type) != libc::F_UNLCK {
        let mut text = String::new();
        // What is written there is for people; who holds the lock is a fact.
        let _ = (&mut file).take(64).read_to_string(&mut text);
        let pid = text.trim().parse().unwrap_or(probe.l_pid);
        return Err(DaemonError::Running { path: path.to_owned(), pid });
    }
    // Only who holds the lock of a stale file may unlink it, and only while the name still means
    // that file: else a valid one could be lost to a race.
    lock(&file).map_err(failed("pidfile check (lost race to lock)"))?;
    let same = match (fs::metadata(path), file.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    };
    if !same {
        let e = io::Error::from_raw_os_error(libc::EALREADY);
        return Err(failed("pidfile check (lost race to delete)")(e));
    }
    fs::remove_file(path).map_err(failed("pidfile check (unlink)"))
}
