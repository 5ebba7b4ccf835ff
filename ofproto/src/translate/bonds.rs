//! Bonds: by which member a packet goes out, and what comes back from a recirculation.
//!
//! A flow names no member but a bucket of the bond's table, so that failover changes no flow. Only
//! where the members are patch ports, which the datapath does not know, is the member chosen here.

use std::sync::Arc;

use bond::{Forwarding, OutputRule, Selection};
use datapath::Action;
use openflow::msg::config;
use wire::hash::{flow_hash_5tuple, hash_mac};

use crate::config::{BondHandle, IfaceKind};
use crate::snapshot::{Bundle, Place};
use crate::trace::NodeKind;
use crate::xlate_cache::{BucketTarget, StatsTarget};

use super::context::Translator;
use super::options::OutputOpts;

impl Translator<'_> {
    /// Whether sending to this bundle needs a second look at the packet.
    pub(super) fn recirculates(&self, bundle: &Bundle) -> bool {
        bundle
            .bond
            .as_ref()
            .is_some_and(|b| matches!(b.forwarding.load().output, OutputRule::Recirc { .. }))
    }

    /// Out of a bundle of this bridge, with the tags that `flow` has now.
    pub(super) fn output_bundle(&mut self, n: usize, last: bool) {
        let snap = self.at.snap();
        let bundle = &snap.bridges[self.at.bridge()].bundles[n];
        let Some(first) = bundle.ifaces.first() else { return };
        let Some(bond) = &bundle.bond else {
            return self.output_port(first.of_port, OutputOpts::last(last));
        };
        match first.kind {
            IfaceKind::Datapath(_) => self.output_bond(bond, n),
            IfaceKind::Patch { .. } => self.output_patch_bond(bond, n, last),
        }
    }

    fn output_bond(&mut self, bond: &Arc<BondHandle>, n: usize) {
        let forwarding = bond.forwarding.load();
        self.deps.asked(bond.clone(), forwarding.generation);
        let bundle = &self.here().bundles[n];
        let out =
            bundle.ifaces.iter().any(|i| self.at.port_config(i.of_port) & config::NO_FWD == 0);
        if !out {
            self.note(NodeKind::Detail, "OFPPC_NO_FWD set, skipping output");
            return;
        }
        if self.between_protected(n) {
            self.note(NodeKind::Warning, "Flow is between protected ports, skipping output.");
            return;
        }
        let table = bond.table;
        self.commit();
        match forwarding.output {
            // Every bucket is empty, so bucket 0 drops, until the moment the bond can send again.
            OutputRule::Drop | OutputRule::Active => {
                self.cut_for_mirror();
                self.out.push(Action::OutputBucket { table, bucket: 0 });
            }
            OutputRule::Slb { basis } => {
                let bucket = self.slb_bucket(basis);
                self.cut_for_mirror();
                self.out.push(Action::OutputBucket { table, bucket });
            }
            OutputRule::Recirc { basis, recirc_id } => {
                self.out.push(Action::HashL4 { basis });
                self.out.push(Action::Recirc(recirc_id));
                // The packet goes nowhere yet, so no mirror gets it.
                return;
            }
            OutputRule::LbOutput { basis, recirc_id } => {
                self.out.push(Action::HashL4 { basis });
                self.out.push(Action::LbOutput { table, id: recirc_id });
            }
            OutputRule::Select { recirc_id, .. } => {
                self.cut_for_mirror();
                self.out.push(Action::LbOutput { table, id: recirc_id });
            }
        }
        self.mirror_egress(n);
    }

    fn slb_bucket(&mut self, basis: u32) -> u8 {
        self.flow.look_at_eth_src();
        let key = self.flow.key();
        hash_mac(key.eth_src, key.vlan[0].vid(), basis) as u8
    }

    /// A bond whose members are patch ports.
    fn output_patch_bond(&mut self, bond: &Arc<BondHandle>, n: usize, last: bool) {
        let forwarding = bond.forwarding.load();
        self.deps.asked(bond.clone(), forwarding.generation);
        let bucket = match forwarding.output {
            OutputRule::Drop => return,
            OutputRule::Active => 0,
            OutputRule::Select { how: Selection::Broadcast { members }, .. } => {
                return self.output_patch_copies(&forwarding, n, usize::from(members), last);
            }
            // There is no packet to hash and no turn to count here.
            OutputRule::Select { how, .. } => {
                let hash = flow_hash_5tuple(self.flow.key(), 0) as usize;
                (hash % how.in_use().max(1)) as u8
            }
            OutputRule::Slb { basis } => self.slb_bucket(basis),
            OutputRule::Recirc { basis, .. } | OutputRule::LbOutput { basis, .. } => {
                // As in Open vSwitch, nothing more is looked at for it: all packets of a flow go by
                // the member of its first.
                flow_hash_5tuple(self.flow.key(), basis) as u8
            }
        };
        let member = forwarding.buckets[usize::from(bucket)];
        let bundle = &self.here().bundles[n];
        let port = bundle.ifaces.iter().find(|i| i.member.is_some() && i.member == member);
        if let Some(port) = port.map(|i| i.of_port) {
            self.output_port(port, OutputOpts::last(last));
        }
    }

    /// To every usable member of a bond whose members are patch ports.
    fn output_patch_copies(&mut self, forwarding: &Forwarding, n: usize, to: usize, last: bool) {
        let bundle = &self.here().bundles[n];
        for (i, member) in forwarding.buckets[..to].iter().enumerate() {
            let port = bundle.ifaces.iter().find(|i| i.member.is_some() && i.member == *member);
            if let Some(port) = port.map(|i| i.of_port) {
                self.output_port(port, OutputOpts::last(last && i + 1 == to));
            }
        }
    }

    /// A packet that a bond's output sent round again: only the bucket is left to be found.
    pub(super) fn recirculated(&mut self, bridge: usize, n: usize) {
        let bundle = &self.at.snap().bridges[bridge].bundles[n];
        let Some(bond) = &bundle.bond else { return };
        let bucket = self.flow.orig().dp_hash as u8;
        self.flow.examine(|_, wc| wc.dp_hash |= 0xff);
        let no_member = self.at.snap().bridges[bridge].state.internal.no_member.stats.clone();
        self.deps.count(StatsTarget::Bucket(Box::new(BucketTarget {
            bundle: bundle.state.clone(),
            bond: bond.clone(),
            bucket,
            no_member,
        })));
        if self.trace.is_on() {
            self.note_bucket(bond, bundle, bridge, n, bucket);
        }
        self.out.push(Action::OutputBucket { table: bond.table, bucket });
        self.mirror_egress(n);
    }

    /// Tells of the rule in the switch's own table that stands for a bucket.
    fn note_bucket(
        &mut self,
        bond: &Arc<BondHandle>,
        bundle: &Bundle,
        bridge: usize,
        n: usize,
        bucket: u8,
    ) {
        let at = self.trace.depth();
        self.trace.enter(NodeKind::Thaw, || "thaw".to_owned());
        self.note(NodeKind::Thaw, "Resuming from table 254");
        self.trace.leave_to(at);
        let member = bond.forwarding.load().buckets[usize::from(bucket)];
        let found = bundle.ifaces.iter().position(|i| i.member.is_some() && i.member == member);
        let Some(iface) = found else {
            self.trace.enter(NodeKind::Table, || "254. recirc_id=0, priority 2".to_owned());
            self.note(NodeKind::Action, "drop");
            return;
        };
        let id = bond.recirc_id;
        self.trace.enter(NodeKind::Table, || {
            format!("254. recirc_id={id:#x},dp_hash={bucket:#x}/0xff, priority 20")
        });
        let place = Place { bridge, bundle: n, iface };
        let port = openflow::Action::output(self.at.snap().iface(place).of_port);
        let text = self.with_names(|names| openflow::text::print_actions(&[port], names));
        self.note(NodeKind::Action, text);
    }
}
