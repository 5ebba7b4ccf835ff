//! What is typed as a flow: in the notations of commands and of the datapath.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::text::{FlowText, NoNames, parse_exact_flow, parse_flow};
use openflow::text::{print_actions, print_match};

fuzz_target!(|text: &str| {
    if let Ok(f) = parse_flow(text, FlowText::WithCommand, &NoNames) {
        let _ = print_match(&f.matching, f.priority, &NoNames);
        let _ = print_actions(&f.actions, &NoNames);
    }
    let _ = parse_exact_flow(text, &NoNames);
    let _ = datapath::format::parse::flow(text, &|_| None);
    let _ = datapath::format::parse::packet(text, &|_| None);
});
