//! The actions of a flow, as the revalidator replaces them and the packet thread reads them.

use std::sync::Arc;

use crate::action::Action;
use crate::sync::{ArcSwap, AtomicU32, Guard, Ordering};

/// The actions of a flow, replaced as a whole.
///
/// The packet thread keeps a copy and compares only a version number to see whether it is current.
pub struct FlowActions {
    list: ArcSwap<Vec<Action>>,
    /// Incremented after each replacement.
    version: AtomicU32,
}

impl FlowActions {
    pub(crate) fn new(actions: Vec<Action>) -> FlowActions {
        FlowActions { list: ArcSwap::from_pointee(actions), version: AtomicU32::new(0) }
    }

    /// The current actions, borrowed.
    pub fn load(&self) -> Guard<Arc<Vec<Action>>> {
        self.list.load()
    }

    /// The current actions, shared.
    pub fn load_full(&self) -> Arc<Vec<Action>> {
        self.list.load_full()
    }

    /// Replaces the actions; packets that arrive later get them.
    pub fn store(&self, actions: Arc<Vec<Action>>) {
        self.list.store(actions);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The version to store with the actions that a later `load_full` returns. Read in this order, a
    /// copy may be newer than its version and is then loaded once more; it is never older.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }
}
