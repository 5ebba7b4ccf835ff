//! From a packet's port to the end of its pipeline.

use datapath::{PortNo, UserspaceReason};
use openflow::msg::config;
use openflow::{Action as OfAction, Fields, OfPort};
use wire::{EtherType, FlowMask, VlanTag};

use crate::mask;
use crate::recirc::RecircNode;
use crate::snapshot::{Place, Snapshot};
use crate::trace::NodeKind;
use crate::vlan;
use crate::xlate_cache::Dependencies;

use super::admission::AdmissionGate;
use super::context::{Input, Translator};
use super::flow_state::FlowState;
use super::limits::{Limits, MAX_SIZE};
use super::mirroring::Mirroring;
use super::options::OnMiss;
use super::output_list::OutputList;
use super::pipeline_state::{ActionSet, RegisterStack};
use super::position::Position;
use super::progress::Progress;
use super::xlate::{Failure, Learning, Source, XlateIn, XlateOut};
use super::xlate_trace::XlateTrace;

/// A packet before its translation.
struct Start {
    /// The key as the datapath looked it up.
    key: wire::FlowKey,
    flow: Fields,
    /// The port that it came in by.
    place: Option<Place>,
    bridge: Option<usize>,
}

impl Start {
    fn new(snap: &Snapshot, source: Source<'_>) -> Start {
        let mut start = match source {
            Source::Key(key) => {
                let key = vlan::limited(key, snap.vlan_limit);
                let place = snap.port(PortNo(key.in_port));
                let mut flow = Fields { key, actset_output: OfPort::UNSET, ..Fields::default() };
                flow.in_port = place.map_or(OfPort::NONE, |p| snap.iface(p).of_port);
                Start { key, flow, place, bridge: place.map(|p| p.bridge) }
            }
            Source::Bridge { bridge, flow, .. } => {
                let mut flow = *flow;
                let at = snap.bridges.get(bridge).and_then(|b| b.of_port(flow.in_port));
                let place = at.map(|(bundle, iface)| Place { bridge, bundle, iface });
                let port = place.and_then(|p| snap.datapath_port(p)).unwrap_or(PortNo::NONE);
                flow.key.in_port = port.0;
                flow.actset_output = OfPort::UNSET;
                let bridge = (bridge < snap.bridges.len()).then_some(bridge);
                Start { key: flow.key, flow, place, bridge }
            }
        };
        // As in Open vSwitch, the datapath's port is no field of OpenFlow's.
        start.flow.key.in_port = 0;
        start
    }
}

/// Translates one packet.
pub(crate) fn translate(r: XlateIn<'_>) -> XlateOut {
    let snap = r.snapshot;
    let Start { key, flow, place, bridge } = Start::new(snap, r.source);
    let frozen = match key.recirc_id {
        0 => None,
        id => r.frozen.get(id),
    };
    let bond = snap.recirc_place(key.recirc_id).filter(|_| frozen.is_none());
    let bridge = match (&frozen, bond) {
        (Some(f), _) => snap.bridges.iter().position(|b| b.name == f.state().bridge).or(bridge),
        (None, Some((b, _))) => Some(b),
        (None, None) => bridge,
    };
    let (asked_port, actions, packet_out) = match r.source {
        Source::Key(key) => (key.in_port, None, false),
        Source::Bridge { flow, actions, packet_out, .. } => (flow.key.in_port, actions, packet_out),
    };
    let mut t = Translator {
        input: Input { now: r.now, learning: r.learning, frozen: r.frozen, packet_out, asked_port },
        at: Position::new(snap, bridge),
        flow: FlowState::new(key, flow, snap.vlan_limit),
        stack: RegisterStack::default(),
        action_set: ActionSet::default(),
        out: OutputList::new(flow, snap.vlan_limit),
        progress: Progress::default(),
        limits: Limits::default(),
        admission_gate: AdmissionGate::default(),
        mirroring: Mirroring::default(),
        deps: Dependencies::new(snap.generation, r.macs, r.tables),
        trace: XlateTrace::new(r.trace, r.names, r.learning == Learning::Packet),
    };
    if bridge.is_none() {
        t.progress.fail(Failure::BridgeNotFound);
        return t.finish(false, false);
    }
    let name = &t.here().name;
    t.trace.enter(NodeKind::Bridge, || format!("bridge(\"{name}\")"));
    if let Some((b, n)) = bond {
        t.recirculated(b, n);
        return t.finish(true, true);
    }
    if let Some(frozen) = frozen {
        t.resumed(&frozen);
        return t.finish(true, false);
    }
    if key.recirc_id != 0 {
        t.error(format!("Recirculation context not found for ID {:x}", key.recirc_id));
        t.progress.fail(Failure::NoRecirculation);
        return t.finish(false, false);
    }
    if let (Source::Key(_), Some(p)) = (r.source, place) {
        t.admission_gate.set(snap.bridges[p.bridge].bundles[p.bundle].bond.clone());
    }
    t.fresh(place, actions);
    t.finish(true, false)
}

