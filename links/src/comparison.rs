//! Which members' devices are asked next by the periodic comparison (`thread::compare`).

use std::collections::BTreeMap;
use std::time::Duration;

use wire::Time;

/// Between two batches of questions.
const EVERY: Duration = Duration::from_secs(1);
/// Batches in which every member's device is asked once, if there are that many.
const LAP: usize = 20;
/// Which members are to be asked next, and what differed.
#[derive(Default)]
pub(crate) struct Comparison {
    next: Option<Time>,
    /// The device after which the next batch begins.
    after: u32,
    /// How often in a row a device has been found to differ, by index.
    suspects: BTreeMap<u32, u32>,
}

impl Comparison {
    /// When to ask next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.next
    }

    /// There are members on kernel devices, or none.
    pub(crate) fn schedule(&mut self, now: Time, members: bool) {
        self.next = members.then(|| self.next.unwrap_or(now + EVERY));
    }

    /// Whether a batch is due; the next one is then a period later.
    pub(crate) fn begin(&mut self, now: Time) -> bool {
        let due = self.next.is_some_and(|t| t <= now);
        if due {
            self.next = Some(now + EVERY);
        }
        due
    }

    /// The device differs; gives how often in a row it has.
    pub(crate) fn differs(&mut self, ifindex: u32) -> u32 {
        let times = self.suspects.entry(ifindex).or_default();
        *times += 1;
        *times
    }

    /// The device does not differ, or has been put right.
    pub(crate) fn agrees(&mut self, ifindex: u32) {
        self.suspects.remove(&ifindex);
    }

    /// The devices of the next batch, of `all` in ascending order: those under suspicion, and the
    /// next ones.
    pub(crate) fn batch(&mut self, all: &[u32]) -> Vec<u32> {
        self.suspects.retain(|i, _| all.binary_search(i).is_ok());
        let from = all.partition_point(|i| *i <= self.after);
        let n = all.len().div_ceil(LAP);
        let mut batch: Vec<u32> = all[from..].iter().chain(&all[..from]).take(n).copied().collect();
        self.after = batch.last().copied().unwrap_or_default();
        batch.extend(self.suspects.keys());
        batch.sort_unstable();
        batch.dedup();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_its_turn_and_suspects_have_every_turn() {
        let all: Vec<u32> = (1..=50).map(|i| i * 3).collect();
        let mut c = Comparison::default();
        c.suspects.insert(9, 1);
        c.suspects.insert(1000, 1);
        let mut seen = Vec::new();
        for _ in 0..LAP {
            let batch = c.batch(&all);
            assert!(batch.len() <= 4 && batch.contains(&9));
            seen.extend(batch);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, all);
        assert!(!c.suspects.contains_key(&1000), "a device that is no member any more");
        assert_eq!(c.batch(&[]), Vec::<u32>::new());
        assert_eq!(c.batch(&[5]), [5]);
    }
}
