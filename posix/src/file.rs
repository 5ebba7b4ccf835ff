//! Files that a daemon writes, and locks on them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

/// The error for a path that is a symbolic link.
#[derive(Debug)]
struct IsLink;

impl std::fmt::Display for IsLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is a symbolic link, which is not followed; remove it or name another file")
    }
}

impl std::error::Error for IsLink {}

/// Opens a file with `options`, unless the last component of `path` is a symbolic link: another
/// user who may write to the directory could choose by such a link which file is written. Symbolic
/// links in the directories of `path` are followed.
///
/// # Errors
///
/// The system's, and one of its own for a symbolic link.
pub fn open_no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags(libc::O_NOFOLLOW).open(path).map_err(|error| {
        // ELOOP also means too many symbolic links in the directories of the path.
        match error.raw_os_error() == Some(libc::ELOOP) && fs::read_link(path).is_ok() {
            true => io::Error::other(IsLink),
            false => error,
        }
    })
}

/// Makes a directory and those above it that are missing, with mode 0755 less the umask. Returns
/// those that were made, the outermost first.
///
/// # Errors
///
/// The system's. That there is a file of another type at `path` is none: opening something in it
/// fails then.
pub fn make_directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for directory in path.ancestors() {
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
    Ok(made)
}

/// Opens a log file to append to. A new one gets mode 0660 less the umask. Makes missing directories
/// as [`make_directories`] does and returns them.
///
/// A symbolic link is not followed, except directly in `/dev`, such as `/dev/stdout`: only root
/// makes files there.
///
/// # Errors
///
/// The system's, and one of its own for a symbolic link.
pub fn open_log(path: &Path) -> io::Result<(File, Vec<PathBuf>)> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = parent.map(make_directories).transpose()?.unwrap_or_default();
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o660);
    let file = match parent == Some(Path::new("/dev")) {
        true => options.open(path)?,
        false => open_no_link(&mut options, path)?,
    };
    Ok((file, made))
}

/// Locks a whole file for writing, by fcntl(2), without waiting. The process loses the lock when it
/// closes *any* descriptor of the file.
///
/// # Errors
///
/// `WouldBlock` if another process has locked it.
pub fn lock(file: &File) -> io::Result<()> {
    loop {
        match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => {}
            // POSIX allows this number for a file that is locked.
            Err(Errno::ACCESS) => return Err(Errno::AGAIN.into()),
            result => return Ok(result?),
        }
    }
}

/// The process that has locked a file by fcntl(2), `Some(0)` if it is in another process
/// namespace. `None`: no other process has.
///
/// # Errors
///
/// The system's.
pub fn lock_holder(file: &File) -> io::Result<Option<i32>> {
    let lock = fcntl_getlk(file, &Flock::from(FlockType::WriteLock))?;
    Ok(lock.map(|lock| lock.pid.map_or(0, |pid| pid.as_raw_nonzero().get())))
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
    fn open_log_makes_directories_and_refuses_symbolic_links() {
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
        // A directory of the path may be a symbolic link, as /var/run is.
        symlink(at("a"), at("to-a")).unwrap();
        assert_eq!(open_log(&at("to-a/b/x.log")).unwrap().1, [] as [PathBuf; 0]);
        assert!(open_log(Path::new("/dev/stderr")).is_ok());
        // Too many symbolic links in the path give the system's error.
        symlink(at("loop"), at("loop")).unwrap();
        let error = open_log(&at("loop/x")).unwrap_err().to_string();
        assert!(!error.contains("not followed"), "{error}");
    }
}
