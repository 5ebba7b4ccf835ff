//! The flow that is translated: the packet as it was looked up, as it is now, and its wildcards.
//!
//! The wildcards hold a bit for each bit of the packet that the translation depends on (Open
//! vSwitch calls them so, although a set bit means that the bit is matched). Every method that
//! reads or changes a field on behalf of an action adds the bits which that depends on; the order
//! and the extent are Open vSwitch's, since megaflows show them.

use openflow::field::Prereq;
use openflow::{Field, Fields, OfPort, Subfield};
use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, FlowKey, FlowMask, VlanTag, ip};

use crate::mask;
use crate::vlan::{Tag, Tags};

use super::fields::{is_metadata, is_tunnel};

/// All bits of an Ethernet address.
const MAC: EthAddr = EthAddr::BROADCAST;
/// The priority in a TCI.
const PCP: u16 = 0xe000;
/// The parts of the type of service octet (RFC 2474, RFC 3168).
pub(super) const DSCP: u8 = 0xfc;
pub(super) const ECN: u8 = 0x03;
/// The bits of a TCI that tell the VLAN, and whether there is a tag.
const VID_AND_PRESENT: u16 = VlanTag::CFI | VlanTag::VID_MASK;

/// What came of decrementing the time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ttl {
    /// The packet is not IP.
    NotIp,
    Decremented,
    /// It was 0 or 1 and is unchanged.
    Expired,
}

/// The packet's fields at one moment, without wildcards.
#[derive(Clone, Copy)]
pub(super) struct SavedFlow {
    flow: Fields,
    third_tag: Tag,
}

/// The packet's tags at one moment.
#[derive(Clone, Copy)]
pub(super) struct SavedTags([VlanTag; 2], Tag);

/// See the module.
pub(super) struct FlowState {
    /// The packet as the datapath looked it up.
    orig: FlowKey,
    /// VLAN tags that a flow key holds: 1 or 2.
    vlan_limit: usize,
    /// The packet as changed so far, and the pipeline's fields.
    flow: Fields,
    /// The tag under the two that `flow` has room for.
    third_tag: Tag,
    wc: Fields,
}

impl FlowState {
    /// A packet before its first action. `orig` is its key as the datapath looked it up, `flow`
    /// what OpenFlow sees of it.
    pub(super) fn new(orig: FlowKey, flow: Fields, vlan_limit: usize) -> FlowState {
        let mut wc = Fields {
            key: *mask::base(&orig).as_key(),
            in_port: OfPort(u16::MAX),
            packet_type: u32::MAX,
            ..Fields::default()
        };
        wc.key.in_port = 0;
        FlowState { orig, vlan_limit, flow, third_tag: Tag::default(), wc }
    }

    /// The packet as the datapath looked it up.
    pub(super) fn orig(&self) -> &FlowKey {
        &self.orig
    }

    /// The packet and the pipeline's fields now.
    pub(super) fn fields(&self) -> &Fields {
        &self.flow
    }

    /// The packet now.
    pub(super) fn key(&self) -> &FlowKey {
        &self.flow.key
    }

    /// The OpenFlow port that it is at.
    pub(super) fn in_port(&self) -> OfPort {
        self.flow.in_port
    }

    /// Moves the packet to another port, for example of another bridge.
    pub(super) fn set_in_port(&mut self, port: OfPort) {
        self.flow.in_port = port;
    }

    /// Lets `f` read the packet and add to the wildcards the bits that its result depends on.
    pub(super) fn examine<R>(&mut self, f: impl FnOnce(&FlowKey, &mut FlowMask) -> R) -> R {
        f(&self.flow.key, FlowMask::from_key_mut(&mut self.wc.key))
    }

    /// As [`FlowState::examine`], with the pipeline's fields.
    pub(super) fn examine_fields<R>(&mut self, f: impl FnOnce(&Fields, &mut Fields) -> R) -> R {
        f(&self.flow, &mut self.wc)
    }

    /// The fields now, to go back to with [`FlowState::restore`].
    pub(super) fn save(&self) -> SavedFlow {
        SavedFlow { flow: self.flow, third_tag: self.third_tag }
    }

