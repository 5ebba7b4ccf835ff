//! One member of a bond at run time.

use std::collections::BTreeMap;

use wire::Time;

use crate::config::MemberConfig;
use crate::event::Monitor;
use crate::failback::LinkSpeed;
use crate::link::Link;

/// A member: what was configured, what was reported, and what follows from it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) config: MemberConfig,
    /// `None` = nothing has been reported yet.
    pub(crate) carrier: Option<bool>,
    pub(crate) speed: LinkSpeed,
    /// The configured health checks and what they say.
    pub(crate) monitors: BTreeMap<Monitor, bool>,
    /// LACP agrees, or is not configured.
    pub(crate) lacp_agrees: bool,
    pub(crate) link: Link,
    /// It was away, or was added later, or the bond's start is over: to take over from a working
    /// member it is subject to the failback options.
    pub(crate) returning: bool,
}

impl Member {
    pub(crate) fn new(config: MemberConfig, returning: bool) -> Member {
        Member {
            config,
            carrier: None,
            speed: LinkSpeed::Pending,
            monitors: BTreeMap::new(),
            lacp_agrees: false,
            link: Link::Down,
            returning,
        }
    }

    /// The link is up as far as anyone can tell. Of several health checks one is enough, as in
    /// Open vSwitch.
    pub(crate) fn may_enable(&self) -> bool {
        self.carrier == Some(true)
            && (self.monitors.is_empty() || self.monitors.values().any(|&up| up))
            && self.lacp_agrees
    }

    pub(crate) fn enabled(&self) -> bool {
        self.link.enabled()
    }

    /// From when on a hold-down counts; `None` = the failback options do not apply.
    pub(crate) fn stable_since(&self) -> Option<Time> {
        match self.link {
            Link::Up { since } if self.returning => Some(since),
            Link::Up { .. } | Link::Down | Link::ComingUp { .. } => None,
            // Enabled, but with its link down: anything but stable. The hold-down starts when
            // the link is back, so from the end of the delay on at the earliest.
            Link::GoingDown { until } => Some(until),
        }
    }
}
