//! The run-time state of one member.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::Time;

use crate::config::MemberConfig;
use crate::event::Monitor;
use crate::failback::LinkSpeed;
use crate::link::Link;
use crate::monitor::probe;

/// The configuration of a member, the reported events, and the resulting link state.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) config: MemberConfig,
    /// The reported link state; `None` = not reported yet.
    pub(crate) carrier: Option<bool>,
    pub(crate) speed: LinkSpeed,
    /// The results of the configured health checks.
    pub(crate) monitors: BTreeMap<Monitor, bool>,
    /// Its probes; `None` = probing is off.
    pub(crate) probe: Option<probe::Session>,
    /// LACP lets the member carry traffic, or is not configured.
    pub(crate) lacp_agrees: bool,
    pub(crate) link: Link,
    /// The failback options apply to the member: its link was down, it was added later, or the start
    /// of the bond is over.
    pub(crate) returning: bool,
    pub(crate) failures: LinkFailures,
}

/// Counts how often a link is lost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkFailures {
    pub(crate) count: u32,
    /// Since when the link is down, unless that has been counted, or it has not been up yet.
    lost_at: Option<Time>,
    /// The link was up when it was looked at last.
    up: bool,
}

impl LinkFailures {
    /// Takes note of the link's state at `now`. A loss shorter than `downdelay` does not count, as
    /// in Linux.
    pub(crate) fn run(&mut self, now: Time, up: bool, downdelay: Duration) {
        let was = std::mem::replace(&mut self.up, up);
        if up {
            self.lost_at = None;
        } else if was {
            self.lost_at = Some(now);
        }
        if self.lost_at.is_some_and(|t| now >= t + downdelay) {
            self.lost_at = None;
            self.count = self.count.wrapping_add(1);
        }
    }
}

impl Member {
    pub(crate) fn new(config: MemberConfig, returning: bool) -> Member {
        Member {
            config,
            carrier: None,
            speed: LinkSpeed::Pending,
            monitors: BTreeMap::new(),
            probe: None,
            lacp_agrees: false,
            link: Link::Down,
            returning,
            failures: LinkFailures::default(),
        }
    }

    /// The carrier is up, LACP and the probes allow it, and at least one of the health checks, if there
    /// are any, reports the link up (as in Open vSwitch).
    pub(crate) fn may_enable(&self) -> bool {
        self.is_healthy() && self.lacp_agrees
    }

    /// [`Member::may_enable`] without LACP's say.
    pub(crate) fn is_healthy(&self) -> bool {
        self.carrier == Some(true)
            && (self.monitors.is_empty() || self.monitors.values().any(|&up| up))
            && self.probe.as_ref().is_none_or(probe::Session::up)
    }

    pub(crate) fn enabled(&self) -> bool {
        self.link.enabled()
    }

    /// When the failback delay starts; `None` = the failback options do not apply.
    pub(crate) fn stable_since(&self) -> Option<Time> {
        match self.link {
            Link::Up { since } if self.returning => Some(since),
            Link::Up { .. } | Link::Down | Link::ComingUp { .. } => None,
            // Enabled, but the link is down: the delay starts when the link is back, so at the end
            // of the downdelay at the earliest.
            Link::GoingDown { until } => Some(until),
        }
    }
}
