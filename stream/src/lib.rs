//! Byte streams over TCP, TLS and Unix sockets for OVSDB and OpenFlow connections.
//!
//! - [`Target`]: where to connect or listen, and the parser of its text (`ovsdb(7)`, "Connection
//!   Methods").
//! - [`Stream`], [`Listener`], [`Lookup`]: non-blocking sockets that can be registered with a mio
//!   poll. A `Lookup` resolves a host name on a thread of its own.
//! - [`reconnect`]: when to connect, when to probe the peer, when to give up; without sockets and
//!   clock.

#![warn(missing_docs)]

mod listener;
mod lookup;
pub mod reconnect;
mod socket;
pub mod target;

pub use listener::{Accepted, Listener};
pub use lookup::Lookup;
pub use socket::Stream;
pub use target::{Host, Target, TargetError};
