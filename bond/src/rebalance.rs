//! Rebalancing: which buckets move from busy members to idle ones.

use crate::config::MemberId;
use crate::forwarding::{BUCKETS, Bucket};

/// A difference of less than 1/32 of the smaller load (about 3 %) moves no bucket.
pub(crate) const IMBALANCE_SHIFT: u32 = 5;
/// A difference of fewer bytes moves no bucket: about 0.1 Mbit/s at the default interval of 10 s.
pub(crate) const MIN_OVERLOAD: u64 = 100_000;
/// A move has to bring the two members nearer to their mean by a tenth of the distance.
const MIN_GAIN_DIVISOR: u64 = 10;

/// One bucket to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The bucket that moves.
    pub bucket: Bucket,
    /// Its current owner.
    pub from: MemberId,
    /// Its new owner.
    pub to: MemberId,
    /// The bucket's load, in bytes.
    pub bytes: u64,
    /// What `from` and `to` carry after the move, in bytes.
    pub after: (u64, u64),
}

/// The moves, and what each member carries when all are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are to be made.
    pub moves: Vec<Move>,
    /// The load of each enabled member in bytes after all moves, in the order of `enabled`.
    pub carries: Vec<(MemberId, u64)>,
}

/// A member, and its loaded buckets from the heaviest to the lightest.
struct Load {
    member: MemberId,
    bytes: u64,
    buckets: Vec<(Bucket, u64)>,
}

/// Plans how to even out `loads` (bytes per bucket, recent ones weighing more) between the
/// `enabled` members. `assignment` says who owns each bucket.
///
/// The thresholds and the choice of buckets are those of Open vSwitch.
pub fn plan(
    loads: &[u64; BUCKETS],
    assignment: &[Option<MemberId>; BUCKETS],
    enabled: &[MemberId],
) -> Plan {
    let mut order: Vec<(Bucket, u64)> =
        (0..=u8::MAX).map(|b| (b, loads[usize::from(b)])).filter(|&(_, n)| n > 0).collect();
    order.sort_by_key(|&(_, n)| std::cmp::Reverse(n));

    // From the busiest member to the idlest.
    let mut queue: Vec<Load> = Vec::with_capacity(enabled.len());
    for &member in enabled {
        let owns = |&(b, _): &(Bucket, u64)| assignment[usize::from(b)] == Some(member);
        let buckets: Vec<(Bucket, u64)> = order.iter().copied().filter(owns).collect();
        let bytes = buckets.iter().map(|&(_, n)| n).sum();
        insert(&mut queue, Load { member, bytes, buckets });
    }

    let mut moves = Vec::new();
    let mut done: Vec<Load> = Vec::new();
    while queue.len() > 1 {
        let (from, to) = (&queue[0], &queue[queue.len() - 1]);
        let overload = from.bytes - to.bytes;
        if overload < to.bytes >> IMBALANCE_SHIFT || overload < MIN_OVERLOAD {
            break;
        }
        let chosen = choose_buckets(from, to.bytes);
        if chosen.is_empty() {
            // Nothing can usefully be moved away from it.
            done.push(queue.remove(0));
            continue;
        }
        let mut to = queue.remove(queue.len() - 1);
        let mut from = queue.remove(0);
        for (bucket, bytes) in chosen {
            from.bytes -= bytes;
            to.bytes += bytes;
            // Not added to those of `to`: a bucket moves once in a plan.
            from.buckets.retain(|&(b, _)| b != bucket);
            let after = (from.bytes, to.bytes);
            moves.push(Move { bucket, from: from.member, to: to.member, bytes, after });
        }
        insert(&mut queue, from);
        insert(&mut queue, to);
    }

    let carries = enabled
        .iter()
        .map(|&m| {
            let load = queue.iter().chain(&done).find(|l| l.member == m);
            (m, load.map_or(0, |l| l.bytes))
        })
        .collect();
    Plan { moves, carries }
}

/// Puts `load` behind those that carry as much or more.
fn insert(queue: &mut Vec<Load>, load: Load) {
    let at = queue.partition_point(|l| l.bytes >= load.bytes);
    queue.insert(at, load);
}

/// The buckets to move from `from`, the busiest member, to one that carries `to_bytes`.
fn choose_buckets(from: &Load, to_bytes: u64) -> Vec<(Bucket, u64)> {
    if from.buckets.len() <= 1 {
        // A single bucket would only carry its load elsewhere.
        return Vec::new();
    }
    let ideal = (from.bytes + to_bytes) / 2 - to_bytes;
    let min_gain = ideal / MIN_GAIN_DIVISOR;
    let mut chosen = Vec::new();
    let mut delta = 0;
    for &(bucket, bytes) in &from.buckets {
        if delta + bytes <= ideal {
            chosen.push((bucket, bytes));
            delta += bytes;
        }
        if ideal - delta < min_gain {
            // Near enough: light buckets are not worth moving.
            break;
        }
    }
    if chosen.is_empty() {
        // Each is more than ideal; the lightest comes nearest.
        let &(bucket, bytes) = from.buckets.last().expect("more than one bucket");
        chosen.push((bucket, bytes));
        delta = bytes;
    }
    let low = (from.bytes - delta).min(to_bytes + delta);
    if low > to_bytes && low - to_bytes >= min_gain { chosen } else { Vec::new() }
}
