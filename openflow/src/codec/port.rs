//! Messages about ports. Layouts: OpenFlow 1.0 clause 5.2.1, 1.1 clause A.2.1, 1.4 clause 7.2.1.

use wire::EthAddr;

use super::buf::{Reader, Writer};
use super::prop::{self, Properties};
use crate::error::OfError;
use crate::msg::{PortDesc, PortMod, PortReason, PortStats, PortStatus, config, features, state};
use crate::ofport::OfPort;
use crate::version::Version;

/// Octets of a port's name with its final zero.
const NAME_LEN: usize = 16;

/// The property with a port's Ethernet facts, in descriptions and in commands.
const ETHERNET: u16 = 0;

/// Experimenter property: Intel's number, with counters by name.
const EXPERIMENTER: u16 = 0xffff;
const INTEL: u32 = 0x0000_aa01;
const INTEL_CUSTOM: u32 = 2;

/// 1.0 has the features above 1 Gbit/s full duplex in other places.
fn features_from10(v: u32) -> u32 {
    (v & 0x7f) | (v & 0xf80) << 4
}

fn features_to10(v: u32) -> u32 {
    (v & 0x7f) | (v & 0xf800) >> 4
}

/// The fastest of `features`, in kbit/s.
fn speed(f: u32) -> u32 {
    use features::*;
    let table = [
        (ONE_TB_FD, 1_000_000_000),
        (HUNDRED_GB_FD, 100_000_000),
        (FORTY_GB_FD, 40_000_000),
        (TEN_GB_FD, 10_000_000),
        (ONE_GB_FD | ONE_GB_HD, 1_000_000),
        (HUNDRED_MB_FD | HUNDRED_MB_HD, 100_000),
        (TEN_MB_FD | TEN_MB_HD, 10_000),
    ];
    table.iter().find(|(bits, _)| f & bits != 0).map_or(0, |(_, kbps)| *kbps)
}

fn port_no(r: &mut Reader<'_>) -> Result<OfPort, OfError> {
    OfPort::from_wire32(r.u32()?)
}

pub(super) fn decode_port_no(r: &mut Reader<'_>, v: Version) -> Result<OfPort, OfError> {
    if v == Version::V10 { Ok(OfPort(r.u16()?)) } else { port_no(r) }
}

/// Eight octets.
pub(super) fn encode_port_no(w: &mut Writer, port: OfPort, v: Version) {
    match v {
        Version::V10 => w.u16(port.0).zeros(6),
        _ => w.u32(port.to_wire32()).zeros(4),
    };
}

pub(super) fn decode_desc(r: &mut Reader<'_>, v: Version) -> Result<PortDesc, OfError> {
    match v {
        Version::V10 => desc10(r),
        Version::V11 | Version::V12 | Version::V13 => desc11(r),
        Version::V14 | Version::V15 => desc14(r),
    }
}

pub(super) fn decode_descs(r: &mut Reader<'_>, v: Version) -> Result<Vec<PortDesc>, OfError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        out.push(decode_desc(r, v)?);
    }
    Ok(out)
}

fn desc10(r: &mut Reader<'_>) -> Result<PortDesc, OfError> {
    let (port, hw_addr, name) = (OfPort(r.u16()?), EthAddr(r.array()?), r.text(NAME_LEN)?);
    let (cfg, st) = (r.u32()? & config::ALL10, r.u32()? & state::ALL10);
    let [curr, advertised, supported, peer] = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
    let (curr, supported) = (features_from10(curr), features_from10(supported));
    Ok(PortDesc {
        port,
        hw_addr,
        name,
        config: cfg,
        state: st,
        curr,
        advertised: features_from10(advertised),
        supported,
        peer: features_from10(peer),
        curr_speed: speed(curr),
        max_speed: speed(supported),
    })
}

fn desc11(r: &mut Reader<'_>) -> Result<PortDesc, OfError> {
    let port = port_no(r)?;
    r.skip(4)?;
    let hw_addr = EthAddr(r.array()?);
    r.skip(2)?;
    let name = r.text(NAME_LEN)?;
    let (cfg, st) = (r.u32()? & config::ALL11, r.u32()? & state::ALL11);
    let [curr, advertised, supported, peer] = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
    Ok(PortDesc {
        port,
        hw_addr,
        name,
        config: cfg,
        state: st,
        curr: curr & 0xffff,
        advertised: advertised & 0xffff,
        supported: supported & 0xffff,
        peer: peer & 0xffff,
        curr_speed: r.u32()?,
        max_speed: r.u32()?,
    })
}

