//! Datapath port numbers.

use std::fmt;

/// A datapath port number; not an OpenFlow port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNo(pub u32);

impl PortNo {
    /// No port: the `in_port` of a packet that the switch made itself.
    pub const NONE: PortNo = PortNo(u32::MAX);
}

impl fmt::Display for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
