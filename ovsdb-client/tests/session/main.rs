//! The session and the blocking client against servers, real and fake.

mod bad_server;
mod common;
mod server;
