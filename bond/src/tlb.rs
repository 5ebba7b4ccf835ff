//! Transmit balancing by load and link speed (balance-tlb with `bond-tlb-dynamic`).
//!
//! Linux assigns each of 256 hash buckets, every 10 s anew and at the bucket's next packet, to the
//! member with the most unused capacity. Here every bucket has a member at any time: at first in
//! numbers proportional to speed, then buckets move until the loads are, too.

use crate::config::MemberId;
use crate::failback::LinkSpeed;
use crate::forwarding::{BUCKETS, Bucket};
use crate::rebalance::{IMBALANCE_SHIFT, MIN_OVERLOAD, Move, Plan};

/// The relative capacity of each member, in the given order: its speed in Mbit/s. One whose speed is
/// not known counts as the slowest known one.
pub fn weights(members: &[(MemberId, LinkSpeed)]) -> Vec<(MemberId, u64)> {
    let mbps = |speed: LinkSpeed| match speed {
        LinkSpeed::Known(speed) => Some(speed.mbps.clamp(1, u64::from(u32::MAX))),
        LinkSpeed::Pending | LinkSpeed::Unknown => None,
    };
    let slowest = members.iter().filter_map(|m| mbps(m.1)).min().unwrap_or(1);
    members.iter().map(|&(id, speed)| (id, mbps(speed).unwrap_or(slowest))).collect()
}

/// How many of `total` buckets each member gets: proportional to its weight, rounded so that the
/// sum is `total`; the largest remainders are rounded up.
pub fn quotas(weights: &[(MemberId, u64)], total: usize) -> Vec<usize> {
    let sum: u64 = weights.iter().map(|w| w.1).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |w: u64| w * total as u64;
    let mut quotas: Vec<usize> = weights.iter().map(|w| (exact(w.1) / sum) as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(exact(weights[i].1) % sum));
    let left = total - quotas.iter().sum::<usize>();
    for &i in order.iter().cycle().take(left) {
        quotas[i] += 1;
    }
    quotas
}

/// A member during a plan.
struct Load {
    member: MemberId,
    weight: u64,
    bytes: u64,
    /// Those that may still move, from the heaviest to the lightest.
    buckets: Vec<(Bucket, u64)>,
}

impl Load {
    /// Whether `bytes` here are a smaller part of the capacity than `other` at its member.
    fn is_lower(&self, bytes: u64, other: &Load, other_bytes: u64) -> bool {
        let part = |bytes: u64, weight: u64| u128::from(bytes) * u128::from(weight);
        part(bytes, other.weight) < part(other_bytes, self.weight)
    }
}

/// Plans how to make the members' loads proportional to their weights. `loads` are bytes for each
/// bucket and `assignment` its member. A bucket moves only if that lowers the highest load in
/// relation to its member's weight, and at most once; differences below the thresholds of
/// [`crate::rebalance`] move nothing.
pub fn plan(
    loads: &[u64; BUCKETS],
    assignment: &[Option<MemberId>; BUCKETS],
    weights: &[(MemberId, u64)],
) -> Plan {
    let mut members: Vec<Load> = weights
        .iter()
        .map(|&(member, weight)| {
            let mut buckets: Vec<(Bucket, u64)> = (0..=u8::MAX)
                .filter(|&b| assignment[usize::from(b)] == Some(member))
                .map(|b| (b, loads[usize::from(b)]))
                .filter(|&(_, bytes)| bytes > 0)
                .collect();
            buckets.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
            let bytes = buckets.iter().map(|b| b.1).sum();
            Load { member, weight: weight.max(1), bytes, buckets }
        })
        .collect();
    let total: u128 = members.iter().map(|m| u128::from(m.bytes)).sum();
    let capacity: u128 = members.iter().map(|m| u128::from(m.weight)).sum();

    let mut moves = Vec::new();
    while let Some((from, to)) = extremes(&members) {
        let fair = (total * u128::from(members[from].weight) / capacity.max(1)) as u64;
        let overload = members[from].bytes.saturating_sub(fair);
        if overload < fair >> IMBALANCE_SHIFT || overload < MIN_OVERLOAD {
            break;
        }
        let (source, target) = (&members[from], &members[to]);
        let improves = |&(_, bytes): &(Bucket, u64)| {
            target.is_lower(target.bytes + bytes, source, source.bytes)
        };
        // The heaviest that is not more than what is too much, else the lightest of all.
        let fits = source.buckets.iter().position(|b| b.1 <= overload && improves(b));
        let lightest = source.buckets.iter().rposition(improves);
        let Some(at) = fits.or(lightest) else { break };
        let (bucket, bytes) = members[from].buckets.remove(at);
        members[from].bytes -= bytes;
        members[to].bytes += bytes;
        moves.push(Move {
            bucket,
            from: members[from].member,
            to: members[to].member,
            bytes,
            after: (members[from].bytes, members[to].bytes),
        });
    }
    Plan { moves, carries: members.iter().map(|m| (m.member, m.bytes)).collect() }
}

/// The indices of the members with the highest and the lowest load in relation to their weight; of
/// equals the first. `None` unless they differ.
fn extremes(members: &[Load]) -> Option<(usize, usize)> {
    let (mut high, mut low) = (0, 0);
    for (i, m) in members.iter().enumerate() {
        if members[high].is_lower(members[high].bytes, m, m.bytes) {
            high = i;
        }
        if m.is_lower(m.bytes, &members[low], members[low].bytes) {
            low = i;
        }
    }
    (high != low).then_some((high, low))
}
