//! Properties: type and length (16 bits each), a body, zeros to a multiple of 8 (OpenFlow 1.4
//! clause 7.1.2). Type 0xffff is an experimenter's, whose number and type follow.

use super::buf::{Reader, Writer};
use crate::error::OfError;

/// One property.
pub(crate) struct Property<'a> {
    pub(crate) typ: u16,
    pub(crate) body: &'a [u8],
}

impl Property<'_> {
    fn fixed<const N: usize>(&self, skip: usize) -> Result<[u8; N], OfError> {
        match self.body.get(skip..) {
            Some(b) => b.try_into().map_err(|_| OfError::BpcBadLen),
            None => Err(OfError::BpcBadLen),
        }
    }

    pub(crate) fn u8(&self) -> Result<u8, OfError> {
        Ok(self.fixed::<1>(0)?[0])
    }

    /// What follows it is padding to some.
    pub(crate) fn u16(&self) -> Result<u16, OfError> {
        self.reader().u16()
    }

    pub(crate) fn u32(&self) -> Result<u32, OfError> {
        Ok(u32::from_be_bytes(self.fixed(0)?))
    }

    /// 64 bits, which stand at a multiple of 8.
    pub(crate) fn u64(&self) -> Result<u64, OfError> {
        Ok(u64::from_be_bytes(self.fixed(4)?))
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(self.body, OfError::BpcBadLen)
    }
}

/// The properties in some octets; after an error there are no more.
pub(crate) struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Properties<'a> {
        Properties(octets)
    }

    fn read(&mut self) -> Result<Property<'a>, OfError> {
        let octets = std::mem::take(&mut self.0);
        let bad = OfError::BpcBadLen;
        let mut r = Reader::new(octets, bad);
        let (typ, len) = (r.u16()?, usize::from(r.u16()?));
        let padded = len.next_multiple_of(8);
        if len < 4 || padded > octets.len() {
            return Err(bad);
        }
        self.0 = &octets[padded..];
        Ok(Property { typ, body: &octets[4..len] })
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Result<Property<'a>, OfError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() { None } else { Some(self.read()) }
    }
}

/// Writes a property whose body `body` writes.
pub(crate) fn put(w: &mut Writer, typ: u16, body: impl FnOnce(&mut Writer)) {
    let start = w.len();
    w.u16(typ).u16(0);
    body(w);
    w.set_len(start, 2);
    w.pad8(start);
}

pub(crate) fn put_u64(w: &mut Writer, typ: u16, v: u64) {
    put(w, typ, |w| {
        w.zeros(4).u64(v);
    });
}
