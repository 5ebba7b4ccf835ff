//! The fixed matches of OpenFlow 1.0 (40 octets) and 1.1 (88 octets).

use wire::{EthAddr, EtherType, VlanTag, ip};

use super::buf::{Reader, Writer};
use super::nxm::{self, Mode};
use crate::error::OfError;
use crate::field::{Field, Match};
use crate::ofport::OfPort;
use crate::version::Version;

const LEN11: usize = 88;

/// `OFPFW10_*`.
mod fw10 {
    pub(super) const IN_PORT: u32 = 1;
    pub(super) const DL_VLAN: u32 = 1 << 1;
    pub(super) const DL_SRC: u32 = 1 << 2;
    pub(super) const DL_DST: u32 = 1 << 3;
    pub(super) const DL_TYPE: u32 = 1 << 4;
    pub(super) const NW_PROTO: u32 = 1 << 5;
    pub(super) const TP_SRC: u32 = 1 << 6;
    pub(super) const TP_DST: u32 = 1 << 7;
    pub(super) const NW_SRC_SHIFT: u32 = 8;
    pub(super) const NW_DST_SHIFT: u32 = 14;
    pub(super) const DL_VLAN_PCP: u32 = 1 << 20;
    pub(super) const NW_TOS: u32 = 1 << 21;
    pub(super) const ALL: u32 = (1 << 22) - 1;
}

/// In `dl_vlan`: no tag.
const VLAN_NONE10: u16 = 0xffff;
const VLAN_NONE11: u16 = 0xffff;
const VLAN_ANY11: u16 = 0xfffe;

/// The number of low bits that do not count, to a mask.
fn wildcard_bits(n: u32) -> u32 {
    u32::MAX.checked_shl(n & 0x3f).unwrap_or(0)
}

fn netmask_bits(mask: u32) -> u32 {
    if mask == 0 { 32 } else { mask.trailing_zeros() }
}

/// "No Ethernet type" has the same number on the wire and in a key: 0x05ff.
fn mac(r: &mut Reader<'_>) -> Result<u128, OfError> {
    Ok(EthAddr(r.array()?).to_u64().into())
}

/// Reads an `ofp10_match`; with it, whether it wildcards anything.
pub(crate) fn pull10(r: &mut Reader<'_>) -> Result<(Match, bool), OfError> {
    let w = r.u32()? & fw10::ALL;
    let on = |bit: u32| w & bit == 0;
    let mut m = Match::default();
    let in_port = r.u16()?;
    if on(fw10::IN_PORT) {
        m.set(Field::InPort, in_port.into());
    }
    let (src, dst) = (mac(r)?, mac(r)?);
    let (vlan, pcp) = (r.u16()?, r.u8()?);
    r.skip(1)?;
    let dl_type = r.u16()?;
    let (tos, proto) = (r.u8()?, r.u8()?);
    r.skip(2)?;
    let (nw_src, nw_dst) = (r.u32()?, r.u32()?);
    let (tp_src, tp_dst) = (r.u16()?, r.u16()?);

    for (bit, field, value) in [
        (fw10::DL_SRC, Field::EthSrc, src),
        (fw10::DL_DST, Field::EthDst, dst),
        (fw10::DL_TYPE, Field::EthType, dl_type.into()),
        (fw10::NW_TOS, Field::IpDscp, (tos & 0xfc).into()),
        (fw10::NW_PROTO, Field::IpProto, proto.into()),
        (fw10::TP_SRC, Field::TcpSrc, tp_src.into()),
        (fw10::TP_DST, Field::TcpDst, tp_dst.into()),
    ] {
        if on(bit) {
            m.set(field, value);
        }
    }
    for (shift, field, value) in
        [(fw10::NW_SRC_SHIFT, Field::Ipv4Src, nw_src), (fw10::NW_DST_SHIFT, Field::Ipv4Dst, nw_dst)]
    {
        let mask = wildcard_bits(w >> shift);
        // These are IPv4's; where the match is for IPv6 they say nothing.
        let v6 = on(fw10::DL_TYPE) && dl_type == EtherType::IPV6;
        if mask != 0 && !v6 {
            m.set_masked(field, (value & mask).into(), mask.into());
        }
    }
    if on(fw10::DL_VLAN) && vlan == VLAN_NONE10 {
        m.set(Field::DlVlan, 0xffff);
    } else {
        if on(fw10::DL_VLAN) {
            m.set(Field::DlVlan, (vlan & VlanTag::VID_MASK).into());
        }
        if on(fw10::DL_VLAN_PCP) {
            m.set(Field::DlVlanPcp, (pcp & 7).into());
        }
    }
    Ok((m, w != 0))
}

