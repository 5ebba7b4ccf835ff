//! When may a preferred member take over from an active member that works?
//!
//! Failing over is never held back; failing back is, by the operator's wish.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use wire::Time;

use crate::config::PrimaryReselect;

/// The window of `bond-failback-limit`.
pub const WINDOW: Duration = Duration::from_secs(3600);

/// The operator's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub reselect: PrimaryReselect,
    /// How long the preferred member must have been up without a flap.
    pub delay: Duration,
    /// Failbacks in any hour; 0 = no limit.
    pub limit: u32,
}

/// How fast a member's link is; `None` = not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    pub mbps: u64,
    pub full_duplex: bool,
}

impl Speed {
    /// Faster, or as fast and full duplex where `other` is not.
    pub fn better_than(self, other: Speed) -> bool {
        (self.mbps, self.full_duplex) > (other.mbps, other.full_duplex)
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
    /// `bond-primary-reselect=failure`, and the active member works.
    OnlyOnFailure,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    TakeOver,
    /// Not before `until`; `None` = not until something else changes.
    Wait {
        reason: Reason,
        until: Option<Time>,
    },
}

/// The failbacks of the last hour, but for those made by hand.
#[derive(Clone, Debug, Default)]
pub struct Failbacks {
    times: VecDeque<Time>,
}

impl Failbacks {
    /// Whether a member may take over now.
    ///
    /// `stable_since`: the start of the time without a flap.
    pub fn judge(&self, now: Time, policy: &Policy, stable_since: Time, better: bool) -> Verdict {
        match policy.reselect {
            PrimaryReselect::Failure => {
                return Verdict::Wait { reason: Reason::OnlyOnFailure, until: None };
            }
            PrimaryReselect::Better if !better => {
                return Verdict::Wait { reason: Reason::NotBetter, until: None };
            }
            PrimaryReselect::Better | PrimaryReselect::Always => {}
        }
        let until = stable_since + policy.delay;
        if !policy.delay.is_zero() && until > now {
            return Verdict::Wait { reason: Reason::HoldDown, until: Some(until) };
        }
        let limit = policy.limit as usize;
        if limit > 0 && self.used(now) as usize >= limit {
            // The limit may have been lowered below what was used.
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
