//! The files that listening sockets are. One test alone, because the umask is the process's.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use posix::unix::{listen, with_short_path};

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn modes_and_what_was_there() {
    let folder = std::env::temp_dir().join(format!("braid-sockets-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let folder = Folder(folder);
    let path = folder.0.join("x.ctl");
    let mode = || fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
    // What Open vSwitch's sockets have.
    for (umask, want) in [(0, 0o770), (0o022, 0o750), (0o027, 0o750), (0o077, 0o700)] {
        // SAFETY: takes a number; no other test runs in this process.
        let before = unsafe { libc::umask(umask) };
        let socket = listen(&path);
        // SAFETY: as above.
        unsafe { libc::umask(before) };
        let socket = socket.unwrap();
        assert_eq!(format!("{:o}", mode()), format!("{want:o}"), "umask {umask:o}");
        UnixStream::connect(&path).unwrap();
        // The next one replaces the file that this one leaves, as a process that is killed does.
        std::mem::forget(socket);
    }
    // A file goes with its socket, but not the one that another has put there.
    let (first, second) = (listen(&path).unwrap(), listen(&path).unwrap());
    drop(first);
    UnixStream::connect(&path).unwrap();
    drop(second);
    assert!(!path.exists());

    let target = folder.0.join("target");
    fs::write(&target, "precious").unwrap();
    for to in [target.clone(), folder.0.join("dangling"), folder.0.clone()] {
        symlink(&to, &path).unwrap();
        let _socket = listen(&path).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket(), "{to:?}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert!(!folder.0.join("dangling").exists());

    let kept = listen(&target).unwrap_err();
    assert_eq!(kept.kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(listen(&folder.0.join("no/such")).unwrap_err().kind(), ErrorKind::NotFound);

    let deep = folder.0.join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    let _socket = listen(&deep.join("x.ctl")).unwrap();
    with_short_path(&deep.join("x.ctl"), |p| UnixStream::connect(p)).unwrap();
}
