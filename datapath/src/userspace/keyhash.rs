//! Hashes of flow keys, for the caches only: never printed, never sent.
//!
//! Pairs of words are multiplied to 128 bits and folded, each pair with its own secrets, and the
//! results are added: the multiplications are independent of each other. The secrets come from a
//! seed, so that a sender cannot choose packets that collide. All 64 bits of the result are well
//! distributed, which hashbrown needs (it takes its tag from the top bits).

use wire::FlowKey;

/// The words of a key that tell connections apart. Later ones (neighbour discovery, ARP
/// hardware addresses, priority) are left out of the full hash: keys that differ only there
/// share a slot of the signature cache and are told apart by the classifier.
const FULL_WORDS: usize = 11;

/// Word 5 holds TOS, TTL, TCP flags and the first part of the source address. TTL and flags
/// change from packet to packet of one connection, so they stay out of the full hash.
const fn full_mask() -> u64 {
    let b = [0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    u64::from_ne_bytes(b)
}

/// The index of the word that `full_mask` is for.
const VOLATILE_WORD: usize = 5;

const _: () = {
    assert!(std::mem::offset_of!(FlowKey, nw_tos) == VOLATILE_WORD * 8);
    assert!(std::mem::offset_of!(FlowKey, nw_ttl) == VOLATILE_WORD * 8 + 1);
    assert!(std::mem::offset_of!(FlowKey, tcp_flags) == VOLATILE_WORD * 8 + 2);
    assert!(std::mem::offset_of!(FlowKey, tp_dst) < FULL_WORDS * 8);
};

/// Secrets made from a seed.
#[derive(Clone)]
pub(crate) struct KeyHasher {
    secret: [u64; FlowKey::WORDS + 1],
}

/// 64 x 64 bits to 128, halves combined.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let m = u128::from(a) * u128::from(b);
    (m as u64) ^ ((m >> 64) as u64)
}

impl KeyHasher {
    pub(crate) fn new(seed: u64) -> KeyHasher {
        // SplitMix64 (Steele, Lea and Flood, 2014): any seed gives well-spread words.
        let mut x = seed;
        let secret = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        KeyHasher { secret }
    }

    /// Hash of the words that distinguish connections.
    #[inline]
    pub(crate) fn full(&self, key: &FlowKey) -> u64 {
        let (w, s) = (key.words(), &self.secret);
        let v = w[VOLATILE_WORD] & full_mask();
        let a = fold(w[0] ^ s[0], w[1] ^ s[1]);
        let b = fold(w[2] ^ s[2], w[3] ^ s[3]);
        let c = fold(w[4] ^ s[4], v ^ s[5]);
        let d = fold(w[6] ^ s[6], w[7] ^ s[7]);
        let e = fold(w[8] ^ s[8], w[9] ^ s[9]);
        let f = fold(w[10] ^ s[10], s[11]);
        let sum = a.wrapping_add(b).wrapping_add(c).wrapping_add(d).wrapping_add(e).wrapping_add(f);
        fold(sum ^ s[12], s[13] | 1)
    }

    /// Hash of the bits of `key` that `words` selects: pairs of word index and mask.
    #[inline]
    pub(crate) fn masked(&self, key: &FlowKey, words: &[(u8, u64)]) -> u64 {
        let (w, s) = (key.words(), &self.secret);
        let pick = |(i, m): (u8, u64)| (w[i as usize] & m) ^ s[i as usize];
        let mut sum = 0u64;
        let mut pairs = words.chunks_exact(2);
        for p in &mut pairs {
            sum = sum.wrapping_add(fold(pick(p[0]), pick(p[1])));
        }
        if let [last] = *pairs.remainder() {
            sum = sum.wrapping_add(fold(pick(last), s[FlowKey::WORDS]));
        }
        fold(sum ^ s[12], s[13] | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearby_keys_spread_over_top_and_bottom_bits() {
        let h = KeyHasher::new(7);
        let (mut low, mut top) = (vec![0u32; 256], vec![0u32; 128]);
        let mut key = FlowKey { in_port: 1, eth_type: 0x0800, nw_proto: 17, ..Default::default() };
        let words: Vec<(u8, u64)> = (0..FlowKey::WORDS as u8).map(|i| (i, u64::MAX)).collect();
        for n in 0..25_600u32 {
            key.nw_dst[12..].copy_from_slice(&n.to_be_bytes());
            for v in [h.full(&key), h.masked(&key, &words)] {
                low[(v & 255) as usize] += 1;
                top[(v >> 57) as usize] += 1;
            }
        }
        // 200 and 400 expected; six standard deviations.
        assert!(low.iter().all(|&n| (115..285).contains(&n)), "{low:?}");
        assert!(top.iter().all(|&n| (280..520).contains(&n)), "{top:?}");
    }

    #[test]
    fn ttl_and_flags_leave_the_full_hash_alone() {
        let h = KeyHasher::new(1);
        let a = FlowKey { nw_ttl: 64, tcp_flags: 2, tp_src: 9, ..Default::default() };
        let b = FlowKey { nw_ttl: 63, tcp_flags: 16, tp_src: 9, ..Default::default() };
        assert_eq!(h.full(&a), h.full(&b));
        assert_ne!(h.full(&a), h.full(&FlowKey { tp_src: 10, ..a }));
        assert_ne!(h.full(&a), h.full(&FlowKey { nw_tos: 1, ..a }));
    }
}
