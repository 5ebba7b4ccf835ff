//! The value of every field.

use wire::{EthAddr, FlowKey, VlanTag};

use super::id::Field;
use crate::ofport::OfPort;

/// EtherTypes of MPLS (RFC 5332).
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;

/// The fields of a packet as OpenFlow sees it: those of the datapath's key, and those that only
/// exist while the packet is in the pipeline. As a mask it has bits set where a match looks.
///
/// `key.in_port` is not used here, since OpenFlow's port numbers differ from the datapath's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fields {
    /// The fields that the datapath extracts.
    pub key: FlowKey,
    /// The OpenFlow port that the packet was received on.
    pub in_port: OfPort,
    /// Where the action set's output action would send to.
    pub actset_output: OfPort,
    /// Name space (16 bits) and type within it; 0 is Ethernet.
    pub packet_type: u32,
    /// Metadata that tables pass on (`OXM_OF_METADATA`).
    pub metadata: u64,
    /// Registers (`NXM_NX_REG0` and so on).
    pub regs: [u32; 32],
    /// The conjunction that matched.
    pub conj_id: u32,
    /// Tunnel key.
    pub tun_id: u64,
    /// IPv4 source address of the tunnel.
    pub tun_src: u32,
    /// IPv4 destination address of the tunnel.
    pub tun_dst: u32,
    /// IPv6 source address of the tunnel.
    pub tun_ipv6_src: u128,
    /// IPv6 destination address of the tunnel.
    pub tun_ipv6_dst: u128,
    /// Bit 0: OAM.
    pub tun_flags: u16,
    /// Time to live of the tunnel's IP header.
    pub tun_ttl: u8,
    /// Type of service of the tunnel's IP header.
    pub tun_tos: u8,
    /// Eight flags.
    pub ct_state: u32,
    /// Connection tracking zone.
    pub ct_zone: u16,
    /// Connection tracking mark.
    pub ct_mark: u32,
    /// Connection tracking label.
    pub ct_label: u128,
    /// MPLS label stack entries, outermost first.
    pub mpls: [u32; 3],
}

fn v6(v: u128) -> [u8; 16] {
    v.to_be_bytes()
}

/// The bits of `old` outside `mask`, and `v` in it.
fn put<T>(old: T, mask: T, v: T) -> T
where
    T: Copy
        + std::ops::BitAnd<Output = T>
        + std::ops::Not<Output = T>
        + std::ops::BitOr<Output = T>,
{
    (old & !mask) | (v & mask)
}

impl Fields {
    /// The type of what the packet carries: the packet type's for one without Ethernet header.
    pub fn dl_type(&self) -> u16 {
        match self.packet_type >> 16 {
            1 => self.packet_type as u16,
            _ => self.key.eth_type,
        }
    }

    /// Whether the Ethernet type is MPLS (RFC 5332).
    pub fn is_mpls(&self) -> bool {
        matches!(self.dl_type(), MPLS | MPLS_MULTICAST)
    }

