//! What is wrong with a link, as a set.

use std::fmt;

use serde::{Serialize, Serializer};

/// A set of reasons. Open vSwitch's `overflow` is not among them: it never sets it either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u8);

impl Faults {
    pub const NONE: Faults = Faults(0);
    /// Nobody was heard.
    pub const RECV: Faults = Faults(1);
    /// Somebody says that he does not hear us.
    pub const RDI: Faults = Faults(2);
    /// A message of another maintenance association.
    pub const MAID: Faults = Faults(4);
    /// Our own identifier came back.
    pub const LOOPBACK: Faults = Faults(8);
    /// `cfm/set-fault`.
    pub const OVERRIDE: Faults = Faults(32);

    const NAMES: [(Faults, &'static str); 5] = [
        (Faults::RECV, "recv"),
        (Faults::RDI, "rdi"),
        (Faults::MAID, "maid"),
        (Faults::LOOPBACK, "loopback"),
        (Faults::OVERRIDE, "override"),
    ];

    pub fn add(&mut self, other: Faults) {
        self.0 |= other.0;
    }

    /// The reasons in `cfm/show`'s order.
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
