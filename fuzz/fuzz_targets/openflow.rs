//! OpenFlow messages from the network: any octets are read or refused, and what is read can be
//! written again. What was written by us reads the same from then on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::Protocol;
use openflow::codec::{decode, decode_hello, encode, peek};

fuzz_target!(|octets: &[u8]| {
    let Some((choice, rest)) = octets.split_first() else { return };
    // The length in the header is the reader's business, so it is made to fit.
    let mut message = rest.to_vec();
    if let (Some(field), Ok(len)) = (message.get_mut(2..4), u16::try_from(rest.len())) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    if message.len() >= 8 {
        let _ = decode_hello(&message);
    }
    let p = Protocol { nxm: choice & 1 != 0, table_id: choice & 2 != 0, ..Protocol::NXM_TID };
    let Ok(once) = decode(&message, p) else { return };
    assert!(peek(&message, once.version).is_ok_and(|p| p.fits));
    // What is read in one version's way and written in another's may lose something.
    let Ok(parts) = encode(&once, p) else { return };
    let [part] = parts.as_slice() else { return };
    let Ok(twice) = decode(part, p) else { return };
    let Ok(again) = encode(&twice, p) else { return };
    let [part] = again.as_slice() else { return };
    assert_eq!(decode(part, p).as_ref(), Ok(&twice), "{once:?}");
});
