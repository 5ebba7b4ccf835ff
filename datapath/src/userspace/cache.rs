//! The signature cache: from the hash of a packet's key to the flow that it hit last.
//!
//! An entry has eight octets: 32 bits of the hash and the flow's number. It holds neither key nor
//! reference. The caller checks that the flow matches the packet; it reads the flow anyway. A number
//! that was reused for another flow or is free fails that check and is a miss. Megaflows that match
//! the same packet have equal actions, so that any match is right. A removed flow is freed at once.
//!
//! The size is fixed. Pages without entries take no memory.

use super::prefetch::prefetch;

/// Entries per set; a set is half a cache line.
const WAYS: usize = 4;
/// Sets: 262,144 entries, 2 MiB.
const SETS: usize = 1 << 16;
/// Inverse probability that an insertion into a full set replaces an entry. With many more
/// connections than entries, replacing always would evict each entry before its next use.
const INSERT_INV_PROB: u32 = 16;

pub(crate) struct SignatureCache {
    /// `WAYS` entries for each set: signature in the high half; flow number plus one in the low
    /// half, 0 = empty. Zeroed by the kernel: pages that hold no entry take no memory.
    entries: Box<[u64]>,
    /// Index of the first set in `entries`, chosen so that no set crosses a cache line.
    start: usize,
    /// Insertions into full sets; replaces a random number.
    full_inserts: u32,
}

#[inline]
fn set_and_signature(hash: u64) -> (usize, u64) {
    // The low bits choose the set, the high ones are the signature.
    (hash as usize & (SETS - 1), hash & 0xffff_ffff_0000_0000)
}

impl SignatureCache {
    pub(crate) fn new() -> SignatureCache {
        const LINE: usize = 64;
        let entries = vec![0; SETS * WAYS + LINE / size_of::<u64>()].into_boxed_slice();
        // At most one line, which the vector has to spare.
        let start = entries.as_ptr().align_offset(LINE).min(LINE / size_of::<u64>());
        SignatureCache { entries, start, full_inserts: 0 }
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

    /// Prefetches the set that `get` reads.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch(self.set(set_and_signature(hash).0).as_ptr());
    }

    /// The number of the flow that a packet with this hash hit last; the caller verifies it.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<u32> {
        let (set, sig) = set_and_signature(hash);
        self.set(set).iter().find_map(|&e| {
            (e & 0xffff_ffff_0000_0000 == sig).then_some(e as u32).and_then(|n| n.checked_sub(1))
        })
    }

    /// Records that `hash` hit `flow`.
    #[inline]
    pub(crate) fn put(&mut self, hash: u64, flow: u32) {
        let (set, sig) = set_and_signature(hash);
        let new = sig | u64::from(flow + 1);
        let same = |e: u64| e as u32 == 0 || e & 0xffff_ffff_0000_0000 == sig;
        if let Some(e) = self.set_mut(set).iter_mut().find(|e| same(**e)) {
            *e = new;
            return;
        }
        self.full_inserts = self.full_inserts.wrapping_add(1);
        if self.full_inserts.is_multiple_of(INSERT_INV_PROB) {
            let way = (self.full_inserts / INSERT_INV_PROB) as usize % WAYS;
            self.set_mut(set)[way] = new;
        }
    }

    /// Removes the entry of `hash` if it refers to `flow`.
    #[inline]
    pub(crate) fn forget(&mut self, hash: u64, flow: u32) {
        let (set, sig) = set_and_signature(hash);
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
    fn put_get_forget() {
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
    fn full_set_replaces_one_entry_per_inverse_probability() {
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
