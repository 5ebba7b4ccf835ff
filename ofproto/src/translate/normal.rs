//! The NORMAL action: what a learning switch with VLANs and bonds does.

use bond::Admission;
use openflow::OfPort;
use openflow::msg::config;
use wire::{EtherType, VlanTag};

use crate::config::VlanMode;
use crate::mac_table::Learn;
use crate::mask;
use crate::snapshot::{Bundle, Place};
use crate::trace::NodeKind;
use crate::vlan::Tags;

use super::Learning;
use super::context::{Translator, VID_AND_PRESENT};
use super::fields::{MAC, PCP};

/// What a bond says of a packet that came in by it.
struct Admitted {
    /// Let in now.
    open: bool,
    /// Only unless its sender is known to be on another port: the packet is one of our own, sent
    /// out by one member and reflected by the switch beyond to another.
    unless_moved: bool,
}

impl Translator<'_> {
    /// Forwards the packet as a switch does.
    pub(super) fn normal(&mut self, last: bool) {
        let bridge = self.here();
        let key = self.flow.key;
        self.wc.key.eth_src = MAC;
        self.wc.key.eth_dst = MAC;
        self.wc.key.vlan[0].tci |= VID_AND_PRESENT;
        if key.vlan[0].is_present() && key.vlan[0].vid() == 0 {
            // A priority tag is kept or not by its priority.
            self.wc.key.vlan[0].tci = u16::MAX;
        }

        let place = self.in_place();
        // Packets of a controller come from no port: they have any VLAN, and nothing is learned.
        let none = matches!(self.flow.in_port, OfPort::NONE | OfPort::CONTROLLER);
        let input = place.map(|p| &bridge.bundles[p.bundle]);
        if input.is_none() && !none {
            self.error(format!("received packet on unknown port {}", self.flow.in_port.0));
            self.note(NodeKind::Warning, "no input bundle, dropping");
            return;
        }
        let name = || input.map_or("OFPP_NONE", |b| b.name.as_str());
        let truncated = !key.vlan[0].is_present()
            && matches!(key.eth_type, EtherType::VLAN | EtherType::VLAN_8021AD);
        if truncated {
            if self.learning == Learning::Packet {
                let name = name();
                self.error(format!(
                    "dropping packet with partial VLAN tag received on port {name}"
                ));
            }
            self.note(NodeKind::Warning, "partial VLAN tag, dropping");
            return;
        }
        if place.is_some_and(|p| self.is_mirror_output(p)) {
            if self.learning == Learning::Packet {
                let name = name();
                self.error(format!(
                    "dropping packet received on port {name}, which is reserved exclusively for \
                     mirroring"
                ));
            }
            self.note(NodeKind::Warning, "input port is mirror output port, dropping");
            return;
        }
        let received = self.tags();
        if let Some(input) = input
            && !self.vid_is_valid(input, received.outer().vid)
        {
            self.note(NodeKind::Warning, "disallowed VLAN VID for this input port, dropping");
            return;
        }
        let inside = input.map_or(received, |b| b.vlan.ingress(&received));
        let vlan = inside.outer().vid;

        if place.is_some() && !bridge.forward_bpdu && mask::is_reserved(key.eth_dst) {
            self.note(NodeKind::Detail, "packet has reserved destination MAC, dropping");
            return;
        }
        let gratuitous = mask::is_gratuitous_arp(&key, &mut self.wc.key);
        if let (Some(place), Some(input)) = (place, input)
            && !self.admit_and_learn(place, input, vlan, gratuitous, last)
        {
            return;
        }
        let gate_at = self.actions.len();
        let gated = last && self.is_gated() && input.is_some_and(|b| b.bond.is_some());

        let target = bridge.state.macs.lock().lookup(key.eth_dst, vlan);
        let pcp = received.outer().pcp;
        match target.map(|t| bridge.bundle_by_id(t)) {
            Some(Some(n)) if self.is_mirror_bundle(self.bridge, n) => {
                self.note(NodeKind::Warning, "learned port is a mirror port, dropping");
                return;
            }
            Some(Some(n)) if place.is_some_and(|p| p.bundle == n) => {
                self.note(NodeKind::Detail, "learned port is input port, dropping");
            }
            Some(Some(n)) => {
                self.note(NodeKind::Detail, "forwarding to learned port");
                self.output_normal(n, &inside, pcp, last);
            }
            Some(None) => self.note(NodeKind::Warning, "learned port is unknown, dropping"),
            None => {
                self.note(NodeKind::Detail, "no learned MAC for destination, flooding");
                self.flood_vlan(place, &inside, pcp, last);
            }
        }
        if gated
            && let Some(bond) = &self.admission_gate
            && self.actions.len() > gate_at
        {
            let table = bond.table;
            self.actions.insert(gate_at, datapath::Action::Gate { table });
        }
    }

    /// Whether a port takes packets of this VLAN; says why not.
    pub(super) fn vid_is_valid(&mut self, input: &Bundle, vid: u16) -> bool {
        if input.vlan.admits(vid) {
            return true;
        }
        let name = &input.name;
        let text = match input.vlan.mode() {
            VlanMode::Access => format!(
                "dropping VLAN {vid} tagged packet received on port {name} configured as VLAN {} \
                 access port",
                input.vlan.vlan()
            ),
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => format!(
                "dropping VLAN {vid} packet received on port {name} not configured for trunking \
                 VLAN {vid}"
            ),
            VlanMode::Dot1qTunnel { .. } => format!(
                "dropping VLAN {vid} packet received on dot1q-tunnel port {name} that excludes \
                 this VLAN"
            ),
        };
        self.error(text);
        false
    }

    /// Asks the bond that the packet came in by, and learns where its sender is. False when the
    /// packet is not let in.
    fn admit_and_learn(
        &mut self,
        place: Place,
        input: &Bundle,
        vlan: u16,
        gratuitous: bool,
        last: bool,
    ) -> bool {
        let bridge = self.here();
        let mac = self.flow.key.eth_src;
        let admitted = self.admission(input, place);
        if !admitted.open {
            if !(last && self.is_gated()) {
                self.note(NodeKind::Detail, "bonding refused admissibility, dropping");
                return false;
            }
            self.not_admitted = true;
        }
        let id = input.state.id;
        let mut macs = bridge.state.macs.lock();
        let before = macs.lookup(mac, vlan);
        if admitted.unless_moved
            && before.is_some_and(|at| at != id)
            && (!gratuitous || macs.is_locked(self.now, mac, vlan))
        {
            drop(macs);
            self.note(NodeKind::Detail, "SLB bond thinks this packet looped back, dropping");
            return false;
        }
        // Behind a closed gate nothing is learned, but the actions are those of a packet that
        // was let in: should the bond open the gate, this flow is already right.
        if self.not_admitted {
            return true;
        }
        let heard = match self.learning {
            Learning::No => None,
            Learning::Packet => Some((self.now, false)),
            Learning::Flow(used) => Some((used, true)),
        };
        let entry = match heard {
            Some((at, late)) => {
                let bond = input.bond.is_some();
                macs.learn(at, Learn { mac, vlan, bundle: id, gratuitous, bond, late })
            }
            None => macs.entry(mac, vlan, id),
        };
        let learned = heard.is_some() && before != Some(id) && entry.is_some();
        self.deps.unlearned |= entry.is_none() && macs.wants(mac, vlan);
        drop(macs);
        self.deps.learned.extend(entry);
        if learned && self.is_traced() {
            let name = &input.name;
            let text = format!("learned that {mac} is on port {name} in VLAN {vlan}");
            self.note(NodeKind::Detail, text);
        }
        true
    }

    fn admission(&mut self, input: &Bundle, place: Place) -> Admitted {
        let Some(bond) = &input.bond else { return Admitted { open: true, unless_moved: false } };
        let forwarding = bond.forwarding.load();
        self.deps.bonds.push((bond.clone(), forwarding.generation));
        let multicast = self.flow.key.eth_dst.is_multicast();
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

    /// To every bundle of the packet's VLAN but its own. Those that need a second look come last,
    /// so that the packet need not be copied for them.
    fn flood_vlan(&mut self, from: Option<Place>, inside: &Tags, pcp: u8, last: bool) {
        let bundles = &self.here().bundles;
        let mut to: Vec<usize> = Vec::with_capacity(bundles.len());
        for n in 0..bundles.len() {
            if from.is_none_or(|p| p.bundle != n)
                && self.includes(n, inside)
                && self.may_flood(n)
                && !self.is_mirror_bundle(self.bridge, n)
            {
                to.push(n);
            }
        }
        to.sort_by_key(|n| self.recirculates(&bundles[*n]));
        let final_one = to.len().saturating_sub(1);
        for (i, n) in to.into_iter().enumerate() {
            self.output_normal(n, inside, pcp, last && i == final_one);
        }
    }

    /// Whether a bundle belongs to the packet's VLAN.
    pub(crate) fn includes(&mut self, n: usize, inside: &Tags) -> bool {
        let vlan = &self.here().bundles[n].vlan;
        // The customer's tag decides too, where a packet can have one.
        let inner = match vlan.mode() {
            VlanMode::Access => inside.outer().vid == vlan.vlan(),
            VlanMode::Dot1qTunnel { .. } => vlan.limits_customers(),
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => false,
        };
        let includes = vlan.includes(inside);
        if inner && self.vlan_limit > 1 && self.key.vlan[0].is_present() {
            self.wc.key.vlan[1].tci |= VlanTag::CFI | VlanTag::VID_MASK;
        }
        includes
    }

    /// Whether the bundle takes part in floods: unless one of its ports is set not to.
    fn may_flood(&self, n: usize) -> bool {
        let ports = self.here().state.port_config.load();
        if ports.is_empty() {
            return true;
        }
        let bits = |p: OfPort| ports.get(&p).copied().unwrap_or(0);
        let ifaces = &self.here().bundles[n].ifaces;
        ifaces.iter().all(|i| bits(i.of_port) & config::NO_FLOOD == 0)
    }

    /// To a bundle, with the tags that packets leave it with.
    pub(crate) fn output_normal(&mut self, n: usize, inside: &Tags, pcp: u8, last: bool) {
        let bundle = &self.here().bundles[n];
        let out = bundle.vlan.egress(inside, pcp);
        let now = self.tags();
        let tagged = self.vlan_limit > 1 && self.key.vlan[0].is_present();
        if tagged && (out.count() < now.count() || now.outer().vid == 0) {
            // What stands under a tag that goes, or that says nothing, decides what is sent.
            self.wc.key.vlan[1].tci = u16::MAX;
        }
        if bundle.vlan.copies_priority() && out != now && now.outer().tpid != 0 {
            // The tag that is sent has the priority of the one that came.
            self.wc.key.vlan[0].tci |= PCP;
        }
        let before = (self.flow.key.vlan, self.third_tag);
        self.set_tags(&out);
        self.output_bundle(n, last);
        (self.flow.key.vlan, self.third_tag) = before;
    }
}
