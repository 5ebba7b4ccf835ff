//! The NORMAL action: what a learning switch with VLANs and bonds does.

use bond::Admission;
use openflow::OfPort;
use openflow::msg::config;
use wire::EtherType;

use crate::config::VlanMode;
use crate::mac_table::Learn;
use crate::mask;
use crate::snapshot::{Bundle, Place};
use crate::trace::NodeKind;
use crate::vlan::Tags;

use super::admission::Verdict;
use super::context::Translator;
use super::xlate::Learning;

impl Translator<'_> {
    /// Forwards the packet as a switch does.
    pub(super) fn normal(&mut self, last: bool) {
        let bridge = self.here();
        let key = *self.flow.key();
        self.flow.look_at_macs();
        self.flow.look_at_vid();
        if key.vlan[0].is_present() && key.vlan[0].vid() == 0 {
            // A priority tag is kept or not by its priority.
            self.flow.look_at_outer_tag();
        }

        let place = self.in_place();
        // Packets of a controller come from no port: they have any VLAN, and nothing is learned.
        let none = matches!(self.flow.in_port(), OfPort::NONE | OfPort::CONTROLLER);
        let input = place.map(|p| &bridge.bundles[p.bundle]);
        if input.is_none() && !none {
            self.error(format!("received packet on unknown port {}", self.flow.in_port().0));
            self.note(NodeKind::Warning, "no input bundle, dropping");
            return;
        }
        let name = || input.map_or("OFPP_NONE", |b| b.name.as_str());
        let truncated = !key.vlan[0].is_present()
            && matches!(key.eth_type, EtherType::VLAN | EtherType::VLAN_8021AD);
        if truncated {
            if self.input.learning == Learning::Packet {
                let name = name();
                self.error(format!(
                    "dropping packet with partial VLAN tag received on port {name}"
                ));
            }
            self.note(NodeKind::Warning, "partial VLAN tag, dropping");
            return;
        }
        if place.is_some_and(|p| self.is_mirror_output(p)) {
            if self.input.learning == Learning::Packet {
                let name = name();
                self.error(format!(
                    "dropping packet received on port {name}, which is reserved exclusively for \
                     mirroring"
                ));
            }
            self.note(NodeKind::Warning, "input port is mirror output port, dropping");
            return;
        }
        let received = self.flow.tags();
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
        let gratuitous = self.flow.examine(mask::is_gratuitous_arp);
        if let (Some(place), Some(input)) = (place, input)
            && !self.admit_and_learn(place, input, vlan, gratuitous, last)
        {
            return;
        }
        let gate_at = self.out.len();
        let gated = last && self.is_gated() && input.is_some_and(|b| b.bond.is_some());

        let target = bridge.state.macs.lock().lookup(key.eth_dst, vlan);
        let pcp = received.outer().pcp;
        match target.map(|t| bridge.bundle_by_id(t)) {
            Some(Some(n)) if self.is_mirror_bundle(self.at.bridge(), n) => {
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
            && let Some(table) = self.admission_gate.table()
            && self.out.len() > gate_at
        {
            self.out.insert_gate(gate_at, table);
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
        let mac = self.flow.key().eth_src;
        let admitted = self.admission(input, place);
        if !admitted.open {
            if !(last && self.is_gated()) {
                self.note(NodeKind::Detail, "bonding refused admissibility, dropping");
                return false;
            }
            self.admission_gate.refuse();
        }
        let id = input.state.id;
        let mut macs = bridge.state.macs.lock();
        let before = macs.lookup(mac, vlan);
        if admitted.unless_moved
            && before.is_some_and(|at| at != id)
            && (!gratuitous || macs.is_locked(self.input.now, mac, vlan))
        {
            drop(macs);
            self.note(NodeKind::Detail, "SLB bond thinks this packet looped back, dropping");
            return false;
        }
        // Behind a closed gate nothing is learned, but the actions are those of a packet that
        // was let in: should the bond open the gate, this flow is already right.
        if self.admission_gate.is_refused() {
            return true;
        }
        let heard = match self.input.learning {
            Learning::No => None,
            Learning::Packet => Some((self.input.now, false)),
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
        let wanted = entry.is_none() && macs.wants(mac, vlan);
        drop(macs);
        match entry {
            Some(entry) => self.deps.learned(entry),
            None if wanted => self.deps.missed_learning(),
            None => {}
        }
        if learned && self.trace.is_on() {
            let name = &input.name;
            let text = format!("learned that {mac} is on port {name} in VLAN {vlan}");
            self.note(NodeKind::Detail, text);
        }
        true
    }

    fn admission(&mut self, input: &Bundle, place: Place) -> Verdict {
        let Some(bond) = &input.bond else { return Verdict::OPEN };
        let forwarding = bond.forwarding.load();
        self.deps.asked(bond.clone(), forwarding.generation);
        let multicast = self.flow.key().eth_dst.is_multicast();
        let member = input.ifaces[place.iface].member;
        let admission = member.map_or(Admission::Closed, |m| forwarding.admission(m));
        let restricted = |a: &Admission| match a {
            Admission::Unicast | Admission::UnlessMoved | Admission::Once => true,
            Admission::Closed | Admission::Open => false,
        };
        let any_restricted = || forwarding.admission.iter().any(|(_, a)| restricted(a));
        Verdict::of(admission, multicast, any_restricted)
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
                && !self.is_mirror_bundle(self.at.bridge(), n)
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
    pub(super) fn includes(&mut self, n: usize, inside: &Tags) -> bool {
        let vlan = &self.here().bundles[n].vlan;
        // The customer's tag decides too, where a packet can have one.
        let inner = match vlan.mode() {
            VlanMode::Access => inside.outer().vid == vlan.vlan(),
            VlanMode::Dot1qTunnel { .. } => vlan.limits_customers(),
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => false,
        };
        let includes = vlan.includes(inside);
        if inner {
            self.flow.look_at_inner_vid();
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
    pub(super) fn output_normal(&mut self, n: usize, inside: &Tags, pcp: u8, last: bool) {
        let bundle = &self.here().bundles[n];
        let out = bundle.vlan.egress(inside, pcp);
        let now = self.flow.tags();
        if self.flow.may_have_inner_tag() && (out.count() < now.count() || now.outer().vid == 0) {
            // What stands under a tag that goes, or that says nothing, decides what is sent.
            self.flow.look_at_inner_tag();
        }
        if bundle.vlan.copies_priority() && out != now && now.outer().tpid != 0 {
            // The tag that is sent has the priority of the one that came.
            self.flow.look_at_priority();
        }
        let before = self.flow.save_tags();
        self.flow.set_tags(&out);
        self.output_bundle(n, last);
        self.flow.restore_tags(before);
    }
}
