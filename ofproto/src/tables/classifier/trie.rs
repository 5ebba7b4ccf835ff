//! Prefixes in a binary tree: which lengths can match a value, and how many bits decide that.

use std::sync::Arc;

/// Prefixes of up to 128 bits, with how often each was put in. Copies share what they have in
/// common. Values stand in the uppermost bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    root: Edge,
}

type Edge = Option<Arc<TrieNode>>;

#[derive(Clone, Debug)]
struct TrieNode {
    /// The bits that this node adds to those above it; zero beyond them.
    bits: u128,
    /// How many; 0 only at the root.
    len: u32,
    /// How often the prefix that ends here was put in.
    count: u32,
    /// By the bit that follows.
    edges: [Edge; 2],
}

/// What a trie says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixLookup {
    /// The bits, from the uppermost, that a value must have in common to get the same answer.
    pub(super) looked_at: u32,
    /// Bit N: there is a prefix of length N + 1 that matches.
    lengths: u128,
}

impl PrefixLookup {
    /// For a value that the trie does not speak of: any length may match.
    pub(super) const ANY: PrefixLookup = PrefixLookup { looked_at: 0, lengths: u128::MAX };

    /// Whether a prefix of this length, which is not 0, can match.
    pub(super) fn may_have(&self, len: u32) -> bool {
        self.lengths >> (len - 1) & 1 != 0
    }
}

/// The first `n` bits set.
pub(super) fn prefix(n: u32) -> u128 {
    if n == 0 { 0 } else { u128::MAX << (128 - n.min(128)) }
}

fn top_bit(v: u128) -> usize {
    (v >> 127) as usize
}

/// `v` without its first `n` bits.
fn skip(v: u128, n: u32) -> u128 {
    v.checked_shl(n).unwrap_or(0)
}

impl TrieNode {
    fn leaf(bits: u128, len: u32) -> Arc<TrieNode> {
        Arc::new(TrieNode { bits: bits & prefix(len), len, count: 1, edges: [None, None] })
    }

    /// How many of its bits `v` begins with.
    fn common(&self, v: u128) -> u32 {
        (self.bits ^ v).leading_zeros().min(self.len)
    }

    fn is_leaf(&self) -> bool {
        self.edges.iter().all(Option::is_none)
    }
}

impl Trie {
    /// Puts in the first `len` bits of `value`; `len` is not 0.
    pub(super) fn insert(&mut self, value: u128, len: u32) {
        insert(&mut self.root, value & prefix(len), len);
    }

    /// Takes out what was put in so once.
    pub(super) fn remove(&mut self, value: u128, len: u32) {
        remove(&mut self.root, value & prefix(len), len);
    }

    /// Looks up a value of `width` bits.
    pub(super) fn lookup(&self, value: u128, width: u32) -> PrefixLookup {
        let mut lengths = 0;
        let mut matched = 0;
        let mut edge = &self.root;
        let mut last: Option<&TrieNode> = None;
        while let Some(node) = edge {
            let rest = skip(value, matched);
            let common = node.common(rest);
            matched += common;
            if common < node.len {
                // The bit that differs is looked at too.
                return PrefixLookup { looked_at: matched + 1, lengths };
            }
            if node.count > 0 {
                lengths |= 1 << (matched - 1);
            }
            if matched >= width {
                return PrefixLookup { looked_at: width, lengths };
            }
            last = Some(node);
            edge = &node.edges[top_bit(skip(value, matched))];
        }
        // Where the value leaves a node towards nothing, its next bit tells it from what the
        // other edge leads to.
        let looked_at = if last.is_none_or(TrieNode::is_leaf) { matched } else { matched + 1 };
        PrefixLookup { looked_at, lengths }
    }
}

