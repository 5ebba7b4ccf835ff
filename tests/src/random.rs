//! Random choices that a printed seed replays.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The environment variable `BRAID_SEED`, or else a number from the clock.
pub fn seed() -> u64 {
    let given = std::env::var("BRAID_SEED").ok().and_then(|s| s.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    })
}

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// With [`seed`], which is printed.
    pub fn new() -> Random {
        let seed = seed();
        println!("BRAID_SEED={seed}");
        Random::seeded(seed)
    }

    /// With a given seed.
    pub fn seeded(seed: u64) -> Random {
        Random(seed | 1)
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.next_u64() >> 16) % n as u64) as usize
    }

    /// At most this many milliseconds, often none.
    pub fn pause(&mut self, most: usize) -> Duration {
        let ms = if self.below(3) == 0 { 0 } else { self.below(most + 1) };
        Duration::from_millis(ms as u64)
    }

    /// Fewer than `most` random octets.
    pub fn octets(&mut self, most: u64) -> Vec<u8> {
        let n = self.next_u64() % most;
        (0..n).map(|_| self.next_u64() as u8).collect()
    }
}

impl Default for Random {
    fn default() -> Random {
        Random::new()
    }
}
