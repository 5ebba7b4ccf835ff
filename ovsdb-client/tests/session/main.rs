//! The session and the blocking client against servers, real and fake.

harness::main!();

mod bad_server;
mod cluster;
mod common;
mod filters;
mod passive;
mod server;
mod tls;
