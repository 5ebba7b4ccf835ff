//! Errors by their names, and their numbers in each version.

use crate::version::Version;

/// Nicira's (Open vSwitch's) vendor number.
pub const NX_VENDOR: u32 = 0x0000_2320;
/// The Open Networking Foundation's vendor number.
pub const ONF_VENDOR: u32 = 0x4f4e_4600;

/// An error as it stands in one version's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// 0 for a standard error.
    pub vendor: u32,
    /// Error type (`OFPET_*`).
    pub typ: u16,
    /// Always 0 for a vendor's error of version 1.2 and later, which has only a type.
    pub code: u16,
}

struct Numbers {
    vendor: u32,
    first: u8,
    last: u8,
    typ: u16,
    code: u16,
}

macro_rules! vendor {
    (OF) => {
        0
    };
    (NX) => {
        NX_VENDOR
    };
    (ONF) => {
        ONF_VENDOR
    };
}

macro_rules! errors {
    ($($variant:ident $name:literal: $($vendor:ident $first:literal $last:literal
        $typ:literal $code:literal),+;)+) => {
        /// What can be wrong with a message: every error that OpenFlow 1.0 to 1.5 and the
        /// extensions define, independent of the version spoken.
        ///
        /// The variant is the specification's name without its `OFP`; `Nx` stands before those
        /// of the extensions.
        #[expect(missing_docs, reason = "the variants have the specification's names")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum OfError { $($variant),+ }

        impl OfError {
            /// All of them, in the order in which ambiguous numbers are looked up.
            pub const ALL: &[OfError] = &[$(OfError::$variant),+];

            /// The specification's name, such as `OFPBRC_BAD_TYPE`.
            pub const fn name(self) -> &'static str {
                match self { $(OfError::$variant => $name),+ }
            }

            fn numbers(self) -> &'static [Numbers] {
                match self {
                    $(OfError::$variant => &[$(Numbers {
                        vendor: vendor!($vendor),
                        first: $first + 1,
                        last: $last + 1,
                        typ: $typ,
                        code: $code,
                    }),+]),+
                }
            }
        }
    };
}

include!("error_table.rs");

impl OfError {
    /// The error's numbers in `version`; `None` if it cannot be said there.
    pub fn code(self, version: Version) -> Option<ErrorCode> {
        let v = version.wire();
        let n = self.numbers().iter().find(|n| (n.first..=n.last).contains(&v))?;
        Some(ErrorCode { vendor: n.vendor, typ: n.typ, code: n.code })
    }

    /// The error that has these numbers in `version`.
    pub fn from_code(version: Version, code: ErrorCode) -> Option<OfError> {
        OfError::ALL.iter().copied().find(|e| e.code(version) == Some(code))
    }

    /// The error that can be sent in `version` to say this one: itself, or that it cannot be said.
    pub fn sendable(self, version: Version) -> OfError {
        if self.code(version).is_some() { self } else { OfError::NxBrcUnencodableError }
    }
}

impl std::fmt::Display for OfError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for OfError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_number_depends_on_version() {
        let e = OfError::FmfcOverlap;
        assert_eq!(e.code(Version::V10), Some(ErrorCode { vendor: 0, typ: 3, code: 1 }));
        assert_eq!(e.code(Version::V13), Some(ErrorCode { vendor: 0, typ: 5, code: 3 }));
        let e = OfError::BrcBadTableId;
        assert_eq!(e.code(Version::V10), Some(ErrorCode { vendor: NX_VENDOR, typ: 1, code: 512 }));
        assert_eq!(OfError::BmcBadType.code(Version::V10), None);
        assert_eq!(OfError::BmcBadType.sendable(Version::V10), OfError::NxBrcUnencodableError);
    }

    /// Every number leads back to its error, but for those that versions 1.0 and 1.1 merge.
    #[test]
    fn error_number_leads_back_to_its_error() {
        for v in Version::ALL {
            for e in OfError::ALL {
                let Some(code) = e.code(v) else { continue };
                let back = OfError::from_code(v, code).unwrap();
                if back != *e {
                    let merged = [
                        (OfError::BrcEperm, OfError::BrcIsSecondary),
                        (OfError::BicBadExperimenter, OfError::BicBadExpType),
                    ];
                    assert!(merged.contains(&(back, *e)), "{v} {back} {e}");
                }
            }
        }
    }
}
