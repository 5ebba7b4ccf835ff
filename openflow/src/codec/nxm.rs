//! Matches as a row of type-length-value entries: Nicira's NXM and the standard's OXM.
//!
//! An entry is a header of 4 octets (class, field and mask bit, length), for class 0xffff 4 more
//! with a vendor's number, then the value and with the mask bit set a mask (OpenFlow 1.5 clause
//! 7.2.3.2).

use wire::{EtherType, VlanTag, ip};

use super::buf::{Reader, Writer};
use crate::error::OfError;
use crate::field::{Field, Header, Match, ones};
use crate::version::Version;

const EXPERIMENTER: u16 = 0xffff;

/// One entry's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv {
    class: u16,
    vendor: u32,
    number: u8,
    has_mask: bool,
    /// Octets of value and mask.
    payload: usize,
}

impl Tlv {
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Tlv, OfError> {
        let bad = OfError::BmcBadLen;
        let mut h = Reader::new(r.rest(), bad);
        let class = h.u16()?;
        let number = h.u8()?;
        let length = usize::from(h.u8()?);
        let mut used = 4;
        let mut vendor = 0;
        if class == EXPERIMENTER {
            vendor = h.u32()?;
            used = 8;
        }
        let payload = length.checked_sub(used - 4).ok_or(bad)?;
        r.skip(used).map_err(|_| bad)?;
        Ok(Tlv { class, vendor, number: number >> 1, has_mask: number & 1 != 0, payload })
    }

    /// Octets of the value.
    fn width(&self) -> usize {
        if self.has_mask { self.payload / 2 } else { self.payload }
    }

    /// The field it names, if such a field has that width.
    fn field(&self) -> Option<Field> {
        self.named().filter(|f| usize::from(f.info().bytes) == self.width())
    }

    fn named(&self) -> Option<Field> {
        Header::field(self.class, self.vendor, self.number)
    }

    /// Stands for a flow's cookie in NXM matches.
    fn is_cookie(&self) -> bool {
        (self.class, self.number, self.width()) == (1, 30, 8)
    }
}

/// An entry's value and mask as they were sent, right-aligned.
fn value_and_mask(tlv: &Tlv, r: &mut Reader<'_>) -> Result<(u128, Option<u128>), OfError> {
    let payload = r.take(tlv.payload).map_err(|_| OfError::BmcBadLen)?;
    let (value, mask) = payload.split_at(tlv.width());
    if tlv.has_mask && value.iter().zip(mask).any(|(v, m)| v & !m != 0) {
        return Err(OfError::BmcBadWildcards);
    }
    let number = |b: &[u8]| b.iter().fold(0u128, |n, o| n << 8 | u128::from(*o));
    Ok((number(value), tlv.has_mask.then(|| number(mask))))
}

/// All octets of a field's value set, as "every bit" looks on the wire.
fn wire_ones(field: Field) -> u128 {
    ones(u16::from(field.info().bytes) * 8)
}

/// How to read a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Refuse unknown fields and those without their prerequisites.
    Strict,
    /// Skip unknown fields.
    Loose,
    /// Skip unknown fields; all must be of the pipeline, not of a header.
    Pipeline,
}

/// A cookie and its mask.
pub(crate) type Cookie = (u64, u64);

/// Reads a match of all of `octets`. With `cookie` it may hold one.
pub(crate) fn decode(
    octets: &[u8],
    mode: Mode,
    allow_cookie: bool,
) -> Result<(Match, Option<Cookie>), OfError> {
    let mut m = Match::default();
    let mut cookie = None;
    let mut r = Reader::new(octets, OfError::BmcBadLen);
    while !r.is_empty() {
        let tlv = Tlv::read(&mut r)?;
        let (value, mask) = value_and_mask(&tlv, &mut r)?;
        let Some(field) = tlv.field() else {
            if allow_cookie && tlv.is_cookie() {
                if cookie.is_some() {
                    return Err(OfError::BmcDupField);
                }
                cookie = Some((value as u64, mask.map_or(u64::MAX, |m| m as u64)));
            } else if mode == Mode::Strict {
                return Err(OfError::BmcBadField);
            }
            continue;
        };
        let all = wire_ones(field);
        let mask = mask.unwrap_or(all);
        if !field.info().maskable && mask != 0 && mask != all {
            return Err(OfError::BmcBadMask);
        }
        if !field.value_ok(value) {
            return Err(OfError::BmcBadValue);
        }
        if mode == Mode::Strict && !field.prereq_ok(&m.value) {
            return Err(OfError::BmcBadPrereq);
        }
        if !m.is_wild(field) {
            return Err(OfError::BmcDupField);
        }
        if mode == Mode::Pipeline && !is_pipeline(field) {
            return Err(OfError::BrcPipelineFieldsOnly);
        }
        m.set_masked(field, value, mask);
    }
    Ok((m, cookie))
}

