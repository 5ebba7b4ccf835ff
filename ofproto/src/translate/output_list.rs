//! The datapath actions of a translation, and the packet as it is in the datapath after them.

use std::sync::Arc;

use datapath::{Action, Layer, SetHeader, TableId, UserspaceReason};
use openflow::Fields;
use wire::{EtherType, FlowKey, FlowMask, VlanTag, ip};

use crate::vlan::Tags;

use super::flow_state::FlowState;

/// Copies the fields of one header from one key to another.
type Pick = fn(&FlowKey, &mut FlowKey);

/// As many packets as Linux keeps for one receiver (`net.core.netdev_max_backlog`'s default).
const MAX_OUTPUTS: usize = 1000;

/// Where a list of actions on a copy of the packet began.
pub(super) struct CopyStart {
    at: usize,
    base: Fields,
    tags: Tags,
}

/// The actions so far. Header changes become actions only when [`OutputList::commit`] is called,
/// before each output.
pub(super) struct OutputList {
    actions: Vec<Action>,
    /// Octets of `actions` as netlink attributes.
    size: usize,
    /// The packet as the datapath has it after `actions`.
    base: Fields,
    /// Its tags.
    tags: Tags,
    /// Why the datapath cannot carry out the flow alone, in the order found.
    slow: Vec<UserspaceReason>,
}

impl OutputList {
    /// No actions; the packet as it came, of whose tags `vlan_limit` are looked at.
    pub(super) fn new(flow: Fields, vlan_limit: usize) -> OutputList {
        OutputList {
            actions: Vec::new(),
            size: 0,
            base: flow,
            tags: Tags::of_key(&flow.key, vlan_limit),
            slow: Vec::new(),
        }
    }

    /// How many actions there are.
    pub(super) fn len(&self) -> usize {
        self.actions.len()
    }

    /// Octets of the actions as netlink attributes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The packet as the datapath has it after the actions.
    pub(super) fn base(&self) -> &Fields {
        &self.base
    }

    /// Appends an action.
    pub(super) fn push(&mut self, action: Action) {
        self.size += size(&action);
        self.actions.push(action);
    }

    /// Puts a gate before the action with index `at`.
    pub(super) fn insert_gate(&mut self, at: usize, table: TableId) {
        self.actions.insert(at, Action::Gate { table });
    }

    /// The switch itself consumes the packet, beside what the actions do with it.
    pub(super) fn send_up(&mut self, reason: UserspaceReason) {
        self.slow.push(reason);
    }

    /// The datapath cannot do it: each packet is translated on its own.
    pub(super) fn translate_each_packet(&mut self) {
        if !self.slow.contains(&UserspaceReason::Action) {
            self.slow.push(UserspaceReason::Action);
        }
    }

    /// Begins a list on a copy of the packet.
    pub(super) fn start_copy(&self) -> CopyStart {
        CopyStart { at: self.actions.len(), base: self.base, tags: self.tags }
    }

    /// Ends a list on a copy. Unless setting headers again undoes what it did, it becomes a clone
    /// action.
    pub(super) fn end_copy(&mut self, start: CopyStart) {
        if reversible(&self.actions[start.at..]) {
            return;
        }
        let body = self.actions.split_off(start.at);
        self.size += 4;
        self.actions.push(Action::Clone(Arc::new(body)));
        (self.base, self.tags) = (start.base, start.tags);
    }

    /// Actions and reasons of the whole translation. `failed`: neither.
    pub(super) fn finish(
        mut self,
        failed: bool,
        max_size: usize,
    ) -> (Vec<Action>, Vec<UserspaceReason>) {
        if failed {
            self.actions.clear();
            self.slow.clear();
        } else if let Some(Action::Clone(_)) = self.actions.last() {
            // Nothing comes after the copy: the packet itself will do.
            if let Some(Action::Clone(body)) = self.actions.pop() {
                self.actions.extend(body.iter().cloned());
            }
        }
        if self.size >= max_size || too_many_outputs(&self.actions) {
            self.slow.push(UserspaceReason::Action);
        }
        // A flow names one reason. Translating each packet covers the others.
        if self.slow.contains(&UserspaceReason::Action) {
            self.slow.sort_by_key(|r| *r != UserspaceReason::Action);
        }
        self.slow.dedup();
        (self.actions, self.slow)
    }

