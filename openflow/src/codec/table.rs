//! Messages about flow tables. Layouts: OpenFlow 1.0 clause 5.3.5, 1.3 clause 7.3.5.5, 1.4 clauses
//! 7.3.3 and 7.3.5.17.

use super::buf::{Reader, Writer};
use super::prop::{self, Properties};
use crate::error::OfError;
use crate::msg::{TableDesc, TableFeatures, TableMod, TableStats, TableStatus, Vacancy};
use crate::version::Version;

/// Octets of a table's name with its final zero.
const TABLE_NAME: usize = 32;

/// Octets of what a table supports: in 1.1 six words of 32 bits, in 1.2 four of 64 bits, four of
/// 32 with metadata between.
fn supported_len(v: Version) -> usize {
    if v == Version::V11 { 24 } else { 64 }
}

pub(super) fn decode_table_stats(
    r: &mut Reader<'_>,
    v: Version,
) -> Result<Vec<TableStats>, OfError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        let mut t = TableStats { table_id: r.u8()?, ..TableStats::default() };
        match v {
            Version::V10 => {
                r.skip(3)?;
                t.name = r.text(TABLE_NAME)?;
                t.wildcards = r.u32()?;
                t.max_entries = r.u32()?;
            }
            Version::V11 | Version::V12 => {
                r.skip(7)?;
                t.name = r.text(TABLE_NAME)?;
                t.supported = r.take(supported_len(v))?.to_vec();
                t.max_entries = r.u32()?;
            }
            _ => r.skip(3)?,
        }
        t.active = r.u32()?;
        t.lookups = r.u64()?;
        t.matched = r.u64()?;
        out.push(t);
    }
    Ok(out)
}

pub(super) fn encode_table_stats(w: &mut Writer, t: &TableStats, v: Version) {
    w.u8(t.table_id);
    match v {
        Version::V10 => {
            w.zeros(3).text(&t.name, TABLE_NAME).u32(t.wildcards).u32(t.max_entries);
        }
        Version::V11 | Version::V12 => {
            let n = supported_len(v);
            let known = &t.supported[..t.supported.len().min(n)];
            w.zeros(7).text(&t.name, TABLE_NAME).bytes(known).zeros(n - known.len());
            w.u32(t.max_entries);
        }
        _ => {
            w.zeros(3);
        }
    }
    w.u32(t.active).u64(t.lookups).u64(t.matched);
}

/// Types of the properties of a table's configuration.
const EVICTION: u16 = 2;
const VACANCY: u16 = 3;

pub(super) fn decode_table_mod(r: &mut Reader<'_>, v: Version) -> Result<TableMod, OfError> {
    let table_id = r.u8()?;
    r.skip(3)?;
    let mut m = TableMod { table_id, config: r.u32()?, ..TableMod::default() };
    if v >= Version::V14 {
        (m.eviction, m.vacancy) = properties(r.rest(), true)?;
    }
    Ok(m)
}

pub(super) fn encode_table_mod(w: &mut Writer, m: &TableMod, v: Version) {
    w.u8(m.table_id).zeros(3).u32(m.config);
    if v >= Version::V14 {
        put_properties(w, m.eviction, m.vacancy);
    }
}

/// Of a command or a description; the switch refuses what makes no sense in a command.
fn properties(octets: &[u8], command: bool) -> Result<(Option<u32>, Option<Vacancy>), OfError> {
    let (mut eviction, mut vacancy) = (None, None);
    for p in Properties::new(octets) {
        let p = p?;
        match p.typ {
            EVICTION => eviction = Some(p.u32()?),
            VACANCY => {
                let [down, up, now, _] = p.u32()?.to_be_bytes();
                if command && (down > up || up > 100 || now != 0) {
                    return Err(OfError::BpcBadValue);
                }
                vacancy = Some(Vacancy { down, up, now });
            }
            _ if command => return Err(OfError::BrcBadType),
            _ => {}
        }
    }
    Ok((eviction, vacancy))
}

fn put_properties(w: &mut Writer, eviction: Option<u32>, vacancy: Option<Vacancy>) {
    if let Some(flags) = eviction {
        prop::put(w, EVICTION, |w| {
            w.u32(flags);
        });
    }
    if let Some(v) = vacancy {
        prop::put(w, VACANCY, |w| {
            w.u8(v.down).u8(v.up).u8(v.now).zeros(1);
        });
    }
}

fn table_desc(r: &mut Reader<'_>) -> Result<TableDesc, OfError> {
    let bad = OfError::BrcBadLen;
    let len = usize::from(Reader::new(r.rest(), bad).u16()?);
    let mut e = r.sub(len, bad)?;
    e.skip(2)?;
    let table_id = e.u8()?;
    e.skip(1)?;
    let config = e.u32()?;
    let (eviction, vacancy) = properties(e.rest(), false)?;
    Ok(TableDesc { table_id, config, eviction, vacancy })
}

pub(super) fn decode_table_desc(r: &mut Reader<'_>) -> Result<Vec<TableDesc>, OfError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        out.push(table_desc(r)?);
    }
    Ok(out)
}

pub(super) fn encode_table_desc(w: &mut Writer, t: &TableDesc) {
    let start = w.len();
    w.u16(0).u8(t.table_id).zeros(1).u32(t.config);
    put_properties(w, t.eviction, t.vacancy);
    w.set_len(start, 0);
}

pub(super) fn decode_table_status(r: &mut Reader<'_>) -> Result<TableStatus, OfError> {
    let reason = r.u8()?;
    r.skip(7)?;
    if !matches!(reason, 3 | 4) {
        return Err(OfError::BpcBadValue);
    }
    Ok(TableStatus { reason, desc: table_desc(r)? })
}

pub(super) fn encode_table_status(w: &mut Writer, s: &TableStatus) {
    w.u8(s.reason).zeros(7);
    encode_table_desc(w, &s.desc);
}

pub(super) fn decode_table_features(r: &mut Reader<'_>) -> Result<Vec<TableFeatures>, OfError> {
    let bad = OfError::BpcBadLen;
    let mut out = Vec::new();
    while !r.is_empty() {
        let len = usize::from(Reader::new(r.rest(), bad).u16()?);
        let mut e = r.sub(len, bad)?;
        e.skip(2)?;
        let (table_id, command, features) = (e.u8()?, e.u8()?, e.u32()?);
        let name = e.text(TABLE_NAME)?;
        let (metadata_match, metadata_write) = (e.u64()?, e.u64()?);
        let (capabilities, max_entries) = (e.u32()?, e.u32()?);
        let properties = Properties::new(e.rest())
            .map(|p| p.map(|p| (p.typ, p.body.to_vec())))
            .collect::<Result<_, _>>()?;
        out.push(TableFeatures {
            table_id,
            command,
            features,
            name,
            metadata_match,
            metadata_write,
            capabilities,
            max_entries,
            properties,
        });
    }
    Ok(out)
}

pub(super) fn encode_table_features(w: &mut Writer, t: &TableFeatures) {
    let start = w.len();
    w.u16(0).u8(t.table_id).u8(t.command).u32(t.features).text(&t.name, TABLE_NAME);
    w.u64(t.metadata_match).u64(t.metadata_write).u32(t.capabilities).u32(t.max_entries);
    for (typ, body) in &t.properties {
        prop::put(w, *typ, |w| {
            w.bytes(body);
        });
    }
    w.set_len(start, 0);
}
