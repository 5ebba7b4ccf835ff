//! A rule and its statistics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use openflow::msg::FlowFlags;
use openflow::{Action, Match};
use wire::Time;

use super::flat::FlatMask;

/// One flow of a flow table. It never changes: a modification makes another rule, which keeps
/// the statistics.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) mask: Arc<FlatMask>,
    pub(crate) values: Box<[u64]>,
    /// 0 to 65535 for a controller's; beyond that, or below 0, for the switch's own.
    pub priority: i32,
    /// 0 to 253, 254 for the switch's own table.
    pub table: u8,
    pub cookie: u64,
    pub actions: Arc<[Action]>,
    /// Seconds without a packet after which it goes; 0: never.
    pub idle_timeout: u16,
    /// Seconds after its last change; 0: never.
    pub hard_timeout: u16,
    /// Evicted later, the higher it is.
    pub importance: u16,
    pub flags: FlowFlags,
    pub created: Time,
    /// When it was last added or changed by a command.
    pub modified: Time,
    /// Never shown to controllers, which cannot change it either.
    pub hidden: bool,
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

    /// When the time of one with a hard time-out is over.
    pub(crate) fn hard_end(&self) -> Option<Time> {
        end(self.modified, self.hard_timeout)
    }

    /// When the time of one with an idle time-out is over if no packet comes.
    pub(crate) fn idle_end(&self) -> Option<Time> {
        end(self.stats.used(), self.idle_timeout)
    }

    /// The earlier of both.
    pub(crate) fn expires(&self) -> Option<Time> {
        [self.hard_end(), self.idle_end()].into_iter().flatten().min()
    }
}

fn end(since: Time, secs: u16) -> Option<Time> {
    (secs != 0).then(|| since + Duration::from_secs(secs.into()))
}

/// What a rule's packets were. Written by whoever handles packets, read by the control side.
#[derive(Debug, Default)]
pub struct RuleStats {
    packets: AtomicU64,
    bytes: AtomicU64,
    /// Nanoseconds on the daemon's clock.
    used: AtomicU64,
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

    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// When the last packet came, or when the rule was made.
    pub fn used(&self) -> Time {
        Time::from_nanos(self.used.load(Relaxed))
    }
}
