//! From a packet's key to datapath actions and the mask of what was looked at.
//!
//! ```text
//!   mod           what is asked and answered; from the port to the first table
//!    ├ context    the packet as it is, as the datapath has it, what was looked at
//!    ├ table      looking up rules, resubmissions, the packets that no rule matches
//!    ├ actions    OpenFlow's actions, one after the other, and the action set
//!    ├ fields     actions that change fields: what they look at
//!    ├ output     to ports, floods, controllers
//!    ├ normal     the NORMAL action
//!    ├ bonds      which member of a bond
//!    ├ patch      into the next bridge; copies
//!    ├ commit     changes of headers become datapath actions
//!    └ recirculation   packets that come back
//! ```

mod actions;
mod bonds;
mod commit;
mod context;
mod fields;
mod mirrors;
mod normal;
mod output;
mod patch;
mod recirculation;
mod table;

use std::fmt;

use datapath::{Action, PortNo, UserspaceReason};
use openflow::{Action as OfAction, Fields, OfPort};
use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EtherType, FlowKey, FlowMask, Time, VlanTag, ip};

use crate::mask;
use crate::snapshot::{Place, Snapshot};
use crate::trace::{NodeKind, TraceTree};
use crate::vlan::{self, Tag, Tags};
use crate::xlate_cache::Dependencies;

pub(crate) use context::Translator;
pub use output::PacketInContext;
pub(crate) use recirculation::{RecircNode, RecircTable};

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

/// What is translated.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A packet of the datapath, which knows its bridge by its port.
    Key(&'a FlowKey),
    /// A packet on a bridge, `flow.in_port` an OpenFlow port. With actions those run, else table
    /// 0's rules.
    Bridge { bridge: usize, flow: &'a Fields, actions: Option<&'a [OfAction]>, packet_out: bool },
}

/// What is asked.
pub(crate) struct XlateIn<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) source: Source<'a>,
    pub(crate) now: Time,
    pub(crate) learning: Learning,
    /// The MAC tables' count of changes, read before this.
    pub(crate) macs: u64,
    /// The flow tables' count of changes, read before this.
    pub(crate) tables: u64,
    pub(crate) frozen: &'a RecircTable,
    /// Where to tell what happens.
    pub(crate) trace: Option<&'a mut TraceTree>,
    /// Tell ports by name.
    pub(crate) names: bool,
}

/// Why a translation came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    BridgeNotFound,
    TooDeep,
    TooManyResubmits,
    StackTooDeep,
    NoRecirculation,
}

/// As Open vSwitch says it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::BridgeNotFound => "Bridge not found",
            Failure::TooDeep => "Recursion too deep",
            Failure::TooManyResubmits => "Too many resubmits",
            Failure::StackTooDeep => "Stack too deep",
            Failure::NoRecirculation => "No recirculation context",
        })
    }
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportLevel {
    Warn,
    Info,
}

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XlateReport {
    pub level: ReportLevel,
    /// Open vSwitch's name of the part that would say it.
    pub module: &'static str,
    pub text: String,
}

/// The answer.
pub(crate) struct XlateOut {
    /// What is done with this packet.
    pub(crate) actions: Vec<Action>,
    pub(crate) mask: FlowMask,
    /// The part of `mask` without which the actions might be others.
    pub(crate) needed: FlowMask,
    /// False: the next such packet may fare differently, keep nothing.
    pub(crate) install: bool,
    /// The packet ran in circles over patch ports and is dropped.
    pub(crate) looped: bool,
    pub(crate) deps: Dependencies,
    /// The packet at the end of it all.
    pub(crate) flow: Fields,
    /// What was looked at, as it is shown.
    pub(crate) wc: Fields,
    /// Why the datapath cannot do it alone.
    pub(crate) slow: Vec<UserspaceReason>,
    pub(crate) failure: Option<Failure>,
    pub(crate) reports: Vec<XlateReport>,
}

