//! Identities that several modules share.

use serde::Serialize;

/// Identifies a bundle (a `Port` row of a bridge) for as long as it is configured. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BundleId(pub u64);

/// Identifies an OpenFlow connection. The owner of the sockets chooses the number; it is never
/// reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);
