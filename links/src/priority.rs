//! Scheduling priority of threads.

/// On a busy machine links come before packets and configuration. Without the privilege to say
/// so the thread has its turn like any other.
pub(crate) fn go_first() {
    // SAFETY: only numbers; on Linux 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}