fn desc14(r: &mut Reader<'_>) -> Result<PortDesc, OfError> {
    let bad = OfError::BrcBadLen;
    let raw_port = r.u32()?;
    let len = usize::from(r.u16()?);
    r.skip(2)?;
    let hw_addr = EthAddr(r.array()?);
    r.skip(2)?;
    let name = r.text(NAME_LEN)?;
    let (cfg, st) = (r.u32()? & config::ALL11, r.u32()? & state::ALL11);
    let props = r.take(len.checked_sub(40).ok_or(bad)?)?;
    let port = OfPort::from_wire32(raw_port)?;
    let mut d = PortDesc { port, hw_addr, name, config: cfg, state: st, ..PortDesc::default() };
    for p in Properties::new(props) {
        let p = p?;
        if p.typ != ETHERNET {
            continue;
        }
        let mut b = p.reader();
        b.skip(4)?;
        d.curr = b.u32()? & 0xffff;
        d.advertised = b.u32()? & 0xffff;
        d.supported = b.u32()? & 0xffff;
        d.peer = b.u32()? & 0xffff;
        d.curr_speed = b.u32()?;
        d.max_speed = b.u32()?;
    }
    Ok(d)
}

pub(super) fn encode_desc(w: &mut Writer, d: &PortDesc, v: Version) {
    let facts = [d.curr, d.advertised, d.supported, d.peer];
    match v {
        Version::V10 => {
            w.u16(d.port.0).bytes(&d.hw_addr.0).text(&d.name, NAME_LEN);
            w.u32(d.config & config::ALL10).u32(d.state & state::ALL10);
            for f in facts {
                w.u32(features_to10(f));
            }
        }
        Version::V11 | Version::V12 | Version::V13 => {
            w.u32(d.port.to_wire32()).zeros(4).bytes(&d.hw_addr.0).zeros(2);
            w.text(&d.name, NAME_LEN);
            w.u32(d.config & config::ALL11).u32(d.state & state::ALL11);
            for f in facts {
                w.u32(f & 0xffff);
            }
            w.u32(d.curr_speed).u32(d.max_speed);
        }
        Version::V14 | Version::V15 => {
            w.u32(d.port.to_wire32()).u16(72).zeros(2).bytes(&d.hw_addr.0).zeros(2);
            w.text(&d.name, NAME_LEN);
            w.u32(d.config & config::ALL11).u32(d.state & state::ALL11);
            prop::put(w, ETHERNET, |w| {
                w.zeros(4);
                for f in facts {
                    w.u32(f & 0xffff);
                }
                w.u32(d.curr_speed).u32(d.max_speed);
            });
        }
    }
}

pub(super) fn decode_status(r: &mut Reader<'_>, v: Version) -> Result<PortStatus, OfError> {
    let raw = r.u8()?;
    r.skip(7)?;
    let reason = PortReason::from_wire(raw).ok_or(OfError::NxBrcBadReason)?;
    Ok(PortStatus { reason, desc: decode_desc(r, v)? })
}

pub(super) fn decode_mod(r: &mut Reader<'_>, v: Version) -> Result<PortMod, OfError> {
    let (port, hw_addr, known);
    if v == Version::V10 {
        port = OfPort(r.u16()?);
        hw_addr = EthAddr(r.array()?);
        known = config::ALL10;
    } else {
        port = port_no(r)?;
        r.skip(4)?;
        hw_addr = EthAddr(r.array()?);
        r.skip(2)?;
        known = config::ALL11;
    }
    let (cfg, mask) = (r.u32()?, r.u32()? & known);
    let advertise = match v {
        Version::V10 => features_from10(r.u32()?),
        Version::V11 | Version::V12 | Version::V13 => r.u32()? & 0xffff,
        Version::V14 | Version::V15 => {
            let mut advertise = 0;
            for p in Properties::new(r.rest()) {
                let p = p?;
                if p.typ != ETHERNET {
                    return Err(OfError::BpcBadType);
                }
                advertise = p.u32()? & 0xffff;
            }
            advertise
        }
    };
    Ok(PortMod { port, hw_addr, config: cfg & mask, mask, advertise })
}

