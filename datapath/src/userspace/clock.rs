//! The clock that the packet thread reads.

use wire::Time;

/// The clock of the daemon. Read once a round, from the packet thread.
pub trait Clock: Send + Sync {
    /// The current time; monotonic.
    fn now(&self) -> Time;

    /// The packet thread begins a round.
    fn round_begins(&self) {}

    /// A round has ended; `busy` if there was anything to do. After one that was not, the thread
    /// sleeps until a packet or a command comes, or until [`Userspace::waker`](super::Userspace::waker) is called.
    fn round_ends(&self, busy: bool) {
        let _ = busy;
    }
}

impl<F: Fn() -> Time + Send + Sync> Clock for F {
    fn now(&self) -> Time {
        self()
    }
}
