//! From a packet's key to datapath actions and the mask of what was looked at.

use std::sync::Arc;

use bond::OutputRule;
use datapath::{Action, PortNo, UserspaceReason};
use wire::hash::hash_mac;
use wire::{EtherType, FlowKey, FlowMask, Time};

use crate::config::{BondHandle, IfaceKind};
use crate::mask;
use crate::notes::{Basis, Credit};
use crate::pipeline::{self, Verdict};
use crate::snapshot::{Bundle, Place, Snapshot};
use crate::vlan::Tags;

/// Bridges that a packet may pass one inside the other.
const MAX_DEPTH: usize = 64;
/// Patch ports that a packet may pass altogether, over all its copies.
const MAX_HOPS: usize = 4096;

/// What is learned from a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learning {
    /// Nothing: no packet has passed.
    No,
    /// This packet is here now.
    Packet,
    /// A flow was last used then.
    Flow(Time),
}

/// What is asked.
pub(crate) struct Request<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) key: &'a FlowKey,
    pub(crate) now: Time,
    pub(crate) learning: Learning,
    /// The MAC tables' count of changes, read before this.
    pub(crate) macs: u64,
}

/// The answer.
pub(crate) struct Answer {
    pub(crate) actions: Vec<Action>,
    pub(crate) mask: FlowMask,
    /// False: the next such packet may fare differently, keep nothing.
    pub(crate) install: bool,
    /// The packet ran in circles over patch ports and is dropped.
    pub(crate) looped: bool,
    pub(crate) basis: Basis,
}

/// Translates one packet.
pub(crate) fn translate(r: &Request<'_>) -> Answer {
    let mut t = Translator {
        snap: r.snapshot,
        key: r.key,
        now: r.now,
        learning: r.learning,
        mask: mask::base(r.key),
        actions: Vec::new(),
        have: Tags::of_key(r.key, r.snapshot.vlan_limit),
        recircs: Vec::new(),
        gate: None,
        shut_out: false,
        depth: 0,
        hops: 0,
        looped: false,
        basis: Basis { snapshot: r.snapshot.generation, macs: r.macs, ..Basis::default() },
    };
    let known = if r.key.recirc_id != 0 { t.recirculated() } else { t.fresh() };
    t.finish(known)
}

pub(crate) struct Translator<'a> {
    pub(crate) snap: &'a Snapshot,
    pub(crate) key: &'a FlowKey,
    pub(crate) now: Time,
    pub(crate) learning: Learning,
    pub(crate) mask: FlowMask,
    actions: Vec<Action>,
    /// The tags of the packet after `actions`.
    have: Tags,
    /// Recirculations come last, so that a packet need not be copied for them.
    recircs: Vec<(Tags, u32, u32)>,
    /// The bond that the packet came in by.
    gate: Option<Arc<BondHandle>>,
    /// That bond does not let this packet in now: nobody learns from it, in no bridge.
    pub(crate) shut_out: bool,
    depth: usize,
    hops: usize,
    looped: bool,
    pub(crate) basis: Basis,
}

