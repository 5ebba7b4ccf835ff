//! Which mirrors have got the packet.

use crate::mirror::{Mirror, MirrorMask};

/// See the module.
#[derive(Clone, Copy, Default)]
pub(super) struct Mirroring {
    /// Mirrors that have got the packet as it is now.
    copied: MirrorMask,
    /// Octets that the mirror wants whose copy is sent; 0: no mirror's copy is sent.
    snaplen: u16,
}

impl Mirroring {
    /// The state of a packet that these mirrors have got.
    pub(super) fn of(copied: MirrorMask) -> Mirroring {
        Mirroring { copied, snaplen: 0 }
    }

    /// Mirrors that have got the packet as it is now.
    pub(super) fn copied(&self) -> MirrorMask {
        self.copied
    }

    /// The packet changed, or is in another bridge: no mirror has got it as it is now.
    pub(super) fn forget_copies(&mut self) {
        self.copied = 0;
    }

    /// Begins with the copy for a mirror. It counts from now on: what is sent for it may be
    /// mirrored itself.
    pub(super) fn start_copy(&mut self, mirror: &Mirror) {
        self.copied |= mirror.same_output;
        self.snaplen = mirror.snaplen.unwrap_or(0);
    }

    /// The copy was sent.
    pub(super) fn end_copy(&mut self) {
        self.snaplen = 0;
    }

    /// Octets that the mirror wants whose copy is sent, if it does not want all.
    pub(super) fn snaplen(&self) -> Option<u16> {
        (self.snaplen != 0).then_some(self.snaplen)
    }
}