impl Translator<'_> {
    /// A packet fresh from a port or a controller.
    fn fresh(&mut self, place: Option<Place>, actions: Option<&[OfAction]>) {
        // As in Open vSwitch the rule is found first, so that it counts also what is consumed.
        let found = match actions {
            Some(_) => None,
            None => Some(self.find(self.flow.in_port(), OnMiss::PacketIn)),
        };
        if let Some(found) = &found {
            self.enter_table(found, self.at.table());
        }
        if let Some(place) = place
            && self.consume(place)
        {
            self.admission_gate.set(None);
            self.mirror_ingress();
            return;
        }
        if let Some(place) = place
            && self.is_mirror_output(place)
        {
            let name = &self.here().bundles[place.bundle].name;
            self.error(format!(
                "dropping packet received on port {name}, which is reserved exclusively for \
                 mirroring"
            ));
            return;
        }
        if place.is_some() && !self.may_receive() {
            return;
        }
        self.mirror_ingress();
        match (&found, actions) {
            (Some(found), _) => self.run_first(found),
            (None, Some(actions)) => self.run(actions, true),
            (None, None) => {}
        }
        self.end_of_pipeline();
    }

    /// A packet that came back from a recirculation.
    fn resumed(&mut self, frozen: &RecircNode) {
        self.restore_frozen(frozen.state());
        let steps = &frozen.state().steps;
        let found = steps.is_empty().then(|| {
            let found = self.find(self.flow.in_port(), OnMiss::PacketIn);
            self.enter_table(&found, self.at.table());
            found
        });
        if self.in_place().is_some() && !self.may_receive() {
            return;
        }
        self.mirror_ingress();
        match &found {
            Some(found) => self.run_first(found),
            None => self.run_steps(steps),
        }
        self.end_of_pipeline();
    }

    /// What remains after the last action of a bridge.
    pub(super) fn end_of_pipeline(&mut self) {
        if self.progress.failure().is_none() {
            if !self.progress.is_freezing() {
                self.run_action_set();
            }
            if self.progress.is_freezing() {
                self.finish_freezing();
            }
        }
    }

    /// Whether the packet is of LACP, BFD, CFM or a probe and for the switch itself, which then gets it.
    pub(super) fn consume(&mut self, place: Place) -> bool {
        let bundle = &self.at.snap().bridges[place.bridge].bundles[place.bundle];
        let iface = &bundle.ifaces[place.iface];
        let reason = self.flow.examine(|key, wc| {
            if iface.cfm.is_some_and(|dst| mask::is_cfm(key, dst, wc)) {
                Some(UserspaceReason::Cfm)
            } else if iface.bfd.is_some_and(|own| mask::is_bfd(key, own, wc)) {
                Some(UserspaceReason::Bfd)
            } else if iface.probe.as_ref().is_some_and(|own| mask::is_probe(key, own, wc)) {
                Some(UserspaceReason::Probe)
            } else if bundle.lacp && key.eth_type == EtherType::SLOW {
                Some(UserspaceReason::Lacp)
            } else {
                None
            }
        });
        let Some(reason) = reason else { return false };
        if self.progress.is_nested() {
            // A copy that went over a patch port; the others go on.
            self.commit();
            self.out.push(datapath::Action::Userspace(reason));
        } else {
            self.out.send_up(reason);
        }
        true
    }

    /// Whether the port that the packet is at lets it in.
    pub(super) fn may_receive(&self) -> bool {
        let bits = self.at.port_config(self.flow.in_port());
        let key = self.flow.key();
        let stp = key.eth_type == EtherType::NONE && key.eth_dst.0 == [1, 0x80, 0xc2, 0, 0, 0];
        let bit = if stp { config::NO_RECV_STP } else { config::NO_RECV };
        bits & bit == 0
    }

    /// The answer. `install`: a flow may be made of it. `from_bond`: of packets that a bond sent
    /// round.
    fn finish(self, install: bool, from_bond: bool) -> XlateOut {
        let (failure, looped) = (self.progress.failure(), self.progress.looped());
        let (actions, slow) = self.out.finish(failure.is_some() || looped, MAX_SIZE);
        let needed = self.flow.needed_mask();
        let mut flow = *self.flow.fields();
        // For comparison with what was asked about: as it was there.
        if flow.actset_output == OfPort::UNSET {
            flow.actset_output = OfPort(0);
        }
        flow.key.in_port = self.input.asked_port;
        XlateOut {
            actions,
            mask: datapath_mask(needed, from_bond),
            needed,
            install,
            looped,
            deps: self.deps,
            flow,
            wc: self.flow.shown_mask(),
            slow,
            failure,
            reports: self.trace.into_reports(),
        }
    }
}

/// The megaflow's mask.
fn datapath_mask(needed: FlowMask, from_bond: bool) -> FlowMask {
    let mut m = needed;
    // A flow cannot be shown without saying whether there is a tag: as in Open vSwitch one that
    // depends on nothing of it matches it whole. The second flow of a bond's packets, of which
    // there may be many, need not.
    if m.vlan[0].tci == 0 && !from_bond {
        m.vlan[0] = VlanTag { tpid: u16::MAX, tci: u16::MAX };
    }
    m
}
