//! Files that a daemon writes, and locks on them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a path is not opened.
#[derive(Debug)]
struct IsLink;

impl std::fmt::Display for IsLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is a symbolic link, which is not followed; remove it or name another file")
    }
}

impl std::error::Error for IsLink {}

/// Opens a file by options, but no symbolic link: in a directory where others may make files, a
/// link would let them choose which file is written. Links to the directories before it are
/// followed.
///
/// # Errors
///
/// The system's, and a text that says so for a link.
pub fn open_no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags(libc::O_NOFOLLOW).open(path).map_err(|error| {
        // ELOOP is the answer to too many links on the way, too.
        match error.raw_os_error() == Some(libc::ELOOP) && fs::read_link(path).is_ok() {
            true => io::Error::other(IsLink),
            false => error,
        }
    })
}

/// Opens a log file to append to, with mode 0660 less the umask if it is made. Directories that
/// are missing are made, with mode 0755 less the umask, and returned, the outermost first.
///
/// A symbolic link is not followed, except directly in `/dev`, where only root makes files:
/// `/dev/stdout` is one.
///
/// # Errors
///
/// The system's, and a text that says so for a link.
pub fn open_log(path: &Path) -> io::Result<(File, Vec<PathBuf>)> {
    let mut made = Vec::new();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    for directory in parent.into_iter().flat_map(Path::ancestors) {
        if directory.as_os_str().is_empty() || directory.exists() {
            break;
        }
        made.insert(0, directory.to_owned());
    }
    for directory in &made {
        match DirBuilder::new().mode(0o755).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o660);
    let file = match parent == Some(Path::new("/dev")) {
        true => options.open(path)?,
        false => open_no_link(&mut options, path)?,
    };
    Ok((file, made))
}

/// A write lock on a whole file, as fcntl(2) wants it.
fn write_lock() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Locks a whole file for writing, by fcntl(2), without waiting. The process loses the lock when it
/// closes *any* descriptor of the file.
///
/// # Errors
///
/// `WouldBlock` if another process has locked it.
pub fn lock(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open, and F_SETLK reads the structure that is passed.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &write_lock()) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // The other number that the system may give for the same.
            Some(libc::EACCES) => return Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            Some(_) | None => return Err(error),
        }
    }
}

/// The process that has locked a file by fcntl(2), `Some(0)` if it is in another process
/// namespace. `None`: no process but this one has.
///
/// # Errors
///
/// The system's.
pub fn lock_holder(file: &File) -> io::Result<Option<i32>> {
    let mut lock = write_lock();
    // SAFETY: the descriptor is open, and F_GETLK writes to the structure that is passed.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((libc::c_int::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn logs_in_missing_directories_and_behind_links() {
        let folder = std::env::temp_dir().join(format!("braid-posix-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let folder = Folder(folder);
        let at = |name: &str| folder.0.join(name);
        let (_, made) = open_log(&at("a/b/x.log")).unwrap();
        assert_eq!(made, [at("a"), at("a/b")]);
        assert_eq!(open_log(&at("a/b/y.log")).unwrap().1, [] as [PathBuf; 0]);
        assert!(open_log(&at("a/b/x.log/z.log")).is_err());

        fs::write(at("precious"), "").unwrap();
        for to in ["precious", "dangling"] {
            let _ = fs::remove_file(at("link"));
            symlink(at(to), at("link")).unwrap();
            let error = open_log(&at("link")).unwrap_err().to_string();
            assert!(error.contains("a symbolic link, which is not followed"), "{error}");
        }
        assert!(!at("dangling").exists());
        // A directory may be one, as /var/run is.
        symlink(at("a"), at("to-a")).unwrap();
        assert_eq!(open_log(&at("to-a/b/x.log")).unwrap().1, [] as [PathBuf; 0]);
        assert!(open_log(Path::new("/dev/stderr")).is_ok());
        // Too many links on the way are something else.
        symlink(at("loop"), at("loop")).unwrap();
        let error = open_log(&at("loop/x")).unwrap_err().to_string();
        assert!(!error.contains("not followed"), "{error}");
    }
}
