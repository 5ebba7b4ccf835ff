//! The OpenFlow protocol as pure code: no sockets, no clocks.
//!
//! - [`msg`] has the messages as values, independent of the version; [`codec`] turns them into
//!   octets and back for OpenFlow 1.0 to 1.5 with Nicira's extensions. A message that
//!   cannot be read gives the [`OfError`] to send back; [`error`] has its numbers in each version.
//! - [`field`] has the fields that flows match and actions set, [`action`] the actions and
//!   instructions, [`action_check`] the rules about which go with which match.
//! - [`text`] reads and writes matches, actions and flows as `ovs-ofctl` does.
//!
//! One connection's life: send [`msg::Body::Hello`], read the peer's with
//! [`codec::decode_hello`], [`VersionSet::agree`] on a version, then [`codec::decode`] and
//! [`codec::encode`] with a [`Protocol`] that `NXT_SET_FLOW_FORMAT` and `NXT_FLOW_MOD_TABLE_ID`
//! change.
#![warn(missing_docs)]

pub mod action;
pub mod action_check;
pub mod codec;
pub mod error;
pub mod field;
pub mod msg;
pub mod ofport;
mod packet_in_reason;
pub mod text;
pub mod version;

pub use action::Action;
pub use error::OfError;
pub use field::{Field, Fields, Match, Subfield};
pub use msg::{Body, Message};
pub use ofport::OfPort;
pub use version::{Protocol, Version, VersionSet};
