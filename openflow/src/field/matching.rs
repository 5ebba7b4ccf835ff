//! A match: values, and where to look at them.

use wire::{EtherType, VlanTag, ip};

use super::fields::Fields;
use super::id::Field;

/// A value and a mask. A bit of the value is zero where the mask is; the default matches every
/// packet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Match {
    /// The values; zero where the mask is.
    pub value: Fields,
    /// The bits that must agree.
    pub mask: Fields,
}

impl Match {
    /// Looks at the whole of `field`. A field that belongs to a packet's headers also makes the
    /// match look for Ethernet packets only, as upstream does.
    pub fn set(&mut self, field: Field, value: u128) {
        self.set_masked(field, value, field.ones());
    }

    /// Looks at the bits of `field` that are set in `mask`; a mask of zero looks away.
    pub fn set_masked(&mut self, field: Field, value: u128, mask: u128) {
        let mask = mask & field.ones();
        let whole = mask == field.ones();
        let tci = &mut self.mask.key.vlan[0].tci;
        match field {
            // The text-only VLAN fields imply that there is a tag, or that there is none.
            Field::DlVlan if whole && value == 0xffff => {
                *tci = 0xffff;
                self.value.key.vlan[0].tci = 0;
            }
            Field::DlVlan if whole => {
                *tci |= VlanTag::VID_MASK | VlanTag::CFI;
                self.value.set(field, value);
            }
            Field::DlVlanPcp | Field::VlanPcp if whole => {
                *tci |= 0xe000 | VlanTag::CFI;
                self.value.set(field, value);
            }
            Field::DlVlan if *tci & 0xe000 == 0 => {
                *tci = 0;
                self.value.key.vlan[0].tci = 0;
            }
            Field::DlVlan => {
                *tci &= !VlanTag::VID_MASK;
                self.value.key.vlan[0].tci &= *tci;
            }
            Field::DlVlanPcp | Field::VlanPcp => {
                *tci &= !0xe000;
                if *tci & VlanTag::VID_MASK == 0 {
                    *tci = 0;
                }
                self.value.key.vlan[0].tci &= *tci;
            }
            Field::InPort | Field::InPortOxm => {
                self.mask.in_port.0 = if mask == 0 { 0 } else { 0xffff };
                self.value.set(field, value & mask);
            }
            Field::ActsetOutput => {
                self.mask.actset_output.0 = if mask == 0 { 0 } else { 0xffff };
                self.value.set(field, value & mask);
            }
            // Type and code are octets that stand in 16-bit fields.
            Field::Icmpv4Type | Field::Icmpv6Type => {
                self.mask.key.tp_src = if whole { 0xffff } else { 0 };
                self.value.set(field, value & mask);
            }
            Field::Icmpv4Code | Field::Icmpv6Code => {
                self.mask.key.tp_dst = if whole { 0xffff } else { 0 };
                self.value.set(field, value & mask);
            }
            _ => {
                self.mask.set(field, mask);
                self.value.set(field, value & mask);
            }
        }
        if field.info().prereq != super::Prereq::None && mask != 0 {
            self.set_ethernet();
        }
    }

    /// Looks for packets with an Ethernet header, unless it already looks at the packet type.
    pub fn set_ethernet(&mut self) {
        if self.mask.packet_type == 0 {
            self.mask.packet_type = u32::MAX;
            self.value.packet_type = 0;
        }
    }

    /// The value and mask of `field`.
    pub fn get(&self, field: Field) -> (u128, u128) {
        let mask = match field {
            Field::InPortOxm if self.mask.in_port.0 != 0 => field.ones(),
            Field::ActsetOutput if self.mask.actset_output.0 != 0 => field.ones(),
            // Of its 16 bits only the lower eight are stored.
            Field::ArpOp if self.mask.key.nw_proto == 0xff => field.ones(),
            // The same of its 32.
            Field::CtState if self.mask.ct_state == 0xff => field.ones(),
            _ => self.mask.get(field),
        };
        (self.value.get(field), mask)
    }

    /// Whether it looks at no bit of `field`.
    pub fn is_wild(&self, field: Field) -> bool {
        match field {
            // These see the presence bit only as part of what they are themselves.
            Field::DlVlan => self.mask.key.vlan[0].tci & (VlanTag::VID_MASK | VlanTag::CFI) == 0,
            _ => self.get(field).1 == 0,
        }
    }

    /// Whether `f` agrees with it.
    pub fn matches(&self, f: &Fields) -> bool {
        f.masked(&self.mask) == self.value
    }

    /// Whether every packet that `self` matches also matches `other` with its prerequisites:
    /// `self` is at least as narrow, as a loose modify or delete needs it.
    pub fn is_narrower(&self, other: &Match) -> bool {
        self.mask.masked(&other.mask) == other.mask && other.matches(&self.value)
    }

    /// Whether there can be a packet that both match.
    pub fn overlaps(&self, other: &Match) -> bool {
        let both = self.mask.masked(&other.mask);
        self.value.masked(&both) == other.value.masked(&both)
    }

