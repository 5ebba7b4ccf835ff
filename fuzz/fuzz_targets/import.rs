//! Configuration of Linux bonds in any format, to the commands of a switch.
#![no_main]

use std::path::Path;

use import::read::{Format, text_of};
use libfuzzer_sys::fuzz_target;

const FORMATS: [Format; 9] = [
    Format::Ifcfg,
    Format::Keyfile,
    Format::Interfaces,
    Format::Netplan,
    Format::Networkd,
    Format::Teamd,
    Format::Proc,
    Format::Link,
    Format::Modprobe,
];

fuzz_target!(|input: (u8, &str)| {
    let format = FORMATS[usize::from(input.0) % FORMATS.len()];
    // The name of a file that holds routes is read otherwise.
    for name in ["bond0", "route-bond0"] {
        if let Ok(profiles) = text_of(Path::new(name), input.1, format) {
            for bond in import::bond::assemble(profiles) {
                let _ = import::plan::plan(&bond, None).script();
            }
        }
    }
});
