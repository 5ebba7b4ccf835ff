//! Row identifiers (RFC 9562 text form, RFC 7047 section 3.1).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Characters of the text form.
const TEXT: usize = uuid::fmt::Hyphenated::LENGTH;

/// A row's identifier: 16 bytes of any alignment, printed as `8-4-4-4-12` lower-case hexadecimal
/// digits. Ordered as their text is.
///
/// The `uuid` crate's type also reads texts in braces, without hyphens or with `urn:uuid:`, which
/// are no UUIDs in OVSDB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Uuid(uuid::Uuid);

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a UUID (accepted: 8-4-4-4-12 hexadecimal digits)")]
pub struct UuidError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl Uuid {
    /// The UUID with all bits zero, which is the default of a UUID column.
    pub const ZERO: Uuid = Uuid(uuid::Uuid::nil());

    /// The UUID with these 128 bits, most significant first.
    pub const fn from_u128(bits: u128) -> Uuid {
        Uuid(uuid::Uuid::from_u128(bits))
    }

    /// The 128 bits, most significant first.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// A random UUID (version 4, RFC 9562 section 5.4) from 128 random bits of the caller's.
    pub const fn from_random(bits: u128) -> Uuid {
        Uuid(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }

    /// Parses exactly 36 bytes of text; no allocation.
    pub fn parse_bytes(text: &[u8]) -> Option<Uuid> {
        // No other form that the crate accepts has this length.
        if text.len() != TEXT {
            return None;
        }
        uuid::Uuid::try_parse_ascii(text).ok().map(Uuid)
    }

    /// Appends the text form.
    pub fn push(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.hyphenated().encode_lower(&mut [0; TEXT]).as_bytes());
    }
}

/// As one number, which hashes faster than bytes.
impl Hash for Uuid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(*self.0.as_bytes()));
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Uuid, UuidError> {
        Uuid::parse_bytes(text.as_bytes())
            .ok_or_else(|| UuidError { text: text.chars().take(64).collect() })
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// From a plain JSON string, as the keys of a table update are.
impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Uuid;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_case_does_not_matter() {
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Uuid>().unwrap(), uuid);
        assert_eq!(uuid.as_u128(), 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let mut out = Vec::new();
        uuid.push(&mut out);
        assert_eq!(out, text.as_bytes());
        assert!(Uuid::from_u128(1) < uuid && uuid < Uuid::from_u128(u128::MAX));
    }

    #[test]
    fn other_text_is_refused_by_name() {
        for bad in
            ["", "x", "01234567-89ab-cdef-0123-456789abcde", "01234567+89ab-cdef-0123-456789abcdef"]
        {
            assert_eq!(bad.parse::<Uuid>().unwrap_err().text, bad);
        }
        // Forms of the crate's.
        for bad in [
            "0123456789abcdef0123456789abcdef",
            "{01234567-89ab-cdef-0123-456789abcdef}",
            "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
            "012345678-9ab-cdef-0123-456789abcdef",
            "{01234567-89ab-cdef-0123-456789abcd}",
            "{0123456789abcdef0123456789abcdef}  ",
            "urn:uuid:0123456789abcdef0123456789a",
            "0123456789abcdef0123456789abcdef0123",
            "+1234567-89ab-cdef-0123-456789abcdef",
        ] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
        assert!("é1234567-89ab-cdef-0123-456789abcde".parse::<Uuid>().is_err());
    }

    #[test]
    fn random_bits_get_version_and_variant() {
        let uuid = Uuid::from_random(u128::MAX).to_string();
        assert_eq!(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
