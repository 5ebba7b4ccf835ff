//! New row identifiers.

use ovsdb::Uuid;

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
        RowIds { pool: Vec::new(), seed: seed.map(|id| id.as_u128() as u64) }
    }

    /// A new one (version 4 of RFC 4122).
    pub fn draw(&mut self) -> Uuid {
        if self.pool.is_empty() {
            self.fill();
        }
        Uuid::from_random(self.pool.pop().unwrap_or_default())
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
    fn identifiers_differ_and_seeds_repeat() {
        let mut ids = RowIds::random();
        let drawn: std::collections::BTreeSet<Uuid> = (0..1000).map(|_| ids.draw()).collect();
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