    /// Appends the fewest actions that make the packet in the datapath what `flow` is.
    ///
    /// The order, and what a change depends on, are those of Open vSwitch's `commit_odp_actions`: a
    /// field that was written is in the wildcards, so that a flow is only for packets that have it
    /// otherwise, or the same.
    pub(super) fn commit(&mut self, flow: &mut FlowState) {
        let want = flow.tags();
        if *flow.key() == self.base.key && want == self.tags {
            return;
        }
        self.set(flow, Layer::Eth, |from, to| {
            (to.eth_src, to.eth_dst) = (from.eth_src, from.eth_dst);
        });
        // As in Open vSwitch, a packet without a protocol has no L3 header to change.
        if flow.key().nw_proto != 0 {
            self.commit_network(flow);
            self.commit_transport(flow);
        }
        self.commit_vlan(flow, want);
        self.set(flow, Layer::SkbPriority, |from, to| to.skb_priority = from.skb_priority);
        self.set(flow, Layer::SkbMark, |from, to| to.pkt_mark = from.pkt_mark);
    }

    fn commit_network(&mut self, flow: &mut FlowState) {
        match self.base.key.eth_type {
            EtherType::IPV4 => {
                self.set(flow, Layer::Ipv4, |from, to| {
                    to.nw_src[12..].copy_from_slice(&from.nw_src[12..]);
                    to.nw_dst[12..].copy_from_slice(&from.nw_dst[12..]);
                    (to.nw_tos, to.nw_ttl) = (from.nw_tos, from.nw_ttl);
                });
            }
            EtherType::IPV6 => {
                self.set(flow, Layer::Ipv6, |from, to| {
                    (to.nw_src, to.nw_dst) = (from.nw_src, from.nw_dst);
                    (to.nw_tos, to.nw_ttl) = (from.nw_tos, from.nw_ttl);
                    to.ipv6_label = from.ipv6_label;
                });
                if self.base.key.nw_proto == ip::ICMPV6
                    && self.set(flow, Layer::Nd, |from, to| {
                        to.nd_target = from.nd_target;
                        (to.arp_sha, to.arp_tha) = (from.arp_sha, from.arp_tha);
                    })
                {
                    self.translate_each_packet();
                }
            }
            EtherType::ARP => {
                let changed = self.set(flow, Layer::Arp, |from, to| {
                    to.nw_src[12..].copy_from_slice(&from.nw_src[12..]);
                    to.nw_dst[12..].copy_from_slice(&from.nw_dst[12..]);
                    to.nw_proto = from.nw_proto;
                    (to.arp_sha, to.arp_tha) = (from.arp_sha, from.arp_tha);
                });
                if changed {
                    self.translate_each_packet();
                }
            }
            _ => {}
        }
    }

    fn commit_transport(&mut self, flow: &mut FlowState) {
        let pick: Pick = |from, to| (to.tp_src, to.tp_dst) = (from.tp_src, from.tp_dst);
        let v4 = match self.base.key.eth_type {
            EtherType::IPV4 => true,
            EtherType::IPV6 => false,
            _ => return,
        };
        match flow.key().nw_proto {
            ip::TCP => self.set(flow, Layer::Tcp, pick),
            ip::UDP => self.set(flow, Layer::Udp, pick),
            ip::SCTP => self.set(flow, Layer::Sctp, pick),
            ip::ICMP if v4 => self.commit_icmp(flow, Layer::Icmp),
            ip::ICMPV6 if !v4 => self.commit_icmp(flow, Layer::Icmpv6),
            _ => false,
        };
    }

