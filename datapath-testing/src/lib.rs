//! Test doubles for [`datapath`]. Only tests depend on this crate.
//!
//! - [`memory()`] makes a device in memory; [`MemoryPort`] is its outside end.
//! - [`Fake`] is a [`Datapath`](datapath::Datapath) without threads that records its calls.
//! - [`Chaos`] wraps another datapath and refuses, delays and drops operations from a seed.
#![warn(missing_docs)]

mod chaos;
mod fake;
mod memory;

pub use chaos::{Chaos, Faults};
pub use fake::{Call, Fake};
pub use memory::{MemoryIo, MemoryPort, memory};
