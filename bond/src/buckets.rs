//! The owner and the load of each of a balanced bond's 256 buckets.

use crate::config::MemberId;
use crate::forwarding::BUCKETS;
use crate::tlb;

/// What a bucket's load is capped at, in bytes (18 PB), so that sums of all buckets of two members
/// cannot overflow whatever a counter says.
pub const MAX_LOAD: u64 = 1 << 54;

/// The owners and loads of all buckets.
///
/// Invariant: while some member is enabled every bucket has an owner, and each owner is enabled.
#[derive(Clone, Debug)]
pub struct Buckets {
    owners: [Option<MemberId>; BUCKETS],
    /// Bytes, halved at each rebalancing run.
    loads: [u64; BUCKETS],
    /// The enabled members of the last distribution.
    members: Vec<MemberId>,
    /// The enabled members of the last distribution by weight, with their weights.
    weights: Vec<(MemberId, u64)>,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets {
            owners: [None; BUCKETS],
            loads: [0; BUCKETS],
            members: Vec::new(),
            weights: Vec::new(),
        }
    }
}

impl Buckets {
    /// The member that sends each bucket's packets; `None` = no member is enabled.
    pub fn owners(&self) -> &[Option<MemberId>; BUCKETS] {
        &self.owners
    }

    /// The load of each bucket in bytes, at most [`MAX_LOAD`]; older traffic counts less.
    pub fn loads(&self) -> &[u64; BUCKETS] {
        &self.loads
    }

    /// Adds `bytes` to the load of `bucket`, which saturates at [`MAX_LOAD`].
    ///
    /// # Panics
    ///
    /// `bucket` is not below [`BUCKETS`].
    pub fn add_load(&mut self, bucket: usize, bytes: u64) {
        self.loads[bucket] = self.loads[bucket].saturating_add(bytes).min(MAX_LOAD);
    }

    /// Sets all loads to zero: the hash has changed, so that the buckets hold other packets.
    pub fn clear_loads(&mut self) {
        self.loads = [0; BUCKETS];
    }

    /// Halves all loads, so that older traffic counts less.
    pub fn decay(&mut self) {
        for load in &mut self.loads {
            *load /= 2;
        }
    }

    /// Makes `to`, which must be enabled, the owner of `bucket`.
    ///
    /// # Panics
    ///
    /// `bucket` is not below [`BUCKETS`].
    pub fn assign(&mut self, bucket: usize, to: MemberId) {
        self.owners[bucket] = Some(to);
    }

    /// Adapts the owners to a new set of `enabled` members. The buckets of a member that left are
    /// distributed evenly over those that stay; a member that joined gets a fair share from the
    /// others. No other bucket moves. Returns whether any bucket moved.
    pub fn set_members(&mut self, enabled: &[MemberId]) -> bool {
        if self.members == enabled {
            return false;
        }
        let stayed: Vec<MemberId> =
            enabled.iter().copied().filter(|m| self.members.contains(m)).collect();
        let joined: Vec<MemberId> =
            enabled.iter().copied().filter(|m| !self.members.contains(m)).collect();
        self.members = enabled.to_vec();
        let before = self.owners;
        for owner in &mut self.owners {
            if owner.is_some_and(|m| !enabled.contains(&m)) {
                *owner = None;
            }
        }
        if stayed.is_empty() {
            self.distribute(&joined);
        } else {
            self.distribute(&stayed);
            self.take_fair_share(&joined, enabled);
        }
        self.owners != before
    }

