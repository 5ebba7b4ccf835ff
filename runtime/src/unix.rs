//! Unix sockets by path, however long the path is.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;

use mio::net::{UnixListener, UnixStream};

/// Longest path that fits `struct sockaddr_un`, without its NUL.
const MAX_SUN_PATH: usize = 107;

/// A listening socket, for its owner and group only; a socket that a dead daemon left there is
/// replaced.
///
/// # Errors
///
/// The system's; among them that the directory is not there.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = with_short_path(path, |p| StdListener::bind(p))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o770))?;
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener))
}

/// Connects without waiting.
///
/// # Errors
///
/// The system's; among them that nobody listens there.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    with_short_path(path, |p| UnixStream::connect(p))
}

/// Calls `f` with the path, or, where that is too long for the system's structure, with one that
/// leads there by its directory's descriptor.
///
/// # Errors
///
/// Those of `f`, and that the directory is not there.
pub fn with_short_path<T>(path: &Path, f: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_SUN_PATH {
        return f(path);
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let dir: OwnedFd = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_PATH)
        .open(dir)?
        .into();
    let mut short = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    short.extend(name.as_bytes());
    f(Path::new(OsStr::from_bytes(&short)))
}
