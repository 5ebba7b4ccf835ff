//! Mirrors: which packets are copied, and where to.
//!
//! A port of a bridge can be a mirror's source (what arrives there is copied), its destination
//! (what leaves there is copied) or its output, which then is for nothing else. A packet is copied
//! to one place once, however many mirrors select it, until it is changed on its way.

use std::sync::Arc;

use openflow::Match;

use crate::config::{MirrorConfig, MirrorOutput};
use crate::counter::Counter;
use crate::vlan::VlanSet;

/// Most mirrors of a bridge: as many as a mask has bits.
pub const MAX_MIRRORS: usize = 32;

/// Mirrors of a bridge, one bit each.
pub(crate) type MirrorMask = u32;

/// Where a mirror's copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MirrorTarget {
    /// The bundle of this index.
    Bundle(usize),
    Vlan(u16),
}

/// A mirror that works.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Nothing: packets of all VLANs.
    pub(crate) vlans: Option<VlanSet>,
    pub(crate) filter: Option<Box<Match>>,
    pub(crate) output: MirrorTarget,
    /// Octets kept of each copy; nothing for all.
    pub(crate) snaplen: Option<u16>,
    /// This mirror and all others that share its output.
    pub(crate) same_output: MirrorMask,
    pub(crate) counter: Arc<Counter>,
}

/// What mirroring means for a bundle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MirrorRoles {
    /// Mirrors that copy what arrives.
    pub(crate) source: MirrorMask,
    /// Mirrors that copy what leaves.
    pub(crate) destination: MirrorMask,
    /// Mirrors whose output it is.
    pub(crate) output: MirrorMask,
}

/// All mirrors of a bridge.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    /// By bit.
    slots: Vec<Option<Mirror>>,
    /// By index of the bundle; empty without mirrors.
    roles: Vec<MirrorRoles>,
}

/// The mirrors that a bridge has had so far: a mirror keeps its bit and its counters.
#[derive(Debug, Default)]
pub(crate) struct KnownMirrors(Vec<Option<(u128, Arc<Counter>)>>);

impl KnownMirrors {
    /// The counters of a mirror.
    pub(crate) fn counter(&self, id: u128) -> Option<&Arc<Counter>> {
        self.0.iter().flatten().find(|(known, _)| *known == id).map(|(_, counter)| counter)
    }

    /// Forgets what is not configured any more.
    fn retain(&mut self, configs: &[MirrorConfig]) {
        for slot in &mut self.0 {
            slot.take_if(|(id, _)| configs.iter().all(|c| c.id != *id));
        }
    }

    /// The bit of a mirror, the first free one if it is new. Nothing when all are taken.
    fn slot(&mut self, id: u128) -> Option<(usize, Arc<Counter>)> {
        let at = self.0.iter().position(|s| s.as_ref().is_some_and(|(known, _)| *known == id));
        let free = || self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        let at = at.unwrap_or_else(free);
        if at >= MAX_MIRRORS {
            return None;
        }
        if at == self.0.len() {
            self.0.push(None);
        }
        let (_, counter) = self.0[at].get_or_insert_with(|| (id, Arc::default()));
        Some((at, counter.clone()))
    }
}

impl Mirrors {
    /// The mirrors of a bridge whose bundles have these names. A mirror whose output port is not
    /// there has no effect.
    pub(crate) fn new(
        configs: &[MirrorConfig],
        bundles: &[&str],
        known: &mut KnownMirrors,
    ) -> Mirrors {
        known.retain(configs);
        let mut mirrors = Mirrors::default();
        for c in configs {
            let Some((slot, counter)) = known.slot(c.id) else { continue };
            let output = match &c.output {
                MirrorOutput::Vlan(vlan) => MirrorTarget::Vlan(*vlan),
                MirrorOutput::Port(name) => {
                    let Some(n) = bundles.iter().position(|b| b == name) else { continue };
                    MirrorTarget::Bundle(n)
                }
            };
            mirrors.roles.resize(bundles.len(), MirrorRoles::default());
            let bit = 1 << slot;
            for (n, (roles, bundle)) in mirrors.roles.iter_mut().zip(bundles).enumerate() {
                let on = |set: bool| if set { bit } else { 0 };
                roles.source |= on(c.sources.contains(*bundle));
                roles.destination |= on(c.destinations.contains(*bundle));
                roles.output |= on(output == MirrorTarget::Bundle(n));
            }
            if mirrors.slots.len() <= slot {
                mirrors.slots.resize_with(slot + 1, || None);
            }
            mirrors.slots[slot] = Some(Mirror {
                vlans: (!c.vlans.is_empty()).then(|| VlanSet::exactly(&c.vlans)),
                filter: c.filter.clone(),
                output,
                // The largest length is longer than any frame.
                snaplen: (c.snaplen != 0 && c.snaplen != u16::MAX).then_some(c.snaplen),
                same_output: bit,
                counter,
            });
        }
        let outputs: Vec<Option<MirrorTarget>> =
            mirrors.slots.iter().map(|m| m.as_ref().map(|m| m.output)).collect();
        for mirror in mirrors.slots.iter_mut().flatten() {
            let same = outputs.iter().enumerate().filter(|(_, o)| **o == Some(mirror.output));
            mirror.same_output = same.fold(0, |mask, (slot, _)| mask | 1 << slot);
        }
        mirrors
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        !self.roles.is_empty()
    }

    pub(crate) fn roles(&self, bundle: usize) -> MirrorRoles {
        self.roles.get(bundle).copied().unwrap_or_default()
    }

    /// Whether a bundle is reserved for copies.
    pub(crate) fn is_output(&self, bundle: usize) -> bool {
        self.roles(bundle).output != 0
    }

    /// The mirror of the lowest bit.
    pub(crate) fn first(&self, mask: MirrorMask) -> Option<&Mirror> {
        self.slots.get(mask.trailing_zeros() as usize)?.as_ref()
    }
}
