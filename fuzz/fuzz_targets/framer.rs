//! However a stream is cut into pieces, the messages in it are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb::Framer;

/// The messages of a stream, and whether it ended in an error.
fn messages(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut framer, mut found) = (Framer::default(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next_message() {
                Ok(Some(m)) => found.push(m.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = messages(&mut std::iter::once(stream));
    let cut = messages(&mut stream.chunks(usize::from(size).max(1)));
    assert_eq!(whole, cut);
});