    /// The value of `field`, in the lowest bits of the result. A register that does not exist
    /// is 0.
    pub fn get(&self, field: Field) -> u128 {
        let k = &self.key;
        let reg = |n: usize| u128::from(self.regs.get(n).copied().unwrap_or(0));
        let tci = k.vlan[0].tci;
        let pcp = tci >> VlanTag::PCP_SHIFT;
        let (src, dst) = (u128::from_be_bytes(k.nw_src), u128::from_be_bytes(k.nw_dst));
        let low32 = 0xffff_ffff;
        match field {
            Field::DpHash => k.dp_hash.into(),
            Field::RecircId => k.recirc_id.into(),
            Field::PacketType => self.packet_type.into(),
            Field::ConjId => self.conj_id.into(),
            Field::TunId => self.tun_id.into(),
            Field::TunSrc => self.tun_src.into(),
            Field::TunDst => self.tun_dst.into(),
            Field::TunIpv6Src => self.tun_ipv6_src,
            Field::TunIpv6Dst => self.tun_ipv6_dst,
            Field::TunFlags => self.tun_flags.into(),
            Field::TunTtl => self.tun_ttl.into(),
            Field::TunTos => self.tun_tos.into(),
            Field::Metadata => self.metadata.into(),
            Field::InPort => self.in_port.0.into(),
            Field::InPortOxm => self.in_port.to_wire32().into(),
            Field::ActsetOutput => self.actset_output.to_wire32().into(),
            Field::SkbPriority => k.skb_priority.into(),
            Field::PktMark => k.pkt_mark.into(),
            Field::CtState => self.ct_state.into(),
            Field::CtZone => self.ct_zone.into(),
            Field::CtMark => self.ct_mark.into(),
            Field::CtLabel => self.ct_label,
            Field::Reg(n) => reg(n.into()),
            Field::XReg(n) => {
                let n = usize::from(n) * 2;
                reg(n) << 32 | reg(n + 1)
            }
            Field::XxReg(n) => {
                let n = usize::from(n) * 4;
                reg(n) << 96 | reg(n + 1) << 64 | reg(n + 2) << 32 | reg(n + 3)
            }
            Field::EthSrc => k.eth_src.to_u64().into(),
            Field::EthDst => k.eth_dst.to_u64().into(),
            Field::EthType => k.eth_type.into(),
            Field::VlanTci => tci.into(),
            Field::DlVlan => (tci & VlanTag::VID_MASK).into(),
            Field::DlVlanPcp | Field::VlanPcp => pcp.into(),
            Field::VlanVid => (tci & (VlanTag::VID_MASK | VlanTag::CFI)).into(),
            Field::MplsLabel => (self.mpls[0] >> 12).into(),
            Field::MplsTc => (self.mpls[0] >> 9 & 7).into(),
            Field::MplsBos => (self.mpls[0] >> 8 & 1).into(),
            Field::MplsTtl => (self.mpls[0] & 0xff).into(),
            Field::Ipv4Src | Field::ArpSpa => src & low32,
            Field::Ipv4Dst | Field::ArpTpa => dst & low32,
            Field::Ipv6Src => src,
            Field::Ipv6Dst => dst,
            Field::Ipv6Label => k.ipv6_label.into(),
            Field::IpProto | Field::ArpOp => k.nw_proto.into(),
            Field::IpDscp => (k.nw_tos & 0xfc).into(),
            Field::IpDscpShifted => (k.nw_tos >> 2).into(),
            Field::IpEcn => (k.nw_tos & 3).into(),
            Field::IpTtl => k.nw_ttl.into(),
            Field::IpFrag => k.nw_frag.into(),
            Field::ArpSha | Field::NdSll => k.arp_sha.to_u64().into(),
            Field::ArpTha | Field::NdTll => k.arp_tha.to_u64().into(),
            Field::TcpSrc | Field::UdpSrc | Field::SctpSrc => k.tp_src.into(),
            Field::TcpDst | Field::UdpDst | Field::SctpDst => k.tp_dst.into(),
            Field::TcpFlags => k.tcp_flags.into(),
            Field::Icmpv4Type | Field::Icmpv6Type => (k.tp_src & 0xff).into(),
            Field::Icmpv4Code | Field::Icmpv6Code => (k.tp_dst & 0xff).into(),
            Field::NdTarget => u128::from_be_bytes(k.nd_target),
        }
    }

