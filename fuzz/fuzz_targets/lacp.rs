//! An LACPDU that parses says the same after another trip over the wire.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::lacp::{LACPDU_LEN, Lacpdu};

fuzz_target!(|octets: &[u8]| {
    if let Ok(pdu) = Lacpdu::parse(octets) {
        let emitted = pdu.emit();
        assert_eq!(emitted.len(), LACPDU_LEN);
        assert_eq!(Lacpdu::parse(&emitted), Ok(pdu));
    }
});
