//! Versions of the protocol, and the choice of one by two peers.

use std::fmt;

/// A version of OpenFlow. The order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// OpenFlow 1.0.
    V10,
    /// OpenFlow 1.1.
    V11,
    /// OpenFlow 1.2.
    V12,
    /// OpenFlow 1.3.
    V13,
    /// OpenFlow 1.4.
    V14,
    /// OpenFlow 1.5.
    V15,
}

impl Version {
    /// All versions, ascending.
    pub const ALL: [Version; 6] =
        [Version::V10, Version::V11, Version::V12, Version::V13, Version::V14, Version::V15];

    /// The number in a message's first octet: 1 to 6.
    pub const fn wire(self) -> u8 {
        self as u8 + 1
    }

    /// The version with this number in the header.
    pub fn from_wire(v: u8) -> Option<Version> {
        Version::ALL.get(usize::from(v).checked_sub(1)?).copied()
    }

    /// `OpenFlow10` to `OpenFlow15`, as in the `protocols` column of a bridge; also `OpenFlow1.3`.
    pub fn from_name(s: &str) -> Option<Version> {
        let digits = s.strip_prefix("OpenFlow")?;
        Version::ALL.into_iter().find(|v| {
            digits == format!("1{}", v.wire() - 1) || digits == format!("1.{}", v.wire() - 1)
        })
    }

    /// As in the `protocols` column.
    pub const fn name(self) -> &'static str {
        match self {
            Version::V10 => "OpenFlow10",
            Version::V11 => "OpenFlow11",
            Version::V12 => "OpenFlow12",
            Version::V13 => "OpenFlow13",
            Version::V14 => "OpenFlow14",
            Version::V15 => "OpenFlow15",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of versions by the bits of a hello's bitmap: bit N is the version with number N.
/// Bits of versions that are not known here are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionSet(pub u32);

impl VersionSet {
    /// 1.0 to 1.5.
    pub const ALL: VersionSet = VersionSet(0x7e);

    /// The set of one version.
    pub fn one(v: Version) -> VersionSet {
        VersionSet(1 << v.wire())
    }

    /// Every version up to the one numbered `wire`, which a hello without a bitmap stands for.
    pub fn up_to(wire: u8) -> VersionSet {
        if wire >= 31 { VersionSet(!1) } else { VersionSet((2u32 << wire) - 2) }
    }

    /// Whether `v` is in the set.
    pub fn contains(self, v: Version) -> bool {
        self.0 & (1 << v.wire()) != 0
    }

    /// Adds a version.
    pub fn insert(&mut self, v: Version) {
        self.0 |= 1 << v.wire();
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The highest known version in it.
    pub fn highest(self) -> Option<Version> {
        Version::ALL.into_iter().rev().find(|v| self.contains(*v))
    }

    /// The version that two peers shall speak, which is the highest both have
    /// (OpenFlow 1.5 clause 6.3.1).
    pub fn agree(self, peer: VersionSet) -> Option<Version> {
        VersionSet(self.0 & peer.0).highest()
    }

    /// A hello needs a bitmap when its version's number does not say it all.
    pub(crate) fn needs_bitmap(self) -> bool {
        self.highest().is_some_and(|v| v >= Version::V13 || self != VersionSet::up_to(v.wire()))
    }
}

impl FromIterator<Version> for VersionSet {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> VersionSet {
        let mut set = VersionSet(0);
        versions.into_iter().for_each(|v| set.insert(v));
        set
    }
}

/// As a hello's failure tells it: `version 0x04 and earlier`, `versions 0x01, 0x04`.
impl fmt::Display for VersionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = (0..32u8).filter(|b| self.0 & (1 << b) != 0).map(|b| format!("0x{b:02x}"));
        let names: Vec<String> = names.collect();
        match names.as_slice() {
            [] => f.write_str("no versions"),
            [one] => write!(f, "version {one}"),
            // All up to one, as a hello without a bitmap says.
            [.., last] if ((self.0 >> 1) + 1).is_power_of_two() => {
                write!(f, "version {last} and earlier")
            }
            all => write!(f, "versions {}", all.join(", ")),
        }
    }
}

/// How a connection speaks: the version, and for 1.0 whether flows are sent in the extended form
/// (NXM matches) and whether a flow_mod's command carries a table number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// The OpenFlow version.
    pub version: Version,
    /// `NXT_SET_FLOW_FORMAT` chose NXM; only meaningful for 1.0.
    pub nxm: bool,
    /// `NXT_FLOW_MOD_TABLE_ID` is on; only meaningful for 1.0.
    pub table_id: bool,
}

impl Protocol {
    /// As a connection starts.
    pub const fn new(version: Version) -> Protocol {
        Protocol { version, nxm: false, table_id: false }
    }

    /// For 1.0 with both extensions, which can say all that 1.0 can.
    pub const NXM_TID: Protocol = Protocol { version: Version::V10, nxm: true, table_id: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_gives_highest_common_version() {
        let us: VersionSet = [Version::V10, Version::V13, Version::V14].into_iter().collect();
        assert_eq!(us.0, 0x32);
        assert_eq!(us.agree(VersionSet::up_to(4)), Some(Version::V13));
        assert_eq!(us.agree(VersionSet::up_to(3)), Some(Version::V10));
        assert_eq!(us.agree(VersionSet::one(Version::V12)), None);
        assert_eq!(VersionSet::up_to(1), VersionSet::one(Version::V10));
        assert_eq!(VersionSet::up_to(0), VersionSet(0));
        assert!(VersionSet::up_to(255).contains(Version::V15));
        assert!(us.needs_bitmap());
        assert!(!VersionSet::one(Version::V10).needs_bitmap());
        assert!(VersionSet::one(Version::V12).needs_bitmap());
        assert_eq!(us.to_string(), "versions 0x01, 0x04, 0x05");
        assert_eq!(VersionSet::ALL.to_string(), "version 0x06 and earlier");
        assert_eq!(VersionSet(0x24).to_string(), "versions 0x02, 0x05");
    }

    #[test]
    fn version_is_found_by_its_names() {
        assert_eq!(Version::from_name("OpenFlow13"), Some(Version::V13));
        assert_eq!(Version::from_name("OpenFlow1.0"), Some(Version::V10));
        assert_eq!(Version::from_name("OpenFlow16"), None);
        assert_eq!(Version::from_wire(0), None);
        assert_eq!(Version::from_wire(7), None);
        assert_eq!(Version::from_wire(6), Some(Version::V15));
    }
}
