//! A hash map whose copies share what they have in common.
//!
//! A copy costs nothing; the first change after it copies the path to what changes. Keys are
//! hashes: a user that has to distinguish keys of equal hash keeps both in one value.

use std::sync::Arc;

/// Bits of the hash that choose among the slots of one node.
const BITS: u32 = 5;

/// Values by hash. An array mapped trie (Bagwell, "Ideal Hash Trees").
#[derive(Clone, Debug)]
pub(super) struct Map<V> {
    root: Arc<MapNode<V>>,
}

#[derive(Clone, Debug)]
struct MapNode<V> {
    /// Which slots there are.
    present: u32,
    /// Those, in order.
    slots: Vec<MapSlot<V>>,
}

#[derive(Clone, Debug)]
enum MapSlot<V> {
    Value(u64, V),
    MapNode(Arc<MapNode<V>>),
}

impl<V> Default for Map<V> {
    fn default() -> Map<V> {
        Map { root: Arc::new(MapNode::EMPTY) }
    }
}

/// The slot of a hash at a depth, as a bit.
fn bit(hash: u64, depth: u32) -> u32 {
    1 << (hash >> (depth * BITS) & ((1 << BITS) - 1))
}

impl<V> MapNode<V> {
    const EMPTY: MapNode<V> = MapNode { present: 0, slots: Vec::new() };

    /// Where the slot `bit` stands or would stand.
    fn at(&self, bit: u32) -> usize {
        (self.present & (bit - 1)).count_ones() as usize
    }

    fn has(&self, bit: u32) -> bool {
        self.present & bit != 0
    }
}

impl<V: Clone> Map<V> {
    pub(super) fn get(&self, hash: u64) -> Option<&V> {
        let mut node = &self.root;
        for depth in 0.. {
            let bit = bit(hash, depth);
            if !node.has(bit) {
                return None;
            }
            match &node.slots[node.at(bit)] {
                MapSlot::Value(h, v) => return (*h == hash).then_some(v),
                MapSlot::MapNode(next) => node = next,
            }
        }
        None
    }

    /// The value of `hash` to change; made if there is none.
    pub(super) fn entry(&mut self, hash: u64, new: impl FnOnce() -> V) -> &mut V {
        let mut node = Arc::make_mut(&mut self.root);
        let mut depth = 0;
        loop {
            let bit = bit(hash, depth);
            let at = node.at(bit);
            if !node.has(bit) {
                node.present |= bit;
                node.slots.insert(at, MapSlot::Value(hash, new()));
                return match &mut node.slots[at] {
                    MapSlot::Value(_, v) => v,
                    MapSlot::MapNode(_) => unreachable!("a value was put there"),
                };
            }
            if let MapSlot::Value(h, _) = node.slots[at]
                && h != hash
            {
                node.push_down(at, h, depth + 1);
            }
            depth += 1;
            match &mut node.slots[at] {
                MapSlot::Value(_, v) => return v,
                MapSlot::MapNode(next) => node = Arc::make_mut(next),
            }
        }
    }

    /// Takes out the value of `hash`.
    pub(super) fn remove(&mut self, hash: u64) {
        Arc::make_mut(&mut self.root).remove(hash, 0);
    }

    /// Appends all values in an order that only depends on the hashes.
    pub(super) fn values<'a>(&'a self, out: &mut Vec<&'a V>) {
        self.root.values(out);
    }
}

impl<V: Clone> MapNode<V> {
    /// Puts the value in slot `at`, whose hash is `h`, into a node of its own.
    fn push_down(&mut self, at: usize, h: u64, depth: u32) {
        let node = MapSlot::MapNode(Arc::new(MapNode::EMPTY));
        let value = std::mem::replace(&mut self.slots[at], node);
        if let MapSlot::MapNode(node) = &mut self.slots[at] {
            let node = Arc::make_mut(node);
            node.present = bit(h, depth);
            node.slots.push(value);
        }
    }

    fn remove(&mut self, hash: u64, depth: u32) {
        let bit = bit(hash, depth);
        if !self.has(bit) {
            return;
        }
        let at = self.at(bit);
        match &mut self.slots[at] {
            MapSlot::Value(h, _) if *h != hash => {}
            MapSlot::Value(..) => {
                self.present &= !bit;
                self.slots.remove(at);
            }
            MapSlot::MapNode(next) => {
                let node = Arc::make_mut(next);
                node.remove(hash, depth + 1);
                match node.slots.as_slice() {
                    [] => {
                        self.present &= !bit;
                        self.slots.remove(at);
                    }
                    // One value alone needs no node.
                    [MapSlot::Value(..)] => {
                        if let Some(value) = node.slots.pop() {
                            self.slots[at] = value;
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn values<'a>(&'a self, out: &mut Vec<&'a V>) {
        for slot in &self.slots {
            match slot {
                MapSlot::Value(_, v) => out.push(v),
                MapSlot::MapNode(next) => next.values(out),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map; hashes that share many bits are likely.
        #[test]
        fn persistent_map_behaves_as_a_plain_map(steps in prop::collection::vec((any::<bool>(), 0u64..6, 0u32..13, 0u32..100), 0..300)) {
            let mut map: Map<u32> = Map::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for (put, h, shift, v) in steps {
                let hash = h << (shift * 5).min(61);
                if put {
                    *map.entry(hash, || 0) = v;
                    model.insert(hash, v);
                } else {
                    map.remove(hash);
                    model.remove(&hash);
                }
                copies.push((map.clone(), model.clone()));
            }
            for (map, model) in copies {
                prop_assert_eq!(map.root.slots.is_empty(), model.is_empty());
                let mut values = Vec::new();
                map.values(&mut values);
                values.sort();
                let mut expected: Vec<&u32> = model.values().collect();
                expected.sort();
                prop_assert_eq!(values, expected);
                for (hash, v) in &model {
                    prop_assert_eq!(map.get(*hash), Some(v));
                }
                for h in 0..6 {
                    prop_assert_eq!(map.get(h), model.get(&h));
                }
            }
        }
    }
}