impl Translator<'_> {
    /// A packet fresh from a port. False when nobody knows the port.
    fn fresh(&mut self) -> bool {
        let Some(place) = self.snap.port(PortNo(self.key.in_port)) else { return false };
        self.gate = self.snap.bridges[place.bridge].bundles[place.bundle].bond.clone();
        self.receive(place, self.have);
        true
    }

    /// A packet that a bond's output sent round again: only the bucket is left to be found.
    /// False when nobody knows the identity.
    fn recirculated(&mut self) -> bool {
        let Some(bundle) = self.snap.recirc(self.key.recirc_id) else { return false };
        let Some(bond) = &bundle.bond else { return false };
        self.mask.dp_hash = 0xff;
        let bucket = self.key.dp_hash as u8;
        self.basis.credits.push(Credit::Bucket(bundle.state.clone(), bucket));
        self.actions.push(Action::OutputBucket { table: bond.table, bucket });
        true
    }

    fn finish(mut self, known: bool) -> Answer {
        for (tags, basis, id) in std::mem::take(&mut self.recircs) {
            self.retag(&tags);
            self.actions.push(Action::HashL4 { basis });
            self.actions.push(Action::Recirc(id));
        }
        if self.looped {
            self.actions.clear();
        }
        if let Some(bond) = self.gate.filter(|_| !self.actions.is_empty()) {
            self.actions.insert(0, Action::Gate { table: bond.table });
        }
        Answer {
            actions: self.actions,
            mask: self.mask,
            install: known,
            looped: self.looped,
            basis: self.basis,
        }
    }

    /// A packet arrives at an interface, from a device or over a patch port.
    fn receive(&mut self, place: Place, tags: Tags) {
        if let Some(reason) = self.special(place) {
            self.retag(&tags);
            self.actions.push(Action::Userspace(reason));
            if self.depth == 0 {
                // For the switch itself, whatever the bond would say of other packets.
                self.gate = None;
            }
            return;
        }
        let bridge = &self.snap.bridges[place.bridge];
        match pipeline::lookup(bridge) {
            Verdict::Normal => {
                self.basis.credits.push(Credit::Normal(bridge.state.clone()));
                self.normal(place, tags);
            }
            Verdict::Miss => {}
        }
    }

    /// Whether the packet is one of the link's own protocols, which the switch consumes.
    fn special(&mut self, place: Place) -> Option<UserspaceReason> {
        let bundle = &self.snap.bridges[place.bridge].bundles[place.bundle];
        let iface = &bundle.ifaces[place.iface];
        if iface.cfm.is_some_and(|dst| mask::is_cfm(self.key, dst, &mut self.mask)) {
            Some(UserspaceReason::Cfm)
        } else if iface.bfd.is_some_and(|own| mask::is_bfd(self.key, own, &mut self.mask)) {
            Some(UserspaceReason::Bfd)
        } else if bundle.lacp && self.key.eth_type == EtherType::SLOW {
            Some(UserspaceReason::Lacp)
        } else {
            None
        }
    }

    /// Whether the datapath itself will keep out what the bond does not admit, packet by packet.
    pub(crate) fn is_gated(&self) -> bool {
        self.depth == 0 && self.gate.is_some()
    }

    /// Sends a copy of the packet out of a bundle with these tags.
    pub(crate) fn output(&mut self, bundle: &Bundle, tags: Tags) {
        let Some(iface) = bundle.ifaces.first() else { return };
        if let Some(bond) = &bundle.bond {
            return self.output_bond(bond, tags);
        }
        match &iface.kind {
            IfaceKind::Datapath(port) => {
                self.retag(&tags);
                self.actions.push(Action::Output(*port));
            }
            IfaceKind::Patch { .. } => self.output_patch(bundle, tags),
        }
    }

    fn output_bond(&mut self, bond: &Arc<BondHandle>, tags: Tags) {
        let forwarding = bond.forwarding.load();
        self.basis.bonds.push((bond.clone(), forwarding.generation));
        let table = bond.table;
        match forwarding.output {
            // Every bucket is empty, so bucket 0 drops, until the moment the bond can send again.
            OutputRule::Drop | OutputRule::Active => {
                self.retag(&tags);
                self.actions.push(Action::OutputBucket { table, bucket: 0 });
            }
            OutputRule::Slb { basis } => {
                let bucket = hash_mac(self.key.eth_src, tags.outer().vid, basis) as u8;
                self.retag(&tags);
                self.actions.push(Action::OutputBucket { table, bucket });
            }
            OutputRule::Recirc { basis, recirc_id } => self.recircs.push((tags, basis, recirc_id)),
            OutputRule::LbOutput { basis, recirc_id } => {
                self.retag(&tags);
                self.actions.push(Action::HashL4 { basis });
                self.actions.push(Action::LbOutput { table, id: recirc_id });
            }
        }
    }

    fn output_patch(&mut self, bundle: &Bundle, tags: Tags) {
        let Some(patch) = &bundle.patch else { return };
        let Some(peer) = patch.peer else { return };
        if self.depth == MAX_DEPTH || self.hops == MAX_HOPS {
            self.looped = true;
            return;
        }
        self.basis.credits.push(Credit::PatchTx(patch.counters.clone()));
        let into = &self.snap.bridges[peer.bridge].bundles[peer.bundle];
        if let Some(p) = &into.patch {
            self.basis.credits.push(Credit::PatchRx(p.counters.clone()));
        }
        self.depth += 1;
        self.hops += 1;
        self.receive(peer, tags);
        self.depth -= 1;
    }

    /// Makes the packet carry these tags.
    fn retag(&mut self, tags: &Tags) {
        if self.have.convert(tags, &mut self.actions) {
            mask::add_tags(&mut self.mask, self.key, self.snap.vlan_limit);
        }
    }
}
