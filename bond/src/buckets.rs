//! Who owns each of a balanced bond's 256 buckets, and how busy is each?

use crate::config::MemberId;
use crate::forwarding::BUCKETS;

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
    /// The members that the buckets were last dealt to.
    members: Vec<MemberId>,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets { owners: [None; BUCKETS], loads: [0; BUCKETS], members: Vec::new() }
    }
}

impl Buckets {
    pub fn owners(&self) -> &[Option<MemberId>; BUCKETS] {
        &self.owners
    }

    /// Owner and load of each bucket in turn.
    pub fn iter(&self) -> impl Iterator<Item = (&Option<MemberId>, &u64)> {
        self.owners.iter().zip(&self.loads)
    }

    pub fn loads(&self) -> &[u64; BUCKETS] {
        &self.loads
    }

    /// Adds bytes sent to a bucket's load, up to [`MAX_LOAD`].
    pub fn add_load(&mut self, bucket: usize, bytes: u64) {
        self.loads[bucket] = self.loads[bucket].saturating_add(bytes).min(MAX_LOAD);
    }

    /// Forgets the loads: what falls into a bucket has changed.
    pub fn clear_loads(&mut self) {
        self.loads = [0; BUCKETS];
    }

    /// Lets the past weigh half of what it did.
    pub fn decay(&mut self) {
        for load in &mut self.loads {
            *load /= 2;
        }
    }

    /// Hands one bucket to a member, which must be enabled.
    pub fn assign(&mut self, bucket: usize, to: MemberId) {
        self.owners[bucket] = Some(to);
    }

    /// Follows a change of the set of `enabled` members. A member that left loses its buckets,
    /// evenly to those that stay; a member that joined takes a fair share from the others. No
    /// other bucket moves. True if one did.
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

    /// Buckets and bytes that `member` has.
    fn held(&self, member: MemberId) -> (usize, u64) {
        let mut held = (0, 0);
        for (owner, load) in self.owners.iter().zip(&self.loads) {
            if *owner == Some(member) {
                held = (held.0 + 1, held.1 + load);
            }
        }
        held
    }

    /// Gives the buckets without an owner to `to`, the busiest first, as many to each.
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

    /// Lets each of `joined` take a fair share of buckets, and of load where that is possible,
    /// from those that hold most.
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

/// A member while buckets are dealt; the least is served first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    received: usize,
    count: usize,
    load: u64,
    order: usize,
    member: MemberId,
}
