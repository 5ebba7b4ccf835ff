//! Which port of a bridge has most learned addresses.
//!
//! A binary heap that knows where each port is. Among ports with equally many the first is the
//! one that the heap's own order gives, as in Open vSwitch: two runs evict the same.

use std::collections::BTreeMap;

use crate::ids::BundleId;

/// Ports by how many addresses each has.
#[derive(Debug, Default)]
pub(crate) struct PortsByEntryCount {
    /// The fullest first; those at 2n + 1 and 2n + 2 are no fuller than that at n.
    heap: Vec<(usize, BundleId)>,
    at: BTreeMap<BundleId, usize>,
}

impl PortsByEntryCount {
    /// One of the ports with most addresses.
    pub(crate) fn first(&self) -> Option<BundleId> {
        self.heap.first().map(|(_, port)| *port)
    }

    /// Sets the number of a port's addresses; a port with none is removed.
    pub(crate) fn set(&mut self, port: BundleId, count: usize) {
        match (self.at.get(&port).copied(), count) {
            (None, 0) => {}
            (None, _) => {
                self.heap.push((count, port));
                self.at.insert(port, self.heap.len() - 1);
                self.up(self.heap.len() - 1);
            }
            (Some(i), 0) => {
                self.at.remove(&port);
                self.heap.swap_remove(i);
                if let Some((_, moved)) = self.heap.get(i) {
                    self.at.insert(*moved, i);
                    self.settle(i);
                }
            }
            (Some(i), _) => {
                self.heap[i].0 = count;
                self.settle(i);
            }
        }
    }

    fn settle(&mut self, i: usize) {
        if self.up(i) == i {
            self.down(i);
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.at.insert(self.heap[a].1, a);
        self.at.insert(self.heap[b].1, b);
    }

    /// Moves the port at `i` up past ports with fewer addresses; returns its new index.
    fn up(&mut self, mut i: usize) -> usize {
        while i > 0 {
            let parent = (i - 1) / 2;
            if self.heap[parent].0 >= self.heap[i].0 {
                break;
            }
            self.swap(parent, i);
            i = parent;
        }
        i
    }

    /// Moves the port at `i` down past ports with more addresses: to the side of the child with
    /// more, of equal ones to the left.
    fn down(&mut self, mut i: usize) {
        loop {
            let mut fullest = i;
            for child in [2 * i + 1, 2 * i + 2] {
                if child < self.heap.len() && self.heap[child].0 > self.heap[fullest].0 {
                    fullest = child;
                }
            }
            if fullest == i {
                return;
            }
            self.swap(fullest, i);
            i = fullest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_with_most_entries_is_first() {
        let mut f = PortsByEntryCount::default();
        let mut model: BTreeMap<BundleId, usize> = BTreeMap::new();
        // Any numbers will do: a linear congruential generator (Knuth).
        let mut x = 1u64;
        for _ in 0..2000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (port, count) = (BundleId(x >> 60), (x >> 40 & 7) as usize);
            f.set(port, count);
            if count == 0 {
                model.remove(&port)
            } else {
                model.insert(port, count)
            };
            let most = model.values().max();
            assert_eq!(f.first().and_then(|p| model.get(&p)), most);
            assert_eq!(f.heap.len(), model.len());
        }
    }

    /// Of five ports with two addresses and one with one, as the heap has them.
    #[test]
    fn ports_with_equal_counts_have_a_fixed_order() {
        let mut f = PortsByEntryCount::default();
        for port in 1..=5 {
            f.set(BundleId(port), 1);
            f.set(BundleId(port), 2);
        }
        assert_eq!(f.first(), Some(BundleId(1)));
        f.set(BundleId(1), 1);
        assert_eq!(f.first(), Some(BundleId(2)));
    }
}