/// Writes an `ofp10_match`: as much of the match as it can say.
pub(crate) fn put10(w: &mut Writer, m: &Match) {
    let (v, k) = (&m.value.key, &m.mask.key);
    let mut wild = 0;
    let mut bit = |set: bool, bit: u32| wild |= if set { 0 } else { bit };
    bit(m.mask.in_port.0 != 0, fw10::IN_PORT);
    bit(!k.eth_src.is_zero(), fw10::DL_SRC);
    bit(!k.eth_dst.is_zero(), fw10::DL_DST);
    bit(k.eth_type != 0, fw10::DL_TYPE);
    bit(k.nw_tos & 0xfc != 0, fw10::NW_TOS);
    bit(k.nw_proto != 0, fw10::NW_PROTO);
    bit(k.tp_src != 0, fw10::TP_SRC);
    bit(k.tp_dst != 0, fw10::TP_DST);
    let (tci, tci_mask) = (v.vlan[0].tci, k.vlan[0].tci);
    let (mut vlan, mut pcp) = (0, 0);
    if tci_mask & VlanTag::CFI != 0 && tci & VlanTag::CFI == 0 {
        vlan = VLAN_NONE10;
    } else {
        bit(tci_mask & VlanTag::VID_MASK != 0, fw10::DL_VLAN);
        bit(tci_mask & 0xe000 != 0, fw10::DL_VLAN_PCP);
        if tci_mask & VlanTag::VID_MASK != 0 {
            vlan = tci & VlanTag::VID_MASK;
        }
        if tci_mask & 0xe000 != 0 {
            pcp = (tci >> VlanTag::PCP_SHIFT) as u8;
        }
    }
    let is_v6 = m.value.dl_type() == EtherType::IPV6;
    let v4 = |f: Field| {
        let (value, mask) = m.get(f);
        if is_v6 { (0, 0) } else { (value as u32, mask as u32) }
    };
    let ((src, src_mask), (dst, dst_mask)) = (v4(Field::Ipv4Src), v4(Field::Ipv4Dst));
    wild |= netmask_bits(src_mask) << fw10::NW_SRC_SHIFT;
    wild |= netmask_bits(dst_mask) << fw10::NW_DST_SHIFT;

    w.u32(wild).u16(m.value.in_port.0).bytes(&v.eth_src.0).bytes(&v.eth_dst.0);
    w.u16(vlan).u8(pcp).zeros(1).u16(v.eth_type).u8(v.nw_tos & 0xfc).u8(v.nw_proto).zeros(2);
    w.u32(src).u32(dst).u16(v.tp_src).u16(v.tp_dst);
}

/// `OFPFW11_*`.
mod fw11 {
    pub(super) const IN_PORT: u32 = 1;
    pub(super) const DL_VLAN: u32 = 1 << 1;
    pub(super) const DL_VLAN_PCP: u32 = 1 << 2;
    pub(super) const DL_TYPE: u32 = 1 << 3;
    pub(super) const NW_TOS: u32 = 1 << 4;
    pub(super) const NW_PROTO: u32 = 1 << 5;
    pub(super) const TP_SRC: u32 = 1 << 6;
    pub(super) const TP_DST: u32 = 1 << 7;
    pub(super) const MPLS_LABEL: u32 = 1 << 8;
    pub(super) const MPLS_TC: u32 = 1 << 9;
}