    /// Puts the fields back. Wildcards stay: what was looked at was looked at.
    pub(super) fn restore(&mut self, saved: SavedFlow) {
        self.flow = saved.flow;
        self.third_tag = saved.third_tag;
    }

    /// Takes the pipeline's fields from a frozen state; the packet itself stays as it is.
    pub(super) fn resume(&mut self, pipeline: &Fields) {
        let key = self.flow.key;
        self.flow = Fields { key, ..*pipeline };
    }

    /// The fields of the pipeline that are not in the packet's octets.
    pub(super) fn pipeline(&self) -> Fields {
        let pkt_mark = self.flow.key.pkt_mark;
        let key = FlowKey { pkt_mark, recirc_id: 0, ..FlowKey::default() };
        Fields { key, mpls: [0; 3], packet_type: 0, conj_id: 0, ..self.flow }
    }

    /// Clears the fields of the pipeline that no packet carries from one bridge to the next.
    pub(super) fn clear_pipeline(&mut self) {
        let flow = &mut self.flow;
        flow.metadata = 0;
        flow.regs = [0; 32];
        flow.actset_output = OfPort::UNSET;
        for f in [Field::TunId, Field::TunSrc, Field::TunDst, Field::TunIpv6Src, Field::TunIpv6Dst]
        {
            flow.set(f, 0);
        }
        (flow.tun_flags, flow.tun_ttl, flow.tun_tos) = (0, 0, 0);
        (flow.ct_state, flow.ct_zone, flow.ct_mark, flow.ct_label) = (0, 0, 0, 0);
    }

    // --- kinds of packets ---

    /// Whether the packet is IPv4 or IPv6.
    pub(super) fn is_ip(&self) -> bool {
        matches!(self.flow.key.eth_type, EtherType::IPV4 | EtherType::IPV6)
    }

    /// Whether the packet is an IP fragment.
    pub(super) fn is_fragment(&self) -> bool {
        self.flow.key.nw_frag & FRAG_ANY != 0
    }

    /// Whether the packet has an L4 header that can have ports.
    pub(super) fn has_ports(&self) -> bool {
        self.is_ip() && self.flow.key.nw_frag & FRAG_LATER == 0
    }

    /// Whether an assignment to `field` would take effect and would change the packet's octets.
    pub(super) fn is_in_packet(&self, field: Field) -> bool {
        field.prereq_ok(&self.flow) && !is_metadata(field)
    }

    // --- VLAN tags ---

    /// The packet's tags.
    pub(super) fn tags(&self) -> Tags {
        let mut tags = Tags::of_key(&self.flow.key, 2);
        tags.set_third(self.third_tag);
        tags
    }

    /// The fields of the tags, to go back to with [`FlowState::restore_tags`].
    pub(super) fn save_tags(&self) -> SavedTags {
        SavedTags(self.flow.key.vlan, self.third_tag)
    }

    /// Puts the fields of the tags back.
    pub(super) fn restore_tags(&mut self, saved: SavedTags) {
        (self.flow.key.vlan, self.third_tag) = (saved.0, saved.1);
    }

    /// Makes the packet carry these tags.
    pub(super) fn set_tags(&mut self, tags: &Tags) {
        (self.flow.key.vlan, self.third_tag) = tags.split();
    }

    /// Depends on the VLAN, and on whether there is a tag.
    pub(super) fn look_at_vid(&mut self) {
        self.wc.key.vlan[0].tci |= VID_AND_PRESENT;
    }

    /// Depends on all of the outer tag.
    pub(super) fn look_at_outer_tag(&mut self) {
        self.wc.key.vlan[0].tci = u16::MAX;
    }

    /// Depends on the priority of the outer tag.
    pub(super) fn look_at_priority(&mut self) {
        self.wc.key.vlan[0].tci |= PCP;
    }

    /// Whether the packet came with a tag and a second one could be under it.
    pub(super) fn may_have_inner_tag(&self) -> bool {
        self.vlan_limit > 1 && self.orig.vlan[0].is_present()
    }

    /// Depends on the VLAN of the tag under the outer one, if the packet can have one.
    pub(super) fn look_at_inner_vid(&mut self) {
        if self.may_have_inner_tag() {
            self.wc.key.vlan[1].tci |= VID_AND_PRESENT;
        }
    }

