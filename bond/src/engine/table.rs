//! The forwarding table that follows from the state of the bond.

use std::sync::Arc;

use super::Bond;
use crate::config::Mode;
use crate::forwarding::{Admission, BUCKETS, Forwarding, OutputRule};
use crate::lacp::status::LacpState;
use crate::member::Member;
use crate::pending::PendingEffects;

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
        if matches!(table.output, OutputRule::Active | OutputRule::Drop) {
            self.counters = None;
        }
        let table = Arc::new(table);
        self.published = Some(Arc::clone(&table));
        pending.publish = Some(table);
    }

    fn output_rule(&self) -> OutputRule {
        let (basis, recirc_id) = (self.config.hash_basis, self.config.recirc_id);
        match (self.lacp_state(), self.config.mode) {
            (LacpState::Configured, _) if !self.config.lacp_fallback_ab => OutputRule::Drop,
            (LacpState::Configured, _) | (_, Mode::ActiveBackup) => OutputRule::Active,
            (LacpState::Off | LacpState::Negotiated, Mode::BalanceSlb) => OutputRule::Slb { basis },
            (LacpState::Off, Mode::BalanceTcp) => OutputRule::Drop,
            (LacpState::Negotiated, Mode::BalanceTcp) if self.config.lb_output => {
                OutputRule::LbOutput { basis, recirc_id }
            }
            (LacpState::Negotiated, Mode::BalanceTcp) => OutputRule::Recirc { basis, recirc_id },
        }
    }

    fn admission(&self, m: &Member) -> Admission {
        let active = self.active == Some(m.config.id);
        let if_active = if active { Admission::Open } else { Admission::Closed };
        if self.is_held_down() {
            return Admission::Closed;
        }
        match (self.lacp_state(), self.config.mode) {
            // The partner sends each packet once, and on attached members only. It may begin
            // before the member is enabled.
            (LacpState::Negotiated, _) if m.enabled() || m.may_enable() => Admission::Open,
            (LacpState::Negotiated, _) => Admission::Closed,
            (LacpState::Configured, _) if !self.config.lacp_fallback_ab => Admission::Closed,
            (LacpState::Off, Mode::BalanceTcp) => Admission::Closed,
            (LacpState::Configured, Mode::BalanceTcp) | (_, Mode::ActiveBackup) => if_active,
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
        };
        let mut admission: Vec<_> =
            self.members.iter().map(|m| (m.config.id, self.admission(m))).collect();
        admission.sort_unstable_by_key(|a| a.0);
        Forwarding { generation: 0, output, buckets, admission }
    }

    /// Learning packets are needed where the other end is not aware of the bond (no LACP partner).
    pub(super) fn may_send_learning_packets(&self) -> bool {
        let unaware = match self.lacp_state() {
            LacpState::Off => self.config.mode != Mode::BalanceTcp,
            LacpState::Configured => self.config.lacp_fallback_ab,
            LacpState::Negotiated => false,
        };
        unaware && self.active.is_some()
    }
}
