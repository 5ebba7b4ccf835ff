//! Any frame has a flow key, and its layers lie inside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{extract, extract_layers};

fuzz_target!(|frame: &[u8]| {
    let key = extract(frame, 7);
    assert_eq!(key.in_port, 7);
    for max_vlans in 0..3 {
        let (_, layers) = extract_layers(frame, 7, max_vlans);
        assert!(layers.l3.is_none_or(|at| at <= frame.len()));
        assert!(layers.l4.is_none_or(|at| at <= frame.len()));
        assert!(layers.l4_end <= frame.len());
    }
});