    /// As [`Buckets::set_members`], with numbers of buckets that are proportional to the members'
    /// weights. A member that has more than its part gives its idlest buckets away. Nothing moves
    /// while members and weights stay.
    pub fn set_weighted(&mut self, weights: &[(MemberId, u64)]) -> bool {
        if self.weights == weights {
            return false;
        }
        self.weights = weights.to_vec();
        self.members = weights.iter().map(|w| w.0).collect();
        let before = self.owners;
        let quotas = tlb::quotas(weights, BUCKETS);
        let mut counts = vec![0; weights.len()];
        let mut order: Vec<usize> = (0..BUCKETS).collect();
        order.sort_by_key(|&b| std::cmp::Reverse(self.loads[b]));
        for &b in &order {
            let owner = self.owners[b].and_then(|m| weights.iter().position(|w| w.0 == m));
            match owner {
                Some(i) if counts[i] < quotas[i] => counts[i] += 1,
                Some(_) | None => self.owners[b] = None,
            }
        }
        for b in order {
            if self.owners[b].is_some() {
                continue;
            }
            // The member that lacks the largest part of its quota.
            let lacks = |i: usize| (quotas[i] - counts[i]) as u64 * 1000 / quotas[i].max(1) as u64;
            let room = (0..weights.len()).filter(|&i| counts[i] < quotas[i]);
            let Some(i) = room.max_by_key(|&i| (lacks(i), std::cmp::Reverse(i))) else { break };
            counts[i] += 1;
            self.owners[b] = Some(weights[i].0);
        }
        self.owners != before
    }

    /// The number of buckets that `member` owns, and their load in bytes.
    fn held(&self, member: MemberId) -> (usize, u64) {
        let mut held = (0, 0);
        for (owner, load) in self.owners.iter().zip(&self.loads) {
            if *owner == Some(member) {
                held = (held.0 + 1, held.1 + load);
            }
        }
        held
    }

    /// Distributes the buckets without an owner over `to` in equal numbers, the busiest first.
    fn distribute(&mut self, to: &[MemberId]) {
        let mut shares: Vec<Share> = to
            .iter()
            .enumerate()
            .map(|(order, &member)| {
                let (count, load) = self.held(member);
                Share { received: 0, count, load, order, member }
            })
            .collect();
        let mut free: Vec<usize> = (0..BUCKETS).filter(|&b| self.owners[b].is_none()).collect();
        free.sort_by_key(|&b| std::cmp::Reverse(self.loads[b]));
        for b in free {
            let Some(share) = shares.iter_mut().min() else { return };
            share.received += 1;
            share.count += 1;
            share.load += self.loads[b];
            self.owners[b] = Some(share.member);
        }
    }

    /// Moves a fair share of buckets, and of load where that is possible, to each of `joined`, from
    /// the members that own the most.
    fn take_fair_share(&mut self, joined: &[MemberId], enabled: &[MemberId]) {
        let fair_load = self.loads.iter().sum::<u64>() / enabled.len().max(1) as u64;
        for _ in 0..BUCKETS {
            let held: Vec<_> = enabled.iter().map(|&m| (self.held(m), m)).collect();
            let newcomers = held.iter().filter(|h| joined.contains(&h.1));
            let Some(&(to, member)) = newcomers.min() else { return };
            let rich = held.iter().max_by_key(|h| (h.0, std::cmp::Reverse(h.1)));
            let Some(&(from, donor)) = rich else { return };
            if from.0 <= to.0 + 1 {
                return;
            }
            let room = fair_load.saturating_sub(to.1);
            let owned = || (0..BUCKETS).filter(|&b| self.owners[b] == Some(donor));
            // The busiest that fits, else the idlest. Among equals an order in which neighbours
            // are far apart, so that what is taken is a fair sample.
            let order = |b: usize| b.reverse_bits();
            let fits = owned()
                .filter(|&b| self.loads[b] <= room)
                .max_by_key(|&b| (self.loads[b], std::cmp::Reverse(order(b))));
            let bucket = fits.or_else(|| owned().min_by_key(|&b| (self.loads[b], order(b))));
            let Some(bucket) = bucket else { return };
            self.owners[bucket] = Some(member);
        }
    }
}

/// A member during a distribution. The smallest gets the next bucket; the fields are compared in
/// this order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    received: usize,
    count: usize,
    load: u64,
    order: usize,
    member: MemberId,
}
