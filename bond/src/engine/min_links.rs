//! `bond-min-links`: a bond of too few members carries nothing.

use super::Bond;
use crate::effect::RevalidateReason;
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;

impl Bond {
    /// Compares the enabled members with `bond-min-links`.
    ///
    /// Members stay enabled below the limit, and LACP goes on, as with Linux's `min_links`. So the
    /// bond carries traffic again at once when the missing member is back.
    pub(super) fn run_min_links(&mut self, pending: &mut PendingEffects) {
        let enabled = self.members.iter().filter(|m| m.enabled()).count();
        let wanted = self.config.min_links;
        // With none enabled nothing is carried anyway.
        let below = wanted > 1 && enabled < wanted as usize;
        if below == self.below_min_links {
            return;
        }
        self.below_min_links = below;
        let name = &self.config.name;
        let text = if below {
            format!(
                "bond {name}: {enabled} members are enabled, fewer than bond-min-links={wanted}; \
                 it carries nothing"
            )
        } else if wanted > 1 {
            format!(
                "bond {name}: {enabled} members are enabled, as bond-min-links={wanted} asks for"
            )
        } else {
            format!("bond {name}: carries traffic, bond-min-links is not set any more")
        };
        pending.log(Topic::Active, Level::Warn, text);
        // What the network knows of addresses behind the bond may be out of date.
        pending.moved |= !below;
        pending.revalidate(RevalidateReason::MemberState);
    }
}
