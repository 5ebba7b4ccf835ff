//! The header that every OpenFlow message begins with (OpenFlow 1.5 clause 7.1).

/// Octets of every message's header.
pub const HEADER_LEN: usize = 8;

/// The header that all messages begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// As sent: possibly a version that is not known here.
    pub version: u8,
    /// Message type; its meaning depends on the version.
    pub typ: u8,
    /// Octets of the whole message. At least 8 in a message that is one; a stream with less here
    /// cannot be followed any further.
    pub len: u16,
    /// Transaction identifier; a reply repeats the request's.
    pub xid: u32,
}

impl Header {
    /// Looks at the header; `None` until there are 8 octets.
    pub fn peek(octets: &[u8]) -> Option<Header> {
        let [version, typ, l0, l1, xid @ ..] = octets.first_chunk::<HEADER_LEN>()?;
        let len = u16::from_be_bytes([*l0, *l1]);
        Some(Header { version: *version, typ: *typ, len, xid: u32::from_be_bytes(*xid) })
    }

    /// Whether the message is `OFPT_HELLO`, which has number 0 in all versions.
    pub const fn is_hello(&self) -> bool {
        self.typ == 0
    }
}
