//! Row identifiers as the engine keeps them: 16 bytes of any alignment.

use std::fmt;
use std::hash::{Hash, Hasher};

use ovsdb::Uuid;

/// A UUID in 16 bytes, most significant first. An [`Uuid`] is a `u128`, whose alignment would make
/// every value of every column a third larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RowId([u8; 16]);

impl RowId {
    /// All bits zero, the default of a UUID column.
    pub const ZERO: RowId = RowId([0; 16]);

    /// From text, exactly 36 bytes.
    pub fn parse(text: &str) -> Option<RowId> {
        Uuid::parse_bytes(text.as_bytes()).map(RowId::from)
    }

    /// Appends the text form.
    pub fn push(self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (n, byte) in self.0.iter().enumerate() {
            if matches!(n, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        out.extend_from_slice(&text);
    }
}

impl From<Uuid> for RowId {
    fn from(uuid: Uuid) -> RowId {
        RowId(uuid.as_u128().to_be_bytes())
    }
}

impl From<RowId> for Uuid {
    fn from(id: RowId) -> Uuid {
        Uuid::from_u128(u128::from_be_bytes(id.0))
    }
}

impl Hash for RowId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from(*self), f)
    }
}

impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where new identifiers come from.
#[derive(Debug)]
pub struct RowIds {
    pool: Vec<u128>,
    seed: Option<u64>,
}

/// Identifiers drawn from the system at once.
const POOL: usize = 64;

impl RowIds {
    /// From the system's random numbers.
    pub fn random() -> RowIds {
        RowIds { pool: Vec::new(), seed: None }
    }

    /// The same sequence for the same seed, for tests.
    pub fn seeded(seed: u64) -> RowIds {
        RowIds { pool: Vec::new(), seed: Some(seed) }
    }

    /// Another source, for another thread.
    pub fn split(&mut self) -> RowIds {
        let seed = self.seed.map(|_| self.draw());
        RowIds { pool: Vec::new(), seed: seed.map(|id| Uuid::from(id).as_u128() as u64) }
    }

    /// A new one (version 4 of RFC 4122).
    pub fn draw(&mut self) -> RowId {
        if self.pool.is_empty() {
            self.fill();
        }
        Uuid::from_random(self.pool.pop().unwrap_or_default()).into()
    }

    fn fill(&mut self) {
        let mut bytes = [0_u8; POOL * 16];
        match &mut self.seed {
            None => {
                let mut filled = 0;
                // The system's generator does not fail once it is there; a signal may interrupt it.
                while filled < bytes.len() {
                    let flags = rustix::rand::GetRandomFlags::empty();
                    filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
                }
            }
            Some(state) => {
                for chunk in bytes.chunks_exact_mut(8) {
                    // SplitMix64.
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    chunk.copy_from_slice(&(z ^ (z >> 31)).to_ne_bytes());
                }
            }
        }
        let (chunks, _) = bytes.as_chunks::<16>();
        self.pool.extend(chunks.iter().map(|chunk| u128::from_ne_bytes(*chunk)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_that_of_a_uuid() {
        let text = "01234567-89ab-4def-8123-456789abcdef";
        let id = RowId::parse(text).unwrap();
        let mut out = Vec::new();
        id.push(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn identifiers_differ_and_seeds_repeat() {
        let mut ids = RowIds::random();
        let drawn: std::collections::BTreeSet<RowId> = (0..1000).map(|_| ids.draw()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|id| id.to_string().as_bytes()[14] == b'4'));
        let sequence = |seed| {
            let mut ids = RowIds::seeded(seed);
            [ids.draw(), ids.draw()]
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }
}
