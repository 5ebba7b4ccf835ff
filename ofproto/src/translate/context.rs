//! The translator's state: the packet as it is, as the datapath has it, and what was looked at.

use std::sync::Arc;

use bond::BUCKETS;
use datapath::{Action, UserspaceReason};
use openflow::text::{Names, NoNames};
use openflow::{Action as OfAction, Fields, OfPort};
use wire::{EtherType, FlowKey, Time, VlanTag};

use crate::config::BondHandle;
use crate::snapshot::{Bridge, Place, Snapshot};
use crate::tables::{Rule, TablesSnapshot};
use crate::trace::{NodeKind, TraceTree};
use crate::vlan::{Tag, Tags};
use crate::xlate_cache::Dependencies;

use super::recirculation::{PendingFreeze, RecircTable};
use super::{Failure, Learning, ReportLevel, XlateReport};

/// Resubmissions and bridges that a packet may be inside of, one in the other.
pub(super) const MAX_DEPTH: u32 = 64;
/// Rules that a packet may meet altogether, over all its copies.
pub(super) const MAX_RESUBMITS: u32 = 4096;
/// Octets of the stack of `push`, and of actions as netlink would have them, at which a
/// translation ends.
pub(super) const MAX_SIZE: usize = 65_536;

const _: () = assert!(BUCKETS == 256);

pub(crate) struct Translator<'a> {
    pub(crate) snap: &'a Snapshot,
    pub(crate) now: Time,
    pub(crate) learning: Learning,
    /// The packet as the datapath looked it up.
    pub(crate) key: FlowKey,
    /// Tags looked at.
    pub(crate) vlan_limit: usize,

    /// The bridge that the packet is in now.
    pub(crate) bridge: usize,
    pub(super) tables: Arc<TablesSnapshot>,
    /// The packet as changed so far, and what it carries along in the pipeline.
    pub(crate) flow: Fields,
    /// The tag under the two of `flow`, if there is one.
    pub(crate) third_tag: Tag,
    /// The packet as the datapath has it after `actions`.
    pub(super) base: Fields,
    /// Its tags.
    pub(super) have: Tags,
    /// The bits that were looked at.
    pub(crate) wc: Fields,
    pub(crate) actions: Vec<Action>,
    /// Octets of `actions` as netlink would have them.
    pub(super) size: usize,

    pub(super) stack: Vec<(u128, u16)>,
    pub(super) stack_size: usize,
    pub(super) action_set: Vec<OfAction>,
    pub(super) set_has_group: bool,
    pub(super) in_action_set: bool,
    pub(super) in_packet_out: bool,

    /// The rule whose actions run.
    pub(super) rule: Option<CurrentRule>,
    /// The rules of the conjunction that led to the rule found last, for the trace.
    pub(super) conjunction: Vec<Arc<Rule>>,
    pub(super) table: u8,
    pub(super) cookie: u64,
    pub(super) depth: u32,
    pub(super) resubmits: u32,
    /// Nothing more is done.
    pub(super) exit: bool,
    pub(super) freeze: Option<PendingFreeze>,
    pub(super) failure: Option<Failure>,
    pub(super) slow: Vec<UserspaceReason>,

    /// The bond that the packet came in by, whose gate may decide in the datapath itself.
    pub(super) admission_gate: Option<Arc<BondHandle>>,
    /// Copies and bridges that the packet is inside of.
    pub(super) nested: u32,
    /// A bond does not let this packet in now: nobody learns from it, in no bridge.
    pub(crate) not_admitted: bool,

    /// Mirrors that have got the packet as it is, a bit for each.
    pub(crate) mirrors: u32,
    /// Octets that a mirror wants; 0 = this is no mirror's copy.
    pub(crate) snaplen: u16,

    pub(crate) deps: Dependencies,
    pub(super) trace: Option<&'a mut TraceTree>,
    pub(super) names: bool,
    pub(super) reports: Vec<XlateReport>,
    pub(super) looped: bool,
    pub(super) frozen: &'a RecircTable,
    /// `key.in_port` of what was asked.
    pub(super) asked_port: u32,
}

/// What is known of the rule whose actions run.
#[derive(Clone)]
pub(super) enum CurrentRule {
    Rule(Arc<Rule>),
    /// One of the switch's own, for packets that no rule matches.
    Internal,
}

/// What a copy of the packet must not change for the packet itself.
pub(super) struct SavedState {
    flow: Fields,
    third_tag: Tag,
    stack: Vec<(u128, u16)>,
    stack_size: usize,
    action_set: Vec<OfAction>,
}

