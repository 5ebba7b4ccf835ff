//! A request of a controller while it is handled.

use openflow::Version;
use wire::Time;

use super::types::{ConnId, SwitchOps};
use crate::tables::Requester;

/// One request.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) now: Time,
    pub(super) conn: ConnId,
    pub(super) version: Version,
    pub(super) xid: u32,
    /// As it came.
    pub(super) frame: &'a [u8],
    pub(super) ops: &'a dyn SwitchOps,
}

impl Request<'_> {
    /// The requester of changes of flow tables.
    pub(super) fn requester(&self) -> Requester {
        Requester { conn: Some((self.conn, self.xid)), version: self.version }
    }
}
