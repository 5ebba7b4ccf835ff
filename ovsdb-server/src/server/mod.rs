//! The server: databases, sessions, and the methods that join them.

use std::sync::Arc;

/// The time, from whoever runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back. Time-outs are counted in it.
    pub mono_ms: u64,
    /// Milliseconds since 1970 UTC, for the `_date` of records on disk.
    pub wall_ms: i64,
}

/// A client's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionOptions {
    /// Nothing may be changed or locked.
    pub read_only: bool,
}

/// Bytes to be sent.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// For this session only.
    Own(Vec<u8>),
    /// The same bytes go to others.
    Shared(Arc<Vec<u8>>),
}

impl Chunk {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }
}

/// The server.
#[derive(Debug)]
pub struct Server {}
