//! Configuration changes: only what differs from the old configuration changes.

use std::collections::BTreeSet;
use std::time::Duration;

use wire::{EthAddr, Time};

use super::Bond;
use crate::config::{BondConfig, MemberId};
use crate::effect::{Effect, RevalidateReason};
use crate::failback::LinkSpeed;
use crate::lacp::{self, Lacp};
use crate::member::Member;
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;

/// Minimum time from a change of the interval to the next rebalancing.
const REBALANCE_AFTER: Duration = Duration::from_millis(1);

impl Bond {
    pub(super) fn configure(
        &mut self,
        now: Time,
        config: BondConfig,
        pending: &mut PendingEffects,
    ) {
        let first = !self.configured;
        let old = std::mem::replace(&mut self.config, config);
        self.configured = true;
        if first {
            self.active_mac = self.config.active_member_mac.unwrap_or(EthAddr::ZERO);
            self.restore = self.config.active_member_mac.filter(|mac| !mac.is_zero());
        }
        self.configure_members(first, pending);
        self.configure_lacp(now, pending);
        self.configure_probes(now);

        let new = &self.config;
        if first
            || old.mode != new.mode
            || old.hash_basis != new.hash_basis
            || old.policy != new.policy
            || old.rebalance_interval.is_zero() != new.rebalance_interval.is_zero()
        {
            // The buckets hold other packets now: the loads are void, the owners stay.
            self.buckets.clear_loads();
            self.next_rebalance = now + new.rebalance_interval;
        } else if old.rebalance_interval != new.rebalance_interval {
            let started = self.next_rebalance - old.rebalance_interval;
            self.next_rebalance = started + new.rebalance_interval;
            self.rebalance_from = now + REBALANCE_AFTER;
        }
        // The options that flows depend on. Members are compared in `configure_members`; delays and
        // failback options change no flow.
        let seen_by_flows = |c: &BondConfig| {
            let id = (c.recirc_id, c.hash_basis, c.lb_output, c.rebalance_interval.is_zero());
            let falls_back = (c.lacp_fallback_ab, c.lacp.as_ref().map(|l| l.aggregation.strict));
            (c.mode, falls_back, c.all_members_active, id, c.primary.clone())
        };
        if first || seen_by_flows(&old) != seen_by_flows(new) {
            pending.revalidate(RevalidateReason::Reconfigured);
        }
    }

    fn configure_members(&mut self, first: bool, pending: &mut PendingEffects) {
        let mut wanted = std::mem::take(&mut self.config.members);
        let mut seen = BTreeSet::new();
        wanted.retain(|m| seen.insert(m.id));

        // After a restart with a known active member, the failback options apply from the beginning.
        let fresh = first && self.restore.is_none();
        let mut old = std::mem::take(&mut self.members);
        for gone in old.extract_if(.., |m| !seen.contains(&m.config.id)) {
            if gone.enabled() {
                let text = format!("member {}: disabled", gone.config.name);
                pending.log_member(Topic::Member, Level::Info, &gone.config.name, text);
            }
            pending.moved |= gone.enabled() || self.active == Some(gone.config.id);
            pending.revalidate(RevalidateReason::MemberSet);
        }
        for config in wanted {
            match old.iter().position(|m| m.config.id == config.id) {
                Some(i) => {
                    let mut member = old.remove(i);
                    let mac = config.mac;
                    let known = MacChange { old: member.config.mac, new: mac };
                    member.config = config;
                    self.update_active_mac(member.config.id, known, pending);
                    self.members.push(member);
                }
                None => {
                    pending.revalidate(RevalidateReason::MemberSet);
                    self.members.push(Member::new(config, !fresh));
                }
            }
        }
    }

    fn configure_lacp(&mut self, now: Time, pending: &mut PendingEffects) {
        let settings = self.config.lacp.as_ref().map(|config| lacp::Settings {
            name: self.config.name.clone(),
            config: config.clone(),
            fallback_ab: self.config.lacp_fallback_ab,
            members: self
                .members
                .iter()
                .map(|m| lacp::MemberSettings {
                    id: m.config.id,
                    name: m.config.name.clone(),
                    config: m.config.lacp,
                })
                .collect(),
        });
        match (&mut self.lacp, settings) {
            (None, None) => {}
            (Some(lacp), Some(settings)) => {
                lacp.handle(now, lacp::Event::Configure(Box::new(settings)));
            }
            (None, Some(settings)) => {
                let mut lacp = Lacp::new(now, settings);
                for m in &self.members {
                    let member = m.config.id;
                    if let Some(up) = m.carrier {
                        lacp.handle(now, lacp::Event::Carrier { member, up });
                    }
                    if let LinkSpeed::Known(speed) = m.speed {
                        let mbps = speed.mbps;
                        lacp.handle(now, lacp::Event::Speed { member, mbps });
                    }
                }
                self.lacp = Some(lacp);
                pending.revalidate(RevalidateReason::LacpStatus);
            }
            (Some(_), None) => {
                self.lacp = None;
                for m in &self.members {
                    let member = m.config.id;
                    pending.lacp(Effect::LacpCurrent { member, current: None });
                }
                pending.revalidate(RevalidateReason::LacpStatus);
            }
        }
    }

    pub(super) fn mac(&mut self, member: MemberId, mac: EthAddr, pending: &mut PendingEffects) {
        let Some(m) = self.member_mut(member) else { return };
        let known = MacChange { old: m.config.mac, new: mac };
        m.config.mac = mac;
        self.update_active_mac(member, known, pending);
    }

    /// Updates and persists the active member's address if `member` is the active one.
    fn update_active_mac(
        &mut self,
        member: MemberId,
        mac: MacChange,
        pending: &mut PendingEffects,
    ) {
        if mac.old != mac.new && self.active == Some(member) {
            self.active_mac = mac.new;
            pending.persist = Some(mac.new);
        }
    }
}

/// A change of a member's address.
struct MacChange {
    old: EthAddr,
    new: EthAddr,
}