/// Reads the match of version 1.1 (type 0, fixed) or later (type 1, OXM).
pub(crate) fn pull11(r: &mut Reader<'_>, mode: Mode) -> Result<Match, OfError> {
    let bad = OfError::BmcBadLen;
    let mut h = Reader::new(r.rest(), bad);
    let (typ, len) = (h.u16()?, usize::from(h.u16()?));
    match typ {
        0 => {
            if len != LEN11 {
                return Err(bad);
            }
            let mut s = r.sub(LEN11, bad).map_err(|_| bad)?;
            standard11(&mut s)
        }
        1 => nxm::pull_oxm(r, mode),
        _ => Err(OfError::BmcBadType),
    }
}

fn standard11(r: &mut Reader<'_>) -> Result<Match, OfError> {
    let mut m = Match::default();
    r.skip(4)?;
    let in_port = r.u32()?;
    let wild = r.u32()?;
    let on = |bit: u32| wild & bit == 0;
    if on(fw11::IN_PORT) {
        OfPort::from_wire32(in_port).map_err(|_| OfError::BmcBadValue)?;
        m.set(Field::InPortOxm, in_port.into());
    }
    let [src, src_mask, dst, dst_mask] = [mac(r)?, mac(r)?, mac(r)?, mac(r)?];
    for (field, value, wild) in [(Field::EthSrc, src, src_mask), (Field::EthDst, dst, dst_mask)] {
        let mask = !wild & field.ones();
        if mask != 0 {
            m.set_masked(field, value & mask, mask);
        }
    }
    let (vlan, pcp) = (r.u16()?, r.u8()?);
    r.skip(1)?;
    if on(fw11::DL_VLAN) {
        match vlan {
            VLAN_NONE11 => m.set(Field::DlVlan, 0xffff),
            VLAN_ANY11 => m.set_masked(Field::VlanVid, 0x1000, 0x1000),
            0..=0xfff => m.set(Field::DlVlan, vlan.into()),
            _ => return Err(OfError::BmcBadValue),
        }
        if vlan != VLAN_NONE11 && on(fw11::DL_VLAN_PCP) {
            if pcp > 7 {
                return Err(OfError::BmcBadValue);
            }
            m.set(Field::DlVlanPcp, pcp.into());
        }
    }
    let dl_type = r.u16()?;
    if on(fw11::DL_TYPE) {
        m.set(Field::EthType, dl_type.into());
    }
    let typ = m.value.key.eth_type;
    let ipv4 = typ == EtherType::IPV4;
    let arp = matches!(typ, EtherType::ARP | EtherType::RARP);
    let (tos, proto) = (r.u8()?, r.u8()?);
    if ipv4 && on(fw11::NW_TOS) {
        if tos & 3 != 0 {
            return Err(OfError::BmcBadValue);
        }
        m.set(Field::IpDscpShifted, (tos >> 2).into());
    }
    let [src, src_wild, dst, dst_wild] = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
    if ipv4 || arp {
        if on(fw11::NW_PROTO) {
            m.set(Field::IpProto, proto.into());
        }
        for (field, value, wild) in
            [(Field::Ipv4Src, src, src_wild), (Field::Ipv4Dst, dst, dst_wild)]
        {
            if wild != u32::MAX {
                m.set_masked(field, (value & !wild).into(), (!wild).into());
            }
        }
    }
    let ports = [r.u16()?, r.u16()?];
    if ipv4 {
        ports11(&mut m, ports, on(fw11::TP_SRC), on(fw11::TP_DST))?;
    }
    let (label, tc) = (r.u32()?, r.u8()?);
    r.skip(3)?;
    if m.value.is_mpls() {
        if on(fw11::MPLS_LABEL) {
            m.set(Field::MplsLabel, label.into());
        }
        if on(fw11::MPLS_TC) {
            m.set(Field::MplsTc, tc.into());
        }
    }
    let (metadata, wild) = (r.u64()?, r.u64()?);
    if wild != u64::MAX {
        m.set_masked(Field::Metadata, (metadata & !wild).into(), (!wild).into());
    }
    Ok(m)
}