/// Fields that exist beside the packet (OpenFlow 1.5 clause 7.2.3.9).
fn is_pipeline(f: Field) -> bool {
    matches!(
        f,
        Field::TunId
            | Field::TunSrc
            | Field::TunDst
            | Field::TunIpv6Src
            | Field::TunIpv6Dst
            | Field::TunFlags
            | Field::Metadata
            | Field::InPort
            | Field::InPortOxm
            | Field::ActsetOutput
            | Field::PacketType
            | Field::Reg(_)
            | Field::XReg(_)
            | Field::XxReg(_)
    )
}

/// Reads an NXM match of `len` octets, with what pads it to a multiple of 8.
pub(crate) fn pull(
    r: &mut Reader<'_>,
    len: usize,
    mode: Mode,
    allow_cookie: bool,
) -> Result<(Match, Option<Cookie>), OfError> {
    let octets = r.take(len.next_multiple_of(8)).map_err(|_| OfError::BmcBadLen)?;
    decode(&octets[..len], mode, allow_cookie)
}

/// Reads an OXM match: its own header with type 1 and length, then as [`pull`].
pub(crate) fn pull_oxm(r: &mut Reader<'_>, mode: Mode) -> Result<Match, OfError> {
    let bad = OfError::BmcBadLen;
    let mut h = Reader::new(r.rest(), bad);
    let typ = h.u16()?;
    let len = usize::from(h.u16()?);
    if len < 4 {
        return Err(bad);
    }
    if typ != 1 {
        return Err(OfError::BmcBadType);
    }
    let octets = r.take(len.next_multiple_of(8)).map_err(|_| bad)?;
    Ok(decode(&octets[4..len], mode, false)?.0)
}

/// The field that a header in an action names; masked headers are refused.
pub(crate) fn pull_field(r: &mut Reader<'_>) -> Result<Field, OfError> {
    let tlv = Tlv::read(r)?;
    let field = tlv.field().ok_or(OfError::BmcBadField)?;
    if tlv.has_mask { Err(OfError::BmcBadMask) } else { Ok(field) }
}

/// The field of a 32-bit NXM header in an old action.
pub(crate) fn field_of_nxm_header(header: u32) -> Result<Field, OfError> {
    let octets = header.to_be_bytes();
    let tlv = Tlv::read(&mut Reader::new(&octets, OfError::BmcBadLen));
    let field = tlv.ok().filter(|t| !t.has_mask).and_then(|t| t.field());
    field.ok_or(OfError::BacBadSetType)
}

/// A field with its value, and its mask if `masked`, in an action.
pub(crate) fn pull_entry(r: &mut Reader<'_>, masked: bool) -> Result<(Field, u128, u128), OfError> {
    let tlv = Tlv::read(r)?;
    let Some(field) = tlv.field() else {
        let known = tlv.named().is_some();
        return Err(if known { OfError::BacBadSetLen } else { OfError::BacBadSetType });
    };
    let (value, mask) = value_and_mask(&tlv, r)?;
    if mask.is_some() && !masked {
        return Err(OfError::BmcBadMask);
    }
    let mask = mask.unwrap_or(wire_ones(field));
    Ok((field, value, mask & field.ones()))
}

/// A field's header as a version names it: 4 octets, or 8 for an experimenter's. Nothing for a
/// field that no message can name.
pub fn field_header(field: Field, version: Version, masked: bool) -> Option<Vec<u8>> {
    let mut w = Writer::default();
    put_header(&mut w, field, Some(version), masked);
    (!w.0.is_empty()).then_some(w.0)
}

/// Writes a header. `version` chooses the name; a field without any name is left out.
pub(crate) fn put_header(w: &mut Writer, field: Field, version: Option<Version>, masked: bool) {
    let Some(h) = field.header(version) else { return };
    let bytes = field.info().bytes * if masked { 2 } else { 1 };
    put_raw_header(w, h, masked, bytes);
}

fn put_raw_header(w: &mut Writer, h: &Header, masked: bool, payload: u8) {
    let number = h.number << 1 | u8::from(masked);
    if h.class == EXPERIMENTER {
        w.u16(h.class).u8(number).u8(payload + 4).u32(h.vendor);
    } else {
        w.u16(h.class).u8(number).u8(payload);
    }
}

