//! Bundles: several messages that take effect together (1.4 clause 7.3.9; 1.3 as an extension).

/// What is asked of a bundle, or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BundleOp {
    /// Create the bundle.
    Open,
    /// Accept no more messages.
    Close,
    /// Apply the messages.
    Commit,
    /// Drop the messages.
    Discard,
}

impl BundleOp {
    const ALL: [BundleOp; 4] =
        [BundleOp::Open, BundleOp::Close, BundleOp::Commit, BundleOp::Discard];

    /// Requests have even numbers, replies the odd ones after them.
    pub const fn wire(self, reply: bool) -> u16 {
        self as u16 * 2 + reply as u16
    }

    /// With whether it is a reply.
    pub fn from_wire(v: u16) -> Option<(BundleOp, bool)> {
        Some((*BundleOp::ALL.get(usize::from(v / 2))?, v % 2 == 1))
    }
}

/// A command for a bundle, or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleControl {
    /// The bundle's identity, chosen by the controller.
    pub id: u32,
    /// `OFPBCT_*` as sent: [`BundleOp::from_wire`] reads it.
    pub typ: u16,
    /// Bits of [`bundle_flags`].
    pub flags: u16,
}

/// Bits of a bundle's flags.
pub mod bundle_flags {
    /// All or nothing.
    pub const ATOMIC: u16 = 1;
    /// In the order in which they came.
    pub const ORDERED: u16 = 2;
}

/// A message for a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleAdd {
    /// The bundle's identity.
    pub id: u32,
    /// Bits of [`bundle_flags`]; equal to those of the bundle.
    pub flags: u16,
    /// All octets of the message, with its header. Its version and number are the outer one's.
    pub message: Vec<u8>,
}
