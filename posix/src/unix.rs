//! Unix sockets by path, of any length.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Longest path that fits `struct sockaddr_un`, without its NUL.
const MAX_SUN_PATH: usize = 107;

/// Connections that may wait to be accepted. The kernel's own limit is `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Mode of the socket file before the umask, as in Open vSwitch. Under the usual umask of 022 it is
/// 0750, and only the owner may connect, which needs write access.
const MODE: Mode = Mode::from_raw_mode(0o770);

/// The file of a listening socket. Dropping it removes the file, unless another process has replaced
/// it.
#[derive(Debug)]
pub struct SocketFile {
    /// Absolute: a daemon may change its current directory.
    path: PathBuf,
    /// Device and inode.
    key: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: std::path::absolute(path)?, key: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.key) {
            // Another process may have removed it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a non-blocking listening socket. A socket or a symbolic link at `path` is removed first; the
/// target of a symbolic link is not touched.
///
/// # Errors
///
/// The system's: `NotFound` when there is no such directory, `AddrInUse` when there is a file of
/// another type, and so on.
pub fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let replaced = |m: fs::Metadata| m.file_type().is_socket() || m.file_type().is_symlink();
    if fs::symlink_metadata(path).is_ok_and(replaced) {
        fs::remove_file(path)?;
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The new file gets the socket's mode; a chmod(2) afterwards would leave a moment of another.
    rustix::fs::fchmod(&socket, MODE)?;
    with_short_path(path, |p| Ok(rustix::net::bind(&socket, &SocketAddrUnix::new(p)?)?))?;
    let file = SocketFile::of(path)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((UnixListener::from(socket), file))
}

/// Calls `f` with `path`, or, when that is too long for `struct sockaddr_un`, with a path through
/// `/proc/self/fd` and a descriptor of its directory.
///
/// # Errors
///
/// Those of `f`, and those of opening the directory.
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
