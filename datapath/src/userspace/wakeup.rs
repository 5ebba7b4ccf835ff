//! When the packet thread may sleep, and when it must be woken.
//!
//! The packet thread says that it is about to sleep and then looks for work once more. A sender
//! queues its work and then looks whether the packet thread sleeps. One of the two sees the other's
//! store, so that no wake-up is lost. `tests/loom.rs` checks this under the C11 memory model.

use crate::sync::{AtomicBool, Ordering, fence};

/// The state that the packet thread and the senders share.
pub(crate) struct Wakeup {
    /// The packet thread is asleep or about to sleep: a thread that queues work must wake it.
    asleep: AtomicBool,
    /// The packet thread runs one more round before it sleeps.
    round_requested: AtomicBool,
}

impl Wakeup {
    pub(crate) fn new() -> Wakeup {
        Wakeup { asleep: AtomicBool::new(false), round_requested: AtomicBool::new(false) }
    }

    /// Called by a sender after it has queued work. True: the caller must wake the packet thread.
    pub(crate) fn must_wake(&self) -> bool {
        // This is the store-buffer pattern: each side stores, then reads what the other stores.
        // Without a sequentially consistent fence between the two on both sides, both reads may miss
        // the other's store.
        fence(Ordering::SeqCst);
        self.asleep.swap(false, Ordering::SeqCst)
    }

    /// Makes the packet thread run one more round. True: the caller must wake it.
    pub(crate) fn request_round(&self) -> bool {
        self.round_requested.store(true, Ordering::SeqCst);
        self.must_wake()
    }

    /// Called by the packet thread when it has nothing to do. True: it may sleep. `is_idle` looks for
    /// queued work.
    pub(crate) fn before_sleep(&self, is_idle: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let sleep = is_idle() && !self.round_requested.swap(false, Ordering::SeqCst);
        if !sleep {
            self.asleep.store(false, Ordering::SeqCst);
        }
        sleep
    }

    /// Called by the packet thread when it has been woken.
    pub(crate) fn after_sleep(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}