    /// Sets `field`; bits beyond its width are dropped. Setting a VLAN field of a packet without
    /// a tag makes it one with a tag, except [`Field::VlanTci`] and [`Field::VlanVid`], whose
    /// value says so itself.
    pub fn set(&mut self, field: Field, v: u128) {
        let k = &mut self.key;
        let (v8, v16, v32, v64) = (v as u8, v as u16, v as u32, v as u64);
        let low = |old: [u8; 16]| v6(put(u128::from_be_bytes(old), 0xffff_ffff, v));
        match field {
            Field::DpHash => k.dp_hash = v32,
            Field::RecircId => k.recirc_id = v32,
            Field::PacketType => self.packet_type = v32,
            Field::ConjId => self.conj_id = v32,
            Field::TunId => self.tun_id = v64,
            Field::TunSrc => self.tun_src = v32,
            Field::TunDst => self.tun_dst = v32,
            Field::TunIpv6Src => self.tun_ipv6_src = v,
            Field::TunIpv6Dst => self.tun_ipv6_dst = v,
            Field::TunFlags => self.tun_flags = v16 & 1,
            Field::TunTtl => self.tun_ttl = v8,
            Field::TunTos => self.tun_tos = v8,
            Field::Metadata => self.metadata = v64,
            Field::InPort => self.in_port = OfPort(v16),
            // A port beyond the range never gets here: values are checked before.
            Field::InPortOxm => self.in_port = OfPort::from_wire32(v32).unwrap_or(OfPort::NONE),
            Field::ActsetOutput => {
                self.actset_output = OfPort::from_wire32(v32).unwrap_or(OfPort::NONE);
            }
            Field::SkbPriority => k.skb_priority = v32,
            Field::PktMark => k.pkt_mark = v32,
            Field::CtState => self.ct_state = v32 & 0xff,
            Field::CtZone => self.ct_zone = v16,
            Field::CtMark => self.ct_mark = v32,
            Field::CtLabel => self.ct_label = v,
            Field::Reg(n) => self.set_regs(usize::from(n), &[v32]),
            Field::XReg(n) => self.set_regs(usize::from(n) * 2, &[(v >> 32) as u32, v32]),
            Field::XxReg(n) => {
                let parts = [(v >> 96) as u32, (v >> 64) as u32, (v >> 32) as u32, v32];
                self.set_regs(usize::from(n) * 4, &parts);
            }
            Field::EthSrc => k.eth_src = EthAddr::from_u64(v64),
            Field::EthDst => k.eth_dst = EthAddr::from_u64(v64),
            Field::EthType => k.eth_type = v16,
            Field::VlanTci => k.vlan[0].tci = v16,
            Field::DlVlan => {
                let tci = put(k.vlan[0].tci, VlanTag::VID_MASK, v16);
                k.vlan[0].tci = if v16 == 0xffff { 0 } else { tci | VlanTag::CFI };
            }
            Field::VlanVid => {
                let bits = VlanTag::VID_MASK | VlanTag::CFI;
                k.vlan[0].tci = put(k.vlan[0].tci, bits, v16);
            }
            Field::DlVlanPcp | Field::VlanPcp => {
                let tci = put(k.vlan[0].tci, 0xe000, v16 << VlanTag::PCP_SHIFT);
                k.vlan[0].tci = tci | VlanTag::CFI;
            }
            Field::MplsLabel => self.mpls[0] = put(self.mpls[0], 0xffff_f000, v32 << 12),
            Field::MplsTc => self.mpls[0] = put(self.mpls[0], 0xe00, v32 << 9),
            Field::MplsBos => self.mpls[0] = put(self.mpls[0], 0x100, v32 << 8),
            Field::MplsTtl => self.mpls[0] = put(self.mpls[0], 0xff, v32),
            Field::Ipv4Src | Field::ArpSpa => k.nw_src = low(k.nw_src),
            Field::Ipv4Dst | Field::ArpTpa => k.nw_dst = low(k.nw_dst),
            Field::Ipv6Src => k.nw_src = v6(v),
            Field::Ipv6Dst => k.nw_dst = v6(v),
            Field::Ipv6Label => k.ipv6_label = v32 & 0x000f_ffff,
            Field::IpProto | Field::ArpOp => k.nw_proto = v8,
            Field::IpDscp => k.nw_tos = put(k.nw_tos, 0xfc, v8),
            Field::IpDscpShifted => k.nw_tos = put(k.nw_tos, 0xfc, v8 << 2),
            Field::IpEcn => k.nw_tos = put(k.nw_tos, 3, v8),
            Field::IpTtl => k.nw_ttl = v8,
            Field::IpFrag => k.nw_frag = v8 & 3,
            Field::ArpSha | Field::NdSll => k.arp_sha = EthAddr::from_u64(v64),
            Field::ArpTha | Field::NdTll => k.arp_tha = EthAddr::from_u64(v64),
            Field::TcpSrc | Field::UdpSrc | Field::SctpSrc => k.tp_src = v16,
            Field::TcpDst | Field::UdpDst | Field::SctpDst => k.tp_dst = v16,
            Field::TcpFlags => k.tcp_flags = v16 & 0x0fff,
            Field::Icmpv4Type | Field::Icmpv6Type => k.tp_src = v8.into(),
            Field::Icmpv4Code | Field::Icmpv6Code => k.tp_dst = v8.into(),
            Field::NdTarget => k.nd_target = v6(v),
        }
    }

