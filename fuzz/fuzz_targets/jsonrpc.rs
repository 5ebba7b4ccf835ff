//! What the control socket and the database connection do with a stream: frame it, then read each
//! message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb::{Framer, jsonrpc};

fuzz_target!(|stream: &[u8]| {
    let mut framer = Framer::default();
    framer.push(stream);
    while let Ok(Some(message)) = framer.next_message() {
        let _ = jsonrpc::parse(message);
    }
});
