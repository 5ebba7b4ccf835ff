//! Actions that change fields: what they look at, and what they write.

use openflow::field::Prereq;
use openflow::{Field, Subfield};
use wire::key::FRAG_LATER;
use wire::{EthAddr, EtherType, FlowKey, VlanTag, ip};

use crate::trace::NodeKind;

use super::context::Translator;

/// All bits of an address.
pub(super) const MAC: EthAddr = EthAddr::BROADCAST;
/// Priority in a TCI.
pub(super) const PCP: u16 = 0xe000;
/// In the octet of the type of service.
pub(super) const DSCP: u8 = 0xfc;
pub(super) const ECN: u8 = 0x03;

/// The fields that describe a tunnel.
pub(super) fn is_tunnel(field: Field) -> bool {
    matches!(
        field,
        Field::TunId
            | Field::TunSrc
            | Field::TunDst
            | Field::TunIpv6Src
            | Field::TunIpv6Dst
            | Field::TunFlags
            | Field::TunTtl
            | Field::TunTos
    )
}

/// The fields that are not in the packet's octets.
pub(super) fn is_metadata(field: Field) -> bool {
    is_tunnel(field)
        || matches!(
            field,
            Field::DpHash
                | Field::RecircId
                | Field::PacketType
                | Field::ConjId
                | Field::Metadata
                | Field::InPort
                | Field::InPortOxm
                | Field::ActsetOutput
                | Field::SkbPriority
                | Field::PktMark
                | Field::CtState
                | Field::CtZone
                | Field::CtMark
                | Field::CtLabel
                | Field::Reg(_)
                | Field::XReg(_)
                | Field::XxReg(_)
        )
}

impl Translator<'_> {
    /// Whether the packet has an L4 header that can have ports.
    pub(super) fn has_ports(&self) -> bool {
        self.is_ip() && self.flow.key.nw_frag & FRAG_LATER == 0
    }

    /// Whether the packet has `field`; looks at what tells so.
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

    /// Looks at bits of `field`.
    fn look(&mut self, field: Field, mask: u128) {
        let seen = self.wc.get(field);
        match field {
            // As a mask these hold 16 bits, whatever the width of the field's number.
            Field::InPort | Field::InPortOxm => self.wc.in_port.0 = u16::MAX,
            Field::ActsetOutput => self.wc.actset_output.0 = u16::MAX,
            // The text-only forms say "a tag is present" themselves; a mask does not.
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

    /// Looks at a part of a field.
    pub(super) fn look_at(&mut self, s: Subfield) {
        self.look(s.field, s.mask());
    }

    /// To know whether a packet really has an L3 header, its protocol is looked at.
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

    pub(super) fn set_field(&mut self, field: Field, value: u128, mask: u128) {
        if !self.has(field) {
            let name = field.info().name;
            let text = format!("unmet prerequisites for {name}, set_field ignored");
            self.note(NodeKind::Warning, text);
            return;
        }
        self.look_at_l3(field);
        if !is_tunnel(field) {
            self.look(field, mask);
        }
        let old = self.flow.get(field);
        self.flow.set(field, old & !mask | value & mask);
        self.fix_vlan();
    }

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
        self.tell_subfield(dst);
    }

    pub(super) fn set_ipv4(&mut self, at: fn(&mut FlowKey) -> &mut [u8; 16], to: [u8; 4]) {
        if self.flow.key.eth_type == EtherType::IPV4 {
            at(&mut self.wc.key)[12..].fill(0xff);
            self.wc.key.nw_proto = u8::MAX;
            at(&mut self.flow.key)[12..].copy_from_slice(&to);
        }
    }

    pub(super) fn set_tos(&mut self, bits: u8, v: u8) {
        if self.is_ip() {
            self.wc.key.nw_proto = u8::MAX;
            self.wc.key.nw_tos |= bits;
            let tos = &mut self.flow.key.nw_tos;
            *tos = *tos & !bits | v & bits;
        }
    }

    pub(super) fn set_port(&mut self, at: fn(&mut FlowKey) -> &mut u16, to: u16) {
        if self.has_ports() {
            self.wc.key.nw_proto = u8::MAX;
            *at(&mut self.wc.key) = u16::MAX;
            *at(&mut self.flow.key) = to;
        }
    }
}
