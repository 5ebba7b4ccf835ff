//! The faults of a link.

use std::fmt;

use serde::{Serialize, Serializer};

/// A set of faults. Open vSwitch's `overflow` does not exist here, since it never sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u8);

impl Faults {
    /// No fault.
    pub const NONE: Faults = Faults(0);
    /// No remote point was received.
    pub const RECV: Faults = Faults(1);
    /// A remote point reports that it does not receive us (remote defect indication).
    pub const RDI: Faults = Faults(2);
    /// A message had the identifier of another maintenance association.
    pub const MAID: Faults = Faults(4);
    /// A message had our own maintenance point identifier.
    pub const LOOPBACK: Faults = Faults(8);
    /// Set by `cfm/set-fault`.
    pub const OVERRIDE: Faults = Faults(32);

    const NAMES: [(Faults, &'static str); 5] = [
        (Faults::RECV, "recv"),
        (Faults::RDI, "rdi"),
        (Faults::MAID, "maid"),
        (Faults::LOOPBACK, "loopback"),
        (Faults::OVERRIDE, "override"),
    ];

    /// Adds the faults of `other`.
    pub fn add(&mut self, other: Faults) {
        self.0 |= other.0;
    }

    /// The names of the faults in the order of `cfm/show`.
    pub fn names(self) -> Vec<&'static str> {
        Faults::NAMES.iter().filter(|(f, _)| self.0 & f.0 != 0).map(|(_, name)| *name).collect()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.names())
    }
}
