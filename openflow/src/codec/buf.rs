//! Reading and writing octets in network order.

use crate::error::OfError;

/// Octets still to be read. Every read that finds too few answers with the error that the
/// reader was made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    short: OfError,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8], short: OfError) -> Reader<'a> {
        Reader { rest: octets, short }
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], OfError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(self.short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `n` octets as a reader with its own error.
    pub(crate) fn sub(&mut self, n: usize, short: OfError) -> Result<Reader<'a>, OfError> {
        Ok(Reader::new(self.take(n)?, short))
    }

    pub(crate) fn skip(&mut self, n: usize) -> Result<(), OfError> {
        self.take(n).map(|_| ())
    }

    /// Octets that must be zero.
    pub(crate) fn zeros(&mut self, n: usize, error: OfError) -> Result<(), OfError> {
        if self.take(n)?.iter().all(|o| *o == 0) { Ok(()) } else { Err(error) }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], OfError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.short)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, OfError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, OfError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, OfError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, OfError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A fixed-size text field: up to the first zero octet, bad UTF-8 replaced.
    pub(crate) fn text(&mut self, n: usize) -> Result<String, OfError> {
        let octets = self.take(n)?;
        let end = octets.iter().position(|o| *o == 0).unwrap_or(n);
        Ok(String::from_utf8_lossy(&octets[..end]).into_owned())
    }
}

/// Octets being written.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn u8(&mut self, v: u8) -> &mut Writer {
        self.0.push(v);
        self
    }

    pub(crate) fn u16(&mut self, v: u16) -> &mut Writer {
        self.bytes(&v.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, v: u32) -> &mut Writer {
        self.bytes(&v.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, v: u64) -> &mut Writer {
        self.bytes(&v.to_be_bytes())
    }

    pub(crate) fn bytes(&mut self, v: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(v);
        self
    }

    pub(crate) fn zeros(&mut self, n: usize) -> &mut Writer {
        self.0.resize(self.0.len() + n, 0);
        self
    }

    /// A fixed-size text field that ends with a zero octet.
    pub(crate) fn text(&mut self, s: &str, n: usize) -> &mut Writer {
        let octets = &s.as_bytes()[..s.len().min(n - 1)];
        self.bytes(octets).zeros(n - octets.len())
    }

    /// Zeros until the length since `start` is a multiple of 8.
    pub(crate) fn pad8(&mut self, start: usize) -> &mut Writer {
        let n = (self.len() - start).next_multiple_of(8) - (self.len() - start);
        self.zeros(n)
    }

    /// Overwrites two octets, for a length that was not known before. A length beyond 16 bits
    /// saturates; messages are split before that.
    pub(crate) fn set_u16(&mut self, at: usize, v: usize) {
        let v = u16::try_from(v).unwrap_or(u16::MAX);
        self.0[at..at + 2].copy_from_slice(&v.to_be_bytes());
    }

    /// Writes the length since `start` into the two octets at `start + at`.
    pub(crate) fn set_len(&mut self, start: usize, at: usize) {
        let n = self.len() - start;
        self.set_u16(start + at, n);
    }
}
