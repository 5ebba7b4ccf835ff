//! SIGINT, SIGTERM and SIGHUP end the lab in good order.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use testbed::Error;

static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    RECEIVED.store(signal, Relaxed);
}

/// From here on the signals are only noted.
pub(super) fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler does nothing but store to an atomic.
        unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
    }
}

/// The number of a signal that has come.
pub(super) fn received() -> Option<u8> {
    u8::try_from(RECEIVED.load(Relaxed)).ok().filter(|s| *s != 0)
}

/// Forgets a signal that was meant for somebody else at the same terminal.
pub(super) fn forget() {
    RECEIVED.store(0, Relaxed);
}

/// An error if a signal has come.
pub(super) fn check() -> Result<(), Error> {
    match received() {
        None => Ok(()),
        Some(s) => Err(Error::Daemon(format!("ended by signal {s}"))),
    }
}

/// Sleeps in small steps, so that a signal ends it.
pub(crate) fn pause(d: std::time::Duration) -> Result<(), testbed::Error> {
    let end = std::time::Instant::now() + d;
    loop {
        check()?;
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(std::time::Duration::from_millis(10)));
    }
}
