//! Failback: when a preferred member may take over from an active member that works.
//!
//! Failover, when the active member fails, is never delayed.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use wire::Time;

use crate::config::PrimaryReselect;

/// The window of `bond-failback-limit`.
pub const WINDOW: Duration = Duration::from_secs(3600);

/// The configured failback options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `bond-primary-reselect`.
    pub reselect: PrimaryReselect,
    /// `bond-failback-delay`: how long the preferred member must have been enabled without a flap.
    pub delay: Duration,
    /// `bond-failback-limit`: failbacks in any hour; 0 = no limit.
    pub limit: u32,
}

/// Speed and duplex mode of a link. A faster one is greater; of equal speeds, full duplex is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Speed {
    /// Megabits per second, more than 0.
    pub mbps: u64,
    /// False also for a device that does not report its duplex mode.
    pub full_duplex: bool,
}

/// What is known of a member's speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkSpeed {
    /// The device has been asked, or will be, and has not answered since the link came up.
    #[default]
    Pending,
    /// The device has answered that it does not know (`SPEED_UNKNOWN` in `linux/ethtool.h`), or
    /// that it cannot be asked.
    Unknown,
    /// The device has reported it.
    Known(Speed),
}

/// The outcome of comparing a preferred member's link with the active member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Faster, or as fast and full duplex where the active member's link is not.
    Better,
    /// Slower, or as fast without an advantage in the duplex mode.
    NotBetter,
    /// A device has still to answer.
    Pending,
    /// A device does not report its speed.
    Unknown,
}

impl LinkSpeed {
    /// Compares this link with the active member's. Only two known speeds have an order; a speed
    /// that is not known counts neither as slow nor as fast.
    pub fn compare(self, active: LinkSpeed) -> Comparison {
        use LinkSpeed::{Known, Pending, Unknown};
        match (self, active) {
            (Pending, Pending | Unknown | Known(_)) | (Unknown | Known(_), Pending) => {
                Comparison::Pending
            }
            (Unknown, Unknown | Known(_)) | (Known(_), Unknown) => Comparison::Unknown,
            (Known(a), Known(b)) if a > b => Comparison::Better,
            (Known(_), Known(_)) => Comparison::NotBetter,
        }
    }
}

/// Why a preferred member does not take over yet, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It has not been stable for `bond-failback-delay`.
    HoldDown,
    /// `bond-failback-limit` is used up.
    Limit,
    /// `bond-primary-reselect=better`, and its link is not.
    NotBetter,
    /// `bond-primary-reselect=better`, and a device has still to answer how fast its link is.
    SpeedPending,
    /// `bond-primary-reselect=better`, and a device does not report how fast its link is.
    SpeedUnknown,
    /// `bond-primary-reselect=failure`, and the active member works.
    OnlyOnFailure,
}

/// Whether the preferred member takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes over now.
    TakeOver,
    /// It does not take over yet.
    Wait {
        /// The option that prevents it.
        reason: Reason,
        /// When to evaluate again; `None` = when something else changes.
        until: Option<Time>,
    },
}

/// The times of the failbacks in the last hour. Failbacks by command do not count.
#[derive(Clone, Debug, Default)]
pub struct FailbackHistory {
    times: VecDeque<Time>,
}

impl FailbackHistory {
    /// Whether a member may take over now.
    ///
    /// `stable_since` is when the preferred member was last enabled. `speed` compares its link with
    /// the active member's.
    pub fn evaluate(
        &self,
        now: Time,
        policy: &Policy,
        stable_since: Time,
        speed: Comparison,
    ) -> Verdict {
        let held = match (policy.reselect, speed) {
            (PrimaryReselect::Failure, _) => Some(Reason::OnlyOnFailure),
            (PrimaryReselect::Better, Comparison::NotBetter) => Some(Reason::NotBetter),
            (PrimaryReselect::Better, Comparison::Pending) => Some(Reason::SpeedPending),
            (PrimaryReselect::Better, Comparison::Unknown) => Some(Reason::SpeedUnknown),
            (PrimaryReselect::Better, Comparison::Better) | (PrimaryReselect::Always, _) => None,
        };
        if let Some(reason) = held {
            return Verdict::Wait { reason, until: None };
        }
        let until = stable_since + policy.delay;
        if !policy.delay.is_zero() && until > now {
            return Verdict::Wait { reason: Reason::HoldDown, until: Some(until) };
        }
        let limit = policy.limit as usize;
        if limit > 0 && self.used(now) as usize >= limit {
            // The limit may have been lowered below the number of recorded failbacks.
            let freed_by = self.times[self.times.len() - limit];
            return Verdict::Wait { reason: Reason::Limit, until: Some(freed_by + WINDOW) };
        }
        Verdict::TakeOver
    }

    /// Counts a failback against the limit.
    pub fn record(&mut self, now: Time) {
        while self.times.front().is_some_and(|&t| t + WINDOW <= now) {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// Failbacks in the last hour.
    pub fn used(&self, now: Time) -> u32 {
        let recent = self.times.iter().filter(|&&t| t + WINDOW > now).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }
}