fn insert(edge: &mut Edge, value: u128, len: u32) {
    let Some(node) = edge else {
        *edge = Some(TrieNode::leaf(value, len));
        return;
    };
    let common = node.common(value).min(len);
    if common == node.len {
        let node = Arc::make_mut(node);
        if common == len {
            node.count += 1;
        } else {
            let rest = skip(value, common);
            insert(&mut node.edges[top_bit(rest)], rest, len - common);
        }
        return;
    }
    // They part within this node: it becomes two.
    let mut lower = (**node).clone();
    lower.bits = skip(lower.bits, common);
    lower.len -= common;
    let mut edges = [None, None];
    let way = top_bit(lower.bits);
    edges[way] = Some(Arc::new(lower));
    if common < len {
        let rest = skip(value, common);
        edges[top_bit(rest)] = Some(TrieNode::leaf(rest, len - common));
    }
    let count = u32::from(common == len);
    *edge = Some(Arc::new(TrieNode { bits: value & prefix(common), len: common, count, edges }));
}

fn remove(edge: &mut Edge, value: u128, len: u32) {
    let Some(node) = edge else { return };
    let node = Arc::make_mut(node);
    if node.common(value) < node.len || len < node.len {
        return;
    }
    if len == node.len {
        node.count = node.count.saturating_sub(1);
    } else {
        let rest = skip(value, node.len);
        remove(&mut node.edges[top_bit(rest)], rest, len - node.len);
    }
    if node.count > 0 {
        return;
    }
    // A node that nothing ends at is only there to branch.
    match &mut node.edges {
        [Some(_), Some(_)] => {}
        [None, None] => *edge = None,
        [Some(next), None] | [None, Some(next)] => {
            let mut joined = (**next).clone();
            joined.bits = node.bits | joined.bits >> node.len;
            joined.len += node.len;
            *edge = Some(Arc::new(joined));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(a: [u8; 4]) -> u128 {
        u128::from(u32::from_be_bytes(a)) << 96
    }

    #[test]
    fn trie_gives_matching_lengths_and_bits_looked_at() {
        let mut t = Trie::default();
        assert_eq!(t.lookup(v4([10, 0, 0, 1]), 32), PrefixLookup { looked_at: 0, lengths: 0 });
        t.insert(v4([10, 0, 0, 0]), 8);
        t.insert(v4([10, 1, 0, 0]), 16);
        let a = t.lookup(v4([10, 1, 2, 3]), 32);
        assert!(a.may_have(8) && a.may_have(16) && !a.may_have(24));
        assert_eq!(a.looked_at, 16);
        // 10.2: differs from 10.1 in the 15th bit.
        let a = t.lookup(v4([10, 2, 2, 3]), 32);
        assert!(a.may_have(8) && !a.may_have(16));
        assert_eq!(a.looked_at, 15);
        assert_eq!(t.lookup(v4([192, 0, 0, 1]), 32), PrefixLookup { looked_at: 1, lengths: 0 });
        t.remove(v4([10, 0, 0, 0]), 8);
        assert_eq!(t.lookup(v4([10, 2, 2, 3]), 32), PrefixLookup { looked_at: 15, lengths: 0 });
        t.remove(v4([10, 1, 0, 0]), 16);
        assert!(t.root.is_none());
    }

    proptest! {
        /// The lengths are those of the prefixes that match, and every value that agrees in the
        /// bits looked at gets the same answer. With all taken out nothing is left.
        #[test]
        fn trie_behaves_as_a_list_of_prefixes(
            prefixes in prop::collection::vec((any::<u128>(), 1u32..=12), 0..40),
            values in prop::collection::vec(any::<u128>(), 1..20),
            other in any::<u128>(),
        ) {
            let mut t = Trie::default();
            for (v, len) in &prefixes {
                t.insert(*v, *len);
            }
            for v in &values {
                let a = t.lookup(*v, 128);
                for len in 1..=12 {
                    let m = prefix(len);
                    let there = prefixes.iter().any(|(p, l)| *l == len && p & m == v & m);
                    prop_assert_eq!(a.may_have(len), there, "{:x} {}", v, len);
                }
                let m = prefix(a.looked_at);
                prop_assert_eq!(t.lookup((v & m) | (other & !m), 128), a);
            }
            for (i, (v, len)) in prefixes.iter().enumerate() {
                t.remove(*v, *len);
                let left = &prefixes[i + 1..];
                let a = t.lookup(*v, 128);
                let m = prefix(*len);
                prop_assert_eq!(a.may_have(*len), left.iter().any(|(p, l)| l == len && p & m == v & m));
            }
            prop_assert!(t.root.is_none());
        }
    }
}
