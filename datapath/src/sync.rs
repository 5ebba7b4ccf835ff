//! The synchronisation types of the modules that `tests/loom.rs` checks.
//!
//! That test includes the sources of those modules and gives them loom's types under these names.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

pub(crate) use arc_swap::{ArcSwap, Cache, Guard};
pub(crate) use parking_lot::Mutex;
