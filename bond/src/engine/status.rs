//! The engine's state as a [`BondStatus`].

use wire::Time;

use super::Bond;
use crate::config::{MemberId, Mode};
use crate::failback::LinkSpeed;
use crate::forwarding::{Bucket, OutputRule};
use crate::lacp::Lacp;
use crate::lacp::status::LacpStatus;
use crate::millis::whole_ms;
use crate::status::{BondStatus, FailbackStatus, LoopStatus, MemberStatus, WaitingStatus};

impl Bond {
    /// The state of the bond at `now`.
    pub fn status(&self, now: Time) -> BondStatus {
        let c = &self.config;
        let balanced = self.is_balanced();
        // Buckets and loads of each member, in one pass, since monitoring calls this often.
        let mut shares: Vec<(usize, Vec<(Bucket, u64)>)> =
            vec![(0, Vec::new()); self.members.len()];
        let published = self.published.as_deref();
        let selected = published.and_then(|t| match &t.output {
            OutputRule::Select { how, .. } => Some((how, &t.buckets[..how.in_use()])),
            OutputRule::Drop
            | OutputRule::Active
            | OutputRule::Slb { .. }
            | OutputRule::Recirc { .. }
            | OutputRule::LbOutput { .. } => None,
        });
        let owners = selected.map_or(&self.buckets.owners()[..], |s| s.1);
        for (b, (owner, &load)) in (0..=u8::MAX).zip(owners.iter().zip(self.buckets.loads())) {
            let Some(owner) = owner else { continue };
            let Some(i) = self.members.iter().position(|m| m.config.id == *owner) else { continue };
            shares[i].0 += 1;
            if balanced && load > 0 {
                shares[i].1.push((b, load));
            }
        }
        let mut members: Vec<MemberStatus> = self
            .members
            .iter()
            .zip(shares)
            .map(|(m, (buckets, loads))| MemberStatus {
                name: m.config.name.clone(),
                mac: m.config.mac,
                enabled: m.enabled(),
                active: self.active == Some(m.config.id),
                link: m.link,
                delay_left_ms: m.link.deadline().map(|t| whole_ms(now, t)),
                may_enable: m.may_enable(),
                carrier: m.carrier == Some(true),
                link_ok: m.is_healthy(),
                link_failures: m.failures.count,
                speed: match m.speed {
                    LinkSpeed::Known(speed) => Some(speed),
                    LinkSpeed::Pending | LinkSpeed::Unknown => None,
                },
                priority: m.config.priority,
                probe: m.probe.as_ref().map(|p| p.status(now)),
                buckets,
                loads,
            })
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));

        let name_of = |id: MemberId| {
            self.members.iter().find(|m| m.config.id == id).map(|m| m.config.name.clone())
        };
        let primary = self.primary().map(str::to_owned);
        BondStatus {
            name: c.name.clone(),
            mode: c.mode,
            generation: self.forwarding().map_or(0, |t| t.generation),
            may_recirc: self.may_recirc(),
            recirc_id: if c.mode == Mode::ActiveBackup { 0 } else { c.recirc_id },
            hash_basis: c.hash_basis,
            lb_output: self.may_recirc() && c.lb_output || selected.is_some(),
            hash_policy: match c.mode {
                Mode::BalanceXor | Mode::BalanceTlb | Mode::Ieee8023ad => Some(c.policy.hash),
                Mode::ActiveBackup
                | Mode::BalanceSlb
                | Mode::BalanceTcp
                | Mode::BalanceRr
                | Mode::Broadcast => None,
            },
            tlb_dynamic: (c.mode == Mode::BalanceTlb).then_some(c.policy.tlb_dynamic),
            packets_per_member: (c.mode == Mode::BalanceRr).then_some(c.policy.packets_per_member),
            all_members_active: c.mode == Mode::BalanceSlb && c.all_members_active,
            updelay_ms: c.updelay.as_millis(),
            downdelay_ms: c.downdelay.as_millis(),
            next_rebalance_ms: balanced.then(|| whole_ms(now, self.next_rebalance)),
            lacp_status: self.lacp_state(),
            lacp_fallback_ab: c.lacp_fallback_ab,
            carries: members.iter().any(|m| m.enabled)
                && self.forwarding().is_some_and(|t| t.output != OutputRule::Drop),
            min_links: c.min_links,
            below_min_links: self.below_min_links,
            primary_is_member: members.iter().any(|m| primary.as_ref() == Some(&m.name)),
            primary,
            active_member_mac: self.active_mac,
            active_member: members
                .iter()
                .find(|m| m.mac == self.active_mac)
                .map(|m| m.name.clone()),
            failback: FailbackStatus {
                primary_reselect: c.primary_reselect,
                delay_ms: c.failback_delay.as_millis(),
                limit_per_hour: c.failback_limit,
                used: self.failbacks.used(now),
                waiting: self.waiting.and_then(|w| {
                    Some(WaitingStatus {
                        member: name_of(w.member)?,
                        reason: w.reason,
                        left_ms: w.until.map(|t| whole_ms(now, t)),
                    })
                }),
            },
            looped: self.looped.as_ref().map(|l| LoopStatus {
                with: l.with.clone(),
                held: self.is_held_down(),
                left_ms: whole_ms(now, l.until),
            }),
            members,
        }
    }

    /// The state of LACP; `None` = not configured.
    pub fn lacp_status(&self) -> Option<LacpStatus> {
        self.lacp.as_ref().map(Lacp::status)
    }
}
