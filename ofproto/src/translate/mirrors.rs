//! Where mirrors get their copies.

use openflow::OfPort;

use crate::mask;
use crate::mirror::{MirrorMask, MirrorTarget};
use crate::snapshot::Place;
use crate::vlan::Tags;
use crate::xlate_cache::StatsTarget;

use super::context::Translator;

impl Translator<'_> {
    /// The packet arrives at its port.
    pub(super) fn mirror_ingress(&mut self) {
        let bridge = self.here();
        if !bridge.mirrors.any() {
            return;
        }
        match self.in_place() {
            Some(place) => self.mirror(place.bundle, bridge.mirrors.roles(place.bundle).source),
            // A controller's packet comes from nowhere.
            None if matches!(self.flow.in_port(), OfPort::NONE | OfPort::CONTROLLER) => {}
            None => {
                self.error(format!("received packet on unknown port {}", self.flow.in_port().0))
            }
        }
    }

    /// The packet has left by a bundle of this bridge.
    pub(super) fn mirror_egress(&mut self, bundle: usize) {
        let bridge = self.here();
        if bridge.mirrors.any() {
            self.mirror(bundle, bridge.mirrors.roles(bundle).destination);
        }
    }

    /// Whether a port is for mirrors' copies only.
    pub(super) fn is_mirror_output(&self, place: Place) -> bool {
        self.is_mirror_bundle(place.bridge, place.bundle)
    }

    pub(super) fn is_mirror_bundle(&self, bridge: usize, bundle: usize) -> bool {
        self.at.snap().bridges[bridge].mirrors.is_output(bundle)
    }

    /// Copies the packet as it is, which passes by `bundle`, to those of `candidates` that want it
    /// and have not got it yet.
    fn mirror(&mut self, bundle: usize, mut candidates: MirrorMask) {
        let bridge = self.here();
        let port = &bridge.bundles[bundle];
        let received = self.flow.tags();
        if !self.vid_is_valid(port, received.outer().vid) {
            return;
        }
        let inside = port.vlan.ingress(&received);
        let (vlan, pcp) = (inside.outer().vid, received.outer().pcp);
        candidates &= !self.mirroring.copied();
        while candidates != 0 {
            let bit = candidates & candidates.wrapping_neg();
            candidates ^= bit;
            let Some(mirror) = bridge.mirrors.first(bit) else { continue };
            if let Some(vlans) = &mirror.vlans {
                self.flow.look_at_vid();
                if !vlans.contains(vlan) {
                    continue;
                }
            }
            if let Some(filter) = &mirror.filter {
                let matches = self.flow.examine_fields(|flow, wc| {
                    *wc = wc.zip(&filter.mask, |looked, at| looked | at);
                    filter.matches(flow)
                });
                if !matches {
                    continue;
                }
            }
            self.deps.count(StatsTarget::Mirror(mirror.counter.clone()));
            self.mirroring.start_copy(mirror);
            match mirror.output {
                MirrorTarget::Bundle(n) => self.output_normal(n, &inside, pcp, false),
                MirrorTarget::Vlan(to) => {
                    if to != vlan && !mask::is_reserved(self.flow.key().eth_dst) {
                        self.mirror_to_vlan(&inside.with_vid(to), pcp);
                    }
                }
            }
            candidates &= !self.mirroring.copied();
            self.mirroring.end_copy();
        }
    }

    /// To all ports of a VLAN, which is for nothing but copies.
    fn mirror_to_vlan(&mut self, inside: &Tags, pcp: u8) {
        for n in 0..self.here().bundles.len() {
            if self.includes(n, inside) && !self.is_mirror_bundle(self.at.bridge(), n) {
                self.output_normal(n, inside, pcp, false);
            }
        }
    }
}