    /// Depends on all of the tag under the outer one.
    pub(super) fn look_at_inner_tag(&mut self) {
        self.wc.key.vlan[1].tci = u16::MAX;
    }

    /// Depends on both addresses.
    pub(super) fn look_at_macs(&mut self) {
        self.wc.key.eth_src = MAC;
        self.wc.key.eth_dst = MAC;
    }

    /// Depends on the source address.
    pub(super) fn look_at_eth_src(&mut self) {
        self.wc.key.eth_src = MAC;
    }

    /// A tag is there exactly if it has a type.
    fn fix_vlan(&mut self) {
        let tag = &mut self.flow.key.vlan[0];
        if !tag.is_present() {
            tag.tpid = 0;
        } else if tag.tpid == 0 {
            tag.tpid = EtherType::VLAN;
        }
    }

    /// Sets the VLAN ID; `push`: also of a packet without a tag.
    pub(super) fn set_vlan_vid(&mut self, vid: u16, push: bool) {
        self.wc.key.vlan[0].tci |= VID_AND_PRESENT;
        self.set_vlan(push, VlanTag::VID_MASK, vid);
    }

    /// Sets the VLAN priority; `push`: also of a packet without a tag.
    pub(super) fn set_vlan_pcp(&mut self, pcp: u8, push: bool) {
        self.wc.key.vlan[0].tci |= PCP | VlanTag::CFI;
        self.set_vlan(push, PCP, u16::from(pcp) << VlanTag::PCP_SHIFT);
    }

    fn set_vlan(&mut self, push: bool, bits: u16, v: u16) {
        let tag = &mut self.flow.key.vlan[0];
        if tag.is_present() || push {
            tag.tci = tag.tci & !bits | v & bits | VlanTag::CFI;
            self.fix_vlan();
        }
    }

    /// Takes the outer tag off.
    pub(super) fn pop_vlan(&mut self) {
        let mut tags = self.tags();
        if tags.outer().tpid != 0 {
            if self.vlan_limit > 1 {
                // The tag under it becomes the packet's outer one, or there is none.
                self.look_at_inner_tag();
            }
            tags.pop();
            self.set_tags(&tags);
        }
    }

    /// Puts an empty tag of this type on top.
    pub(super) fn push_vlan(&mut self, tpid: u16) {
        for (seen, tag) in self.wc.key.vlan.iter_mut().zip(&self.flow.key.vlan) {
            if tag.is_present() {
                *seen = VlanTag { tpid: u16::MAX, tci: u16::MAX };
            }
        }
        let mut tags = self.tags();
        tags.push(Tag { tpid, vid: 0, pcp: 0 });
        self.set_tags(&tags);
    }

    // --- fields ---

    /// Whether the packet has `field`; depends on what tells so.
    fn has(&mut self, field: Field) -> bool {
        let v6 = self.flow.key.eth_type == EtherType::IPV6;
        let v4 = self.flow.key.eth_type == EtherType::IPV4;
        let wc = &mut self.wc.key;
        match field.info().prereq {
            Prereq::None
            | Prereq::Ethernet
            | Prereq::Mpls
            | Prereq::Arp
            | Prereq::Ipv4
            | Prereq::Ipv6
            | Prereq::IpAny => {}
            Prereq::VlanVid => wc.vlan[0].tci |= VlanTag::CFI,
            Prereq::Tcp | Prereq::Udp | Prereq::Sctp => {
                if v4 || v6 {
                    wc.nw_proto = u8::MAX;
                }
            }
            Prereq::Icmpv4 => {
                if v4 {
                    wc.nw_proto = u8::MAX;
                }
            }
            Prereq::Icmpv6 => {
                if v6 {
                    wc.nw_proto = u8::MAX;
                }
            }
            Prereq::Nd | Prereq::NdSolicit | Prereq::NdAdvert => {
                if v6 {
                    wc.nw_proto = u8::MAX;
                    if self.flow.key.nw_proto == ip::ICMPV6 {
                        wc.tp_dst = u16::MAX;
                        if self.flow.key.tp_dst == 0 {
                            wc.tp_src = u16::MAX;
                        }
                    }
                }
            }
        }
        field.prereq_ok(&self.flow)
    }

