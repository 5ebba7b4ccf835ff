//! Calls of the revalidator, and its rounds.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// See the module.
#[derive(Default)]
pub(crate) struct RevalidatorCalls {
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// It has been called and has not begun a round since.
    called: AtomicBool,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl RevalidatorCalls {
    /// Sets how its thread is woken. Only the first call has an effect.
    pub(crate) fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let _ = self.waker.set(waker);
    }

    /// Calls it, unless it has been called already.
    pub(crate) fn call(&self) {
        if !self.called.swap(true, Ordering::AcqRel)
            && let Some(wake) = self.waker.get()
        {
            wake();
        }
    }

    /// A round begins; its number.
    pub(crate) fn begin(&self) -> u64 {
        self.called.store(false, Ordering::Release);
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The round of this number has looked at every flow.
    pub(crate) fn end(&self, round: u64) {
        self.ended.store(round, Ordering::Release);
    }

    /// Rounds that have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// The latest round that has looked at every flow.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }
}