    fn set_regs(&mut self, first: usize, values: &[u32]) {
        for (reg, v) in self.regs.iter_mut().skip(first).zip(values) {
            *reg = *v;
        }
    }

    /// Each field of `self` and `other` joined by `op`, bit for bit.
    pub fn zip(&self, other: &Fields, op: impl Fn(u64, u64) -> u64) -> Fields {
        let narrow = |a: u64, b: u64| op(a, b);
        let wide = |a: u128, b: u128| {
            let high = op((a >> 64) as u64, (b >> 64) as u64);
            u128::from(high) << 64 | u128::from(op(a as u64, b as u64))
        };
        let mut key = self.key;
        for (a, b) in key.words_mut().iter_mut().zip(other.key.words()) {
            *a = op(*a, *b);
        }
        let n32 = |a: u32, b: u32| narrow(a.into(), b.into()) as u32;
        let n16 = |a: u16, b: u16| narrow(a.into(), b.into()) as u16;
        let n8 = |a: u8, b: u8| narrow(a.into(), b.into()) as u8;
        let (a, b) = (self, other);
        Fields {
            key,
            in_port: OfPort(n16(a.in_port.0, b.in_port.0)),
            actset_output: OfPort(n16(a.actset_output.0, b.actset_output.0)),
            packet_type: n32(a.packet_type, b.packet_type),
            metadata: narrow(a.metadata, b.metadata),
            regs: std::array::from_fn(|i| n32(a.regs[i], b.regs[i])),
            conj_id: n32(a.conj_id, b.conj_id),
            tun_id: narrow(a.tun_id, b.tun_id),
            tun_src: n32(a.tun_src, b.tun_src),
            tun_dst: n32(a.tun_dst, b.tun_dst),
            tun_ipv6_src: wide(a.tun_ipv6_src, b.tun_ipv6_src),
            tun_ipv6_dst: wide(a.tun_ipv6_dst, b.tun_ipv6_dst),
            tun_flags: n16(a.tun_flags, b.tun_flags),
            tun_ttl: n8(a.tun_ttl, b.tun_ttl),
            tun_tos: n8(a.tun_tos, b.tun_tos),
            ct_state: n32(a.ct_state, b.ct_state),
            ct_zone: n16(a.ct_zone, b.ct_zone),
            ct_mark: n32(a.ct_mark, b.ct_mark),
            ct_label: wide(a.ct_label, b.ct_label),
            mpls: std::array::from_fn(|i| n32(a.mpls[i], b.mpls[i])),
        }
    }

    /// With the bits outside `mask` cleared.
    pub fn masked(&self, mask: &Fields) -> Fields {
        self.zip(mask, |a, b| a & b)
    }
}
