//! BFD packets and continuity checks that parse say the same after another trip over the wire,
//! and what a BFD frame carries lies inside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::bfd::{self, Packet};
use wire::ccm::Ccm;

fuzz_target!(|octets: &[u8]| {
    if let Ok(ccm) = Ccm::parse(octets) {
        assert_eq!(Ccm::parse(&ccm.emit()), Ok(ccm));
    }
    if let Ok(packet) = Packet::parse(octets) {
        let again = Packet { flags: bfd::flags_of(packet.poll, packet.fin), ..packet };
        assert_eq!(Packet::parse(&again.emit()), Ok(again));
    }
    if let Some(got) = bfd::receive(octets) {
        assert!(got.payload.len() <= octets.len());
        let _ = Packet::parse(got.payload);
    }
});