    /// Depends on bits of `field`.
    fn look(&mut self, field: Field, mask: u128) {
        let seen = self.wc.get(field);
        match field {
            // As a mask these hold 16 bits, whatever the width of the field's number.
            Field::InPort | Field::InPortOxm => self.wc.in_port.0 = u16::MAX,
            Field::ActsetOutput => self.wc.actset_output.0 = u16::MAX,
            // The values of these fields say "a tag is present" themselves; a mask does not.
            Field::DlVlan | Field::VlanVid => {
                let bits = mask as u16 & (VlanTag::VID_MASK | VlanTag::CFI);
                self.wc.key.vlan[0].tci |= bits;
            }
            Field::DlVlanPcp | Field::VlanPcp => {
                self.wc.key.vlan[0].tci |= (mask as u16) << VlanTag::PCP_SHIFT | VlanTag::CFI;
            }
            _ => self.wc.set(field, seen | mask & field.ones()),
        }
    }

    /// Depends on a part of a field.
    fn look_at(&mut self, s: Subfield) {
        self.look(s.field, s.mask());
    }

    /// Whether a packet really has an L3 header shows in its protocol.
    fn look_at_l3(&mut self, field: Field) {
        let ip = matches!(
            field,
            Field::Ipv4Src
                | Field::Ipv4Dst
                | Field::Ipv6Src
                | Field::Ipv6Dst
                | Field::Ipv6Label
                | Field::IpDscp
                | Field::IpEcn
                | Field::IpTtl
        );
        let arp = matches!(
            field,
            Field::ArpOp | Field::ArpSha | Field::ArpTha | Field::ArpSpa | Field::ArpTpa
        );
        if ip && self.is_ip() || arp && self.flow.key.eth_type == EtherType::ARP {
            self.wc.key.nw_proto = u8::MAX;
        }
    }

    /// The value of a part of a field, without depending on it.
    pub(super) fn peek(&self, s: Subfield) -> u128 {
        s.get(&self.flow)
    }

    /// The value of a part of a field.
    pub(super) fn read(&mut self, s: Subfield) -> u128 {
        self.look_at(s);
        s.get(&self.flow)
    }

    /// Writes a part of a field, whether or not the packet has it.
    pub(super) fn write(&mut self, s: Subfield, v: u128) {
        if !is_tunnel(s.field) {
            self.look_at(s);
        }
        s.set(&mut self.flow, v);
        self.fix_vlan();
    }

    /// Writes the bits `mask` of a field. False: the packet does not have the field.
    pub(super) fn set_field(&mut self, field: Field, value: u128, mask: u128) -> bool {
        if !self.has(field) {
            return false;
        }
        self.look_at_l3(field);
        if !is_tunnel(field) {
            self.look(field, mask);
        }
        let old = self.flow.get(field);
        self.flow.set(field, old & !mask | value & mask);
        self.fix_vlan();
        true
    }

    /// Copies bits from one field to another, if the packet has both.
    pub(super) fn move_bits(&mut self, src: Subfield, dst: Subfield) {
        if self.has(dst.field) && self.has(src.field) {
            self.look_at(src);
            if !is_tunnel(dst.field) {
                self.look_at(dst);
            }
            let v = src.get(&self.flow);
            dst.set(&mut self.flow, v);
            self.fix_vlan();
        }
    }

    /// Sets the source address.
    pub(super) fn set_eth_src(&mut self, mac: EthAddr) {
        self.wc.key.eth_src = MAC;
        self.flow.key.eth_src = mac;
    }

    /// Sets the destination address.
    pub(super) fn set_eth_dst(&mut self, mac: EthAddr) {
        self.wc.key.eth_dst = MAC;
        self.flow.key.eth_dst = mac;
    }

    /// Sets an address of an IPv4 packet.
    pub(super) fn set_ipv4(&mut self, at: fn(&mut FlowKey) -> &mut [u8; 16], to: [u8; 4]) {
        if self.flow.key.eth_type == EtherType::IPV4 {
            at(&mut self.wc.key)[12..].fill(0xff);
            self.wc.key.nw_proto = u8::MAX;
            at(&mut self.flow.key)[12..].copy_from_slice(&to);
        }
    }

