//! What tests on real devices share.

use std::process::Command;

/// Puts the calling thread, and threads that it starts, into a network namespace of its own.
/// Skips the test where that is not allowed.
pub(crate) fn own_namespace() {
    // SAFETY: takes flags only; this thread alone moves to new namespaces.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNET) == 0
            || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == 0
    };
    if !done {
        harness::skip("no network namespace can be made here; run as root");
    }
}

/// Runs `ip` with these words.
pub(crate) fn ip(args: &str) {
    let out = Command::new("ip").args(args.split(' ')).output().expect("ip is installed");
    assert!(out.status.success(), "ip {args}: {}", String::from_utf8_lossy(&out.stderr));
}
