//! The signature cache: full hash of a packet's key to the flow that it hit last.
//!
//! An entry is eight octets: 32 bits of hash and the flow's number. It holds no key and no
//! reference. Whoever looks an entry up checks that the flow, which he must touch anyway, matches
//! the packet; megaflows that match the same packet do the same, so any match is right. A number
//! that was given to another flow since, or to none, is thus a miss and no danger, and a removed
//! flow's memory goes at once.
//!
//! The size is fixed. Memory is only used where entries are: with few flows a few pages.

use super::prefetch::prefetch;

/// Entries of a set; one set is half a cache line.
const WAYS: usize = 4;
/// 2 MiB when full; 100,000 connections find room.
const SETS: usize = 1 << 16;
/// When a set is full of others, one insertion in this many takes a place. Many more connections
/// than entries would else push each other out before any is used again.
const INSERT_INV_PROB: u32 = 16;

pub(crate) struct SignatureCache {
    /// `WAYS` entries for each set: signature in the high half; flow number plus one in the low
    /// half, 0 = empty. Zeroed by the kernel: pages that hold no entry take no memory.
    entries: Box<[u64]>,
    /// Where the first set is, so that no set crosses a cache line.
    start: usize,
    /// Counts insertions into full sets: the deterministic dice.
    turn: u32,
}

#[inline]
fn place(hash: u64) -> (usize, u64) {
    // The low bits choose the set, the high ones are the signature.
    (hash as usize & (SETS - 1), hash & 0xffff_ffff_0000_0000)
}

impl SignatureCache {
    pub(crate) fn new() -> SignatureCache {
        const LINE: usize = 64;
        let entries = vec![0; SETS * WAYS + LINE / size_of::<u64>()].into_boxed_slice();
        // At most one line: what the vector has to spare.
        let start = entries.as_ptr().align_offset(LINE).min(LINE / size_of::<u64>());
        SignatureCache { entries, start, turn: 0 }
    }

    #[inline]
    fn set(&self, set: usize) -> &[u64] {
        let at = self.start + set * WAYS;
        &self.entries[at..at + WAYS]
    }

    #[inline]
    fn set_mut(&mut self, set: usize) -> &mut [u64] {
        let at = self.start + set * WAYS;
        &mut self.entries[at..at + WAYS]
    }

    /// Asks for the memory that `get` will read.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch(self.set(place(hash).0).as_ptr());
    }

    /// The flow that a packet with this hash hit last, perhaps.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<u32> {
        let (set, sig) = place(hash);
        self.set(set).iter().find_map(|&e| {
            (e & 0xffff_ffff_0000_0000 == sig).then_some(e as u32).and_then(|n| n.checked_sub(1))
        })
    }

    /// Remembers that `hash` hit `flow`.
    #[inline]
    pub(crate) fn put(&mut self, hash: u64, flow: u32) {
        let (set, sig) = place(hash);
        let new = sig | u64::from(flow + 1);
        let same = |e: u64| e as u32 == 0 || e & 0xffff_ffff_0000_0000 == sig;
        if let Some(e) = self.set_mut(set).iter_mut().find(|e| same(**e)) {
            *e = new;
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        if self.turn.is_multiple_of(INSERT_INV_PROB) {
            let way = (self.turn / INSERT_INV_PROB) as usize % WAYS;
            self.set_mut(set)[way] = new;
        }
    }

    /// Forgets `hash` if it led to `flow`: the flow is gone or does not match.
    #[inline]
    pub(crate) fn forget(&mut self, hash: u64, flow: u32) {
        let (set, sig) = place(hash);
        let old = sig | u64::from(flow + 1);
        if let Some(e) = self.set_mut(set).iter_mut().find(|e| **e == old) {
            *e = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_replaces_forgets() {
        let mut c = SignatureCache::new();
        let h = 0xdead_beef_0000_1234;
        assert_eq!(c.get(h), None);
        assert_eq!(c.get(0x1234), None, "an empty entry is no entry of signature 0");
        c.put(h, 0);
        assert_eq!(c.get(h), Some(0));
        c.put(h, 8);
        assert_eq!(c.get(h), Some(8));
        c.forget(h, 7);
        assert_eq!(c.get(h), Some(8));
        c.forget(h, 8);
        assert_eq!(c.get(h), None);
    }

    #[test]
    fn a_full_set_gives_way_rarely_but_does() {
        let mut c = SignatureCache::new();
        for i in 1..=4u64 {
            c.put(i << 32, i as u32);
        }
        let survivors =
            |c: &SignatureCache| (1..=4u64).filter(|i| c.get(i << 32).is_some()).count();
        c.put(9 << 32, 9);
        assert_eq!(survivors(&c), 4);
        for _ in 0..INSERT_INV_PROB {
            c.put(9 << 32, 9);
        }
        assert_eq!((survivors(&c), c.get(9 << 32)), (3, Some(9)));
    }
}