pub(super) fn encode_mod(w: &mut Writer, m: &PortMod, v: Version) {
    match v {
        Version::V10 => {
            w.u16(m.port.0).bytes(&m.hw_addr.0).u32(m.config & config::ALL10);
            w.u32(m.mask & config::ALL10).u32(features_to10(m.advertise)).zeros(4);
            return;
        }
        _ => w.u32(m.port.to_wire32()).zeros(4).bytes(&m.hw_addr.0).zeros(2),
    };
    w.u32(m.config & config::ALL11).u32(m.mask & config::ALL11);
    if v >= Version::V14 {
        if m.advertise != 0 {
            prop::put(w, ETHERNET, |w| {
                w.u32(m.advertise & 0xffff);
            });
        }
    } else {
        w.u32(m.advertise & 0xffff).zeros(4);
    }
}

pub(super) fn decode_stats(r: &mut Reader<'_>, v: Version) -> Result<Vec<PortStats>, OfError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        out.push(if v >= Version::V14 { stats14(r)? } else { stats10(r, v)? });
    }
    Ok(out)
}

fn stats10(r: &mut Reader<'_>, v: Version) -> Result<PortStats, OfError> {
    let port = decode_port_no(r, v)?;
    r.skip(if v == Version::V10 { 6 } else { 4 })?;
    let mut s = PortStats::unknown(port);
    let mut counters = [0; 12];
    for c in &mut counters {
        *c = r.u64()?;
    }
    s.set_counters(counters);
    if v == Version::V13 {
        s.duration = told(r.u32()?, r.u32()?);
    }
    Ok(s)
}

fn told(sec: u32, nsec: u32) -> Option<(u32, u32)> {
    (sec != u32::MAX).then_some((sec, nsec))
}

fn stats14(r: &mut Reader<'_>) -> Result<PortStats, OfError> {
    let bad = OfError::BrcBadLen;
    let len = usize::from(Reader::new(r.rest(), bad).u16()?);
    let mut r = r.sub(len, bad)?;
    r.skip(4)?;
    let mut s = PortStats::unknown(port_no(&mut r)?);
    s.duration = told(r.u32()?, r.u32()?);
    let mut counters = s.counters();
    for c in &mut counters[..8] {
        *c = r.u64()?;
    }
    for p in Properties::new(r.rest()) {
        let p = p?;
        let mut b = p.reader();
        match p.typ {
            ETHERNET => {
                b.skip(4)?;
                for c in &mut counters[8..] {
                    *c = b.u64()?;
                }
            }
            EXPERIMENTER if (b.u32()?, b.u32()?) == (INTEL, INTEL_CUSTOM) => {
                b.skip(2)?;
                let n = b.u16()?;
                // Each has at least 9 octets, so that the count cannot make us take memory.
                for _ in 0..n {
                    let len = usize::from(b.u8()?);
                    let name = String::from_utf8_lossy(b.take(len)?).into_owned();
                    s.custom.push((name, b.u64()?));
                }
            }
            _ => {}
        }
    }
    s.set_counters(counters);
    Ok(s)
}

pub(super) fn encode_stats(w: &mut Writer, s: &PortStats, v: Version) {
    let counters = s.counters();
    let (sec, nsec) = s.duration.unwrap_or((u32::MAX, u32::MAX));
    if v < Version::V14 {
        encode_port_no(w, s.port, v);
        counters.iter().for_each(|c| {
            w.u64(*c);
        });
        if v == Version::V13 {
            w.u32(sec).u32(nsec);
        }
        return;
    }
    let start = w.len();
    w.u16(0).zeros(2).u32(s.port.to_wire32()).u32(sec).u32(nsec);
    counters[..8].iter().for_each(|c| {
        w.u64(*c);
    });
    prop::put(w, ETHERNET, |w| {
        w.zeros(4);
        counters[8..].iter().for_each(|c| {
            w.u64(*c);
        });
    });
    if !s.custom.is_empty() {
        prop::put(w, EXPERIMENTER, |w| {
            let n = u16::try_from(s.custom.len()).unwrap_or(u16::MAX);
            w.u32(INTEL).u32(INTEL_CUSTOM).zeros(2).u16(n);
            for (name, value) in s.custom.iter().take(usize::from(u16::MAX)) {
                let name = &name.as_bytes()[..name.len().min(255)];
                w.u8(name.len() as u8).bytes(name).u64(*value);
            }
        });
    }
    w.set_len(start, 0);
}