    /// Type and code are written together, whichever changed.
    fn commit_icmp(&mut self, flow: &mut FlowState, layer: Layer) -> bool {
        let (tp_src, tp_dst) = (flow.key().tp_src, flow.key().tp_dst);
        let changed = (tp_src, tp_dst) != (self.base.key.tp_src, self.base.key.tp_dst);
        if changed {
            flow.examine(|_, wc| (wc.tp_src, wc.tp_dst) = (0xff, 0xff));
            let value = FlowKey { tp_src, tp_dst, ..FlowKey::default() };
            let mask = FlowMask { tp_src: 0xff, tp_dst: 0xff, ..FlowMask::default() };
            self.push(Action::Set(Box::new(SetHeader { layer, value, mask })));
            (self.base.key.tp_src, self.base.key.tp_dst) = (tp_src, tp_dst);
            self.translate_each_packet();
        }
        changed
    }

    /// Writes what differs in one header. True if anything did.
    fn set(&mut self, flow: &mut FlowState, layer: Layer, pick: Pick) -> bool {
        let (mut new, mut old) = (FlowKey::default(), FlowKey::default());
        pick(flow.key(), &mut new);
        pick(&self.base.key, &mut old);
        if new == old {
            return false;
        }
        let mut mask = FlowKey::default();
        flow.examine(|_, wc| pick(wc.as_key(), &mut mask));
        let mut mask = FlowMask::from_key(mask);
        keep_changed(&mut mask, &new, &old);
        let value = new.masked(&mask);
        self.push(Action::Set(Box::new(SetHeader { layer, value, mask })));
        pick(flow.key(), &mut self.base.key);
        true
    }

    fn commit_vlan(&mut self, flow: &mut FlowState, want: Tags) {
        let (pops, pushes) = self.tags.difference(&want);
        for n in (0..pops).rev() {
            flow.examine(|_, wc| {
                if let Some(seen) = wc.vlan.get_mut(n) {
                    *seen = VlanTag { tpid: u16::MAX, tci: u16::MAX };
                }
            });
            self.push(Action::PopVlan);
        }
        for tag in want.outer_ones(pushes).rev() {
            self.push(Action::PushVlan { tpid: tag.tpid, tci: tag.tci() });
        }
        self.tags = want;
        self.base.key.vlan = flow.key().vlan;
    }
}

/// Clears the mask of fields that are as they were.
fn keep_changed(mask: &mut FlowMask, new: &FlowKey, old: &FlowKey) {
    let z = FlowKey::default();
    macro_rules! fields {
        ($($f:ident),*) => { $( if new.$f == old.$f { mask.$f = z.$f; } )* };
    }
    fields!(
        eth_src,
        eth_dst,
        nw_src,
        nw_dst,
        nw_tos,
        nw_ttl,
        nw_proto,
        ipv6_label,
        tp_src,
        tp_dst,
        nd_target,
        arp_sha,
        arp_tha,
        skb_priority,
        pkt_mark
    );
}

/// Octets of an action as netlink attributes (`linux/openvswitch.h`); estimated where they vary.
fn size(action: &Action) -> usize {
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

/// Whether what these do to a packet can be undone by setting headers again.
fn reversible(actions: &[Action]) -> bool {
    actions.iter().enumerate().all(|(i, a)| match a {
        Action::Output(_)
        | Action::OutputBucket { .. }
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::Recirc(_)
        | Action::LbOutput { .. }
        | Action::Userspace(_)
        | Action::Set(_)
        | Action::Clone(_)
        | Action::Controller(_) => true,
        // Only the `lb_output` right after it uses this hash.
        Action::HashL4 { .. } => matches!(actions.get(i + 1), Some(Action::LbOutput { .. })),
        Action::Gate { .. } | Action::Trunc(_) | Action::Drop(_) => false,
    })
}

fn too_many_outputs(actions: &[Action]) -> bool {
    let is_output = |a: &&Action| {
        matches!(a, Action::Output(_) | Action::OutputBucket { .. } | Action::LbOutput { .. })
    };
    actions.len() > MAX_OUTPUTS && actions.iter().filter(is_output).count() > MAX_OUTPUTS
}
