//! Copies of the packet: into the next bridge over a patch port, and `clone`.

use openflow::Action as OfAction;

use crate::snapshot::Place;
use crate::trace::NodeKind;
use crate::xlate_cache::StatsTarget;

use super::context::Translator;
use super::options::{OnMiss, RunOn, TableVisit};

impl Translator<'_> {
    /// Out of a patch port, into the bridge at its other end.
    pub(super) fn output_patch(&mut self, from: Place, last: bool) {
        let snap = self.at.snap();
        let Some(patch) = &snap.bridges[from.bridge].bundles[from.bundle].patch_of(from.iface)
        else {
            return;
        };
        let Some(peer) = patch.peer else { return };
        self.deps.count(StatsTarget::PatchTx(patch.counters.clone()));
        let into = &snap.bridges[peer.bridge].bundles[peer.bundle];
        if let Some(p) = into.patch_of(peer.iface) {
            self.deps.count(StatsTarget::PatchRx(p.counters.clone()));
        }

        let saved = self.save();
        self.flow.clear_pipeline();
        self.flow.set_in_port(into.ifaces[peer.iface].of_port);
        let traced = self.trace.depth();
        let other = &snap.bridges[peer.bridge];
        self.trace.enter(NodeKind::Bridge, || format!("bridge(\"{}\")", other.name));
        // Each bridge has mirrors of its own.
        let mirroring = (peer.bridge != from.bridge).then_some(self.mirroring);
        if mirroring.is_some() {
            self.mirroring.forget_copies();
        }
        let left = self.at.enter_bridge(peer.bridge);
        self.progress.begin_nested();
        if !self.consume(peer) && self.may_receive() {
            self.visit_table(TableVisit {
                table: 0,
                in_port: self.flow.in_port(),
                on_miss: OnMiss::PacketIn,
                last,
                run_on: RunOn::Copy,
            });
            self.end_of_pipeline();
        }
        self.progress.end_nested();
        self.at.leave_bridge(left);
        if let Some(before) = mirroring {
            self.mirroring = before;
        }
        self.trace.leave_to(traced);
        self.restore(saved);
        self.progress.back_from_bridge();
    }

    /// Carries out a list on a copy: the packet itself goes on as it was.
    pub(super) fn run_copy(&mut self, actions: &[OfAction], last: bool) {
        if !last {
            self.commit();
        }
        let saved = self.save();
        let copy = self.out.start_copy();
        if !last {
            self.progress.begin_nested();
        }
        self.run(actions, true);
        self.end_of_pipeline();
        if !last {
            self.progress.end_nested();
            self.out.end_copy(copy);
        }
        self.restore(saved);
    }
}
