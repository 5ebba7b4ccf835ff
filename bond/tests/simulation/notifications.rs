//! The property of peer notifications: each series has as many as the configuration says, at its
//! interval, and none comes where the other end is a partner or no member is active.

use bond::{Effect, LacpState, Mode};
use wire::Time;

use crate::world::{End, Side};

/// What may and what must follow the last announcement. An announcement at the time of a
/// repetition may also be the first of another series: then the number of those that follow is
/// not known from outside.
#[derive(Clone, Copy, Debug)]
struct Series {
    due: Time,
    least: u8,
    most: u8,
}

/// The announcements of one bond.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    series: Option<Series>,
}

impl Notifications {
    /// Another configuration: it may end the series, and does not move what is due.
    pub(crate) fn reconfigured(&mut self) {
        if let Some(s) = &mut self.series {
            s.least = 0;
        }
    }
}

/// After one call, with the effects that it had.
pub(crate) fn check(end: &mut End, side: Side, now: Time, effects: &[Effect]) {
    let status = end.bond.status(now);
    let active = status.members.iter().any(|m| m.active);
    let unaware = match status.lacp_status {
        LacpState::Off => {
            !matches!(end.config.mode, Mode::BalanceTcp | Mode::Ieee8023ad | Mode::Broadcast)
        }
        LacpState::Configured => {
            let strict = end.config.lacp.as_ref().is_some_and(|l| l.aggregation.strict);
            end.config.lacp_fallback_ab && !strict
        }
        LacpState::Negotiated => false,
    };
    let may = active && unaware && !status.below_min_links;
    let announced = effects.iter().any(|e| matches!(e, Effect::NotifyPeers(_)));
    // Traffic moves only with a table, or when a member is disabled, which is logged.
    let moved = effects.iter().any(|e| matches!(e, Effect::Publish(_) | Effect::Notice(_)));
    let config = &end.config.notify;
    let series = end.notifications.series.filter(|_| may);
    end.notifications.series = if announced {
        assert!(may, "{side:?}: announced with {:?}, active: {active}", status.lacp_status);
        let repeats = series.filter(|s| s.due == now && s.most > 0);
        assert!(moved || repeats.is_some(), "{side:?}: announced for no reason, {series:?}");
        let first = config.count.saturating_sub(1);
        let (least, most) = match (repeats, moved) {
            (Some(s), false) => (s.least.saturating_sub(1), s.most - 1),
            (Some(s), true) => (s.least.saturating_sub(1).min(first), s.most.max(first)),
            (None, _) => (first, first),
        };
        Some(Series { due: now + config.interval, least, most })
    } else {
        if let Some(s) = series {
            assert!(s.least == 0 || now < s.due, "{side:?}: a repetition is missing, {s:?}");
        }
        series
    };
}
