//! Copies of the packet: into the next bridge over a patch port, and `clone`.

use std::sync::Arc;

use datapath::Action;
use openflow::Action as OfAction;

use crate::snapshot::Place;
use crate::trace::NodeKind;
use crate::xlate_cache::StatsTarget;

use super::actions::{forget_pipeline, stays};
use super::context::Translator;
use super::table::RunOn;

impl Translator<'_> {
    /// Out of a patch port, into the bridge at its other end.
    pub(super) fn output_patch(&mut self, from: Place, last: bool) {
        let snap = self.snap;
        let Some(patch) = &snap.bridges[from.bridge].bundles[from.bundle].patch_of(from.iface)
        else {
            return;
        };
        let Some(peer) = patch.peer else { return };
        self.deps.stats_targets.push(StatsTarget::PatchTx(patch.counters.clone()));
        let into = &snap.bridges[peer.bridge].bundles[peer.bundle];
        if let Some(p) = into.patch_of(peer.iface) {
            self.deps.stats_targets.push(StatsTarget::PatchRx(p.counters.clone()));
        }

        let saved = self.save();
        forget_pipeline(&mut self.flow);
        self.flow.in_port = into.ifaces[peer.iface].of_port;
        let traced = self.trace_depth();
        let other = &snap.bridges[peer.bridge];
        self.enter(NodeKind::Bridge, || format!("bridge(\"{}\")", other.name));
        // Each bridge has mirrors of its own.
        let mirrors = self.mirrors;
        if peer.bridge != from.bridge {
            self.mirrors = 0;
        }
        let tables = std::mem::replace(&mut self.tables, other.state.tables.load_full());
        self.bridge = peer.bridge;
        self.nested += 1;
        if !self.special(peer) && self.may_receive() {
            let in_port = self.flow.in_port;
            self.table_action(in_port, 0, true, true, last, RunOn::Copy);
            self.end_of_pipeline();
        }
        self.nested -= 1;
        self.bridge = from.bridge;
        self.tables = tables;
        if peer.bridge != from.bridge {
            self.mirrors = mirrors;
        }
        self.leave_to(traced);
        self.restore(saved);
        // What ends in the other bridge goes on in this one. A packet that runs in circles does
        // not: it would come out of every port a thousand times.
        self.exit = false;
        match self.failure {
            Some(f) if stays(f) => self.looped = true,
            Some(_) | None => self.failure = None,
        }
    }

    /// Carries out a list on a copy: the packet itself goes on as it was.
    pub(super) fn run_copy(&mut self, actions: &[OfAction], last: bool) {
        if !last {
            self.commit();
        }
        let saved = self.save();
        let (base, have) = (self.base, self.have);
        let at = self.actions.len();
        if !last {
            self.nested += 1;
        }
        self.run(actions, true);
        self.end_of_pipeline();
        if !last {
            self.nested -= 1;
            if !reversible(&self.actions[at..]) {
                let body = self.actions.split_off(at);
                self.size += 4;
                self.actions.push(Action::Clone(Arc::new(body)));
                (self.base, self.have) = (base, have);
            }
        }
        self.restore(saved);
    }
}

/// Whether what these do to a packet can be undone by setting headers again.
fn reversible(actions: &[Action]) -> bool {
    actions.iter().enumerate().all(|(i, a)| match a {
        Action::Output(_)
        | Action::OutputBucket { .. }
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::Recirc(_)
        | Action::LbOutput { .. }
        | Action::Userspace(_)
        | Action::Set(_)
        | Action::Clone(_)
        | Action::Controller(_) => true,
        // The hash that one pass through the table is for is of no use to anybody else.
        Action::HashL4 { .. } => matches!(actions.get(i + 1), Some(Action::LbOutput { .. })),
        Action::Gate { .. } | Action::Trunc(_) | Action::Drop(_) => false,
    })
}