    /// Looks away from every field whose prerequisites the match does not assure, which is what
    /// OpenFlow 1.0 wants of a switch. True if that changed it.
    pub fn normalize(&mut self) -> bool {
        let before = *self;
        let v = &self.value.key;
        let (ethernet, typ) = match self.value.packet_type >> 16 {
            _ if self.mask.packet_type == 0 => (true, v.eth_type),
            0 if self.value.packet_type == 0 => (true, v.eth_type),
            1 if self.mask.packet_type == u32::MAX => (false, self.value.packet_type as u16),
            _ => (false, 0),
        };
        let ipv4 = typ == EtherType::IPV4;
        let ipv6 = typ == EtherType::IPV6;
        let arp = matches!(typ, EtherType::ARP | EtherType::RARP);
        let icmpv6 = ipv6 && v.nw_proto == ip::ICMPV6;
        let ports = (ipv4 || ipv6) && matches!(v.nw_proto, ip::TCP | ip::UDP | ip::SCTP)
            || (ipv4 && v.nw_proto == ip::ICMP)
            || icmpv6;
        let (solicit, advert) = (icmpv6 && v.tp_src == 135, icmpv6 && v.tp_src == 136);
        let mpls = self.value.is_mpls();

        let m = &mut self.mask.key;
        if !ethernet {
            m.eth_src = wire::EthAddr::ZERO;
            m.eth_dst = wire::EthAddr::ZERO;
        }
        if !(ipv4 || ipv6 || arp) {
            m.nw_src = [0; 16];
            m.nw_dst = [0; 16];
            m.nw_proto = 0;
        }
        if !ports {
            m.tp_src = 0;
            m.tp_dst = 0;
        }
        if !(ipv4 || ipv6) {
            m.nw_tos = 0;
            m.nw_ttl = 0;
        }
        if !(arp || solicit) {
            m.arp_sha = wire::EthAddr::ZERO;
        }
        if !(arp || advert) {
            m.arp_tha = wire::EthAddr::ZERO;
        }
        if !ipv6 {
            m.ipv6_label = 0;
        }
        if !(solicit || advert) {
            m.nd_target = [0; 16];
        }
        if !mpls {
            self.mask.mpls = [0; 3];
        }
        self.value = self.value.masked(&self.mask);
        *self != before
    }
}

/// Only the fields that it looks at.
impl std::fmt::Debug for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for field in Field::all() {
            let (value, mask) = self.get(field);
            if mask != 0 {
                map.entry(&field, &format_args!("{value:#x}/{mask:#x}"));
            }
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OfPort;

    #[test]
    fn vlan_fields_set_tci_and_its_mask() {
        let mut m = Match::default();
        m.set(Field::DlVlan, 9);
        assert_eq!((m.value.key.vlan[0].tci, m.mask.key.vlan[0].tci), (0x1009, 0x1fff));
        m.set(Field::DlVlanPcp, 3);
        assert_eq!((m.value.key.vlan[0].tci, m.mask.key.vlan[0].tci), (0x7009, 0xffff));
        let mut m = Match::default();
        m.set(Field::DlVlan, 0xffff);
        assert_eq!((m.value.key.vlan[0].tci, m.mask.key.vlan[0].tci), (0, 0xffff));
        let mut m = Match::default();
        m.set_masked(Field::VlanVid, 0x1000, 0x1000);
        assert_eq!((m.value.key.vlan[0].tci, m.mask.key.vlan[0].tci), (0x1000, 0x1000));
        assert!(m.is_wild(Field::VlanPcp));
    }

    #[test]
    fn match_contains_and_overlaps_as_its_bits_say() {
        let mut wide = Match::default();
        wide.set_masked(Field::Ipv4Src, 0x0a00_0000, 0xff00_0000);
        let mut narrow = wide;
        narrow.set(Field::Ipv4Src, 0x0a01_0203);
        narrow.set(Field::InPort, 3);
        assert!(narrow.is_narrower(&wide));
        assert!(!wide.is_narrower(&narrow));
        assert!(narrow.overlaps(&wide));
        let mut other = Match::default();
        other.set(Field::Ipv4Src, 0x0b01_0203);
        assert!(!other.overlaps(&wide));
        let f = Fields { in_port: OfPort(3), ..narrow.value };
        assert!(narrow.matches(&f));
        assert!(!narrow.matches(&Fields { in_port: OfPort(4), ..f }));
    }

    #[test]
    fn normalize_drops_fields_without_prerequisite() {
        let mut m = Match::default();
        m.set(Field::TcpSrc, 80);
        m.set(Field::Ipv4Src, 1);
        m.set(Field::EthSrc, 5);
        assert!(m.normalize());
        assert!(m.is_wild(Field::TcpSrc) && m.is_wild(Field::Ipv4Src));
        assert!(!m.is_wild(Field::EthSrc));
        m.set(Field::EthType, 0x800);
        m.set(Field::IpProto, 6);
        m.set(Field::TcpSrc, 80);
        assert!(!m.normalize());
    }
}