impl<'a> Translator<'a> {
    pub(crate) fn here(&self) -> &'a Bridge {
        &self.snap.bridges[self.bridge]
    }

    /// Where an OpenFlow port of this bridge is.
    pub(crate) fn place(&self, port: OfPort) -> Option<Place> {
        let (bundle, iface) = self.here().of_port(port)?;
        Some(Place { bridge: self.bridge, bundle, iface })
    }

    /// Where the packet is in this bridge.
    pub(crate) fn in_place(&self) -> Option<Place> {
        self.place(self.flow.in_port)
    }

    /// The `OFPPC_*` bits of a port of this bridge.
    pub(crate) fn port_config(&self, port: OfPort) -> u32 {
        self.here().state.port_config.load().get(&port).copied().unwrap_or(0)
    }

    /// Whether the datapath itself shall keep out what a bond does not admit, packet by packet:
    /// the packet is the datapath's, as it came, and nothing else happens to it.
    pub(crate) fn is_gated(&self) -> bool {
        self.admission_gate.is_some()
            && self.trace.is_none()
            && self.nested == 0
            && self.flow.key.eth_dst == self.key.eth_dst
    }

    pub(super) fn save(&mut self) -> SavedState {
        SavedState {
            flow: self.flow,
            third_tag: self.third_tag,
            stack: std::mem::take(&mut self.stack),
            stack_size: std::mem::take(&mut self.stack_size),
            action_set: std::mem::take(&mut self.action_set),
        }
    }

    pub(super) fn restore(&mut self, saved: SavedState) {
        self.flow = saved.flow;
        self.third_tag = saved.third_tag;
        self.stack = saved.stack;
        self.stack_size = saved.stack_size;
        self.action_set = saved.action_set;
    }

    /// The tags of `flow`.
    pub(crate) fn tags(&self) -> Tags {
        let mut tags = Tags::of_key(&self.flow.key, 2);
        tags.set_third(self.third_tag);
        tags
    }

    /// Makes `flow` carry these tags.
    pub(crate) fn set_tags(&mut self, tags: &Tags) {
        (self.flow.key.vlan, self.third_tag) = tags.split();
    }

    /// A tag is there exactly if it has a type.
    pub(super) fn fix_vlan(&mut self) {
        let tag = &mut self.flow.key.vlan[0];
        if !tag.is_present() {
            tag.tpid = 0;
        } else if tag.tpid == 0 {
            tag.tpid = EtherType::VLAN;
        }
    }

    pub(super) fn is_ip(&self) -> bool {
        matches!(self.flow.key.eth_type, EtherType::IPV4 | EtherType::IPV6)
    }

    pub(super) fn push_action(&mut self, action: Action) {
        self.size += size(&action);
        self.actions.push(action);
    }

    /// Whether anybody wants to be told what happens.
    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Tells what happens, to whoever traces.
    pub(crate) fn note(&mut self, kind: NodeKind, text: impl Into<String>) {
        if let Some(t) = &mut self.trace {
            t.note(kind, text);
        }
    }

    /// As [`Translator::note`]; what follows is part of it, until [`Translator::leave_to`].
    pub(super) fn enter(&mut self, kind: NodeKind, text: impl FnOnce() -> String) {
        if let Some(t) = &mut self.trace {
            t.enter(kind, text());
        }
    }

    pub(super) fn trace_depth(&self) -> usize {
        self.trace.as_ref().map_or(0, |t| t.depth())
    }

    pub(super) fn leave_to(&mut self, depth: usize) {
        if let Some(t) = &mut self.trace {
            t.leave_to(depth);
        }
    }

    /// Something is wrong: told to whoever traces, else to the log if a packet is there.
    pub(crate) fn error(&mut self, text: impl Into<String>) {
        self.report(NodeKind::Error, ReportLevel::Warn, text.into());
    }

    /// Something is odd.
    pub(crate) fn info(&mut self, text: impl Into<String>) {
        self.report(NodeKind::Warning, ReportLevel::Info, text.into());
    }

    fn report(&mut self, kind: NodeKind, level: ReportLevel, text: String) {
        if let Some(t) = &mut self.trace {
            t.note(kind, text);
        } else if self.learning == Learning::Packet && self.reports.len() < 8 {
            let flow = openflow::text::print_fields(&self.base, &NoNames);
            let bridge = &self.snap.bridges[self.bridge].name;
            let text = format!("{text} on bridge {bridge} while processing {flow}");
            self.reports.push(XlateReport { level, module: "ofproto_dpif_xlate", text });
        }
    }

    /// How ports are called in the trace.
    pub(super) fn with_names<R>(&self, print: impl FnOnce(&dyn Names) -> R) -> R {
        if self.names { print(&PortNames(self.here())) } else { print(&NoNames) }
    }
}

/// The ports of a bridge by name.
struct PortNames<'a>(&'a Bridge);

impl Names for PortNames<'_> {
    fn port_name(&self, port: OfPort) -> Option<String> {
        let (bundle, iface) = self.0.of_port(port)?;
        Some(self.0.bundles[bundle].ifaces[iface].name.clone())
    }
}

/// Octets of an action in netlink's form (`linux/openvswitch.h`), where that is easily said.
pub(super) fn size(action: &Action) -> usize {
    match action {
        Action::Output(_) | Action::OutputBucket { .. } | Action::PushVlan { .. } => 8,
        Action::PopVlan => 4,
        Action::Gate { .. } => 0,
        Action::HashL4 { .. } => 12,
        Action::Recirc(_) | Action::LbOutput { .. } | Action::Trunc(_) | Action::Drop(_) => 8,
        Action::Set(_) => 32,
        Action::Userspace(_) | Action::Controller(_) => 64,
        Action::Clone(body) => 4 + body.iter().map(size).sum::<usize>(),
    }
}

/// All bits of a tag's TCI that tell which VLAN, and whether there is a tag.
pub(super) const VID_AND_PRESENT: u16 = VlanTag::CFI | VlanTag::VID_MASK;
