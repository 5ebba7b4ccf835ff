//! The forwarding table that follows from the state of the bond.

use std::sync::Arc;

use wire::EthAddr;

use super::Bond;
use crate::config::{MemberId, Mode};
use crate::forwarding::{Admission, BUCKETS, Forwarding, OutputRule, Selection};
use crate::lacp::status::LacpState;
use crate::member::Member;
use crate::pending::PendingEffects;
use crate::policy;

impl Bond {
    pub(super) fn publish(&mut self, pending: &mut PendingEffects) {
        let mut table = self.table();
        match &self.published {
            Some(last) => {
                table.generation = last.generation;
                if table == **last {
                    return;
                }
                table.generation += 1;
            }
            None => table.generation = 1,
        }
        match table.output {
            OutputRule::Active | OutputRule::Drop => self.counters = None,
            OutputRule::Select { .. } if !self.is_balanced() => self.counters = None,
            OutputRule::Select { .. } => {}
            OutputRule::Slb { .. } | OutputRule::Recirc { .. } | OutputRule::LbOutput { .. } => {}
        }
        let table = Arc::new(table);
        self.published = Some(Arc::clone(&table));
        pending.publish = Some(table);
    }

    fn output_rule(&self) -> OutputRule {
        let (basis, recirc_id) = (self.config.hash_basis, self.config.recirc_id);
        if self.below_min_links {
            return OutputRule::Drop;
        }
        match (self.lacp_state(), self.config.mode) {
            (LacpState::Configured, _) if !self.may_fall_back() => OutputRule::Drop,
            (LacpState::Configured, _) | (_, Mode::ActiveBackup) => OutputRule::Active,
            (LacpState::Off | LacpState::Negotiated, Mode::BalanceSlb) => OutputRule::Slb { basis },
            (LacpState::Off, Mode::BalanceTcp | Mode::Ieee8023ad) => OutputRule::Drop,
            (LacpState::Negotiated, Mode::BalanceTcp) if self.config.lb_output => {
                OutputRule::LbOutput { basis, recirc_id }
            }
            (LacpState::Negotiated, Mode::BalanceTcp) => OutputRule::Recirc { basis, recirc_id },
            (LacpState::Negotiated, Mode::Ieee8023ad)
            | (
                LacpState::Off | LacpState::Negotiated,
                Mode::BalanceRr | Mode::BalanceXor | Mode::Broadcast | Mode::BalanceTlb,
            ) => {
                let usable = self.members.iter().filter(|m| m.enabled()).count();
                match self.config.policy.selection(self.config.mode, usable, self.active) {
                    Some(how) => OutputRule::Select { recirc_id, how },
                    None => OutputRule::Drop,
                }
            }
        }
    }

    fn admission(&self, m: &Member) -> Admission {
        let active = self.active == Some(m.config.id);
        let if_active = if active { Admission::Open } else { Admission::Closed };
        if self.is_held_down() || self.below_min_links {
            return Admission::Closed;
        }
        match (self.lacp_state(), self.config.mode) {
            // The partner sends each packet once, and on attached members only. It may begin
            // before the member is enabled.
            (LacpState::Negotiated, _) if m.enabled() || m.may_enable() => Admission::Open,
            // Independent control: it collects before it distributes.
            (LacpState::Negotiated, _) if m.is_healthy() && self.lacp_collects(m.config.id) => {
                Admission::Open
            }
            (LacpState::Negotiated, _) => Admission::Closed,
            (LacpState::Configured, _) if !self.may_fall_back() => Admission::Closed,
            (LacpState::Off, Mode::BalanceTcp | Mode::Ieee8023ad) => Admission::Closed,
            (
                LacpState::Configured,
                Mode::BalanceTcp
                | Mode::BalanceRr
                | Mode::BalanceXor
                | Mode::Broadcast
                | Mode::BalanceTlb
                | Mode::Ieee8023ad,
            )
            | (_, Mode::ActiveBackup) => if_active,
            (LacpState::Off, Mode::BalanceRr | Mode::BalanceXor | Mode::Broadcast)
                if !m.enabled() && !m.may_enable() =>
            {
                Admission::Closed
            }
            // The switch sends each packet once if it groups its ports, as these modes require.
            // What it reflects if it does not is dropped by translation.
            (LacpState::Off, Mode::BalanceRr | Mode::BalanceXor) => Admission::UnlessMoved,
            (LacpState::Off, Mode::Broadcast) => Admission::Once,
            // No peer reflects the active member's own packets; those of other members may be reflected.
            (LacpState::Off, Mode::BalanceTlb) if active || self.config.all_members_active => {
                Admission::UnlessMoved
            }
            (LacpState::Off, Mode::BalanceTlb) => Admission::Closed,
            (LacpState::Configured | LacpState::Off, Mode::BalanceSlb) => {
                if active || self.config.all_members_active {
                    Admission::UnlessMoved
                } else {
                    Admission::Unicast
                }
            }
        }
    }

    /// The forwarding table for the current state, with generation 0.
    fn table(&self) -> Forwarding {
        let output = self.output_rule();
        let buckets = match output {
            OutputRule::Drop => [None; BUCKETS],
            OutputRule::Active => [self.active.filter(|&id| self.is_enabled(id)); BUCKETS],
            OutputRule::Slb { .. } | OutputRule::Recirc { .. } | OutputRule::LbOutput { .. } => {
                *self.buckets.owners()
            }
            OutputRule::Select { .. } if self.has_buckets() => *self.buckets.owners(),
            OutputRule::Select { .. } => {
                let usable: Vec<MemberId> =
                    self.members.iter().filter(|m| m.enabled()).map(|m| m.config.id).collect();
                policy::in_turn(&usable)
            }
        };
        let mut admission: Vec<_> =
            self.members.iter().map(|m| (m.config.id, self.admission(m))).collect();
        admission.sort_unstable_by_key(|a| a.0);
        Forwarding { generation: 0, output, buckets, admission, sources: self.sources(output) }
    }

    /// The addresses that members other than the active one send from in balance-tlb: their own.
    /// The one that the bridge has taken for itself is the active member's instead, because the
    /// bridge's packets leave by the active member.
    fn sources(&self, output: OutputRule) -> Vec<(MemberId, EthAddr)> {
        let OutputRule::Select { how: Selection::Tlb { active: Some(active), .. }, .. } = output
        else {
            return Vec::new();
        };
        let active_mac = self.member(active).map_or(EthAddr::ZERO, |m| m.config.mac);
        let others = self.members.iter().map(|m| &m.config).filter(|c| c.id != active);
        let source = |mac| if mac == self.config.bridge_mac { active_mac } else { mac };
        let mut sources: Vec<_> = others.map(|c| (c.id, source(c.mac))).collect();
        sources.sort_unstable();
        sources
    }

    fn lacp_collects(&self, id: MemberId) -> bool {
        self.lacp.as_ref().is_some_and(|lacp| lacp.may_collect(id))
    }
}
