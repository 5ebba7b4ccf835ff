//! How this process came to be allowed to make network namespaces.

use std::fs;
use std::io;

use super::Error;

/// What `enter` found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    /// The process already could.
    Root,
    /// An ordinary user, now root in a user namespace of its own.
    UserNamespace,
}

/// Whether this process may make network namespaces now. Asks the kernel, on a thread that ends.
pub fn sufficient() -> bool {
    std::thread::spawn(|| unshare(libc::CLONE_NEWNET).is_ok()).join().unwrap_or(false)
}

/// Makes sure that this process may create network namespaces and configure what is in them: as
/// it is when it may already, else in a user namespace of its own in which it is root.
///
/// Must be called while the process has one thread: the kernel refuses otherwise.
pub fn enter() -> Result<Privileges, Error> {
    // A forked child looks, because a thread may still be ending when `unshare` needs us alone.
    if child_may_unshare() {
        return Ok(Privileges::Root);
    }
    // SAFETY: getuid and getgid cannot fail and touch no memory.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    unshare(libc::CLONE_NEWUSER).map_err(|e| Error::Privileges(explain(&e)))?;
    let map = |file: &str, text: String| {
        fs::write(file, text).map_err(|e| Error::io(format!("cannot write {file}"), e))
    };
    // user_namespaces(7): an unprivileged process must give up setgroups before it maps groups.
    map("/proc/self/setgroups", "deny".into())?;
    map("/proc/self/uid_map", format!("0 {uid} 1"))?;
    map("/proc/self/gid_map", format!("0 {gid} 1"))?;
    if !child_may_unshare() {
        return Err(Error::Privileges(
            "this process is root in its own user namespace, yet the kernel still refuses it a \
             network namespace (user.max_net_namespaces may be 0, or a security module forbids \
             it). Run it as root."
                .into(),
        ));
    }
    Ok(Privileges::UserNamespace)
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare takes no pointer.
    match unsafe { libc::unshare(flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn child_may_unshare() -> bool {
    // SAFETY: the child calls only async-signal-safe functions.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(libc::unshare(libc::CLONE_NEWNET));
        }
        let mut status = 0;
        pid > 0 && libc::waitpid(pid, &mut status, 0) == pid && status == 0
    }
}

fn explain(e: &io::Error) -> String {
    let mut why = format!(
        "cannot make a user namespace ({}), and without root that is the only way to have \
         network namespaces.",
        posix::text(e)
    );
    let on = |file: &str, bad: &str| fs::read_to_string(file).is_ok_and(|v| v.trim() == bad);
    if on("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        why += " Here kernel.unprivileged_userns_clone is 0: \
                `sysctl kernel.unprivileged_userns_clone=1` allows it.";
    }
    if on("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        why += " Here AppArmor restricts user namespaces: \
                `sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows them.";
    }
    if on("/proc/sys/user/max_user_namespaces", "0") {
        why += " Here user.max_user_namespaces is 0.";
    }
    why + " Otherwise run it as root."
}
