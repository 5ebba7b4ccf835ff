//! Unix sockets by path, however long the path is.

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

/// Connections that wait to be accepted; the system has a bound of its own
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Access for the owner and the group, less what the process's umask takes: 0750 under the usual
/// 022. Connecting takes write access, so that then only the owner may. As Open vSwitch.
const MODE: Mode = Mode::from_raw_mode(0o770);

/// The file of a listening socket; removed when this is dropped, unless another process has put its
/// own in its place meanwhile.
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
            // It may be gone since.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A listening socket that does not block. A socket that a dead process left there is replaced, and
/// so is a symbolic link, of which nothing but the link itself is removed.
///
/// # Errors
///
/// The system's; among them that the directory is not there, and `AddrInUse` for a file of another
/// type, which is kept.
pub fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let replaced = |m: fs::Metadata| m.file_type().is_socket() || m.file_type().is_symlink();
    if fs::symlink_metadata(path).is_ok_and(replaced) {
        fs::remove_file(path)?;
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file gets the socket's mode when it is made, so that it has no other one for a moment.
    rustix::fs::fchmod(&socket, MODE)?;
    with_short_path(path, |p| Ok(rustix::net::bind(&socket, &SocketAddrUnix::new(p)?)?))?;
    let file = SocketFile::of(path)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((UnixListener::from(socket), file))
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