    /// Sets bits of an IP packet's type of service.
    pub(super) fn set_tos(&mut self, bits: u8, v: u8) {
        if self.is_ip() {
            self.wc.key.nw_proto = u8::MAX;
            self.wc.key.nw_tos |= bits;
            let tos = &mut self.flow.key.nw_tos;
            *tos = *tos & !bits | v & bits;
        }
    }

    /// Sets an IP packet's time to live.
    pub(super) fn set_ttl(&mut self, ttl: u8) {
        if self.is_ip() {
            self.wc.key.nw_proto = u8::MAX;
            self.wc.key.nw_ttl = u8::MAX;
            self.flow.key.nw_ttl = ttl;
        }
    }

    /// Decrements an IP packet's time to live.
    pub(super) fn dec_ttl(&mut self) -> Ttl {
        if !self.is_ip() {
            return Ttl::NotIp;
        }
        self.wc.key.nw_ttl = u8::MAX;
        self.wc.key.nw_proto = u8::MAX;
        if self.flow.key.nw_ttl <= 1 {
            return Ttl::Expired;
        }
        self.flow.key.nw_ttl -= 1;
        Ttl::Decremented
    }

    /// Sets a transport port, where there is one.
    pub(super) fn set_port(&mut self, at: fn(&mut FlowKey) -> &mut u16, to: u16) {
        if self.has_ports() {
            self.wc.key.nw_proto = u8::MAX;
            *at(&mut self.wc.key) = u16::MAX;
            *at(&mut self.flow.key) = to;
        }
    }

    /// Sets the tunnel's identity.
    pub(super) fn set_tunnel_id(&mut self, id: u64) {
        self.flow.tun_id = id;
    }

    /// Sets bits of the metadata.
    pub(super) fn set_metadata(&mut self, value: u64, mask: u64) {
        self.flow.metadata = self.flow.metadata & !mask | value & mask;
    }

    /// Sets the output port that the action set has.
    pub(super) fn set_actset_output(&mut self, port: OfPort) {
        self.flow.actset_output = port;
    }

    /// Depends on the queue that the packet is in.
    pub(super) fn look_at_queue(&mut self) {
        self.wc.key.skb_priority = u32::MAX;
    }

    /// Puts the packet into a queue: its number is the priority in a userspace datapath. Returns
    /// the one before.
    pub(super) fn set_queue(&mut self, queue: u32) -> u32 {
        self.look_at_queue();
        std::mem::replace(&mut self.flow.key.skb_priority, queue)
    }

    // --- the result ---

    /// The wildcards without what a packet cannot have and with what a field implies.
    fn tidy_mask(&self) -> Fields {
        let mut wc = self.wc;
        let k = &mut wc.key;
        if self.orig.nw_frag & FRAG_LATER != 0 {
            (k.tp_src, k.tp_dst) = (0, 0);
        }
        let icmp = match self.orig.eth_type {
            EtherType::IPV4 => self.orig.nw_proto == ip::ICMP,
            EtherType::IPV6 => self.orig.nw_proto == ip::ICMPV6,
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

    /// The bits that the translation depends on. A field that the packet does not have counts with
    /// its absence.
    pub(super) fn needed_mask(&self) -> FlowMask {
        let mut m = FlowMask::from_key(self.tidy_mask().key);
        m.in_port = u32::MAX;
        for tag in &mut m.vlan {
            tag.tpid = if tag.tci == 0 { 0 } else { u16::MAX };
        }
        if self.vlan_limit < 2 && self.orig.vlan[0].is_present() {
            // Whether there is a tag under the first is what the packet's type depends on.
            m.vlan[1] = VlanTag { tpid: u16::MAX, tci: VlanTag::CFI };
        }
        m.pad = 0;
        m
    }

    /// The wildcards as `ofproto/trace` shows them: without fields that the packet does not have.
    pub(super) fn shown_mask(&self) -> Fields {
        let mut wc = self.tidy_mask();
        for (tag, had) in wc.key.vlan.iter_mut().zip(&self.orig.vlan) {
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
