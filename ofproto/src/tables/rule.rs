//! A rule and its statistics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use openflow::msg::FlowFlags;
use openflow::{Action, Match};
use wire::Time;

use super::packed::PackedMask;

/// One flow of a flow table. It never changes: a modification makes another rule, which keeps
/// the statistics.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) mask: Arc<PackedMask>,
    pub(crate) values: Box<[u64]>,
    /// 0 to 65535 for a controller's; beyond that, or below 0, for the switch's own.
    pub priority: i32,
    /// 0 to 253, 254 for the switch's own table.
    pub table: u8,
    /// The controller's mark.
    pub cookie: u64,
    /// What is done with packets that match.
    pub actions: Arc<[Action]>,
    /// Seconds without a packet after which it goes, unless [`Rule::idle_timeout`] says less;
    /// 0: never.
    pub(crate) idle: u16,
    /// Seconds after its last change; 0: never.
    pub(crate) hard: u16,
    /// Evicted later, the higher it is.
    pub importance: u16,
    /// `OFPFF_*`.
    pub flags: FlowFlags,
    /// When it was added.
    pub created: Time,
    /// When it was last added or changed by a command.
    pub modified: Time,
    /// Never shown to controllers, which cannot change it either.
    pub hidden: bool,
    /// What it has counted.
    pub stats: Arc<RuleStats>,
    /// Grows with each rule that comes into the bridge's tables.
    pub(crate) order: u64,
    /// When it, or the rule that it modifies, was added, on the scale of `order`.
    pub(crate) added_at: u64,
    /// When a change was last told of.
    pub(crate) changed_at: u64,
}

impl Rule {
    /// What it matches.
    pub fn matching(&self) -> Match {
        self.mask.to_match(&self.values)
    }

    /// Whether it matches every packet.
    pub fn matches_all(&self) -> bool {
        self.mask.bits.is_empty()
    }

    /// Seconds without a packet after which it goes; 0: never.
    pub fn idle_timeout(&self) -> u16 {
        lower(self.idle, self.stats.caps().0)
    }

    /// Seconds after its last change after which it goes; 0: never.
    pub fn hard_timeout(&self) -> u16 {
        lower(self.hard, self.stats.caps().1)
    }

    /// Whether it can get a time-out while it is there.
    pub(crate) fn may_shorten(&self) -> bool {
        let shortens = |a: &Action| match a {
            Action::FinTimeout { .. } => true,
            Action::WriteActions(inner) | Action::Clone(inner) => {
                inner.iter().any(|a| matches!(a, Action::FinTimeout { .. }))
            }
            _ => false,
        };
        self.actions.iter().any(shortens)
    }

    /// When the time of one with a hard time-out is over.
    pub(crate) fn hard_end(&self) -> Option<Time> {
        end(self.modified, self.hard_timeout())
    }

    /// When the time of one with an idle time-out is over if no packet comes.
    pub(crate) fn idle_end(&self) -> Option<Time> {
        end(self.stats.used(), self.idle_timeout())
    }

    /// The earlier of both.
    pub(crate) fn expires(&self) -> Option<Time> {
        [self.hard_end(), self.idle_end()].into_iter().flatten().min()
    }
}

/// The lower of two time-outs, of which 0 is none.
fn lower(a: u16, b: u16) -> u16 {
    match (a, b) {
        (0, t) | (t, 0) => t,
        (a, b) => a.min(b),
    }
}

fn end(since: Time, secs: u16) -> Option<Time> {
    (secs != 0).then(|| since + Duration::from_secs(secs.into()))
}

/// A rule's packet counters. Written by the threads that translate, read by the control side.
#[derive(Debug, Default)]
pub struct RuleStats {
    packets: AtomicU64,
    bytes: AtomicU64,
    /// Nanoseconds on the daemon's clock.
    used: AtomicU64,
    /// What lowers the time-outs, in seconds: idle in the upper half, hard in the lower.
    caps: AtomicU32,
}

impl RuleStats {
    /// Of a rule that is new at `now`.
    pub fn new(now: Time) -> RuleStats {
        RuleStats { used: AtomicU64::new(now.as_nanos()), ..RuleStats::default() }
    }

    /// Adds packets, the last of which came at `used`.
    pub fn add(&self, packets: u64, bytes: u64, used: Time) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.used.fetch_max(used.as_nanos(), Relaxed);
    }

    /// Lowers the rule's time-outs, in seconds; 0 leaves one as it is (the action `fin_timeout`).
    pub fn reduce_timeouts(&self, idle: u16, hard: u16) {
        let reduce = |caps: u32| {
            let idle = lower((caps >> 16) as u16, idle);
            let hard = lower(caps as u16, hard);
            Some(u32::from(idle) << 16 | u32::from(hard))
        };
        // It always says what to store.
        let _ = self.caps.fetch_update(Relaxed, Relaxed, reduce);
    }

    /// The rule's time-outs are what it says again.
    pub(crate) fn restore_timeouts(&self) {
        self.caps.store(0, Relaxed);
    }

    fn caps(&self) -> (u16, u16) {
        let caps = self.caps.load(Relaxed);
        ((caps >> 16) as u16, caps as u16)
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    /// Octets of packets so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// When the last packet came, or when the rule was made.
    pub fn used(&self) -> Time {
        Time::from_nanos(self.used.load(Relaxed))
    }
}