/// The 32-bit NXM header of a field; `None` if only an experimenter's longer one names it.
pub(crate) fn nxm_header(field: Field) -> Option<u32> {
    let h = field.header(None)?;
    if h.class == EXPERIMENTER {
        return None;
    }
    let low = u32::from(h.number) << 9 | u32::from(field.info().bytes);
    Some(u32::from(h.class) << 16 | low)
}

/// Writes a field with value and mask; without a mask if it is whole.
pub(crate) fn put_entry(
    w: &mut Writer,
    field: Field,
    version: Option<Version>,
    value: u128,
    mask: u128,
) {
    let bytes = usize::from(field.info().bytes);
    let masked = mask & field.ones() != field.ones();
    if field.header(version).is_none() {
        return;
    }
    put_header(w, field, version, masked);
    w.bytes(&value.to_be_bytes()[16 - bytes..]);
    if masked {
        w.bytes(&mask.to_be_bytes()[16 - bytes..]);
    }
}

/// Writes the entries of a match; without `version` in NXM.
pub(crate) fn encode(w: &mut Writer, m: &Match, version: Option<Version>, cookie: Option<Cookie>) {
    let start = w.len();
    let mut implied_ethernet = false;
    let mut put = |w: &mut Writer, f: Field| {
        let (value, mask) = m.get(f);
        if mask != 0 {
            put_entry(w, f, version, value, mask);
            implied_ethernet |= f.info().prereq != crate::field::Prereq::None;
        }
    };
    if m.value.packet_type != 0 {
        put(w, Field::PacketType);
    }
    for f in [Field::DpHash, Field::RecircId, Field::ConjId] {
        put(w, f);
    }
    put(w, if version.is_some() { Field::InPortOxm } else { Field::InPort });
    put(w, Field::ActsetOutput);
    for f in [Field::EthSrc, Field::EthDst, Field::EthType] {
        put(w, f);
    }
    if version.is_some() {
        put(w, Field::VlanVid);
        let tci = m.value.key.vlan[0].tci;
        if tci & (VlanTag::VID_MASK | VlanTag::CFI) != 0 {
            put(w, Field::VlanPcp);
        }
    } else {
        put(w, Field::VlanTci);
    }
    headers(m, version.is_some()).into_iter().for_each(|f| put(w, f));
    for f in [Field::TunId, Field::TunFlags, Field::TunSrc, Field::TunDst] {
        put(w, f);
    }
    put(w, Field::TunIpv6Src);
    put(w, Field::TunIpv6Dst);
    if version == Some(Version::V15) {
        (0..16).for_each(|n| put(w, Field::XReg(n)));
    } else {
        (0..32).for_each(|n| put(w, Field::Reg(n)));
    }
    for f in [Field::PktMark, Field::CtState, Field::CtZone, Field::CtMark, Field::CtLabel] {
        put(w, f);
    }
    put(w, Field::Metadata);

    if let Some((value, mask)) = cookie.filter(|(_, mask)| *mask != 0) {
        let masked = mask != u64::MAX;
        w.u16(1).u8(30 << 1 | u8::from(masked)).u8(if masked { 16 } else { 8 });
        w.u64(value & mask);
        if masked {
            w.u64(mask);
        }
    }
    // "Ethernet" must be said when no field says it.
    if m.mask.packet_type == u32::MAX && m.value.packet_type == 0 && !implied_ethernet {
        let mut pt = Writer::default();
        put_entry(&mut pt, Field::PacketType, version, 0, 0xffff_ffff);
        w.0.splice(start..start, pt.0);
    }
}

/// Fields of MPLS, IP, ARP and what is in them, as far as the match assures that they exist.
fn headers(m: &Match, oxm: bool) -> Vec<Field> {
    let v = &m.value;
    let typ = v.dl_type();
    let mut out = Vec::new();
    if v.is_mpls() {
        out.extend([Field::MplsTc, Field::MplsBos, Field::MplsTtl, Field::MplsLabel]);
    }
    match typ {
        EtherType::IPV4 => out.extend([Field::Ipv4Src, Field::Ipv4Dst]),
        EtherType::IPV6 => out.extend([Field::Ipv6Src, Field::Ipv6Dst]),
        EtherType::ARP | EtherType::RARP => {
            out.extend([Field::ArpOp, Field::ArpSpa, Field::ArpTpa, Field::ArpSha, Field::ArpTha]);
            return out;
        }
        _ => return out,
    }
    out.push(Field::IpFrag);
    out.push(if oxm { Field::IpDscpShifted } else { Field::IpDscp });
    out.extend([Field::IpEcn, Field::IpTtl]);
    if typ == EtherType::IPV6 {
        out.push(Field::Ipv6Label);
    }
    out.push(Field::IpProto);
    if m.mask.key.nw_proto == 0 {
        return out;
    }
    match (v.key.nw_proto, typ) {
        (ip::TCP, _) => out.extend([Field::TcpSrc, Field::TcpDst, Field::TcpFlags]),
        (ip::UDP, _) => out.extend([Field::UdpSrc, Field::UdpDst]),
        (ip::SCTP, _) => out.extend([Field::SctpSrc, Field::SctpDst]),
        (ip::ICMP, EtherType::IPV4) => out.extend([Field::Icmpv4Type, Field::Icmpv4Code]),
        (ip::ICMPV6, EtherType::IPV6) => {
            out.extend([Field::Icmpv6Type, Field::Icmpv6Code]);
            for f in [Field::NdTarget, Field::NdSll, Field::NdTll] {
                if f.prereq_ok(v) {
                    out.push(f);
                }
            }
        }
        _ => {}
    }
    out
}

