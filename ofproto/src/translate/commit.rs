//! Changes of headers become datapath actions, as few as can be.
//!
//! The order, and what a change looks at, are those of Open vSwitch's `commit_odp_actions`: a
//! field that was written is in the mask of what was looked at, so that a flow is only for packets
//! that have it otherwise, or the same.

use datapath::{Action, Layer, SetHeader};
use wire::{EtherType, FlowKey, FlowMask, VlanTag, ip};

use crate::vlan::Tags;

use super::context::Translator;

/// Copies what is looked at in one header from one key to another.
type Pick = fn(&FlowKey, &mut FlowKey);

impl Translator<'_> {
    /// Makes the packet in the datapath what it is here.
    pub(super) fn commit(&mut self) {
        let want = self.tags();
        if self.flow.key == self.base.key && want == self.have {
            return;
        }
        self.set(Layer::Eth, |from, to| {
            (to.eth_src, to.eth_dst) = (from.eth_src, from.eth_dst);
        });
        // As in Open vSwitch, a packet without a protocol has no L3 header to change.
        if self.flow.key.nw_proto != 0 {
            self.commit_network();
            self.commit_transport();
        }
        self.commit_vlan(want);
        self.set(Layer::SkbPriority, |from, to| to.skb_priority = from.skb_priority);
        self.set(Layer::SkbMark, |from, to| to.pkt_mark = from.pkt_mark);
    }

    fn commit_network(&mut self) {
        match self.base.key.eth_type {
            EtherType::IPV4 => {
                self.set(Layer::Ipv4, |from, to| {
                    to.nw_src[12..].copy_from_slice(&from.nw_src[12..]);
                    to.nw_dst[12..].copy_from_slice(&from.nw_dst[12..]);
                    (to.nw_tos, to.nw_ttl) = (from.nw_tos, from.nw_ttl);
                });
            }
            EtherType::IPV6 => {
                self.set(Layer::Ipv6, |from, to| {
                    (to.nw_src, to.nw_dst) = (from.nw_src, from.nw_dst);
                    (to.nw_tos, to.nw_ttl) = (from.nw_tos, from.nw_ttl);
                    to.ipv6_label = from.ipv6_label;
                });
                if self.base.key.nw_proto == ip::ICMPV6 {
                    let changed = self.set(Layer::Nd, |from, to| {
                        to.nd_target = from.nd_target;
                        (to.arp_sha, to.arp_tha) = (from.arp_sha, from.arp_tha);
                    });
                    self.slow_if(changed);
                }
            }
            EtherType::ARP => {
                let changed = self.set(Layer::Arp, |from, to| {
                    to.nw_src[12..].copy_from_slice(&from.nw_src[12..]);
                    to.nw_dst[12..].copy_from_slice(&from.nw_dst[12..]);
                    to.nw_proto = from.nw_proto;
                    (to.arp_sha, to.arp_tha) = (from.arp_sha, from.arp_tha);
                });
                self.slow_if(changed);
            }
            _ => {}
        }
    }

    fn commit_transport(&mut self) {
        let pick: Pick = |from, to| (to.tp_src, to.tp_dst) = (from.tp_src, from.tp_dst);
        let v4 = match self.base.key.eth_type {
            EtherType::IPV4 => true,
            EtherType::IPV6 => false,
            _ => return,
        };
        match self.flow.key.nw_proto {
            ip::TCP => self.set(Layer::Tcp, pick),
            ip::UDP => self.set(Layer::Udp, pick),
            ip::SCTP => self.set(Layer::Sctp, pick),
            ip::ICMP if v4 => self.commit_icmp(Layer::Icmp),
            ip::ICMPV6 if !v4 => self.commit_icmp(Layer::Icmpv6),
            _ => false,
        };
    }

    /// Type and code are written together, whichever changed.
    fn commit_icmp(&mut self, layer: Layer) -> bool {
        let changed = (self.flow.key.tp_src, self.flow.key.tp_dst)
            != (self.base.key.tp_src, self.base.key.tp_dst);
        if changed {
            (self.wc.key.tp_src, self.wc.key.tp_dst) = (0xff, 0xff);
            let (tp_src, tp_dst) = (self.flow.key.tp_src, self.flow.key.tp_dst);
            let value = FlowKey { tp_src, tp_dst, ..FlowKey::default() };
            let mask = FlowKey { tp_src: 0xff, tp_dst: 0xff, ..FlowKey::default() };
            self.push_action(Action::Set(Box::new(SetHeader { layer, value, mask })));
            (self.base.key.tp_src, self.base.key.tp_dst) = (tp_src, tp_dst);
            self.be_slow();
        }
        changed
    }

    fn slow_if(&mut self, changed: bool) {
        if changed {
            self.be_slow();
        }
    }

    /// Writes what differs in one header. True if anything did.
    fn set(&mut self, layer: Layer, pick: Pick) -> bool {
        let (mut new, mut old) = (FlowKey::default(), FlowKey::default());
        pick(&self.flow.key, &mut new);
        pick(&self.base.key, &mut old);
        if new == old {
            return false;
        }
        let mut mask = FlowMask::default();
        pick(&self.wc.key, &mut mask);
        keep_changed(&mut mask, &new, &old);
        let value = new.masked(&mask);
        self.push_action(Action::Set(Box::new(SetHeader { layer, value, mask })));
        pick(&self.flow.key, &mut self.base.key);
        true
    }

    fn commit_vlan(&mut self, want: Tags) {
        let (pops, pushes) = self.have.difference(&want);
        for n in (0..pops).rev() {
            if let Some(seen) = self.wc.key.vlan.get_mut(n) {
                *seen = VlanTag { tpid: u16::MAX, tci: u16::MAX };
            }
            self.push_action(Action::PopVlan);
        }
        for tag in want.outer_ones(pushes).rev() {
            self.push_action(Action::PushVlan { tpid: tag.tpid, tci: tag.tci() });
        }
        self.have = want;
        self.base.key.vlan = self.flow.key.vlan;
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
