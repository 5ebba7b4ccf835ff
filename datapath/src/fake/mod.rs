//! Stand-ins for tests: a device in memory, and a datapath that records what it is told.

mod port;

pub use port::{MemoryIo, MemoryPort, memory};