fn ports11(m: &mut Match, ports: [u16; 2], src: bool, dst: bool) -> Result<(), OfError> {
    let (fields, limit) = match m.value.key.nw_proto {
        ip::TCP | ip::UDP | ip::SCTP => ([Field::TcpSrc, Field::TcpDst], u16::MAX),
        ip::ICMP => ([Field::Icmpv4Type, Field::Icmpv4Code], 0xff),
        _ => return Ok(()),
    };
    for ((field, value), on) in fields.into_iter().zip(ports).zip([src, dst]) {
        if on {
            if value > limit {
                return Err(OfError::BmcBadField);
            }
            m.set(field, value.into());
        }
    }
    Ok(())
}

/// Writes the match for 1.1 and later.
pub(crate) fn put11(w: &mut Writer, m: &Match, version: Version) {
    if version > Version::V11 {
        return nxm::put_oxm(w, m, version);
    }
    let (v, k) = (&m.value.key, &m.mask.key);
    let mut wild = 0;
    let mut bit = |set: bool, bit: u32| wild |= if set { 0 } else { bit };
    let (tci, tci_mask) = (v.vlan[0].tci, k.vlan[0].tci);
    let vlan = if tci_mask == 0 {
        bit(false, fw11::DL_VLAN | fw11::DL_VLAN_PCP);
        0
    } else if tci_mask & VlanTag::CFI != 0 && tci & VlanTag::CFI == 0 {
        bit(false, fw11::DL_VLAN_PCP);
        VLAN_NONE11
    } else {
        bit(tci_mask & 0xe000 != 0, fw11::DL_VLAN_PCP);
        if tci_mask & VlanTag::VID_MASK == 0 { VLAN_ANY11 } else { tci & VlanTag::VID_MASK }
    };
    let pcp = if tci_mask & 0xe000 != 0 { (tci >> VlanTag::PCP_SHIFT) as u8 } else { 0 };
    let has_port = m.mask.in_port.0 != 0;
    bit(has_port, fw11::IN_PORT);
    bit(k.eth_type != 0, fw11::DL_TYPE);
    bit(k.nw_tos & 0xfc != 0, fw11::NW_TOS);
    bit(k.nw_proto != 0, fw11::NW_PROTO);
    bit(k.tp_src != 0, fw11::TP_SRC);
    bit(k.tp_dst != 0, fw11::TP_DST);
    let (label, label_mask) = m.get(Field::MplsLabel);
    let (tc, tc_mask) = m.get(Field::MplsTc);
    bit(label_mask != 0, fw11::MPLS_LABEL);
    bit(tc_mask != 0, fw11::MPLS_TC);
    let is_v6 = m.value.dl_type() == EtherType::IPV6;
    let v4 = |f: Field| {
        let (value, mask) = m.get(f);
        if is_v6 { (0, 0) } else { (value as u32, mask as u32) }
    };
    let invert = |a: EthAddr| a.0.map(|o| !o);

    w.u16(0).u16(LEN11 as u16).u32(if has_port { m.value.in_port.to_wire32() } else { 0 });
    w.u32(wild).bytes(&v.eth_src.0).bytes(&invert(k.eth_src));
    w.bytes(&v.eth_dst.0).bytes(&invert(k.eth_dst));
    w.u16(vlan).u8(pcp).zeros(1).u16(v.eth_type).u8(v.nw_tos & 0xfc).u8(v.nw_proto);
    for f in [Field::Ipv4Src, Field::Ipv4Dst] {
        let (value, mask) = v4(f);
        w.u32(value).u32(!mask);
    }
    w.u16(v.tp_src).u16(v.tp_dst).u32(label as u32).u8(tc as u8).zeros(3);
    w.u64(m.value.metadata).u64(!m.mask.metadata);
}