impl XlateOut {
    /// The actions of the flow that does the same for the next packets, taken out.
    pub(crate) fn take_flow_actions(&mut self) -> Vec<Action> {
        let actions = std::mem::take(&mut self.actions);
        match self.slow.first() {
            None => actions,
            // Carried out packet by packet, by another translation.
            Some(UserspaceReason::Action) => vec![Action::Userspace(UserspaceReason::Action)],
            Some(reason) => {
                let sent_up = [Action::Userspace(*reason)];
                sent_up.into_iter().chain(actions).collect()
            }
        }
    }
}

/// Translates one packet.
pub(crate) fn translate(r: XlateIn<'_>) -> XlateOut {
    let snap = r.snapshot;
    let (key, mut flow, place, bridge) = match r.source {
        Source::Key(key) => {
            let key = vlan::limited(key, snap.vlan_limit);
            let place = snap.port(PortNo(key.in_port));
            let mut flow = Fields { key, actset_output: OfPort::UNSET, ..Fields::default() };
            flow.in_port = place.map_or(OfPort::NONE, |p| snap.iface(p).of_port);
            (key, flow, place, place.map(|p| p.bridge))
        }
        Source::Bridge { bridge, flow, .. } => {
            let mut flow = *flow;
            let at = snap.bridges.get(bridge).and_then(|b| b.of_port(flow.in_port));
            let place = at.map(|(bundle, iface)| Place { bridge, bundle, iface });
            let port = place.and_then(|p| snap.datapath_port(p)).unwrap_or(PortNo::NONE);
            flow.key.in_port = port.0;
            flow.actset_output = OfPort::UNSET;
            (flow.key, flow, place, (bridge < snap.bridges.len()).then_some(bridge))
        }
    };
    // As in Open vSwitch, the datapath's port is no field of OpenFlow's.
    flow.key.in_port = 0;
    let frozen = match key.recirc_id {
        0 => None,
        id => r.frozen.get(id),
    };
    let bond = snap.recirc_place(key.recirc_id).filter(|_| frozen.is_none());
    let bridge = match (&frozen, bond) {
        (Some(f), _) => snap.bridges.iter().position(|b| b.name == f.bridge).or(bridge),
        (None, Some((b, _))) => Some(b),
        (None, None) => bridge,
    };
    let mut t = Translator {
        snap,
        now: r.now,
        learning: r.learning,
        key,
        vlan_limit: snap.vlan_limit,
        bridge: bridge.unwrap_or(0),
        tables: snap.bridges.get(bridge.unwrap_or(0)).map_or_else(
            || std::sync::Arc::new(crate::tables::TablesSnapshot::empty()),
            |b| b.state.tables.load_full(),
        ),
        base: flow,
        have: Tags::of_key(&flow.key, snap.vlan_limit),
        flow,
        third_tag: Tag::default(),
        wc: base_mask(&key),
        actions: Vec::new(),
        size: 0,
        stack: Vec::new(),
        stack_size: 0,
        action_set: Vec::new(),
        set_has_group: false,
        in_action_set: false,
        in_packet_out: matches!(r.source, Source::Bridge { packet_out: true, .. }),
        rule: None,
        conjunction: Vec::new(),
        table: 0,
        cookie: u64::MAX,
        depth: 0,
        resubmits: 0,
        exit: false,
        freeze: None,
        failure: None,
        slow: Vec::new(),
        admission_gate: None,
        nested: 0,
        not_admitted: false,
        mirrors: 0,
        snaplen: 0,
        deps: Dependencies {
            snapshot: snap.generation,
            macs: r.macs,
            tables: r.tables,
            ..Dependencies::default()
        },
        trace: r.trace,
        names: r.names,
        reports: Vec::new(),
        looped: false,
        frozen: r.frozen,
        asked_port: match r.source {
            Source::Key(key) => key.in_port,
            Source::Bridge { flow, .. } => flow.key.in_port,
        },
    };
    if bridge.is_none() {
        t.failure = Some(Failure::BridgeNotFound);
        return t.finish(false, false);
    }
    let name = &snap.bridges[t.bridge].name;
    t.enter(NodeKind::Bridge, || format!("bridge(\"{name}\")"));
    if let Some((b, n)) = bond {
        t.recirculated(b, n);
        return t.finish(true, true);
    }
    if let Some(frozen) = frozen {
        t.resume(&frozen);
        return t.finish(true, false);
    }
    if key.recirc_id != 0 {
        t.error(format!("Recirculation context not found for ID {:x}", key.recirc_id));
        t.failure = Some(Failure::NoRecirculation);
        return t.finish(false, false);
    }
    let actions = match r.source {
        Source::Key(_) => None,
        Source::Bridge { actions, .. } => actions,
    };
    if let (Source::Key(_), Some(p)) = (r.source, place) {
        t.admission_gate = snap.bridges[p.bridge].bundles[p.bundle].bond.clone();
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
            None => Some(self.find(self.flow.in_port, true, true)),
        };
        if let Some(found) = &found {
            self.credit(found);
            self.enter_table(found, self.table);
        }
        if let Some(place) = place
            && self.special(place)
        {
            self.admission_gate = None;
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

    /// What remains after the last action of a bridge.
    pub(super) fn end_of_pipeline(&mut self) {
        if self.failure.is_none() {
            if self.freeze.is_none() {
                self.run_action_set();
            }
            if self.freeze.is_some() {
                self.finish_freezing();
            }
        }
    }

    /// Whether the packet is one of the link's own protocols, which the switch consumes.
    pub(super) fn special(&mut self, place: Place) -> bool {
        let bundle = &self.snap.bridges[place.bridge].bundles[place.bundle];
        let iface = &bundle.ifaces[place.iface];
        let (key, wc) = (&self.flow.key, &mut self.wc.key);
        let reason = if iface.cfm.is_some_and(|dst| mask::is_cfm(key, dst, wc)) {
            UserspaceReason::Cfm
        } else if iface.bfd.is_some_and(|own| mask::is_bfd(key, own, wc)) {
            UserspaceReason::Bfd
        } else if bundle.lacp && key.eth_type == EtherType::SLOW {
            UserspaceReason::Lacp
        } else {
            return false;
        };
        if self.nested == 0 {
            self.slow.push(reason);
        } else {
            // A copy that went over a patch port; the others go on.
            self.commit();
            self.push_action(Action::Userspace(reason));
        }
        true
    }

    /// Whether the port that the packet is at lets it in.
    pub(super) fn may_receive(&self) -> bool {
        use openflow::msg::config;
        let bits = self.port_config(self.flow.in_port);
        let key = &self.flow.key;
        let stp = key.eth_type == EtherType::NONE && key.eth_dst.0 == [1, 0x80, 0xc2, 0, 0, 0];
        let bit = if stp { config::NO_RECV_STP } else { config::NO_RECV };
        bits & bit == 0
    }

    fn finish(mut self, known: bool, from_bond: bool) -> XlateOut {
        if self.failure.is_some() || self.looped {
            self.actions.clear();
            self.slow.clear();
        } else if let Some(Action::Clone(_)) = self.actions.last() {
            // Nothing comes after the copy: the packet itself will do.
            if let Some(Action::Clone(body)) = self.actions.pop() {
                self.actions.extend(body.iter().cloned());
            }
        }
        if self.size > context::MAX_SIZE - 1 || too_many_outputs(&self.actions) {
            self.slow.push(UserspaceReason::Action);
        }
        // More would not be said: they are all carried out by translating again.
        if self.slow.contains(&UserspaceReason::Action) {
            self.slow.sort_by_key(|r| *r != UserspaceReason::Action);
        }
        self.slow.dedup();
        let needed = self.needed_mask();
        let mask = datapath_mask(needed, from_bond);
        let wc = self.shown_mask();
        // For comparison with what was asked: as it was there.
        if self.flow.actset_output == OfPort::UNSET {
            self.flow.actset_output = OfPort(0);
        }
        self.flow.key.in_port = self.asked_port;
        XlateOut {
            actions: self.actions,
            mask,
            needed,
            install: known,
            looped: self.looped,
            deps: self.deps,
            flow: self.flow,
            wc,
            slow: self.slow,
            failure: self.failure,
            reports: self.reports,
        }
    }

    /// The bits looked at, with what both the datapath and people are told otherwise.
    fn tidy_mask(&self) -> Fields {
        let mut wc = self.wc;
        let k = &mut wc.key;
        if self.key.nw_frag & FRAG_LATER != 0 {
            (k.tp_src, k.tp_dst) = (0, 0);
        }
        let icmp = match self.key.eth_type {
            EtherType::IPV4 => self.key.nw_proto == ip::ICMP,
            EtherType::IPV6 => self.key.nw_proto == ip::ICMPV6,
            _ => false,
        };
        if icmp {
            k.tp_src &= 0xff;
            k.tp_dst &= 0xff;
        }
        for tag in &mut k.vlan {
            if tag.tci != 0 {
                tag.tci |= VlanTag::CFI;
            }
        }
        wc
    }

    /// What was looked at. What a packet does not have is looked at as not being there.
    fn needed_mask(&self) -> FlowMask {
        let mut m = self.tidy_mask().key;
        m.in_port = u32::MAX;
        for tag in &mut m.vlan {
            tag.tpid = if tag.tci == 0 { 0 } else { u16::MAX };
        }
        if self.vlan_limit < 2 && self.key.vlan[0].is_present() {
            // Whether there is a tag under the first is what the packet's type depends on.
            m.vlan[1] = VlanTag { tpid: u16::MAX, tci: VlanTag::CFI };
        }
        m.pad = 0;
        m
    }

    /// The bits looked at, as they are shown: without those of what the packet does not have.
    fn shown_mask(&self) -> Fields {
        let mut wc = self.tidy_mask();
        for (tag, had) in wc.key.vlan.iter_mut().zip(&self.key.vlan) {
            tag.tpid = 0;
            if had.tpid == 0 {
                tag.tci = 0;
            }
        }
        wc.key.nw_frag &= FRAG_ANY | FRAG_LATER;
        wc.metadata = 0;
        wc.regs = [0; 32];
        wc.actset_output = OfPort(0);
        wc.conj_id = 0;
        wc
    }
}

/// The megaflow.
fn datapath_mask(needed: FlowMask, from_bond: bool) -> FlowMask {
    let mut m = needed;
    // A flow cannot be shown without saying whether there is a tag: as in Open vSwitch one that
    // looks at nothing of it takes it whole. The second look of a bond's packets, of which there
    // may be many, need not.
    if m.vlan[0].tci == 0 && !from_bond {
        m.vlan[0] = VlanTag { tpid: u16::MAX, tci: u16::MAX };
    }
    m
}

/// What every translation looks at.
fn base_mask(key: &FlowKey) -> Fields {
    let mut wc = Fields {
        key: mask::base(key),
        in_port: OfPort(u16::MAX),
        packet_type: u32::MAX,
        ..Fields::default()
    };
    wc.key.in_port = 0;
    wc
}

/// As many packets as Linux keeps for one receiver (`net.core.netdev_max_backlog`'s default).
const MAX_OUTPUTS: usize = 1000;

fn too_many_outputs(actions: &[Action]) -> bool {
    let is_output = |a: &&Action| {
        matches!(a, Action::Output(_) | Action::OutputBucket { .. } | Action::LbOutput { .. })
    };
    actions.len() > MAX_OUTPUTS && actions.iter().filter(is_output).count() > MAX_OUTPUTS
}
