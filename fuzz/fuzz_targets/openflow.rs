//! OpenFlow messages from the network: any octets are read or refused, and what is read can be
//! written again and reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::Protocol;
use openflow::codec::{decode, decode_hello, encode};

fuzz_target!(|octets: &[u8]| {
    let Some((choice, rest)) = octets.split_first() else { return };
    // The length in the header is the reader's business, so it is made to fit.
    let mut message = rest.to_vec();
    if let (Some(field), Ok(len)) = (message.get_mut(2..4), u16::try_from(rest.len())) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    let _ = decode_hello(&message);
    let p = Protocol { nxm: choice & 1 != 0, table_id: choice & 2 != 0, ..Protocol::NXM_TID };
    let Ok(once) = decode(&message, p) else { return };
    let Ok(parts) = encode(&once, p) else { return };
    if let [part] = parts.as_slice() {
        let _ = decode(part, p);
    }
});
