//! OpenFlow port numbers.

use std::fmt;

use crate::error::OfError;

/// A port number of OpenFlow 1.0 in its 16 bits; the 32-bit numbers of 1.1 and later map to it
/// (`0xffffff00` and above to `0xff00` and above, those between are refused).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfPort(pub u16);

impl OfPort {
    /// First number that is not a port's own.
    pub const MAX: OfPort = OfPort(0xff00);
    /// Only in a match of the action set's output: none.
    pub const UNSET: OfPort = OfPort(0xfff7);
    /// The port that the packet was received on (`OFPP_IN_PORT`).
    pub const IN_PORT: OfPort = OfPort(0xfff8);
    /// Process by the flow tables; for packet-outs only (`OFPP_TABLE`).
    pub const TABLE: OfPort = OfPort(0xfff9);
    /// Process as a switch without OpenFlow (`OFPP_NORMAL`).
    pub const NORMAL: OfPort = OfPort(0xfffa);
    /// All ports but the input port and those with `NO_FLOOD` (`OFPP_FLOOD`).
    pub const FLOOD: OfPort = OfPort(0xfffb);
    /// All ports but the input port (`OFPP_ALL`).
    pub const ALL: OfPort = OfPort(0xfffc);
    /// The controller (`OFPP_CONTROLLER`).
    pub const CONTROLLER: OfPort = OfPort(0xfffd);
    /// The bridge's own network device (`OFPP_LOCAL`).
    pub const LOCAL: OfPort = OfPort(0xfffe);
    /// Also the wildcard `ANY`.
    pub const NONE: OfPort = OfPort(0xffff);
    /// No port, or any port (`OFPP_NONE` in 1.0, `OFPP_ANY` later).
    pub const ANY: OfPort = OfPort(0xffff);

    const RESERVED: [(OfPort, &str); 10] = [
        (OfPort::UNSET, "UNSET"),
        (OfPort::IN_PORT, "IN_PORT"),
        (OfPort::TABLE, "TABLE"),
        (OfPort::NORMAL, "NORMAL"),
        (OfPort::FLOOD, "FLOOD"),
        (OfPort::ALL, "ALL"),
        (OfPort::CONTROLLER, "CONTROLLER"),
        (OfPort::LOCAL, "LOCAL"),
        // The first of a number's names is the one that is shown.
        (OfPort::ANY, "ANY"),
        (OfPort::NONE, "NONE"),
    ];

    /// From the 32 bits of 1.1 and later.
    pub fn from_wire32(v: u32) -> Result<OfPort, OfError> {
        match v {
            0..0xff00 => Ok(OfPort(v as u16)),
            0xffff_ff00.. => Ok(OfPort(v as u16)),
            _ => Err(OfError::BacBadOutPort),
        }
    }

    /// For 1.1 and later.
    pub const fn to_wire32(self) -> u32 {
        if self.0 < OfPort::MAX.0 { self.0 as u32 } else { self.0 as u32 | 0xffff_0000 }
    }

    /// A port's own number, not a reserved one.
    pub const fn is_physical(self) -> bool {
        self.0 < OfPort::MAX.0
    }

    /// The name of a reserved port.
    pub fn reserved_name(self) -> Option<&'static str> {
        OfPort::RESERVED.iter().find(|(p, _)| *p == self).map(|(_, n)| *n)
    }

    /// A reserved port by its name, in any case of letters.
    pub fn from_reserved_name(s: &str) -> Option<OfPort> {
        OfPort::RESERVED.iter().find(|(_, n)| n.eq_ignore_ascii_case(s)).map(|(p, _)| *p)
    }

    /// Whether an action may send to it.
    pub fn check_output(self) -> Result<(), OfError> {
        match self {
            OfPort::NONE => Err(OfError::BacBadOutPort),
            OfPort::IN_PORT
            | OfPort::TABLE
            | OfPort::NORMAL
            | OfPort::FLOOD
            | OfPort::ALL
            | OfPort::CONTROLLER
            | OfPort::LOCAL => Ok(()),
            p if p.is_physical() => Ok(()),
            _ => Err(OfError::BacBadOutPort),
        }
    }
}

/// The number, or a reserved port's name in capitals.
impl fmt::Display for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reserved_name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_convert_between_16_and_32_bits() {
        assert_eq!(OfPort::from_wire32(0xffff_fffe), Ok(OfPort::LOCAL));
        assert_eq!(OfPort::from_wire32(0xfeff), Ok(OfPort(0xfeff)));
        assert_eq!(OfPort::from_wire32(0xff00), Err(OfError::BacBadOutPort));
        assert_eq!(OfPort::from_wire32(0xffff_feff), Err(OfError::BacBadOutPort));
        for p in [0, 1, 0xfeff, 0xff00, 0xffff] {
            assert_eq!(OfPort::from_wire32(OfPort(p).to_wire32()), Ok(OfPort(p)));
        }
        assert_eq!(OfPort(7).to_string(), "7");
        assert_eq!(OfPort::IN_PORT.to_string(), "IN_PORT");
        assert_eq!(OfPort::from_reserved_name("local"), Some(OfPort::LOCAL));
    }
}
