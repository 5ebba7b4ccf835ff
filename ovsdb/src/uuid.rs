//! Row identifiers (RFC 4122 text form, RFC 7047 section 3.1).

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A row's identifier: 128 bits, printed as `8-4-4-4-12` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(u128);

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a UUID (accepted: 8-4-4-4-12 hexadecimal digits)")]
pub struct UuidError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

impl Uuid {
    /// The UUID with all bits zero, which is the default of a UUID column.
    pub const ZERO: Uuid = Uuid(0);

    /// The UUID with these 128 bits, most significant first.
    pub const fn from_u128(bits: u128) -> Uuid {
        Uuid(bits)
    }

    /// The 128 bits, most significant first.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// A random UUID (version 4, variant 1) from 128 random bits of the caller's.
    pub const fn from_random(bits: u128) -> Uuid {
        let version = (bits & !(0xf << 76)) | (0x4 << 76);
        Uuid((version & !(0x3 << 62)) | (0x2 << 62))
    }

    /// Parses exactly 36 bytes of text; no allocation.
    pub fn parse_bytes(text: &[u8]) -> Option<Uuid> {
        if text.len() != 36 {
            return None;
        }
        let mut bits: u128 = 0;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = (byte as char).to_digit(16)?;
            bits = (bits << 4) | u128::from(digit);
        }
        Some(Uuid(bits))
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
        let b = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (b >> 96) as u32,
            (b >> 80) as u16,
            (b >> 64) as u16,
            (b >> 48) as u16,
            b & 0xffff_ffff_ffff
        )
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
    }

    #[test]
    fn other_text_is_refused_by_name() {
        for bad in
            ["", "x", "01234567-89ab-cdef-0123-456789abcde", "01234567+89ab-cdef-0123-456789abcdef"]
        {
            assert_eq!(bad.parse::<Uuid>().unwrap_err().text, bad);
        }
        assert!("é1234567-89ab-cdef-0123-456789abcde".parse::<Uuid>().is_err());
    }

    #[test]
    fn random_bits_get_version_and_variant() {
        let uuid = Uuid::from_random(u128::MAX).to_string();
        assert_eq!(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
