//! The NORMAL action: what a learning switch with VLANs and bonds does.

use bond::Admission;
use wire::EtherType;

use crate::mac_table::Learn;
use crate::mask;
use crate::snapshot::{Bundle, Place};
use crate::translate::{Learning, Translator};
use crate::vlan::Tags;

/// What a bond says of a packet that came in by it.
struct Admitted {
    /// Let in now.
    open: bool,
    /// Only unless its sender is known to be on another port: the packet is one of our own, sent
    /// out by one member and reflected by the switch beyond to another.
    unless_moved: bool,
}

impl Translator<'_> {
    /// Forwards a packet that came in at `place` with the tags `received`.
    pub(crate) fn normal(&mut self, place: Place, received: Tags) {
        let snap = self.snap;
        let bridge = &snap.bridges[place.bridge];
        let input = &bridge.bundles[place.bundle];
        let key = self.key;

        mask::add_normal(&mut self.mask);
        mask::add_inner_vid(&mut self.mask, key, snap.vlan_limit);
        let outer = received.outer();
        if outer.tpid != 0 && outer.vid == 0 {
            // A priority tag is kept or not by its priority.
            mask::add_tags(&mut self.mask, key, snap.vlan_limit);
        }

        let truncated_tag = !key.vlan[0].is_present()
            && matches!(key.eth_type, EtherType::VLAN | EtherType::VLAN_8021AD);
        if truncated_tag || !input.vlan.admits(outer.vid) {
            return;
        }
        if !bridge.forward_bpdu && mask::is_reserved(key.eth_dst) {
            return;
        }
        let inside = input.vlan.ingress(&received);
        let vlan = inside.outer().vid;
        let gratuitous = mask::is_gratuitous_arp(key, &mut self.mask);
        let admitted = self.admission(input, place);
        if !admitted.open {
            if !self.is_gated() {
                return;
            }
            self.shut_out = true;
        }

        let id = input.state.id;
        let target = {
            let mut macs = bridge.state.macs.lock();
            if admitted.unless_moved
                && macs.lookup(key.eth_src, vlan).is_some_and(|at| at != id)
                && (!gratuitous || macs.is_locked(self.now, key.eth_src, vlan))
            {
                return;
            }
            // Behind a closed gate nothing is learned, but the actions are those of a packet that
            // was let in: should the bond open the gate, this flow is already right.
            if !self.shut_out {
                let heard = match self.learning {
                    Learning::No => None,
                    Learning::Packet => Some((self.now, false)),
                    Learning::Flow(used) => Some((used, true)),
                };
                let (mac, bundle) = (key.eth_src, id);
                let entry = match heard {
                    Some((at, late)) => {
                        let bond = input.bond.is_some();
                        macs.learn(at, Learn { mac, vlan, bundle, gratuitous, bond, late })
                    }
                    None => macs.entry(mac, vlan, bundle),
                };
                self.basis.unlearned |= entry.is_none() && macs.wants(mac, vlan);
                self.basis.learned.extend(entry);
            }
            macs.lookup(key.eth_dst, vlan)
        };

        match target.and_then(|t| bridge.bundle_by_id(t)) {
            Some(n) => self.forward(place, n, &inside, outer.pcp),
            None => {
                for n in 0..bridge.bundles.len() {
                    self.forward(place, n, &inside, outer.pcp);
                }
            }
        }
    }

    /// To bundle `n` of the bridge, if the packet may go there.
    fn forward(&mut self, from: Place, n: usize, inside: &Tags, received_pcp: u8) {
        let bundles = &self.snap.bridges[from.bridge].bundles;
        let (input, output) = (&bundles[from.bundle], &bundles[n]);
        let apart = input.protected && output.protected;
        if n != from.bundle && !apart && output.vlan.includes(inside) {
            self.output(output, output.vlan.egress(inside, received_pcp));
        }
    }

    fn admission(&mut self, input: &Bundle, place: Place) -> Admitted {
        let Some(bond) = &input.bond else { return Admitted { open: true, unless_moved: false } };
        let forwarding = bond.forwarding.load();
        self.basis.bonds.push((bond.clone(), forwarding.generation));
        let multicast = self.key.eth_dst.is_multicast();
        let member = input.ifaces[place.iface].member;
        match member.map_or(Admission::Closed, |m| forwarding.admission(m)) {
            Admission::Open => Admitted { open: true, unless_moved: false },
            Admission::UnlessMoved => Admitted { open: true, unless_moved: true },
            Admission::Unicast => Admitted { open: !multicast, unless_moved: true },
            Admission::Closed => Admitted {
                open: false,
                // As the other members are asked, so will this one be when it is let in.
                unless_moved: forwarding
                    .admission
                    .iter()
                    .any(|(_, a)| matches!(a, Admission::Unicast | Admission::UnlessMoved)),
            },
        }
    }
}