/// Writes an NXM match padded to a multiple of 8; its length without the padding.
pub(crate) fn put(w: &mut Writer, m: &Match, cookie: Option<Cookie>) -> usize {
    let start = w.len();
    encode(w, m, None, cookie);
    let len = w.len() - start;
    w.pad8(start);
    len
}

/// Writes an OXM match with its header and padding.
pub(crate) fn put_oxm(w: &mut Writer, m: &Match, version: Version) {
    let start = w.len();
    w.u16(1).u16(0);
    encode(w, m, Some(version), None);
    w.set_len(start, 2);
    w.pad8(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Result<Match, OfError> {
        decode(octets, Mode::Strict, false).map(|(m, _)| m)
    }

    /// The prerequisites come first, and are insisted on.
    #[test]
    fn nxm_entry_without_prerequisite_or_with_bad_mask_is_refused() {
        let eth_type = [0, 0, 0x06, 2, 0x08, 0];
        let src = [0, 0, 0x0e, 4, 10, 0, 0, 1];
        let m = read(&[&eth_type[..], &src].concat()).unwrap();
        assert_eq!(m.get(Field::Ipv4Src), (0x0a00_0001, 0xffff_ffff));
        assert_eq!(read(&src), Err(OfError::BmcBadPrereq));
        assert_eq!(read(&eth_type[..5]), Err(OfError::BmcBadLen));
        assert_eq!(read(&eth_type[..3]), Err(OfError::BmcBadLen));
        assert_eq!(read(&[eth_type, eth_type].concat()), Err(OfError::BmcDupField));
        // A mask that a field cannot have, a value outside its mask, an unknown field.
        assert_eq!(read(&[0, 0, 0x07, 4, 8, 0, 0xff, 0]), Err(OfError::BmcBadMask));
        let outside = [0, 0, 0x0f, 8, 10, 0, 0, 1, 255, 0, 0, 0];
        assert_eq!(read(&outside), Err(OfError::BmcBadWildcards));
        let unknown = [0, 9, 0x06, 2, 0x08, 0];
        assert_eq!(read(&unknown), Err(OfError::BmcBadField));
        assert_eq!(decode(&unknown, Mode::Loose, false).unwrap().0, Match::default());
        // The same field in another width is another field.
        assert_eq!(read(&[0, 0, 0x06, 1, 8]), Err(OfError::BmcBadField));
    }

    #[test]
    fn experimenter_field_has_its_id_in_the_header() {
        let flags = [0xff, 0xff, 42 << 1, 6, 0x4f, 0x4e, 0x46, 0, 0, 2];
        let eth_ip = [0x80, 0, 10, 2, 8, 0, 0x80, 0, 20, 1, 6];
        let m = read(&[&eth_ip[..], &flags].concat()).unwrap();
        assert_eq!(m.get(Field::TcpFlags), (2, 0xfff));
        assert_eq!(read(&[0xff, 0xff, 84, 3, 0, 0, 0, 0]), Err(OfError::BmcBadLen));
        assert_eq!(read(&flags[..7]), Err(OfError::BmcBadLen));
    }

    #[test]
    fn cookie_in_match_is_read_apart() {
        let octets = [0, 1, 61, 16, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 255];
        let (m, cookie) = decode(&octets, Mode::Strict, true).unwrap();
        assert_eq!((m, cookie), (Match::default(), Some((5, 255))));
        assert_eq!(decode(&octets, Mode::Strict, false), Err(OfError::BmcBadField));
        let mut w = Writer::default();
        encode(&mut w, &m, None, cookie);
        assert_eq!(w.0, octets);
    }
}
